package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

func TestTheQueueIsAFileBesideTheArchiveUnlessItIsSet(t *testing.T) {
	t.Parallel()
	for database, want := range map[string]string{
		"/var/lib/jobd/jobd.db": "sqlite:///var/lib/jobd/jobd-queue.db", "/srv/x/archive": "sqlite:///srv/x/archive-queue.db",
	} {
		if got := app.QueueAddress("", "sqlite://"+database, database); got != want {
			t.Errorf("%s: %s", database, got)
		}
	}
	if got := app.QueueAddress("postgres://h/d", "sqlite:///var/lib/jobd/jobd.db", "/var/lib/jobd/jobd.db"); got != "postgres://h/d" {
		t.Errorf("%s", got)
	}
	if got := app.QueueAddress("", "postgres://h/d", ""); got != "postgres://h/d" {
		t.Errorf("%s", got)
	}
	s := newSalt(t)
	o := options(t, s)
	j := run(t, o)
	path, err := app.SQLitePath(o.Database)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(strings.TrimSuffix(path, ".db") + "-queue.db")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if err := j.stop(); err != nil {
		t.Error(err)
	}
}

func TestNotReadyWhileTheQueueDoesNotAnswer(t *testing.T) {
	t.Parallel()
	postgres := ownPostgres(t)
	s := newSalt(t)
	o := options(t, s)
	var err error
	if o.QueueDatabase, err = postgres.Database(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.openBus()
	j := run(t, o)
	s.accept()
	ready := func() bool { status, _ := j.get("/readyz"); return status == http.StatusOK }
	eventually(t, "ready", ready)
	if err := postgres.Halt(); err != nil {
		t.Fatal(err)
	}
	if status, body := j.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "queue") {
		t.Errorf("readyz answers %d: %s", status, body)
	}
	if err := postgres.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ready again", ready)
	if err := j.stop(); err != nil {
		t.Error(err)
	}
}

func TestAQueueThatCannotBeIsRefusedAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	o := options(t, s)
	for address, code := range map[string]gaea.Code{
		o.Database: gaea.CodeInvalid, "mysql://h/d": gaea.CodeInvalid, "postgres://u:secret@127.0.0.1:1/d": gaea.CodeUnavailable,
	} {
		o.QueueDatabase = address
		if _, err := app.New(t.Context(), o); gaea.CodeOf(err) != code || strings.Contains(gaea.MessageOf(err), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
	o.QueueDatabase = "sqlite://" + filepath.Join(t.TempDir(), "deep", "queue.db")
	first := run(t, o) // the port and the archive are free
	other := options(t, s)
	other.QueueDatabase = o.QueueDatabase
	if _, err := app.New(t.Context(), other); gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "--queue-database") {
		t.Errorf("a queue that another jobd has: %v", err)
	}
	if err := first.stop(); err != nil {
		t.Error(err)
	}
}
