package saltclient_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// orchestrate is what a master tells at the end of an orchestration, on its bus and in its job cache (Salt 3006 and 3008).
const orchestrate = `{"fun": "runner.state.orchestrate", "jid": "20260102030405000001", "user": "root",
	"fun_args": ["deploy", {"pillar": {"x": 1}, "orchestration_jid": "20260102030405000001"}],
	"return": {"data": {"vm_master": {
		"salt_|-ping_|-test.ping_|-function": {"name": "test.ping", "changes": {"ret": {"web1": true}}, "comment": "ran", "result": true,
			"__jid__": "20260102030405000002", "__sls__": "deploy", "__run_num__": 0, "duration": 331.0, "__id__": "ping"},
		"salt_|-apply_|-apply_|-state": {"name": "apply", "changes": {}, "comment": "Run failed on minions: web1", "result": false,
			"__jid__": "20260102030405000003", "__sls__": "deploy", "__run_num__": 1, "duration": 1017.2, "__id__": "apply"},
		"salt_|-batch_|-test.ping_|-function": {"name": "test.ping", "changes": {}, "comment": "ran", "result": true,
			"__sls__": "deploy", "__run_num__": 2, "duration": 5.0, "__id__": "batch"}
	}}, "outputter": "highstate", "retcode": 1}, "success": false}`

func TestAnOrchestrationIsAJobOfTheMasterThatNamesItsChildren(t *testing.T) {
	begun := saltclient.Decode(event("salt/run/20260102030405000001/new",
		`{"fun": "runner.state.orchestrate", "jid": "20260102030405000001", "user": "root", "fun_args": ["deploy", {"test": true, "orchestration_jid": "20260102030405000001"}]}`))
	if j := begun.Job; j == nil || j.Origin != gaea.OriginOrchestration || !j.Known || j.User != "root" || j.Parent != "" || !j.Test || j.JID != "20260102030405000001" {
		t.Errorf("at its start the job is %+v", begun.Job)
	}
	r := saltclient.Decode(event("salt/run/20260102030405000001/ret", orchestrate)).Return
	if r == nil || r.Minion != "vm_master" || r.Outcome != gaea.OutcomeFailed || len(r.States) != 3 || r.Origin != gaea.OriginOrchestration {
		t.Fatalf("at its end the return is %+v", r)
	}
	if r.Message != "salt.state apply: Run failed on minions: web1" {
		t.Errorf("the message is %q", r.Message)
	}
	if got, want := saltclient.Children(r), []string{"20260102030405000002", "20260102030405000003"}; !slices.Equal(got, want) {
		t.Errorf("its children are %q, not %q", got, want)
	}
}

func TestTheCapturedOrchestrationsNameTheJobsThatTheyStarted(t *testing.T) {
	for _, version := range versions {
		published := map[string]bool{}
		var children []string
		for _, ev := range captured(t, version) {
			d := saltclient.Decode(ev)
			if d.Job != nil && d.Job.Origin == gaea.OriginPublish {
				published[d.Job.JID] = true
			}
			if d.Return != nil {
				children = append(children, saltclient.Children(d.Return)...)
			}
		}
		if len(children) != 2 || !published[children[0]] || !published[children[1]] {
			t.Errorf("%s: the children are %q", version, children)
		}
	}
}

func TestAnOrchestrationWithinAnotherNamesItsParentAtOnce(t *testing.T) {
	d := saltclient.Decode(event("salt/run/20260102030405000009/new",
		`{"fun": "runner.state.orchestrate", "jid": "20260102030405000009", "user": "root", "fun_args": [{"mods": "inner", "orchestration_jid": "20260102030405000001"}]}`))
	if d.Job == nil || d.Job.Parent != "20260102030405000001" {
		t.Errorf("got %+v", d.Job)
	}
}

func TestAnOrchestrationThatCannotBeRenderedCouldNotRun(t *testing.T) {
	r := saltclient.Decode(event("salt/run/20260102030405000001/ret",
		`{"fun": "runner.state.orch", "fun_args": ["nosuch"], "success": false, "return": {"data": {"vm_master": ["No matching sls found for 'nosuch' in env 'base'"]}, "retcode": 1}}`)).Return
	if r == nil || r.Outcome != gaea.OutcomeCouldNotRun || r.Message != "No matching sls found for 'nosuch' in env 'base'" {
		t.Errorf("got %+v", r)
	}
}

