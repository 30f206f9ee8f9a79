package acctest_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

// bus is what the master's event bus has carried since listen.
type bus struct {
	mu     sync.Mutex
	events map[string][]map[string]any // by tag
}

// listen reads the bus until the test ends. It returns when it does.
func listen(t *testing.T, lab *saltlab.Lab) *bus {
	t.Helper()
	master, err := native.New(native.Options{ConfigDir: lab.ConfigDir()})
	if err != nil {
		t.Fatal(err)
	}
	b := &bus{events: map[string][]map[string]any{}}
	ctx, cancel := context.WithCancel(t.Context())
	connected := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		once := sync.OnceFunc(func() { close(connected) })
		_ = master.Read(ctx, func(m gaea.BusMessage) { // nil when ctx has ended
			if m.Connected {
				once()
			}
			if m.Event != nil {
				b.add(m.Event)
			}
		})
	})
	t.Cleanup(func() {
		cancel()
		reader.Wait()
	})
	select {
	case <-connected:
	case <-ctx.Done():
		t.Fatal("the bus cannot be read")
	}
	return b
}

func (b *bus) add(event *gaea.Event) {
	var data map[string]any
	if json.Unmarshal(event.Data, &data) != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events[event.Tag] = append(b.events[event.Tag], data)
}

// with are the bodies of the events with a tag.
func (b *bus) with(tag string) []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[tag]
}
