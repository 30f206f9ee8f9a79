package swarm_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// keyDir keeps the keys of all tests here: they take long to make.
var keyDir string

func TestMain(m *testing.M) {
	var err error
	if keyDir, err = os.MkdirTemp("", "swarm-keys-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(keyDir)
		os.Exit(code)
	}))
}

// eventually fails the test unless the condition holds soon.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}

// start starts a swarm on a small master, waits until all are accepted, and stops it with the test.
func start(t *testing.T, m *master, cfg swarm.Config) *swarm.Swarm {
	t.Helper()
	s := begin(t, m, swarm.Options{Config: cfg})
	accepted(t, s)
	return s
}

func begin(t *testing.T, m *master, opts swarm.Options) *swarm.Swarm {
	t.Helper()
	opts.Master, opts.KeyDir = m.request.Addr().String(), keyDir
	s, err := swarm.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func accepted(t *testing.T, s *swarm.Swarm) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Accepted(ctx); err != nil {
		t.Fatal(err)
	}
}

// one starts a swarm of one minion, m1, that behaves in this way.
func one(t *testing.T, m *master, b swarm.Behaviour) *swarm.Swarm {
	t.Helper()
	return start(t, m, swarm.Config{IDs: []string{"m1"}, Groups: []swarm.Group{{Behaviour: b}}, States: motd()})
}

func motd() map[string][]swarm.State {
	return map[string][]swarm.State{"motd": {
		{ID: "/etc/motd", Function: "file.managed", Drifted: true},
		{ID: "nginx", Function: "service.running", Requires: []string{"/etc/motd"}},
	}}
}
