package jobdclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/httpclient"
)

// maxAnswer bounds an answer's body: a page of returns may be large, a hostile server must not fill the memory.
const maxAnswer = 256 << 20

// call is one request to jobd.
type call struct {
	method string
	path   string // with its segments escaped
	query  url.Values
	body   any    // encoded as JSON; nil for none
	key    string // the Idempotency-Key, or empty
	wait   time.Duration
}

// repeatable says whether the call may be sent again when it is not known whether jobd has carried it out.
func (c call) repeatable() bool { return c.method != http.MethodPost || c.key != "" }

// attempt is what one call's repetitions share. It travels in the request's context.
type attempt struct {
	repeatable bool
	maybeDone  bool   // an earlier repetition may have been carried out
	body       []byte // the answer
}

type attemptKey struct{}

// get fetches a path into a new T.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (*T, error) {
	return send[T](ctx, c, call{method: http.MethodGet, path: path, query: query})
}

// send makes a call and decodes the answer into a new T.
func send[T any](ctx context.Context, c *Client, k call) (*T, error) {
	body, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	out := new(T)
	dec := json.NewDecoder(bytes.NewReader(body))
	// Numbers in free values keep their text: an id beyond 2^53 must come through whole.
	dec.UseNumber()
	if err := dec.Decode(out); err != nil {
		return nil, gaea.Wrap(permanent{err}, gaea.CodeUnavailable, "jobd at %s sent an answer that cannot be read; does its version go with this one?", c.endpoint)
	}
	return out, nil
}

// do makes a call and returns the answer's body. Errors are all *gaea.Error.
func (c *Client) do(ctx context.Context, k call) ([]byte, error) {
	limit := c.timeout + k.wait
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	state := &attempt{repeatable: k.repeatable()}
	req, err := c.request(context.WithValue(bounded, attemptKey{}, state), k)
	if err != nil {
		return nil, err
	}
	wrapped, err := retryablehttp.FromRequest(req)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInternal, "the request to jobd could not be made")
	}
	wrapped.SetResponseHandler(func(resp *http.Response) error {
		body, err := c.readAnswer(resp)
		state.body = body
		return err
	})
	resp, err := c.retry.Do(wrapped)
	if err == nil && state.body == nil && resp != nil { // the last of several attempts was still worth repeating
		state.body, err = c.readAnswer(resp)
	}
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
		}
		return nil, c.connectionError(ctx, bounded, limit, err)
	}
	err = c.answerError(resp, state.body)
	if k.method == http.MethodDelete && state.maybeDone && gaea.CodeOf(err) == gaea.CodeNotFound {
		return nil, nil // an answer was lost on the way: it was there, and it is gone as asked
	}
	if err != nil {
		return nil, err
	}
	return state.body, nil
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	target := c.endpoint + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	var body io.Reader
	if k.body != nil {
		encoded, err := json.Marshal(k.body)
		if err != nil {
			return nil, gaea.Wrap(err, gaea.CodeInvalid, "the request holds a value that JSON cannot carry")
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, body)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInternal, "the request to jobd could not be made")
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", c.userAgent)
	if k.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if k.key != "" {
		req.Header.Set("Idempotency-Key", k.key)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	return req, nil
}

func (c *Client) readAnswer(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > c.maxAnswer {
		return nil, permanent{gaea.Errorf(gaea.CodeTooLarge, "jobd's answer is larger than %d MiB; ask for fewer items with a smaller limit", c.maxAnswer>>20)}
	}
	return body, nil
}

// mayRepeat decides whether a request is sent again: always where it cannot have reached jobd, and where it is safe to
// repeat also after a lost connection or an answer that says "not now".
func mayRepeat(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	state, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return false, nil
	}
	if err != nil {
		if isPermanent(err) {
			return false, nil
		}
		if httpclient.IsNeverSent(err) {
			return true, nil
		}
		state.maybeDone = true
		return state.repeatable, nil
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return true, nil
	case http.StatusServiceUnavailable:
		return state.repeatable, nil
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		state.maybeDone = true
		// With these two jobd itself speaks of Salt or of a limit; without its problem they come from a proxy.
		return state.repeatable && !isProblem(resp), nil
	default:
		return false, nil
	}
}

// segment escapes one part of a path. The field names it in the error for a value that no path can hold.
func segment(field, value string) (string, error) {
	if value == "" || value == "." || value == ".." || strings.ContainsRune(value, 0) {
		return "", gaea.Invalid(field, "%q names nothing", value)
	}
	return url.PathEscape(value), nil
}

// query collects parameters and leaves out what is not set.
type query struct{ url.Values }

func newQuery() query { return query{url.Values{}} }

func (q query) text(name, value string) query {
	if value != "" {
		q.Set(name, value)
	}
	return q
}

func (q query) time(name string, value time.Time) query {
	if !value.IsZero() {
		q.Set(name, value.UTC().Format(time.RFC3339Nano))
	}
	return q
}

func (q query) page(p gaea.PageRequest) url.Values {
	q.text("cursor", p.Cursor)
	if p.Limit != 0 {
		q.Set("limit", fmt.Sprint(p.Limit))
	}
	return q.Values
}
