package direct

import (
	"context"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// maxOutage is how long the master may be away before a wait gives up; the client of jobd's API gives a jobd as long.
	maxOutage = 2 * time.Minute
	// outageLook is how often that is looked at.
	outageLook = 5 * time.Second
)

// watched is a Salt of which it is known since when it does not answer.
type watched struct {
	Salt

	mu    sync.Mutex
	since time.Time // zero while it answers
	last  error
}

// Publish implements [gaea.Publisher].
func (w *watched) Publish(ctx context.Context, p gaea.Publication) (gaea.Published, error) {
	answer, err := w.Salt.Publish(ctx, p)
	w.note(ctx, err)
	return answer, err
}

// CachedJob implements [gaea.JobCache].
func (w *watched) CachedJob(ctx context.Context, jid string) (*gaea.CachedJob, error) {
	job, err := w.Salt.CachedJob(ctx, jid)
	w.note(ctx, err)
	return job, err
}

// CachedJobParts implements [gaea.JobCache].
func (w *watched) CachedJobParts(ctx context.Context, jid string, part func(*gaea.CachedJob) error) error {
	return gaea.InOnePart(ctx, w, jid, part)
}

func (w *watched) note(ctx context.Context, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch code := gaea.CodeOf(err); {
	case ctx.Err() != nil: // the question was cut off, which tells nothing
	case code != gaea.CodeUnavailable && code != gaea.CodeTimeout:
		w.since, w.last = time.Time{}, nil
	case w.since.IsZero():
		w.since, w.last = time.Now(), err
	default:
		w.last = err
	}
}

// outage is an error where the master has been away for too long.
func (w *watched) outage() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() || time.Since(w.since) < maxOutage {
		return nil
	}
	return gaea.Wrap(w.last, gaea.CodeUnavailable, "for %s there has been no answer: %s", gaea.Duration(maxOutage), gaea.MessageOf(w.last))
}
