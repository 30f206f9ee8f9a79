package acctest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

func TestAccAJobdThatIsDownIsOneClearErrorAndLosesNothing(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment("", "db1"))
	f.apply(t)
	before := f.stateFile(t)

	if err := r.jobd.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"plan"}, {"plan", "-refresh-only"}, {"apply", "-auto-approve"}, {"destroy", "-auto-approve"}} {
		out := f.must(t, 1, args...)
		wants(t, out, "Error: jobd does not answer", r.jobd.Endpoint)
		if n := strings.Count(out, "Error:"); n != 1 {
			t.Errorf("terraform %v: %d errors:\n%s", args, n, out)
		}
	}
	if f.stateFile(t) != before {
		t.Errorf("Terraform's state was %s and is %s", before, f.stateFile(t))
	}

	r.restart(t)
	f.plan(t, planEmpty)
	f.plan(t, planEmpty, "-refresh-only")
}

func TestAccARestartOfJobdInTheMiddleOfAnApplyIsWaitedOut(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	r.sls(t, `
slow:
  cmd.run:
    - name: mkdir -p {{ dir }}; echo run >> {{ dir }}/started; while [ ! -e {{ dir }}/go ]; do sleep 0.1; done
    - creates: {{ dir }}/go
`)
	t.Cleanup(func() { r.write(t, "db1", "go", "") })
	f := r.newTerraform(t, "apply", r.assignment("", "db1"))
	apply := f.background(t, "apply", "-auto-approve")
	eventually(t, "the states run", func() bool { return r.exists("db1", "started") })
	r.jobd.Kill()
	// The states end while there is no jobd: their return is in the master's job cache alone.
	r.write(t, "db1", "go", "")
	r.restart(t)
	if code, out := apply.wait(t); code != 0 {
		t.Errorf("the apply ended with %d:\n%s", code, out)
	}
	if got := r.content(t, "db1", "started"); got != "run\n" {
		t.Errorf("the states were run more than once: %q", got)
	}
	if runs := r.runs(t, gaea.RunEnforce); len(runs) != 1 || runs[0].Status != gaea.RunSucceeded {
		t.Errorf("the runs are %+v", runs)
	}
	f.plan(t, planEmpty)
}

// This test keeps the minions busy, so it does not run in parallel with others.
func TestAccTheArchiveHoldsEachReturnOnceThoughJobdWasKilledInTheMiddleOfTwoHundredJobs(t *testing.T) {
	r := newRigAlone(t)
	other := newRig(t).client // of a jobd on the same bus that nobody kills
	api := r.saltAPI(t)
	minions := []string{"web1", "db1"}
	const jobs, together = 200, 10
	type job struct{ jid, minion string }
	var all []job
	published := make(chan error, 1)
	go func() {
		published <- func() error {
			for len(all) < jobs {
				minion := minions[len(all)/together%len(minions)]
				jids, err := api.publish(t.Context(), together, []string{minion}, "test.arg", r.name)
				if err != nil {
					return err
				}
				for _, jid := range jids {
					all = append(all, job{jid, minion})
				}
				// A minion has a process for each job: it is given the next ones when it has done these.
				for _, jid := range jids {
					if err := other.FollowJob(t.Context(), jid, func(gaea.Return) error { return nil }); err != nil {
						return err
					}
				}
			}
			return nil
		}()
	}()

	archived := func() int {
		page, err := r.client.Jobs(t.Context(), gaea.JobFilter{Function: "test.arg"}, gaea.PageRequest{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Items)
	}
	eventually(t, "jobd has a part of the jobs", func() bool { return archived() >= jobs/4 })
	r.jobd.Kill()
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	r.restart(t)

	returns := func() map[job]int {
		seen := map[job]int{}
		for ret, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
			return r.client.Returns(t.Context(), gaea.JobFilter{Function: "test.arg"}, p)
		}) {
			if err != nil {
				t.Fatal(err)
			}
			seen[job{ret.JID, ret.Minion}]++
		}
		return seen
	}
	eventually(t, "the archive has every return", func() bool { return len(returns()) >= jobs })
	seen := returns()
	for _, j := range all {
		if n := seen[j]; n != 1 {
			t.Errorf("the return of %s for %s is there %d times", j.minion, j.jid, n)
		}
		detail, err := r.client.Job(t.Context(), j.jid)
		if err != nil {
			t.Fatal(err)
		}
		if !detail.Known || !slices.Equal(detail.Minions, []string{j.minion}) {
			t.Errorf("the archive does not know the job %s as it was published: %+v", j.jid, detail)
		}
	}
	if len(all) != jobs || len(seen) != jobs || archived() != jobs {
		t.Errorf("%d jobs were published; the archive has %d, and %d returns", len(all), archived(), len(seen))
	}
}

func TestAccAStopBySIGTERMLosesNothing(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	// Custom events are in no cache: what a jobd has read and not stored when it ends is gone for ever.
	const events = 30
	tag := "acc/" + r.name
	if _, err := r.saltAPI(t).publish(t.Context(), events, []string{"web2"}, "event.send", tag, `{"of": "the test"}`); err != nil {
		t.Fatal(err)
	}
	sent := func(c *jobdclient.Client) int {
		page, err := c.Events(t.Context(), gaea.EventFilter{Tag: tag}, gaea.PageRequest{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Items)
	}
	// The other jobd on this bus tells when the last one was sent.
	other := newRig(t).client
	eventually(t, "every event was on the bus", func() bool { return sent(other) == events })
	if err := r.jobd.Stop(); err != nil {
		t.Fatal(err)
	}
	if log := r.jobd.Log(5); strings.Contains(log, "level=ERROR") {
		t.Errorf("jobd's last words:\n%s", log)
	}
	r.restart(t)
	if got := sent(r.client); got != events {
		t.Errorf("of %d events the archive has %d", events, got)
	}
}

func TestAccWhatHappensWhileJobdIsStoppedIsFetchedWhenItStarts(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	if err := r.jobd.Stop(); err != nil {
		t.Fatal(err)
	}
	jids, err := r.saltAPI(t).publish(t.Context(), 3, []string{"web1", "web2"}, "test.arg", r.name)
	if err != nil {
		t.Fatal(err)
	}
	other := newRig(t).client
	for _, jid := range jids {
		if err := other.FollowJob(t.Context(), jid, func(gaea.Return) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	r.restart(t)
	eventually(t, "the archive has the jobs", func() bool {
		for _, jid := range jids {
			job, err := r.client.Job(t.Context(), jid)
			if err != nil || fmt.Sprint(job.Counts) != "map[succeeded:2]" {
				return false
			}
		}
		return true
	})
	ret, err := r.client.Return(t.Context(), jids[0], "web1")
	if err != nil || ret.Source != gaea.SourceCache || !strings.Contains(string(ret.Body), r.name) {
		t.Errorf("the return is %+v (%v)", ret, err)
	}
}

// restart starts jobd again and returns when it is ready.
func (r *rig) restart(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := r.jobd.Launch(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.jobd.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}
