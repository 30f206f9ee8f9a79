package jobdclient_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api/apitest"
)

func TestWaitingForARunShowsItsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJobd(t)
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Token: j.admin, Transport: streamed(j)})
		run := j.Runs.Start(gaea.Run{Kind: gaea.RunEnforce, CheckState: gaea.CheckPending})
		for i, step := range []func(*gaea.Run){
			func(r *gaea.Run) { r.Minions["web2"] = gaea.RunMinion{Outcome: gaea.OutcomePending} },
			func(r *gaea.Run) { r.Status = gaea.RunSucceeded },
			func(r *gaea.Run) { r.CheckState = gaea.CheckDone },
		} {
			time.AfterFunc(time.Duration(i+1)*10*time.Second, func() { j.Runs.Change(run.ID, step) })
		}
		var seen []string
		started := time.Now()
		got, err := c.WaitRun(t.Context(), run.ID, func(r *gaea.Run) { seen = append(seen, string(r.Status)) })
		if err != nil || !got.Complete() {
			t.Fatalf("got %+v, %v", got, err)
		}
		if want := []string{"running", "running", "succeeded", "succeeded"}; !slices.Equal(seen, want) {
			t.Errorf("saw %q, want %q", seen, want)
		}
		if took := time.Since(started); took != 30*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// withoutStreams is a jobd that has no streams of runs.
type withoutStreams struct{ http.RoundTripper }

func (w withoutStreams) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.URL.Path, "/events") {
		req = req.Clone(req.Context())
		req.URL.Path = "/v1/no/such/route"
	}
	return w.RoundTripper.RoundTrip(req)
}

func TestWaitingAsksAJobdThatHasNoStreamsOfRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJobd(t)
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Token: j.admin, Transport: withoutStreams{handled(j)}})
		run := j.Runs.Start(gaea.Run{})
		time.AfterFunc(90*time.Second, func() { j.Runs.End(run.ID, gaea.RunSucceeded, gaea.OutcomeSucceeded) })
		var seen []gaea.RunStatus
		got, err := c.WaitRun(t.Context(), run.ID, func(r *gaea.Run) { seen = append(seen, r.Status) })
		if err != nil || !got.Complete() || len(seen) < 2 || seen[len(seen)-1] != gaea.RunSucceeded {
			t.Errorf("saw %v, got %+v, %v", seen, got, err)
		}
	})
}

func TestWaitingWithoutAWatcherAsksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJobd(t)
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Token: j.admin, Transport: handled(j)})
		run := j.Runs.Start(gaea.Run{})
		time.AfterFunc(10*time.Minute, func() { j.Runs.End(run.ID, gaea.RunSucceeded, gaea.OutcomeSucceeded) })
		if _, err := c.WaitRun(t.Context(), run.ID, nil); err != nil {
			t.Fatal(err)
		}
		if n := len(j.requests()); n > 21 {
			t.Errorf("asked %d times in ten minutes", n)
		}
	})
}

