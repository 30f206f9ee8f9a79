package app_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

func TestReadyWhileTheBusIsConnectedAndNoLonger(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		s := newSalt(t)
		j := run(t, options(t, s))
		if status, _ := j.get("/healthz"); status != http.StatusOK {
			t.Errorf("healthz answers %d while the master is away", status)
		}
		if status, body := j.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "event bus") {
			t.Errorf("readyz answers %d while the master is away: %s", status, body)
		}
		s.openBus()
		s.accept()
		eventually(t, "ready", func() bool { status, _ := j.get("/readyz"); return status == http.StatusOK })
		s.closeBus()
		eventually(t, "not ready", func() bool { status, _ := j.get("/readyz"); return status == http.StatusServiceUnavailable })
		if err := j.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestNotReadyWhileTheArchiveDoesNotAnswer(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		s := newSalt(t)
		s.openBus()
		j := run(t, options(t, s))
		s.accept()
		eventually(t, "ready", func() bool { status, _ := j.get("/readyz"); return status == http.StatusOK })
		if err := j.BreakArchive(); err != nil {
			t.Fatal(err)
		}
		if status, body := j.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "archive") {
			t.Errorf("readyz answers %d: %s", status, body)
		}
		if status, _ := j.get("/metrics"); status != http.StatusOK && status != http.StatusInternalServerError {
			t.Errorf("metrics answers %d", status)
		}
		_ = j.stop()
	})
}

func TestAStopStoresAllThatWasRead(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		const count = 3000
		s := newSalt(t)
		s.openBus()
		o := options(t, s)
		j := run(t, o)
		s.accept()
		for n := range count {
			s.sendReturn(n, "web1", nil)
		}
		s.send("my/event", map[string]any{"in": "no cache"})
		eventually(t, "all is read", func() bool { return j.metric("gaea_bus_events_total") >= count+1 })
		if err := j.stop(); err != nil {
			t.Fatal(err)
		}
		stats, err := inspect(t, o).Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats.Returns != count || stats.Events != 1 {
			t.Errorf("the archive has %d of %d returns and %d of 1 other events", stats.Returns, count, stats.Events)
		}
	})
}

func TestAClientThatKeepsItsConnectionCostsNoEvent(t *testing.T) {
	t.Parallel()
	const count = 500
	s := newSalt(t)
	s.openBus()
	o := options(t, s)
	j := run(t, o)
	s.accept()
	slow, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", j.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := slow.Write([]byte("GET /healthz HTTP/1.1\r\n")); err != nil { // and never the rest
		t.Fatal(err)
	}
	for n := range count {
		s.sendReturn(n, "web1", nil)
	}
	eventually(t, "all is read", func() bool { return j.metric("gaea_bus_events_total") >= count })
	began := time.Now()
	if err := j.stop(); err != nil {
		t.Errorf("it says: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	stats, err := inspect(t, o).Stats(t.Context())
	if err != nil || stats.Returns != count {
		t.Errorf("the archive has %d of %d returns (%v)", stats.Returns, count, err)
	}
}

func TestALateReturnIsNotedInItsRun(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		s := newSalt(t)
		s.openBus()
		o := options(t, s)
		now := time.Now().UTC()
		ended := &gaea.Run{
			ID: "run-1", Master: "m1", Kind: gaea.RunJob, Function: "test.ping", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, User: "ann",
			Status: gaea.RunFailed, Created: now, Started: now, Ended: now,
			Slices:  []gaea.Slice{{JID: jid(1), Minions: []string{"web1"}, Started: now, Ended: now}},
			Minions: map[string]gaea.RunMinion{"web1": {Outcome: gaea.OutcomeUnreachable, JID: jid(1), At: now}},
			Call:    &gaea.Call{Function: "test.ping"},
		}
		store := inspect(t, o)
		if _, _, err := store.CreateRun(t.Context(), ended, "", ""); err != nil {
			t.Fatal(err)
		}
		j := run(t, o)
		s.accept()
		s.sendReturn(1, "web1", map[string]any{gaea.MetadataRun: "run-1"})
		eventually(t, "stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") >= 1 })
		if err := j.stop(); err != nil {
			t.Fatal(err)
		}
		run, err := store.GetRun(t.Context(), "run-1")
		if err != nil {
			t.Fatal(err)
		}
		if m := run.Minions["web1"]; !m.Late || m.Outcome != gaea.OutcomeSucceeded {
			t.Errorf("the run says %+v", m)
		}
	})
}

func TestAStartThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	o := options(t, s)
	a, err := app.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.BreakArchive(); err != nil {
		t.Fatal(err)
	}
	address := a.Addr()
	if err := serve(t, a).wait(); err == nil {
		t.Error("it does not say that it failed")
	}
	// The port and the database are free again.
	o.Listen = address
	if err := run(t, o).stop(); err != nil {
		t.Error(err)
	}
}

