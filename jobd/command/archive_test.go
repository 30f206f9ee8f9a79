package command_test

import (
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

func TestTheLedgerShowsWhatIsMissing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.AddJob(gaea.Job{JID: "1", Function: "test.ping", Minions: []string{"db1", "web1"}, Started: time.Now(), Known: true})
	r.AddReturn(gaea.Return{JID: "1", Minion: "web1", Outcome: gaea.OutcomeSucceeded, Source: gaea.SourceCache})
	r.AddJob(gaea.Job{JID: "2", Function: "test.echo", Started: time.Now()})
	code, out, errs := r.run("archive", "ledger", "--incomplete")
	want(t, "jobd archive ledger", code, command.ExitOK, out+errs, "2 jobs, 1 of them incomplete: 2 returns expected, 0 received, 1 recovered, 1 missing", "EXPECTED", "test.ping")
	code, out, errs = r.run("archive", "ledger", "-o", "tsv")
	want(t, "for scripts", code, command.ExitOK, out+errs, "\ttest.ping\t2\t0\t1\t0\t1\t", "test.echo")
	code, out, errs = r.run("archive", "ledger", "--limit", "0")
	want(t, "a limit of 0", code, command.ExitUsage, out+errs, "--limit")
}

func TestVerifySaysWhatIsMissingAndWithItsExitCodeThatSomethingIs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	missing := gaea.Difference{JID: "1", Minion: "web1", Kind: gaea.ReturnMissing}
	fixed := missing
	fixed.Fixed = true
	code, out, errs := r.run("archive", "verify")
	want(t, "nothing to compare", code, command.ExitOK, out+errs, "nothing was compared")
	r.Verified(gaea.VerifyReport{Jobs: 2, Returns: 3})
	code, out, errs = r.run("archive", "verify", "--since", "1h", "--master", "us")
	want(t, "all is there", code, command.ExitOK, out+errs, "2 jobs and 3 returns of the master's job cache compared: the archive has them all.")
	r.Verified(gaea.VerifyReport{Jobs: 1, Returns: 1, Next: "1", Differences: []gaea.Difference{missing}}, gaea.VerifyReport{Jobs: 1, Recovering: true})
	code, out, errs = r.run("archive", "verify")
	want(t, "one is missing", code, command.ExitFailed, out+errs, "1    web1    return missing", "2 jobs and 1 returns", "1 missing or different.", "verify again in a moment")
	r.Verified(gaea.VerifyReport{Jobs: 1, Returns: 1, Stored: 1, Differences: []gaea.Difference{fixed}})
	code, out, errs = r.run("archive", "verify", "--fix")
	want(t, "it is stored", code, command.ExitOK, out+errs, "stored now", "1 missing or different, 1 of them stored now.")
	r.Verified(gaea.VerifyReport{Jobs: 1, Unread: []gaea.UnreadJob{{JID: "7", Reason: "too large"}}})
	code, out, errs = r.run("archive", "verify", "-o", "json")
	want(t, "one cannot be read", code, command.ExitAway, out+errs, "Job 7 could not be compared: too large", `"unread"`)
	r.Fail(gaea.Errorf(gaea.CodeSalt, "the cache is gone"))
	code, out, errs = r.run("archive", "verify")
	want(t, "the cache is gone", code, command.ExitAway, out+errs, "the cache is gone")
	asked := r.VerifyRequests()
	if asked[0].Fix || !asked[0].Since.IsZero() || asked[1].Since.IsZero() || asked[0].Master != "" || asked[1].Master != "us" || asked[3].After != "1" || !asked[4].Fix {
		t.Errorf("asked was %+v", asked)
	}
}
