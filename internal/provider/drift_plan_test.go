package provider_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

const motd = `
resource "gaea_target_group" "all" {
  name  = "all"
  match = "*"
}

resource "gaea_state_assignment" "motd" {
  name         = "motd"
  target_group = gaea_target_group.all.ref
  states       = ["motd"]
}
`

const motdAddress = "gaea_state_assignment.motd"

const (
	motdState = "file.managed /etc/motd"
	motdDiff  = "--- \n+++ \n@@ -1 +1 @@\n-tampered\n+hello from gaea\n"
)

// applied returns a working directory in which a configuration was applied to the fake.
func applied(t *testing.T, f *fakeJobd, config string) *terraform {
	t.Helper()
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(config)
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	f.asked()
	return tf
}

// with adds arguments to the assignment of a configuration.
func with(config, arguments string) string {
	return strings.Replace(config, `states       = ["motd"]`, `states       = ["motd"]`+"\n"+arguments, 1)
}

func wantCalls(t *testing.T, f *fakeJobd, want ...string) {
	t.Helper()
	if got := f.asked(); !slices.Equal(got, want) {
		t.Errorf("asked of the minions: %q, want %q", got, want)
	}
}

func TestPlansAreEmptyTwiceInARowAfterAnApply(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	tf := applied(t, f, motd)
	for range 2 {
		if code, out := tf.plan(); code != 0 {
			t.Errorf("plan: exit %d\n%s", code, out)
		}
		if code, out := tf.plan("-refresh-only"); code != 0 {
			t.Errorf("plan -refresh-only: exit %d\n%s", code, out)
		}
	}
	wantCalls(t, f)
}

func TestAPlanShowsDriftWithItsDiffAndAnApplyRepairsIt(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	tf := applied(t, f, motd)
	f.tamper("motd", "web1", motdState, motdDiff)

	diff := `- "web1" = { - "file.managed /etc/motd" = <<-EOT --- +++ @@ -1 +1 @@ -tampered +hello from gaea EOT } -> null`
	code, out := tf.plan()
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	wantText(t, out, diff, `~ last_run_id = "run-1" -> (known after apply)`, "0 to add, 1 to change, 0 to destroy")
	code, out = tf.plan("-refresh-only")
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	wantText(t, out, `+ "web1" = { + "file.managed /etc/motd" = <<-EOT`, "-tampered", "~ drifted = \"0\" -> \"1\"")

	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f, "test motd", "apply motd on [web1]")
	if code, out := tf.plan(); code != 0 {
		t.Error(out)
	}
	if s, _ := tf.state(motdAddress); s["last_run_id"] != "run-2" || s["status"] != "succeeded" {
		t.Errorf("state: %v", s)
	}
}

func TestAMinionThatIsDownIsNeitherDriftedNorLost(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	tf := applied(t, f, motd)
	f.tamper("motd", "web2", motdState, motdDiff)
	f.do(func() { f.world["web2"].down = true })

	code, out := tf.plan()
	if code != 0 {
		t.Error("unreachable minions alone are planned:\n" + out)
	}
	wantText(t, out, "Minions of motd do not answer", "1 minion did not answer when last asked: web2")
	if ok, out := tf.apply("-refresh-only"); !ok {
		t.Fatal(out)
	}
	s, _ := tf.state(motdAddress)
	if fmt.Sprint(s["unreachable"]) != "[web2]" || len(object(s["drift"])) != 0 {
		t.Errorf("state: %v", s)
	}
	if _, out := tf.plan(); strings.Contains(out, "do not answer") {
		t.Error("the warning is repeated though nothing changed:\n" + out)
	}

	f.do(func() { f.world["web2"].down, f.stale = false, true })
	code, out = tf.plan()
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	wantText(t, out, `- "web2" = { - "file.managed /etc/motd" = <<-EOT`)
}

func TestAnApplyThatRepairsOnlyAPartSaysWhatIsLeft(t *testing.T) {
	f := newFakeJobd("web1", "web2", "web3")
	tf := applied(t, f, motd)
	for _, m := range []string{"web1", "web2"} {
		f.tamper("motd", m, motdState, motdDiff)
	}
	f.do(func() { f.world["web2"].broken["motd"] = "file.managed /etc/motd: Read-only file system" })

	ok, out := tf.apply()
	if ok {
		t.Error("the apply says that it was successful")
	}
	wantText(t, out, "Error: The states of motd were not applied everywhere", "The run run-2 failed on 1 of 2 minions:",
		"web2: file.managed /etc/motd: Read-only file system", "jobd show run-2")
	s, tainted := tf.state(motdAddress)
	if drift := object(s["drift"]); len(drift) != 1 || drift["web2"] == nil || tainted {
		t.Errorf("state: %v, tainted: %v", s, tainted)
	}
	if s["last_run_id"] != "run-2" || s["status"] != "failed" {
		t.Errorf("state: %v", s)
	}

	f.do(func() { delete(f.world["web2"].broken, "motd") })
	f.asked()
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f, "apply motd on [web2]")
}

