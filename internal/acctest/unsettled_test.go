package acctest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// unsettled is an SLS of states that say in every test run that they would change.
const unsettled = motd + `
bare:
  cmd.run:
    - name: echo hello

after bare:
  cmd.run:
    - name: echo after
    - onchanges:
      - cmd: bare

old module:
  module.run:
    - name: test.ping

new module:
  module.run:
    - test.echo:
      - hello
`

func TestAccStatesThatNeverSettleAreListedAndThePlanIsEmpty(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, unsettled)
	f := r.newTerraform(t, "apply", r.assignment("", "web1", "web2"))
	out := f.apply(t)
	labels := []string{"cmd.run after bare", "cmd.run bare", "module.run new module", "module.run old module"}
	wants(t, out, append([]string{"Warning: States of " + r.name + " never settle"}, labels...)...)
	if got := texts(f.attributes(t, it)["unsettled"]); !slices.Equal(got, labels) {
		t.Errorf("unsettled is %q", got)
	}
	for range 2 {
		wantsNot(t, f.plan(t, planEmpty), "Warning:")
		f.plan(t, planEmpty, "-refresh-only")
	}

	t.Run("AlsoAfterALaterCheckAndAnotherApply", func(t *testing.T) {
		r.check(t)
		f.plan(t, planEmpty)
		r.write(t, "web1", "motd", "tampered\n")
		r.check(t)
		out := f.plan(t, planChanges)
		wants(t, out, `"file.managed motd"`)
		wantsNot(t, out, `"cmd.run bare" =`, `"web2" =`)
		f.apply(t)
		f.plan(t, planEmpty)
	})
	t.Run("AChangeInAnotherWayIsDrift", func(t *testing.T) {
		r.sls(t, strings.ReplaceAll(unsettled, "echo hello", "echo goodbye"))
		r.check(t)
		out := f.plan(t, planChanges)
		wants(t, out, `"cmd.run bare"`, "echo goodbye", `"web1" =`, `"web2" =`)
		wantsNot(t, out, `"cmd.run after bare" =`, `"module.run old module" =`)
		f.apply(t)
		f.plan(t, planEmpty)
		if got := texts(f.attributes(t, it)["unsettled"]); !slices.Equal(got, labels) {
			t.Errorf("unsettled is %q", got)
		}
	})
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = fmt.Sprint(e)
	}
	return out
}
