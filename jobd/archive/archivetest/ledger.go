package archivetest

import (
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var ledgerTests = map[string]func(*bench){
	"the ledger counts who was expected, what was received and recovered, and what is missing": func(b *bench) {
		recovered := newReturn(1, "web2")
		recovered.Source = gaea.SourceCache
		word := newReturn(1, "web3")
		word.Outcome = gaea.OutcomeNoReturn
		whole, alone := newJob(2, "web1"), newReturn(3, "web1") // the last without a publication
		whole.Started = at(20)
		b.write(archive.Batch{
			Jobs:    []gaea.Job{newJob(1, "web1", "web2", "web3", "web4"), whole},
			Returns: []gaea.Return{newReturn(1, "web1"), recovered, word, newReturn(1, "stray"), newReturn(2, "web1"), alone},
		})
		first := b.ledger(gaea.LedgerFilter{JID: jid(1)})
		same(b, "the job", first.Items, []gaea.JobLedger{{
			Master: salt, JID: jid(1), Function: "test.ping", Started: newJob(1).Started, Expected: 4, Received: 2, Recovered: 1, Missing: 2,
		}})
		all := b.ledger(gaea.LedgerFilter{})
		same(b, "how many", len(all.Items), 3)
		same(b, "the newest", all.Items[0], gaea.JobLedger{Master: salt, JID: jid(2), Function: "test.ping", Started: at(20), Expected: 1, Received: 1})
		same(b, "the incomplete ones", b.ledger(gaea.LedgerFilter{Incomplete: true, Master: salt}).Items, first.Items)
		same(b, "of another master", b.ledger(gaea.LedgerFilter{Master: "other"}).Items, []gaea.JobLedger{})
		same(b, "the newer ones", b.ledger(gaea.LedgerFilter{Since: at(20)}).Items, all.Items[:1])
		same(b, "the totals", b.totals(gaea.LedgerFilter{}), gaea.LedgerTotals{Jobs: 3, Incomplete: 1, Expected: 5, Received: 4, Recovered: 1, Missing: 2})
		same(b, "the totals of the newer ones", b.totals(gaea.LedgerFilter{Since: at(20), Master: salt}), gaea.LedgerTotals{Jobs: 1, Expected: 1, Received: 1})
		same(b, "the totals of nothing", b.totals(gaea.LedgerFilter{Until: at(-900)}), gaea.LedgerTotals{})
	},
	"the ledger says how a run settled what is missing, and what came late": func(b *bench) {
		j := newJob(1, "web1", "web2", "web3", "web4")
		j.RunID = newRun(1).ID
		b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{newReturn(1, "web1")}})
		r := newRun(1)
		r.Minions = map[string]gaea.RunMinion{
			"web1": {Outcome: gaea.OutcomeSucceeded, JID: jid(1), Late: true},
			"web2": {Outcome: gaea.OutcomeNoReturn, JID: jid(1)},
			"web3": {Outcome: gaea.OutcomeUnreachable, JID: jid(1)},
			"web4": {Outcome: gaea.OutcomeSucceeded, JID: jid(1)}, // its return is not stored
			"web5": {Outcome: gaea.OutcomeUnreachable, JID: jid(1)},
			"web6": {Outcome: gaea.OutcomeSkipped},
		}
		b.create(r, "", "")
		got := b.ledger(gaea.LedgerFilter{}).Items
		same(b, "the job", got, []gaea.JobLedger{{
			Master: salt, JID: jid(1), Function: "test.ping", Started: j.Started, RunID: r.ID, Expected: 4, Received: 1, Late: 1, Missing: 3,
			Settled: map[gaea.Outcome]int{gaea.OutcomeNoReturn: 1, gaea.OutcomeUnreachable: 1},
		}})
	},
	"pages of the ledger show each job once though others come": func(b *bench) {
		for n := range 7 {
			b.write(archive.Batch{Jobs: []gaea.Job{newJob(n, "web1")}})
		}
		seen, cursor := map[string]int{}, ""
		for n := 100; ; n++ {
			page, err := b.store.Ledger(b.ctx(), gaea.LedgerFilter{Incomplete: true}, gaea.PageRequest{Limit: 3, Cursor: cursor})
			b.ok(err)
			for _, j := range page.Items {
				seen[j.JID]++
			}
			if cursor = page.Next; cursor == "" {
				break
			}
			late := newJob(n, "web1")
			late.Started = at(1000 + n)
			b.write(archive.Batch{Jobs: []gaea.Job{late}})
		}
		for n := range 7 {
			same(b, "how often "+jid(n)+" was shown", seen[jid(n)], 1)
		}
		same(b, "how many were shown", len(seen), 7)
		_, err := b.store.Ledger(b.ctx(), gaea.LedgerFilter{}, gaea.PageRequest{Cursor: "x"})
		b.code(err, gaea.CodeInvalid)
	},
}

func (b *bench) ledger(f gaea.LedgerFilter) gaea.Page[gaea.JobLedger] {
	b.Helper()
	page, err := b.store.Ledger(b.ctx(), f, gaea.PageRequest{})
	b.ok(err)
	return page
}

func (b *bench) totals(f gaea.LedgerFilter) gaea.LedgerTotals {
	b.Helper()
	t, err := b.store.LedgerTotals(b.ctx(), f)
	b.ok(err)
	return t
}
