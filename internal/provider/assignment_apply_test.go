package provider_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

func TestAChangedInputRunsAllMinionsAndReplacesNothing(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	tf := applied(t, f, motd)
	tf.write(strings.Replace(motd, `match = "*"`, `match = "web*"`, 1))
	code, out := tf.plan()
	if code != 2 {
		t.Errorf("exit %d", code)
	}
	wantText(t, out, "# gaea_target_group.all will be updated in-place", "# gaea_state_assignment.motd will be updated in-place",
		`~ target_group = "all@883510a10cd494e7" -> "all@`, "0 to add, 2 to change, 0 to destroy")
	if strings.Contains(out, "must be replaced") {
		t.Error(out)
	}
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f, "apply motd on all")
}

func TestAnIDPlansNothingWhenTheGroupChanges(t *testing.T) {
	f := newFakeJobd("web1")
	byID := strings.Replace(motd, "all.ref", "all.id", 1)
	tf := applied(t, f, byID)
	tf.write(strings.Replace(byID, `match = "*"`, `match = "web*"`, 1))
	_, out := tf.plan()
	wantText(t, out, "0 to add, 1 to change, 0 to destroy")
}

func TestATimeoutAloneRunsNothing(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	tf.write(with(motd, `timeouts = { update = "5m" }`))
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f)
	if s, _ := tf.state(motdAddress); s["last_run_id"] != "run-1" {
		t.Errorf("state: %v", s)
	}
}

func TestADefinitionThatWasDeletedOutsideIsPlannedAgain(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	f.do(func() { delete(f.assignments, "motd"); delete(f.groups, "all") })
	_, out := tf.plan()
	wantText(t, out, "# gaea_state_assignment.motd will be created", "2 to add, 0 to change, 0 to destroy")
}

func TestADefinitionThatWasChangedOutsideShowsAsDriftOfItsAttributes(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, with(motd, `drift_check = { max_age = "60m" }`))
	f.do(func() {
		a := f.assignments["motd"]
		a.SaltEnv, a.States = "dev", []string{"motd", "issue"}
		f.assignments["motd"] = a
	})
	_, out := tf.plan()
	wantText(t, out, `- saltenv = "dev" -> null`, `- "issue",`, "~ ref")
	if strings.Contains(out, "drift_check ") {
		t.Error("an attribute that means the same is planned:\n" + out)
	}
}

func TestDestroyDeletesTheDefinitionAndTouchesNoMinion(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	if ok, out := tf.apply("-destroy"); !ok {
		t.Fatal(out)
	}
	if len(f.assignments)+len(f.groups) > 0 {
		t.Error("definitions are left")
	}
	wantCalls(t, f)
}

func TestAWaitThatEndsEarlyLeavesTheRunInTheState(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	f.tamper("motd", "web1", motdState, motdDiff)
	f.do(func() {
		f.wait = func(ctx context.Context, r *gaea.Run) (*gaea.Run, error) {
			<-ctx.Done()
			return r, gaea.Wrap(ctx.Err(), gaea.CodeTimeout, "the time ran out")
		}
	})
	tf.write(with(motd, `timeouts = { update = "1s" }`))
	ok, out := tf.apply()
	if ok {
		t.Error("the apply says that it was successful")
	}
	wantText(t, out, "Error: Stopped waiting for the run run-2", "1s have passed", "jobd cancel run-2", "an apply while it still goes on joins it")
	s, _ := tf.state(motdAddress)
	if s["last_run_id"] != "run-2" || s["status"] != "running" || len(object(s["drift"])) != 1 {
		t.Errorf("state: %v", s)
	}

	// The run ends by itself, and a plan sees that nothing is left.
	f.finish("run-2")
	if code, out := tf.plan(); code != 0 {
		t.Error(out)
	}
}

func TestAnInterruptedApplyLeavesTheRunInTheState(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	f.tamper("motd", "web1", motdState, motdDiff)
	waiting := make(chan struct{})
	f.do(func() {
		f.wait = func(ctx context.Context, r *gaea.Run) (*gaea.Run, error) {
			close(waiting)
			<-ctx.Done()
			return r, gaea.Wrap(ctx.Err(), gaea.CodeCancelled, "stopped while waiting for jobd")
		}
	})
	cmd, out := tf.command("apply", "-no-color", "-auto-approve")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-waiting
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the apply says that it was successful")
	}
	wantText(t, out.String(), "Error: Stopped waiting for the run run-2", "stopped while waiting for jobd", "The run goes on without Terraform")
	if s, _ := tf.state(motdAddress); s["last_run_id"] != "run-2" || len(object(s["drift"])) != 1 {
		t.Errorf("state: %v", s)
	}
}

