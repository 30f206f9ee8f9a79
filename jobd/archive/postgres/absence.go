package postgres

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"io"
	"io/fs"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// firstConnect is how long the first connection may take where the database may be away: who opens the store has other things to do
// than to wait for a server that does not answer.
const firstConnect = 3 * time.Second

// absence is a database that was away when its store was made, and was not reached since. No method of the store is carried out then.
type absence struct {
	since time.Time
	why   *gaea.Error // at the last try
}

// Absent is why the database was not reached since the store was made, with since when and what to do: CodeUnavailable. It is nil from
// when [Store.Reach] has worked.
func (s *Store) Absent() error {
	a := s.absent.Load()
	if a == nil {
		return nil
	}
	return gaea.Wrap(a.why.Err, gaea.CodeUnavailable, "%s (away since %s; jobd tries again by itself)", a.why.Message, a.since.UTC().Format(time.RFC3339))
}

// open opens the database, which may be away where that was said.
func (s *Store) open(ctx context.Context) error {
	if !s.mayBeAway {
		return s.reach(ctx, s.wait)
	}
	if err := s.reach(ctx, firstConnect); !Away(err) || s.absent.Load() == nil {
		return err
	}
	return nil
}

// Reach tries once more to open a store whose database was away when it was made; of one that is open it does nothing. Where the
// database is away still that is an error for which [Away] holds. It is called by one goroutine at a time.
func (s *Store) Reach(ctx context.Context) error {
	if s.absent.Load() == nil {
		return nil
	}
	return s.reach(ctx, s.wait)
}

// reach opens the database where that answers within a time.
func (s *Store) reach(ctx context.Context, limit time.Duration) error {
	err := s.prepare(ctx, limit)
	if err == nil {
		s.absent.Store(nil)
		return nil
	}
	if Away(err) && ctx.Err() == nil {
		s.leftOut(err)
	}
	return s.told(err)
}

// leftOut notes why the database is away.
func (s *Store) leftOut(err error) {
	why, ok := errors.AsType[*gaea.Error](s.told(err))
	if !ok || why.Code != gaea.CodeUnavailable { // it has not answered in time
		why = s.unanswered(err)
	}
	a := &absence{since: time.Now(), why: why}
	if before := s.absent.Load(); before != nil {
		a.since = before.since
	}
	s.absent.Store(a)
}

// Away says whether an error, as the database's driver or this package tells it, comes of a database that cannot be reached at the
// moment: nobody listens, its name or its answer does not come, it starts or stops, or it has no connection left. What an answer says
// otherwise, that it does not let jobd in or has no such database, no waiting mends.
func Away(err error) bool {
	away := false
	return walk(err, func(err error) bool {
		is, never := absentBy(err)
		away = away || is
		return !never
	}) && away
}

// walk looks at an error and at all that it wraps, until one ends that.
func walk(err error, look func(error) bool) bool {
	if err == nil {
		return true
	}
	if !look(err) {
		return false
	}
	switch e := err.(type) { //nolint:errorlint // it is what unwraps them
	case interface{ Unwrap() error }:
		return walk(e.Unwrap(), look)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if !walk(one, look) {
				return false
			}
		}
	}
	return true
}

// absentBy says what one error, without those that it wraps, tells: that the database is away, or that no waiting mends it.
func absentBy(err error) (away, never bool) {
	switch e := err.(type) { //nolint:errorlint // walk unwraps them
	case *pgconn.PgError:
		is := goesBy(e.Code)
		return is, !is
	case *tls.CertificateVerificationError, tls.RecordHeaderError:
		return false, true
	case *net.OpError: // TLS tells so what the other side refuses
		return true, e.Op == "remote error" || e.Op == "local error" || errors.Is(e.Err, fs.ErrPermission)
	case net.Error:
		return true, false
	}
	switch err { //nolint:errorlint // walk unwraps them
	case io.EOF, io.ErrUnexpectedEOF, driver.ErrBadConn, context.DeadlineExceeded, errHangs:
		return true, false
	}
	return false, false
}

// goesBy says whether what the server says of a connection is over when it has started, or others have left.
func goesBy(code string) bool {
	switch code {
	case codeShutdown, codeCrashed, codeStarting, codeConnections:
		return true
	default:
		return code[:min(2, len(code))] == "08" // a connection that broke, also where a pooler says so
	}
}
