package restapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// Run implements [gaea.Runner] by salt-api's client runner, which answers when the runner has ended: so it needs neither the
// event stream nor another client. At most Config.UserRunners run at a time, the others wait. Where ctx has no deadline it is
// Config.RunnerTimeout away. What ctx cuts off goes on at the master, as every runner does. A proxy before salt-api must wait as
// long as the runner takes.
func (c *Client) Run(ctx context.Context, fun string, args []any, kwargs map[string]any) (gaea.RunnerReturn, error) {
	return c.run(ctx, c.userRunners, repeatUnsent, fun, args, kwargs)
}

// read runs a runner that only reads, which may therefore be asked for again, within Config.RunnerTimeout.
func (c *Client) readRunner(ctx context.Context, fun string, args []any, kwargs map[string]any) (json.RawMessage, error) {
	limited, cancel := context.WithTimeout(ctx, c.cfg.RunnerTimeout)
	defer cancel()
	r, err := c.run(limited, c.runners, repeatAlways, fun, args, kwargs)
	if err != nil {
		return nil, err
	}
	if r.Success {
		return r.Return, nil
	}
	words, last := r.Words()
	return nil, gaea.Wrap(errors.New(words), gaea.CodeSalt, "the runner %s failed on the Salt master: %s", fun, last)
}

// run runs a runner when one of the slots is free.
func (c *Client) run(ctx context.Context, slots chan struct{}, again repeat, fun string, args []any, kwargs map[string]any) (gaea.RunnerReturn, error) {
	limited := ctx
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, c.cfg.RunnerTimeout)
		defer cancel()
	}
	var none gaea.RunnerReturn
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-limited.Done():
		return none, c.runnerEnd(limited, limited.Err(), fun)
	}
	deadline, _ := limited.Deadline()
	left := max(time.Until(deadline), time.Second)
	what := "runner " + fun
	chunk := map[string]any{
		"client": "runner", "fun": fun, "full_return": true,
		// salt-api waits a little longer than this side: what it then says comes too late to be taken for a proxy's word.
		"timeout": math.Ceil(left.Seconds()) + 1,
	}
	if len(args) > 0 {
		chunk["arg"] = args
	}
	if len(kwargs) > 0 {
		chunk["kwarg"] = kwargs
	}
	a, err := c.lowdata(limited, call{what: what, repeat: again, timeout: left}, chunk)
	if err != nil && limited.Err() != nil {
		return none, c.runnerEnd(limited, err, fun)
	}
	if err != nil {
		return none, err
	}
	if a.status == http.StatusInternalServerError {
		return none, gaea.Wrap(a.cause(), gaea.CodeSalt, "salt-api at %s failed at runner %s (%s); is there a runner of that name? The log of salt-api has the reason", c.base, fun, a.words())
	}
	ret, err := c.returned(a, what)
	if err != nil {
		return none, err
	}
	r, ok := saltclient.ParseNetapiRunner(ret)
	if !ok {
		return none, c.unexpected(a, what)
	}
	return r, nil
}

// runnerEnd is the error for a runner whose end was not seen.
func (c *Client) runnerEnd(ctx context.Context, err error, fun string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return gaea.Wrap(err, gaea.CodeTimeout, "the runner %s has not ended on the Salt master within the time given", fun)
	}
	return gaea.Wrap(err, gaea.CodeCancelled, "waiting for the runner %s was cancelled", fun)
}
