package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

// old is a return of an hour ago: what has just come is looked at again.
func old(n int) gaea.Return {
	r := ret(n)
	r.Stamp = r.Stamp.Add(-time.Hour)
	return r
}

// verified starts an ingest on an archive that has been filled from a cache, and lets the test change either.
func verified(t *testing.T, c *cache, change func(*ingest.Options)) *rig {
	t.Helper()
	r := start(t, c, change)
	r.connect()
	elapse(time.Minute)
	synctest.Wait()
	return r
}

func (r *rig) verify(t *testing.T, req gaea.VerifyRequest) *gaea.VerifyReport {
	t.Helper()
	report, err := r.in.Verify(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// found writes what a report has found.
func found(report *gaea.VerifyReport) string {
	var list []string
	for _, d := range report.Differences {
		list = append(list, fmt.Sprintf("%s %s %v", d.Minion, d.Kind, d.Fixed))
	}
	return fmt.Sprint(list)
}

func TestWhatTheArchiveHasAsTheJobCacheHasItIsNoDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := old(1)
		secret.Function, secret.Args = "state.apply", json.RawMessage(`["site",{"__kwarg__":true,"pillar":{"password":"hunter2"}}]`)
		plain := old(2)
		c := newCache(secret, plain)
		c.jobs[secret.JID].Job.Args = secret.Args
		c.jobs[secret.JID].Job.Minions = append(c.jobs[secret.JID].Job.Minions, "web2") // it runs still
		c.jobs[secret.JID].Returns[0].Body = json.RawMessage(`{"a":1,"password":"hunter2","big":12345678901234567890}`)
		r := verified(t, c, nil)
		defer r.stop(t)
		if kept, _ := r.store.stored(secret); string(kept.Body) == string(c.jobs[secret.JID].Returns[0].Body) {
			t.Fatalf("the secret is kept: %s", kept.Body)
		}
		c.jobs[secret.JID].Returns[0].Body = json.RawMessage(`{"big":12345678901234567890, "password":"hunter2","a":1}`)
		extra := plain
		extra.Minion = "web9"
		r.store.put(extra)
		report := r.verify(t, gaea.VerifyRequest{})
		if len(report.Differences) != 0 || report.Jobs != 2 || report.Returns != 2 || report.Beyond != 1 || report.Next != "" || report.Recovering {
			t.Errorf("the report is %+v", report)
		}
	})
}

func TestWhatIsMissingOrDifferentIsNamed(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(s *store, c *cache, r gaea.Return)
		want   string
		fixed  string
	}{
		{"a job", func(s *store, _ *cache, r gaea.Return) {
			delete(s.jobs, r.JID)
			delete(s.returns, r.JID+"/web1")
			delete(s.minions, r.JID)
		}, "[ job_missing false web1 return_missing false]", "[ job_missing true web1 return_missing true]"},
		{"how a job was published", func(s *store, _ *cache, r gaea.Return) { delete(s.jobs, r.JID) }, "[ head_missing false]", "[ head_missing true]"},
		{"an expected minion", func(_ *store, c *cache, r gaea.Return) {
			c.jobs[r.JID].Job.Minions = []string{"db1", "web1"}
		}, "[db1 minion_missing false]", "[db1 minion_missing true]"},
		{"a return", func(s *store, _ *cache, r gaea.Return) {
			delete(s.returns, r.JID+"/web1")
			delete(s.minions, r.JID)
		}, "[web1 return_missing false]", "[web1 return_missing true]"},
		{"a body, a return code and a success", func(_ *store, c *cache, r gaea.Return) {
			c.jobs[r.JID].Returns[0].Body, c.jobs[r.JID].Returns[0].Retcode, c.jobs[r.JID].Returns[0].Success = json.RawMessage(`false`), new(1), new(false)
		}, "[web1 body_differs false web1 retcode_differs false web1 success_differs false]", "[web1 body_differs false web1 retcode_differs false web1 success_differs false]"},
		{"a number beyond what a float holds", func(s *store, c *cache, r gaea.Return) {
			x := s.returns[r.JID+"/web1"]
			x.Body = json.RawMessage(`{"n":12345678901234567890}`)
			s.returns[r.JID+"/web1"] = x
			c.jobs[r.JID].Returns[0].Body = json.RawMessage(`{"n":12345678901234567891}`)
		}, "[web1 body_differs false]", "[web1 body_differs false]"},
		{"a function", func(_ *store, c *cache, r gaea.Return) { c.jobs[r.JID].Job.Function = "test.echo" }, "[ function_differs false]", "[ function_differs false]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := old(1)
				c := newCache(x, old(2))
				r := verified(t, c, nil)
				defer r.stop(t)
				row.change(r.store, c, x)
				if got := found(r.verify(t, gaea.VerifyRequest{})); got != row.want {
					t.Errorf("found is %s, want %s", got, row.want)
				}
				if got := found(r.verify(t, gaea.VerifyRequest{Fix: true})); got != row.fixed {
					t.Errorf("with fix it is %s, want %s", got, row.fixed)
				}
				left := r.verify(t, gaea.VerifyRequest{JID: x.JID})
				if left.Jobs != 1 || (len(left.Differences) == 0) != (row.want != row.fixed) {
					t.Errorf("then it is %+v", left)
				}
				if r.metric(t, "gaea_archive_verify_differences_total") == 0 || r.metric(t, "gaea_archive_verify_jobs_total") != 5 {
					t.Error("the metrics do not tell")
				}
			})
		})
	}
}

