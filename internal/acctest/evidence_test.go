package acctest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAccARunOfTheSaltCommandIsEvidenceWhereItIsTheSameStatesPillarAndEnvironment(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, strings.ReplaceAll(motd, "hello from gaea", "{{ pillar.get('motd', 'nothing') }}"))
	other := r.slsNamed(t, sls+"_other", "nothing:\n  test.nop: []\n")
	r.slsIn(t, shared.other, sls, motd)
	f := r.newTerraform(t, "apply", r.assignment(`pillar = jsonencode({ motd = "hello" })`, "db1"))
	f.apply(t)
	checks := len(r.runs(t, gaea.RunCheck))
	same := []string{sls, `pillar={"motd": "hello"}`, "queue=True"}

	r.write(t, "db1", "motd", "tampered\n")
	t.Run("AnotherPillarIsNone", func(t *testing.T) {
		r.salt(t, "db1", "state.apply", sls, `pillar={"motd": "hullo"}`, "queue=True", "test=True")
		f.plan(t, planEmpty)
	})
	t.Run("NoPillarIsNone", func(t *testing.T) {
		r.salt(t, "db1", "state.apply", sls, "queue=True", "test=True")
		f.plan(t, planEmpty)
	})
	t.Run("MoreStatesAreNone", func(t *testing.T) {
		r.salt(t, "db1", "state.apply", sls+","+other, `pillar={"motd": "hello"}`, "queue=True", "test=True")
		f.plan(t, planEmpty)
	})
	t.Run("AnotherEnvironmentIsNone", func(t *testing.T) {
		r.salt(t, "db1", "state.apply", append(same, "test=True", "saltenv=other")...)
		f.plan(t, planEmpty)
	})
	t.Run("ATestRunOfTheSameShowsDrift", func(t *testing.T) {
		r.salt(t, "db1", "state.sls", append(same, "test=True", "saltenv=base")...)
		wants(t, f.plan(t, planChanges), "-tampered", "+hello")
	})
	t.Run("ARealRunOfTheSameShowsTheRepair", func(t *testing.T) {
		r.salt(t, "db1", "state.apply", same...)
		if got := r.content(t, "db1", "motd"); got != "hello\n" {
			t.Fatalf("db1 has %q", got)
		}
		f.plan(t, planEmpty)
	})
	if now := len(r.runs(t, gaea.RunCheck)); now != checks {
		t.Errorf("%d test runs were made for these plans", now-checks)
	}
}

func TestAccAnAssignmentTakesItsStatesFromItsOwnEnvironment(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, motd)
	r.slsIn(t, shared.other, sls, strings.ReplaceAll(motd, "gaea", "elsewhere"))
	f := r.newTerraform(t, "apply", r.assignment(`saltenv = "other"`, "db1"))
	f.apply(t)
	if got := r.content(t, "db1", "motd"); got != "hello from elsewhere\n" {
		t.Errorf("db1 has %q", got)
	}
	f.plan(t, planEmpty)
	r.salt(t, "db1", "state.apply", sls, "queue=True") // of base: changes the file, and says nothing of it
	f.plan(t, planEmpty)
	r.salt(t, "db1", "state.apply", sls, "queue=True", "test=True", "saltenv=other")
	wants(t, f.plan(t, planChanges), "-hello from gaea", "+hello from elsewhere")
}

func TestAccAHighstateIsEvidenceForAHighstate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, motd)
	r.slsNamed(t, "top", fmt.Sprintf("base:\n  db1:\n    - %s\n", sls))
	f := r.newTerraform(t, "apply", r.assignment("highstate = true", "db1"))
	f.apply(t)
	if got := r.content(t, "db1", "motd"); got != "hello from gaea\n" {
		t.Errorf("db1 has %q", got)
	}
	f.plan(t, planEmpty)
}
