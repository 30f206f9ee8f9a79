package gaea_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func carriedGroup() gaea.TargetGroup {
	return gaea.TargetGroup{Name: "web", Description: "<web> & more", Target: gaea.Target{Type: gaea.TargetCompound, Expr: "G@role:web and not E@canary.*"}}
}

func carriedTemplate() gaea.JobTemplate {
	return gaea.JobTemplate{
		Name: "rolling", Function: "test.arg", Args: []any{1.5, "a", map[string]any{"b": true}},
		PreActions: []gaea.JobAction{{Name: "drain", Function: "cmd.run", Args: []any{"lb-drain " + strings.Repeat("x", 500)}, TargetGroup: gaea.Carry(carriedGroup())}},
	}
}

func TestAReferenceCarriesItsDefinitionAndHasTheDigestThatAJobdGivesIt(t *testing.T) {
	group := carriedGroup()
	ref := parse(t, gaea.Carry(group))
	if got, ok, err := gaea.Carried[gaea.TargetGroup](ref); err != nil || !ok || !reflect.DeepEqual(got, group) {
		t.Errorf("carried %+v %v %v", got, ok, err)
	}
	if ref.Bare().String() != gaea.RefOf(group) {
		t.Errorf("the version is %s, not %s", ref.Bare(), gaea.RefOf(group))
	}
	template := carriedTemplate()
	ref = parse(t, gaea.Carry(template))
	if got, ok, err := gaea.Carried[gaea.JobTemplate](ref); err != nil || !ok || !reflect.DeepEqual(got, template) {
		t.Errorf("carried %+v %v %v", got, ok, err)
	}
	raw, err := json.Marshal(template)
	if err != nil || len(ref.Payload) > len(raw) {
		t.Errorf("the payload has %d bytes for %d of JSON (%v)", len(ref.Payload), len(raw), err)
	}
	if got, ok, err := gaea.Carried[gaea.TargetGroup](parse(t, gaea.RefOf(group))); ok || err != nil {
		t.Errorf("a reference without a payload carries %+v (%v)", got, err)
	}
}

func TestWhatReferencesCarryDoesNotChangeTheDigestOfWhatHoldsThem(t *testing.T) {
	with := carriedTemplate()
	without := with.Pinned()
	if without.PreActions[0].TargetGroup != gaea.RefOf(carriedGroup()) || !gaea.CarriesDefinition(with.PreActions[0].TargetGroup) {
		t.Errorf("%q became %q", with.PreActions[0].TargetGroup, without.PreActions[0].TargetGroup)
	}
	if gaea.Digest(with) != gaea.Digest(without) {
		t.Error("the template's digest depends on what its actions' references carry")
	}
	direct := gaea.Assignment{Name: "a", TargetGroup: gaea.Carry(carriedGroup()), JobTemplate: gaea.Carry(with), States: []string{"a"}}
	jobd := gaea.Assignment{Name: "a", TargetGroup: gaea.RefOf(carriedGroup()), JobTemplate: gaea.RefOf(without), States: []string{"a"}}
	if gaea.RefOf(direct) != gaea.RefOf(jobd) || !gaea.SameRef(direct.JobTemplate, jobd.JobTemplate) {
		t.Error("the assignment is another version with a jobd than without")
	}
}

func TestAReferenceThatIsDamagedSaysSo(t *testing.T) {
	good := gaea.Carry(carriedGroup())
	other := carriedGroup()
	other.Target.Expr = "*"
	payload := func(s string) string { return s[strings.Index(s, ":"):] }
	for name, text := range map[string]string{
		"another definition": gaea.RefOf(carriedGroup()) + payload(gaea.Carry(other)),
		"another name":       strings.Replace(good, "web@", "db@", 1),
		"cut":                good[:len(good)-7],
		"no base64":          gaea.RefOf(carriedGroup()) + ":A",
		"no JSON":            gaea.RefOf(carriedGroup()) + ":e3t7",
	} {
		got, ok, err := gaea.Carried[gaea.TargetGroup](parse(t, text))
		if ok || gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(gaea.MessageOf(err), "is damaged") {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

func parse(t *testing.T, s string) gaea.Ref {
	t.Helper()
	ref, err := gaea.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	if ref.String() != s {
		t.Errorf("%q is written as %q", s, ref)
	}
	return ref
}

func FuzzCarried(f *testing.F) {
	f.Add(gaea.Carry(carriedGroup()))
	f.Add(gaea.Carry(carriedTemplate()))
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := gaea.ParseRef(s)
		if err != nil {
			return
		}
		if d, ok, err := gaea.Carried[gaea.TargetGroup](ref); ok && (err != nil || gaea.RefOf(d) != ref.Bare().String()) {
			t.Errorf("%q carries %+v (%v)", s, d, err)
		}
	})
}
