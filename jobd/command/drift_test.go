package command_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

func (r *rig) assign(names ...string) {
	r.t.Helper()
	for _, name := range names {
		if _, err := r.Assignments().Put(r.t.Context(), gaea.Assignment{Name: name, TargetGroup: "all", States: []string{name}}, "ann"); err != nil {
			r.t.Fatal(err)
		}
	}
}

var (
	seen    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	drifted = gaea.DriftReport{
		Assignment: "nginx",
		Minions: map[string]gaea.MinionDrift{
			"web1": {Status: gaea.EvidenceInSync, At: seen},
			"web2": {Status: gaea.EvidenceDrifted, At: seen, States: map[string]string{"file.managed /etc/motd": "-a\n+b\n", "service.running nginx": "would start"}},
			"web3": {Status: gaea.EvidenceCouldNotRun, At: seen, Message: "Rendering failed\nline 1"},
			"web4": {Status: gaea.EvidenceUnknown},
		},
		Unsettled: []string{"cmd.run deploy"},
		Summary:   gaea.DriftSummary{Minions: 4, InSync: 1, Drifted: 1, CouldNotRun: 1, Unknown: 1, States: 2},
	}
	calm = gaea.DriftReport{
		Assignment: "motd", Minions: map[string]gaea.MinionDrift{"web1": {Status: gaea.EvidenceInSync, At: seen}},
		Summary: gaea.DriftSummary{Minions: 1, InSync: 1},
	}
)

func TestDriftIsShownWithItsDiffs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.assign("nginx", "motd")
	r.Enforcer.PutReport(drifted)
	r.Enforcer.PutReport(calm)
	code, out, _ := r.run("drift")
	want(t, "all", code, command.ExitNotOK, out, "motd: 1 in sync\n", "nginx: 1 in sync, 1 drifted, 1 could not run, 1 unknown\n",
		"  web2: drifted (", "    file.managed /etc/motd\n      -a\n      +b\n", "      would start\n", "    Rendering failed\n    line 1\n",
		"never settles, not counted as drift: cmd.run deploy")
	code, out, _ = r.run("drift", "motd")
	want(t, "one in sync", code, command.ExitOK, out, "motd: 1 in sync\n")
}

func TestDriftAndChecksAreOfTheMasterThatIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.assign("nginx")
	there := calm
	there.Assignment = "us/nginx"
	r.Enforcer.PutReport(drifted)
	r.Enforcer.PutReport(there)
	code, out, _ := r.run("drift", "--master", "us", "nginx")
	want(t, "drift", code, command.ExitOK, out, "us/nginx: 1 in sync")
	code, out, _ = r.run("check", "--master", "us", "--max-age", "10m", "nginx")
	want(t, "a check", code, command.ExitOK, out, "us/nginx: 1 in sync")
}

func TestScriptsGetALineForEachStateAndEachMinion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.assign("nginx")
	r.Enforcer.PutReport(drifted)
	code, out, _ := r.run("drift", "-o", "tsv")
	wantOut := "assignment\tminion\tstatus\tstate\tdifference\tseen\n" +
		"nginx\tweb1\tin_sync\t\t\t2026-11-23T12:00:00Z\n" +
		"nginx\tweb2\tdrifted\tfile.managed /etc/motd\t" + `-a\n+b\n` + "\t2026-11-23T12:00:00Z\n" +
		"nginx\tweb2\tdrifted\tservice.running nginx\twould start\t2026-11-23T12:00:00Z\n" +
		"nginx\tweb3\tcould_not_run\t\t" + `Rendering failed\nline 1` + "\t2026-11-23T12:00:00Z\n" +
		"nginx\tweb4\tunknown\t\t\t\n"
	if code != command.ExitNotOK || out != wantOut {
		t.Errorf("exit code %d, printed:\n%s\nnot:\n%s", code, out, wantOut)
	}
	var reports []gaea.DriftReport
	_, out, _ = r.run("drift", "-o", "json")
	if err := json.Unmarshal([]byte(out), &reports); err != nil || len(reports) != 1 || reports[0].Summary.Drifted != 1 {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
}

func TestWhatWasNeverLookedAtIsNotInSync(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.assign("nginx")
	code, out, _ := r.run("drift")
	want(t, "never looked at", code, command.ExitNotOK, out, "nginx: no minion was looked at yet", "jobd check")
}

func TestWithoutAssignmentsThereIsNoDrift(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, out, errs := r.run("drift")
	want(t, "a table", code, command.ExitOK, out+errs, "no assignments")
	code, out, _ = r.run("drift", "-o", "json")
	want(t, "JSON", code, command.ExitOK, out, "[]\n")
}

func TestACheckIsWaitedForAndShown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.assign("nginx")
	p := r.start("check", "nginx")
	r.watched("run-000001")
	r.Enforcer.PutReport(drifted)
	r.Runs.End("run-000001", gaea.RunSucceeded, gaea.OutcomeWouldChange)
	code, out, _ := p.wait()
	want(t, "check", code, command.ExitNotOK, out, "nginx: 1 in sync, 1 drifted")
}

func TestWhoLeavesACheckIsToldWhereItsResultWillBe(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.assign("nginx")
	p := r.start("check", "nginx")
	r.watched("run-000001")
	p.interrupt()
	code, _, errs := p.wait()
	want(t, "Ctrl-C", code, command.ExitFailed, errs, "jobd drift nginx")
}
