package soak

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

const (
	loadJobs  = 12                     // jobs on all minions
	loadKills = 3                      // of jobd, while they return
	loadDown  = 700 * time.Millisecond // how long jobd is away each time
)

// playLoad publishes jobs to all minions past jobd, as the salt command does, as fast as the master takes them. Minions return
// at the master's full speed while jobd is killed and started again. Then the archive has to hold what the job cache holds.
func playLoad(ctx context.Context, s *stage) error {
	master, err := native.New(native.Options{ConfigDir: s.Lab.ConfigDir()})
	if err != nil {
		return err
	}
	began := time.Now()
	var jids []string
	for n := range loadJobs {
		job, err := master.Publish(ctx, gaea.Publication{
			Function: work, Args: []any{fmt.Sprintf("load %d of seed %d", n, s.Seed)}, Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"},
		})
		if err != nil {
			return err
		}
		jids = append(jids, job.JID)
		if n%(loadJobs/loadKills) == 1 {
			if err := s.kill(ctx, loadDown); err != nil {
				return err
			}
		}
	}
	calls, err := s.callAll(ctx)
	if err != nil {
		return err
	}
	jids = append(jids, calls...)
	want := int64(loadJobs * len(s.ids))
	if err := s.settles(ctx, func() error {
		if got := s.swarm.Stats().Returns; got < want {
			return violation("the master has taken %d of %d returns", got, want)
		}
		return nil
	}); err != nil {
		return err
	}
	took := time.Since(began)
	total := 0
	for _, jid := range jids {
		if err := s.settles(ctx, func() error { return s.kept(ctx, jid) }); err != nil {
			return err
		}
		cached, err := s.cached(jid)
		if err != nil {
			return err
		}
		total += len(cached)
	}
	if want := loadJobs*len(s.ids) + len(calls); total != want {
		return violation("the job cache has %d returns of %d", total, want)
	}
	s.saw("%d returns of %d jobs taken in %.1f s, %.0f a second, with %d kills of jobd; archived %.1f s later, each once",
		total, len(jids), took.Seconds(), float64(total)/took.Seconds(), loadKills, (time.Since(began) - took).Seconds())
	return s.calm(ctx)
}

// callAll has each minion call a function by itself, some at once.
func (s *stage) callAll(ctx context.Context) ([]string, error) {
	jids, errs := make([]string, len(s.ids)), make([]error, len(s.ids))
	var wait sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, id := range s.ids {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			jids[i], errs[i] = s.swarm.Call(ctx, id, work, "by itself")
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return jids, nil
}

// kill ends jobd as kill -9 does, and starts it again after a while.
func (s *stage) kill(ctx context.Context, away time.Duration) error {
	s.Jobd.Kill()
	s.Client.Close() // its connections lead nowhere now
	if err := pause(ctx, away); err != nil {
		return err
	}
	if err := s.Jobd.Launch(ctx); err != nil {
		return err
	}
	return s.Jobd.Ready(ctx)
}

// calm checks that jobd has no trouble when the load is over, and says what it takes.
func (s *stage) calm(ctx context.Context) error {
	status, err := s.Client.Status(ctx)
	if err != nil {
		return err
	}
	if !status.Connected {
		return violation("when the load is over jobd does not read the bus")
	}
	if kib, err := residentMemory(s.Jobd.PID()); err == nil {
		s.saw("jobd has %.0f MB in memory", float64(kib)/1024)
	}
	return nil
}

// residentMemory is what a process has in memory, in KiB.
func residentMemory(pid int) (kib int, err error) {
	text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "statm"))
	if err != nil {
		return 0, err
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0, err
	}
	return resident * os.Getpagesize() / 1024, nil
}
