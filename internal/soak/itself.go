package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// memoryLimit is what a process with a swarm of 500 may have in memory, in KiB.
const memoryLimit = 60 << 10

// playSwarm looks at the swarm itself: all answer the salt command; the process is small; after a restart of the master all are
// back; a swarm that is stopped leaves nothing, and the next one of the same ids needs no new keys.
func playSwarm(ctx context.Context, s *stage) error {
	if err := s.allAnswer(ctx); err != nil {
		return err
	}
	if err := s.small(); err != nil {
		return err
	}
	began := time.Now()
	if err := s.Lab.RestartMaster(ctx); err != nil {
		return err
	}
	if err := s.connected(ctx, len(s.ids)); err != nil {
		return err
	}
	s.saw("the master was restarted, and all were back after %.1f s", time.Since(began).Seconds())
	if err := s.allAnswer(ctx); err != nil {
		return err
	}
	began = time.Now()
	s.swarm.Stop()
	s.saw("stopped in %.2f s", time.Since(began).Seconds())
	return s.anew(ctx)
}

// allAnswer asks all with the salt command.
func (s *stage) allAnswer(ctx context.Context) error {
	began := time.Now()
	out, err := s.Lab.Salt(ctx, "*", "test.ping", "--out=txt", "--timeout=60")
	var exit *saltlab.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	if n := strings.Count(string(out), ": True"); n != len(s.ids) {
		return violation("salt '*' test.ping has %d of %d answers: %.500s", n, len(s.ids), out)
	}
	s.saw("salt '*' test.ping: %d answers in %.1f s", len(s.ids), time.Since(began).Seconds())
	return nil
}

// small checks the memory of this process, which holds the swarm.
func (s *stage) small() error {
	debug.FreeOSMemory()
	kib, err := residentMemory(os.Getpid())
	if err != nil {
		return err
	}
	s.saw("this process, with the swarm, has %.1f MB in memory", float64(kib)/1024)
	if len(s.ids) <= 500 && kib > memoryLimit {
		return violation("a swarm of %d has %d KiB in memory, above %d", len(s.ids), kib, memoryLimit)
	}
	return nil
}

// anew starts a swarm of the same minions.
func (s *stage) anew(ctx context.Context) error {
	began, made := time.Now(), ""
	next, err := swarm.Start(ctx, swarm.Options{
		Master: fmt.Sprintf("127.0.0.1:%d", s.Lab.RequestPort()), Config: swarmOf(swarm.Config{}, s.ids, s.Seed, s.roles), Progress: func(line string) { made = line },
	})
	if err != nil {
		return err
	}
	defer next.Stop()
	if made != "" {
		return violation("a second swarm of the same ids does not find their keys: %s", made)
	}
	limited, cancel := context.WithTimeout(ctx, acceptLimit)
	defer cancel()
	if err := next.Accepted(limited); err != nil {
		return err
	}
	s.saw("the next one was accepted in %.1f s, with the same keys", time.Since(began).Seconds())
	return nil
}
