package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// One server serves the package; each test has a schema of its own.
var (
	server   *pglab.Server
	database string
	schemas  atomic.Int64
	keyFile  string
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = pglab.Start(context.Background()); err == nil {
		database, err = server.Database(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "gaea-postgres-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	keyFile = filepath.Join(dir, "key")
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestStore(t *testing.T) {
	archivetest.Run(t, func(t *testing.T) archive.Store { return open(t, address(t)) })
}

// address is that of an empty schema.
func address(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test%d", schemas.Add(1))
	execute(tb, database, "CREATE SCHEMA "+name)
	tb.Cleanup(func() { execute(tb, database, "DROP SCHEMA "+name+" CASCADE") })
	u, err := url.Parse(database)
	check(tb, err)
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

// execute carries out statements beside the store.
func execute(tb testing.TB, address string, statements ...string) {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context())
	conn, err := pgx.Connect(ctx, address)
	check(tb, err)
	defer func() { check(tb, conn.Close(ctx)) }()
	for _, text := range statements {
		_, err := conn.Exec(ctx, text)
		check(tb, err)
	}
}

// open opens the archive at an address for a test.
func open(tb testing.TB, address string) *postgres.Store {
	tb.Helper()
	s, err := postgres.Open(tb.Context(), address, key(tb), postgres.Options{})
	check(tb, err)
	tb.Cleanup(func() { check(tb, s.Close()) })
	return s
}

// key is the one that all stores of the package have.
func key(tb testing.TB) archive.Sealer {
	tb.Helper()
	k, err := archive.OpenKeyFile(keyFile)
	check(tb, err)
	return k
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
