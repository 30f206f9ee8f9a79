package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

// filledFile in the directory of an archive says that it is whole, and at what time that was.
const filledFile = "filled"

// archiveDir makes the directory of an archive: one that stays where the user wants that. What is left of an archive that was
// not made to the end is removed.
func (b *bench) archiveDir(name string) (string, error) {
	if b.keep == "" {
		return b.dir(name)
	}
	dir := filepath.Join(b.keep, name)
	if _, err := os.Stat(filepath.Join(dir, filledFile)); errors.Is(err, fs.ErrNotExist) {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	return dir, os.MkdirAll(dir, 0o755) // PostgreSQL, another user, has its files below
}

// server is a new PostgreSQL, or one that stays in a directory.
func (b *bench) server(ctx context.Context, dir string, settings ...string) (*pglab.Server, error) {
	if b.keep == "" {
		return pglab.Start(ctx, settings...)
	}
	return pglab.Keep(ctx, dir, settings...)
}

// filled is a filled archive: one that was kept, or a new one. It tells what it has, and when it was made.
func filled(ctx context.Context, dir, driver, where string, returns int) (stats archive.Stats, at time.Time, err error) {
	note := filepath.Join(dir, filledFile)
	text, err := os.ReadFile(note)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return stats, at, err
	}
	s, failed := openStore(ctx, dir, driver, where)
	if failed != nil {
		return stats, at, failed
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err == nil {
		say("asking the archive in " + dir + " again")
		if at, err = time.Parse(time.RFC3339, string(text)); err == nil {
			stats, err = s.Stats(ctx)
		}
		return stats, at, err
	}
	at = time.Now().UTC().Truncate(time.Second)
	if stats, err = fill(ctx, s, driver, where, returns, at); err != nil {
		return stats, at, err
	}
	return stats, at, os.WriteFile(note, []byte(at.Format(time.RFC3339)), 0o600)
}

func openStore(ctx context.Context, dir, driver, where string) (archive.Store, error) {
	key, err := archive.OpenKeyFile(filepath.Join(dir, "jobd.key"))
	if err != nil {
		return nil, err
	}
	if driver == "pgx" {
		return postgres.Open(ctx, where, key, postgres.Options{})
	}
	return sqlite.Open(ctx, where, key, sqlite.Options{})
}

// fill gives an empty store the archive of a fleet: one day as jobd stores it, the one before now, and copies of it until there
// are enough returns.
func fill(ctx context.Context, s archive.Store, driver, where string, returns int, now time.Time) (stats archive.Stats, err error) {
	yesterday := now.Truncate(24*time.Hour).AddDate(0, 0, -1)
	say("storing a day in " + driver)
	day := &fleetDay{
		rand: rand.New(rand.NewPCG(1, 2)), states: fleetStates(), start: yesterday, //nolint:gosec // the same rows each time
		write: func(b archive.Batch) error { return s.WriteBatch(ctx, "salt", b) },
	}
	if err := day.all(); err != nil {
		return stats, err
	}
	if stats, err = s.Stats(ctx); err != nil {
		return stats, err
	}
	days := max(1, returns/int(stats.Returns))
	if driver == "pgx" { // which has partitions by the day
		var b archive.Batch
		for back := 1; back < days; back++ {
			at := yesterday.AddDate(0, 0, -back)
			b.Jobs = append(b.Jobs, gaea.Job{JID: at.Format("20060102150405") + "999999", Function: "test.version", Started: at, Source: gaea.SourceBus, Known: true})
		}
		if err := s.WriteBatch(ctx, "salt", b); err != nil {
			return stats, err
		}
	}
	say(fmt.Sprintf("copying a day of %d returns to %d days", stats.Returns, days))
	began := time.Now()
	a, err := openDays(driver, where, yesterday)
	if err != nil {
		return stats, err
	}
	if err := errors.Join(a.copyTo(ctx, days), a.db.Close()); err != nil {
		return stats, err
	}
	say(fmt.Sprintf("copied in %s", time.Since(began).Round(time.Second)))
	return s.Stats(ctx)
}
