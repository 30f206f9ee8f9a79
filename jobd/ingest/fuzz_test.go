package ingest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

// Whatever a disk has made of the spill is refused, or is records that stay the same when they are written down once more.
func FuzzSpilledRecords(f *testing.F) {
	stamp := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	retcode := 2
	whole, err := ingest.WriteDown(
		[]gaea.Job{{Master: "m", JID: "20260102030405000006", Function: "state.apply", Args: json.RawMessage(`["a",{"b":1.0}]`), Started: stamp, Known: true, StateKey: "k", Minions: []string{"web1"}}},
		[]gaea.Return{{Master: "m", JID: "20260102030405000006", Minion: "web1", Function: "state.apply", Outcome: gaea.OutcomeFailed, Retcode: &retcode,
			Body: json.RawMessage(`{"a":"<\u2028>"}`), Stamp: stamp, Source: gaea.SourceBus, StateKey: "k", Truncated: &gaea.Truncation{Size: 9, SHA256: "ab", Dropped: 1}}},
		[]gaea.Event{{Tag: "my/event", Stamp: stamp, Data: json.RawMessage(`{"n":1e400}`), Suspect: "why"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"returns":[{"body":null,"stamp":"0001-01-01T00:00:00Z"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		once, n, err := ingest.Rewrite(body)
		if err != nil || n == 0 {
			return
		}
		twice, again, err := ingest.Rewrite(once)
		if err != nil || again != n || string(twice) != string(once) {
			t.Errorf("%d records are %d when they are read again (%v):\n%s\n%s", n, again, err, once, twice)
		}
	})
}
