package app_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

// server is the PostgreSQL of the package.
var server *pglab.Server

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	if said := os.Getenv(importEnv); said != "" {
		fmt.Fprintln(os.Stderr, importUntilKilled(said))
		return 1
	}
	var err error
	if server, err = pglab.Start(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := errors.Join(server.Stop(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// optionsOf are the options of a jobd beside a master, with an archive of its own.
type optionsOf func(t *testing.T, s *salt) app.Options

// onEachDatabase runs a test with the archive in SQLite and in PostgreSQL.
func onEachDatabase(t *testing.T, test func(t *testing.T, options optionsOf)) {
	t.Helper()
	for name, of := range map[string]optionsOf{"sqlite": options, "postgres": postgresOptions} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, of)
		})
	}
}

func postgresOptions(t *testing.T, s *salt) app.Options {
	t.Helper()
	o := options(t, s)
	var err error
	if o.Database, err = server.Database(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.KeyFile = filepath.Join(t.TempDir(), "jobd.key")
	return o
}

// salt is what jobd needs of a master to archive: its configuration, its key and its event socket. Nobody answers on the
// request port.
type salt struct {
	t      *testing.T
	config string // its config directory
	socket string
	bus    net.Listener
	conn   net.Conn // jobd's
}

func newSalt(t *testing.T) *salt {
	t.Helper()
	root, err := os.MkdirTemp("", "gaea-app-") // short: there is a socket in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	s := &salt{t: t, config: filepath.Join(root, "etc"), socket: filepath.Join(root, "run", "master_event_pub.ipc")}
	cache := filepath.Join(root, "cache")
	for _, dir := range []string{s.config, filepath.Dir(s.socket), filepath.Join(cache, "jobs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.write(filepath.Join(s.config, "master"), fmt.Sprintf("id: m1\nsock_dir: %s\ncachedir: %s\nret_port: 1\n", filepath.Dir(s.socket), cache))
	s.write(filepath.Join(cache, ".root_key"), "unused")
	return s
}

func (s *salt) write(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// openBus opens the event socket. jobd connects to it by itself.
func (s *salt) openBus() {
	s.t.Helper()
	l, err := (&net.ListenConfig{}).Listen(s.t.Context(), "unix", s.socket)
	if err != nil {
		s.t.Fatal(err)
	}
	s.bus = l
	s.t.Cleanup(s.closeBus)
}

// accept waits for jobd to connect.
func (s *salt) accept() {
	s.t.Helper()
	conn, err := s.bus.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.conn = conn
}

func (s *salt) closeBus() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.bus.Close()
}

// send puts an event on the bus.
func (s *salt) send(tag string, data map[string]any) {
	s.t.Helper()
	data["_stamp"] = time.Now().UTC().Format("2006-01-02T15:04:05.000000") + "+00:00"
	body := append([]byte(tag+"\n\n"), pack(nil, data)...)
	if _, err := s.conn.Write(pack(nil, map[string]any{"head": map[string]any{}, "body": body})); err != nil {
		s.t.Fatal(err)
	}
}

// sendReturn sends the return of test.ping, of the n-th job.
func (s *salt) sendReturn(n int, minion string, metadata map[string]any) {
	data := map[string]any{
		"cmd": "_return", "jid": jid(n), "id": minion, "fun": "test.ping", "fun_args": []any{}, "return": true, "retcode": 0, "success": true,
	}
	if metadata != nil {
		data["metadata"] = metadata
	}
	s.send("salt/job/"+jid(n)+"/ret/"+minion, data)
}

func jid(n int) string { return fmt.Sprintf("20261123%012d", n) }

// pack writes the little msgpack that events need; the format is at https://msgpack.org.
func pack(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, 0xc3)
		}
		return append(b, 0xc2)
	case int:
		return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
	case string:
		return append(binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(len(v))), v...)
	case []byte:
		return append(binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(len(v))), v...)
	case []any:
		b = binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(len(v)))
		for _, item := range v {
			b = pack(b, item)
		}
		return b
	case map[string]any:
		b = binary.BigEndian.AppendUint32(append(b, 0xdf), uint32(len(v)))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			b = pack(pack(b, key), v[key])
		}
		return b
	default:
		panic(fmt.Sprintf("no msgpack for %T", v))
	}
}

// logBuffer is what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func options(t *testing.T, s *salt) app.Options {
	return app.Options{
		Listen: "127.0.0.1:0", SaltConfigDir: s.config, Database: "sqlite://" + filepath.Join(t.TempDir(), "jobd.db"),
		MaxFrame: 1 << 20, Version: "1.2.3", Logger: slog.New(slog.NewTextHandler(&logBuffer{}, nil)),
	}
}

// jobd is a running jobd.
type jobd struct {
	*app.App
	t      *testing.T
	url    string
	client *http.Client
	cancel context.CancelFunc
	ended  chan error
	over   bool
}

// run starts a jobd, which stop ends.
func run(t *testing.T, o app.Options) *jobd {
	t.Helper()
	a, err := app.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, a)
}

func serve(t *testing.T, a *app.App) *jobd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	j := &jobd{
		App: a, t: t, url: "http://" + a.Addr(), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		cancel: cancel, ended: make(chan error, 1),
	}
	go func() { j.ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		if !j.over {
			_ = j.stop()
		}
	})
	return j
}

// stop ends jobd as SIGTERM does, and returns what Run says.
func (j *jobd) stop() error {
	j.cancel()
	return j.wait()
}

// wait returns what Run says at its end.
func (j *jobd) wait() error {
	j.t.Helper()
	j.over = true
	select {
	case err := <-j.ended:
		return err
	case <-time.After(time.Minute):
		j.t.Fatal("jobd does not end")
		return nil
	}
}

func (j *jobd) get(path string) (status int, body string) {
	j.t.Helper()
	return j.askAs("", path)
}

// askAs gets a path with a token.
func (j *jobd) askAs(token, path string) (status int, body string) {
	j.t.Helper()
	req, err := http.NewRequestWithContext(j.t.Context(), http.MethodGet, j.url+path, nil)
	if err != nil {
		j.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := j.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		j.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// metric is the value of a metric by its name and labels as they are printed; -1 where there is none.
func (j *jobd) metric(name string) float64 {
	j.t.Helper()
	_, text := j.get("/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			if v, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
				return v
			}
		}
	}
	return -1
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// inspect opens the archive that a jobd has left.
func inspect(t *testing.T, o app.Options) archive.Store {
	t.Helper()
	path, err := app.SQLitePath(o.Database)
	if err != nil {
		t.Fatal(err)
	}
	key, err := archive.OpenKeyFile(app.KeyPath(o.KeyFile, path))
	if err != nil {
		t.Fatal(err)
	}
	var store archive.Store
	if path == "" {
		store, err = postgres.Open(t.Context(), o.Database, key, postgres.Options{})
	} else {
		store, err = sqlite.Open(t.Context(), path, key, sqlite.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// ownPostgres is a server that a test may stop.
func ownPostgres(t *testing.T) *pglab.Server {
	t.Helper()
	postgres, err := pglab.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Stop(); err != nil {
			t.Error(err)
		}
	})
	return postgres
}
