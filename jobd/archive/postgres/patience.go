package postgres

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// A server that hangs (a stopped process, a disk that does not answer, a machine behind a broken link) answers nothing and
// closes nothing. So every wait for it has an end: here that of a caller, in the session that of a statement, whose locks
// others wait for, and in the kernel that of what is sent and not acknowledged.

const (
	defaultPatience = 30 * time.Second
	// sentWithin is how long the server's machine may take to acknowledge what was sent.
	sentWithin = 20 * time.Second
)

// errHangs is the cause of the end of a context that the store has bounded.
var errHangs = errors.New("the database has not answered in time")

// patient bounds what a caller waits.
func (s *Store) patient(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, errHangs)
}

// hanging tells an error that comes of such a bound from one that comes of the caller's own.
func (s *Store) hanging(bounded context.Context, err error) error {
	if err == nil || !errors.Is(context.Cause(bounded), errHangs) {
		return err
	}
	return gaea.Wrap(err, gaea.CodeUnavailable, "the database %s has not answered in time: it hangs, is overloaded, or somebody holds a lock (SELECT * FROM pg_stat_activity WHERE wait_event IS NOT NULL shows it)", s.place)
}

// serverPatience is the statement_timeout of a transaction, in milliseconds: a little more than its caller waits.
func (s *Store) serverPatience(ctx context.Context) string {
	limit := s.wait
	if end, ok := ctx.Deadline(); ok {
		limit = max(time.Until(end), time.Second)
	}
	return strconv.FormatInt((limit + time.Second).Milliseconds(), 10)
}

// dialer connects to servers whose death shows.
func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4},
		Control:         acknowledged,
	}
}
