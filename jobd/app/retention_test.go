package app_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

func TestAJobdThatIsStartedOnABackupAnswersAndGoesOn(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	s.openBus()
	o := options(t, s)
	j := run(t, o)
	s.accept()
	for n := range 20 {
		s.sendReturn(n, "web1", nil)
	}
	eventually(t, "stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") == 20 })
	path, err := app.SQLitePath(o.Database)
	if err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "jobd.db")
	b, err := app.BackUp(t.Context(), o.Database, o.KeyFile, restored)
	if err != nil || b.Bytes <= 0 || b.KeyFile != filepath.Join(filepath.Dir(path), "jobd.key") {
		t.Fatalf("%+v (%v)", b, err)
	}
	s.sendReturn(20, "web1", nil)
	eventually(t, "stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") == 21 })
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	key, err := os.ReadFile(b.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(restored), "jobd.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	o.Database = "sqlite://" + restored
	j = run(t, o)
	s.accept()
	s.sendReturn(21, "web1", nil)
	eventually(t, "stored by the restored one", func() bool { return j.metric(`gaea_archive_rows{kind="returns"}`) == 21 })
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	store := inspect(t, o)
	for _, n := range []int{0, 19, 21} {
		if _, err := store.Return(t.Context(), "m1", jid(n), "web1"); err != nil {
			t.Errorf("return %d: %v", n, err)
		}
	}
}

func TestWhatIsHeldStaysWhenTheSizeWouldDeleteIt(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		s := newSalt(t)
		o := options(t, s)
		store := inspect(t, o)
		old := time.Now().Add(-72 * time.Hour)
		for n := range 5 {
			err := store.WriteBatch(t.Context(), "m1", archive.Batch{Returns: []gaea.Return{{
				JID: jid(n), Minion: "web1", Function: "test.ping", Outcome: gaea.OutcomeSucceeded, Body: json.RawMessage(`true`), Stamp: old, Source: gaea.SourceBus,
			}}})
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.Hold(t.Context(), gaea.HoldRequest{JID: jid(3), Reason: "case 1"}, "ann"); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		log := &logBuffer{}
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
		o.Retention = gaea.Retention{MaxSize: 1}
		j := run(t, o)
		eventually(t, "deleted", func() bool {
			return j.metric(`gaea_archive_deleted_total{reason="size"}`) >= 4 && j.metric(`gaea_archive_rows{kind="returns"}`) == 1
		})
		eventually(t, "over", func() bool { return j.metric("gaea_archive_over_size") == 1 })
		if j.metric("gaea_archive_max_bytes") != 1 || !strings.Contains(log.String(), "larger than max_size") {
			t.Errorf("the log says %s", log)
		}
		if err := j.stop(); err != nil {
			t.Error(err)
		}
		store = inspect(t, o)
		if _, err := store.Return(t.Context(), "m1", jid(3), "web1"); err != nil {
			t.Error(err)
		}
		if until, err := store.Horizon(t.Context()); err != nil || until.IsZero() || until.After(time.Now()) {
			t.Errorf("the horizon is %s (%v)", until, err)
		}
	})
}
