package saltclient_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// judged is a return with what its body comes to. rest are further members of the event's data.
func judged(t *testing.T, fun, body, rest string) *gaea.Return {
	t.Helper()
	data := `{"id":"web1","jid":"20260102030405000000","fun":"` + fun + `","return":` + body + rest + `}`
	if !json.Valid([]byte(data)) {
		t.Fatalf("%s is no JSON", data)
	}
	d := saltclient.Decode(event("salt/job/20260102030405000000/ret/web1", data))
	if d.Return == nil {
		t.Fatalf("%s is no return", data)
	}
	return d.Return
}

// state is a state's entry in the return of a state run.
func state(key, fields string) string { return `"` + key + `":{` + fields + `}` }

func TestOutcomesOfStateRuns(t *testing.T) {
	const testRun = `,"fun_args":["motd",{"__kwarg__":true,"test":true}]`
	ok := state("file_|-a_|-a_|-managed", `"result":true,"changes":{}`)
	changed := state("file_|-b_|-b_|-managed", `"result":true,"changes":{"mode":"0644"}`)
	would := state("file_|-c_|-c_|-managed", `"result":null,"changes":{}`)
	wouldWithChanges := state("file_|-d_|-d_|-managed", `"result":null,"changes":{"diff":"New file"}`)
	failed := state("cmd_|-e_|-false_|-run", `"result":false,"changes":{"retcode":1},"comment":"Command \"false\" run"`)
	for name, row := range map[string]struct {
		states []string
		rest   string
		want   gaea.Outcome
		test   bool
	}{
		"all well":                  {[]string{ok}, `,"retcode":0,"success":true`, gaea.OutcomeInSync, false},
		"no retcode and no success": {[]string{ok}, ``, gaea.OutcomeInSync, false},
		"a change":                  {[]string{ok, changed}, ``, gaea.OutcomeChanged, false},
		"null without changes":      {[]string{ok, would}, testRun, gaea.OutcomeWouldChange, true},
		"null with changes":         {[]string{wouldWithChanges}, testRun, gaea.OutcomeWouldChange, true},
		"null in a run that nobody called a test": {[]string{ok, would}, ``, gaea.OutcomeWouldChange, true},
		"a change and null":                       {[]string{changed, would}, ``, gaea.OutcomeWouldChange, true},
		"true with changes in a test":             {[]string{changed}, testRun, gaea.OutcomeWouldChange, true},
		"in sync in a test":                       {[]string{ok}, testRun, gaea.OutcomeInSync, true},
		"a failure among changes":                 {[]string{changed, failed}, `,"retcode":2,"success":false`, gaea.OutcomeFailed, false},
		"a failure in a test":                     {[]string{would, failed}, testRun, gaea.OutcomeFailed, true},
		"a failure that retcode does not show":    {[]string{failed}, `,"retcode":0,"success":true`, gaea.OutcomeFailed, false},
		"a retcode that no state explains":        {[]string{ok}, `,"retcode":2`, gaea.OutcomeFailed, false},
		"success false that no state explains":    {[]string{ok}, `,"success":false`, gaea.OutcomeFailed, false},
		"no states at all":                        {nil, `,"retcode":0`, gaea.OutcomeInSync, false},
		"no states and a retcode":                 {nil, `,"retcode":2`, gaea.OutcomeFailed, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := judged(t, "state.apply", "{"+strings.Join(row.states, ",")+"}", row.rest)
			if r.Outcome != row.want || r.Test != row.test || len(r.States) != len(row.states) {
				t.Errorf("got %s, test %t, %d states", r.Outcome, r.Test, len(r.States))
			}
			if (r.Outcome == gaea.OutcomeFailed) != (r.Message != "") {
				t.Errorf("message %q", r.Message)
			}
		})
	}
}

