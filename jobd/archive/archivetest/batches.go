package archivetest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var batchTests = map[string]func(*bench){
	"what real masters say comes back as it went in": func(b *bench) {
		for _, version := range SaltVersions() {
			batch := Captured(b, version)
			b.ok(b.store.WriteBatch(b.ctx(), version, batch))
			for _, r := range batch.Returns {
				want := r
				want.Master, want.Origin, want.Schedule = version, "", "" // its job has those
				got, err := b.store.Return(b.ctx(), version, r.JID, r.Minion)
				b.ok(err)
				same(b, "the return of "+r.Minion+" for "+r.JID, *got, want)
			}
			for _, ev := range batch.Events {
				page, err := b.store.Events(b.ctx(), gaea.EventFilter{Master: version, Tag: ev.Tag, Since: ev.Stamp, Until: ev.Stamp.Add(1000)}, gaea.PageRequest{})
				b.ok(err)
				if !slices.ContainsFunc(page.Items, func(got gaea.Event) bool { return string(got.Data) == string(ev.Data) }) {
					b.Errorf("the event %s is not there", ev.Tag)
				}
			}
			for _, j := range batch.Jobs {
				got, err := b.store.Job(b.ctx(), version, j.JID)
				b.ok(err)
				if !j.Known {
					same(b, "the origin of job "+j.JID, got.Origin, gaea.OriginBatch)
					continue
				}
				same(b, "the function of job "+j.JID, got.Function, j.Function)
				same(b, "the arguments of job "+j.JID, string(got.Args), string(j.Args))
			}
		}
	},
	"a batch that is written again changes nothing": func(b *bench) {
		batch := Captured(b, SaltVersions()[1])
		b.write(batch)
		before := snapshot(b, b.store, salt)
		b.write(batch)
		slices.Reverse(batch.Jobs)
		slices.Reverse(batch.Returns)
		slices.Reverse(batch.Events)
		for i := range batch.Returns {
			b.writeReturns(batch.Returns[i])
		}
		b.write(batch)
		same(b, "the archive", snapshot(b, b.store, salt), before)
	},
	"a batch of many, of which some are stored and some come twice, makes what its returns make one by one": func(b *bench) {
		var list []gaea.Return
		for n := range 40 {
			r := stateReturn(1, BenchMinion(n), "key", gaea.OutcomeChanged)
			if n%3 == 0 { // bodies of their own, so that contents are new, known and repeated in turn
				r = stateReturn(1, r.Minion, "key", gaea.OutcomeFailed)
				r.Body = json.RawMessage(strings.ReplaceAll(string(r.Body), "motd", r.Minion))
				saltclient.ReturnOutcome(&r)
			}
			list = append(list, r)
		}
		word := newReturn(1, list[35].Minion)
		word.Outcome, word.Body, word.Message = gaea.OutcomeNoReturn, json.RawMessage(`"VALUE_TRIMMED"`), "too large for the bus"
		mixed := slices.Concat(list[:20], []gaea.Return{word}, list[7:])
		one := b.open(b.T)
		for _, r := range append([]gaea.Return{list[5], word, list[12]}, mixed...) {
			b.ok(one.WriteBatch(b.ctx(), salt, archive.Batch{Returns: []gaea.Return{r}}))
		}
		b.writeReturns(list[5], word, list[12])
		b.writeReturns(mixed...)
		same(b, "the archive", snapshot(b, b.store, salt), snapshot(b, one, salt))
		b.writeReturns(word)
		b.writeReturns(mixed...)
		same(b, "the archive after that again", snapshot(b, b.store, salt), snapshot(b, one, salt))
	},
	"an empty batch is no work": func(b *bench) {
		b.write(archive.Batch{})
		stats, err := b.store.Stats(b.ctx())
		b.ok(err)
		same(b, "the number of jobs", stats.Jobs, 0)
	},
	"a batch with something wrong in it is stored not at all": func(b *bench) {
		good := newReturn(1, "web1")
		for name, bad := range map[string]archive.Batch{
			"no jid":          {Returns: []gaea.Return{good, {Minion: "web2"}}},
			"no minion":       {Returns: []gaea.Return{good, {JID: jid(1)}}},
			"a job without":   {Returns: []gaea.Return{good}, Jobs: []gaea.Job{{Function: "test.ping"}}},
			"unknown outcome": {Returns: []gaea.Return{good, {JID: jid(1), Minion: "web2", Outcome: "splendid"}}},
			"unknown source":  {Returns: []gaea.Return{good, {JID: jid(1), Minion: "web2", Source: "hearsay"}}},
		} {
			b.code(b.store.WriteBatch(b.ctx(), salt, bad), gaea.CodeInvalid)
			have, err := b.store.HaveReturns(b.ctx(), salt, jid(1))
			b.ok(err)
			if len(have) > 0 {
				b.Errorf("%s: something of the batch is stored", name)
			}
		}
		b.code(b.store.WriteBatch(b.ctx(), "", archive.Batch{Returns: []gaea.Return{good}}), gaea.CodeInvalid)
		b.writeReturns(good) // what was remembered of the failed ones does no harm
		b.ret(jid(1), "web1")
	},
	"a caller that gave up stores nothing": func(b *bench) {
		ctx, cancel := context.WithCancel(b.ctx())
		cancel()
		b.code(b.store.WriteBatch(ctx, salt, archive.Batch{Returns: []gaea.Return{newReturn(1, "web1")}}), gaea.CodeCancelled)
		_, err := b.store.Return(b.ctx(), salt, jid(1), "web1")
		b.code(err, gaea.CodeNotFound)
	},
	"hostile texts come back as they went in": func(b *bench) {
		for i, s := range HostileTexts() {
			quoted := quote(s)
			r := newReturn(i, "web1")
			r.Minion, r.Message, r.Function = "m"+s, s, "f"+s
			r.Body, r.Args, r.Metadata = quoted, json.RawMessage("["+string(quoted)+"]"), json.RawMessage(`{"k":`+string(quoted)+`}`)
			r.StateKey, r.RunID = "k"+s, "r"+s
			r.Outcome = gaea.OutcomeFailed
			r.States = []gaea.StateResult{{
				Key: "a_|-" + s + "_|-b_|-c", Module: s, Function: s, ID: s, Name: s, SLS: s, Outcome: gaea.OutcomeFailed,
				Comment: s, Diff: s, Changes: json.RawMessage(`{"x":` + string(quoted) + `}`),
			}}
			j := newJob(i, "m"+s, "n"+s)
			j.Target, j.User, j.Missing = gaea.Target{Type: gaea.TargetCompound, Expr: "t" + s}, "u"+s, []string{"x" + s}
			ev := gaea.Event{Tag: "my/" + s, Stamp: at(i), Data: json.RawMessage(`{"id":` + string(quoted) + `}`)}
			b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}, Events: []gaea.Event{ev}})

			want := r
			want.Master = salt
			same(b, "the return", *b.ret(jid(i), r.Minion), want)
			got := b.job(jid(i))
			same(b, "the minions", got.Minions, j.Minions)
			same(b, "the missing", got.Missing, j.Missing)
			same(b, "the jobs of the target and user", b.jids(gaea.JobFilter{Target: "t" + s, User: "u" + s, Minion: "n" + s}), []string{jid(i)})
			page, err := b.store.Events(b.ctx(), gaea.EventFilter{Tag: "my/" + s, Minion: s}, gaea.PageRequest{})
			b.ok(err)
			ev.Master = salt
			same(b, "the events", page.Items, []gaea.Event{ev})
			evidence, err := b.store.Evidence(b.ctx(), salt, "k"+s, []string{r.Minion})
			b.ok(err)
			same(b, "the states of the evidence", evidence[0].States, r.States)
		}
	},
}

// HostileTexts are texts that break stores which put them together with others, cut them, or end them at a zero byte.
func HostileTexts() []string {
	return []string{
		"\x00", "a\x00b", "\x01", "\x01\x01\x00\x02\x01\x03ff", `\u0000`, `'; DROP TABLE returns; --`, `"`, "`", `\`, "%_*?[", "é – 世界 🧂", "\u2028\ufeff", "a\nb\r\n\t", "_|-", "${x} %{y} {{z}} <b>&",
		strings.Repeat("x", 1<<20), "\U0010FFFF",
	}
}

// quote writes a text as JSON, with as little escaped as may be.
func quote(s string) json.RawMessage {
	return json.RawMessage(strings.TrimSpace(show(s)))
}