func TestWaitingLivesThroughARestartOfJobd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJobd(t)
		var down atomic.Bool
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Token: j.admin, Transport: transport(func(r *http.Request) (*http.Response, error) {
			if down.Load() {
				return nil, refused
			}
			return handled(j)(r)
		})})
		run := j.Runs.Start(gaea.Run{})
		time.AfterFunc(5*time.Second, func() { down.Store(true) })
		time.AfterFunc(95*time.Second, func() { down.Store(false) })
		time.AfterFunc(4*time.Minute, func() { j.Runs.End(run.ID, gaea.RunSucceeded, gaea.OutcomeSucceeded) })
		if got, err := c.WaitRun(t.Context(), run.ID, nil); err != nil || got.Status != gaea.RunSucceeded {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestWaitingGivesUpAfterALongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: &counted{results: []func() (*http.Response, error){fails(refused)}}})
		started := time.Now()
		_, err := c.WaitRun(t.Context(), "run-1", nil)
		wantError(t, err, gaea.CodeUnavailable, "connection refused")
		if took := time.Since(started); took < 2*time.Minute || took > 3*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestWaitingEndsAtOnceWhereItCannotHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for code, result := range map[gaea.Code]func() (*http.Response, error){
			gaea.CodeNotFound:    notFound,
			gaea.CodeUnavailable: says(func() *http.Response { return reply(http.StatusOK, "text/html", "<html>") }),
		} {
			net := &counted{results: []func() (*http.Response, error){result}}
			_, err := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: net}).WaitRun(t.Context(), "run-1", nil)
			wantError(t, err, code)
			if net.n != 1 {
				t.Errorf("%s: asked %d times", code, net.n)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		j := newJobd(t)
		run := j.Runs.Start(gaea.Run{})
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Token: j.admin, Transport: streamed(j)})
		last, err := c.WaitRun(ctx, run.ID, func(*gaea.Run) {})
		if gaea.CodeOf(err) == "" || last == nil || last.ID != run.ID {
			t.Errorf("when the caller's time is up: %+v, %v", last, err)
		}
	})
}

func TestACheckWaitsForItsRunAndReadsTheDrift(t *testing.T) {
	j, c := connect(t)
	define(t, c)
	type outcome struct {
		report *gaea.DriftReport
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := c.Check(t.Context(), "a", gaea.CheckRequest{})
		done <- outcome{r, err}
	}()
	eventually(t, "the check waits", func() bool { return j.Runs.Watched("run-000001") == 1 })
	j.Enforcer.PutReport(gaea.DriftReport{Assignment: "a", Summary: gaea.DriftSummary{Drifted: 2}})
	j.Runs.End("run-000001", gaea.RunFailed, gaea.OutcomeUnreachable)
	got := <-done
	if got.err != nil || got.report.Summary.Drifted != 2 || got.report.CheckRun != "run-000001" {
		t.Errorf("got %+v, %v", got.report, got.err)
	}
}

func TestACheckThatAskedNoMinionIsAnError(t *testing.T) {
	j, c := connect(t)
	define(t, c)
	done := make(chan error, 1)
	go func() {
		_, err := c.Check(t.Context(), "a", gaea.CheckRequest{})
		done <- err
	}()
	eventually(t, "the check waits", func() bool { return j.Runs.Watched("run-000001") == 1 })
	j.Runs.Change("run-000001", func(r *gaea.Run) {
		r.Status, r.Minions, r.Message = gaea.RunFailed, nil, "the master does not answer"
	})
	wantError(t, <-done, gaea.CodeSalt, "the master does not answer", "run-000001")
}

func define(t *testing.T, c *jobdclient.Client) {
	t.Helper()
	must[*gaea.Version[gaea.TargetGroup]](t)(c.PutTargetGroup(t.Context(), group("web")))
	must[*gaea.Version[gaea.Assignment]](t)(c.PutAssignment(t.Context(), assignment("a", "web")))
}

// streams answers each request for a stream with the next of some bodies, and with the last for ever.
func streams(bodies ...func() io.ReadCloser) *counted {
	c := &counted{}
	for _, b := range bodies {
		c.results = append(c.results, says(func() *http.Response {
			r := reply(http.StatusOK, "text/event-stream", "")
			r.Body = b()
			return r
		}))
	}
	return c
}

func text(s string) func() io.ReadCloser {
	return func() io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
}

func returned(minion string) string {
	return "event: return\nid: " + minion + "\ndata: {\"jid\":\"" + jid + "\",\"minion\":\"" + minion + "\",\"outcome\":\"succeeded\"}\n\n"
}

