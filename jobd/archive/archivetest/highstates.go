package archivetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// What highstates of benchmarks are like: 1,000 minions run 40 states every half hour, 100 times. In one return of twenty one
// state has changed.
const (
	HighstateMinions = 1000
	HighstateRuns    = 100
	highstateStates  = 40
	highstateEvery   = 30 * time.Minute
	changedOneIn     = 20
)

// highstateKinds are states as Salt writes them: what its key is made of, and what it says where nothing is to do. The first two
// name the minion.
var highstateKinds = []struct{ module, function, name, comment string }{
	{"file", "managed", "/etc/app/%[2]s/part-%[1]d.conf", "The file /etc/app/%[2]s/part-%[1]d.conf is in the correct state"},
	{"host", "present", "%[2]s", "Host %[2]s (10.0.0.%[1]d) already present"},
	{"file", "managed", "/etc/sysctl.d/%[1]d-net.conf", "The file /etc/sysctl.d/%[1]d-net.conf is in the correct state"},
	{"pkg", "installed", "package-%[1]d", "All specified packages are already installed"},
	{"service", "running", "daemon-%[1]d", "The service daemon-%[1]d is already running"},
	{"user", "present", "user%[1]d", "User user%[1]d is present and up to date"},
	{"cron", "present", "/usr/local/bin/job-%[1]d", "Cron /usr/local/bin/job-%[1]d already present"},
	{"file", "directory", "/srv/data/%[1]d", "The directory /srv/data/%[1]d is in the correct state"},
}

// Highstate is the body of a minion's highstate that began at a time, about 13 kB. Durations and start times differ each time.
func Highstate(r *rand.Rand, minion string, began time.Time) json.RawMessage {
	var b bytes.Buffer
	changed := -1
	if r.IntN(changedOneIn) == 0 {
		changed = r.IntN(highstateStates)
	}
	b.WriteByte('{')
	for i := range highstateStates {
		kind := &highstateKinds[2+i%(len(highstateKinds)-2)]
		if i < 2 {
			kind = &highstateKinds[i]
		}
		if i > 0 {
			b.WriteString(", ")
		}
		// Not every text has a place for the minion.
		name := fmt.Sprintf(kind.name+"%.0[2]s%.0[1]s", i, minion)
		comment, changes := fmt.Sprintf(kind.comment+"%.0[2]s%.0[1]s", i, minion), `{}`
		if i == changed {
			comment, changes = "Updated", fmt.Sprintf(`{"diff": "--- \n+++ \n@@ -1 +1 @@\n-old %d\n+new %d\n"}`, r.IntN(1000), r.IntN(1000))
		}
		took := time.Duration(r.ExpFloat64() * float64(30*time.Millisecond))
		fmt.Fprintf(&b, `"%[1]s_|-state-%[2]d_|-%[3]s_|-%[4]s": {"name": %[3]q, "changes": %[5]s, "result": true, "comment": %[6]q, "__sls__": "base.part%[7]d", `+
			`"__run_num__": %[2]d, "start_time": "%[8]s", "duration": %.3[9]f, "__id__": "state-%[2]d"}`,
			kind.module, i, name, kind.function, changes, comment, i/8, began.Format("15:04:05.000000"), float64(took.Microseconds())/1000)
		began = began.Add(took + time.Duration(r.IntN(3000))*time.Microsecond)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// BenchmarkHighstates tells how many bytes a store takes for each return of many highstates, which are mostly equal, and which
// share of the JSON that came that is. size is how large the database is, with everything in it, when all is stored.
func BenchmarkHighstates(b *testing.B, open func(b *testing.B) (s archive.Store, size func() int64)) {
	b.Helper()
	for b.Loop() {
		s, size := open(b)
		empty := size()
		r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in each run
		start, raw := time.Now().Add(-HighstateRuns*highstateEvery).Truncate(time.Second), 0
		for run := range HighstateRuns {
			at := start.Add(time.Duration(run) * highstateEvery)
			job := gaea.Job{
				JID: at.UTC().Format("20060102150405") + fmt.Sprintf("%06d", run), Function: "state.apply", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"},
				User: "root", Known: true, Started: at, Source: gaea.SourceBus,
			}
			for m := range HighstateMinions {
				job.Minions = append(job.Minions, BenchMinion(m))
			}
			batch := archive.Batch{Jobs: []gaea.Job{job}}
			for m, minion := range job.Minions {
				body := Highstate(r, minion, at.Add(time.Duration(r.IntN(2_000_000))*time.Microsecond))
				raw += len(body)
				batch.Returns = append(batch.Returns, Decode(job.JID, minion, "state.apply", `[]`, body, at.Add(time.Duration(2000+m)*time.Millisecond)))
				if len(batch.Returns) == BenchBatch {
					if err := s.WriteBatch(b.Context(), salt, batch); err != nil {
						b.Fatal(err)
					}
					batch = archive.Batch{}
				}
			}
		}
		stored := float64(size() - empty)
		b.ReportMetric(stored/(HighstateRuns*HighstateMinions), "B/return")
		b.ReportMetric(float64(raw)/(HighstateRuns*HighstateMinions), "raw-B/return")
		b.ReportMetric(stored/float64(raw), "of-raw")
	}
}
