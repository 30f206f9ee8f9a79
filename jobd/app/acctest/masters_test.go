package acctest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// takeOver is how long a machine under load may take for what should take 15 s.
const takeOver = time.Minute

// One life of two masters with three jobds: two beside eu, one beside us.
func TestAccThreeJobdsServeTwoMastersFromOnePostgreSQL(t *testing.T) {
	w := newWorld(t)
	eu1, eu2, us := w.start("eu"), w.start("eu"), w.start("us")
	w.eventually("both masters are led", takeOver, func() bool { return us.leader("eu") == eu1.address() && us.leader("us") == us.address() })
	if out := eu2.command("masters", "-o", "tsv"); strings.Count(out, "\tleads\t") != 2 || strings.Count(out, "\tstands_by\t") != 1 {
		t.Errorf("the masters are\n%s", out)
	}
	defineMotd(w, us)

	t.Run("AnyJobdTakesACallAndTheMastersOwnDoesTheWork", func(t *testing.T) { anyJobd(w, []*jobd{eu1, eu2, us}) })
	t.Run("ARunIsControlledThroughAnyJobd", func(t *testing.T) { controlled(w, eu2, us) })
	t.Run("AnotherMasterIsCheckedAndVerifiedThroughAnyJobd", func(t *testing.T) { elsewhere(w, us, eu2) })
	t.Run("AnotherMasterIsRepairedThroughAnyJobd", func(t *testing.T) { repaired(w, us, eu2) })
	t.Run("ARunForAMasterWhoseOnlyJobdIsDeadWaitsForTheNext", func(t *testing.T) {
		us.process.Kill()
		w.eventually("its death is seen", takeOver, func() bool { return eu2.leader("us") == "" })
		run, err := eu2.CreateRun(t.Context(), gaea.RunRequest{Master: "us", Function: "test.ping", Target: gaea.ListTarget([]string{"db1"})}, "")
		w.ok(err)
		if run.TakeBy.IsZero() {
			t.Error("it does not say by when it is to be taken up")
		}
		w.ok(us.process.Launch(t.Context()))
		w.ok(us.process.Ready(t.Context()))
		if got := eu2.ended(run.ID); got.Status != gaea.RunSucceeded {
			t.Errorf("it ended as %s: %s", got.Status, got.Message)
		}
	})
	t.Run("AKilledLeaderIsReplacedWhileItsRunsGoOn", func(t *testing.T) {
		run := eu1.shell("", mark("killed", "sleep 8"), "web1", "web2")
		w.eventually("the run is published", takeOver, func() bool { return lines(w.eu, "web1", "killed") == 1 && lines(w.eu, "web2", "killed") == 1 })
		eu1.process.Kill()
		gap := eu2.shell("", mark("gap", "true"), "web1") // accepted while nobody leads
		t.Logf("taken over %s after kill -9", w.eventually("the other leads", takeOver, func() bool { return us.leader("eu") == eu2.address() }))
		once(w, us, run.ID, "killed", "web1", "web2")
		once(w, us, gap.ID, "gap", "web1")
		w.ok(eu1.process.Launch(t.Context()))
		w.ok(eu1.process.Ready(t.Context()))
	})
	t.Run("AFrozenLeaderThatComesBackPublishesNothing", func(t *testing.T) {
		// Slices that follow each other, so that there is always something to be published.
		run, err := eu2.CreateRun(t.Context(), gaea.RunRequest{
			Function: "cmd.run", Args: []any{mark("frozen", "sleep 2")}, Kwargs: shell(),
			Target: gaea.Target{Type: gaea.TargetGlob, Expr: "web*"}, Batch: gaea.Batch{Size: amount(t, "1"), Wait: gaea.Duration(time.Second)},
		}, "")
		w.ok(err)
		w.eventually("the first slice is published", takeOver, func() bool { return lines(w.eu, "web1", "frozen") == 1 })
		eu2.signal(syscall.SIGSTOP)
		t.Logf("taken over %s after SIGSTOP", w.eventually("the other leads", takeOver, func() bool { return us.leader("eu") == eu1.address() }))
		eu2.signal(syscall.SIGCONT)
		once(w, us, run.ID, "frozen", "web1", "web2")
		w.eventually("the one before knows", takeOver, func() bool {
			status, err := eu2.Status(t.Context())
			return err == nil && !status.Leads
		})
		if next := eu2.shell("", mark("after", "true"), "web2"); next.Master != "eu" {
			t.Errorf("a run through it is one of %q", next.Master)
		} else {
			once(w, eu2, next.ID, "after", "web2")
		}
	})
	t.Run("AStoppedLeaderHandsOverAtOnce", func(t *testing.T) {
		w.ok(eu1.process.Stop())
		t.Logf("handed over %s after SIGTERM", w.eventually("the other leads", takeOver, func() bool { return us.leader("eu") == eu2.address() }))
	})
	t.Run("SchedulesFireOnceForEachMasterAlsoWhereTheirOwnerIsKilled", func(t *testing.T) {
		w.ok(eu1.process.Launch(t.Context()))
		w.ok(eu1.process.Ready(t.Context()))
		before := len(checksOf(w, us, "eu"))
		w.eventually("the clock fires", time.Minute, func() bool { return len(checksOf(w, us, "eu")) > before })
		eu2.process.Kill()
		after := len(checksOf(w, us, "eu"))
		w.eventually("the other leads", takeOver, func() bool { return us.leader("eu") == eu1.address() })
		w.eventually("it fires there", time.Minute, func() bool { return len(checksOf(w, us, "eu")) > after+1 })
		firedOnce(w, us)
	})
	eu1.verified()
	us.verified()
}

