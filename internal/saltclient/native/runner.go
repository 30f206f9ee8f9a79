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

// Runner runs a runner on the master and returns what it returned. The request port only takes it on; the result comes as the
// event salt/run/JID/ret, so the event socket has to be readable. At most Options.Runners run at a time, the others wait.
//
// CodeSalt quotes what the runner failed with; CodeTimeout says that it has not ended within Options.RunnerTimeout, or that
// there is no such runner: of that masters tell nothing.
func (c *Client) Runner(ctx context.Context, fun string, args []any, kwargs map[string]any) (json.RawMessage, error) {
	limited, cancel := context.WithTimeout(ctx, c.opts.RunnerTimeout)
	defer cancel()
	select {
	case c.runners <- struct{}{}:
		defer func() { <-c.runners }()
	case <-limited.Done():
		return nil, c.runnerEnd(limited, limited.Err(), fun)
	}
	conn, err := c.dialBus(limited) // before the runner is asked for, so that its answer cannot be missed
	if limited.Err() != nil && err != nil {
		return nil, c.runnerEnd(limited, err, fun)
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(limited, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	tag, err := c.startRunner(limited, fun, args, kwargs)
	if err != nil {
		return nil, err
	}
	frames := newFrameReader(conn, c.opts.MaxFrame)
	for {
		body, err := frames.next()
		switch {
		case errors.Is(err, errFrame) || errors.Is(err, errFrameSize):
			continue
		case err != nil:
			return nil, c.runnerEnd(limited, err, fun)
		case string(saltclient.Tag(body)) != tag:
			continue
		}
		parser := saltclient.EventParser{Limits: c.opts.Limits}
		ev, err := parser.Parse(body, c.opts.Now())
		if err != nil {
			return nil, err
		}
		return runnerResult(ev.Data, fun)
	}
}

// startRunner asks for a runner and returns the tag of the event that will have its result.
func (c *Client) startRunner(ctx context.Context, fun string, args []any, kwargs map[string]any) (string, error) {
	if args == nil {
		args = []any{}
	}
	if kwargs == nil {
		kwargs = map[string]any{}
	}
	what, user := "runner "+fun, ""
	answer, err := c.authorized(ctx, what, func(auth credentials, token string) map[string]any {
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
	return started.Tag + "/ret", nil
}

// runnerResult takes the result out of the data of the event that ends a runner.
func runnerResult(data json.RawMessage, fun string) (json.RawMessage, error) {
	var ended struct {
		Return  json.RawMessage `json:"return"`
		Success *bool           `json:"success"`
	}
	if err := json.Unmarshal(data, &ended); err != nil {
		return nil, unexpected("runner "+fun, data)
	}
	if ended.Success == nil || *ended.Success {
		return ended.Return, nil
	}
	var words string
	if json.Unmarshal(ended.Return, &words) != nil {
		words = string(ended.Return)
	}
	words = strings.TrimSpace(words)
	last := strings.TrimSpace(words[strings.LastIndexByte(words, '\n')+1:])
	return nil, gaea.Wrap(errors.New(words), gaea.CodeSalt, "the runner %s failed on the Salt master: %s", fun, last)
}

// runnerEnd is the error for a runner whose end was not seen.
func (c *Client) runnerEnd(ctx context.Context, err error, fun string) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return gaea.Wrap(err, gaea.CodeTimeout, "the runner %s has not ended on the Salt master within the time given (%s)", fun, c.opts.RunnerTimeout)
	case ctx.Err() != nil:
		return gaea.Wrap(ctx.Err(), gaea.CodeCancelled, "waiting for the runner %s was cancelled", fun)
	default:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the Salt master's event socket was closed while runner %s ran", fun)
	}
}
