package sqlite_test

import (
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
)

// BenchmarkRun tells what the store costs for a whole run of 10,000 minions in slices of 100, which is saved 301 times: the
// CPU time of making it and of all saves.
func BenchmarkRun(b *testing.B) {
	var busy time.Duration
	saves := 0
	for b.Loop() {
		b.StopTimer()
		s := open(b, b.TempDir())
		r := archivetest.ManyMinions(10_000, 100)
		b.StartTimer()
		before := cpuTime(b)
		if _, _, err := s.CreateRun(b.Context(), r, "", ""); err != nil {
			b.Fatal(err)
		}
		archivetest.Play(r, func(minions []string) {
			saves++
			if err := s.SaveRun(b.Context(), r, minions...); err != nil {
				b.Fatal(err)
			}
		})
		busy += cpuTime(b) - before
	}
	b.ReportMetric(busy.Seconds()/float64(b.N), "cpu-s/run")
	b.ReportMetric(float64(saves)/float64(b.N), "saves/run")
}

// BenchmarkSaveRun tells what one save costs that changes one minion, in runs of different sizes.
func BenchmarkSaveRun(b *testing.B) {
	for name, minions := range map[string]int{"100 minions": 100, "10000 minions": 10_000} {
		b.Run(name, func(b *testing.B) {
			s := open(b, b.TempDir())
			r := archivetest.ManyMinions(minions, 100)
			if _, _, err := s.CreateRun(b.Context(), r, "", ""); err != nil {
				b.Fatal(err)
			}
			one := r.Slices[0].Minions[0]
			for b.Loop() {
				r.Seq++
				r.Minions[one] = gaea.RunMinion{Outcome: gaea.OutcomeChanged, Seq: r.Seq}
				if err := s.SaveRun(b.Context(), r, one); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkListRuns tells what a page of 20 runs of 10,000 minions costs.
func BenchmarkListRuns(b *testing.B) {
	s := open(b, b.TempDir())
	for n := range 20 {
		r := archivetest.ManyMinions(10_000, 100)
		r.ID += string(rune('a' + n))
		r.Target = gaea.Target{Type: gaea.TargetGlob, Expr: "*"} // a list's minions are told in lists, too, which takes what it takes
		if _, _, err := s.CreateRun(b.Context(), r, "", ""); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		page, err := s.ListRuns(b.Context(), gaea.RunFilter{NoActions: true}, gaea.PageRequest{Limit: 20})
		if err != nil || page.Items[19].Counts[gaea.OutcomePending] != 10_000 {
			b.Fatalf("the counts are %v (%v)", page.Items[19].Counts, err)
		}
	}
}