func TestAListenerThatFailsEndsJobdInOrder(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		s := newSalt(t)
		o := options(t, s)
		a, err := app.New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.BreakListener(); err != nil {
			t.Fatal(err)
		}
		if err := serve(t, a).wait(); gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(err.Error(), a.Addr()) {
			t.Errorf("it says: %v", err)
		}
		if err := run(t, o).stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAStartWhoseContextHasEndedStopsAtOnce(t *testing.T) {
	t.Parallel()
	a, err := app.New(t.Context(), options(t, newSalt(t)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx); err != nil {
		t.Errorf("a stop is no failure: %v", err)
	}
}

func TestASecondJobdIsToldWhatIsTaken(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	o := options(t, s)
	j := run(t, o)
	samePort := options(t, s)
	samePort.Listen = j.Addr()
	if _, err := app.New(t.Context(), samePort); err == nil || !strings.Contains(gaea.MessageOf(err), j.Addr()) || !strings.Contains(gaea.MessageOf(err), "--listen") {
		t.Errorf("the same port: %v", err)
	}
	path, _ := app.SQLitePath(o.Database)
	if _, err := app.New(t.Context(), o); err == nil || !strings.Contains(gaea.MessageOf(err), path) || !strings.Contains(gaea.MessageOf(err), "another jobd") {
		t.Errorf("the same database: %v", err)
	}
	// Tokens are made beside a running jobd.
	tokens, err := app.OpenTokens(t.Context(), o.Database, "", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Create(t.Context(), "ci", gaea.RoleRead, 0); err != nil {
		t.Error(err)
	}
	if err := tokens.Close(); err != nil {
		t.Error(err)
	}
	if err := j.stop(); err != nil {
		t.Error(err)
	}
}

func TestADatabaseWithoutItsKeyIsNotGivenANewOne(t *testing.T) {
	t.Parallel()
	o := options(t, newSalt(t))
	if err := run(t, o).stop(); err != nil {
		t.Fatal(err)
	}
	path, _ := app.SQLitePath(o.Database)
	key := app.KeyPath("", path)
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(t.Context(), o); err == nil || !strings.Contains(gaea.MessageOf(err), key) || !strings.Contains(gaea.MessageOf(err), "--key-file") {
		t.Errorf("it says: %v", err)
	}
	o.KeyFile = key + ".away"
	if err := run(t, o).stop(); err != nil {
		t.Error(err)
	}
}

func TestTheMetricsTellWhatOperatorsAskFor(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		s := newSalt(t)
		s.openBus()
		j := run(t, options(t, s))
		s.accept()
		s.sendReturn(1, "web1", nil)
		eventually(t, "stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") == 1 })
		for _, name := range []string{
			"gaea_bus_events_total", "gaea_bus_connected", "gaea_bus_unreadable_total", `gaea_ingest_events_total{kind="return"}`,
			"gaea_ingest_lag_seconds_count", "gaea_ingest_queue_events", "gaea_ingest_queue_bytes", "gaea_ingest_gaps_total",
			"gaea_ingest_open_gaps", "gaea_ingest_database_seconds_count", "gaea_ingest_let_go_total", "gaea_ingest_lost_events_total",
			`gaea_ingest_errors_total{where="bus"}`, `gaea_ingest_errors_total{where="store"}`, `gaea_ingest_errors_total{where="recovery"}`,
			`gaea_archive_rows{kind="returns"}`, "gaea_archive_bytes", "process_resident_memory_bytes", "go_goroutines",
		} {
			if j.metric(name) < 0 {
				t.Errorf("there is no %s", name)
			}
		}
	})
}

func TestTheLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	s.openBus()
	o := options(t, s)
	log := &logBuffer{}
	o.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	j := run(t, o)
	s.accept()
	s.send("salt/job/"+jid(1)+"/ret/web1", map[string]any{
		"jid": jid(1), "id": "web1", "fun": "state.apply", "fun_args": []any{map[string]any{"__kwarg__": true, "pillar": map[string]any{"k": "s3cret"}}},
		"return": []any{"Rendering failed"}, "retcode": 1, "success": false,
	})
	eventually(t, "stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") == 1 })
	j.get("/v1/runs?token=s3cret")
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	path, _ := app.SQLitePath(o.Database)
	if strings.Contains(log.String(), "s3cret") {
		t.Errorf("the log:\n%s", log)
	}
	for _, file := range []string{path, path + "-wal"} {
		if text := contents(t, file); strings.Contains(text, "s3cret") {
			t.Errorf("%s holds the pillar", filepath.Base(file))
		}
	}
}
