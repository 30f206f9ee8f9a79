package schedule

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// sameAgain is how long a line that was logged is not logged again: River says each second that its database is away.
const sameAgain = time.Minute

// riverLog passes on what River logs, at jobd's levels: what is of interest to River's authors is debug, and what is said over
// and over is said once a minute.
type riverLog struct {
	slog.Handler
	said *said
}

// said is when which lines were logged.
type said struct {
	mu     sync.Mutex
	last   map[string]time.Time
	failed time.Time // when River last said that it could not do something
}

func newRiverLog(h slog.Handler) *riverLog {
	return &riverLog{Handler: h, said: &said{last: map[string]time.Time{}}}
}

// Enabled implements [slog.Handler].
func (l *riverLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.Handler.Enabled(ctx, ours(level))
}

// ours is jobd's level for River's.
func ours(level slog.Level) slog.Level {
	if level < slog.LevelWarn {
		return slog.LevelDebug
	}
	return level
}

// Handle implements [slog.Handler].
func (l *riverLog) Handle(ctx context.Context, r slog.Record) error {
	level := ours(r.Level)
	if r.Level >= slog.LevelError && !cancelled(r) {
		l.said.fails(r.Time)
	}
	if level > slog.LevelDebug && (cancelled(r) || !l.said.fresh(r.Message, r.Time)) {
		level = slog.LevelDebug
	}
	if !l.Handler.Enabled(ctx, level) {
		return nil
	}
	out := slog.NewRecord(r.Time, level, "queue: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(a)
		return true
	})
	return l.Handler.Handle(ctx, out)
}

// cancelled says whether a line tells of what a stop has cut short.
func cancelled(r slog.Record) (is bool) {
	r.Attrs(func(a slog.Attr) bool {
		is = (a.Key == "err" || a.Key == "error") && strings.Contains(a.Value.String(), context.Canceled.Error())
		return !is
	})
	return is
}

// fresh says whether a line is to be logged now. River has few different ones.
func (s *said) fresh(line string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.last[line]; ok && now.Sub(last) < sameAgain {
		return false
	}
	s.last[line] = now
	return true
}

func (s *said) fails(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = now
}

func (s *said) failedSince(from time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed.After(from)
}

// WithAttrs implements [slog.Handler].
func (l *riverLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &riverLog{Handler: l.Handler.WithAttrs(attrs), said: l.said}
}

// WithGroup implements [slog.Handler].
func (l *riverLog) WithGroup(name string) slog.Handler {
	return &riverLog{Handler: l.Handler.WithGroup(name), said: l.said}
}
