package app_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

func TestTokensAreMadeBesideARunningJobdOfPostgreSQL(t *testing.T) {
	t.Parallel()
	o := postgresOptions(t, newSalt(t))
	first := run(t, o)
	tokens, err := app.OpenTokens(t.Context(), o.Database, o.KeyFile, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Create(t.Context(), "ci", gaea.RoleRead, 0); err != nil {
		t.Error(err)
	}
	if err := tokens.Close(); err != nil {
		t.Error(err)
	}
	if err := first.stop(); err != nil {
		t.Error(err)
	}
}

func TestEveryJobdOfADatabaseNeedsItsKey(t *testing.T) {
	t.Parallel()
	o := postgresOptions(t, newSalt(t))
	if _, err := app.OpenTokens(t.Context(), o.Database, o.KeyFile, false); gaea.CodeOf(err) != gaea.CodeNotFound {
		t.Errorf("a database without an archive: %v", err)
	}
	if err := run(t, o).stop(); err != nil {
		t.Fatal(err)
	}
	elsewhere := o
	elsewhere.KeyFile = filepath.Join(t.TempDir(), "jobd.key")
	if _, err := app.New(t.Context(), elsewhere); gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), elsewhere.KeyFile) || !strings.Contains(gaea.MessageOf(err), "--key-file") {
		t.Errorf("without the key: %v", err)
	}
	if err := run(t, options(t, newSalt(t))).stop(); err != nil {
		t.Fatal(err)
	}
	another := postgresOptions(t, newSalt(t))
	if err := run(t, another).stop(); err != nil {
		t.Fatal(err)
	}
	elsewhere.KeyFile = another.KeyFile
	if _, err := app.New(t.Context(), elsewhere); gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "needs the same one") {
		t.Errorf("with another key: %v", err)
	}
}

func TestAnOutageOfPostgreSQLIsNotLoggedAgainAndAgain(t *testing.T) {
	t.Parallel()
	postgres := ownPostgres(t)
	s := newSalt(t)
	o := options(t, s)
	o.KeyFile = filepath.Join(t.TempDir(), "jobd.key")
	log := &logBuffer{}
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	var err error
	if o.Database, err = postgres.Database(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.openBus()
	j := run(t, o)
	s.accept()
	eventually(t, "it leads", func() bool { return j.metric("gaea_leads") == 1 })
	if err := postgres.Halt(); err != nil {
		t.Fatal(err)
	}
	s.sendReturn(1, "web1", nil)
	eventually(t, "it has tried several times", func() bool { return j.metric(`gaea_ingest_errors_total{where="store"}`) >= 5 })
	if err := postgres.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") == 1 })
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	said := map[string]int{}
	for line := range strings.Lines(log.String()) {
		if _, message, ok := strings.Cut(line, "msg="); ok && !strings.Contains(line, "msg=request") {
			message, _, _ = strings.Cut(message, "err")
			said[message]++
		}
	}
	for message, n := range said {
		if n > 2 {
			t.Errorf("%d times: %s", n, message)
		}
	}
}

func TestNothingIsLostWhilePostgreSQLIsAway(t *testing.T) {
	t.Parallel()
	postgres := ownPostgres(t)
	s := newSalt(t)
	o := options(t, s)
	o.KeyFile = filepath.Join(t.TempDir(), "jobd.key")
	log := &logBuffer{}
	o.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if o.Database, err = postgres.Database(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Database += "&synchronous_commit=on" // the lab's servers forget what they committed last, unless they are told
	s.openBus()
	j := run(t, o)
	s.accept()
	ready := func() bool { status, _ := j.get("/readyz"); return status == http.StatusOK }
	eventually(t, "ready", ready)
	const count = 100
	for n := range count {
		switch n {
		case 20:
			if err := postgres.Halt(); err != nil {
				t.Fatal(err)
			}
			if status, body := j.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "does not answer") {
				t.Errorf("readyz answers %d: %s", status, body)
			}
		case 80:
			if err := postgres.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		s.sendReturn(n, "web1", nil)
	}
	eventually(t, "stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") == count })
	eventually(t, "ready again", ready)
	_, metrics := j.get("/metrics")
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	store := inspect(t, o)
	for n := range count {
		if _, err := store.Return(t.Context(), "m1", jid(n), "web1"); err != nil {
			t.Errorf("return %d: %v", n, err)
		}
	}
	u, err := url.Parse(o.Database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	if text := fmt.Sprint(log, metrics); strings.Contains(text, password) {
		t.Errorf("the password is told:\n%s", text)
	}
}

func TestADatabaseThatCannotBeReachedIsToldWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		database string
		code     gaea.Code
		says     string
	}{
		{"postgres://u:s3cret@127.0.0.1:1/d", gaea.CodeUnavailable, "127.0.0.1:1/d does not answer"},
		{"postgres://u:s3cret@127.0.0.1:port/d", gaea.CodeInvalid, "postgres://USER"},
		{"postgres://u:s3cret@127.0.0.1:1/d?sslmode=perhaps", gaea.CodeInvalid, "cannot be read"},
		{"host=x password=s3cret", gaea.CodeInvalid, "postgres://USER"},
		{"mysql://u:s3cret@h/d", gaea.CodeInvalid, "mysql"},
	} {
		log := &logBuffer{}
		o := options(t, newSalt(t))
		o.Database, o.KeyFile, o.Logger = row.database, filepath.Join(t.TempDir(), "jobd.key"), slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		_, err := app.New(t.Context(), o)
		if gaea.CodeOf(err) != row.code || !strings.Contains(gaea.MessageOf(err), row.says) || strings.Contains(fmt.Sprint(err, log), "s3cret") {
			t.Errorf("%s: %v", row.database, err)
		}
	}
}
