package saltclient_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// What is made of any msgpack is valid JSON within the bounds, and what is refused is refused without a panic.
func FuzzAppendJSON(f *testing.F) {
	for _, version := range versions {
		for _, body := range bodies(f, version) {
			if len(body) < 10_000 {
				_, msg, _ := strings.Cut(string(body), "\n\n")
				f.Add([]byte(msg))
			}
		}
	}
	f.Add([]byte{0x82, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0, 0xc3, 0x91, 0xd4, 78, 0x41, 0xc0})
	lim := saltclient.Limits{Depth: 20, Output: 1 << 20}
	f.Fuzz(func(t *testing.T, msg []byte) {
		out, rest, err := saltclient.AppendJSON(nil, msg, lim)
		if err != nil {
			return
		}
		if len(out) > lim.Output || !json.Valid(out) || !utf8.Valid(out) {
			t.Errorf("%d bytes of JSON: %q", len(out), out)
		}
		if !strings.HasSuffix(string(msg), string(rest)) {
			t.Errorf("the rest is %q", rest)
		}
	})
}

// Any body is an event with valid data or an error, and every event means something that can be stored.
func FuzzEvent(f *testing.F) {
	for _, version := range versions {
		for _, body := range bodies(f, version) {
			if len(body) < 10_000 {
				f.Add(body)
			}
		}
	}
	parser := saltclient.EventParser{Limits: saltclient.Limits{Depth: 20, Output: 1 << 20}}
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, err := parser.Parse(body, time.Unix(0, 0))
		if err != nil {
			return
		}
		if ev.Tag == "" || !utf8.ValidString(ev.Tag) || ev.Stamp.IsZero() || !json.Valid(ev.Data) || !utf8.Valid(ev.Data) {
			t.Fatalf("got %+v", ev)
		}
		storable(t, saltclient.Decode(ev))
	})
}

// Any JSON, valid or not, is decoded without a panic, and where it was valid everything that comes of it is.
func FuzzDecode(f *testing.F) {
	for _, version := range versions {
		for _, ev := range captured(f, version) {
			if len(ev.Data) < 10_000 {
				f.Add(ev.Tag, string(ev.Data))
			}
		}
	}
	f.Add("salt/job/1/ret/a", `{"fun":"state.apply","return":{"a_|-b_|-c_|-d":{"changes":{"x":{"diff":"@@ -"}},"result":null}}}`)
	f.Fuzz(func(t *testing.T, tag, data string) {
		d := saltclient.Decode(gaea.Event{Tag: tag, Data: json.RawMessage(data)})
		if json.Valid([]byte(data)) && utf8.ValidString(tag) && utf8.ValidString(data) {
			storable(t, d)
		}
	})
}

// A state run's return is judged by its states, whatever they are called and hold.
func FuzzStates(f *testing.F) {
	for _, version := range versions {
		for _, ev := range captured(f, version) {
			if r := saltclient.Decode(ev).Return; r != nil && len(r.States) > 0 {
				f.Add(string(r.Body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := &gaea.Return{Function: "state.apply", Body: json.RawMessage(body)}
		saltclient.ReturnOutcome(r)
		valid := json.Valid(r.Body) && utf8.Valid(r.Body)
		for _, s := range r.States {
			if s.Outcome == gaea.OutcomeFailed && r.Outcome != gaea.OutcomeFailed {
				t.Errorf("state %q failed and the run is %s", s.Key, r.Outcome)
			}
			if module, _, _, function := saltclient.ParseStateKey(s.Key); module != s.Module || function != s.Function {
				t.Errorf("%q is %s.%s", s.Key, s.Module, s.Function)
			}
		}
		if valid {
			storable(t, saltclient.Decoded{Return: r})
		}
	})
}

// storable checks what the archive relies on: everything can be written as JSON, and an outcome is there.
func storable(t *testing.T, d saltclient.Decoded) {
	t.Helper()
	for _, v := range []any{d.Job, d.Publication, d.Return} {
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("%+v: %v", v, err)
		}
	}
	if d.Return != nil && (d.Return.Outcome == "" || !utf8.ValidString(d.Return.Message)) {
		t.Errorf("got %+v", d.Return)
	}
}

// What a job cache holds, on disk or told by a runner, is read without a panic whatever it is, and what is read can be stored.
func FuzzCachedJobs(f *testing.F) {
	f.Add(`{"fun":"test.ping","arg":[],"tgt":"*","tgt_type":"glob","jid":"20260102030405000006","user":"root"}`, `{"return":true,"retcode":0,"success":true}`)
	f.Add(`{"Function":"state.apply","Target":["web1"],"Target-type":"list","Minions":["web1"],"Result":{"web1":{"return":{"a_|-b_|-c_|-d":{"result":true}},"retcode":0}}}`, `true`)
	f.Add(`{"fun":"runner.state.orch","fun_args":["x"]}`, `{"return":{"jid":"1","fun":"runner.state.orch","return":{"data":{}}}}`)
	f.Add(`{"batch":"2","all_minions":["a"],"done_minions":{}}`, `"VALUE_TRIMMED"`)
	f.Fuzz(func(t *testing.T, load, entry string) {
		ok := json.Valid([]byte(load)) && json.Valid([]byte(entry)) && utf8.ValidString(load) && utf8.ValidString(entry)
		check := func(d saltclient.Decoded) {
			if ok {
				storable(t, d)
			}
		}
		saltclient.ParseListedJIDs(json.RawMessage(load))
		saltclient.ParseLastJob(json.RawMessage(load))
		saltclient.ParseBatchState("1", json.RawMessage(load))
		if listed, _ := saltclient.ParseListedJob(json.RawMessage(load)); listed != nil {
			check(saltclient.Decoded{Job: &listed.Job})
			for k := range listed.Returns {
				check(saltclient.Decoded{Return: &listed.Returns[k]})
			}
		}
		job := saltclient.ParseLoad(json.RawMessage(load))
		if job == nil {
			return
		}
		r := saltclient.ParseCachedReturn(job, "web1", json.RawMessage(entry))
		check(saltclient.Decoded{Job: job, Return: &r})
	})
}
