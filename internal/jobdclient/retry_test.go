package jobdclient_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

var refused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

// counted answers with one result after the other, then with the last for ever, and counts the requests.
type counted struct {
	results []func() (*http.Response, error)
	n       int
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	i := min(c.n, len(c.results)-1)
	c.n++
	return c.results[i]()
}

func fails(err error) func() (*http.Response, error) {
	return func() (*http.Response, error) { return nil, err }
}

func says(answer func() *http.Response) func() (*http.Response, error) {
	return func() (*http.Response, error) { return answer(), nil }
}

var (
	aRun = says(func() *http.Response {
		return reply(http.StatusAccepted, "application/json", `{"id":"run-1","status":"running"}`)
	})
	notNow = says(func() *http.Response {
		return problem(http.StatusServiceUnavailable, gaea.CodeUnavailable, "the database is locked")
	})
	saltSays  = says(func() *http.Response { return problem(http.StatusBadGateway, gaea.CodeSalt, "Salt refused") })
	proxySays = says(func() *http.Response { return reply(http.StatusBadGateway, "text/html", "<html>") })
	tooMany   = says(func() *http.Response { return reply(http.StatusTooManyRequests, "text/plain", "later") })
	halfARun  = says(func() *http.Response {
		r := reply(http.StatusOK, "application/json", `{"id":`)
		r.Body = brokenBody{}
		return r
	})
	noContent = says(func() *http.Response { return reply(http.StatusNoContent, "", "") })
	notFound  = says(func() *http.Response {
		return problem(http.StatusNotFound, gaea.CodeNotFound, "there is no such group")
	})
)

// brokenBody breaks off at once.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errReset }
func (brokenBody) Close() error             { return nil }

func TestOnlyWhatIsSafeToRepeatIsRepeated(t *testing.T) {
	ctx := context.Background()
	get := func(c *jobdclient.Client) error { _, err := c.GetRun(ctx, "run-1"); return err }
	put := func(c *jobdclient.Client) error { _, err := c.PutTargetGroup(ctx, group("web")); return err }
	withKey := func(c *jobdclient.Client) error { _, err := c.CreateRun(ctx, gaea.RunRequest{}, "key"); return err }
	withoutKey := func(c *jobdclient.Client) error { _, err := c.CreateRun(ctx, gaea.RunRequest{}, ""); return err }
	enforce := func(c *jobdclient.Client) error {
		_, err := c.Enforce(ctx, "a", gaea.EnforceRequest{}, "key")
		return err
	}
	for _, row := range []struct {
		name    string
		ask     func(*jobdclient.Client) error
		results []func() (*http.Response, error)
		times   int
		code    gaea.Code
	}{
		{"a get after a lost connection", get, []func() (*http.Response, error){fails(errReset), aRun}, 2, ""},
		{"a get after half an answer", get, []func() (*http.Response, error){halfARun, halfARun, aRun}, 3, ""},
		{"a get while jobd says not now", get, []func() (*http.Response, error){notNow, aRun}, 2, ""},
		{"a get after a proxy's error", get, []func() (*http.Response, error){proxySays, aRun}, 2, ""},
		{"a get that never works", get, []func() (*http.Response, error){notNow}, 5, gaea.CodeUnavailable},
		{"a get after Salt's refusal", get, []func() (*http.Response, error){saltSays, aRun}, 1, gaea.CodeSalt},
		{"a put after a lost connection", put, []func() (*http.Response, error){fails(errReset), aRun}, 2, ""},
		{"a post with a key", withKey, []func() (*http.Response, error){fails(errReset), aRun}, 2, ""},
		{"an enforcement with a key", enforce, []func() (*http.Response, error){fails(errReset), notNow, aRun}, 3, ""},
		{"a post without a key", withoutKey, []func() (*http.Response, error){fails(errReset), aRun}, 1, gaea.CodeUnavailable},
		{"a post without a key after half an answer", withoutKey, []func() (*http.Response, error){halfARun, aRun}, 1, gaea.CodeUnavailable},
		{"a post without a key while jobd says not now", withoutKey, []func() (*http.Response, error){notNow, aRun}, 1, gaea.CodeUnavailable},
		{"a post without a key that was never sent", withoutKey, []func() (*http.Response, error){fails(refused), aRun}, 2, ""},
		{"a post that a proxy did not pass on", withoutKey, []func() (*http.Response, error){tooMany, aRun}, 2, ""},
		{"a name that does not exist", get, []func() (*http.Response, error){fails(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "nohost", IsNotFound: true}}), aRun}, 1, gaea.CodeUnavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := &counted{results: row.results}
				err := row.ask(dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: net}))
				if gaea.CodeOf(err) != row.code {
					t.Errorf("got %v, want %q", err, row.code)
				}
				if net.n != row.times {
					t.Errorf("sent %d times, want %d", net.n, row.times)
				}
			})
		})
	}
}

func TestADeletionWhoseAnswerWasLostIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &counted{results: []func() (*http.Response, error){fails(errReset), notFound}}
		if err := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: net}).DeleteTargetGroup(t.Context(), "web"); err != nil {
			t.Error(err)
		}
		net = &counted{results: []func() (*http.Response, error){fails(refused), notFound}}
		err := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: net}).DeleteTargetGroup(t.Context(), "web")
		wantError(t, err, gaea.CodeNotFound)
		net = &counted{results: []func() (*http.Response, error){noContent}}
		if err := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: net}).DeleteTargetGroup(t.Context(), "web"); err != nil {
			t.Error(err)
		}
	})
}

// hangs answers never.
var hangs = transport(func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: r.Context().Err()}
})

func TestEveryCallHasALimitInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: hangs, Timeout: 10 * time.Second})
		started := time.Now()
		_, err := c.WhoAmI(t.Context())
		wantError(t, err, gaea.CodeTimeout, "http://127.0.0.1:7780", "within 10s", "request_timeout")
		if took := time.Since(started); took != 10*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestTheCallersPatienceIsToldApartFromTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: hangs})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.WhoAmI(ctx)
		wantError(t, err, gaea.CodeTimeout, "the time ran out")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the cause is lost: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		_, err = c.WhoAmI(ctx)
		wantError(t, err, gaea.CodeCancelled, "stopped")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the cause is lost: %v", err)
		}
	})
}

func TestALostJobdIsReportedInAFewSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &counted{results: []func() (*http.Response, error){fails(&url.Error{Op: "Get", URL: "http://127.0.0.1:7780/v1/whoami", Err: refused})}}
		started := time.Now()
		_, err := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: net}).WhoAmI(t.Context())
		e := errorOf(t, err, gaea.CodeUnavailable)
		want := `jobd at http://127.0.0.1:7780 does not answer (connection refused); is it running? Start it with "jobd serve", or set endpoint / GAEA_ENDPOINT`
		if e.Message != want {
			t.Errorf("got  %q\nwant %q", e.Message, want)
		}
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAnAnswerThatIsTooLargeIsRefused(t *testing.T) {
	c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: transport(func(*http.Request) (*http.Response, error) {
		r := reply(http.StatusOK, "application/json", "")
		r.Body = endless{}
		return r, nil
	})})
	c.SetMaxAnswer(3 << 20)
	_, err := c.WhoAmI(t.Context())
	wantError(t, err, gaea.CodeTooLarge, "3 MiB")
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
func (endless) Close() error { return nil }

func TestTheTokenIsInNoLogAndNoURL(t *testing.T) {
	const token = "gaea_s3cr3tToken"
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		asked := ""
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Token: token, Logger: log.logger(),
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				asked += r.URL.String()
				if r.Header.Get("Authorization") != "Bearer "+token {
					t.Error("no token in the header")
				}
				return nil, fmt.Errorf("a cause that repeats %s", token)
			})})
		_, err := c.Jobs(t.Context(), gaea.JobFilter{User: "root"}, gaea.PageRequest{})
		wantError(t, err, gaea.CodeUnavailable)
		if s := log.String() + asked; s == asked || strings.Contains(s, token) {
			t.Errorf("logged and asked: %s", s)
		}
	})
}
