package restapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/restapi"
)

// bus reads a client's bus while a test runs.
func bus(t *testing.T, c *restapi.Client) <-chan gaea.BusMessage {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	told, over := make(chan gaea.BusMessage, 100), make(chan error, 1)
	go func() {
		over <- c.Read(ctx, func(m gaea.BusMessage) {
			select {
			case told <- m:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	return told
}

// next waits for the next message and writes it as a word: "connected", a tag, or the error.
func next(t *testing.T, told <-chan gaea.BusMessage) string {
	t.Helper()
	select {
	case m := <-told:
		switch {
		case m.Connected:
			return "connected"
		case m.Event != nil:
			return m.Event.Tag + " " + string(m.Event.Data)
		case restapi.EventsRefused(m.Err):
			return "refused: " + gaea.MessageOf(m.Err)
		default:
			return m.Err.Error()
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		return ""
	}
}

// say writes a part of a stream to its reader.
func say(w http.ResponseWriter, format string, args ...any) {
	w.Header().Set("Content-Type", "text/event-stream;charset=utf-8")
	_, _ = fmt.Fprintf(w, format, args...)
	_ = http.NewResponseController(w).Flush()
}

func TestEventsAreReadAndATokenThatExpiresIsMadeAnew(t *testing.T) {
	f := newFake(t)
	f.events = func(w http.ResponseWriter, _ *http.Request, token string) {
		say(w, "retry: 400\ntag: a\ndata: {\"tag\": \"a/%s\", \"data\": {\"x\": NaN, \"_stamp\": \"2026-01-31T12:00:00\"}}\n\n", token)
		say(w, "data: no json\n\ndata: {\"tag\": 1}\n\ndata: %s\n\ndata: {\"tag\": \"b\", \"data\": {}}\n\n", strings.Repeat("x", 5000))
		f.forget() // and salt-api ends the stream
	}
	c := f.client(t, func(cfg *restapi.Config) { cfg.MaxEvent = 4096 })
	c.SetPace(time.Millisecond, time.Minute, time.Minute, time.Minute)
	told := bus(t, c)
	for n := 1; n <= 3; n++ {
		for _, want := range []string{"connected", fmt.Sprintf("a/70ce%04d {\"x\":\"NaN\",\"_stamp\":\"2026-01-31T12:00:00\"}", n), "b {}", "salt-api at"} {
			if got := next(t, told); !strings.HasPrefix(got, want) {
				t.Fatalf("connection %d: %s, want %s", n, got, want)
			}
		}
	}
}

func TestAnEventStreamThatIsNotToBeHadSaysSo(t *testing.T) {
	for name, row := range map[string]struct {
		events func(w http.ResponseWriter, r *http.Request, token string)
		want   string
	}{
		"no such page": {nil, "refused: salt-api at"},
		"forbidden":    {func(w http.ResponseWriter, _ *http.Request, _ string) { page(w, http.StatusForbidden, "Bad IP") }, "refused: salt-api at"},
		"never a token that is good": {func(w http.ResponseWriter, _ *http.Request, _ string) {
			page(w, http.StatusUnauthorized, "No permission")
		}, "refused: salt-api at"},
		"a proxy that keeps it back": {func(w http.ResponseWriter, r *http.Request, _ string) {
			say(w, "")
			<-r.Context().Done()
		}, "refused: salt-api's event stream"},
		"not now": {func(w http.ResponseWriter, _ *http.Request, _ string) {
			page(w, http.StatusServiceUnavailable, "later")
		}, "salt-api at"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.events = row.events
			c := f.client(t, nil)
			c.SetPace(time.Minute, 50*time.Millisecond, time.Minute, time.Minute)
			if got := next(t, bus(t, c)); !strings.HasPrefix(got, row.want) {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestASilentStreamIsTriedWithARunner(t *testing.T) {
	for name, dead := range map[string]bool{"that is alive": false, "that is dead": true} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			var looks atomic.Int32
			ask := make(chan struct{}, 100)
			f.events = func(w http.ResponseWriter, r *http.Request, _ string) {
				say(w, "retry: 400\n")
				for {
					select {
					case <-ask:
						if !dead {
							say(w, "data: {\"tag\": \"salt/run/1/ret\", \"data\": {}}\n\n")
						}
					case <-r.Context().Done():
						return
					}
				}
			}
			f.low = func(w http.ResponseWriter, _ int, _ map[string]any) {
				looks.Add(1)
				ask <- struct{}{}
				ran(w, map[string]any{"Error": "no such job"})
			}
			c := f.client(t, nil)
			c.SetPace(time.Millisecond, time.Minute, 10*time.Millisecond, 200*time.Millisecond)
			told := bus(t, c)
			if got := next(t, told); got != "connected" {
				t.Fatal(got)
			}
			want := "salt/run/1/ret {}"
			if dead {
				want = "salt-api's event stream"
			}
			for range 2 {
				got := next(t, told)
				if got == "connected" && dead {
					got = next(t, told)
				}
				if !strings.HasPrefix(got, want) {
					t.Fatalf("got %s", got)
				}
			}
			if looks.Load() < 2 {
				t.Errorf("%d looks", looks.Load())
			}
		})
	}
}
