package jobdclient

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// History lists what ran on a minion, newest first.
func (c *Client) History(ctx context.Context, f gaea.HistoryFilter, p gaea.PageRequest) (gaea.Page[gaea.HistoryItem], error) {
	s, err := segment("minion", f.Minion)
	if err != nil {
		return gaea.Page[gaea.HistoryItem]{}, err
	}
	q := newQuery().text("master", f.Master).text("function", f.Function).text("outcome", string(f.Outcome)).time("since", f.Since).time("until", f.Until)
	return page[gaea.HistoryItem](ctx, c, "/v1/minions/"+s+"/history", q, p)
}

// States lists the last result of each state on each minion, in an order that does not change.
func (c *Client) States(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.LatestState], error) {
	return page[gaea.LatestState](ctx, c, "/v1/states", stateQuery(f).text("outcome", string(f.Outcome)), p)
}

// Changes lists the states that changed something, newest first. CodeInvalid unless the filter names a state, an SLS file or a
// minion.
func (c *Client) Changes(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.StateChange], error) {
	return page[gaea.StateChange](ctx, c, "/v1/states/changes", stateQuery(f), p)
}

// FailedMinions lists the minions on which an SLS file failed, in an order that does not change. CodeInvalid unless the filter
// names one.
func (c *Client) FailedMinions(ctx context.Context, f gaea.StateFilter, p gaea.PageRequest) (gaea.Page[gaea.FailedMinion], error) {
	return page[gaea.FailedMinion](ctx, c, "/v1/states/failures", stateQuery(f), p)
}

// SlowStates lists the states that took 100 ms or more, the slowest first.
func (c *Client) SlowStates(ctx context.Context, f gaea.SlowStateFilter, p gaea.PageRequest) (gaea.Measured[gaea.SlowState], error) {
	return measured[gaea.SlowState](ctx, c, "/v1/states/slowest", newQuery().text("master", f.Master).text("sls", f.SLS).time("since", f.Since).time("until", f.Until), p)
}

// RunDurations tells for each day how long runs took, newest first. CodeInvalid unless the filter says of what.
func (c *Client) RunDurations(ctx context.Context, f gaea.RunDurationFilter, p gaea.PageRequest) (gaea.Measured[gaea.RunDurations], error) {
	q := newQuery().text("master", f.Master).text("applied", f.Applied).time("since", f.Since).time("until", f.Until)
	if f.Test {
		q.text("test", "true")
	}
	return measured[gaea.RunDurations](ctx, c, "/v1/states/durations", q, p)
}

func stateQuery(f gaea.StateFilter) query {
	return newQuery().text("master", f.Master).text("minion", f.Minion).text("sls", f.SLS).text("state", f.State).text("function", f.Function).
		time("since", f.Since).time("until", f.Until)
}

func measured[T any](ctx context.Context, c *Client, path string, q query, p gaea.PageRequest) (gaea.Measured[T], error) {
	out, err := get[gaea.Measured[T]](ctx, c, path, q.page(p))
	if err != nil {
		return gaea.Measured[T]{}, err
	}
	return *out, nil
}