func TestAnApplyThatWasKilledJoinsItsRunWhenItIsTriedAgain(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	f.tamper("motd", "web1", motdState, motdDiff)
	if ok, out := tf.apply("-refresh-only"); !ok {
		t.Fatal(out)
	}
	statefile := filepath.Join(tf.dir, "terraform.tfstate")
	before, err := os.ReadFile(statefile)
	if err != nil {
		t.Fatal(err)
	}
	f.do(func() {
		f.wait = func(context.Context, *gaea.Run) (*gaea.Run, error) {
			return nil, gaea.Errorf(gaea.CodeUnavailable, "the provider is killed here")
		}
	})
	if ok, out := tf.apply(); ok {
		t.Fatal(out)
	}
	// A killed provider saves nothing.
	if err := os.WriteFile(statefile, before, 0o600); err != nil {
		t.Fatal(err)
	}
	f.do(func() { f.wait = nil })
	f.asked()
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f) // no second run
	if s, _ := tf.state(motdAddress); s["last_run_id"] != "run-2" {
		t.Errorf("state: %v", s)
	}
}

func TestTheSameDriftAgainGetsARunOfItsOwn(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, motd)
	statefile := filepath.Join(tf.dir, "terraform.tfstate")
	before, err := os.ReadFile(statefile)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f.tamper("motd", "web1", motdState, motdDiff)
		if ok, out := tf.apply(); !ok {
			t.Fatal(out)
		}
		// As if the state had not been saved: the second apply asks with the same key, and that run is over.
		if err := os.WriteFile(statefile, before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantCalls(t, f, "test motd", "apply motd on [web1]", "test motd", "apply motd on [web1]")
}

func TestWithoutChecksAnApplyWhoseEndWasNotSeenIsPlannedAgain(t *testing.T) {
	f := newFakeJobd("web1")
	config := with(motd, `drift_check = { mode = "off" }`)
	tf := applied(t, f, config)
	f.do(func() {
		f.wait = func(context.Context, *gaea.Run) (*gaea.Run, error) {
			return nil, gaea.Errorf(gaea.CodeUnavailable, "jobd went away")
		}
	})
	tf.write(strings.Replace(config, `["motd"]`, `["motd", "issue"]`, 1))
	if ok, out := tf.apply(); ok {
		t.Fatal(out)
	}
	if code, _ := tf.plan(); code != 2 {
		t.Error("the change is lost")
	}
	f.do(func() { f.wait = nil })
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	if code, out := tf.plan(); code != 0 {
		t.Error(out)
	}
}

func TestASecretPillarIsSentOnceAVersionAndKeptNowhere(t *testing.T) {
	f := newFakeJobd("web1")
	secret := func(value, version string) string {
		return with(motd, "pillar_wo = jsonencode({ password = \""+value+"\" })\n pillar_wo_version = "+version)
	}
	tf := applied(t, f, secret("hunter2", "1"))
	if f.secrets["motd 1"]["password"] != "hunter2" {
		t.Errorf("secrets: %v", f.secrets)
	}
	tf.write(secret("hunter3", "1")) // a new secret under the old version is not looked at
	if code, out := tf.plan(); code != 0 {
		t.Error(out)
	}
	tf.write(secret("hunter3", "2"))
	tf.must(0, "plan", "-out=saved")
	if ok, out := tf.apply("saved"); !ok || strings.Contains(out, "hunter") {
		t.Fatal(out)
	}
	if f.secrets["motd 2"]["password"] != "hunter3" || f.secrets["motd 1"]["password"] != "hunter2" {
		t.Errorf("secrets: %v", f.secrets)
	}
	wantCalls(t, f, "apply motd on all")
	for _, args := range [][]string{{"state", "pull"}, {"show", "-json", "saved"}} {
		if out := tf.must(0, args...); strings.Contains(out, "hunter") {
			t.Errorf("the secret is in %v", args)
		}
	}
}

