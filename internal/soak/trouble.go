package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

// troubled plays with a jobd of its own beside the stage's, which nobody troubles: it ends before the stage goes on.
func (s *stage) troubled(ctx context.Context, cfg jobdlab.Config, play func(context.Context, *stage) error) (err error) {
	if cfg.Dir, err = os.MkdirTemp("", "gaea-soak-jobd-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cfg.Dir)) }()
	own := *s
	if own.Jobd, err = s.Jobd.Beside(ctx, cfg); err != nil {
		return err
	}
	defer func() {
		if v, ok := errors.AsType[violated](err); ok {
			err = violated{v.what + "\nthe log of its own jobd ends in:\n" + log(own.Jobd)}
			own.Jobd.Kill()
			return
		}
		err = errors.Join(err, own.Jobd.Stop())
	}()
	token, err := own.Jobd.Token(ctx, "apply", "soak")
	if err != nil {
		return err
	}
	if own.Client, err = jobdclient.New(jobdclient.Config{Endpoint: own.Jobd.Endpoint, Token: token}); err != nil {
		return err
	}
	defer own.Client.Close()
	err = play(ctx, &own)
	s.words = own.words
	return err
}

// onPostgres plays with a PostgreSQL and a database in it; on a disk of its own of so many MiB, or on none with 0.
func (s *stage) onPostgres(ctx context.Context, diskMiB int, play func(ctx context.Context, server *pglab.Server, database string) error) (err error) {
	server, err := pglab.StartOnDisk(ctx, diskMiB, pglab.Durable()...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	database, err := server.Database(ctx)
	if err != nil {
		return err
	}
	return play(ctx, server, database)
}

// onEach plays with a troubled jobd that has its archive in SQLite, and then with one that has it in PostgreSQL.
func (s *stage) onEach(ctx context.Context, play func(context.Context, *stage) error, args ...string) error {
	s.saw("with the archive in SQLite:")
	if err := s.troubled(ctx, jobdlab.Config{Args: args}, play); err != nil {
		return err
	}
	return s.onPostgres(ctx, 0, func(ctx context.Context, _ *pglab.Server, database string) error {
		s.saw("with the archive in PostgreSQL:")
		return s.troubled(ctx, jobdlab.Config{Database: database, Args: args}, play)
	})
}

// long says whether faults last as long as they do in earnest.
func (s *stage) long() bool { return s.Minions > 100 }

// traffic is what the bus has told: jobs of all minions, and events that are in no cache.
type traffic struct {
	master *native.Client
	since  time.Time
	jids   []string
	events map[string]int // by tag
}

func (s *stage) newTraffic() (*traffic, error) {
	master, err := native.New(native.Options{ConfigDir: s.Lab.ConfigDir()})
	return &traffic{master: master, since: time.Now(), events: map[string]int{}}, err
}

// publish publishes a job to minions, as the salt command does.
func (t *traffic) publish(ctx context.Context, target gaea.Target, args ...any) error {
	job, err := t.master.Publish(ctx, gaea.Publication{Function: work, Args: args, Target: target})
	if err == nil {
		t.jids = append(t.jids, job.JID)
	}
	return err
}

// tell has the bus tell a job of all minions, beacons and custom events, and waits for the returns: the master has them then.
func (s *stage) tell(ctx context.Context, t *traffic) error {
	return s.answer(ctx, t, func() error {
		for i := range 5 {
			id := s.ids[(len(t.jids)+i)%len(s.ids)]
			name := fmt.Sprintf("soak%d", len(t.events))
			if err := s.swarm.Beacon(ctx, id, name, map[string]any{"password": "hunter2"}); err != nil {
				return err
			}
			t.events["salt/beacon/"+id+"/"+name+"/"] = 1
			tag := fmt.Sprintf("soak/%d", len(t.events))
			if err := s.swarm.Fire(ctx, id, tag, map[string]any{"n": i}); err != nil {
				return err
			}
			t.events[tag] = 1
		}
		return nil
	})
}

// answer publishes a job to all minions, does something, and waits for the returns: the master has them then.
func (s *stage) answer(ctx context.Context, t *traffic, meanwhile func() error) error {
	returned := s.swarm.Stats().Returns + int64(len(s.ids))
	if err := t.publish(ctx, gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, fmt.Sprintf("job %d", len(t.jids))); err != nil {
		return err
	}
	if err := meanwhile(); err != nil {
		return err
	}
	return s.settles(ctx, func() error {
		if got := s.swarm.Stats().Returns; got < returned {
			return violation("the master has taken %d of %d returns", got, returned)
		}
		return nil
	})
}

// tellFor has the bus tell things until a time has passed, and something holds; nil is nothing.
func (s *stage) tellFor(ctx context.Context, t *traffic, least time.Duration, until func() (bool, error)) error {
	began := time.Now()
	for {
		if err := s.tell(ctx, t); err != nil {
			return err
		}
		enough := time.Since(began) >= least
		if enough && until != nil {
			var err error
			if enough, err = until(); err != nil {
				return err
			}
		}
		switch {
		case enough:
			return nil
		case time.Since(began) > least+runLimit:
			return violation("what was to happen has not happened in %s", time.Since(began).Round(time.Second))
		}
	}
}

// counts waits for a metric of jobd to be more than 0.
func (s *stage) counts(ctx context.Context, metric string) func() (bool, error) {
	return func() (bool, error) {
		n, err := s.Jobd.Metric(ctx, metric)
		return n > 0, err
	}
}

// caughtUp waits until jobd reads the bus, and the archive lacks nothing that jobd knows of.
func (s *stage) caughtUp(ctx context.Context) error {
	return s.settles(ctx, func() error {
		for metric, want := range map[string]float64{"gaea_bus_connected": 1, "gaea_ingest_spill_records": 0, "gaea_ingest_queue_events": 0, "gaea_ingest_open_gaps": 0} {
			switch n, err := s.Jobd.Metric(ctx, metric); {
			case err != nil:
				return violation("%v", err)
			case n != want:
				return violation("%s is %v", metric, n)
			}
		}
		return nil
	})
}

// intact checks that the archive is as the master's job cache, and has each event once.
func (s *stage) intact(ctx context.Context, t *traffic) error {
	if err := s.caughtUp(ctx); err != nil {
		return err
	}
	jobs, returns := 0, 0
	if err := s.settles(ctx, func() (err error) {
		jobs, returns, err = s.verified(ctx, t.since)
		return err
	}); err != nil {
		return err
	}
	for _, jid := range t.jids {
		if err := s.settles(ctx, func() error { return s.kept(ctx, jid) }); err != nil {
			return err
		}
	}
	if err := s.settles(ctx, func() error { return s.eventsAre(ctx, t.since, t.events) }); err != nil {
		return err
	}
	counted := map[string]float64{}
	for _, metric := range []string{"spilled_records", "forwarded_records", "let_go", "lost_events", "recovered_returns"} {
		n, err := s.Jobd.Metric(ctx, "gaea_ingest_"+metric+"_total")
		if err != nil {
			return err
		}
		counted[metric] = n
	}
	if counted["lost_events"] > 0 {
		return violation("%v events are lost", counted["lost_events"])
	}
	s.saw("verified %d jobs with %d returns, and %d events in no cache; %.0f spilled, %.0f forwarded, %.0f let go, %.0f fetched from the job cache",
		jobs, returns, len(t.events), counted["spilled_records"], counted["forwarded_records"], counted["let_go"], counted["recovered_returns"])
	return nil
}

// verified has jobd compare its archive with the job cache since a time.
func (s *stage) verified(ctx context.Context, since time.Time) (jobs, returns int, err error) {
	for req := (gaea.VerifyRequest{Since: since}); ; {
		report, err := s.Client.VerifyArchive(ctx, req)
		if err != nil {
			return 0, 0, err
		}
		if len(report.Differences)+len(report.Unread) > 0 || report.Beyond > 0 && !s.torn {
			return 0, 0, violation("archive verify finds %+v, unread %+v, and %d returns beyond the job cache", report.Differences, report.Unread, report.Beyond)
		}
		jobs, returns = jobs+report.Jobs, returns+report.Returns
		if req.After = report.Next; req.After == "" {
			return jobs, returns, nil
		}
	}
}