func TestAReturnThatIsOnItsWayIsNotMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := verified(t, c, nil)
		defer r.stop(t)
		x := ret(1)
		c.add(x)
		report := make(chan *gaea.VerifyReport)
		go func() { report <- r.verify(t, gaea.VerifyRequest{}) }()
		elapse(time.Second)
		r.publish(x.JID, x.Minion)
		r.send(x)
		if got := <-report; len(got.Differences) != 0 || got.Jobs != 1 {
			t.Errorf("the report is %+v", got)
		}
	})
}

func TestVerifyGoesOnWhereItEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := verified(t, c, func(o *ingest.Options) { o.Keep = 24 * time.Hour })
		defer r.stop(t)
		for n := range 20 {
			c.add(ret(n)) // each is waited for: it might be on its way
		}
		var seen []string
		calls := 0
		for req := (gaea.VerifyRequest{}); ; calls++ {
			report := r.verify(t, req)
			for _, d := range report.Differences {
				if d.Kind == gaea.JobMissing {
					seen = append(seen, d.JID)
				}
			}
			if req.After = report.Next; req.After == "" {
				break
			}
		}
		if calls == 0 || len(seen) != 20 || !slices.IsSorted(seen) {
			t.Errorf("after %d calls more than the first, seen are %q", calls, seen)
		}
		if oldest := time.Now().Add(-25 * time.Hour); c.since.Before(oldest) {
			t.Errorf("asked for is what retention has taken: %v", c.since)
		}
	})
}

func TestAJobThatTheCacheCannotTellIsNamedAndTheOthersAreCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := old(1), old(2)
		c := newCache(x, y)
		r := verified(t, c, nil)
		defer r.stop(t)
		c.setFail(x.JID, gaea.Errorf(gaea.CodeTooLarge, "too large"))
		report := r.verify(t, gaea.VerifyRequest{Fix: true})
		if len(report.Unread) != 1 || report.Unread[0] != (gaea.UnreadJob{JID: x.JID, Reason: "too large"}) || report.Jobs != 2 {
			t.Errorf("the report is %+v", report)
		}
		c.setFail("", errors.New("gone"))
		if _, err := r.in.Verify(t.Context(), gaea.VerifyRequest{}); err == nil {
			t.Error("a cache that cannot be read is no error")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.in.Verify(ended, gaea.VerifyRequest{JID: y.JID}); err == nil {
			t.Error("a call that was given up is no error")
		}
	})
}

func TestFixWaitsForTheSpillAndTakesNothingOfItFromTheJobCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := startSpilling(t, c, nil)
		r.store.setFail(errAway)
		x := r.both(c, 0)
		elapse(time.Minute)
		go func() {
			elapse(3 * time.Second)
			r.store.setFail(nil)
		}()
		report, err := r.in.Verify(t.Context(), gaea.VerifyRequest{Fix: true})
		if err != nil || report.Stored != 0 {
			t.Fatalf("the report is %+v, the error %v", report, err)
		}
		if got, _ := r.store.stored(x); got.Source != gaea.SourceBus {
			t.Errorf("it is stored as from %q", got.Source)
		}
		r.wantOnce(t, []gaea.Return{x})
		r.stop(t)
	})
}

func TestFixSaysThatEventsWaitInTheSpillWhereTheyGoOnWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := startSpilling(t, c, nil)
		r.store.setFail(errAway)
		x := r.both(c, 0)
		elapse(time.Minute)
		_, err := r.in.Verify(t.Context(), gaea.VerifyRequest{Fix: true})
		if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "wait in") {
			t.Errorf("the error is %v", err)
		}
		if report, err := r.in.Verify(t.Context(), gaea.VerifyRequest{}); err != nil || !report.Recovering || len(report.Differences) == 0 {
			t.Errorf("without fixing the report is %+v, the error %v", report, err)
		}
		r.store.setFail(nil)
		elapse(time.Minute)
		r.wantOnce(t, []gaea.Return{x})
		r.stop(t)
	})
}
