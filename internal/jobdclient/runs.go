package jobdclient

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// pollWait is how long jobd is asked to hold a poll for a run's end; jobd holds none for more than a minute.
	pollWait = 30 * time.Second
	// maxOutage is how long jobd may be away before a wait gives up.
	maxOutage = 2 * time.Minute
)

// CreateRun starts a run and returns it as soon as it is accepted. The same key of the same token gives the same run for
// 24 hours, so a call with a key is repeated after a lost connection; one without is not.
func (c *Client) CreateRun(ctx context.Context, req gaea.RunRequest, key string) (*gaea.Run, error) {
	return send[gaea.Run](ctx, c, call{method: http.MethodPost, path: "/v1/runs", body: req, key: key})
}

// GetRun returns a run with its minions as it stands. CodeNotFound.
func (c *Client) GetRun(ctx context.Context, id string) (*gaea.Run, error) {
	return c.pollRun(ctx, id, 0)
}

func (c *Client) pollRun(ctx context.Context, id string, wait time.Duration) (*gaea.Run, error) {
	s, err := segment("id", id)
	if err != nil {
		return nil, err
	}
	k := call{method: http.MethodGet, path: "/v1/runs/" + s, wait: wait}
	if wait > 0 {
		k.query = url.Values{"wait": {gaea.Duration(wait).String()}}
	}
	return send[gaea.Run](ctx, c, k)
}

// WaitRun waits until a run and the check after it have ended, and returns it; where something stops the waiting, it returns
// the run as it was last seen with the error. progress, where it is not nil, is called with the run at first and whenever it
// has changed, from this goroutine: see [Client.FollowRun]. An outage of jobd of up to two minutes is waited out.
func (c *Client) WaitRun(ctx context.Context, id string, progress func(*gaea.Run)) (*gaea.Run, error) {
	if progress != nil {
		run, err := c.FollowRun(ctx, id, func(run *gaea.Run) error {
			progress(run)
			return nil
		})
		if run != nil || gaea.CodeOf(err) != gaea.CodeNotFound {
			return run, err
		}
		// A jobd from before there were such streams knows the run all the same.
	}
	var (
		last *gaea.Run
		away outage
	)
	for {
		run, err := c.pollRun(ctx, id, pollWait)
		if err != nil {
			if err := away.wait(ctx, err); err != nil {
				return last, err
			}
			continue
		}
		last, away = run, outage{}
		if progress != nil {
			progress(run)
		}
		if run.Complete() {
			return run, nil
		}
	}
}

// CancelRun stops a run: nothing more is published, what runs is killed, after the grace that the request gives it, and each
// kill is verified. It returns at once; [Client.WaitRun] tells when it is done. Cancelling again gives up post-actions that
// still go on. CodeNotFound; CodeInvalid for the field grace.
func (c *Client) CancelRun(ctx context.Context, id string, req gaea.CancelRequest) (*gaea.Run, error) {
	var body any
	if req != (gaea.CancelRequest{}) {
		body = req
	}
	return c.controlRun(ctx, id, "cancel", call{body: body})
}

// PauseRun has a run start nothing more until it is resumed; what runs is let end. It returns at once, and says nothing new
// to a run that is paused. CodeNotFound; CodeConflict where there is nothing left to pause.
func (c *Client) PauseRun(ctx context.Context, id string) (*gaea.Run, error) {
	return c.controlRun(ctx, id, "pause", call{})
}

// ResumeRun has a paused run go on. CodeNotFound; CodeConflict where it is not paused.
func (c *Client) ResumeRun(ctx context.Context, id string) (*gaea.Run, error) {
	return c.controlRun(ctx, id, "resume", call{})
}

// RetryRun makes a new run of those minions of an ended run that have one of the request's outcomes, and returns it as soon
// as it is accepted. A key works as in [Client.CreateRun]. CodeNotFound; CodeConflict where the run has not ended;
// CodeInvalid for the field outcomes where no minion has one of them.
func (c *Client) RetryRun(ctx context.Context, id string, req gaea.RetryRequest, key string) (*gaea.Run, error) {
	return c.controlRun(ctx, id, "retry", call{body: req, key: key})
}

func (c *Client) controlRun(ctx context.Context, id, do string, k call) (*gaea.Run, error) {
	s, err := segment("id", id)
	if err != nil {
		return nil, err
	}
	k.method, k.path = http.MethodPost, "/v1/runs/"+s+"/"+do
	return send[gaea.Run](ctx, c, k)
}

// ForgetKey frees the idempotency key that a run was made with: the next [Client.CreateRun] with it makes a new run. The run
// stays. No error where there is no such run or key.
func (c *Client) ForgetKey(ctx context.Context, runID string) error {
	s, err := segment("id", runID)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, call{method: http.MethodDelete, path: "/v1/runs/" + s + "/key"})
	return err
}

// ListRuns lists runs without their minions, newest first.
func (c *Client) ListRuns(ctx context.Context, f gaea.RunFilter, p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
	q := newQuery().text("master", f.Master).text("status", string(f.Status)).text("kind", string(f.Kind)).text("assignment", f.Assignment).
		text("user", f.User).time("since", f.Since).time("until", f.Until).text("parent", f.Parent).text("retry_of", f.RetryOf)
	if f.Active {
		q.Set("active", "true")
	}
	if !f.NoActions {
		q.Set("actions", "true")
	}
	return page[gaea.Run](ctx, c, "/v1/runs", q, p)
}

// outage counts how long jobd has been away and paces the questions meanwhile. The zero outage has not begun.
type outage struct {
	since time.Time
	pause time.Duration
}

// wait pauses after a failure that may pass, a little longer each time, and returns the error that ends the waiting: err
// itself where asking again cannot help or jobd has been away too long.
func (o *outage) wait(ctx context.Context, err error) error {
	if code := gaea.CodeOf(err); ctx.Err() != nil || isPermanent(err) || code != gaea.CodeUnavailable && code != gaea.CodeTimeout {
		return err
	}
	now := time.Now()
	if o.since.IsZero() {
		o.since = now
	}
	if now.Sub(o.since) >= maxOutage {
		return err
	}
	o.pause = min(max(2*o.pause, 500*time.Millisecond), 5*time.Second)
	timer := time.NewTimer(o.pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return err
	case <-timer.C:
		return nil
	}
}
