package jobdclient

import (
	"context"
	"iter"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Jobs lists archived jobs, newest first.
func (c *Client) Jobs(ctx context.Context, f gaea.JobFilter, p gaea.PageRequest) (gaea.Page[gaea.Job], error) {
	q := jobQuery(f)
	if f.Running {
		q.text("running", "true")
	}
	return page[gaea.Job](ctx, c, "/v1/jobs", q, p)
}

// Job returns one job with how it stands for each minion, and the jobs that belong to it. CodeNotFound.
func (c *Client) Job(ctx context.Context, jid string) (*gaea.JobDetail, error) {
	s, err := segment("jid", jid)
	if err != nil {
		return nil, err
	}
	return get[gaea.JobDetail](ctx, c, "/v1/jobs/"+s, nil)
}

// JobReturns lists the returns of one job with their bodies and states, by minion. [All] walks every page.
func (c *Client) JobReturns(ctx context.Context, jid string, p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
	s, err := segment("jid", jid)
	if err != nil {
		return gaea.Page[gaea.Return]{}, err
	}
	return page[gaea.Return](ctx, c, "/v1/jobs/"+s+"/returns", newQuery(), p)
}

// Return returns what one minion sent back for one job. CodeNotFound.
func (c *Client) Return(ctx context.Context, jid, minion string) (*gaea.Return, error) {
	j, err := segment("jid", jid)
	if err != nil {
		return nil, err
	}
	m, err := segment("minion", minion)
	if err != nil {
		return nil, err
	}
	return get[gaea.Return](ctx, c, "/v1/jobs/"+j+"/returns/"+m, nil)
}

// Returns lists archived returns without their bodies, newest first.
func (c *Client) Returns(ctx context.Context, f gaea.JobFilter, p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
	return page[gaea.Return](ctx, c, "/v1/returns", jobQuery(f), p)
}

// Events lists archived events that are neither jobs nor returns, newest first.
func (c *Client) Events(ctx context.Context, f gaea.EventFilter, p gaea.PageRequest) (gaea.Page[gaea.Event], error) {
	q := newQuery().text("master", f.Master).text("tag", f.Tag).text("minion", f.Minion).time("since", f.Since).time("until", f.Until)
	if f.Suspect {
		q = q.text("suspect", "true")
	}
	return page[gaea.Event](ctx, c, "/v1/events", q, p)
}

func jobQuery(f gaea.JobFilter) query {
	return newQuery().text("master", f.Master).text("minion", f.Minion).text("function", f.Function).text("target", f.Target).
		text("user", f.User).text("run", f.RunID).text("parent", f.Parent).text("outcome", string(f.Outcome)).time("since", f.Since).time("until", f.Until)
}

func page[T any](ctx context.Context, c *Client, path string, q query, p gaea.PageRequest) (gaea.Page[T], error) {
	out, err := get[gaea.Page[T]](ctx, c, path, q.page(p))
	if err != nil {
		return gaea.Page[T]{}, err
	}
	return *out, nil
}

// All walks every item of a list, page by page, and ends after the first error. For example:
//
//	for ret, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
//		return client.JobReturns(ctx, jid, p)
//	}) { … }
func All[T any](list func(gaea.PageRequest) (gaea.Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var p gaea.PageRequest
		for {
			got, err := list(p)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range got.Items {
				if !yield(item, nil) {
					return
				}
			}
			if got.Next == "" {
				return
			}
			p.Cursor = got.Next
		}
	}
}
