package acctest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAccAPlanLooksForDriftAsDriftCheckSays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, motd)
	assign := func(name, check string) string {
		return fmt.Sprintf(`
resource "gaea_state_assignment" %[1]q {
  name         = "%[2]s-%[1]s"
  target_group = gaea_target_group.it.ref
  states       = [%[3]q]
  drift_check  = { %[4]s }
}
`, name, r.name, sls, check)
	}
	f := r.newTerraform(t, "apply", r.group("web1")+
		assign("off", `mode = "off"`)+assign("names", `detail = "names"`)+assign("ignoring", `ignore = ["file.*:mo*"]`)+assign("archive", `max_age = "2h"`))
	f.apply(t)
	r.write(t, "web1", "motd", "tampered\n")

	t.Run("ModeArchiveDoesNotAskWhileItsEvidenceIsFresh", func(t *testing.T) { f.plan(t, planEmpty) })
	// The four are the same states with the same pillar: what is seen for one is seen for all.
	r.checkNamed(t, r.name+"-archive")
	out := f.plan(t, planChanges)
	t.Run("ModeArchiveShowsWhatWasSeen", func(t *testing.T) {
		wants(t, out, "# gaea_state_assignment.archive will be updated in-place", "-tampered", "Plan: 0 to add, 2 to change")
	})
	t.Run("ModeOffLooksAtNothing", func(t *testing.T) { wantsNot(t, out, "gaea_state_assignment.off will be") })
	t.Run("DetailNamesKeepsTheTextToItself", func(t *testing.T) {
		wants(t, out, "# gaea_state_assignment.names will be updated in-place", `- "file.managed motd" = "differs"`)
	})
	t.Run("IgnoredStatesAreNoDrift", func(t *testing.T) { wantsNot(t, out, "gaea_state_assignment.ignoring will be") })
}

func TestAccModeLiveAsksTheMinionsForEveryPlan(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment(`drift_check = { mode = "live" }`, "web2"))
	f.apply(t)
	f.plan(t, planEmpty)
	before := len(r.runs(t, gaea.RunCheck))
	r.write(t, "web2", "motd", "tampered\n")
	wants(t, f.plan(t, planChanges), "-tampered", "+hello from gaea")
	r.write(t, "web2", "motd", "hello from gaea\n")
	f.plan(t, planEmpty)
	if now := len(r.runs(t, gaea.RunCheck)); now != before+2 {
		t.Errorf("two plans made %d test runs", now-before)
	}
}

func TestAccEvidenceThatIsTooOldIsRenewedByThePlan(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment(`drift_check = { max_age = "3s" }`, "db1"))
	f.apply(t)
	r.write(t, "db1", "motd", "tampered\n")
	eventually(t, "the evidence is older than max_age", func() bool { return time.Since(r.drift(t).Oldest) > 3*time.Second })
	wants(t, f.plan(t, planChanges), "-tampered", "+hello from gaea")
}

func TestAccHoweverManyAskOneTestRunIsMade(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, motd)
	g, err := r.client.PutTargetGroup(t.Context(), gaea.TargetGroup{Name: r.name, Target: gaea.ListTarget([]string{"web1", "web2"})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.PutAssignment(t.Context(), gaea.AssignmentInput{
		Assignment: gaea.Assignment{Name: r.name, TargetGroup: g.Ref, States: []string{sls}},
	}); err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			report, err := r.client.Check(t.Context(), r.name, gaea.CheckRequest{MaxAge: gaea.DefaultMaxAge})
			if err != nil || report.Summary.Drifted != 2 {
				t.Errorf("the report is %+v (%v)", report, err)
			}
		})
	}
	asking.Wait()
	if runs := r.runs(t, gaea.RunCheck); len(runs) != 1 {
		t.Errorf("eight questions made %d test runs", len(runs))
	}
}

func TestAccAnIntervalHasJobdLookByItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment(`drift_check = { interval = "10s" }`, "db1"))
	f.apply(t)
	r.write(t, "db1", "motd", "tampered\n")
	eventually(t, "jobd has seen the change by itself", func() bool { return r.drift(t).Summary.Drifted == 1 })
	wants(t, f.plan(t, planChanges), "-tampered", "+hello from gaea")
	f.must(t, 0, "destroy", "-auto-approve") // and with it the interval
}
