package saltclient_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// What the scenario of the captures comes to, by what was called: the outcome of every minion, and words of its message.
func TestEveryCapturedReturnHasItsOutcome(t *testing.T) {
	want := map[string][]string{ // the outcomes of a call in the order in which it was made
		`test.ping []`:                                         {"succeeded"},
		`grains.item ["os","role"]`:                            {"succeeded"},
		`state.apply ["motd",{kwargs test=true}]`:              {"would_change", "in_sync", "in_sync would_change", "could_not_run"},
		`state.apply ["motd"]`:                                 {"changed"},
		`state.apply ["mixed",{kwargs test=true}]`:             {"would_change"},
		`state.apply ["mixed"]`:                                {"failed"},
		`state.apply ["nosuch"]`:                               {"could_not_run"},
		`state.apply ["broken",{kwargs test=true}]`:            {"could_not_run"},
		`state.apply ["motd","test=True"]`:                     {"would_change"},
		`state.highstate [{kwargs test=true}]`:                 {"in_sync would_change"},
		`state.sls ["motd",{kwargs test=true,more}]`:           {"in_sync would_change"},
		`cmd.run ["echo out; echo err \u003e\u00262; exit 3"]`: {"failed"},
		`cmd.run ["printf \"\\377\\376bin\""]`:                 {"succeeded"},
		`cmd.run ["head -c 300000 /dev/zero | tr \"\\0\" x"]`:  {"succeeded"},
		`no.such []`:              {"could_not_run"},
		`test.exception ["boom"]`: {"failed"},
	}
	short := strings.NewReplacer(`{"__kwarg__":true,"test":true}`, `{kwargs test=true}`,
		`{"__kwarg__":true,"test":true,"queue":false,"concurrent":false}`, `{kwargs test=true,more}`,
		`>`, `\u003e`, `&`, `\u0026`)
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			jobs := map[string]map[string]bool{} // the outcomes of each job
			calls := map[string][]string{}       // the jobs of each call
			for _, ev := range captured(t, version) {
				r := saltclient.Decode(ev).Return
				if r == nil {
					continue
				}
				if jobs[r.JID] == nil {
					call := r.Function + " " + short.Replace(string(r.Args))
					calls[call] = append(calls[call], r.JID)
					jobs[r.JID] = map[string]bool{}
				}
				jobs[r.JID][string(r.Outcome)] = true
			}
			for call, outcomes := range want {
				var got []string
				for _, jid := range calls[call] {
					got = append(got, strings.Join(slices.Sorted(maps.Keys(jobs[jid])), " "))
				}
				if call == "test.ping []" { // pings came again and again
					got = slices.Compact(got)
				}
				if !slices.Equal(got, outcomes) {
					t.Errorf("%s: got %q, want %q", call, got, outcomes)
				}
			}
		})
	}
}

// find returns the first captured return for which a function says yes.
func find(t *testing.T, version string, is func(*gaea.Return) bool) *gaea.Return {
	t.Helper()
	for _, ev := range captured(t, version) {
		if r := saltclient.Decode(ev).Return; r != nil && is(r) {
			return r
		}
	}
	t.Fatal("no such return in the capture")
	return nil
}

func TestAReturnTellsWhatAMinionSent(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			r := find(t, version, func(r *gaea.Return) bool { return r.Function == "cmd.run" && r.Outcome == gaea.OutcomeFailed })
			if !gaea.ValidJID(r.JID) || r.Minion == "" || r.Source != gaea.SourceBus || r.Stamp.Year() != 2026 || r.Master != "" {
				t.Errorf("got %+v", r)
			}
			if *r.Retcode != 3 || *r.Success || string(r.Body) != `"out\nerr"` || r.Message != "return code 3: err" {
				t.Errorf("got retcode %d, success %t, body %s, message %q", *r.Retcode, *r.Success, r.Body, r.Message)
			}
		})
	}
}

func TestSaltCallSendsNoSuccess(t *testing.T) {
	for _, version := range versions {
		r := find(t, version, func(r *gaea.Return) bool { return r.Success == nil })
		if r.Function != "state.apply" || r.Outcome != gaea.OutcomeWouldChange || !r.Test || len(r.States) != 1 {
			t.Errorf("%s: got %+v", version, r)
		}
	}
}

