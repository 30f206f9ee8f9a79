package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

func TestAnArchiveThatIsOpenedByManyAtOnceIsMadeOnce(t *testing.T) {
	where, k := address(t), key(t)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			s, err := postgres.Open(t.Context(), where, k, postgres.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// Two stores stand for two processes: they share nothing but the database.
func TestTwoReadersOfOneBusStoreEachReturnOnce(t *testing.T) {
	where := address(t)
	stores := []*postgres.Store{open(t, where), open(t, where)}
	const batches, size, minions = 40, 50, 100
	var wait sync.WaitGroup
	for reader, s := range stores {
		wait.Go(func() {
			for n := range batches {
				var b archive.Batch
				for i := range size {
					at := n*size + i
					if reader == 1 { // in another order, so that they meet everywhere
						at = n*size + size - 1 - i
					}
					r := archivetest.StateReturn(fmt.Sprintf("20260301%012d", at/minions), fmt.Sprintf("web%d", at%minions), 3, at%7, at, time.Now())
					r.StateKey = "key"
					b.Returns = append(b.Returns, r)
					b.Events = append(b.Events, gaea.Event{Tag: "t", Stamp: time.Unix(int64(at), 0), Data: json.RawMessage(`{"id":"web1"}`)})
				}
				if err := s.WriteBatch(t.Context(), "salt", b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	st, err := stores[0].Stats(t.Context())
	check(t, err)
	if st.Returns != batches*size || st.Events != batches*size || st.Jobs != batches*size/minions {
		t.Errorf("stored are %+v", st)
	}
	recount(t, where)
}

func TestMastersThatShareContentsWriteBesideEachOther(t *testing.T) {
	where := address(t)
	var wait sync.WaitGroup
	for master := range 4 {
		s := open(t, where)
		wait.Go(func() {
			for n := range 25 {
				var b archive.Batch
				for i := range 40 {
					variant := (i*7 + n*master) % 40 // each in an order of its own
					b.Returns = append(b.Returns, archivetest.Decode(fmt.Sprintf("20260301%012d", n), fmt.Sprintf("web%d", i), "state.apply", `[]`,
						archivetest.StateBody("same", 2, n*40+variant, i), time.Now()))
				}
				if err := s.WriteBatch(t.Context(), fmt.Sprintf("master%d", master), b); err != nil {
					t.Error(err)
				}
				if n%5 == 4 {
					if _, err := s.Prune(t.Context(), gaea.ExpireAll(time.Now().Add(-time.Hour)), 100); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wait.Wait()
	recount(t, where)
}

// The lab's servers do not wait for the disk, and so lose what they committed last when they end like this.
func TestWhatAServerHasLostIsWrittenAgain(t *testing.T) {
	server, err := pglab.Start(t.Context())
	check(t, err)
	t.Cleanup(func() { check(t, server.Stop()) })
	where, err := server.Database(t.Context())
	check(t, err)
	s := open(t, where)
	check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	check(t, server.Halt())
	if err := s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(2)); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("without a server: %v", err)
	}
	check(t, server.Resume(t.Context()))
	for n := range 3 {
		check(t, s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(n)))
	}
	archivetest.KillSafe(t, s, []int{0, 1, 2})
	recount(t, where)
}

func TestWhatAnotherProcessDeletedIsWrittenAgain(t *testing.T) {
	where := address(t)
	daemon, command := open(t, where), open(t, where)
	check(t, daemon.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	pruneAll(t, command, time.Now(), 100)
	check(t, daemon.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)))
	archivetest.KillSafe(t, daemon, []int{1})
	recount(t, where)
}

// A call that no job has any more may be remembered still.
func TestACallThatWasPrunedAloneIsStoredAgain(t *testing.T) {
	where := address(t)
	s := open(t, where)
	job := gaea.Job{JID: "20260301120000000000", Function: "test.ping", Known: true, Started: time.Now(), Source: gaea.SourceCache}
	check(t, s.WriteBatch(t.Context(), "salt", archive.Batch{Jobs: []gaea.Job{job}}))
	told := job
	told.Source, told.Function = gaea.SourceBus, "test.version"
	check(t, s.WriteBatch(t.Context(), "salt", archive.Batch{Jobs: []gaea.Job{told}}))
	pruneAll(t, s, time.Now().Add(-time.Hour), 10)
	job.JID = "20260301120000000001"
	check(t, s.WriteBatch(t.Context(), "salt", archive.Batch{Jobs: []gaea.Job{job}}))
	if got, err := s.Job(t.Context(), "salt", job.JID); err != nil || got.Function != "test.ping" {
		t.Errorf("the job is %+v (%v)", got, err)
	}
}

func TestAServerThatTakesNoChangesIsToldOf(t *testing.T) {
	where := address(t)
	open(t, where)
	s := open(t, where+"&default_transaction_read_only=on")
	if err := s.WriteBatch(t.Context(), "salt", archivetest.KillBatch(1)); gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "standby") {
		t.Errorf("the error is %v", err)
	}
	if err := s.Check(t.Context()); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("the check says %v", err)
	}
}

func TestADatabaseThatWillNotDoSaysWhatItNeeds(t *testing.T) {
	where := address(t)
	open(t, where)
	for _, row := range []struct{ address, says string }{
		{strings.Replace(where, "/test1?", "/nosuch?", 1), "createdb"},
		{strings.Replace(where, ":"+password(t)+"@", ":wrong@", 1), "PGPASSWORD"},
		{strings.Replace(where, "search_path=", "search_path=no", 1), "CREATE SCHEMA"},
	} {
		_, err := postgres.Open(t.Context(), row.address, key(t), postgres.Options{})
		if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), row.says) || strings.Contains(fmt.Sprint(err), password(t)) {
			t.Errorf("it says %v, and not %q", err, row.says)
		}
	}
}
