package archivetest

import (
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// evidence asks for the evidence of a key and writes it as texts: minion, job, outcome and the states' outcomes.
func (b *bench) evidence(key string, minions ...string) []string {
	b.Helper()
	list, err := b.store.Evidence(b.ctx(), salt, key, minions)
	b.ok(err)
	got := []string{}
	for _, e := range list {
		words := []string{e.Minion, string(e.Outcome), e.At.Sub(noon).String()}
		for _, state := range e.States {
			words = append(words, state.ID+"="+string(state.Outcome))
		}
		got = append(got, strings.Join(words, " "))
	}
	return got
}

var evidenceTests = map[string]func(*bench){
	"the newest return of each minion is the evidence, with its states that are not clean": func(b *bench) {
		drifted := stateReturn(2, "web1", "key", gaea.OutcomeWouldChange)
		b.writeReturns(
			stateReturn(1, "web1", "key", gaea.OutcomeInSync), drifted,
			stateReturn(4, "web2", "key", gaea.OutcomeInSync), stateReturn(3, "web2", "key", gaea.OutcomeFailed),
			stateReturn(5, "web3", "other", gaea.OutcomeFailed), stateReturn(6, "web1", "other", gaea.OutcomeFailed),
		)
		same(b, "the evidence", b.evidence("key", "web2", "web1", "web3", "web4"), []string{"web1 would_change 3s motd=would_change", "web2 in_sync 5s"})
		same(b, "the evidence of one", b.evidence("key", "web2"), []string{"web2 in_sync 5s"})
		same(b, "the evidence of none", b.evidence("key"), []string{})
		same(b, "the evidence of another key", b.evidence("nothing", "web1"), []string{})
		list, err := b.store.Evidence(b.ctx(), salt, "key", []string{"web1"})
		b.ok(err)
		same(b, "the evidence whole", list, []gaea.Evidence{{
			Minion: "web1", JID: jid(2), At: at(3), Test: true, Outcome: gaea.OutcomeWouldChange, States: drifted.States[:1],
		}})
	},
	"a real run is evidence as a test run is": func(b *bench) {
		r := stateReturn(1, "web1", "key", gaea.OutcomeChanged)
		r.Test = false
		b.writeReturns(r)
		list, err := b.store.Evidence(b.ctx(), salt, "key", []string{"web1"})
		b.ok(err)
		same(b, "the evidence", list, []gaea.Evidence{{Minion: "web1", JID: jid(1), At: at(2), Outcome: gaea.OutcomeChanged, States: r.States[:1]}})
	},
	"a run that could not start is evidence, with Salt's words": func(b *bench) {
		r := newReturn(1, "web1")
		r.Outcome, r.Message, r.StateKey = gaea.OutcomeCouldNotRun, "No matching sls found for 'nosuch' in env 'base'", "key"
		b.writeReturns(r)
		list, err := b.store.Evidence(b.ctx(), salt, "key", []string{"web1"})
		b.ok(err)
		same(b, "the evidence", list, []gaea.Evidence{{Minion: "web1", JID: jid(1), At: at(2), Outcome: gaea.OutcomeCouldNotRun, Message: r.Message}})
	},
	"a minion that was busy has told nothing": func(b *bench) {
		busy := newReturn(2, "web1")
		busy.Outcome, busy.StateKey = gaea.OutcomeCouldNotRun, "key"
		busy.Message = `The function "state.apply" is running as PID 1234 and was started at 2026, Mar 01 12:00:00.000000 with jid 20260301120000000000`
		b.writeReturns(stateReturn(1, "web1", "key", gaea.OutcomeInSync), busy)
		same(b, "the evidence", b.evidence("key", "web1"), []string{"web1 in_sync 2s"})
	},
	"masters are apart": func(b *bench) {
		b.ok(b.store.WriteBatch(b.ctx(), "other", archive.Batch{Returns: []gaea.Return{stateReturn(1, "web1", "key", gaea.OutcomeFailed)}}))
		same(b, "the evidence", b.evidence("key", "web1"), []string{})
	},
	"silence is evidence until a newer return": func(b *bench) {
		b.writeReturns(stateReturn(1, "web1", "key", gaea.OutcomeInSync), stateReturn(9, "web2", "key", gaea.OutcomeInSync))
		b.ok(b.store.PutSilence(b.ctx(), salt, "key", []string{"web1", "web2", "web3"}, jid(4), at(5)))
		b.ok(b.store.PutSilence(b.ctx(), salt, "key", []string{"web1"}, jid(3), at(4)))
		same(b, "the evidence", b.evidence("key", "web1", "web2", "web3"), []string{"web1 unreachable 5s", "web2 in_sync 10s", "web3 unreachable 5s"})
		list, err := b.store.Evidence(b.ctx(), salt, "key", []string{"web3"})
		b.ok(err)
		same(b, "the silence whole", list, []gaea.Evidence{{Minion: "web3", JID: jid(4), At: at(5), Test: true, Outcome: gaea.OutcomeUnreachable}})
		b.writeReturns(stateReturn(6, "web3", "key", gaea.OutcomeFailed))
		same(b, "the evidence later", b.evidence("key", "web3"), []string{"web3 failed 7s motd=failed"})
		same(b, "the evidence of another key", b.evidence("other", "web3"), []string{})
		b.ok(b.store.PutSilence(b.ctx(), salt, "key", nil, jid(4), at(5)))
		b.code(b.store.PutSilence(b.ctx(), salt, "", []string{"web1"}, jid(4), at(5)), gaea.CodeInvalid)
	},
	"unsettled states are replaced for the minions that are named": func(b *bench) {
		put := func(revision string, minions []string, states ...gaea.UnsettledState) {
			b.Helper()
			b.ok(b.store.PutUnsettled(b.ctx(), "nginx", revision, minions, states))
		}
		get := func(assignment, revision string) []gaea.UnsettledState {
			b.Helper()
			list, err := b.store.Unsettled(b.ctx(), assignment, revision)
			b.ok(err)
			return list
		}
		a := gaea.UnsettledState{Minion: "web1", Label: "cmd.run a", Digest: "1"}
		c := gaea.UnsettledState{Minion: "web1", Label: "cmd.run c", Digest: "2"}
		d := gaea.UnsettledState{Minion: "web2", Label: "cmd.run a", Digest: "3"}
		put("r1", []string{"web2", "web1"}, d, c, a)
		same(b, "what is unsettled", get("nginx", "r1"), []gaea.UnsettledState{a, c, d})
		put("r1", []string{"web1"}, a)
		same(b, "what is unsettled after one minion was looked at again", get("nginx", "r1"), []gaea.UnsettledState{a, d})
		put("r1", []string{"web2"})
		same(b, "what is unsettled after one minion settled", get("nginx", "r1"), []gaea.UnsettledState{a})
		same(b, "what is unsettled in another revision", get("nginx", "r2"), []gaea.UnsettledState{})
		same(b, "what is unsettled elsewhere", get("motd", "r1"), []gaea.UnsettledState{})
		b.code(b.store.PutUnsettled(b.ctx(), "nginx", "r1", []string{"web2"}, []gaea.UnsettledState{a}), gaea.CodeInvalid)
	},
}
