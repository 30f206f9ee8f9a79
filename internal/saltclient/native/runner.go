package native

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// Run implements [gaea.Runner]. The request port only takes a runner on; the result comes as the event salt/run/JID/ret, so
// the event socket has to be readable. At most Options.UserRunners run at a time, the others wait. Where ctx has no deadline
// it is Options.RunnerTimeout away.
func (c *Client) Run(ctx context.Context, fun string, args []any, kwargs map[string]any) (gaea.RunnerReturn, error) {
	return c.run(ctx, c.userRunners, fun, args, kwargs)
}

// Runner runs one of the runners that Gaea itself needs, and returns what it returned, within Options.RunnerTimeout. At most
// Options.Runners of them run at a time, the others wait.
//
// CodeSalt quotes what the runner failed with; CodeTimeout says that it has not ended within Options.RunnerTimeout, or that
// there is no such runner: of that masters tell nothing.
func (c *Client) Runner(ctx context.Context, fun string, args []any, kwargs map[string]any) (json.RawMessage, error) {
	limited, cancel := context.WithTimeout(ctx, c.opts.RunnerTimeout)
	defer cancel()
	answer, err := c.run(limited, c.runners, fun, args, kwargs)
	if err != nil {
		return nil, err
	}
	if answer.Success {
		return answer.Return, nil
	}
	words, last := answer.Words()
	return nil, gaea.Wrap(errors.New(words), gaea.CodeSalt, "the runner %s failed on the Salt master: %s", fun, last)
}

// run runs a runner when one of the slots is free.
func (c *Client) run(ctx context.Context, slots chan struct{}, fun string, args []any, kwargs map[string]any) (gaea.RunnerReturn, error) {
	limited, began := ctx, c.opts.Now()
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, c.opts.RunnerTimeout)
		defer cancel()
	}
	var none gaea.RunnerReturn
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-limited.Done():
		return none, c.runnerEnd(limited, limited.Err(), fun, began)
	}
	conn, err := c.dialBus(limited) // before the runner is asked for, so that its answer cannot be missed
	if limited.Err() != nil && err != nil {
		return none, c.runnerEnd(limited, err, fun, began)
	}
	if err != nil {
		return none, err
	}
	defer conn.Close()
	stop := context.AfterFunc(limited, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	tag, err := c.startRunner(limited, fun, args, kwargs)
	if err != nil {
		return none, err
	}
	frames := newFrameReader(conn, c.opts.MaxFrame, c.opts.MaxFrame)
	for {
		body, large, err := frames.next()
		if large != nil {
			var name []byte
			if name, _, err = large.tag(); string(name) == tag+"/ret" {
				return none, errFrameSize
			}
		}
		switch {
		case errors.Is(err, errFrame) || errors.Is(err, errFrameSize) || (large != nil && err == nil):
			continue
		case err != nil:
			return none, c.runnerEnd(limited, err, fun, began)
		case string(saltclient.Tag(body)) != tag+"/ret":
			continue
		}
		parser := saltclient.EventParser{Limits: c.opts.Limits}
		ev, err := parser.Parse(body, c.opts.Now())
		if err != nil {
			return none, err
		}
		return runnerReturn(ev.Data, fun, tag)
	}
}

// startRunner asks for a runner and returns the tag of its events: salt/run/JID.
func (c *Client) startRunner(ctx context.Context, fun string, args []any, kwargs map[string]any) (string, error) {
	if args == nil {
		args = []any{}
	}
	if kwargs == nil {
		kwargs = map[string]any{}
	}
	what, user := "runner "+fun, ""
	answer, err := c.authorized(ctx, what, nil, func(auth credentials, token string) map[string]any {
		user = auth.user
		load := map[string]any{
			"cmd": "runner", "fun": fun, "kwarg": map[string]any{"arg": args, "kwarg": kwargs}, "user": auth.user, "key": auth.key,
		}
		if token != "" {
			load["token"] = token
		}
		return load
	})
	if err != nil {
		return "", err
	}
	if r, refused := parseRefusal(answer); refused {
		return "", c.refusalError(r, what, user)
	}
	var started struct {
		Tag string `json:"tag"` // salt/run/JID
	}
	if json.Unmarshal(answer, &started) != nil || started.Tag == "" {
		return "", unexpected(what, answer)
	}
	return started.Tag, nil
}

// runnerReturn takes how a runner ended out of the data of the event that tells so.
func runnerReturn(data json.RawMessage, fun, tag string) (gaea.RunnerReturn, error) {
	var ended struct {
		Return  json.RawMessage `json:"return"`
		Success *bool           `json:"success"`
	}
	if err := json.Unmarshal(data, &ended); err != nil {
		return gaea.RunnerReturn{}, unexpected("runner "+fun, data)
	}
	return gaea.RunnerReturn{
		JID: tag[strings.LastIndexByte(tag, '/')+1:], Success: ended.Success == nil || *ended.Success, Return: ended.Return,
	}, nil
}

// runnerEnd is the error for a runner whose end was not seen.
func (c *Client) runnerEnd(ctx context.Context, err error, fun string, began time.Time) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return gaea.Wrap(err, gaea.CodeTimeout, "the runner %s has not ended on the Salt master within the time given (%s)", fun, c.opts.Now().Sub(began).Round(time.Second))
	case ctx.Err() != nil:
		return gaea.Wrap(ctx.Err(), gaea.CodeCancelled, "waiting for the runner %s was cancelled", fun)
	default:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the Salt master's event socket was closed while runner %s ran", fun)
	}
}
