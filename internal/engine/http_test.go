package engine_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// answerer is a network in which one function answers all requests.
type answerer func(*http.Request) (*http.Response, error)

func (f answerer) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func answerWith(status int, header http.Header, body string) answerer {
	return func(req *http.Request) (*http.Response, error) {
		if header == nil {
			header = http.Header{}
		}
		return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
	}
}

// hook makes a run with one post-action, a request, and returns how that stands and what was archived of it.
func hook(t *testing.T, network http.RoundTripper, a gaea.JobAction) (gaea.RunAction, []gaea.Event) {
	t.Helper()
	var kept []gaea.Event
	w := newWorldWith(t, func(d *engine.Deps) {
		d.HTTP = &http.Client{Transport: network}
		d.Keep = func(_ context.Context, ev gaea.Event) error {
			kept = append(kept, ev)
			return nil
		}
	}, "web1")
	a.Name = "hook"
	if a.HTTP == nil {
		a.HTTP = &gaea.HTTPCall{URL: "http://lb.example.com/up"}
	}
	return w.run(after(ping(glob("*")), a)).Actions[0], kept
}

func TestARequestIsJudgedByItsStatusOrByWhatIsExpected(t *testing.T) {
	for name, c := range map[string]struct {
		expect  string
		network answerer
		ok      bool
		message string
	}{
		"200":             {"", answerWith(200, nil, "fine"), true, "GET http://lb.example.com/up: 200 OK"},
		"503":             {"", answerWith(503, nil, "no\n backend"), false, "GET http://lb.example.com/up: 503 Service Unavailable: no backend"},
		"a redirect":      {"", answerWith(302, http.Header{"Location": {"http://elsewhere/"}}, ""), false, "GET http://lb.example.com/up: 302 Found"},
		"expected status": {"ret.status == 503 && !success && retcode == 1", answerWith(503, nil, ""), true, "expected ret.status == 503 && !success && retcode == 1: true"},
		"JSON":            {"ret.json.up == 2", answerWith(200, nil, `{"up": 2}`), true, "expected ret.json.up == 2: true"},
		"no JSON":         {"ret.json == null && ret.body.contains('up')", answerWith(200, nil, "up"), true, "expected ret.json == null && ret.body.contains('up'): true"},
		"headers":         {"ret.headers['x-a'] == '1, 2'", answerWith(200, http.Header{"X-A": {"1", "2"}}, ""), true, "expected ret.headers['x-a'] == '1, 2': true"},
		"not as expected": {"ret.status == 204", answerWith(200, http.Header{"Set-Cookie": {"id=s3cret"}}, `{"token":"s3cret"}`), false,
			`expected ret.status == 204: false (returned {"status":200,"headers":{"set-cookie":"[redacted]"},"body":"{\"token\":\"[redacted]\"}","json":{"token":"[redacted]"}})`},
	} {
		synctest.Test(t, func(t *testing.T) {
			got, kept := hook(t, c.network, gaea.JobAction{Expect: c.expect})
			if (got.Status == gaea.ActionSucceeded) != c.ok || got.Message != c.message {
				t.Errorf("%s: %s\n got %s\nwant %s", name, got.Status, got.Message, c.message)
			}
			if len(kept) != 1 || strings.Contains(string(kept[0].Data), "s3cret") {
				t.Errorf("%s: kept %v", name, kept)
			}
		})
	}
}

func TestARequestIsMadeAsTheActionSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var method, auth, host, body string
		network := answerer(func(req *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(req.Body)
			if err != nil {
				return nil, err
			}
			method, auth, host, body = req.Method, req.Header.Get("Authorization"), req.Host, string(b)
			return answerWith(204, nil, "")(req)
		})
		got, _ := hook(t, network, gaea.JobAction{HTTP: &gaea.HTTPCall{
			URL: "https://lb.example.com/drain", Method: "POST", Body: `{"a": 1}`,
			Headers: map[string]string{"authorization": "Bearer s3cret", "Host": "lb"},
		}})
		if got.Message != "POST https://lb.example.com/drain: 204 No Content" || method != "POST" || auth != "Bearer s3cret" || host != "lb" || body != `{"a": 1}` {
			t.Errorf("%s: %s %s %s %s", got.Message, method, auth, host, body)
		}
	})
}

func TestARequestThatIsNotAnsweredIsGivenUpAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := answerer(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		got, kept := hook(t, silent, gaea.JobAction{
			Timeout: gaea.Duration(15 * time.Second),
			HTTP:    &gaea.HTTPCall{URL: "http://lb.example.com/up", Headers: map[string]string{"X-Token": "s3cret"}},
		})
		if got.Status != gaea.ActionFailed || got.Message != "GET http://lb.example.com/up: no answer within 15s" || len(kept) != 0 {
			t.Errorf("%s, %v", got.Message, kept)
		}
	})
}

func TestTheQueryOfARequestIsInNothingThatIsShown(t *testing.T) {
	for name, network := range map[string]answerer{
		"answered": answerWith(503, nil, "no backend"),
		"refused":  func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
	} {
		synctest.Test(t, func(t *testing.T) {
			got, kept := hook(t, network, gaea.JobAction{HTTP: &gaea.HTTPCall{URL: "http://lb.example.com/up?token=s3cret"}})
			if got.What != "GET http://lb.example.com/up?…" || !strings.HasPrefix(got.Message, got.What+": ") || strings.Contains(got.Message, "s3cret") {
				t.Errorf("%s: %s: %s", name, got.What, got.Message)
			}
			for _, event := range kept {
				if strings.Contains(string(event.Data), "s3cret") {
					t.Errorf("%s: kept %s", name, event.Data)
				}
			}
		})
	}
}

func TestALargeAnswerIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, kept := hook(t, answerWith(200, nil, strings.Repeat("a", 3<<20)), gaea.JobAction{Expect: "size(ret.body) == 1048576 && ret.json == null"})
		if got.Status != gaea.ActionSucceeded {
			t.Errorf("%s", got.Message)
		}
		var data struct {
			Answer struct {
				Body string
				Cut  bool
			}
		}
		if err := json.Unmarshal(kept[0].Data, &data); err != nil || len(data.Answer.Body) != 64<<10 || !data.Answer.Cut {
			t.Errorf("%d bytes kept, cut %v: %v", len(data.Answer.Body), data.Answer.Cut, err)
		}
	})
}

func TestARedirectIsNotFollowedAndACertificateIsVerified(t *testing.T) {
	var followed atomic.Bool
	redirect := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/there" {
			followed.Store(true)
		}
		http.Redirect(rw, req, "/there", http.StatusFound)
	}))
	defer redirect.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	got, _ := hook(t, transport, gaea.JobAction{HTTP: &gaea.HTTPCall{URL: redirect.URL + "/here"}, Expect: "ret.status == 302"})
	if got.Status != gaea.ActionSucceeded || followed.Load() {
		t.Errorf("%s, followed: %v", got.Message, followed.Load())
	}
	got, _ = hook(t, transport, gaea.JobAction{HTTP: &gaea.HTTPCall{URL: secure.URL, Headers: map[string]string{"X-Token": "s3cret"}}})
	if got.Status != gaea.ActionFailed || !strings.Contains(got.Message, "certificate") || strings.Contains(got.Message, "s3cret") {
		t.Errorf("%s", got.Message)
	}
}