func TestADefinitionOfTheSameOwnerIsAdopted(t *testing.T) {
	f := newFakeJobd("web1")
	f.do(func() {
		f.assignments["motd"] = gaea.Assignment{Name: "motd", TargetGroup: "other", States: []string{"old"}, Remediate: true}
	})
	tf := applied(t, f, motd)
	if got := f.assignments["motd"].States; len(got) != 1 || got[0] != "motd" {
		t.Errorf("states: %v", got)
	}
	if code, out := tf.plan(); code != 0 {
		t.Error(out)
	}
}

func TestJobdDownIsOneErrorAndLosesNothing(t *testing.T) {
	f := newFakeJobd("web1")
	tf := applied(t, f, "provider \"gaea\" {}\n"+motd)
	before, _ := tf.state(motdAddress)
	f.do(func() {
		f.err = gaea.Errorf(gaea.CodeUnavailable, "jobd at http://127.0.0.1:7780 does not answer (connection refused)")
	})
	for _, command := range [][]string{{"plan", "-no-color"}, {"apply", "-no-color", "-auto-approve"}} {
		out := tf.must(1, command...)
		wantText(t, out, "Error: jobd does not answer", "connection refused", "Nothing was changed")
		if n := strings.Count(out, "Error:"); n != 1 {
			t.Errorf("%d errors:\n%s", n, out)
		}
	}
	if after, _ := tf.state(motdAddress); after["ref"] != before["ref"] {
		t.Errorf("state: %v", after)
	}
}

func TestAProviderThatIsNotWholeYetPlansAndKeepsTheState(t *testing.T) {
	const late = `
resource "terraform_data" "jobd" {
  input = "http://127.0.0.1:1"
}

provider "gaea" {
  endpoint = terraform_data.jobd.output
  token    = "x"
}
`
	tf := newTerraform(t)
	tf.write(late + motd)
	tf.must(0, "init", "-input=false")
	_, out := tf.plan()
	wantText(t, out, "3 to add, 0 to change, 0 to destroy", "motd@")
	ok, out := tf.apply()
	if ok {
		t.Error("the apply says that it was successful")
	}
	wantText(t, out, "jobd does not answer")
}

func TestValidateNeedsNoJobd(t *testing.T) {
	tf := newTerraform(t)
	tf.write(motd)
	tf.must(0, "validate")
	out := tf.must(1, "plan", "-no-color")
	wantText(t, out, "Neither a jobd nor a salt-api", provider.EnvEndpoint, provider.EnvToken, provider.EnvSaltAPIURL)
}

func TestAnImportedAssignmentPlansNothing(t *testing.T) {
	f := newFakeJobd("web1")
	config := with(motd, `
  saltenv           = "dev"
  pillar            = "{ \"b\": 1, \"a\": [true] }"
  pillar_wo         = jsonencode({ key = "k" })
  pillar_wo_version = "7"
  on_unreachable    = "warn"
  drift_check       = { mode = "live", max_age = "90m", ignore = ["cmd.run:*"] }
  timeouts          = {}
`)
	tf := applied(t, f, config)
	before, _ := tf.state(motdAddress)
	tf.must(0, "state", "rm", motdAddress)
	tf.must(0, "import", motdAddress, "motd")
	after, _ := tf.state(motdAddress)
	if after["ref"] != before["ref"] || after["last_run_id"] != nil {
		t.Errorf("imported: %v", after)
	}
	// The same pillar and the same time are written differently in the configuration: the plan rewrites them, and runs nothing.
	f.asked()
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	wantCalls(t, f, "test motd")
	if code, out := tf.plan(); code != 0 {
		t.Error(out)
	}
}

func TestAnInputThatIsKnownOnlyLaterIsPlannedAndApplied(t *testing.T) {
	const config = `
resource "terraform_data" "later" {
  input = "motd"
}

resource "gaea_target_group" "all" {
  name        = "all"
  description = terraform_data.later.output
  match       = "*"
}

resource "gaea_state_assignment" "motd" {
  name         = "motd"
  target_group = gaea_target_group.all.ref
  states       = [terraform_data.later.output]
}
`
	f := newFakeJobd("web1")
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(config)
	tf.must(0, "init", "-input=false")
	for _, input := range []string{"motd", "issue"} {
		tf.write(strings.Replace(config, `"motd"`, `"`+input+`"`, 1))
		if ok, out := tf.apply(); !ok {
			t.Fatal(out)
		}
		wantCalls(t, f, "apply motd on all")
		if code, out := tf.plan(); code != 0 {
			t.Error(out)
		}
	}
}
