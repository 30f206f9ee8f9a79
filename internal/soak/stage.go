package soak

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

const (
	acceptLimit = 3 * time.Minute        // for a master to accept all minions
	runLimit    = 5 * time.Minute        // for a run to end
	settleLimit = 90 * time.Second       // for what comes after that: late returns, the archive
	settleEach  = 200 * time.Millisecond // and more for each minion: a master on two cores takes some 140 returns a second
	poll        = 200 * time.Millisecond // between looks
)

// stage is where a scenario is played.
type stage struct {
	Config
	ids   []string
	roles map[string]*role
	swarm *swarm.Swarm
	words []string // what was seen, for people
	torn  bool     // the master was ended while returns came: it may have told on the bus what it then did not write into its job cache
}

// newStage starts the swarm and waits until the master has accepted it.
func newStage(ctx context.Context, cfg Config, scenario Scenario) (*stage, error) {
	s := &stage{Config: cfg, ids: minionIDs(cfg.Minions)}
	s.roles = cast(cfg.Seed, s.ids, scenario.roles)
	began := time.Now()
	var err error
	s.swarm, err = swarm.Start(ctx, swarm.Options{
		Master: fmt.Sprintf("127.0.0.1:%d", cfg.Lab.RequestPort()), Config: swarmOf(scenario.config, s.ids, cfg.Seed, s.roles), Progress: cfg.Say,
	})
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, acceptLimit)
	defer cancel()
	if err := s.swarm.Accepted(limited); err != nil {
		s.swarm.Stop()
		return nil, err
	}
	s.saw("%d minions accepted in %.1f s", len(s.ids), time.Since(began).Seconds())
	return s, nil
}

// saw notes something for the summary, and says it.
func (s *stage) saw(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	s.words = append(s.words, line)
	s.Say("  " + line)
}

func (s *stage) seen() string { return strings.Join(s.words, "; ") }

// with are the minions of these roles, sorted.
func (s *stage) with(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(s.ids), func(id string) bool { return !slices.Contains(names, s.roles[id].name) })
}

// gather is how long minions have to answer: the default, but less where there are few, so that tests are short.
func (s *stage) gather() time.Duration {
	if s.Minions <= 100 {
		return 2 * time.Second
	}
	return gaea.DefaultGatherTimeout.Std()
}

// timeouts are those of a run.
func (s *stage) timeouts() gaea.Timeouts { return gaea.Timeouts{Gather: gaea.Duration(s.gather())} }

// start makes a run.
func (s *stage) start(ctx context.Context, req gaea.RunRequest) (*gaea.Run, error) {
	return s.Client.CreateRun(ctx, req, rand.Text())
}

// end waits for the end of a run. One that does not end in time is a violation.
func (s *stage) end(ctx context.Context, id string) (*gaea.Run, error) {
	limited, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	if run, err := s.Client.WaitRun(limited, id, nil); err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			return nil, violation("run %s has not ended within %s: %v", id, runLimit, tally(run))
		}
		return nil, err
	}
	run, err := s.Client.GetRun(ctx, id)
	if err == nil {
		s.saw("a run of %s over %d minions ended as %s after %.1f s: %s", run.Function, len(run.Minions), run.Status, run.Ended.Sub(run.Created).Seconds(), tally(run))
	}
	return run, err
}

// run makes a run and waits for its end.
func (s *stage) run(ctx context.Context, req gaea.RunRequest) (*gaea.Run, error) {
	run, err := s.start(ctx, req)
	if err != nil {
		return nil, err
	}
	return s.end(ctx, run.ID)
}

// tally counts a run's outcomes, for people.
func tally(run *gaea.Run) string {
	if run == nil {
		return "nothing is known"
	}
	var words []string
	counts := run.Tally()
	for _, outcome := range gaea.Outcomes() {
		if n := counts[outcome]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	return strings.Join(words, ", ")
}

// settles waits until check finds nothing wrong, and returns what it found last where it does not in time.
func (s *stage) settles(ctx context.Context, check func() error) error {
	limited, cancel := context.WithTimeout(ctx, settleLimit+time.Duration(s.Minions)*settleEach)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		if pause(limited, poll) != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
	}
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