func TestAMinionWhoseLockIsHeldIsBusy(t *testing.T) {
	for _, version := range versions {
		r := find(t, version, func(r *gaea.Return) bool {
			return strings.Contains(string(r.Body), "is running as PID") && r.Function == "state.apply"
		})
		if !r.Busy() || len(r.States) != 0 {
			t.Errorf("%s: got outcome %s, message %q", version, r.Outcome, r.Message)
		}
	}
}

func TestTheMixedRunHasItsStatesInTheOrderTheyRan(t *testing.T) {
	for _, version := range versions {
		r := find(t, version, func(r *gaea.Return) bool { return string(r.Args) == `["mixed"]` })
		var got []string
		for _, s := range r.States {
			got = append(got, fmt.Sprintf("%d %s.%s %s %s", s.RunNum, s.Module, s.Function, s.ID, s.Outcome))
		}
		want := []string{
			"1 cmd.run bad-cmd failed", "2 test.nop after-bad failed", "3 test.configurable_test_state warned changed",
			"4 service.running svc in_sync",
		}
		if !strings.HasPrefix(got[0], "0 file.managed ok-file ") || !slices.Equal(got[1:], want) {
			t.Errorf("%s: got %q", version, got)
		}
		if !strings.Contains(r.Message, "cmd.run bad-cmd: Command \"false\" run\ntest.nop after-bad: One or more requisite failed: mixed.bad-cmd") {
			t.Errorf("%s: message %q", version, r.Message)
		}
	}
}

func TestATamperedFileShowsItsDiff(t *testing.T) {
	for _, version := range versions {
		r := find(t, version, func(r *gaea.Return) bool { return len(r.States) == 1 && r.States[0].Diff != "" })
		s := r.States[0]
		if s.Diff != "--- \n+++ \n@@ -1 +1 @@\n-tampered\n+hello from gaea\n" || s.Result != nil || s.Outcome != gaea.OutcomeWouldChange {
			t.Errorf("%s: got %+v", version, s)
		}
		if s.Module != "file" || s.Function != "managed" || !strings.HasPrefix(s.ID, "/srv/demo1/motd-") || s.Name != s.ID || s.SLS != "motd" || s.Duration <= 0 {
			t.Errorf("%s: got %+v", version, s)
		}
	}
}

func TestAPublicationTellsItsTargetAndMinions(t *testing.T) {
	var jobs []*gaea.Job
	for _, ev := range captured(t, "3008.3") {
		if d := saltclient.Decode(ev); d.Job != nil {
			jobs = append(jobs, d.Job)
		}
	}
	first := jobs[0]
	want := gaea.Job{
		JID: "20261122231254396971", Function: "test.ping", Args: json.RawMessage("[]"), User: "root",
		Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Minions: []string{"m1", "m2", "m3"},
		Started: time.Date(2026, 11, 22, 23, 12, 54, 397497000, time.UTC), Source: gaea.SourceBus, Known: true, Origin: gaea.OriginPublish,
	}
	if !reflect.DeepEqual(*first, want) {
		t.Errorf("got %+v, want %+v", *first, want)
	}
	list := slices.IndexFunc(jobs, func(j *gaea.Job) bool { return j.Target.Type == gaea.TargetList })
	if got := jobs[list].Target; !slices.Equal(got.Minions, []string{"m1"}) || got.Expr != "" {
		t.Errorf("the list target is %+v", got)
	}
	test := slices.IndexFunc(jobs, func(j *gaea.Job) bool { return j.Test })
	if jobs[test].Function != "state.apply" {
		t.Errorf("the first test run is %+v", jobs[test])
	}
}

func TestEventsThatRepeatOthersComeToNothing(t *testing.T) {
	for _, version := range versions {
		kept := map[string]int{}
		for _, ev := range captured(t, version) {
			d := saltclient.Decode(ev)
			if set := count(d.Job != nil, d.Publication != nil, d.Return != nil, d.Other); set > 1 {
				t.Errorf("%s is %d things at once", ev.Tag, set)
			}
			if d.Other {
				kept[strings.Join(strings.Split(ev.Tag, "/")[:min(2, strings.Count(ev.Tag, "/")+1)], "/")]++
			}
		}
		for _, never := range []string{"minion_start", "minion/refresh", "resource/refresh", "salt/job"} {
			if kept[never] > 0 {
				t.Errorf("%s: %s was kept %d times", version, never, kept[never])
			}
		}
		for _, always := range []string{"salt/minion", "salt/auth", "salt/run", "my/custom", "_salt_error"} {
			if kept[always] == 0 {
				t.Errorf("%s: %s was not kept", version, always)
			}
		}
	}
}

