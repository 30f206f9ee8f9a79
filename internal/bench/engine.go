package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/enginetest"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	manyMinions  = 10_000
	engineRounds = 5
)

// measureEngine tells what a large run in slices costs in the engine, with a master and a store that are scripted: their
// cost is in the figures too.
func measureEngine(ctx context.Context, b *bench) ([]figure, error) {
	var cpu series
	var heap []float64
	for range engineRounds {
		used, most, err := manySlices(ctx)
		if err != nil {
			return nil, err
		}
		cpu, heap = append(cpu, used), append(heap, most)
	}
	return []figure{
		{"CPU of a run of 10,000 minions in slices of 100, engine and scripted master and store", "under 2 s", cpu.String(), cpu.median() < 2*time.Second},
		{"heap meanwhile, at its largest", "under 150 MiB", fmt.Sprintf("%.0f MiB (%.0f to %.0f)", medianOf(heap), minOf(heap), maxOf(heap)), medianOf(heap) < 150},
	}, nil
}

// manySlices makes one such run. The heap is in MiB, with what the garbage collector has not come to yet.
func manySlices(ctx context.Context) (used time.Duration, heap float64, err error) {
	salt := enginetest.New("m")
	defer salt.Close()
	for i := range manyMinions {
		salt.Set(fmt.Sprintf("web%05d", i), enginetest.Minion{})
	}
	e := engine.New(engine.Deps{
		Master: "m", Salt: salt, Cache: salt, Feed: salt, Returns: salt, Runs: enginetest.NewRuns(),
		Redact: func(string, []any, map[string]any) json.RawMessage { return nil },
	})
	if err := e.Start(ctx); err != nil {
		return 0, 0, err
	}
	size, err := gaea.ParseAmount("100")
	if err != nil {
		return 0, 0, err
	}
	runtime.GC()
	before := processTime()
	run, _, err := e.Submit(ctx, engine.Request{Call: gaea.Call{Function: "test.ping"}, Target: everybody, Batch: gaea.Batch{Size: size}})
	if err != nil {
		return 0, 0, err
	}
	snapshots, end := e.Watch(run.ID)
	defer end()
	for run = range snapshots {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap = max(heap, float64(m.HeapInuse)/(1<<20))
	}
	used = processTime() - before
	if run.Status != gaea.RunSucceeded || len(run.Minions) != manyMinions || len(run.Slices) != manyMinions/100 {
		return 0, 0, fmt.Errorf("%s: %s", run.Status, run.Message)
	}
	return used, heap, e.Stop(ctx)
}

func processTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
