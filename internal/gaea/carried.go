package gaea

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"
)

// maxCarried is how many bytes of JSON a definition in a reference may have.
const maxCarried = 4 << 20

// Pinned is d with references that carry nothing: as a store that keeps definitions holds it.
func Pinned(d Definition) Definition {
	switch d := d.(type) {
	case Assignment:
		return d.Pinned()
	case JobTemplate:
		return d.Pinned()
	default:
		return d
	}
}

// Pinned is a with references that carry nothing.
func (a Assignment) Pinned() Assignment {
	a.TargetGroup, a.JobTemplate = bare(a.TargetGroup), bare(a.JobTemplate)
	return a
}

// Pinned is t with references that carry nothing.
func (t JobTemplate) Pinned() JobTemplate {
	t.PreActions, t.PostActions = pinnedActions(t.PreActions), pinnedActions(t.PostActions)
	return t
}

func pinnedActions(actions []JobAction) []JobAction {
	if !slices.ContainsFunc(actions, func(a JobAction) bool { return bare(a.TargetGroup) != a.TargetGroup }) {
		return actions
	}
	actions = slices.Clone(actions)
	for i := range actions {
		actions[i].TargetGroup = bare(actions[i].TargetGroup)
	}
	return actions
}

// Carry is the reference NAME@DIGEST:PAYLOAD of a definition, which carries the definition itself: its JSON, in zlib's format
// where that is shorter, as unpadded base64url. The digest is that of [RefOf], so a definition is the same version with a jobd
// and without. The payload can be read by whoever sees the reference.
func Carry(d Definition) string {
	raw, err := json.Marshal(d)
	if err != nil { // only a value that JSON cannot hold, which Validate refuses before
		return RefOf(d)
	}
	var packed bytes.Buffer
	w, _ := zlib.NewWriterLevel(&packed, zlib.BestCompression) // the level is one
	_, _ = w.Write(raw)                                        // a buffer takes everything
	_ = w.Close()
	if packed.Len() < len(raw) {
		raw = packed.Bytes()
	}
	return RefOf(d) + ":" + base64.RawURLEncoding.EncodeToString(raw)
}

// Carried is the definition that a reference carries; ok is false where it carries none. CodeInvalid where the payload cannot
// be read, is larger than 4 MiB, or is not the definition that the digest names.
func Carried[T Definition](r Ref) (d T, ok bool, err error) {
	if r.Payload == "" {
		return d, false, nil
	}
	broken := func(err error) error {
		return &Error{Code: CodeInvalid, Message: "the reference " + r.Bare().String() + " is damaged: what it carries is not the definition that its digest names; " +
			"use the ref attribute of the resource, whole and as it is", Err: err}
	}
	raw, err := base64.RawURLEncoding.DecodeString(r.Payload)
	if err != nil {
		return d, false, broken(err)
	}
	if raw[0] != '{' {
		if raw, err = unpack(raw); err != nil {
			return d, false, broken(err)
		}
	}
	var carried T
	if err := json.Unmarshal(raw, &carried); err != nil {
		return d, false, broken(err)
	}
	if carried.DefinitionName() != r.Name || Digest(carried) != r.Digest {
		return d, false, broken(nil)
	}
	return carried, true, nil
}

// Carriable checks that what [Carry] makes of d can be read again. CodeTooLarge where d has more than 4 MiB of JSON; CodeInvalid
// where it holds a value that comes back as another one.
func Carriable[T Definition](d T) error {
	raw, err := json.Marshal(d)
	if err == nil && len(raw) > maxCarried {
		return Errorf(CodeTooLarge, "the definition of %q has %.1f MiB as JSON, and without a jobd the references that carry it can have at most %d MiB; make it smaller "+
			"(match minions by an expression and not by a list, give files by their address and not in arguments), or use a jobd", d.DefinitionName(), float64(len(raw))/(1<<20), maxCarried>>20)
	}
	var ref Ref
	if err == nil {
		ref, err = ParseRef(Carry(d))
	}
	if err == nil {
		_, _, err = Carried[T](ref)
	}
	if err != nil {
		return Wrap(err, CodeInvalid, "the definition of %q holds a value that references cannot carry as it is: without a jobd write it as a text", d.DefinitionName())
	}
	return nil
}

func unpack(packed []byte) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(r, maxCarried+1))
	if err == nil && len(raw) > maxCarried {
		err = Errorf(CodeTooLarge, "the definition is larger than 4 MiB")
	}
	return raw, err
}

// SameRef says whether two texts are references to the same version, whatever they carry.
func SameRef(a, b string) bool { return bare(a) == bare(b) }

// CarriesDefinition says whether a text is a reference with a payload: one that was made where no jobd is.
func CarriesDefinition(s string) bool {
	ref, err := ParseRef(s)
	return err == nil && ref.Payload != ""
}
