package soak

import (
	"context"
	"fmt"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// playAway stops jobd while jobs run, has many more return meanwhile, and starts it again.
func playAway(ctx context.Context, s *stage) error {
	t, err := s.newTraffic()
	if err != nil {
		return err
	}
	jobs, lasts := 40, time.Duration(0)
	if s.long() {
		jobs, lasts = 2000, 10*time.Minute
	}
	if err := s.tell(ctx, t); err != nil {
		return err
	}
	returned := s.swarm.Stats().Returns
	for n := range jobs / 10 { // which are under way when jobd goes
		if err := s.publishToTwo(ctx, t, n); err != nil {
			return err
		}
	}
	if err := s.Jobd.Stop(); err != nil {
		return err
	}
	s.Client.Close() // its connections lead nowhere now
	began := time.Now()
	for n := range jobs {
		if err := s.publishToTwo(ctx, t, n); err != nil {
			return err
		}
		if err := pause(ctx, time.Until(began.Add(time.Duration(n+1)*lasts/time.Duration(jobs)))); err != nil {
			return err
		}
	}
	last := time.Now()
	if err := s.settles(ctx, func() error {
		if got, want := s.swarm.Stats().Returns-returned, int64(2*(jobs+jobs/10)); got < want {
			return violation("the master has taken %d of %d returns", got, want)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := s.Jobd.Launch(ctx); err != nil {
		return err
	}
	if err := s.Jobd.Ready(ctx); err != nil {
		return err
	}
	s.saw("jobd was stopped for %.0f s, in %d jobs, and is back %.1f s after the last", time.Since(began).Seconds(), jobs, time.Since(last).Seconds())
	back := time.Now()
	if err := s.caughtUp(ctx); err != nil {
		return err
	}
	s.saw("caught up after %.1f s", time.Since(back).Seconds())
	return s.intact(ctx, t)
}

// publishToTwo publishes a job to two minions, other ones each time.
func (s *stage) publishToTwo(ctx context.Context, t *traffic, n int) error {
	return t.publish(ctx, gaea.ListTarget([]string{s.ids[n%len(s.ids)], s.ids[(n+1)%len(s.ids)]}), fmt.Sprintf("job %d", n))
}

// playRestart starts the master again while jobs return.
func playRestart(ctx context.Context, s *stage) error {
	t, err := s.newTraffic()
	if err != nil {
		return err
	}
	for n := range 3 {
		if err := s.tell(ctx, t); err != nil {
			return err
		}
		// A job whose returns may be lost on their way to a master that goes: what it has not taken it does not have.
		if err := t.publish(ctx, gaea.ListTarget(s.ids), fmt.Sprintf("restart %d", n)); err != nil {
			return err
		}
		s.torn = true
		if err := s.Lab.RestartMaster(ctx); err != nil {
			return err
		}
		if err := s.connected(ctx, len(s.ids)); err != nil {
			return err
		}
	}
	s.saw("the master was started again 3 times")
	if err := s.tell(ctx, t); err != nil {
		return err
	}
	return s.intact(ctx, t)
}