func TestAStateRunThatAnswersWithWordsCouldNotRun(t *testing.T) {
	for name, row := range map[string]struct{ fun, body, message string }{
		"a list":                     {"state.apply", `["No matching sls found for 'nosuch' in env 'base'","and more"]`, "No matching sls found for 'nosuch' in env 'base'\nand more"},
		"a text":                     {"state.sls", `"The minion function caused an exception: Traceback\n"`, "The minion function caused an exception: Traceback"},
		"an unknown function":        {"state.highstate", `"'state.highstate' is not available."`, "'state.highstate' is not available."},
		"null":                       {"state.apply", `null`, "Salt returned null"},
		"false":                      {"state.apply", `false`, "Salt returned false"},
		"an empty list":              {"state.apply", `[]`, "Salt returned []"},
		"what salt-ssh's shell said": {"state.pkg", `{"retcode":255,"stdout":"","stderr":"Permission denied (publickey)."}`, "Permission denied (publickey)."},
		"a map that holds no states": {"state.apply", `{"a":1}`, `Salt returned {"a":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := judged(t, row.fun, row.body, "")
			if r.Outcome != gaea.OutcomeCouldNotRun || r.Message != row.message || r.States != nil {
				t.Errorf("got %s %q", r.Outcome, r.Message)
			}
		})
	}
}

func TestOutcomesOfOtherFunctions(t *testing.T) {
	for name, row := range map[string]struct {
		fun, body, rest string
		want            gaea.Outcome
		message         string
	}{
		"a truth":                        {"test.ping", `true`, ``, gaea.OutcomeSucceeded, ""},
		"false is an answer like others": {"file.file_exists", `false`, `,"retcode":0,"success":true`, gaea.OutcomeSucceeded, ""},
		"null":                           {"test.none", `null`, ``, gaea.OutcomeSucceeded, ""},
		"a retcode":                      {"cmd.run", `"out\nerr"`, `,"retcode":3`, gaea.OutcomeFailed, "return code 3: err"},
		"a retcode without words":        {"cmd.run", `""`, `,"retcode":1`, gaea.OutcomeFailed, "return code 1"},
		"a retcode and a map":            {"cmd.run_all", `{"stdout":"x"}`, `,"retcode":4`, gaea.OutcomeFailed, "return code 4"},
		"success false alone":            {"test.false", `{}`, `,"success":false`, gaea.OutcomeFailed, "Salt reports a failure"},
		"an exception":                   {"test.exception", `"The minion function caused an exception: Traceback (most recent call last):\n  File \"x\"\nException: boom\n"`, `,"retcode":1,"success":false`, gaea.OutcomeFailed, "return code 1: Exception: boom"},
		"an unknown function":            {"no.such", `"'no.such' is not available."`, `,"retcode":1,"success":false`, gaea.OutcomeCouldNotRun, "'no.such' is not available."},
		"a module that is not loaded":    {"mysql.query", `"'mysql' __virtual__ returned False: no library"`, `,"retcode":1,"success":false`, gaea.OutcomeCouldNotRun, "'mysql' __virtual__ returned False: no library"},
		"arguments that do not fit":      {"test.ping", `"Passed invalid arguments to test.ping: takes 0"`, `,"retcode":1,"success":false`, gaea.OutcomeCouldNotRun, "Passed invalid arguments to test.ping: takes 0"},
		"a file with such words":         {"cp.get_file_str", `"'x' is not available."`, `,"retcode":0`, gaea.OutcomeSucceeded, ""},
		"what only looks like states":    {"state.show_lowstate", `["x"]`, ``, gaea.OutcomeSucceeded, ""},
		"one state without a key":        {"state.low", `{"result":true,"changes":{}}`, `,"retcode":0`, gaea.OutcomeSucceeded, ""},
		"one failed state without a key": {"state.low", `{"result":false}`, `,"retcode":2`, gaea.OutcomeFailed, "return code 2"},
		"a retcode that is a text":       {"cmd.run", `""`, `,"retcode":"7"`, gaea.OutcomeFailed, "return code 7"},
		"a retcode that is none":         {"cmd.run", `""`, `,"retcode":null,"success":null`, gaea.OutcomeSucceeded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := judged(t, row.fun, row.body, row.rest)
			if r.Outcome != row.want || r.Message != row.message || r.States != nil || r.Test {
				t.Errorf("got %s %q", r.Outcome, r.Message)
			}
		})
	}
}

func TestSeveralFunctionsAtOnceFailWhereOneDoes(t *testing.T) {
	d := saltclient.Decode(event("salt/job/20260102030405000000/ret/web1",
		`{"id":"web1","fun":["test.ping","cmd.run"],"fun_args":[[],["false"]],"return":{"test.ping":true,"cmd.run":""},"retcode":{"test.ping":0,"cmd.run":1},"success":{"test.ping":true,"cmd.run":false}}`))
	r := d.Return
	if r.Function != "test.ping,cmd.run" || *r.Retcode != 1 || *r.Success || r.Outcome != gaea.OutcomeFailed {
		t.Errorf("got %+v", r)
	}
}

// What salt-ssh fires on the local master's bus for state.apply: the function that it runs over there, its arguments as plain
// texts, and no new event before it.
func TestStatesOverSaltSSHAreStates(t *testing.T) {
	body := `{` + state("file_|-/etc/motd_|-/etc/motd_|-managed", `"result":null,"changes":{"diff":"--- \n+++ \n@@ -1 +1 @@\n-a\n+b\n"},"comment":"set to be changed","name":"/etc/motd","__id__":"/etc/motd","__sls__":"motd","__run_num__":0,"duration":12.5`) + `}`
	r := judged(t, "state.pkg", body, `,"fun_args":["motd","test=True"],"retcode":0,"success":true`)
	if !r.Test || r.Outcome != gaea.OutcomeWouldChange || len(r.States) != 1 || r.States[0].Diff == "" {
		t.Errorf("got %+v", r)
	}
}

func TestNumbersAsKeysNaNAndBrokenTextComeThrough(t *testing.T) {
	body := msgp.AppendMapHeader([]byte("salt/job/20260102030405000000/ret/web1\n\n"), 5)
	body = msgp.AppendString(msgp.AppendString(body, "id"), "web1")
	body = msgp.AppendString(msgp.AppendString(body, "fun"), "my.data")
	body = msgp.AppendInt(msgp.AppendString(body, "retcode"), 0)
	body = msgp.AppendString(msgp.AppendString(body, "_stamp"), "2026-01-02T03:04:05.000006")
	body = msgp.AppendMapHeader(msgp.AppendString(body, "return"), 3)
	body = msgp.AppendString(msgp.AppendInt(body, 80), "http")
	body = msgp.AppendFloat64(msgp.AppendString(body, "load"), math.NaN())
	body = msgp.AppendString(msgp.AppendString(body, "raw"), "\xff\xfe")
	ev, err := new(saltclient.EventParser).Parse(body, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	r := saltclient.Decode(ev).Return
	if want := "{\"80\":\"http\",\"load\":\"NaN\",\"raw\":\"\uFFFD\uFFFD\"}"; string(r.Body) != want || !utf8.Valid(r.Body) {
		t.Errorf("got %s, want %s", r.Body, want)
	}
	if r.Outcome != gaea.OutcomeSucceeded || !r.Stamp.Equal(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)) {
		t.Errorf("got %+v", r)
	}
}

func TestMetadataNamesTheRun(t *testing.T) {
	r := judged(t, "test.ping", "true", `,"metadata":{"other":1,"gaea_run":"run-7"}`)
	if r.RunID != "run-7" || string(r.Metadata) != `{"other":1,"gaea_run":"run-7"}` {
		t.Errorf("got run %q, metadata %s", r.RunID, r.Metadata)
	}
	if r = judged(t, "test.ping", "true", `,"metadata":{}`); r.Metadata != nil || r.RunID != "" {
		t.Errorf("empty metadata became %s", r.Metadata)
	}
}

func TestLongMessagesAreCutAtACharacter(t *testing.T) {
	body, err := json.Marshal([]string{strings.Repeat("ä", 10_000)})
	if err != nil {
		t.Fatal(err)
	}
	r := judged(t, "state.apply", string(body), "")
	if len(r.Message) > 9000 || !utf8.ValidString(r.Message) || !strings.HasSuffix(r.Message, "ä …") {
		t.Errorf("a message of %d bytes, which ends in %q", len(r.Message), r.Message[len(r.Message)-10:])
	}
}

func TestAnEntryOfTheJobCacheIsJudgedAsTheEventIs(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			for _, ev := range captured(t, version) {
				want := saltclient.Decode(ev).Return
				if want == nil {
					continue
				}
				job := &gaea.Job{JID: want.JID, Function: want.Function, Args: want.Args, Metadata: want.Metadata, RunID: want.RunID}
				entry := map[string]any{"return": want.Body}
				if want.Retcode != nil {
					entry["retcode"] = *want.Retcode
				}
				if want.Success != nil {
					entry["success"] = *want.Success
				}
				packed, err := json.Marshal(entry)
				if err != nil {
					t.Fatal(err)
				}
				got := saltclient.ParseCachedReturn(job, want.Minion, packed)
				if got.Outcome != want.Outcome || got.Message != want.Message || got.Test != want.Test || len(got.States) != len(want.States) || got.Source != gaea.SourceCache {
					t.Errorf("%s: got %s %q, want %s %q", ev.Tag, got.Outcome, got.Message, want.Outcome, want.Message)
				}
			}
		})
	}
}

func TestAnEntryOfTheJobCacheInTheOldFormIsTheReturn(t *testing.T) {
	r := saltclient.ParseCachedReturn(&gaea.Job{JID: "1", Function: "test.ping"}, "web1", json.RawMessage(`true`))
	if string(r.Body) != "true" || r.Outcome != gaea.OutcomeSucceeded {
		t.Errorf("got %+v", r)
	}
	r = saltclient.ParseCachedReturn(&gaea.Job{JID: "1", Function: "grains.items"}, "web1", json.RawMessage(`{"os":"Debian"}`))
	if string(r.Body) != `{"os":"Debian"}` {
		t.Errorf("got %+v", r)
	}
}

func TestJobsThatARunnerLists(t *testing.T) {
	listed := json.RawMessage(`{"jid":"20260102030405000000","Function":"state.apply","Arguments":["motd",{"__kwarg__":true,"test":true}],
		"Target":"web*","Target-type":"glob","User":"jobd","Metadata":{"gaea_run":"run-1"},"Minions":["web2","web1"],"StartTime":"2026, Jan 02 03:04:05.000000",
		"Result":{"web2":{"return":["No matching sls"],"retcode":1,"success":false},"web1":{"return":{},"retcode":0,"success":true}}}`)
	job, trimmed := saltclient.ParseListedJob(listed)
	if len(trimmed) != 0 || job.Job.RunID != "run-1" || !job.Job.Test || !slices.Equal(job.Job.Minions, []string{"web1", "web2"}) || job.Job.Source != gaea.SourceCache {
		t.Errorf("got %+v, trimmed %q", job.Job, trimmed)
	}
	if len(job.Returns) != 2 || job.Returns[0].Minion != "web1" || job.Returns[0].Outcome != gaea.OutcomeInSync || job.Returns[1].Outcome != gaea.OutcomeCouldNotRun || job.Returns[1].RunID != "run-1" {
		t.Errorf("got %+v", job.Returns)
	}
	if job, _ := saltclient.ParseListedJob(json.RawMessage(`{"jid":"1","Error":"Cannot contact returner or no job with this jid","Result":{}}`)); job != nil {
		t.Errorf("a job that is not there became %+v", job)
	}
}

func TestReturnsThatAMasterTrimmedAreNotTakenForWhole(t *testing.T) {
	job, trimmed := saltclient.ParseListedJob(json.RawMessage(`{"jid":"1","Function":"cmd.run","Arguments":[],"Target":"*","Target-type":"glob","User":"root",
		"Result":{"web1":{"return":"VALUE_TRIMMED","retcode":0},"web2":{"return":"x","retcode":0}}}`))
	if !slices.Equal(trimmed, []string{"web1"}) || len(job.Returns) != 1 || job.Returns[0].Minion != "web2" {
		t.Errorf("got %+v, trimmed %q", job, trimmed)
	}
	job, trimmed = saltclient.ParseListedJob(json.RawMessage(`{"jid":"VALUE_TRIMMED","Function":"VALUE_TRIMMED","Result":{"web1":{"return":"VALUE_TRIMMED"}}}`))
	if job != nil || !slices.Equal(trimmed, []string{"web1"}) {
		t.Errorf("got %+v, trimmed %q", job, trimmed)
	}
}

func TestJobIDsThatARunnerListsAreThoseOfMinions(t *testing.T) {
	got := saltclient.ParseListedJIDs(json.RawMessage(`{"2":{"Function":"test.ping"},"1":{"Function":"VALUE_TRIMMED"},"3":{"Function":"runner.jobs.list_jobs"},"4":{"Function":"wheel.key.list_all"}}`))
	if slices.Sort(got); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("got %q", got)
	}
}
