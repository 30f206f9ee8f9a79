package soak

import (
	"context"
	"errors"
)

// playReplay has the events of jobs fired again on the master's bus: each twice more, in any order, then each job once more under an
// id of its own, of which a return may come first and the job last, and at the end each return with another content.
func playReplay(ctx context.Context, s *stage) (err error) {
	f, err := s.fires(ctx, "again", s.Seed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	t, err := s.newTraffic()
	if err != nil {
		return err
	}
	for range 3 {
		if err := s.tell(ctx, t); err != nil {
			return err
		}
	}
	done, err := f.ask(t.jids)
	if err != nil {
		return err
	}
	t.jids = append(t.jids, done.Jobs...)
	s.saw("%d events were fired again, in any order", done.Fired)
	if err := s.settles(ctx, func() error { return s.has(ctx, t, len(t.jids)*len(s.ids)) }); err != nil {
		return err
	}
	return s.intact(ctx, t)
}

// has checks that so many returns of the traffic are in the job cache and in the archive, and no difference is between them.
func (s *stage) has(ctx context.Context, t *traffic, want int) error {
	_, returns, err := s.verified(ctx, t.since)
	if err == nil && returns != want {
		err = violation("the job cache has %d returns, not %d", returns, want)
	}
	return err
}