func amount(t *testing.T, text string) gaea.Amount {
	t.Helper()
	a, err := gaea.ParseAmount(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// mark is a command that writes a line into a file of the minion, and then does something.
func mark(file, then string) string { return "echo $$ >> {{ grains.lab_root }}/" + file + "; " + then }

// shell says how cmd.run reads a command of mark.
func shell() map[string]any { return map[string]any{"python_shell": true, "template": "jinja"} }

// once fails the test unless a run succeeds, and each minion has done it once.
func once(w *world, through *jobd, id, file string, minions ...string) {
	w.t.Helper()
	run := through.ended(id)
	if run.Status != gaea.RunSucceeded || len(run.Minions) != len(minions) {
		w.t.Errorf("the run %s ended as %s: %s", file, run.Status, run.Message)
	}
	for _, m := range minions {
		if n := lines(w.eu, m, file); n != 1 {
			w.t.Errorf("%s did %s %d times", m, file, n)
		}
	}
}

// anyJobd has runs made through each jobd for each master, and looks at what is archived of them.
func anyJobd(w *world, through []*jobd) {
	for _, j := range through {
		for master, minions := range map[string][]string{"eu": {"web1", "web2"}, "us": {"db1"}} {
			run, err := j.CreateRun(w.t.Context(), gaea.RunRequest{Master: master, Function: "test.ping", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}, "")
			w.ok(err)
			got := j.ended(run.ID)
			if got.Status != gaea.RunSucceeded || got.Master != master || len(got.Minions) != len(minions) {
				w.t.Errorf("a run of %s through %s ended as %s (%s) on %d minions", master, j.address(), got.Status, got.Message, len(got.Minions))
			}
			page, err := j.Returns(w.t.Context(), gaea.JobFilter{RunID: run.ID}, gaea.PageRequest{})
			w.ok(err)
			var stored []string
			for _, r := range page.Items {
				if r.Master != master {
					w.t.Errorf("a return of %s is stored as one of %s", master, r.Master)
				}
				stored = append(stored, r.Minion)
			}
			if slices.Sort(stored); !slices.Equal(stored, minions) {
				w.t.Errorf("of a run of %s the returns of %q are stored", master, stored)
			}
		}
	}
	_, err := through[0].CreateRun(w.t.Context(), gaea.RunRequest{Master: "mars", Function: "test.ping", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}, "")
	if gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(gaea.MessageOf(err), "jobd masters") {
		w.t.Errorf("a master that there is not: %v", err)
	}
}

// controlled pauses, resumes and cancels a run of eu through jobds that do not lead it.
func controlled(w *world, standing, other *jobd) {
	ctx := w.t.Context()
	run, err := other.CreateRun(ctx, gaea.RunRequest{
		Master: "eu", Function: "cmd.run", Args: []any{"sleep 300"}, Target: gaea.Target{Type: gaea.TargetGlob, Expr: "web*"}, Batch: gaea.Batch{Size: amount(w.t, "1")},
	}, "")
	w.ok(err)
	w.eventually("the run goes on", takeOver, func() bool {
		now, err := other.GetRun(ctx, run.ID)
		return err == nil && now.Status == gaea.RunRunning
	})
	if paused, err := standing.PauseRun(ctx, run.ID); err != nil || paused.Pause == nil {
		w.t.Errorf("it is not paused: %v", err)
	}
	if resumed, err := other.ResumeRun(ctx, run.ID); err != nil || resumed.Pause != nil {
		w.t.Errorf("it is not resumed: %v", err)
	}
	if _, err := other.ResumeRun(ctx, run.ID); gaea.CodeOf(err) != gaea.CodeConflict || !strings.Contains(gaea.MessageOf(err), "not paused") {
		w.t.Errorf("it is resumed twice: %v", err)
	}
	began := time.Now()
	if _, err := other.CancelRun(ctx, run.ID, gaea.CancelRequest{}); err != nil {
		w.t.Errorf("it is not cancelled: %v", err)
	}
	w.t.Logf("a cancel through another master's jobd took %s", time.Since(began))
	if got := standing.ended(run.ID); got.Status != gaea.RunCancelled || !strings.Contains(got.Message, "admin") {
		w.t.Errorf("it ended as %s: %s", got.Status, got.Message)
	}
}

// defineMotd defines an assignment that is checked as often as may be.
func defineMotd(w *world, j *jobd) {
	ctx := w.t.Context()
	_, err := j.PutTargetGroup(ctx, gaea.TargetGroup{Name: "all", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}})
	w.ok(err)
	in := gaea.AssignmentInput{Assignment: gaea.Assignment{Name: "motd", TargetGroup: "all", States: []string{"motd"}, DriftCheck: gaea.DriftCheck{Interval: gaea.MinCheckInterval}}}
	_, err = j.PutAssignment(ctx, in)
	w.ok(err)
}

// checksOf are the checks of a master that were made by the clock, newest first.
func checksOf(w *world, j *jobd, master string) []gaea.Run {
	w.t.Helper()
	page, err := j.ListRuns(w.t.Context(), gaea.RunFilter{Master: master, Kind: gaea.RunCheck, Assignment: "motd", User: "jobd"}, gaea.PageRequest{Limit: 1000})
	w.ok(err)
	return page.Items
}

// elsewhere has eu's assignment checked through the jobd of us, and the job cache of us compared through one of eu.
func elsewhere(w *world, us, eu *jobd) {
	w.t.Helper()
	report, err := us.Check(w.t.Context(), "motd", gaea.CheckRequest{Master: "eu"})
	w.ok(err)
	if got := slices.Sorted(maps.Keys(report.Minions)); !slices.Equal(got, []string{"web1", "web2"}) {
		w.t.Errorf("the check of eu is of %q", got)
	}
	if run, err := us.GetRun(w.t.Context(), report.CheckRun); err != nil || run.Master != "eu" { // it may have joined one by the clock
		w.t.Errorf("its run is %+v (%v)", run, err)
	}
	if drift, err := us.DriftOf(w.t.Context(), "eu", "motd"); err != nil || drift.Summary.Minions != 2 {
		w.t.Errorf("the drift of eu is %+v (%v)", drift, err)
	}
	eu.verified("--master", "us")
}

// repaired has an assignment made true on eu's minions through the jobd of us and through the one of eu that stands by, and the minion that
// drifts after that repaired alone. Nothing of it happens on the minion of us, which the assignment is for, too.
func repaired(w *world, us, standing *jobd) {
	ctx := w.t.Context()
	put, err := us.PutAssignment(ctx, gaea.AssignmentInput{Assignment: gaea.Assignment{Name: "note", TargetGroup: "all", States: []string{"note"}, Remediate: true}})
	w.ok(err)
	enforced := func(through *jobd, key string, only ...string) *gaea.Run {
		run, err := through.Enforce(ctx, "note", gaea.EnforceRequest{Master: "eu", Ref: put.Ref, Minions: only}, key)
		w.ok(err)
		run, err = through.WaitRun(ctx, run.ID, nil) // and for the check after it
		w.ok(err)
		if run.Status != gaea.RunSucceeded || run.Kind != gaea.RunEnforce || run.Master != "eu" || run.User != "admin" || run.CheckState != gaea.CheckDone {
			w.t.Errorf("the run %s of %q, by %s, ended as %s (%s), and its check as %s", run.Kind, run.Master, run.User, run.Status, run.Message, run.CheckState)
		}
		return run
	}
	sees := func(drifted ...string) {
		w.t.Helper()
		report, err := us.DriftOf(ctx, "eu", "note")
		w.ok(err)
		for _, minion := range []string{"web1", "web2"} {
			want := gaea.EvidenceInSync
			if slices.Contains(drifted, minion) {
				want = gaea.EvidenceDrifted
			}
			if got := report.Minions[minion].Status; got != want {
				w.t.Errorf("%s of eu is %s, not %s", minion, got, want)
			}
		}
	}
	began := time.Now()
	first := enforced(us, "all-of-eu")
	if got := slices.Sorted(maps.Keys(first.Minions)); !slices.Equal(got, []string{"web1", "web2"}) {
		w.t.Errorf("the run for eu was on %q", got)
	}
	for _, minion := range []string{"web1", "web2"} {
		if lines(w.eu, minion, "note") != 1 {
			w.t.Errorf("%s of eu was not repaired", minion)
		}
	}
	sees()
	w.ok(os.Remove(filepath.Join(w.eu.MinionRoot("web1"), "note")))
	_, err = us.Check(ctx, "note", gaea.CheckRequest{Master: "eu", Minions: []string{"web1"}})
	w.ok(err)
	sees("web1")
	second := enforced(standing, "one-of-eu", "web1")
	if got := slices.Sorted(maps.Keys(second.Minions)); !slices.Equal(got, []string{"web1"}) || second.Minions["web1"].Outcome != gaea.OutcomeChanged {
		w.t.Errorf("the second run for eu was on %+v", second.Minions)
	}
	if lines(w.eu, "web1", "note") != 1 {
		w.t.Error("web1 of eu was not repaired again")
	}
	sees()
	if again := enforced(us, "one-of-eu", "web1"); again.ID != second.ID {
		w.t.Errorf("one key made the runs %s and %s, through two jobds", second.ID, again.ID)
	}
	if lines(w.us, "db1", "note") != 0 {
		w.t.Error("db1 of us was repaired, too")
	}
	w.t.Logf("two repairs of another master took %s", time.Since(began))
}

// firedOnce looks at all checks that were made by the clock: those of one master are an interval apart.
func firedOnce(w *world, j *jobd) {
	w.eventually("each master was checked three times", 2*time.Minute, func() bool { return len(checksOf(w, j, "eu")) >= 3 && len(checksOf(w, j, "us")) >= 3 })
	for _, master := range []string{"eu", "us"} {
		runs := checksOf(w, j, master)
		for i := range runs[1:] {
			if apart := runs[i].Created.Sub(runs[i+1].Created); apart < gaea.MinCheckInterval.Std() {
				w.t.Errorf("two checks of %s are %s apart", master, apart)
			}
		}
		w.t.Logf("%s was checked %d times", master, len(runs))
	}
}
