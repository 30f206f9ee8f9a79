package postgres_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// mayBeAway opens a store whose database may be away.
func mayBeAway(t *testing.T, address string, sealer archive.Sealer) (*postgres.Store, error) {
	t.Helper()
	s, err := postgres.Open(t.Context(), address, sealer, postgres.Options{MayBeAway: true})
	if err == nil {
		t.Cleanup(func() { check(t, s.Close()) })
	}
	return s, err
}

// full takes all connections of a server, until the returned function is called.
func full(t *testing.T, address string) (free func() error) {
	t.Helper()
	var held []*pgx.Conn
	for {
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			return func() (err error) {
				for _, conn := range held {
					err = errors.Join(err, conn.Close(t.Context()))
				}
				return err
			}
		}
		held = append(held, conn)
	}
}

func TestAStoreWhoseDatabaseIsAwayIsUnavailableUntilThatIsReached(t *testing.T) {
	server, err := pglab.Start(t.Context(), "max_connections=12")
	check(t, err)
	t.Cleanup(func() { check(t, server.Stop()) })
	var free func() error
	for _, row := range []struct {
		name     string
		begin    func(address string) error
		end      func() error
		says     string
		unopened bool // there was no archive before
	}{
		{"stopped", func(string) error { return server.Halt() }, func() error { return server.Resume(t.Context()) }, "does not answer", false},
		{"stopped, and new", func(string) error { return server.Halt() }, func() error { return server.Resume(t.Context()) }, "does not answer", true},
		{"hanging", func(string) error { return server.Freeze() }, server.Thaw, "has not answered in time", false},
		{"without a connection left", func(address string) error { free = full(t, address); return nil }, func() error { return free() }, "has no connection left", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			where, err := server.Database(t.Context())
			check(t, err)
			if !row.unopened {
				first, err := postgres.Open(t.Context(), where, key(t), postgres.Options{})
				check(t, err)
				check(t, first.Close())
			}
			check(t, row.begin(where))
			began := time.Now()
			s, err := mayBeAway(t, where, key(t))
			if err != nil || s.Absent() == nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("to find out took %s", took)
			}
			seat, err := s.TakeSeat(t.Context(), postgres.SeatOptions{Master: "salt"})
			check(t, err)
			for what, do := range map[string]func() error{
				"a write": func() error { return s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)) },
				"a read":  func() error { _, err := s.LastStamp(t.Context(), "salt"); return err },
				"a check": func() error { return s.Check(t.Context()) },
				"a seat":  seat.Fault,
			} {
				if err := do(); gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), row.says) || !strings.Contains(gaea.MessageOf(err), "away since") || !postgres.Away(err) {
					t.Errorf("%s: %v", what, err)
				}
			}
			check(t, seat.LeavePlace(t.Context()))
			check(t, row.end())
			check(t, s.Reach(t.Context()))
			led(t, seat)
			check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
			check(t, seat.Leave())
		})
	}
}

func TestADatabaseThatNoWaitingMendsIsRefusedAlsoWhereItWasAway(t *testing.T) {
	server, err := pglab.Start(t.Context())
	check(t, err)
	t.Cleanup(func() { check(t, server.Stop()) })
	where, err := server.Database(t.Context())
	check(t, err)
	first, err := postgres.Open(t.Context(), where, key(t), postgres.Options{})
	check(t, err)
	check(t, first.Close())
	newer, err := server.Database(t.Context())
	check(t, err)
	newer += "&synchronous_commit=on" // the lab's servers forget what they committed last, unless they are told
	second, err := postgres.Open(t.Context(), newer, key(t), postgres.Options{})
	check(t, err)
	check(t, second.Close())
	execute(t, newer, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`)
	another, err := archive.OpenKeyFile(filepath.Join(t.TempDir(), "key"))
	check(t, err)
	u, err := url.Parse(where)
	check(t, err)
	u.User = url.UserPassword(u.User.Username(), "wrong")
	wrongPassword := u.String()
	for _, row := range []struct {
		name, address, says string
		sealer              archive.Sealer
	}{
		{"a wrong password", wrongPassword, "does not let jobd in", key(t)},
		{"no such database", strings.Replace(where, "/test", "/absent", 1), "there is no database", key(t)},
		{"a newer jobd's", newer, "newer jobd", key(t)},
		{"another key", where, "needs the same one", another},
	} {
		refused := func(when string, err error) {
			if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), row.says) || postgres.Away(err) {
				t.Errorf("%s, %s: %v", row.name, when, err)
			}
		}
		_, err := mayBeAway(t, row.address, row.sealer)
		refused("at once", err)
		check(t, server.Halt())
		s, err := mayBeAway(t, row.address, row.sealer)
		check(t, err)
		if err := s.Reach(t.Context()); !postgres.Away(err) {
			t.Errorf("%s, while it is away: %v", row.name, err)
		}
		check(t, server.Resume(t.Context()))
		refused("later", s.Reach(t.Context()))
		if s.Absent() == nil {
			t.Errorf("%s: the store is open", row.name)
		}
	}
}

func TestWhatTellsThatADatabaseIsAway(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		away bool
	}{
		{"nothing", nil, false},
		{"nobody listens", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{"no such name", &net.DNSError{Err: "no such host", IsNotFound: true}, true},
		{"no answer in time", context.DeadlineExceeded, true},
		{"the connection broke", fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), true},
		{"it starts", &pgconn.PgError{Code: "57P03"}, true},
		{"it stops", &pgconn.PgError{Code: "57P01"}, true},
		{"it has crashed", &pgconn.PgError{Code: "57P02"}, true},
		{"it is full", &pgconn.PgError{Code: "53300"}, true},
		{"as the archive tells it", gaea.Wrap(&pgconn.PgError{Code: "57P03"}, gaea.CodeUnavailable, "it starts"), true},
		{"all of its servers", errors.Join(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, &pgconn.PgError{Code: "57P03"}), true},
		{"one of its servers, and another refuses jobd", errors.Join(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, &pgconn.PgError{Code: "28P01"}), false},
		{"a wrong password", &pgconn.PgError{Code: "28P01"}, false},
		{"no such database", &pgconn.PgError{Code: "3D000"}, false},
		{"its disk is full", &pgconn.PgError{Code: "53100"}, false},
		{"jobd may not use its socket", &net.OpError{Op: "dial", Err: syscall.EACCES}, false},
		{"its certificate is not trusted", &tls.CertificateVerificationError{Err: errors.New("unknown authority")}, false},
		{"it refuses jobd's certificate", &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, false},
		{"who asks has given up", context.Canceled, false},
		{"something else", errors.New("something else"), false},
	} {
		if got := postgres.Away(row.err); got != row.away {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}
