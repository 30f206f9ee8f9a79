package soak

import (
	"context"
	"errors"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
)

// fault is something that happens to a database.
type fault struct {
	name   string
	begin  func(context.Context) error
	end    func(context.Context) error // nil: it is over at once
	spills bool                        // nothing can be stored meanwhile
}

func faultsOf(server *pglab.Server) []fault {
	halt := func(context.Context) error { return server.Halt() }
	return []fault{
		{name: "stopped", begin: halt, end: server.Resume, spills: true},
		{name: "restarted", begin: func(ctx context.Context) error { return errors.Join(server.Halt(), server.Resume(ctx)) }},
		{name: "its connections cut", begin: server.Cut},
		{
			name:  "refusing writes",
			begin: func(ctx context.Context) error { return server.RefuseWrites(ctx, true) },
			end:   func(ctx context.Context) error { return server.RefuseWrites(ctx, false) }, spills: true,
		},
		{
			name:  "hanging",
			begin: func(context.Context) error { return server.Freeze() },
			end:   func(context.Context) error { return server.Thaw() }, spills: true,
		},
	}
}

// playDatabase has PostgreSQL stop, restart, cut its connections, refuse writes and hang, while the bus tells things, and jobd start while
// it is stopped.
func playDatabase(ctx context.Context, s *stage) error { return s.onPostgres(ctx, 0, s.faulted) }

// faulted is the play on a PostgreSQL.
func (s *stage) faulted(ctx context.Context, server *pglab.Server, database string) error {
	lasts := 2 * time.Second
	if s.long() {
		lasts = time.Minute
	}
	return s.troubled(ctx, jobdlab.Config{Database: database}, func(ctx context.Context, s *stage) error {
		t, err := s.newTraffic()
		if err != nil {
			return err
		}
		for _, f := range faultsOf(server) {
			if err := s.tell(ctx, t); err != nil {
				return err
			}
			began := time.Now()
			if err := f.begin(ctx); err != nil {
				return err
			}
			err := s.during(ctx, t, f, lasts)
			if f.end != nil {
				err = errors.Join(err, f.end(context.WithoutCancel(ctx)))
			}
			if err != nil {
				return err
			}
			took := time.Since(began)
			if err := s.tell(ctx, t); err != nil {
				return err
			}
			over := time.Now()
			if err := s.caughtUp(ctx); err != nil {
				return err
			}
			s.saw("the database %s for %.1f s, caught up %.1f s later", f.name, took.Seconds(), time.Since(over).Seconds())
		}
		if err := s.startsAway(ctx, t, server, lasts); err != nil {
			return err
		}
		return s.intact(ctx, t)
	})
}

// during has the bus tell things while a fault lasts.
func (s *stage) during(ctx context.Context, t *traffic, f fault, lasts time.Duration) error {
	if f.end == nil {
		return s.tell(ctx, t)
	}
	var until func() (bool, error)
	if f.spills {
		until = s.counts(ctx, "gaea_ingest_spill_records")
	}
	return s.tellFor(ctx, t, lasts, until)
}
