package restapi

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Poll follows one job in the master's job cache, for where there is no event stream (see [EventsRefused]), until ctx ends; it
// then returns nil. sink is given the job with the returns that are new, the first time as soon as the master has the job. It
// looks again after a second, and up to ten while nothing is new; each look is a runner on the master, of which at most
// Config.Runners run at a time. What cannot be read for the moment is looked for again; CodeUnauthenticated and CodeForbidden
// end it. Returns that the master cuts (see CachedJob) are not told: err is given to trouble, which may be nil, each time that
// it changes.
func (c *Client) Poll(ctx context.Context, jid string, sink func(*gaea.CachedJob), trouble func(error)) error {
	seen, known := map[string]bool{}, false
	pause, told := c.pace.firstLook, ""
	for {
		job, err := c.CachedJob(ctx, jid)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end of ctx is the end that was asked for
		}
		switch code := gaea.CodeOf(err); code {
		case "", gaea.CodeNotFound:
			told = ""
		case gaea.CodeUnauthenticated, gaea.CodeForbidden:
			return err
		default:
			if trouble != nil && err.Error() != told {
				trouble(err)
			}
			told = err.Error()
		}
		if job != nil {
			fresh := *job
			fresh.Returns = nil
			for i := range job.Returns {
				if r := &job.Returns[i]; !seen[r.Minion] {
					seen[r.Minion] = true
					fresh.Returns = append(fresh.Returns, *r)
				}
			}
			if !known || len(fresh.Returns) > 0 {
				known, pause = true, c.pace.firstLook
				sink(&fresh)
			}
		}
		if !wait(ctx, pause) {
			return nil
		}
		pause = min(pause*3/2, c.pace.lastLook)
	}
}
