// Package acctest_test tries the native client on a real Salt. Its tests share one lab, whose master knows a user of
// publisher_acl and some nodegroups.
package acctest_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

// publisher is a user that every system knows and that is not the master's.
const publisher = "daemon"

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(saltlab.NewSuite(m, saltlab.Config{
		States: "testdata/states", Pillar: "testdata/pillar", NoAPI: true, PublisherACL: []string{publisher},
		// A minion cuts what is over its own bound before it sends it, and then nobody has it whole.
		MinionConfig: map[string]any{"max_event_size": 16 << 20},
		MasterConfig: map[string]any{"nodegroups": map[string]any{
			"front": "G@role:web", "all": []any{"N@front", "or", "N@back"}, "back": []any{"db1"},
		}},
	}), goleak.Cleanup(os.Exit))
}

// patience is how long a test waits for something that a real Salt does.
const patience = 60 * time.Second

func client(t *testing.T, lab *saltlab.Lab, opts native.Options) *native.Client {
	t.Helper()
	if opts.ConfigDir == "" {
		opts.ConfigDir = lab.ConfigDir()
	}
	c, err := native.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bus is what a client reads from the event bus while a test runs.
type bus struct {
	t    *testing.T
	mu   sync.Mutex
	told []gaea.BusMessage
	more chan struct{} // closed and replaced with each message
}

// listen reads the bus from now on: when it returns, the link is up.
func listen(t *testing.T, c *native.Client) *bus {
	t.Helper()
	b := &bus{t: t, more: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background()) // ended by the clean-up, which then waits
	var done sync.WaitGroup
	done.Go(func() {
		if err := c.Read(ctx, b.sink); err != nil {
			t.Errorf("reading the bus ended with %v", err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	b.wait("the link to the bus", 0, func(m gaea.BusMessage) bool { return m.Connected })
	return b
}

func (b *bus) sink(m gaea.BusMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, m)
	close(b.more)
	b.more = make(chan struct{})
}

// wait waits for a message, of those from the from-th on, for which is says yes, and returns its place.
func (b *bus) wait(what string, from int, is func(gaea.BusMessage) bool) int {
	b.t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		told, more := b.told, b.more
		b.mu.Unlock()
		for ; from < len(told); from++ {
			if is(told[from]) {
				return from
			}
		}
		select {
		case <-more:
		case <-deadline:
			b.t.Fatalf("the bus does not tell %s", what)
		}
	}
}

// decoded waits for an event that means something.
func (b *bus) decoded(what string, is func(saltclient.Decoded) bool) saltclient.Decoded {
	b.t.Helper()
	var found saltclient.Decoded
	b.wait(what, 0, func(m gaea.BusMessage) bool {
		if m.Event == nil {
			return false
		}
		found = saltclient.Decode(*m.Event)
		return is(found)
	})
	return found
}

// ret waits for a minion's return of a job.
func (b *bus) ret(jid, minion string) *gaea.Return {
	b.t.Helper()
	return b.decoded("the return of "+minion+" for job "+jid, func(d saltclient.Decoded) bool {
		return d.Return != nil && d.Return.JID == jid && d.Return.Minion == minion
	}).Return
}

var jids gaea.JIDs

// publish publishes to a target and returns what the master says.
func publish(t *testing.T, c *native.Client, p gaea.Publication) gaea.Published {
	t.Helper()
	if p.JID == "" {
		p.JID = jids.Next(time.Now())
	}
	if p.Target.Type == "" {
		p.Target = gaea.Target{Type: gaea.TargetGlob, Expr: "*"}
	}
	published, err := c.Publish(t.Context(), p)
	if err != nil {
		t.Fatalf("%s on %s: %v", p.Function, p.Target, err)
	}
	if published.JID != p.JID {
		t.Fatalf("published as %s, asked for %s", published.JID, p.JID)
	}
	return published
}

// withConfig is a copy of the lab's configuration with lines behind it.
func withConfig(t *testing.T, lab *saltlab.Lab, lines string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(lab.ConfigDir(), "master"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "master"), append(content, "\n"+lines+"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func unmarshal(t *testing.T, raw json.RawMessage, into any) {
	t.Helper()
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
}
