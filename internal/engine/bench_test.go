package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// headStore keeps heads only: what a store costs is not what is measured.
type headStore struct{ gaea.RunStore }

func (s headStore) SaveRun(context.Context, *gaea.Run, ...string) error { return nil }

// BenchmarkRun measures what a run costs in the engine and the scripted master together, with a store that keeps nothing.
func BenchmarkRun(b *testing.B) {
	for _, size := range []struct {
		minions int
		slice   string
	}{{1000, ""}, {10_000, ""}, {1000, "100"}, {10_000, "100"}, {10_000, "1%"}} {
		b.Run(fmt.Sprintf("%d minions, slices of %q", size.minions, size.slice), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				salt, runs := enginetest.New("m"), enginetest.NewRuns()
				for i := range size.minions {
					salt.Set(fmt.Sprintf("web%05d", i), enginetest.Minion{})
				}
				e := engine.New(engine.Deps{
					Master: "m", Salt: salt, Cache: salt, Feed: salt, Returns: salt, Runs: headStore{runs},
					Redact: func(string, []any, map[string]any) json.RawMessage { return nil },
				})
				if err := e.Start(context.Background()); err != nil {
					b.Fatal(err)
				}
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				cpu := processTime()
				b.StartTimer()

				req := ping(glob("*"))
				if size.slice != "" {
					req = inSlices(req, size.slice)
				}
				run, _, err := e.Submit(context.Background(), req)
				if err != nil {
					b.Fatal(err)
				}
				snapshots, end := e.Watch(run.ID)
				for run = range snapshots {
				}
				end()

				b.StopTimer()
				b.ReportMetric((processTime() - cpu).Seconds(), "cpu-s/op")
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/(1<<20), "MiB/op")
				b.ReportMetric(float64(after.HeapAlloc)/(1<<20), "heap-MiB")
				if run.Status != gaea.RunSucceeded || len(run.Minions) != size.minions {
					b.Fatalf("%s: %s", run.Status, run.Message)
				}
				if err := e.Stop(context.Background()); err != nil {
					b.Fatal(err)
				}
				salt.Close()
				b.StartTimer()
			}
		})
	}
}

func processTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
