package acctest

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// holding is a run that has web1 under the test's lock until the gate is opened.
func (r *rig) holding(t *testing.T) (run string, watch *live) {
	t.Helper()
	args := r.asked(t, "say begin holder; await go; say end holder", "--lock", r.name, "--watch")
	args[6] = "web1"
	watch = r.background(t, args...)
	r.saidThat(t, "begin holder web1")
	return r.latest(t).ID, watch
}

// under is a run of a script on web1 and web2 with the test's lock.
func (r *rig) under(t *testing.T, flags ...string) []string {
	t.Helper()
	args := r.asked(t, "say told", append([]string{"--lock", r.name}, flags...)...)
	args[6] = "web*"
	return args
}

func TestAccARunWaitsForTheMinionsThatAnotherHasUnderItsLock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	holder, first := r.holding(t)
	second := r.background(t, r.under(t, "--watch")...)
	var run *gaea.Run
	eventually(t, "the second run is blocked", func() bool {
		run = r.latest(t)
		return run.ID != holder && run.Blocked != nil
	})
	if run.Status != gaea.RunQueued || len(run.Blocked.Runs) != 1 || run.Blocked.Runs[0] != holder || run.Blocked.Minions[0] != "web1" {
		t.Errorf("the run is %s, blocked by %+v", run.Status, run.Blocked)
	}
	wants(t, r.cli(t, 0, "show", run.ID), "queued", "waits for the lock "+r.name+", which "+holder+" has on web1", "under the lock "+r.name+" (wait)")
	r.said(t, "begin holder web1")

	second.prints(t, "waits for the lock")
	r.open(t, "go")
	first.ends(t, 0)
	wants(t, second.ends(t, 0), "waits no more for the lock", "2 succeeded")
	if got := r.journal(t); len(got) != 4 || got[1] != "end holder web1" {
		t.Errorf("the journal is %q", got)
	}
	if run = r.run(t, run.ID); run.Blocked != nil {
		t.Errorf("a run that has ended waits for %+v", run.Blocked)
	}
}

func TestAccARunSkipsTheMinionsThatAnotherHasUnderItsLock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	holder, first := r.holding(t)
	out := r.cli(t, 1, r.under(t, "--lock-policy", "skip", "--watch")...)
	wants(t, out, "1 succeeded web2", `1 skipped: not told: `+holder+` holds the minion under the lock "`+r.name+`" web1`,
		"jobd retry --outcome skipped "+r.runIn(t, out).ID)
	r.said(t, "begin holder web1", "told web2")
	r.open(t, "go")
	first.ends(t, 0)
}

func TestAccARunIsRefusedWhereAnotherHasAMinionUnderItsLock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	holder, first := r.holding(t)
	out := r.cli(t, 1, r.under(t, "--lock-policy", "refuse", "--watch")...)
	wants(t, out, "failed", "refused: one of its minions (web1) is busy under the lock", holder, "2 skipped")
	r.said(t, "begin holder web1")

	// A lock of another name has nothing to do with it.
	args := r.under(t, "--lock-policy", "refuse", "--watch")
	for i := range args {
		if args[i] == r.name {
			args[i] += "-other"
		}
	}
	wants(t, r.cli(t, 0, args...), "2 succeeded")
	r.open(t, "go")
	first.ends(t, 0)
}
