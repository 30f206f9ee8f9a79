package native_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

func TestARunnerThatUsersAskForIsToldWithItsJobID(t *testing.T) {
	f := newFake(t, "")
	f.runners(func(string, map[string]any) map[string]any {
		return map[string]any{"success": true, "return": []any{"web1"}}
	})
	got, err := f.client(native.Options{}).Run(t.Context(), "manage.up", nil, nil)
	if err != nil || got.JID != "9" || !got.Success || string(got.Return) != `["web1"]` {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestARunnerThatFailsIsNoError(t *testing.T) {
	f := newFake(t, "")
	f.runners(func(string, map[string]any) map[string]any {
		return map[string]any{"success": false, "return": "ValueError: no such thing"}
	})
	got, err := f.client(native.Options{}).Run(t.Context(), "x.y", nil, nil)
	if err != nil || got.Success || string(got.Return) != `"ValueError: no such thing"` {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestARunnerThatUsersAskForTakesAsLongAsItsContextLets(t *testing.T) {
	f := newFake(t, "")
	f.answers(func(map[string]any) any { return map[string]any{"tag": "salt/run/9", "jid": "9"} })
	c := f.client(native.Options{RunnerTimeout: time.Nanosecond})
	ctx, cancel := context.WithTimeout(t.Context(), 1100*time.Millisecond)
	defer cancel()
	_, err := c.Run(ctx, "x.y", nil, nil)
	if gaea.CodeOf(err) != gaea.CodeTimeout || !strings.Contains(gaea.MessageOf(err), "(1s)") {
		t.Errorf("%v", err)
	}
}

func TestTheRunnersOfUsersDoNotKeepOutThoseThatGaeaNeeds(t *testing.T) {
	f := newFake(t, "")
	started := make(chan struct{}, 2)
	f.answers(func(map[string]any) any {
		started <- struct{}{}
		return map[string]any{"tag": "salt/run/9", "jid": "9"}
	})
	c := f.client(native.Options{Runners: 1, UserRunners: 1})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() {
		_, err := c.Run(ctx, "x.y", nil, nil)
		ended <- err
	}()
	<-started
	go func() {
		_, err := c.Runner(ctx, "jobs.list_job", nil, nil)
		ended <- err
	}()
	<-started // while the first goes on
	cancel()
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("a runner that was given up ended well")
		}
	}
}
