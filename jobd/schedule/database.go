package schedule

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// client is what is used of a [river.Client], whose type differs by the database.
type client interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	InsertMany(ctx context.Context, params []river.InsertManyParams) ([]*rivertype.JobInsertResult, error)
	JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
	JobRetry(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobDelete(ctx context.Context, id int64) (*rivertype.JobRow, error)
}

// database is where River keeps its jobs.
type database struct {
	ownFile   bool // no other process uses it
	exec      riverdriver.Executor
	newClient func(*river.Config) (client, error)
	migrate   func(context.Context, *slog.Logger) error
	close     func() error
}

// SQLitePath is the file that the address of a queue names; empty where it is in PostgreSQL. CodeInvalid.
func SQLitePath(address string) (string, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil: // the error would quote the address, password and all
		return "", gaea.Invalid("queue_database", "this is no address of a database; write sqlite:///var/lib/jobd/jobd-queue.db or postgres://USER:PASSWORD@HOST/DATABASE")
	case u.Scheme == "sqlite" && u.Host == "" && filepath.IsAbs(u.Path):
		return filepath.Clean(u.Path), nil
	case u.Scheme == "postgres" || u.Scheme == "postgresql":
		return "", nil
	default:
		return "", gaea.Invalid("queue_database", "%q is no place for the queue; write sqlite:///var/lib/jobd/jobd-queue.db (three slashes) or postgres://USER:PASSWORD@HOST/DATABASE", u.Redacted())
	}
}

// openDatabase opens the queue's database without asking it for anything.
func openDatabase(address string) (*database, error) {
	path, err := SQLitePath(address)
	switch {
	case err != nil:
		return nil, err
	case path != "":
		return openSQLite(path)
	default:
		return openPostgres(address)
	}
}

func using[TTx any](driver riverdriver.Driver[TTx]) *database {
	return &database{
		exec:      driver.GetExecutor(),
		newClient: func(c *river.Config) (client, error) { return river.NewClient(driver, c) },
		migrate: func(ctx context.Context, logger *slog.Logger) error {
			m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: logger})
			if err == nil {
				_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
			}
			return err
		},
	}
}

// openSQLite takes one connection, as River's driver wants it.
func openSQLite(path string) (*database, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // SQLite gives the files beside it the same mode
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the queue %s cannot be made; jobd's user must be able to write in its directory", path)
	}
	q := url.Values{}
	q.Set("_txlock", "immediate")
	for _, pragma := range []string{"busy_timeout(5000)", "journal_mode(wal)", "synchronous(normal)", "foreign_keys(1)"} {
		q.Add("_pragma", pragma)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the queue %s cannot be opened", path)
	}
	db.SetMaxOpenConns(1)
	d := using(riversqlite.New(db))
	d.ownFile, d.close = true, db.Close
	return d, nil
}

// migrations is the lock that one process at a time makes River's tables under; any number that nobody else uses.
const migrations int64 = 0x6761656171756575

// connectTimeout bounds how long PostgreSQL may take to answer a new connection, where the address does not say.
const connectTimeout = 5 * time.Second

func openPostgres(address string) (*database, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "the address of the queue in PostgreSQL cannot be read; write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %%XX for what is special in a password")
	}
	if !strings.Contains(address, "connect_timeout") {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config) // connects when it is asked
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the queue in PostgreSQL cannot be opened")
	}
	d := using(riverpgxv5.New(pool))
	d.close = func() error { pool.Close(); return nil }
	migrate := d.migrate
	d.migrate = func(ctx context.Context, logger *slog.Logger) error {
		conn, err := pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", migrations); err != nil {
			return err
		}
		err = migrate(ctx, logger)
		_, unlocked := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", migrations)
		return errors.Join(err, unlocked)
	}
	return d, nil
}