func count(truths ...bool) (n int) {
	for _, t := range truths {
		if t {
			n++
		}
	}
	return n
}

func event(tag, data string) gaea.Event {
	return gaea.Event{Tag: tag, Stamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Data: json.RawMessage(data)}
}

func TestEventsNameTheirMinion(t *testing.T) {
	for tag, row := range map[string]struct {
		data, want string
		other      bool
	}{
		"salt/beacon/web1/load/":                  {`{"id": "web1"}`, "web1", true},
		"salt/beacon/web2/inotify//etc/x":         {`{}`, "web2", true},
		"salt/minion/web3/start":                  {`{"data": "x"}`, "web3", true},
		"salt/presence/present":                   {`{"present": ["a"]}`, "", true},
		"my/tag":                                  {`{"id": "web4"}`, "web4", true},
		"salt/key":                                {`{"id": 7}`, "", true},
		"salt/job/20260102030405000000/ret/web5":  {`{"id":"web5","fun":"test.ping","return":true}`, "web5", false},
		"20260102030405000000":                    {`{"minions": ["a"]}`, "", false},
		"20260102030405":                          {`{"minions": ["a"]}`, "", true},
		"salt/run/20260102030405000000/new":       {`{"fun": "runner.jobs.list_jobs"}`, "", false},
		"salt/run/20260102030405000001/new":       {`{"fun": "runner.manage.up"}`, "", false},
		"salt/run/20260102030405000001/args":      {`{"type": "function", "tgt": "*"}`, "", true},
		"salt/batch/20260102030405000001/stop":    {`{"reason": "stop"}`, "", true},
		"salt/job/nocache/ret/web6":               {`{"id": "web6", "cmd": "_return", "fun": "test.ping", "return": true}`, "web6", true},
		"salt/job/20260102030405000000/new":       {`{"note": "not a job"}`, "", true},
		"salt/job/20260102030405000000/ret/":      {`{"fun":"test.ping","return":true}`, "", true},
		"salt/job/20260102030405000000/ret/a/b/c": {`{"return": "a minion has no slash in its id"}`, "a/b/c", false},
	} {
		d := saltclient.Decode(event(tag, row.data))
		if d.Minion != row.want || d.Other != row.other || d.Tag != tag {
			t.Errorf("%s: got minion %q, other %t", tag, d.Minion, d.Other)
		}
	}
}

func TestAMinionCannotSendAReturnForAnother(t *testing.T) {
	// What event.send makes of a tag that looks like a return.
	d := saltclient.Decode(event("salt/job/20260102030405000000/ret/db1",
		`{"id":"web1","tag":"salt/job/20260102030405000000/ret/db1","cmd":"_minion_event","data":{"fun":"test.ping","return":true}}`))
	if d.Return != nil || !d.Other || d.Minion != "web1" {
		t.Errorf("got %+v", d)
	}
}

func TestThePublishEventHasTheMetadataThatTheNewEventLacks(t *testing.T) {
	d := saltclient.Decode(event("salt/job/20260102030405000000/publish",
		`{"fun":"test.ping","arg":[],"tgt":"web*","jid":"20260102030405000000","ret":"","tgt_type":"glob","user":"jobd","metadata":{"gaea_run":"run-1","why":"test"}}`))
	if d.Job != nil || d.Publication == nil {
		t.Fatalf("got %+v", d)
	}
	if p := d.Publication; p.RunID != "run-1" || string(p.Metadata) != `{"gaea_run":"run-1","why":"test"}` || p.Minions != nil || p.User != "jobd" {
		t.Errorf("got %+v", p)
	}
}

