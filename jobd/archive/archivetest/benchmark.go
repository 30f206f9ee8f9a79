package archivetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// What benchmarks of stores write: state returns of 1.5 kB.
const (
	BenchMinions = 1000
	BenchBatch   = 500
	BenchStates  = 3
)

// Batches makes batches of state returns of 1.5 kB from 1,000 minions, as test runs every now and then give them. Where Fresh
// is true every body is new; otherwise bodies come again with other durations, but one in a hundred is drifted.
type Batches struct {
	N     int // returns that were made
	Fresh bool
	Start time.Time
}

// Next makes the next batch.
func (m *Batches) Next() archive.Batch {
	b := archive.Batch{Returns: make([]gaea.Return, 0, BenchBatch)}
	if m.N%BenchMinions == 0 {
		j := gaea.Job{JID: m.jid(), Function: "state.apply", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, User: "root", Known: true, Started: m.stamp()}
		for i := range BenchMinions {
			j.Minions = append(j.Minions, BenchMinion(i))
		}
		b.Jobs = append(b.Jobs, j)
	}
	for range BenchBatch {
		variant := 0
		if m.Fresh || m.N%100 == 0 {
			variant = m.N
		}
		r := StateReturn(m.jid(), BenchMinion(m.N%BenchMinions), BenchStates, variant, m.N, m.stamp())
		r.StateKey = "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"
		b.Returns = append(b.Returns, r)
		m.N++
	}
	return b
}

func (m *Batches) jid() string      { return fmt.Sprintf("20260301%012d", m.N/BenchMinions) }
func (m *Batches) stamp() time.Time { return m.Start.Add(time.Duration(m.N) * 100 * time.Microsecond) }

// BenchMinion is the name of the i-th minion.
func BenchMinion(i int) string { return fmt.Sprintf("web%04d.example.org", i) }

// BenchmarkBatches tells how many returns a second a store takes from next to write, whose batches are made while the clock
// stands. cpu is the time that all who work on it have had a core.
func BenchmarkBatches[T any](b *testing.B, m *Batches, cpu func() time.Duration, next func() T, write func(T)) {
	b.Helper()
	var busy time.Duration
	for b.Loop() {
		b.StopTimer()
		batch := next()
		before := cpu()
		b.StartTimer()
		write(batch)
		b.StopTimer()
		busy += cpu() - before
		b.StartTimer()
	}
	// By the clock, and by the time that there was a core: the second does not depend on what else the machine does.
	b.ReportMetric(float64(m.N)/b.Elapsed().Seconds(), "returns/s")
	b.ReportMetric(float64(m.N)/busy.Seconds(), "returns/cpu-s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkWriteBatch runs [BenchmarkBatches] with a new store, where all bodies are fresh and where they come again.
func BenchmarkWriteBatch(b *testing.B, cpu func() time.Duration, open func(b *testing.B) archive.Store) {
	for name, fresh := range map[string]bool{"fresh": true, "steady": false} {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			m := &Batches{Fresh: fresh, Start: time.Now().Truncate(24 * time.Hour)}
			BenchmarkBatches(b, m, cpu, m.Next, func(batch archive.Batch) {
				if err := s.WriteBatch(b.Context(), salt, batch); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
