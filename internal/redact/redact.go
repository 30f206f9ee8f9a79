// Package redact takes secrets out of what Salt sends before it is stored: pillar given to a function, the returns of the
// pillar module, and every value whose name says that it is one. It works on JSON and leaves everything else byte for byte.
package redact

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

var mark = json.RawMessage(`"` + Mark + `"`)

// Job redacts a job's arguments and metadata in place.
func Job(j *gaea.Job) {
	j.Args = Args(j.Args)
	j.Metadata = JSON(j.Metadata)
}

// Return redacts a return in place: arguments, metadata, body and the changes of its states. What the pillar module returns
// is pillar and goes whole, with the message that quotes it.
func Return(r *gaea.Return) {
	r.Args = Args(r.Args)
	r.Metadata = JSON(r.Metadata)
	if (strings.HasPrefix(r.Function, "pillar.") || strings.HasPrefix(r.Function, "runner.pillar.")) && len(r.Body) > 0 {
		r.Body = mark
		if r.Outcome == gaea.OutcomeFailed && r.Message != "" {
			r.Message = Mark
		}
		return
	}
	if tellsOfJobs(r) {
		r.Body = Args(r.Body)
	} else {
		r.Body = JSON(r.Body)
	}
	for i := range r.States {
		if strings.HasPrefix(r.Function, "runner.") {
			r.States[i].Changes = Args(r.States[i].Changes)
		} else {
			r.States[i].Changes = JSON(r.States[i].Changes)
		}
	}
}

// tellsOfJobs says whether a return holds the arguments of jobs: saltutil.find_job, saltutil.running and their like repeat them
// as they were published, runners (orchestrations above all) tell of the jobs that they started, and others pass that on.
func tellsOfJobs(r *gaea.Return) bool {
	return strings.HasPrefix(r.Function, "saltutil.") || strings.HasPrefix(r.Function, "runner.") || bytes.Contains(r.Body, []byte(`"__kwarg__"`))
}

// Event redacts the body of an event that is neither a job nor a return. Runners take arguments too, and tell them in events of
// several forms, so all of it is taken for arguments. What the pillar runner returns is pillar and goes whole.
func Event(e *gaea.Event) {
	e.Data = Args(e.Data)
	if bytes.Contains(e.Data, []byte(`"runner.pillar.`)) || bytes.Contains(e.Data, []byte(`"wheel.pillar_roots.`)) {
		e.Data = withoutReturn(e.Data)
	}
}

func withoutReturn(raw json.RawMessage) json.RawMessage {
	m := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &m); err != nil {
		return mark
	}
	if _, ok := m["return"]; !ok {
		return raw
	}
	m["return"] = mark
	b, err := json.Marshal(m)
	if err != nil {
		return mark
	}
	return b
}

// Call is what may be shown and stored of a function's arguments: Salt's argument list, the keyword arguments as its last
// item in the form that Salt uses on the wire, secrets redacted. Nil where there are no arguments.
func Call(args []any, kwargs map[string]any) json.RawMessage {
	list := append([]any(nil), args...)
	if len(kwargs) > 0 {
		m := make(map[string]any, len(kwargs)+1)
		maps.Copy(m, kwargs)
		m["__kwarg__"] = true
		list = append(list, m)
	}
	if len(list) == 0 {
		return nil
	}
	b, err := json.Marshal(list)
	if err != nil { // a value that JSON cannot hold cannot be published either; show nothing of it
		return mark
	}
	return Args(b)
}

// Args redacts an argument list: named secrets as [JSON] does, the pillar, and strings of the form "name=value", in which
// Salt's command line also takes keyword arguments.
func Args(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || (!named(raw) && !bytes.Contains(raw, []byte("pillar")) && !bytes.ContainsRune(raw, '=')) {
		return raw
	}
	return rewrite(raw, true)
}

// JSON redacts every value whose key names a secret, at any depth. JSON without such a key comes back as it is.
func JSON(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || !named(raw) {
		return raw
	}
	return rewrite(raw, false)
}

// named says whether some key in raw names a secret. It reads the bytes once and builds nothing: nearly no return has one.
func named(raw []byte) bool {
	for rest := raw; ; {
		i := bytes.Index(rest, []byte(`":`))
		if i < 0 {
			return false
		}
		if start := bytes.LastIndexByte(rest[:i], '"'); start >= 0 && Secret(string(rest[start+1:i])) {
			return true
		}
		rest = rest[i+2:]
	}
}

// rewrite copies JSON with marks in the place of secrets. It keeps one byte for each map and list that is open, and builds nothing:
// what a minion returns may hold millions of values.
func rewrite(raw json.RawMessage, args bool) json.RawMessage {
	if !json.Valid(raw) { // it cannot be searched, so nothing of it is kept
		return mark
	}
	w := rewriter{in: raw, out: make([]byte, 0, len(raw)+len(mark)), args: args}
	w.run()
	return w.out
}

func isPillar(key string) bool {
	return key == "pillar" || key == "pillar_override" || key == "pillar_enc"
}
