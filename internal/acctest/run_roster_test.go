package acctest

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Both runs begin while every minion was heard a moment ago, so that they are not asked whether they are there.
func TestRunsInSlicesFollowTheMastersKeys(t *testing.T) {
	r := newRig(t)
	inSlices := func() *gaea.Run {
		return r.runIn(t, r.cli(t, 0, "run", "test.ping", "--target", "*", "--batch", "1", "--watch"))
	}
	all := len(inSlices().Minions)
	r.stopMinion(t, "db1")
	if out, err := r.lab.SaltKey(t.Context(), "-d", "db1", "-y"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if run := inSlices(); len(run.Minions) != all-1 || run.Counts[gaea.OutcomeSucceeded] != all-1 {
		t.Errorf("without db1's key %d of %d minions are in the run: %v", len(run.Minions), all, run.Counts)
	}
	r.startMinion(t, "db1") // the master takes its key again
	if run := inSlices(); run.Minions["db1"].Outcome != gaea.OutcomeSucceeded || len(run.Minions) != all {
		t.Errorf("with db1's key: %v", run.Counts)
	}
}
