package drift

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Fingerprinter tells which state runs say something about which assignments: a run is evidence for an assignment where
// both have the same key. A key is a keyed digest, so it gives nothing of the pillar away.
type Fingerprinter struct {
	digest func(parts ...[]byte) string
}

// NewFingerprinter takes the keyed digest to use. It must keep its parts apart and be the same for as long as keys are kept.
func NewFingerprinter(digest func(parts ...[]byte) string) *Fingerprinter {
	return &Fingerprinter{digest: digest}
}

// baseEnv is what minions take for named states where nobody says which environment.
const baseEnv = "base"

// parameters are the positional arguments of the state functions that can be evidence.
var parameters = map[string][]string{
	"state.apply":     {"mods"},
	"state.test":      {"mods"},
	"state.sls":       {"mods", "test", "exclude", "queue", "sync_mods", "state_events"},
	"state.highstate": {"test", "queue", "state_events"},
}

// neutral are the keyword arguments that change neither what is applied nor what comes back for states that differ.
var neutral = []string{
	"test", "queue", "concurrent", "state_events", "sync_mods", "terse", "metadata", "retcode_passthrough", "orchestration_jid",
	"env", // Salt itself throws it away
	"ret", "ret_config", "ret_kwargs",
}

// Job returns the key of a job's states and whether the job is a test run. The key is empty where the job cannot be
// evidence: no state run, or one with arguments that change what is applied (exclude, pillarenv, and all that are not
// known). The arguments are as Salt sends them on the bus.
func (f *Fingerprinter) Job(fun string, args json.RawMessage) (key string, test bool) {
	if !strings.HasPrefix(fun, "state.") {
		return "", false
	}
	a, sure := parseArguments(args)
	names, known := parameters[fun]
	if !known {
		return "", testMode(a.keyword)
	}
	kwargs, ok := a.bind(names...)
	if !ok {
		return "", testMode(a.keyword)
	}
	test = fun == "state.test" || testMode(kwargs)
	if !sure {
		return "", test
	}
	w, ok := whatOf(fun, kwargs)
	if !ok {
		return "", test
	}
	return f.key(w), test
}

// Assignment returns the key of the runs that are evidence for an assignment with its secret pillar (nil for none). It is
// empty where the pillar is no JSON object, which [gaea.Assignment.Validate] refuses before.
func (f *Fingerprinter) Assignment(a gaea.Assignment, secret json.RawMessage) string {
	pillar, err := Pillar(a.Pillar, secret)
	if err != nil {
		return ""
	}
	w := what{highstate: a.Highstate, saltenv: a.SaltEnv, pillar: pillar}
	if !a.Highstate {
		w.mods = a.States
		if w.saltenv == "" {
			w.saltenv = baseEnv
		}
	}
	return f.key(w)
}

// Revision is one digest of all that an assignment is: its own version, the versions of its group and template in effect
// ("" for none) and its secret pillar.
func (f *Fingerprinter) Revision(assignment, group, template string, secret json.RawMessage) string {
	v, err := decode(secret)
	if err != nil {
		v = string(secret)
	}
	return f.digest([]byte("revision"), []byte(assignment), []byte(group), []byte(template), canonical(v))
}

// what is what a state run applies.
type what struct {
	highstate bool
	mods      []string
	saltenv   string
	pillar    map[string]any
}

func (f *Fingerprinter) key(w what) string {
	kind := "sls"
	if w.highstate {
		kind = "highstate"
	}
	mods := make([]any, len(w.mods))
	for i, m := range w.mods {
		mods[i] = m
	}
	pillar := w.pillar
	if pillar == nil {
		pillar = map[string]any{}
	}
	return f.digest([]byte("states"), []byte(kind), canonical(mods), []byte(w.saltenv), canonical(pillar))
}

// whatOf reads what a call of one of the functions in [parameters] applies; false where that cannot be told.
func whatOf(fun string, kwargs map[string]any) (what, bool) {
	var w what
	if !known(kwargs) {
		return w, false
	}
	var ok bool
	if w.mods, ok = modsOf(kwargs["mods"]); !ok {
		return w, false
	}
	w.highstate = len(w.mods) == 0
	switch fun {
	case "state.sls":
		if w.highstate {
			return w, false
		}
	case "state.highstate":
		if _, given := kwargs["mods"]; given {
			return w, false
		}
	}
	if w.saltenv, ok = scalarText(kwargs["saltenv"]); !ok {
		return w, false
	}
	if _, given := kwargs["saltenv"].(string); given && w.saltenv == "" {
		return w, false
	}
	if w.saltenv == "" && !w.highstate {
		w.saltenv = baseEnv
	}
	switch pillar := kwargs["pillar"].(type) {
	case nil:
	case map[string]any:
		w.pillar = pillar
	default:
		return w, false
	}
	return w, true
}

// known says whether a call has no arguments but those that are read, those that are neutral and those that say nothing.
func known(kwargs map[string]any) bool {
	for name, v := range kwargs {
		switch {
		case name == "mods" || name == "saltenv" || name == "pillar":
		case strings.HasPrefix(name, "__") || slices.Contains(neutral, name) || strings.EqualFold(name, "test"):
		case !empty(v):
			return false
		}
	}
	return true
}

// modsOf reads a list of SLS names as salt.utils.args.split_input does: a text is cut at its commas, a list is taken as it is.
func modsOf(v any) ([]string, bool) {
	if empty(v) {
		return nil, true
	}
	list, ok := v.([]any)
	if !ok {
		text, ok := scalarText(v)
		if !ok {
			return nil, false
		}
		mods := strings.Split(text, ",")
		for i := range mods {
			mods[i] = strings.TrimSpace(mods[i])
		}
		return mods, true
	}
	mods := make([]string, 0, len(list))
	for _, e := range list {
		text, ok := scalarText(e)
		if !ok || text == "" {
			return nil, false
		}
		mods = append(mods, text)
	}
	return mods, true
}

// scalarText is v as Salt makes a text of it: a text, or a whole number. Null is the empty text.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		_, err := v.Int64()
		return v.String(), err == nil
	default:
		return "", false
	}
}
