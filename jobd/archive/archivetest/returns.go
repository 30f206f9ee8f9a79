package archivetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var returnTests = map[string]func(*bench){
	"the first return of a minion stays": func(b *bench) {
		first := newReturn(1, "web1")
		again := first
		again.Body, again.Stamp, again.Source = json.RawMessage(`false`), at(60), gaea.SourceCache
		b.writeReturns(first, again)
		b.writeReturns(again)
		first.Master = salt
		same(b, "the return", *b.ret(jid(1), "web1"), first)
		stats, err := b.store.Stats(b.ctx())
		b.ok(err)
		same(b, "the number of bodies", stats.Contents, 1)
	},
	"the return itself replaces a word about it": func(b *bench) {
		word := newReturn(1, "web1")
		word.Outcome, word.Body, word.Message, word.StateKey = gaea.OutcomeNoReturn, json.RawMessage(`"VALUE_TRIMMED"`), "too large for the bus", "key"
		b.writeReturns(word)
		have, err := b.store.HaveReturns(b.ctx(), salt, jid(1))
		b.ok(err)
		same(b, "whose return is there", have, map[string]bool{})
		evidence, err := b.store.Evidence(b.ctx(), salt, "key", []string{"web1"})
		b.ok(err)
		same(b, "the evidence", evidence, []gaea.Evidence{})

		whole := newReturn(1, "web1")
		whole.Source = gaea.SourceCache
		b.writeReturns(whole)
		b.writeReturns(word)
		whole.Master = salt
		same(b, "the return", *b.ret(jid(1), "web1"), whole)
		same(b, "the counts", b.job(jid(1)).Counts, map[gaea.Outcome]int{gaea.OutcomeSucceeded: 1})
		stats, err := b.store.Stats(b.ctx())
		b.ok(err)
		same(b, "the number of returns and bodies", [2]int64{stats.Returns, stats.Contents}, [2]int64{1, 1})
	},
	"returns of every form come back as they went in": func(b *bench) {
		bare := gaea.Return{JID: jid(0), Minion: "bare"}
		noRetcode := newReturn(1, "web1")
		noRetcode.Retcode, noRetcode.Success = nil, nil
		bad := newReturn(2, "web1")
		bad.Retcode, bad.Success, bad.Outcome, bad.Message = new(-7), new(false), gaea.OutcomeFailed, "exit code -7"
		null := newReturn(3, "web1")
		null.Body = json.RawMessage(`null`)
		spaced := stateReturn(4, "web1", "key", gaea.OutcomeChanged)
		spaced.Body = json.RawMessage(strings.ReplaceAll(string(spaced.Body), `": `, "\"\n\t :  "))
		saltclient.ReturnOutcome(&spaced)
		broken := stateReturn(5, "web1", "key", gaea.OutcomeFailed)
		broken.Body = json.RawMessage(`{"this is": no JSON`)
		large := newReturn(6, "web1")
		large.Body = bodyOf(strings.Repeat("0123456789abcdef", 300_000))
		for _, r := range []gaea.Return{bare, noRetcode, bad, null, spaced, broken, large} {
			b.writeReturns(r)
			want := r
			want.Master = salt
			same(b, "the return", *b.ret(r.JID, r.Minion), want)
		}
	},
	"what is known of a truncated return comes back, also without its body": func(b *bench) {
		cut := stateReturn(1, "web1", "key", gaea.OutcomeFailed)
		cut.Truncated = &gaea.Truncation{Size: 64 << 20, SHA256: strings.Repeat("0f", 32), Dropped: 1_000_000}
		text := newReturn(2, "web1")
		text.Truncated = &gaea.Truncation{Size: 17 << 20, SHA256: strings.Repeat("f0", 32)}
		text.Body = json.RawMessage(`"the beginning…"`)
		b.writeReturns(cut, text)
		for _, r := range []gaea.Return{cut, text} {
			want := r
			want.Master = salt
			same(b, "the return", *b.ret(r.JID, r.Minion), want)
			same(b, "the returns of the job", b.returnsOf(salt, r.JID), []gaea.Return{want})
		}
		page, err := b.store.Returns(b.ctx(), gaea.JobFilter{}, gaea.PageRequest{}, false)
		b.ok(err)
		same(b, "what is known of the lists", []*gaea.Truncation{page.Items[0].Truncated, page.Items[1].Truncated}, []*gaea.Truncation{text.Truncated, cut.Truncated})
	},
	"whatever a hostile minion calls itself and its states comes back, and is found": func(b *bench) {
		long := strings.Repeat("x", 100_000)
		for n, odd := range []string{
			"zero\x00byte", "\x01\x02", "'; DROP TABLE returns; --", "<script>alert(1)</script>", "\x1b[2J\x1b]0;title\a", "\u202etxt.exe", "%s_%", "web1\ud7ff\uffff", long,
		} {
			r := stateReturn(n+1, odd, "key", gaea.OutcomeFailed)
			r.Function, r.Message, r.RunID = odd, odd, odd
			r.States[0].Key, r.States[0].ID, r.States[0].SLS, r.States[0].Comment = "file_|-"+odd+"_|-"+odd+"_|-managed", odd, odd, odd
			b.writeReturns(r)
			r.Master = salt
			same(b, "the return", *b.ret(r.JID, odd), r)
			page, err := b.store.Returns(b.ctx(), gaea.JobFilter{Minion: odd, Function: odd, RunID: odd}, gaea.PageRequest{}, true)
			b.ok(err)
			same(b, "what is found", page.Items, []gaea.Return{r})
			states, err := b.store.States(b.ctx(), gaea.StateFilter{Minion: odd, SLS: odd, Outcome: gaea.OutcomeFailed}, gaea.PageRequest{})
			b.ok(err)
			same(b, "the number of states", len(states.Items), 1)
		}
	},
	"a job id that is none, or far in the future, is kept like any other": func(b *bench) {
		for _, odd := range []string{"garbage", "99991231235959999999", "00000000000000000000", "20261399999999999999", "-1", strings.Repeat("9", 500), "../../etc/passwd"} {
			r := newReturn(1, "web1")
			r.JID = odd
			b.writeReturns(r)
			r.Master = salt
			same(b, "the return", *b.ret(odd, "web1"), r)
			same(b, "the job", b.job(odd).JID, odd)
		}
	},
	"states that do not follow from the body come back as they went in": func(b *bench) {
		for i, change := range []func(*gaea.Return){
			func(r *gaea.Return) { r.Body = nil },
			func(r *gaea.Return) { r.Body = json.RawMessage(`["no", "states"]`) },
			func(r *gaea.Return) { slices.Reverse(r.States) },
			func(r *gaea.Return) { r.States = r.States[:1] },
			func(r *gaea.Return) { r.States[0].Comment = "<another> & longer" },
			func(r *gaea.Return) { r.States[0].Changes = json.RawMessage(`{"a":"<b>"}`) },
			func(r *gaea.Return) { r.States[1].Duration = 1e-9 },
			func(r *gaea.Return) { r.States[1].Result = nil },
			func(r *gaea.Return) { r.States[1].Outcome = "" },
		} {
			r := stateReturn(i, "web1", "key", gaea.OutcomeWouldChange)
			change(&r)
			b.writeReturns(r)
			want := r
			want.Master = salt
			same(b, "the return", *b.ret(r.JID, r.Minion), want)
			same(b, "the returns of the job", b.returnsOf(salt, r.JID), []gaea.Return{want})
		}
	},
	"a body is stored once, whatever its durations": func(b *bench) {
		for i := range 10 {
			b.writeReturns(StateReturn(jid(i), "web1", 3, 1, i, at(i)))
		}
		b.writeReturns(StateReturn(jid(10), "web1", 3, 2, 1, at(10)))
		stats, err := b.store.Stats(b.ctx())
		b.ok(err)
		same(b, "the number of bodies", stats.Contents, 2)
		for i := range 10 {
			want := StateReturn(jid(i), "web1", 3, 1, i, at(i))
			want.Master = salt
			same(b, "the return", *b.ret(jid(i), "web1"), want)
		}
	},
	"the returns of a job come whole": func(b *bench) {
		want := []gaea.Return{
			stateReturn(1, "a", "key", gaea.OutcomeChanged), stateReturn(1, "b", "key", gaea.OutcomeInSync), stateReturn(1, "c", "key", gaea.OutcomeFailed),
		}
		b.writeReturns(want[2], want[0], want[1], newReturn(2, "a"))
		for i := range want {
			want[i].Master = salt
		}
		same(b, "the returns", b.returnsOf(salt, jid(1)), want)
		for _, other := range [][2]string{{"other", jid(1)}, {salt, jid(9)}} {
			same(b, "the returns", b.returnsOf(other[0], other[1]), nil)
		}
	},
	"the returns of a job are told one by one, in the same order each time, until one is refused": func(b *bench) {
		const many, large = 600, 3
		var want []gaea.Return
		for n := range many {
			r := stateReturn(1, fmt.Sprintf("w%03d", n), "key", gaea.OutcomeFailed)
			if n%(many/large) == 0 { // of bodies in which nothing repeats, so that some returns fill a part
				text := make([]byte, 0, 6<<20)
				for random := rand.NewPCG(1, uint64(n)); len(text) < cap(text)-16; {
					text = strconv.AppendUint(text, random.Uint64(), 16)
				}
				r = newReturn(1, r.Minion)
				r.Body = bodyOf(string(text))
			}
			want = append(want, r)
		}
		b.writeReturns(want...)
		for i := range want {
			want[i].Master = salt
		}
		same(b, "the returns", b.returnsOf(salt, jid(1)), want)
		orders := [2][]string{}
		for i := range orders {
			b.ok(b.store.EachReturn(b.ctx(), salt, jid(1), func(r *gaea.Return) error {
				orders[i] = append(orders[i], r.Minion)
				return nil
			}))
		}
		same(b, "the order", orders[1], orders[0])
		told, enough := 0, errors.New("enough")
		err := b.store.EachReturn(b.ctx(), salt, jid(1), func(*gaea.Return) error {
			if told++; told == 300 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || told != 300 {
			b.Errorf("%d returns were told, and then %v", told, err)
		}
	},
	"who is told the returns of a job may ask and write meanwhile": func(b *bench) {
		b.writeReturns(newReturn(1, "a"), newReturn(1, "b"))
		n := 2
		b.ok(b.store.EachReturn(b.ctx(), salt, jid(1), func(r *gaea.Return) error {
			same(b, "the return", *b.ret(r.JID, r.Minion), *r)
			b.writeReturns(newReturn(n, "a"))
			n++
			return nil
		}))
		same(b, "the number of returns that were told", n, 4)
	},
	"returns are found by what a filter says": func(b *bench) {
		job := newJob(1, "web1", "web2")
		job.User = "ann"
		b.write(archive.Batch{Jobs: []gaea.Job{job}, Returns: []gaea.Return{newReturn(1, "web1"), newReturn(1, "web2")}})
		run := stateReturn(2, "web1", "key", gaea.OutcomeFailed)
		run.RunID = "run-1"
		b.writeReturns(run)
		elsewhere := newReturn(3, "web1")
		elsewhere.Function = "state"
		b.ok(b.store.WriteBatch(b.ctx(), "other", archive.Batch{Returns: []gaea.Return{elsewhere}}))
		for _, row := range []struct {
			f    gaea.JobFilter
			want []string
		}{
			{gaea.JobFilter{}, []string{"other 3 web1", "salt 2 web1", "salt 1 web2", "salt 1 web1"}},
			{gaea.JobFilter{Master: "other"}, []string{"other 3 web1"}},
			{gaea.JobFilter{Master: "none"}, []string{}},
			{gaea.JobFilter{Minion: "web1"}, []string{"other 3 web1", "salt 2 web1", "salt 1 web1"}},
			{gaea.JobFilter{Function: "test.ping"}, []string{"salt 1 web2", "salt 1 web1"}},
			{gaea.JobFilter{Function: "state.*"}, []string{"salt 2 web1"}},
			{gaea.JobFilter{Function: "state*"}, []string{"other 3 web1", "salt 2 web1"}},
			{gaea.JobFilter{Function: "*"}, []string{"other 3 web1", "salt 2 web1", "salt 1 web2", "salt 1 web1"}},
			{gaea.JobFilter{User: "ann"}, []string{"salt 1 web2", "salt 1 web1"}},
			{gaea.JobFilter{Target: "*"}, []string{"salt 1 web2", "salt 1 web1"}},
			{gaea.JobFilter{RunID: "run-1"}, []string{"salt 2 web1"}},
			{gaea.JobFilter{Outcome: gaea.OutcomeFailed}, []string{"salt 2 web1"}},
			{gaea.JobFilter{Outcome: gaea.OutcomeKilled}, []string{}},
			{gaea.JobFilter{Since: at(3)}, []string{"other 3 web1", "salt 2 web1"}},
			{gaea.JobFilter{Until: at(3)}, []string{"salt 1 web2", "salt 1 web1"}},
			{gaea.JobFilter{Minion: "web1", Function: "test.*", Since: at(1), Until: at(3)}, []string{"salt 1 web1"}},
		} {
			page, err := b.store.Returns(b.ctx(), row.f, gaea.PageRequest{}, false)
			b.ok(err)
			got := []string{}
			for _, r := range page.Items {
				got = append(got, fmt.Sprintf("%s %s %s", r.Master, strings.TrimLeft(r.JID[8:], "0"), r.Minion))
				if r.Body != nil || r.States != nil {
					b.Errorf("a list without bodies has one: %s", show(r))
				}
			}
			same(b, fmt.Sprintf("what %+v finds", row.f), got, row.want)
		}
		_, err := b.store.Returns(b.ctx(), gaea.JobFilter{Outcome: "splendid"}, gaea.PageRequest{}, false)
		b.code(err, gaea.CodeInvalid)
		page, err := b.store.Returns(b.ctx(), gaea.JobFilter{RunID: "run-1"}, gaea.PageRequest{}, true)
		b.ok(err)
		run.Master = salt
		same(b, "the whole return", page.Items, []gaea.Return{run})
	},
	"a return is found without its master's name, the newest of several": func(b *bench) {
		old, young := newReturn(1, "web1"), newReturn(1, "web1")
		young.Stamp = at(100)
		b.ok(b.store.WriteBatch(b.ctx(), "one", archive.Batch{Returns: []gaea.Return{young}}))
		b.ok(b.store.WriteBatch(b.ctx(), "two", archive.Batch{Returns: []gaea.Return{old}}))
		got, err := b.store.Return(b.ctx(), "", jid(1), "web1")
		b.ok(err)
		same(b, "the master", got.Master, "one")
		_, err = b.store.Return(b.ctx(), "", jid(1), "web2")
		b.code(err, gaea.CodeNotFound)
	},
	"the returns that are there are named": func(b *bench) {
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(1, "web1", "web2")}, Returns: []gaea.Return{newReturn(1, "web1")}})
		have, err := b.store.HaveReturns(b.ctx(), salt, jid(1))
		b.ok(err)
		same(b, "whose return is there", have, map[string]bool{"web1": true})
		for _, other := range [][2]string{{"other", jid(1)}, {salt, jid(2)}} {
			have, err = b.store.HaveReturns(b.ctx(), other[0], other[1])
			b.ok(err)
			same(b, "whose return is there", have, map[string]bool{})
		}
	},
	"of each state on a minion the last result is known": func(b *bench) {
		b.writeReturns(stateReturn(5, "web1", "", gaea.OutcomeChanged), stateReturn(3, "web1", "", gaea.OutcomeFailed), stateReturn(4, "web2", "", gaea.OutcomeWouldChange))
		var got []string
		for _, s := range all(b, 1, func(p gaea.PageRequest) (gaea.Page[gaea.LatestState], error) {
			return b.store.States(b.ctx(), gaea.StateFilter{}, p)
		}) {
			got = append(got, fmt.Sprintf("%s %s %s %s %s %v %s %v", s.Master, s.Minion, s.Key, s.SLS, s.Outcome, s.Test, s.JID, s.Stamp.Sub(noon)))
		}
		slices.Sort(got)
		same(b, "the states", got, []string{
			"salt web1 file_|-motd_|-/etc/motd_|-managed motd changed false " + jid(5) + " 6s",
			"salt web1 test_|-calm_|-calm_|-nop motd in_sync false " + jid(5) + " 6s",
			"salt web2 file_|-motd_|-/etc/motd_|-managed motd would_change true " + jid(4) + " 5s",
			"salt web2 test_|-calm_|-calm_|-nop motd in_sync true " + jid(4) + " 5s",
		})
		for f, want := range map[gaea.StateFilter]int{
			{Minion: "web1"}: 2, {Outcome: gaea.OutcomeInSync}: 2, {SLS: "motd"}: 4, {SLS: "x"}: 0, {Master: salt}: 4, {Master: "x"}: 0,
			{Minion: "web2", Outcome: gaea.OutcomeWouldChange, SLS: "motd", Master: salt}: 1,
		} {
			page, err := b.store.States(b.ctx(), f, gaea.PageRequest{})
			b.ok(err)
			same(b, fmt.Sprintf("the number of states of %+v", f), len(page.Items), want)
		}
		_, err := b.store.States(b.ctx(), gaea.StateFilter{Outcome: "splendid"}, gaea.PageRequest{})
		b.code(err, gaea.CodeInvalid)
	},
}
