package postgres_test

import (
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

func TestAWordThatAMinionDidNotReturnEndsTheWaitForIt(t *testing.T) {
	where := address(t)
	s := open(t, where)
	const jid = "20261126190000000000"
	now := time.Now()
	job := gaea.Job{JID: jid, Function: "test.ping", Known: true, Minions: []string{"web1", "web2"}, Started: now, Source: gaea.SourceBus, Target: gaea.ListTarget([]string{"web1", "web2"})}
	check(t, s.WriteBatch(t.Context(), "salt", archive.Batch{Jobs: []gaea.Job{job}}))
	for left, r := range []gaea.Return{
		{JID: jid, Minion: "web2", Function: "test.ping", Outcome: gaea.OutcomeSucceeded, Stamp: now, Source: gaea.SourceBus},
		{JID: jid, Minion: "web1", Function: "test.ping", Outcome: gaea.OutcomeNoReturn, Stamp: now, Source: gaea.SourceBus},
	} {
		check(t, s.WriteBatch(t.Context(), "salt", archive.Batch{Returns: []gaea.Return{r}}))
		rows, err := pglab.Execute(t.Context(), where, `UPDATE open_jobs SET missing = missing`)
		check(t, err)
		if want := int64(1 - left); rows != want {
			t.Errorf("after the %s of %s %d jobs wait for minions, not %d", r.Outcome, r.Minion, rows, want)
		}
	}
}