func TestTargetsAreReadInEveryFormThatSaltWritesThem(t *testing.T) {
	for name, row := range map[string]struct {
		load string
		want gaea.Target
	}{
		"a list":                   {`"tgt_type":"list","tgt":["b","a"]`, gaea.Target{Type: "list", Minions: []string{"a", "b"}}},
		"a list as one text":       {`"tgt_type":"list","tgt":"b, a,"`, gaea.Target{Type: "list", Minions: []string{"a", "b"}}},
		"a compound":               {`"tgt_type":"compound","tgt":"G@os:Debian and web*"`, gaea.Target{Type: "compound", Expr: "G@os:Debian and web*"}},
		"a compound in words":      {`"tgt_type":"compound","tgt":["(","L@a,b",")"]`, gaea.Target{Type: "compound", Expr: "( L@a,b )"}},
		"no type":                  {`"tgt":"web1"`, gaea.Target{Type: "glob", Expr: "web1"}},
		"a number for a target":    {`"tgt":7`, gaea.Target{Type: "glob", Expr: "7"}},
		"nothing":                  {`"tgt_type":"glob","tgt":null`, gaea.Target{Type: "glob"}},
		"a type that is not known": {`"tgt_type":"future","tgt":"x"`, gaea.Target{Type: "future", Expr: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			j := saltclient.ParseLoad(json.RawMessage(`{"fun":"test.ping",` + row.load + `}`))
			if !reflect.DeepEqual(j.Target, row.want) {
				t.Errorf("got %+v", j.Target)
			}
		})
	}
}

func TestTestModeIsFoundInEveryFormOfArguments(t *testing.T) {
	for call, want := range map[string]bool{
		`state.apply ["motd",{"__kwarg__":true,"test":true}]`:            true,
		`state.apply ["motd",{"test":true,"__kwarg__":true}]`:            true,
		`state.apply [{"__kwarg__":true,"test":"True"}]`:                 true,
		`state.apply ["motd","test=True"]`:                               true,
		`state.pkg ["motd","test=true"]`:                                 true,
		`state.test ["motd"]`:                                            true,
		`state.highstate [true]`:                                         true,
		`state.sls ["motd",true]`:                                        true,
		`state.sls ["motd","True"]`:                                      true,
		`state.single ["file.absent","/x",1]`:                            true,
		`state.apply ["motd",{"__kwarg__":true,"test":false}]`:           false,
		`state.apply ["motd",{"__kwarg__":true,"test":null}]`:            false,
		`state.apply ["motd",{"test":true}]`:                             false,
		`state.apply ["motd","test=False"]`:                              false,
		`state.apply ["test"]`:                                           false,
		`state.apply [true]`:                                             false,
		`state.highstate []`:                                             false,
		`state.apply ["motd",{"__kwarg__":true,"pillar":{"test":true}}]`: false,
		`cmd.run ["x",{"__kwarg__":true,"test":true}]`:                   false,
	} {
		fun, args, _ := strings.Cut(call, " ")
		j := saltclient.ParseLoad(json.RawMessage(`{"fun":"` + fun + `","arg":` + args + `}`))
		if j.Test != want {
			t.Errorf("%s: got %t", call, j.Test)
		}
	}
}

func TestAnEventThatTheMasterTrimmedIsToldAsSuch(t *testing.T) {
	d := saltclient.Decode(event("salt/job/20260102030405000000/ret/web1",
		`{"id":"web1","jid":"20260102030405000000","fun":"cmd.run","fun_args":["x"],"retcode":0,"success":true,"return":"VALUE_TRIMMED"}`))
	if !d.Trimmed || d.Return.Outcome != gaea.OutcomeSucceeded {
		t.Errorf("got %+v", d)
	}
	d = saltclient.Decode(event("salt/job/20260102030405000000/ret/web1",
		`{"id":"VALUE_TRIMMED","jid":"VALUE_TRIMMED","fun":"VALUE_TRIMMED","retcode":"VALUE_TRIMMED","success":"VALUE_TRIMMED","return":{"a":"VALUE_TRIMMED"}}`))
	r := d.Return
	if !d.Trimmed || r.JID != "20260102030405000000" || r.Minion != "web1" || r.Function != "" || r.Outcome != gaea.OutcomeNoReturn || !strings.Contains(r.Message, "max_event_size") {
		t.Errorf("got %+v", r)
	}
	if bytes.Contains(r.Args, []byte(saltclient.Trimmed)) {
		t.Errorf("arguments %s", r.Args)
	}
}