func TestARunnerThatAMasterDoesNotHaveIsARunnerAllTheSame(t *testing.T) {
	r := saltclient.Decode(event("salt/run/20260102030405000001/ret",
		`{"success": false, "return": "'test.nosuch' is not available.", "retcode": 254, "fun": "test.nosuch", "fun_args": [], "jid": "20260102030405000001"}`)).Return
	if r == nil || r.Function != "runner.test.nosuch" || r.Outcome != gaea.OutcomeCouldNotRun || r.Origin != gaea.OriginRunner {
		t.Errorf("got %+v", r)
	}
}

func TestAMinionCannotPretendToBeARunnerOrABatch(t *testing.T) {
	for _, tag := range []string{"salt/run/20260102030405000001/new", "salt/run/20260102030405000001/ret", "salt/batch/20260102030405000001/complete"} {
		d := saltclient.Decode(event(tag, `{"id": "web1", "cmd": "_minion_event", "fun": "runner.state.orch", "return": {}, "data": {}, "total_minions": 3}`))
		if d.Job != nil || d.Return != nil || !d.Other {
			t.Errorf("%s: got %+v", tag, d)
		}
	}
}

func TestWhatAMinionDidByItselfSaysHow(t *testing.T) {
	for data, want := range map[string]gaea.Return{
		`{"cmd": "_return", "id": "web1", "return": 1, "retcode": 0, "fun": "test.arg", "fun_args": [7], "tgt_type": "glob", "tgt": "web1", "arg": [7]}`:                         {Origin: gaea.OriginSaltCall},
		`{"cmd": "_return", "id": "web1", "return": 1, "fun": "test.arg", "fun_args": [7], "schedule": "nightly", "pid": 9, "arg": [7], "tgt": "web1"}`:                          {Origin: gaea.OriginSchedule, Schedule: "nightly"},
		`{"cmd": "_return", "id": "web1", "return": 1, "fun": "test.arg", "fun_args": [7], "schedule": "nightly", "pid": 9, "note": "a returner has it, and so its own job id"}`: {Origin: gaea.OriginSchedule, Schedule: "nightly"},
		`{"id": "web1", "return": 1, "retcode": 0, "fun": "test.arg", "fun_args": [7]}`:                                                                                          {Origin: gaea.OriginSaltSSH},
		`{"cmd": "_return", "id": "web1", "success": true, "return": 1, "retcode": 0, "fun": "test.arg", "fun_args": [7], "user": "root"}`:                                       {},
	} {
		r := saltclient.Decode(event("salt/job/20260102030405000001/ret/web1", data)).Return
		if r == nil || r.Origin != want.Origin || r.Schedule != want.Schedule {
			t.Errorf("%s: got %+v", data, r)
		}
	}
}

func TestTheJobCacheTellsHowAJobCameToBe(t *testing.T) {
	for load, want := range map[string]gaea.Job{
		`{"cmd": "publish", "tgt": "*", "fun": "test.ping", "arg": [], "tgt_type": "glob", "ret": "", "jid": "1", "user": "root"}`:           {Origin: gaea.OriginPublish},
		`{"cmd": "_return", "id": "web1", "fun": "test.ping", "fun_args": [], "return": true, "arg": [], "tgt": "web1", "tgt_type": "glob"}`: {Origin: gaea.OriginSaltCall},
		`{"cmd": "_return", "id": "web1", "fun": "test.ping", "schedule": "nightly", "return": true, "tgt": "web1", "tgt_type": "glob"}`:     {Origin: gaea.OriginSchedule, Schedule: "nightly"},
		`{"jid": "1", "tgt_type": "glob", "tgt": "*", "user": "root", "fun": "test.ping", "arg": []}`:                                        {Origin: gaea.OriginSaltSSH},
	} {
		j := saltclient.ParseLoad(json.RawMessage(load))
		if j == nil || j.Origin != want.Origin || j.Schedule != want.Schedule {
			t.Errorf("%s: got %+v", load, j)
		}
	}
}

