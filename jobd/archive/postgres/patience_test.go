package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

func TestAServerThatHangsIsUnavailableInTimeAndComesBack(t *testing.T) {
	server, err := pglab.Start(t.Context())
	check(t, err)
	t.Cleanup(func() { check(t, server.Stop()) })
	where, err := server.Database(t.Context())
	check(t, err)
	s, err := postgres.Open(t.Context(), where, key(t), postgres.Options{Patience: 500 * time.Millisecond})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	check(t, server.Freeze())
	for what, do := range map[string]func() error{
		"a write": func() error { return s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(2)) },
		"a read":  func() error { _, err := s.LastStamp(t.Context(), "salt"); return err },
		"a check": func() error { return s.Check(t.Context()) },
	} {
		began := time.Now()
		err := do()
		if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "hangs") {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s took %s", what, took)
		}
	}
	check(t, server.Thaw())
	for n := range 3 {
		check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(n)))
	}
	archivetest.KillSafe(t, s, []int{0, 1, 2})
}

func TestALockThatSomebodyHoldsIsNotWaitedForWithoutEnd(t *testing.T) {
	where := address(t)
	s, err := postgres.Open(t.Context(), where, key(t), postgres.Options{Patience: 500 * time.Millisecond})
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	conn, err := pgx.Connect(t.Context(), where)
	check(t, err)
	holding, err := conn.Begin(t.Context())
	check(t, err)
	_, err = holding.Exec(t.Context(), `LOCK TABLE masters`)
	check(t, err)
	if err := s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("with a lock that is held: %v", err)
	}
	check(t, holding.Rollback(t.Context()))
	check(t, conn.Close(t.Context()))
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
}

func TestWhoAsksLeavesConnectionsToWhoWrites(t *testing.T) {
	for _, connections := range []int{3, 10} {
		t.Run(fmt.Sprintf("Of%d", connections), func(t *testing.T) {
			u, err := url.Parse(address(t))
			check(t, err)
			q := u.Query()
			q.Set("pool_max_conns", strconv.Itoa(connections))
			u.RawQuery = q.Encode()
			s := open(t, u.String())
			q.Del("pool_max_conns") // what one connection does not know
			u.RawQuery = q.Encode()
			conn, err := pgx.Connect(t.Context(), u.String())
			check(t, err)
			holding, err := conn.Begin(t.Context())
			check(t, err)
			_, err = holding.Exec(t.Context(), `LOCK TABLE runs`)
			check(t, err)
			var asking sync.WaitGroup
			for range 4 * connections {
				asking.Go(func() {
					if _, err := s.ListRuns(t.Context(), gaea.RunFilter{}, gaea.PageRequest{}); err != nil {
						t.Errorf("a question that had to wait: %v", err)
					}
				})
			}
			for waiting := 0; waiting < connections/2; {
				check(t, holding.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE relation = 'runs'::regclass AND NOT granted`).Scan(&waiting))
			}
			soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := s.WriteBatch(soon, "salt", archivetest.KillBatch(1)); err != nil {
				t.Errorf("a write while all ask what is not answered: %v", err)
			}
			check(t, holding.Rollback(t.Context()))
			asking.Wait()
			check(t, conn.Close(t.Context()))
		})
	}
}
