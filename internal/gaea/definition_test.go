package gaea_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The refs are in the states of users and in what jobd keeps: another digest of the same definition would plan every
// assignment anew.
func TestTheRefOfADefinitionIsTheSameInEveryVersionOfGaea(t *testing.T) {
	one, err := gaea.ParseAmount("1")
	if err != nil {
		t.Fatal(err)
	}
	job, err := gaea.ParseDuration("10m")
	if err != nil {
		t.Fatal(err)
	}
	for want, d := range map[string]gaea.Definition{
		"all@02937918d4fcde1d": gaea.TargetGroup{Name: "all", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}},
		"web@7452ba82a3b2de79": gaea.TargetGroup{Name: "web", Target: gaea.Target{Type: gaea.TargetCompound, Expr: "G@role:web"}},
		"one-by-one@bce6f6e740238adf": gaea.JobTemplate{
			Name: "one-by-one", Batch: gaea.Batch{Size: one}, Timeouts: gaea.Timeouts{Job: job},
		},
		"site@e9d4b72a55a2771a": gaea.Assignment{
			Name: "site", TargetGroup: "web@7452ba82a3b2de79", JobTemplate: "one-by-one@bce6f6e740238adf", States: []string{"site"},
			Pillar: json.RawMessage(`{"site":{"title":"Hello from Gaea"}}`), Remediate: true,
		},
	} {
		if got := gaea.RefOf(d); got != want {
			t.Errorf("the ref of %s is %s, and was %s", d.DefinitionName(), got, want)
		}
	}
}

func TestARefNamesOneVersionOrTheLatest(t *testing.T) {
	for text, want := range map[string]gaea.Ref{
		"web":                  {Name: "web"},
		"web@7452ba82a3b2de79": {Name: "web", Digest: "7452ba82a3b2de79"},
	} {
		got, err := gaea.ParseRef(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q reads as %+v (%v)", text, got, err)
		}
	}
	for _, text := range []string{"", "@", "web@", "web@123", "web@7452BA82A3B2DE79", "a b", "web@7452ba82a3b2de79@x", "-web", strings.Repeat("x", 129)} {
		if ref, err := gaea.ParseRef(text); gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("%q reads as %+v (%v)", text, ref, err)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add("web@7452ba82a3b2de79")
	f.Add("web")
	f.Fuzz(func(t *testing.T, text string) {
		if ref, err := gaea.ParseRef(text); err == nil && ref.String() != text {
			t.Errorf("%q reads as %q", text, ref)
		}
	})
}

func TestAWrongDefinitionNamesItsField(t *testing.T) {
	good := gaea.Assignment{Name: "a", TargetGroup: "web", States: []string{"nginx"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	change := func(f func(a *gaea.Assignment)) gaea.Assignment { a := good; f(&a); return a }
	for _, row := range []struct {
		field string
		d     gaea.Definition
	}{
		{"name", change(func(a *gaea.Assignment) { a.Name = "a b" })},
		{"target_group", change(func(a *gaea.Assignment) { a.TargetGroup = "" })},
		{"job_template", change(func(a *gaea.Assignment) { a.JobTemplate = "t@1" })},
		{"states", change(func(a *gaea.Assignment) { a.States = nil })},
		{"states", change(func(a *gaea.Assignment) { a.Highstate = true })},
		{"states", change(func(a *gaea.Assignment) { a.States = []string{"nginx.sls", "../x"} })},
		{"pillar", change(func(a *gaea.Assignment) { a.Pillar = json.RawMessage(`[1]`) })},
		{"pillar", change(func(a *gaea.Assignment) { a.Pillar = json.RawMessage(`null`) })},
		{"on_unreachable", change(func(a *gaea.Assignment) { a.OnUnreachable = "ignore" })},
		{"drift_check.mode", change(func(a *gaea.Assignment) { a.DriftCheck.Mode = "always" })},
		{"drift_check.detail", change(func(a *gaea.Assignment) { a.DriftCheck.Detail = "all" })},
		{"drift_check.interval", change(func(a *gaea.Assignment) { a.DriftCheck.Interval = gaea.MinCheckInterval - 1 })},
		{"drift_check.ignore", change(func(a *gaea.Assignment) { a.DriftCheck.Ignore = []string{"cmd.run"} })},
		{"name", gaea.JobTemplate{}},
		{"function", gaea.JobTemplate{Name: "t", Function: "ping"}},
		{"function", gaea.JobTemplate{Name: "t", Args: []any{"x"}}},
		{"name", gaea.TargetGroup{Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}},
		{"target.type", gaea.TargetGroup{Name: "g", Target: gaea.Target{Type: "regex", Expr: "*"}}},
		{"target.expr", gaea.TargetGroup{Name: "g", Target: gaea.Target{Type: gaea.TargetGlob, Expr: " "}}},
		{"target.expr", gaea.TargetGroup{Name: "g", Target: gaea.Target{Type: gaea.TargetList, Expr: "a", Minions: []string{"a"}}}},
		{"target.minions", gaea.TargetGroup{Name: "g", Target: gaea.ListTarget(nil)}},
		{"target.minions", gaea.TargetGroup{Name: "g", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*", Minions: []string{"a"}}}},
		{"minions", gaea.TargetGroup{Name: "g", Target: gaea.ListTarget([]string{"a", "b*"})}},
	} {
		err := row.d.Validate()
		e, ok := err.(*gaea.Error) //nolint:errorlint // it is returned as it is made
		if !ok || e.Code != gaea.CodeInvalid || e.Field != row.field {
			t.Errorf("%+v: got %v, want an error of %s", row.d, err, row.field)
		}
	}
}

func TestAnIgnoreRuleTakesOutTheStatesOfItsFunctionAndGlob(t *testing.T) {
	state := func(module, function, id string) *gaea.StateResult {
		return &gaea.StateResult{Module: module, Function: function, ID: id}
	}
	for _, row := range []struct {
		rule  string
		state *gaea.StateResult
		want  bool
	}{
		{"cmd.run:*", state("cmd", "run", "deploy"), true},
		{"cmd.run:*", state("cmd", "run", "/opt/deploy/now"), true}, // "*" also matches "/"
		{"cmd.run:*", state("cmd", "wait", "deploy"), false},
		{"file.*:/etc/motd*", state("file", "managed", "/etc/motd.d/10"), true},
		{"file.*:/etc/motd*", state("file", "managed", "/etc/issue"), false},
		{"file.managed:a:b", state("file", "managed", "a:b"), true},
		{"file.managed:[ab]?", state("file", "managed", "b1"), true},
		{"file.managed:[ab]?", state("file", "managed", "c1"), false},
	} {
		rule, err := gaea.ParseIgnoreRule(row.rule)
		if err != nil {
			t.Fatal(err)
		}
		if got := rule.Matches(row.state); got != row.want {
			t.Errorf("%s on %s.%s %s: %t", row.rule, row.state.Module, row.state.Function, row.state.ID, got)
		}
	}
	for _, rule := range []string{"", "cmd.run", "cmd:*", ".run:*", "cmd.:*", "cmd.run:", "cmd.run:[a"} {
		if _, err := gaea.ParseIgnoreRule(rule); gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(err.Error(), "drift_check.ignore") {
			t.Errorf("%q: %v", rule, err)
		}
	}
}