func TestTheJobCacheHasAnOrchestrationAsTheBusToldIt(t *testing.T) {
	const jid = "20260102030405000001"
	bus := saltclient.Decode(event("salt/run/"+jid+"/ret", orchestrate)).Return
	load := saltclient.ParseLoad(json.RawMessage(`{"id": "vm_master", "tgt": "vm_master", "jid": "` + jid + `", "fun": "runner.state.orchestrate", "user": "root", "return": ` + orchestrate + `}`))
	listed, _ := saltclient.ParseListedJob(json.RawMessage(`{"jid": "` + jid + `", "Function": "runner.state.orchestrate", "Arguments": [], "Target": "vm_master", "Target-type": "list",
		"User": "root", "Result": {"vm_master": {"return": ` + orchestrate + `}}}`))
	if load == nil || listed == nil {
		t.Fatal("the job cache has no orchestration")
	}
	for how, j := range map[string]*gaea.Job{"on disk": load, "by a runner": &listed.Job} {
		if j.Origin != gaea.OriginOrchestration || j.User != "root" || !slices.Equal(j.Minions, []string{"vm_master"}) || j.Target.String() != "vm_master" || len(j.Args) < 10 {
			t.Errorf("%s the job is %+v", how, j)
		}
	}
	entry := json.RawMessage(`{"return": ` + orchestrate + `}`)
	for how, r := range map[string]gaea.Return{"on disk": saltclient.ParseCachedReturn(load, "vm_master", entry), "by a runner": listed.Returns[0]} {
		if r.Minion != bus.Minion || r.Outcome != bus.Outcome || r.Message != bus.Message || string(r.Body) != string(bus.Body) || len(saltclient.Children(&r)) != 2 {
			t.Errorf("%s the return is %+v, not %+v", how, r, *bus)
		}
	}
	if got := saltclient.ParseListedJIDs(json.RawMessage(`{"1": {"Function": "runner.state.orch"}, "2": {"Function": "runner.jobs.list_jobs"}, "3": {"Function": "wheel.key.list"}, "4": {"Function": "test.ping"}}`)); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"1", "4"}) {
		t.Errorf("the jobs worth fetching are %q", got)
	}
}

// batches are the last accounts of each batch in a capture, merged in the order that a function puts them.
func batches(t *testing.T, order func([]*gaea.JobBatch)) map[string]*gaea.JobBatch {
	t.Helper()
	all := map[string][]*gaea.JobBatch{}
	for _, ev := range captured(t, "3008.3") {
		if d := saltclient.Decode(ev); d.Job != nil && d.Job.Batch != nil {
			if d.Job.Known || d.Job.Function != "" {
				t.Errorf("%s pretends to be a publication: %+v", ev.Tag, d.Job)
			}
			all[d.Job.JID] = append(all[d.Job.JID], d.Job.Batch)
		}
	}
	merged := map[string]*gaea.JobBatch{}
	for jid, accounts := range all {
		order(accounts)
		for _, b := range accounts {
			merged[jid] = merged[jid].Merge(b)
		}
	}
	return merged
}

func TestACapturedBatchIsCountedInWhateverOrderItsEventsCome(t *testing.T) {
	want := gaea.JobBatch{Status: gaea.JobBatchComplete, Driver: "cli", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Size: 1, Minions: 3, Done: 3}
	for _, order := range []func([]*gaea.JobBatch){func([]*gaea.JobBatch) {}, slices.Reverse[[]*gaea.JobBatch]} {
		got := batches(t, order)["20261122231333580259"]
		if got == nil {
			t.Fatal("there is no such batch")
		}
		b := *got
		b.Stamp = time.Time{}
		if b.Status != want.Status || b.Driver != want.Driver || b.Target.Expr != want.Target.Expr || b.Size != 1 || b.Minions != 3 || b.Done != 3 || b.Waiting != 0 || b.Running != 0 || len(b.Untold) != 0 {
			t.Errorf("got %+v, want %+v", b, want)
		}
	}
}

