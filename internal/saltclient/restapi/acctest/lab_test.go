// Package acctest_test tries the client of salt-api on a real one. Its tests share one lab, whose master knows users of several
// kinds of external authentication.
package acctest_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/restapi"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

// users is the file of users of the eauth file, and filePassword the password of its user filed.
var users string

const filePassword = "in the file"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gaea-users-")
	if err != nil {
		panic(err)
	}
	users = filepath.Join(dir, "users")
	if err := os.WriteFile(users, []byte("filed:"+filePassword+"\n"), 0o600); err != nil {
		panic(err)
	}
	everything := []any{".*", "@runner", "@jobs"}
	goleak.VerifyTestMain(saltlab.NewSuite(m, saltlab.Config{
		Minions: 2,
		MasterConfig: map[string]any{
			"netapi_enable_clients": []any{"local_async", "runner"},
			"external_auth": map[string]any{
				"sharedsecret": map[string]any{
					"gaea": everything, "narrow": []any{map[string]any{"web*": []any{"test.ping"}}},
				},
				"auto": map[string]any{"automatic": everything},
				"file": map[string]any{"^filename": users, "^filetype": "text", "filed": everything},
			},
		},
	}), goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// patience is how long a test waits for something that a real Salt does.
const patience = 60 * time.Second

func client(t *testing.T, lab *saltlab.Lab, change func(*restapi.Config)) *restapi.Client {
	t.Helper()
	cfg := restapi.Config{URL: lab.APIURL(), Username: lab.APIUser(), Password: lab.APIPassword(), Eauth: lab.APIEauth(), Timeout: patience}
	if change != nil {
		change(&cfg)
	}
	c, err := restapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// dropTokens removes every token that the master has given.
func dropTokens(t *testing.T, lab *saltlab.Lab) {
	t.Helper()
	tokens, err := filepath.Glob(filepath.Join(lab.CacheDir(), "tokens", "*"))
	if err != nil || len(tokens) == 0 {
		t.Fatalf("no tokens in %s: %v", lab.CacheDir(), err)
	}
	for _, token := range tokens {
		if err := os.Remove(token); err != nil {
			t.Fatal(err)
		}
	}
}

var jids gaea.JIDs

// bus is what a client reads from the event bus while a test runs.
type bus struct {
	t    *testing.T
	mu   sync.Mutex
	told []gaea.BusMessage
	more chan struct{} // closed and replaced with each message
}

// listen reads the bus from now on: when it returns, the link is up.
func listen(t *testing.T, c *restapi.Client) *bus {
	t.Helper()
	b := &bus{t: t, more: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- c.Read(ctx, b.take) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	b.until("the link is up", func(told []gaea.BusMessage) bool { return len(told) > 0 && told[len(told)-1].Connected })
	return b
}

func (b *bus) take(m gaea.BusMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, m)
	close(b.more)
	b.more = make(chan struct{})
}

// until waits until what was told is as wanted.
func (b *bus) until(what string, ok func([]gaea.BusMessage) bool) {
	b.t.Helper()
	late := time.After(patience)
	for {
		b.mu.Lock()
		told, more := slices.Clone(b.told), b.more
		b.mu.Unlock()
		if ok(told) {
			return
		}
		select {
		case <-more:
		case <-late:
			b.t.Fatalf("waited in vain until %s; told: %d messages, the last %+v", what, len(told), told[max(0, len(told)-3):])
		}
	}
}

// returned waits for the returns of a job.
func (b *bus) returned(jid string, minions ...string) {
	b.t.Helper()
	b.until("the returns of "+jid+" are there", func(told []gaea.BusMessage) bool {
		var from []string
		for _, m := range told {
			if m.Event == nil {
				continue
			}
			if d := saltclient.Decode(*m.Event); d.Return != nil && d.Return.JID == jid {
				from = append(from, d.Return.Minion)
			}
		}
		slices.Sort(from)
		return slices.Equal(slices.Compact(from), minions)
	})
}

// refuseEvents is a transport that lets no event stream through, as some proxies do.
type refuseEvents struct{ http.RoundTripper }

func (r refuseEvents) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Path == "/events" {
		return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
	}
	return r.RoundTripper.RoundTrip(req)
}
