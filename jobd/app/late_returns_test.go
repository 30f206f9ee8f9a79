package app_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

func TestReturnsThatWaitForTheEngineAreNotedBeforeTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		noted := 0
		busy := make(chan struct{})
		l := app.NewLateReturns(func(context.Context, gaea.Return) error {
			<-busy
			noted++
			return nil
		}, slog.New(slog.DiscardHandler))
		app.Start(l, t.Context())
		app.Take(l, []gaea.Return{{RunID: "run-1"}, {}, {RunID: "run-2"}, {Function: "state.apply", Args: []byte(`["site"]`)}, {Function: "state.apply", Args: []byte(`["site",{"__kwarg__":true,"queue":true}]`)}})
		close(busy)
		if err := app.Stop(l, t.Context()); err != nil || noted != 3 {
			t.Errorf("%d of 3 returns of runs were noted (%v)", noted, err)
		}
	})
}

func TestABurstOfReturnsIsOneLineInTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &logBuffer{}
		busy := make(chan struct{})
		l := app.NewLateReturns(func(context.Context, gaea.Return) error { <-busy; return nil }, slog.New(slog.NewTextHandler(log, nil)))
		app.Start(l, t.Context())
		for range 10_000 {
			app.Take(l, []gaea.Return{{RunID: "run-1"}})
		}
		close(busy)
		if err := app.Stop(l, t.Context()); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), "too many returns"); n != 1 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestAnEngineThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := app.NewLateReturns(func(ctx context.Context, _ gaea.Return) error { <-ctx.Done(); return ctx.Err() }, slog.New(slog.DiscardHandler))
		app.Start(l, t.Context())
		app.Take(l, []gaea.Return{{RunID: "run-1"}, {RunID: "run-2"}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = app.Stop(l, ctx) // that it returns is what counts
	})
}

func TestWhatWasNeverStartedCanBeStopped(t *testing.T) {
	t.Parallel()
	if err := app.Stop(app.NewLateReturns(nil, slog.New(slog.DiscardHandler)), t.Context()); err != nil {
		t.Error(err)
	}
}
