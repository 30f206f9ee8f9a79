package soak

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
)

// How large a disk is that the archive of a scenario fits on, in MiB.
const (
	diskMiB         = 64
	postgresDiskMiB = 192
)

// playDisk fills the disk of an archive while the bus tells things: in SQLite once with the spill on another disk, once with the spill on
// the same; and that of PostgreSQL.
func playDisk(ctx context.Context, s *stage) error {
	for _, same := range []bool{false, true} {
		cfg := jobdlab.Config{DiskMiB: diskMiB, SpillOnDisk: same}
		if err := s.troubled(ctx, cfg, func(ctx context.Context, s *stage) error { return s.fillDisk(ctx, same) }); err != nil {
			return err
		}
	}
	return s.onPostgres(ctx, postgresDiskMiB, s.fillPostgres)
}

// fillPostgres fills the disk of a PostgreSQL, until the spill has waited for room.
func (s *stage) fillPostgres(ctx context.Context, server *pglab.Server, database string) error {
	return s.troubled(ctx, jobdlab.Config{Database: database}, func(ctx context.Context, s *stage) error {
		t, err := s.newTraffic()
		if err != nil {
			return err
		}
		if err := s.tell(ctx, t); err != nil {
			return err
		}
		if err := server.FillDisk(); err != nil {
			return err
		}
		if err := s.tellFor(ctx, t, s.full(), s.counts(ctx, "gaea_ingest_spilled_records_total")); err != nil {
			return err
		}
		if err := server.FreeDisk(); err != nil {
			return err
		}
		s.saw("the disk of PostgreSQL was full")
		if err := s.tell(ctx, t); err != nil {
			return err
		}
		return s.intact(ctx, t)
	})
}

// full is how long a disk is full at least.
func (s *stage) full() time.Duration {
	if s.long() {
		return 20 * time.Second
	}
	return 2 * time.Second
}

func (s *stage) fillDisk(ctx context.Context, same bool) error {
	t, err := s.newTraffic()
	if err != nil {
		return err
	}
	if err := s.tell(ctx, t); err != nil {
		return err
	}
	if err := s.Jobd.FillDisk(); err != nil {
		return err
	}
	// Where the spill is on the same disk what is in no cache still has room there.
	spilling, letting := s.counts(ctx, "gaea_ingest_spilled_records_total"), s.counts(ctx, "gaea_ingest_let_go_total")
	if err := s.tellFor(ctx, t, s.full(), func() (bool, error) {
		spills, err := spilling()
		if err != nil || !spills || !same {
			return spills, err
		}
		return letting()
	}); err != nil {
		return err
	}
	if err := s.Jobd.FreeDisk(); err != nil {
		return err
	}
	s.saw("the disk was full, and the spill on it: %v", same)
	if err := s.tell(ctx, t); err != nil {
		return err
	}
	return s.intact(ctx, t)
}
