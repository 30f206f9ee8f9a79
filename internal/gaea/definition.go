package gaea

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Kind tells the three definitions apart.
type Kind string

// The kinds of definition. They stand in API paths with "s" appended and "_" as "-".
const (
	KindTargetGroup Kind = "target_group"
	KindJobTemplate Kind = "job_template"
	KindAssignment  Kind = "assignment"
)

// Definition is what a user writes down under a name: a [TargetGroup], a [JobTemplate] or an [Assignment].
type Definition interface {
	DefinitionKind() Kind
	DefinitionName() string
	// Validate names the first field that is wrong, or returns nil.
	Validate() error
}

// Version is one definition as it stood from one moment on. jobd keeps every version, also after the definition is deleted.
type Version[T Definition] struct {
	Definition T         `json:"definition"`
	Ref        string    `json:"ref" doc:"NAME@DIGEST: this version, for ever"`
	Number     int       `json:"number" doc:"1 for the first version of the name, then up"`
	Owner      string    `json:"owner" doc:"who created the definition"`
	Author     string    `json:"author" doc:"who wrote this version"`
	Created    time.Time `json:"created" doc:"when this version was written"`
	Deleted    bool      `json:"deleted,omitempty" doc:"the definition was deleted at this point"`
}

// Digest is 16 hex digits of the SHA-256 of a definition's canonical JSON: its fields in the order of the Go type, map keys
// sorted, what is not set left out, and of the references in it NAME@DIGEST alone. Equal definitions have equal digests in
// every version of Gaea, with a jobd and without.
func Digest(d Definition) string {
	b, err := json.Marshal(Pinned(d))
	if err != nil { // only a value that JSON cannot hold, which Validate refuses before
		b = fmt.Appendf(nil, "%#v", d)
	}
	sum := sha256.Sum256(append([]byte(d.DefinitionKind()+"\n"), b...))
	return hex.EncodeToString(sum[:8])
}

// RefOf is the reference NAME@DIGEST of a definition: known before it is stored, so a plan can show it.
func RefOf(d Definition) string { return d.DefinitionName() + "@" + Digest(d) }

// Ref points at a definition: at one version of it, or with an empty Digest at the latest.
type Ref struct {
	Name   string
	Digest string
	// Payload is that version itself, written as text: where no jobd keeps definitions, a reference carries what it points at.
	// See [Carry] and [Carried].
	Payload string
}

var (
	digestPattern  = regexp.MustCompile(`^[0-9a-f]{16}$`)
	payloadPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

// ParseRef reads "NAME@DIGEST", "NAME@DIGEST:PAYLOAD", or "NAME" for the latest version. What a payload holds is not looked at.
func ParseRef(s string) (Ref, error) {
	name, digest, pinned := strings.Cut(s, "@")
	if err := ValidateName(name); err != nil {
		return Ref{}, err
	}
	digest, payload, carried := strings.Cut(digest, ":")
	if (pinned && !digestPattern.MatchString(digest)) || (carried && !payloadPattern.MatchString(payload)) {
		return Ref{}, Errorf(CodeInvalid, "%q is not a reference; write NAME for the latest version or NAME@DIGEST (16 hex digits) for one", shorten(s))
	}
	return Ref{Name: name, Digest: digest, Payload: payload}, nil
}

// String writes the reference as [ParseRef] reads it.
func (r Ref) String() string {
	switch {
	case r.Digest == "":
		return r.Name
	case r.Payload == "":
		return r.Name + "@" + r.Digest
	default:
		return r.Name + "@" + r.Digest + ":" + r.Payload
	}
}

// Bare is the reference without a payload: what people read, and what equal references have in common.
func (r Ref) Bare() Ref { return Ref{Name: r.Name, Digest: r.Digest} }

// bare is the text of a reference without its payload. Anything else comes back as it is.
func bare(s string) string {
	if ref, err := ParseRef(s); err == nil {
		return ref.Bare().String()
	}
	return s
}

// shorten cuts a text that an error quotes.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// ValidateName checks the name of a definition: 1 to 128 letters, digits, dots, dashes and underscores, a letter or digit first.
func ValidateName(name string) error {
	if !namePattern.MatchString(name) {
		return Invalid("name", "%q is not a name; use 1 to 128 letters, digits, \".\", \"-\" or \"_\", a letter or digit first, for example \"web-servers\"", name)
	}
	return nil
}
