package archivetest

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

//go:embed testdata/bus-*.ndjson
var captures embed.FS

// SaltVersions are the versions of Salt whose event bus was captured.
func SaltVersions() []string { return []string{"3006.27", "3008.3"} }

// Captured is what jobd makes of everything that a master of a version said on its bus, in order.
func Captured(tb testing.TB, version string) archive.Batch {
	tb.Helper()
	raw, err := captures.ReadFile("testdata/bus-" + version + ".ndjson")
	if err != nil {
		tb.Fatal(err)
	}
	var b archive.Batch
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Tag  string          `json:"tag"`
			Data json.RawMessage `json:"data"`
		}
		var stamp struct {
			Stamp string `json:"_stamp"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			tb.Fatal(err)
		}
		if err := json.Unmarshal(line.Data, &stamp); err != nil {
			tb.Fatal(err)
		}
		ev := gaea.Event{Tag: line.Tag, Stamp: parseStamp(tb, stamp.Stamp), Data: line.Data}
		switch d := saltclient.Decode(ev); {
		case d.Job != nil:
			b.Jobs = append(b.Jobs, *d.Job)
		case d.Publication != nil:
			b.Jobs = append(b.Jobs, *d.Publication)
		case d.Return != nil:
			if d.Return.Minion == "" { // a runner's
				d.Return.Minion = "vm_master"
			}
			b.Returns = append(b.Returns, *d.Return)
		case d.Other:
			b.Events = append(b.Events, ev)
		}
	}
	return b
}

func parseStamp(tb testing.TB, s string) time.Time {
	tb.Helper()
	for _, layout := range []string{"2006-01-02T15:04:05.999999-07:00", "2006-01-02T15:04:05.999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	tb.Fatalf("%q is no stamp", s)
	return time.Time{}
}

// CapturedReturns are the returns of [Captured].
func CapturedReturns(tb testing.TB, version string) []gaea.Return {
	tb.Helper()
	return Captured(tb, version).Returns
}

// StateBody is the body of a state run in which nothing had to change, about 500 bytes a state. Bodies of different minions
// or variants differ; those of the same differ in durations and start times only, which depend on tick.
func StateBody(minion string, states, variant, tick int) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range states {
		if i > 0 {
			b.WriteString(", ")
		}
		path := fmt.Sprintf("/etc/app.d/%s/part-%d.conf", minion, i)
		fmt.Fprintf(&b, `"file_|-app-part-%d_|-%s_|-managed": {"changes": {}, "comment": "The file %s is in the correct state (revision %d). `+
			`It belongs to the role of this machine and was rendered from salt://app/files/part-%d.conf.jinja with the defaults of its environment.", `+
			`"name": "%s", "result": true, "__sls__": "app.parts", "__run_num__": %d, "start_time": "%02d:%02d:%02d.%06d", "duration": %d.%03d, "__id__": "app-part-%d"}`,
			i, path, path, variant, i, path, i, tick/3600%24, tick/60%60, tick%60, tick%1_000_000, tick%40, tick%1000, i)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// StateReturn is a return with the body of [StateBody], decoded.
func StateReturn(jid, minion string, states, variant, tick int, stamp time.Time) gaea.Return {
	return Decode(jid, minion, "state.apply", `["app"]`, StateBody(minion, states, variant, tick), stamp)
}

// Decode is a return as jobd decodes it from the bus.
func Decode(jid, minion, function, args string, body json.RawMessage, stamp time.Time) gaea.Return {
	data := fmt.Sprintf(`{"cmd": "_return", "id": %q, "success": true, "return": %s, "retcode": 0, "jid": %q, "fun": %q, "fun_args": %s, "out": "highstate"}`,
		minion, body, jid, function, args)
	d := saltclient.Decode(gaea.Event{Tag: "salt/job/" + jid + "/ret/" + minion, Stamp: stamp, Data: json.RawMessage(data)})
	if d.Return == nil {
		panic("no return: " + data) // the text is right
	}
	return *d.Return
}

// jid is the id of the n-th job of a test.
func jid(n int) string { return fmt.Sprintf("20260301%012d", n) }

// newJob is a known job of test.ping at so many seconds after noon, on minions.
func newJob(n int, minions ...string) gaea.Job {
	return gaea.Job{
		JID: jid(n), Function: "test.ping", Args: json.RawMessage(`[]`), Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"},
		User: "root", Minions: minions, Started: at(n), Source: gaea.SourceBus, Known: true,
	}
}

// newReturn is a return of test.ping from a job of newJob, a second later.
func newReturn(n int, minion string) gaea.Return {
	return gaea.Return{
		JID: jid(n), Minion: minion, Function: "test.ping", Args: json.RawMessage(`[]`), Outcome: gaea.OutcomeSucceeded,
		Retcode: new(0), Success: new(true), Body: json.RawMessage(`true`), Stamp: at(n + 1), Source: gaea.SourceBus,
	}
}

// stateReturn is the return of a state run of a job of newJob, with one state that has an outcome, as evidence for a key.
func stateReturn(n int, minion, key string, outcome gaea.Outcome) gaea.Return {
	r := newReturn(n, minion)
	result := map[gaea.Outcome]string{gaea.OutcomeWouldChange: "null", gaea.OutcomeFailed: "false"}[outcome]
	changes := `{}`
	if result == "" {
		result = "true"
	}
	if outcome == gaea.OutcomeChanged || outcome == gaea.OutcomeWouldChange {
		changes = `{"diff": "--- \n+++ \n@@ -1 +1 @@\n-a\n+b\n"}`
	}
	body := fmt.Sprintf(`{"file_|-motd_|-/etc/motd_|-managed": {"changes": %s, "comment": "%s", "name": "/etc/motd", "result": %s, "__sls__": "motd", "__run_num__": 0, "start_time": "12:00:00", "duration": %d.5, "__id__": "motd"},`+
		` "test_|-calm_|-calm_|-nop": {"changes": {}, "comment": "Success!", "name": "calm", "result": true, "__sls__": "motd", "__run_num__": 1, "start_time": "12:00:00", "duration": 0.5, "__id__": "calm"}}`,
		changes, outcome, result, n)
	r.Function, r.Args, r.Body = "state.apply", json.RawMessage(`["motd", {"test": true}]`), json.RawMessage(body)
	saltclient.ReturnOutcome(&r)
	r.Outcome, r.StateKey, r.Test = outcome, key, outcome != gaea.OutcomeChanged
	r.States[0].Outcome = outcome
	return r
}
