package soak

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
)

// setBack is how far the master's clock is set back each time.
const setBack = time.Hour

// playClock sets the clock of the running master back: while jobd reads its bus, and while jobd is stopped; and at the end forward.
// Job ids, stamps and the times of the job cache's files go with it. jobd's own clock stays: nothing can give a Go program another.
// The long play has the archive in PostgreSQL, too.
func playClock(ctx context.Context, s *stage) (err error) {
	defer func() {
		if s.Lab.HasClock() {
			err = errors.Join(err, s.Lab.ResetClock(context.WithoutCancel(ctx)))
		}
	}()
	play := func(ctx context.Context, s *stage) error { return s.setClockBack(ctx) }
	if !s.long() {
		return s.troubled(ctx, jobdlab.Config{}, play)
	}
	return s.onEach(ctx, play)
}

// setClockBack is the play on one archive. It begins and ends with the right time.
func (s *stage) setClockBack(ctx context.Context) error {
	if err := s.Lab.SetClock(ctx, 0); err != nil {
		return err
	}
	if err := s.connected(ctx, len(s.ids)); err != nil {
		return err
	}
	if err := s.caughtUp(ctx); err != nil {
		return err
	}
	t, err := s.newTraffic()
	if err != nil {
		return err
	}
	t.since = t.since.Add(-3 * setBack)
	if err := s.tell(ctx, t); err != nil {
		return err
	}
	if err := s.Lab.SetClock(ctx, -setBack); err != nil {
		return err
	}
	for range 2 {
		if err := s.tell(ctx, t); err != nil {
			return err
		}
	}
	if err := s.wentBack(t, setBack); err != nil {
		return err
	}
	if err := s.caughtUp(ctx); err != nil {
		return err
	}
	if err := s.setBackUnseen(ctx, t); err != nil {
		return err
	}
	if err := s.tell(ctx, t); err != nil {
		return err
	}
	if err := s.Lab.ResetClock(ctx); err != nil {
		return err
	}
	if err := s.connected(ctx, len(s.ids)); err != nil {
		return err
	}
	if err := s.tell(ctx, t); err != nil {
		return err
	}
	s.saw("the clock was set back %s twice, once while jobd was stopped, and forward again", setBack)
	return s.intact(ctx, t)
}

// setBackUnseen stops jobd, sets the clock back further, has jobs return, and starts jobd again.
func (s *stage) setBackUnseen(ctx context.Context, t *traffic) error {
	if err := s.Jobd.Stop(); err != nil {
		return err
	}
	s.Client.Close() // its connections lead nowhere now
	began := time.Now()
	if err := s.Lab.SetClock(ctx, -2*setBack); err != nil {
		return err
	}
	for range 3 {
		if err := s.answer(ctx, t, func() error { return nil }); err != nil {
			return err
		}
		if err := s.settles(ctx, func() error { return s.allCached(t.jids[len(t.jids)-1]) }); err != nil {
			return err
		}
	}
	if err := s.wentBack(t, 2*setBack); err != nil {
		return err
	}
	if err := aged(filepath.Join(s.Lab.CacheDir(), "jobs"), began, 2*setBack); err != nil {
		return err
	}
	if err := s.Jobd.Launch(ctx); err != nil {
		return err
	}
	return s.Jobd.Ready(ctx)
}

// wentBack checks that the last job has its id of a clock that is set back.
func (s *stage) wentBack(t *traffic, by time.Duration) error {
	jid := t.jids[len(t.jids)-1]
	if ago := time.Since(gaea.JIDTime(jid, time.Local)); ago < by {
		return violation("the master's clock is set back %s, and job %s is of %s ago", by, jid, ago)
	}
	return nil
}

// allCached checks that the job cache has the return of each minion.
func (s *stage) allCached(jid string) error {
	cached, err := s.cached(jid)
	if err == nil && len(cached) < len(s.ids) {
		err = violation("job %s: the job cache has %d of %d returns", jid, len(cached), len(s.ids))
	}
	return err
}

// aged gives files that were written since a time the times that they would have by a clock that was set back.
func aged(dir string, since time.Time, by time.Duration) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.ModTime().Before(since) {
			return err
		}
		at := info.ModTime().Add(-by)
		return os.Chtimes(path, at, at) //nolint:gosec // files of the lab, which nobody else touches
	})
}