func TestABatchThatTheMasterDrivesTellsCounts(t *testing.T) {
	const head = `"jid": "20260102030405000001", "fun": "test.ping", "tgt": "web*", "tgt_type": "glob", "user": "root"`
	var b *gaea.JobBatch
	for _, row := range []struct {
		what, data                                    string
		status                                        gaea.JobBatchStatus
		minions, done, failed, running, waiting, size int
	}{
		{"new", `"total_minions": 5, "batch_size": 2, "driver": "master"`, gaea.JobBatchRunning, 5, 0, 0, 0, 5, 2},
		{"progress", `"total": 5, "completed": 1, "active": 2, "pending": 2, "failed": 0`, gaea.JobBatchRunning, 5, 1, 0, 2, 2, 2},
		{"halted", `"reason": "stop", "completed": 1, "failed": 1, "abandoned_active": ["web2"], "abandoned_pending": ["web5", "web4"]`, gaea.JobBatchHalted, 5, 1, 1, 1, 2, 2},
	} {
		d := saltclient.Decode(event("salt/batch/20260102030405000001/"+row.what, `{`+head+`, `+row.data+`}`))
		if d.Job == nil {
			t.Fatalf("%s: got %+v", row.what, d)
		}
		d.Job.Batch.Stamp = d.Job.Batch.Stamp.Add(time.Duration(row.done) * time.Second)
		b = b.Merge(d.Job.Batch)
		if b.Status != row.status || b.Minions != row.minions || b.Done != row.done || b.Failed != row.failed || b.Running != row.running || b.Waiting != row.waiting || b.Size != row.size || b.Driver != "master" {
			t.Errorf("after %s it stands as %+v", row.what, b)
		}
	}
	if b.Reason != "stop" || !slices.Equal(b.Untold, []string{"web4", "web5"}) {
		t.Errorf("at last it stands as %+v", b)
	}
}

func TestABatchOfWhichTheLastEventWasCutKeepsItsCounts(t *testing.T) {
	for _, last := range []string{`"VALUE_TRIMMED"`, `{"all_minions": ["a", "b", "c"], "pending": [], "active": {}, "done": "VALUE_TRIMMED", "failed": {}, "batch_size": 1}`} {
		batchCut(t, last)
	}
}

// batchCut checks what is made of a batch whose last event has this for its state.
func batchCut(t *testing.T, last string) {
	t.Helper()
	const head = `"jid": "20260102030405000001", "fun": "test.ping", "tgt": "*", "tgt_type": "glob", "driver": "cli"`
	var b *gaea.JobBatch
	for what, state := range map[string]string{
		"progress": `{"all_minions": ["a", "b", "c"], "pending": ["c"], "active": {"b": 1.5}, "done": {"a": {"ret": 1}}, "failed": {}, "batch_size": 1}`,
		"halted":   last,
	} {
		b = b.Merge(saltclient.Decode(event("salt/batch/20260102030405000001/"+what, `{`+head+`, "state": `+state+`}`)).Job.Batch)
	}
	if b.Status != gaea.JobBatchHalted || b.Minions != 3 || b.Done != 1 || b.Running != 1 || !slices.Equal(b.Untold, []string{"c"}) || b.Size != 1 {
		t.Errorf("it stands as %+v", b)
	}
}

func TestTheStateOfABatchInTheJobCacheTellsHowItStands(t *testing.T) {
	const state = `{"jid": "20260102030405000001", "all_minions": ["a", "b"], "pending": [], "active": {}, "done": {"a": {}, "b": {}}, "failed": {}, "batch_size": 1,
		"tgt": "*", "tgt_type": "glob", "halted": false, "halted_reason": null, "driver": "master", "last_progress": 1795389214.1127534}`
	b := saltclient.ParseBatchState("20260102030405000001", json.RawMessage(state))
	if b == nil || b.Status != gaea.JobBatchComplete || b.Done != 2 || b.Stamp.Year() != 2026 || b.Target.Expr != "*" {
		t.Errorf("got %+v", b)
	}
	for _, bad := range []string{``, `[]`, `{}`, `{"jid": "2", "all_minions": ["a"]}`, `{"all_minions": 7}`} {
		if b := saltclient.ParseBatchState("20260102030405000001", json.RawMessage(bad)); b != nil {
			t.Errorf("%s: got %+v", bad, b)
		}
	}
}