func TestAFirstApplyThatFailsInPartIsTaintedAndUntaintRepairsIt(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	f.do(func() { f.world["web2"].broken["motd"] = "the disk is full" })
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(motd)
	ok, out := tf.apply()
	if ok {
		t.Error("the apply says that it was successful")
	}
	wantText(t, out, "web2: the disk is full", "terraform untaint")
	s, tainted := tf.state(motdAddress)
	if !tainted || s["last_run_id"] != "run-1" || len(object(s["drift"])) != 1 {
		t.Errorf("tainted: %v, state: %v", tainted, s)
	}

	f.do(func() { delete(f.world["web2"].broken, "motd") })
	f.asked()
	tf.must(0, "untaint", motdAddress)
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f, "apply motd on [web2]")
	if code, out := tf.plan(); code != 0 {
		t.Error(out)
	}
}

func TestSaltsWordsAreQuotedWhereItCannotRunTheStates(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	tf := applied(t, f, motd)
	f.do(func() {
		f.world["web1"].unable, f.stale = "No matching sls found for 'motd' in env 'base'", true
	})
	code, out := tf.plan()
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	wantText(t, out, "Warning: Salt cannot run the states of motd", "web1: No matching sls found for 'motd' in env 'base'",
		`- "state.apply motd" = "No matching sls found for 'motd' in env 'base'"`)
	ok, out := tf.apply()
	if ok {
		t.Error("the apply says that it was successful")
	}
	wantText(t, out, "Error: The states of motd were not applied everywhere", "web1: No matching sls found")
}

func TestWithoutRemediateDriftIsReportedAndNeverApplied(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	tf := applied(t, f, with(motd, "remediate = false"))
	s, _ := tf.state(motdAddress)
	if len(object(s["drift"])) != 2 || s["last_run_id"] != nil || s["status"] != nil {
		t.Errorf("state: %v", s)
	}
	for range 2 {
		if code, out := tf.plan(); code != 0 {
			t.Error(out)
		}
	}
	f.do(func() {
		for _, m := range f.world {
			m.clean["motd"] = true
		}
	})
	f.tamper("motd", "web1", motdState, motdDiff)
	if code, out := tf.plan(); code != 0 {
		t.Error("drift is planned away:\n" + out)
	}
	_, out := tf.plan("-refresh-only")
	wantText(t, out, "-tampered")

	tf.write(with(motd, "remediate = false\n  description = \"greeting\""))
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	for _, call := range f.asked() {
		if strings.HasPrefix(call, "apply") {
			t.Error(call)
		}
	}
	if f.assignments["motd"].Description != "greeting" {
		t.Error("the definition was not updated")
	}

	tf.write(motd)
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f, "apply motd on all")
}

func TestStatesThatNeverSettleAreListedWithOneWarning(t *testing.T) {
	f := newFakeJobd("web1")
	f.do(func() { f.unsettled = []string{"cmd.run deploy", "module.run cache.clear"} })
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(motd)
	ok, out := tf.apply()
	if !ok {
		t.Fatal(out)
	}
	wantText(t, out, "Warning: States of motd never settle", "cmd.run deploy, module.run cache.clear")
	code, out := tf.plan()
	if code != 0 || strings.Contains(out, "never settle") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if s, _ := tf.state(motdAddress); fmt.Sprint(s["unsettled"]) != "[cmd.run deploy module.run cache.clear]" {
		t.Errorf("state: %v", s["unsettled"])
	}
}

func TestStrangeStateNamesComeThroughWhole(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	names := []string{`file.managed a_|-b`, `cmd.run echo "${HOME}" %{if}`, `file.managed <b>ünïcode</b> 日本`, "cmd.run 'x'\ty\\z"}
	for _, n := range names {
		f.tamper("motd", "web1", n, n+"\n"+n)
	}
	if ok, out := tf.apply("-refresh-only"); !ok {
		t.Fatal(out)
	}
	s, _ := tf.state(motdAddress)
	states := object(object(s["drift"])["web1"])
	for _, n := range names {
		if states[n] != n+"\n"+n {
			t.Errorf("%q is %q", n, states[n])
		}
	}
	if code, _ := tf.plan(); code != 2 {
		t.Error("not planned")
	}
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
}

func TestMoreThanAHundredDriftedMinionsAreCountedAndAllRepaired(t *testing.T) {
	var minions []string
	for i := range 120 {
		minions = append(minions, fmt.Sprintf("web%03d", i))
	}
	f := newFakeJobd(minions...)
	tf := applied(t, f, motd)
	for _, m := range minions[:110] {
		f.tamper("motd", m, motdState, motdDiff)
	}
	if ok, out := tf.apply("-refresh-only"); !ok {
		t.Fatal(out)
	}
	s, _ := tf.state(motdAddress)
	if n := len(object(s["drift"])); n != 100 || object(s["drift_summary"])["drifted"] != "110" {
		t.Errorf("%d minions shown, summary %v", n, s["drift_summary"])
	}
	f.asked()
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f, "apply motd on all")
}