func TestALostStreamIsTakenUpAgainWithoutRepeatingReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := streams(
			text("event: job\ndata: {}\n\n"+returned("web1")+"event: ret"), // cut in the middle
			text(": alive\n\n"+returned("web1")+returned("web2")+"event: end\ndata: {\"reason\":\"shutdown\"}\n\n"),
			text(returned("web1")+returned("web2")+returned("web3")+"event: end\ndata: {\"reason\":\"complete\"}\n\n"),
		)
		var got []string
		err := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: net}).FollowJob(t.Context(), jid, func(r gaea.Return) error {
			got = append(got, r.Minion)
			return nil
		})
		if err != nil || !slices.Equal(got, []string{"web1", "web2", "web3"}) || net.n != 3 {
			t.Errorf("got %q in %d connections: %v", got, net.n, err)
		}
	})
}

func TestAQuietJobIsFollowedForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []func() io.ReadCloser
		for range 10 {
			bodies = append(bodies, func() io.ReadCloser { return hourly("event: end\ndata: {\"reason\":\"limit\"}\n\n") })
		}
		bodies = append(bodies, func() io.ReadCloser { return hourly("event: end\ndata: {\"reason\":\"complete\"}\n\n") })
		started := time.Now()
		err := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: streams(bodies...)}).FollowJob(t.Context(), jid, nil)
		if took := time.Since(started); err != nil || took < 11*time.Hour {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

// hourly gives a sign of life each 15 seconds for an hour, then its last words.
func hourly(last string) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		tick := time.NewTicker(15 * time.Second)
		defer tick.Stop()
		_, _ = io.WriteString(w, "event: job\ndata: {}\n\n")
		for range 240 {
			<-tick.C
			_, _ = io.WriteString(w, ": alive\n\n")
		}
		_, _ = io.WriteString(w, last)
		w.Close()
	}()
	return r
}

// dead says one thing and then nothing, until the request is given up.
func dead(r *http.Request) *http.Response {
	pr, pw := io.Pipe()
	context.AfterFunc(r.Context(), func() { pw.CloseWithError(r.Context().Err()) })
	go func() { _, _ = io.WriteString(pw, "event: job\ndata: {}\n\n") }()
	resp := reply(http.StatusOK, "text/event-stream", "")
	resp.Body = pr
	return resp
}

func TestASilentStreamIsTakenUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: transport(func(r *http.Request) (*http.Response, error) {
			if n++; n == 1 {
				return dead(r), nil
			}
			return streams(text("event: end\ndata: {\"reason\":\"complete\"}\n\n")).RoundTrip(r)
		})})
		started := time.Now()
		if err := c.FollowJob(t.Context(), jid, nil); err != nil {
			t.Error(err)
		}
		if took := time.Since(started); n != 2 || took < 45*time.Second || took > time.Minute {
			t.Errorf("%d connections in %s", n, took)
		}
	})
}

func TestFollowingEndsWithTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: transport(func(r *http.Request) (*http.Response, error) { return dead(r), nil })})
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, stop)
		wantError(t, c.FollowJob(ctx, jid, nil), gaea.CodeCancelled)
	})
}

func TestFollowingGivesUpAfterALongOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Transport: &counted{results: []func() (*http.Response, error){fails(refused)}}})
		wantError(t, c.FollowJob(t.Context(), jid, nil), gaea.CodeUnavailable, "connection refused")
	})
}

func TestFollowingTheRealAPI(t *testing.T) {
	j, c := connect(t)
	j.AddJob(gaea.Job{JID: jid, Function: "test.ping", Minions: []string{"web1", "web2"}, Known: true})
	j.AddReturn(ret("web1"))
	var got []string
	first := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- c.FollowJob(t.Context(), jid, func(r gaea.Return) error {
			if got = append(got, r.Minion); len(got) == 1 {
				close(first)
			}
			return nil
		})
	}()
	<-first
	j.AddReturn(ret("web2"))
	if err := <-done; err != nil || !slices.Equal(got, []string{"web1", "web2"}) {
		t.Errorf("got %q: %v", got, err)
	}
	if now, _ := j.Followers(); now > 1 {
		t.Errorf("%d follow in %s", now, apitest.Master)
	}
}
