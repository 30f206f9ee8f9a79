package acctest

import (
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The archive is compared with a real master's job cache: as it came over the bus, and as it was fetched after jobd was away.
func TestAccVerifyFindsTheArchiveAsTheJobCacheIs(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	other := newRig(t).client
	publish := func() string {
		jids, err := r.saltAPI(t).publish(t.Context(), 1, []string{"web1", "web2"}, "test.arg_clean", r.name, `{"password": "hunter2", "b": 1.5}`)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.FollowJob(t.Context(), jids[0], func(gaea.Return) error { return nil }); err != nil {
			t.Fatal(err)
		}
		return jids[0]
	}
	same := func(jid string) {
		var report *gaea.VerifyReport
		eventually(t, "the archive is as the job cache", func() bool {
			var err error
			if report, err = r.client.VerifyArchive(t.Context(), gaea.VerifyRequest{JID: jid, Fix: true}); err != nil {
				t.Fatal(err)
			}
			return len(report.Differences) == 0 && report.Returns == 2 // the master writes its cache a moment after the event
		})
		if report.Jobs != 1 || report.Returns != 2 || report.Beyond != 0 || len(report.Unread) != 0 {
			t.Errorf("the report is %+v", report)
		}
		job, err := r.client.Job(t.Context(), jid)
		if err != nil || job.Ledger == nil || job.Ledger.Expected != 2 || job.Ledger.Missing != 0 || job.Ledger.Received+job.Ledger.Recovered != 2 {
			t.Errorf("the ledger is %+v (%v)", job, err)
		}
	}
	same(publish())
	if err := r.jobd.Stop(); err != nil {
		t.Fatal(err)
	}
	jid := publish()
	r.restart(t)
	same(jid)
}

// What others start has forms of its own: batches, states, failures, an unknown function, a runner.
func TestAccVerifyFindsTheJobsOfOthersAsTheJobCacheHasThem(t *testing.T) {
	r := newRigAlone(t)
	r.sls(t, motd)
	began := time.Now()
	for _, arguments := range [][]string{
		{"*", "test.ping"},
		{"-b", "1", "*", "test.ping"},
		{"web*", "state.apply", r.name, "test=True"},
		{"web*", "state.apply", r.name},
		{"web1", "cmd.run", "echo no; exit 3"},
		{"web1", "test.nothing"},
		{"web1", "state.apply", r.name + ".missing"},
		{"-L", "web1,web9", "test.arg_clean", "1", "b=2"},
	} {
		out, err := r.lab.Salt(t.Context(), arguments...)
		t.Logf("salt %v: %s (%v)", arguments, out, err) // some are to fail
	}
	r.wantVerified(t, began)
}

// wantVerified wants the archive to hold what the master's job cache has from a moment on, without anything being fetched
// for that. What was sent a moment ago may still be on its way.
func (r *rig) wantVerified(t *testing.T, since time.Time) {
	t.Helper()
	var differences []gaea.Difference
	jobs, returns := 0, 0
	verified := func() bool {
		differences, jobs, returns = nil, 0, 0
		for request := (gaea.VerifyRequest{Since: since}); ; {
			report, err := r.client.VerifyArchive(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			jobs, returns = jobs+report.Jobs, returns+report.Returns
			differences = append(differences, report.Differences...)
			if report.Next == "" {
				return len(differences) == 0
			}
			request.After = report.Next
		}
	}
	for range 3 {
		if verified() {
			break
		}
	}
	if len(differences) > 0 || jobs == 0 || returns == 0 {
		t.Errorf("of %d jobs with %d returns these differ: %+v", jobs, returns, differences)
	}
}
