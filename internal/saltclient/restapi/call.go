package restapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/httpclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// repeat says when a request that came to nothing is sent again.
type repeat int

const (
	// repeatUnsent: where it cannot have reached Salt, which is where no connection came about, or "too many requests".
	repeatUnsent repeat = iota
	// repeatRefused: and where salt-api says that the master does not run (503), before it has done anything.
	repeatRefused
	// repeatAlways: and where the connection broke, or a proxy lost it. For what only reads.
	repeatAlways
)

// call is one request to salt-api.
type call struct {
	what    string // for errors: "a login", "job test.ping (2026…)"
	path    string
	body    any
	repeat  repeat
	timeout time.Duration // 0: the client's
}

// attempt is what one call's repetitions share. It travels in the request's context.
type attempt struct {
	repeat repeat
	sent   atomic.Bool // a request has left that was not refused before it did anything
	last   error       // why the last repetition came to nothing
	answer *answer
}

type attemptKey struct{}

// answer is what came back, whatever its status. Where it is JSON, body is clean.
type answer struct {
	status int
	kind   string // the media type
	body   json.RawMessage
	err    error // why a body that should be JSON is none
}

// lowdata sends one chunk of low data (a map with "client") with a token, and once more with a new one where salt-api does not
// take the first. Then it returns the answer, whatever it is.
func (c *Client) lowdata(ctx context.Context, k call, chunk map[string]any) (*answer, error) {
	k.path, k.body = "/", []any{chunk}
	token, err := c.token(ctx, "")
	if err != nil {
		return nil, err
	}
	a, err := c.exchangeAs(ctx, k, token)
	if err != nil || a.status != http.StatusUnauthorized || isDenied(a) {
		return a, err
	}
	if token, err = c.token(ctx, token); err != nil {
		return nil, err
	}
	return c.exchangeAs(ctx, k, token)
}

// exchange sends a call without a token.
func (c *Client) exchange(ctx context.Context, k call) (*answer, error) {
	return c.exchangeAs(ctx, k, "")
}

// exchangeAs sends a call, again where that is safe, and returns the answer. Errors tell whether Salt may have acted on it:
// CodeUnavailable and CodeCancelled where it has not seen it, CodeTimeout where it may have.
func (c *Client) exchangeAs(ctx context.Context, k call, token string) (*answer, error) {
	if k.timeout == 0 {
		k.timeout = c.cfg.Timeout
	}
	bounded, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	state := &attempt{repeat: k.repeat}
	encoded, err := json.Marshal(k.body)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "%s holds a value that JSON cannot carry", k.what)
	}
	traced := httptrace.WithClientTrace(bounded, &httptrace.ClientTrace{WroteHeaders: func() { state.sent.Store(true) }})
	req, err := c.request(context.WithValue(traced, attemptKey{}, state), http.MethodPost, k.path, token, encoded)
	if err != nil {
		return nil, err
	}
	wrapped, err := retryablehttp.FromRequest(req)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInternal, "the request to salt-api could not be made")
	}
	wrapped.SetResponseHandler(func(resp *http.Response) error {
		a, err := c.read(resp)
		state.answer = a
		return err
	})
	resp, err := c.retry.Do(wrapped)
	if err == nil && resp != nil && state.answer == nil { // the last of several attempts was still worth repeating
		state.answer, err = c.read(resp)
	}
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
		}
		return nil, c.connectionError(ctx, bounded, k, state.sent.Load(), cmp.Or(state.last, err))
	}
	return state.answer, nil
}

func (c *Client) request(ctx context.Context, method, path, token string, body []byte) (*http.Request, error) {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, r)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInternal, "the request to salt-api could not be made")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	return req, nil
}

// read takes an answer in, within its bound.
func (c *Client) read(resp *http.Response) (*answer, error) {
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, kind: httpclient.MediaType(resp)}
	if a.kind != "application/json" {
		const enough = 64 << 10 // a page that says what went wrong
		body, err := io.ReadAll(io.LimitReader(resp.Body, enough))
		a.body = body
		return a, err
	}
	text := saltclient.PythonJSON{Limit: c.cfg.MaxAnswer}
	if n := resp.ContentLength; n > 0 && n <= int64(c.cfg.MaxAnswer) {
		text.Grow(int(n))
	}
	if _, err := io.Copy(&text, resp.Body); err != nil {
		if errors.Is(err, saltclient.ErrOutput) {
			return nil, gaea.Errorf(gaea.CodeTooLarge, "salt-api's answer is larger than %d MiB", c.cfg.MaxAnswer>>20)
		}
		return nil, err
	}
	a.body, a.err = text.JSON()
	return a, nil
}

// mayRepeat decides whether a request is sent again.
func mayRepeat(ctx context.Context, resp *http.Response, err error) (bool, error) {
	state, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok || ctx.Err() != nil {
		return false, ctx.Err()
	}
	state.last = err
	if err != nil {
		permanent := httpclient.IsPermanent(err) || gaea.CodeOf(err) == gaea.CodeTooLarge
		return !permanent && (state.repeat == repeatAlways || !state.sent.Load()), nil
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		state.sent.Store(false)
		return true, nil
	case http.StatusServiceUnavailable:
		again := state.repeat >= repeatRefused
		state.sent.Store(!again)
		return again, nil
	case http.StatusBadGateway:
		return state.repeat == repeatAlways, nil
	default:
		return false, nil
	}
}

// paragraph is where a page of CherryPy says what went wrong.
var paragraph = regexp.MustCompile(`(?s)<p>(.*?)</p>`)

// words is what an answer that is no success says, in a line of bounded length.
func (a *answer) words() string {
	said := ""
	switch a.kind {
	case "application/json":
		said = saltclient.NetapiWords(a.body)
	case "text/html":
		if m := paragraph.FindSubmatch(a.body); m != nil {
			said = html.UnescapeString(string(m[1]))
		}
	}
	const most = 300
	said = strings.ToValidUTF8(strings.Join(strings.Fields(said), " "), "\uFFFD")
	if len(said) > most {
		said = strings.ToValidUTF8(said[:most], "") + " …"
	}
	if said == "" {
		return a.statusText()
	}
	return said
}

func (a *answer) statusText() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)))
}

// cause is the answer as an error for the log.
func (a *answer) cause() error { return errors.New(a.statusText() + ": " + a.words()) }

// isDenied says whether a 401 refuses what was asked for and not who asks. salt-api answers both alike, but for its words.
func isDenied(a *answer) bool {
	said := a.words()
	return strings.Contains(said, "Authorization error") || strings.Contains(said, "occurred for user")
}