func TestDriftOnAnotherMinionSinceThePlanWaitsForTheNextPlan(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	tf := applied(t, f, motd)
	f.tamper("motd", "web1", motdState, motdDiff)
	tf.must(0, "plan", "-out=saved")
	f.tamper("motd", "web2", motdState, motdDiff)
	if ok, out := tf.apply("saved"); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f, "test motd", "apply motd on [web1]")
	code, out := tf.plan()
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	wantText(t, out, `- "web2" = {`)
}

func TestOnUnreachableSaysWhatAnApplyMakesOfAMinionThatIsDown(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	tf := applied(t, f, motd)
	f.do(func() { f.world["web2"].down = true })

	tf.write(with(motd, `saltenv = "dev"`))
	ok, out := tf.apply()
	if ok {
		t.Error("the apply says that it was successful")
	}
	wantText(t, out, "Error: Minions of motd could not be reached", "web2: did not answer within 5s", `on_unreachable = "warn"`)
	if s, tainted := tf.state(motdAddress); tainted || fmt.Sprint(s["unreachable"]) != "[web2]" {
		t.Errorf("tainted: %v, state: %v", tainted, s)
	}

	tf.write(with(motd, "saltenv = \"dev\"\n  on_unreachable = \"warn\""))
	ok, out = tf.apply()
	if !ok {
		t.Error(out)
	}
	wantText(t, out, "Warning: Minions of motd could not be reached", "web2: did not answer within 5s")
	if code, out := tf.plan(); code != 0 {
		t.Error(out)
	}
}

func TestTheModeSaysWhetherAPlanAsksTheMinions(t *testing.T) {
	f := newFakeJobd("web1")
	for _, row := range []struct {
		mode string
		want []string
	}{
		{"archive", nil},
		{"live", []string{"test motd"}},
		{"off", nil},
	} {
		tf := applied(t, f, with(motd, fmt.Sprintf("drift_check = { mode = %q }", row.mode)))
		if code, out := tf.plan(); code != 0 {
			t.Errorf("%s: %s", row.mode, out)
		}
		if got := f.asked(); !slices.Equal(got, row.want) {
			t.Errorf("%s: asked %q, want %q", row.mode, got, row.want)
		}
		if row.mode == "off" {
			f.tamper("motd", "web1", motdState, motdDiff)
			if code, out := tf.plan("-refresh-only"); code != 0 {
				t.Error(out)
			}
			wantCalls(t, f)
		}
	}
}

func TestATokenThatMayOnlyReadSeesTheArchive(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	f.tamper("motd", "web1", motdState, motdDiff)
	f.do(func() { f.principal.Role = gaea.RoleRead })
	if code, out := tf.plan(); code != 0 {
		t.Error(out)
	}
	wantCalls(t, f)
	f.do(func() { f.see(f.assignments["motd"]) })
	if code, _ := tf.plan(); code != 2 {
		t.Error("what jobd has seen is not shown")
	}
}

func TestATokenThatMayOnlyPlanCannotApply(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	f.tamper("motd", "web1", motdState, motdDiff)
	f.do(func() { f.principal = gaea.Principal{Name: "ci", Role: gaea.RolePlan} })
	if code, _ := tf.plan(); code != 2 {
		t.Error("no drift planned")
	}
	wantCalls(t, f, "test motd")
	ok, out := tf.apply()
	if ok {
		t.Error("the apply says that it was successful")
	}
	wantText(t, out, "Cannot store the state assignment motd", `the token "ci" has the role plan; this needs the role apply`)
	wantCalls(t, f)
}

func TestWhatAnAssignmentLacksDoesNotStopThePlanThatBringsIt(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	f.do(func() { f.checkErr = gaea.Errorf(gaea.CodeEmptyTarget, "the target group all matches no minion") })
	code, out := tf.plan()
	if code != 0 {
		t.Error(out)
	}
	wantText(t, out, "Warning: Cannot look for drift of motd", "matches no minion")
	f.do(func() { f.checkErr = gaea.Errorf(gaea.CodeUnavailable, "the master does not answer") })
	if code, out := tf.run("plan", "-no-color"); code != 1 {
		t.Error(out)
	} else {
		wantText(t, out, "Error: Cannot look for drift of the state assignment motd", "the master does not answer")
	}
}

func TestATargetThatBecomesEmptyIsNotSilentlyInOrder(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	f.do(func() {
		delete(f.world, "web1")
		f.stale = true
	})
	code, out := tf.plan()
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	wantText(t, out, "Warning: No minion belongs to motd")
}
