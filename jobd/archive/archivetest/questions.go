package archivetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// state is one state of a run made by runOf.
type state struct {
	name    string
	outcome gaea.Outcome
	took    float64 // milliseconds
}

// runOf is the return of state.apply of an SLS file in a job of newJob.
func runOf(n int, minion, sls string, states ...state) gaea.Return {
	var parts []string
	for i, s := range states {
		changes, result := `{}`, `true`
		switch s.outcome {
		case gaea.OutcomeChanged:
			changes = `{"diff": "--- \n+++ \n@@ -1 +1 @@\n-a\n+b\n"}`
		case gaea.OutcomeFailed:
			result = `false`
		default:
		}
		parts = append(parts, fmt.Sprintf(`"file_|-id of %[1]s_|-%[1]s_|-managed": {"changes": %[2]s, "comment": "", "name": %[1]q, "result": %[3]s, "__sls__": %[4]q, "__run_num__": %[5]d, "duration": %[6]v, "__id__": "id of %[1]s"}`,
			s.name, changes, result, sls, i, s.took))
	}
	r := newReturn(n, minion)
	r.Function, r.Args, r.Body = "state.apply", json.RawMessage(fmt.Sprintf(`[%q]`, sls)), json.RawMessage("{"+strings.Join(parts, ", ")+"}")
	saltclient.ReturnOutcome(&r)
	return r
}

// publishedAs makes a job of newJob one that a user published for what a return returned.
func publishedAs(n int, user string, r gaea.Return, minions ...string) gaea.Job {
	j := newJob(n, minions...)
	j.User, j.Function, j.Args = user, r.Function, r.Args
	return j
}

var questionTests = map[string]func(*bench){
	"what ran on a minion comes with who wanted it and how it ended": func(b *bench) {
		run := runOf(1, "web1", "nginx", state{"/a", gaea.OutcomeChanged, 100}, state{"/b", gaea.OutcomeInSync, 50.5})
		failed := newReturn(3, "web1")
		failed.Outcome, failed.Message, failed.Retcode = gaea.OutcomeFailed, "exit code 3", new(3)
		b.write(archive.Batch{
			Jobs:    []gaea.Job{publishedAs(1, "ann", run, "web1", "web2"), newJob(2, "web2"), newJob(3, "web1"), newJob(4, "web1", "web2")},
			Returns: []gaea.Return{run, newReturn(2, "web2"), failed, newReturn(4, "web2")},
		})
		b.ok(b.store.WriteBatch(b.ctx(), "other", archive.Batch{Returns: []gaea.Return{newReturn(5, "web1")}}))
		got := func(f gaea.HistoryFilter) []string {
			lines := []string{}
			for _, i := range all(b, 1, func(p gaea.PageRequest) (gaea.Page[gaea.HistoryItem], error) { return b.store.History(b.ctx(), f, p) }) {
				took := "-"
				if i.Duration != nil {
					took = fmt.Sprint(*i.Duration)
				}
				lines = append(lines, fmt.Sprintf("%s %s %s %s %s %s %s %d/%d %s %v", i.Master, i.JID[19:], i.Minion, i.Function, i.Args, i.User, i.Outcome, i.Unclean, i.States, took, i.Stamp.Sub(noon)))
			}
			return lines
		}
		whole := []string{
			`other 5 web1 test.ping []  succeeded 0/0 - 6s`,
			`salt 4 web1 test.ping [] root pending 0/0 - 4s`,
			`salt 3 web1 test.ping [] root failed 0/0 - 4s`,
			`salt 1 web1 state.apply ["nginx"] ann changed 1/2 150.5 2s`,
		}
		// At one time the job with the greater number is the newer one, as everywhere.
		same(b, "the history", got(gaea.HistoryFilter{Minion: "web1"}), whole)
		for want, f := range map[string]gaea.HistoryFilter{
			"1":       {Minion: "web1", Function: "state.*"},
			"3":       {Minion: "web1", Outcome: gaea.OutcomeFailed},
			"4":       {Minion: "web1", Outcome: gaea.OutcomePending},
			"5":       {Minion: "web1", Master: "other"},
			"5 4 3":   {Minion: "web1", Since: at(4)},
			"1 ":      {Minion: "web1", Until: at(4)},
			"":        {Minion: "nobody"},
			"4 2 1  ": {Minion: "web2"},
		} {
			jids := []string{}
			for _, line := range got(f) {
				jids = append(jids, strings.Fields(line)[1])
			}
			same(b, fmt.Sprintf("the history of %+v", f), jids, strings.Fields(want))
		}
		_, err := b.store.History(b.ctx(), gaea.HistoryFilter{}, gaea.PageRequest{})
		b.code(err, gaea.CodeInvalid)
		_, err = b.store.History(b.ctx(), gaea.HistoryFilter{Minion: "web1", Outcome: "splendid"}, gaea.PageRequest{})
		b.code(err, gaea.CodeInvalid)
	},
	"the history says how a Gaea run settled a minion that was silent": func(b *bench) {
		j := newJob(1, "web1")
		j.RunID = newRun(1).ID
		b.writeJobs(j)
		r := newRun(1)
		r.Minions = map[string]gaea.RunMinion{"web1": {Outcome: gaea.OutcomeUnreachable, JID: j.JID, Message: "no answer"}}
		b.create(r, "", "")
		page, err := b.store.History(b.ctx(), gaea.HistoryFilter{Minion: "web1", Outcome: gaea.OutcomeUnreachable}, gaea.PageRequest{})
		b.ok(err)
		same(b, "how many there are", len(page.Items), 1)
		same(b, "why", page.Items[0].Message, "no answer")
	},
	"jobs run until every minion that was expected has returned, in whatever order that is told": func(b *bench) {
		j := newJob(1, "web1", "web2", "web3")
		part := newJob(1, "web4")
		done := newJob(2, "web1")
		steps := []archive.Batch{
			{Jobs: []gaea.Job{j}, Returns: []gaea.Return{newReturn(1, "web1")}}, {Jobs: []gaea.Job{part, done}, Returns: []gaea.Return{newReturn(2, "web1")}},
			{Returns: []gaea.Return{newReturn(1, "web2"), newReturn(1, "web3")}},
			{Returns: []gaea.Return{newReturn(1, "web4")}},
		}
		for first := range steps {
			master := fmt.Sprintf("master%d", first)
			for k := range steps {
				for range 2 { // again changes nothing
					b.ok(b.store.WriteBatch(b.ctx(), master, steps[(first+k)%len(steps)]))
				}
				job, err := b.store.Job(b.ctx(), master, jid(1))
				b.ok(err)
				want := []string{}
				if job.Counts[gaea.OutcomePending] > 0 {
					want = append(want, jid(1))
				}
				same(b, fmt.Sprintf("what runs after step %d of order %d", k, first), b.jids(gaea.JobFilter{Running: true, Master: master}), want)
			}
		}
		_, err := b.store.Jobs(b.ctx(), gaea.JobFilter{Running: true}, gaea.PageRequest{Cursor: "x"})
		b.code(err, gaea.CodeInvalid)
	},
	"a job does not wait for a minion of which it is said that it did not return": func(b *bench) {
		b.writeJobs(newJob(1, "web1", "web2"))
		word := newReturn(1, "web2")
		word.Outcome = gaea.OutcomeNoReturn
		for _, part := range []gaea.Return{word, newReturn(1, "web1"), newReturn(1, "web2")} { // and then it does
			b.write(archive.Batch{Returns: []gaea.Return{part}})
			want := []string{}
			if job, err := b.store.Job(b.ctx(), salt, jid(1)); err != nil || job.Counts[gaea.OutcomePending] > 0 {
				b.ok(err)
				want = append(want, jid(1))
			}
			same(b, "what runs after "+string(part.Outcome)+" of "+part.Minion, b.jids(gaea.JobFilter{Running: true}), want)
		}
	},
	"a job does not run whose Gaea run has ended, and goes from what runs with retention": func(b *bench) {
		j, k := newJob(1, "web1"), newJob(2, "web1", "web2")
		j.RunID = newRun(1).ID
		b.write(archive.Batch{Jobs: []gaea.Job{j, k}, Returns: []gaea.Return{newReturn(2, "web2")}})
		same(b, "what runs", b.jids(gaea.JobFilter{Running: true}), []string{jid(2), jid(1)})
		r := newRun(1)
		r.Status, r.CheckState = gaea.RunSucceeded, ""
		b.create(r, "", "")
		same(b, "what runs then", b.jids(gaea.JobFilter{Running: true}), []string{jid(2)})
		same(b, "what runs of a minion", b.jids(gaea.JobFilter{Running: true, Minion: "web2", User: "root", Function: "test.*", Master: salt, Since: at(2)}), []string{jid(2)})
		same(b, "what runs before", b.jids(gaea.JobFilter{Running: true, Until: at(2)}), []string{})
		b.prune(at(1000), 100)
		same(b, "what runs at last", b.jids(gaea.JobFilter{Running: true}), []string{})
	},
	"what changed a file is found by its name and by the state's id, newest first": func(b *bench) {
		first := runOf(1, "web1", "motd", state{"/etc/motd", gaea.OutcomeChanged, 1}, state{"/etc/issue", gaea.OutcomeChanged, 1})
		second := runOf(2, "web2", "motd", state{"/etc/motd", gaea.OutcomeChanged, 1})
		calm := runOf(3, "web1", "motd", state{"/etc/motd", gaea.OutcomeInSync, 1})
		other := runOf(4, "web1", "base", state{"/etc/motd", gaea.OutcomeChanged, 1})
		failed := runOf(5, "web1", "motd", state{"/etc/motd", gaea.OutcomeFailed, 1})
		b.write(archive.Batch{Jobs: []gaea.Job{publishedAs(1, "ann", first, "web1"), publishedAs(2, "bob", second, "web2")}, Returns: []gaea.Return{first, second, calm, other, failed}})
		got := func(f gaea.StateFilter, limit int) []string {
			lines := []string{}
			for _, c := range all(b, limit, func(p gaea.PageRequest) (gaea.Page[gaea.StateChange], error) { return b.store.Changes(b.ctx(), f, p) }) {
				lines = append(lines, fmt.Sprintf("%s %s %s %s %s %s %s %v", c.JID[19:], c.Minion, c.Function, c.ID, c.Name, c.SLS, c.User, c.Stamp.Sub(noon)))
			}
			return lines
		}
		whole := []string{
			"4 web1 file.managed id of /etc/motd /etc/motd base  5s", "2 web2 file.managed id of /etc/motd /etc/motd motd bob 3s", "1 web1 file.managed id of /etc/motd /etc/motd motd ann 2s",
		}
		for _, limit := range []int{1, 2, 100} {
			same(b, "the changes by name", got(gaea.StateFilter{State: "/etc/motd"}, limit), whole)
			same(b, "the changes by id", got(gaea.StateFilter{State: "id of /etc/motd", Function: "file.managed"}, limit), whole)
			same(b, "those on a minion", got(gaea.StateFilter{State: "/etc/motd", Minion: "web1"}, limit), []string{whole[0], whole[2]})
			same(b, "those of an SLS file", got(gaea.StateFilter{State: "/etc/motd", SLS: "motd"}, limit), whole[1:])
			same(b, "those since", got(gaea.StateFilter{State: "/etc/motd", Since: at(3), Until: at(5)}, limit), whole[1:2])
			same(b, "how much an SLS file changed", len(got(gaea.StateFilter{SLS: "motd"}, limit)), 3)
			same(b, "how much changed on a minion", len(got(gaea.StateFilter{Minion: "web1", Master: salt}, limit)), 3)
		}
		same(b, "another master's", got(gaea.StateFilter{State: "/etc/motd", Master: "x"}, 9), []string{})
		same(b, "another function's", got(gaea.StateFilter{State: "/etc/motd", Function: "file.absent"}, 9), []string{})
		_, err := b.store.Changes(b.ctx(), gaea.StateFilter{}, gaea.PageRequest{})
		b.code(err, gaea.CodeInvalid)
		b.prune(at(3), 100)
		same(b, "what is left of the changes", got(gaea.StateFilter{State: "/etc/motd"}, 9), whole[:2])
	},
	"changes of many states come in one order": func(b *bench) {
		var want []string
		for n := range 70 {
			b.writeReturns(runOf(n, "web1", "many", state{fmt.Sprintf("/etc/%d", n), gaea.OutcomeChanged, 1}))
			want = append([]string{jid(n)}, want...)
		}
		var got []string
		for _, c := range all(b, 9, func(p gaea.PageRequest) (gaea.Page[gaea.StateChange], error) {
			return b.store.Changes(b.ctx(), gaea.StateFilter{SLS: "many"}, p)
		}) {
			got = append(got, c.JID)
		}
		same(b, "the changes", got, want)
	},
	"the minions on which an SLS file failed are told once, with the last failure": func(b *bench) {
		broken := newReturn(6, "web3")
		broken.Function, broken.Args, broken.Outcome, broken.Message = "state.apply", json.RawMessage(`["base,nginx", {"__kwarg__": true, "test": true}]`), gaea.OutcomeCouldNotRun, "Rendering SLS failed"
		stranger := broken
		stranger.Minion, stranger.Args = "web4", json.RawMessage(`["base"]`)
		twice := runOf(3, "web1", "nginx", state{"/a", gaea.OutcomeFailed, 1}, state{"/b", gaea.OutcomeFailed, 1}, state{"/c", gaea.OutcomeChanged, 1})
		b.writeReturns(
			runOf(1, "web1", "nginx", state{"/a", gaea.OutcomeFailed, 1}), runOf(2, "web2", "nginx", state{"/a", gaea.OutcomeInSync, 1}), twice,
			runOf(4, "web1", "nginx", state{"/a", gaea.OutcomeInSync, 1}), runOf(5, "web2", "users", state{"/u", gaea.OutcomeFailed, 1}), broken, stranger,
			runOf(7, "web5", "nginx", state{"/a", gaea.OutcomeFailed, 1}),
		)
		got := func(f gaea.StateFilter, limit int) []string {
			lines := []string{}
			for _, m := range all(b, limit, func(p gaea.PageRequest) (gaea.Page[gaea.FailedMinion], error) {
				return b.store.FailedMinions(b.ctx(), f, p)
			}) {
				lines = append(lines, fmt.Sprintf("%s %d %s %s %q %v", m.Minion, m.Runs, m.JID[19:], m.Outcome, m.States, m.Stamp.Sub(noon)))
			}
			slices.Sort(lines)
			return lines
		}
		whole := []string{
			`web1 2 3 failed ["file.managed id of /a" "file.managed id of /b"] 4s`, `web3 1 6 could_not_run [] 7s`, `web5 1 7 failed ["file.managed id of /a"] 8s`,
		}
		for _, limit := range []int{1, 2, 100} {
			same(b, "the minions", got(gaea.StateFilter{SLS: "nginx"}, limit), whole)
			same(b, "those since", got(gaea.StateFilter{SLS: "nginx", Since: at(7), Until: at(8)}, limit), whole[1:2])
			same(b, "those where one state failed", got(gaea.StateFilter{SLS: "nginx", State: "/b"}, limit), []string{`web1 1 3 failed ["file.managed id of /b"] 4s`})
			same(b, "one of them", got(gaea.StateFilter{SLS: "nginx", Minion: "web5", Master: salt}, limit), whole[2:])
		}
		same(b, "another master's", got(gaea.StateFilter{SLS: "nginx", Master: "x"}, 9), []string{})
		_, err := b.store.FailedMinions(b.ctx(), gaea.StateFilter{}, gaea.PageRequest{})
		b.code(err, gaea.CodeInvalid)
	},
	"an SLS file of many states that failed is found as well": func(b *bench) {
		for n := range 70 {
			b.writeReturns(runOf(n, fmt.Sprintf("web%02d", n), "many", state{fmt.Sprintf("/etc/%d", n), gaea.OutcomeFailed, 1}, state{"/etc/calm", gaea.OutcomeInSync, 1}))
		}
		list := all(b, 9, func(p gaea.PageRequest) (gaea.Page[gaea.FailedMinion], error) {
			return b.store.FailedMinions(b.ctx(), gaea.StateFilter{SLS: "many", Since: at(11)}, p)
		})
		same(b, "how many minions", len(list), 60)
		same(b, "its state", list[0].States, []string{"file.managed id of " + "/etc/" + strings.TrimLeft(list[0].Minion, "web0")})
		other := runOf(80, "web80", "many", state{"/etc/other", gaea.OutcomeFailed, 1})
		other.Body = json.RawMessage(strings.ReplaceAll(strings.ReplaceAll(string(other.Body), "file_|-", "cmd_|-"), "_|-managed", "_|-run"))
		saltclient.ReturnOutcome(&other)
		b.writeReturns(other)
		list = all(b, 9, func(p gaea.PageRequest) (gaea.Page[gaea.FailedMinion], error) {
			return b.store.FailedMinions(b.ctx(), gaea.StateFilter{SLS: "many", Function: "file.managed", Since: at(11)}, p)
		})
		same(b, "how many minions by function", len(list), 60)
	},
	"the latest results are listed by state where a state is named": func(b *bench) {
		b.writeReturns(
			runOf(1, "web1", "nginx", state{"/a", gaea.OutcomeChanged, 12.5}, state{"/b", gaea.OutcomeInSync, 1}), runOf(2, "web2", "nginx", state{"/a", gaea.OutcomeFailed, 1}),
			runOf(3, "web1", "nginx", state{"/a", gaea.OutcomeInSync, 7.5}), runOf(4, "web3", "users", state{"/a", gaea.OutcomeInSync, 1}),
		)
		got := func(f gaea.StateFilter, limit int) []string {
			lines := []string{}
			for _, s := range all(b, limit, func(p gaea.PageRequest) (gaea.Page[gaea.LatestState], error) { return b.store.States(b.ctx(), f, p) }) {
				lines = append(lines, fmt.Sprintf("%s %s %s %s %s %v", s.Minion, s.Function, s.Name, s.SLS, s.Outcome, *s.Duration))
			}
			slices.Sort(lines)
			return lines
		}
		a1, a2, a3, b1 := "web1 file.managed /a nginx in_sync 7.5", "web2 file.managed /a nginx failed 1", "web3 file.managed /a users in_sync 1", "web1 file.managed /b nginx in_sync 1"
		for _, limit := range []int{1, 2, 100} {
			for _, row := range []struct {
				f    gaea.StateFilter
				want []string
			}{
				{gaea.StateFilter{State: "/a"}, []string{a1, a2, a3}},
				{gaea.StateFilter{State: "id of /a", SLS: "nginx"}, []string{a1, a2}},
				{gaea.StateFilter{SLS: "nginx"}, []string{a1, b1, a2}},
				{gaea.StateFilter{SLS: "nginx", Outcome: gaea.OutcomeInSync}, []string{a1, b1}},
				{gaea.StateFilter{SLS: "nginx", Outcome: gaea.OutcomeFailed}, []string{a2}},
				{gaea.StateFilter{State: "/a", Minion: "web2"}, []string{a2}},
				{gaea.StateFilter{State: "/a", Since: at(4)}, []string{a1, a3}},
				{gaea.StateFilter{SLS: "nginx", Function: "file.absent"}, []string{}},
				{gaea.StateFilter{State: "/c"}, []string{}},
			} {
				same(b, fmt.Sprintf("the states of %+v", row.f), got(row.f, limit), row.want)
			}
		}
	},
	"the slowest states come first, each once, with where it took the longest": func(b *bench) {
		const day = 24 * 3600
		b.writeReturns(
			runOf(1, "web1", "nginx", state{"/a", gaea.OutcomeInSync, 100}, state{"/b", gaea.OutcomeChanged, 5000}, state{"/quick", gaea.OutcomeInSync, 99.9}),
			runOf(2, "web2", "nginx", state{"/a", gaea.OutcomeFailed, 300}),
			runOf(day, "web1", "nginx", state{"/a", gaea.OutcomeInSync, 9000}, state{"/b", gaea.OutcomeInSync, 200}),
			runOf(day+1, "web3", "users", state{"/u", gaea.OutcomeInSync, 5000}), runOf(2*day, "web3", "users", state{"/u", gaea.OutcomeInSync, 1e12}),
		)
		got := func(f gaea.SlowStateFilter, limit int) []string {
			lines := []string{}
			for _, s := range all(b, limit, func(p gaea.PageRequest) (gaea.Page[gaea.SlowState], error) {
				m, err := b.store.SlowStates(b.ctx(), f, p)
				return m.Page, err
			}) {
				lines = append(lines, fmt.Sprintf("%s %s %s %d %v %v %s %s", s.Function, s.Name, s.SLS, s.Runs, s.Mean, s.Slowest, s.Minion, s.JID[14:]))
			}
			return lines
		}
		a, bb, u := "file.managed /a nginx 3 3133.3333333333335 9000 web1 086400", "file.managed /b nginx 2 2600 5000 web1 000001", "file.managed /u users 2 1.2960025e+09 2.592e+09 web3 172800"
		for _, limit := range []int{1, 2, 100} {
			same(b, "the slowest", got(gaea.SlowStateFilter{}, limit), []string{u, a, bb})
			same(b, "those of an SLS file", got(gaea.SlowStateFilter{SLS: "nginx"}, limit), []string{a, bb})
			same(b, "those of a day", got(gaea.SlowStateFilter{Since: at(0), Until: at(12 * 3600)}, limit), []string{"file.managed /b nginx 1 5000 5000 web1 000001", "file.managed /a nginx 2 200 300 web2 000002"})
			same(b, "those of a master", got(gaea.SlowStateFilter{Master: salt, Until: at(day)}, limit)[:1], []string{a})
		}
		same(b, "another master's", got(gaea.SlowStateFilter{Master: "x"}, 9), []string{})
		m, err := b.store.SlowStates(b.ctx(), gaea.SlowStateFilter{}, gaea.PageRequest{})
		b.ok(err)
		same(b, "since when it is measured", m.Since, time.Time{})
		again := runOf(2, "web2", "nginx", state{"/a", gaea.OutcomeFailed, 300})
		b.writeReturns(again, again)
		same(b, "the slowest when a return comes again", got(gaea.SlowStateFilter{}, 9), []string{u, a, bb})
		b.prune(at(10*day), 3)
		same(b, "the slowest when all is gone", got(gaea.SlowStateFilter{}, 9), []string{})
	},
	"how long runs take is told by the day": func(b *bench) {
		const day = 24 * 3600
		for n := range 100 {
			b.writeReturns(runOf(n, "web1", "nginx", state{"/a", gaea.OutcomeInSync, float64(n + 1)}, state{"/b", gaea.OutcomeInSync, 9}))
		}
		test := runOf(200, "web1", "nginx", state{"/a", gaea.OutcomeInSync, 1})
		test.Test = true
		both := runOf(201, "web1", "nginx", state{"/a", gaea.OutcomeInSync, 1})
		both.Args = json.RawMessage(`[{"__kwarg__": true, "mods": ["nginx", "users"]}]`)
		high := runOf(day, "web1", "nginx", state{"/a", gaea.OutcomeInSync, 1000})
		high.Function, high.Args = "state.highstate", json.RawMessage(`[]`)
		apply := runOf(2*day, "web1", "nginx", state{"/a", gaea.OutcomeInSync, 3000})
		apply.Args = json.RawMessage(`["queue=True"]`)
		b.writeReturns(test, both, high, apply)
		got := func(f gaea.RunDurationFilter, limit int) []gaea.RunDurations {
			return all(b, limit, func(p gaea.PageRequest) (gaea.Page[gaea.RunDurations], error) {
				m, err := b.store.RunDurations(b.ctx(), f, p)
				return m.Page, err
			})
		}
		nginx := got(gaea.RunDurationFilter{Applied: "nginx"}, 9)
		same(b, "how many days", len(nginx), 1)
		d := nginx[0]
		if d.Day != "2026-03-01" || d.Runs != 100 || d.Mean != 59.5 || d.Slowest != 109 || d.Median < 59 || d.Median > 65 || d.P95 < 104 || d.P95 > 109 {
			b.Errorf("the runs of the day took %+v", d)
		}
		one := func(day string, ms float64) gaea.RunDurations {
			return gaea.RunDurations{Day: day, Runs: 1, Mean: ms, Median: ms, P95: ms, Slowest: ms}
		}
		for _, limit := range []int{1, 100} {
			same(b, "the highstates", got(gaea.RunDurationFilter{Applied: "highstate"}, limit), []gaea.RunDurations{one("2026-03-03", 3000), one("2026-03-02", 1000)})
		}
		same(b, "those of a day", got(gaea.RunDurationFilter{Applied: "highstate", Since: at(day), Until: at(day + 3600), Master: salt}, 9), []gaea.RunDurations{one("2026-03-02", 1000)})
		same(b, "test runs", got(gaea.RunDurationFilter{Applied: "nginx", Test: true}, 9), []gaea.RunDurations{one("2026-03-01", 1)})
		same(b, "runs of two files", got(gaea.RunDurationFilter{Applied: "nginx,users"}, 9), []gaea.RunDurations{one("2026-03-01", 1)})
		same(b, "runs of nothing", got(gaea.RunDurationFilter{Applied: "x"}, 9), []gaea.RunDurations{})
		_, err := b.store.RunDurations(b.ctx(), gaea.RunDurationFilter{}, gaea.PageRequest{})
		b.code(err, gaea.CodeInvalid)
		b.prune(at(10*day), 100)
		same(b, "the highstates when all is gone", got(gaea.RunDurationFilter{Applied: "highstate"}, 9), []gaea.RunDurations{})
	},
	"durations that no number holds break nothing": func(b *bench) {
		for n, took := range []float64{1e300, -1, 1e15, 0} {
			r := runOf(n, "web1", "nginx", state{"/a", gaea.OutcomeInSync, 1})
			for i := range r.States {
				r.States[i].Duration = took
			}
			b.writeReturns(r)
		}
		page, err := b.store.History(b.ctx(), gaea.HistoryFilter{Minion: "web1"}, gaea.PageRequest{})
		b.ok(err)
		same(b, "how many are there", len(page.Items), 4)
	},
	"pages of answers stay right while more arrives": func(b *bench) {
		write := func(n int) {
			b.writeReturns(runOf(n, fmt.Sprintf("web%d", n%3), "nginx", state{"/a", gaea.OutcomeChanged, float64(100 + n)}, state{fmt.Sprintf("/f%d", n), gaea.OutcomeFailed, float64(200 - n)}))
		}
		lists := map[string]func(gaea.PageRequest) (gaea.Page[string], error){
			"the history": listOf(func(p gaea.PageRequest) (gaea.Page[gaea.HistoryItem], error) {
				return b.store.History(b.ctx(), gaea.HistoryFilter{Minion: "web1"}, p)
			}, func(i gaea.HistoryItem) string { return i.JID }),
			"the changes": listOf(func(p gaea.PageRequest) (gaea.Page[gaea.StateChange], error) {
				return b.store.Changes(b.ctx(), gaea.StateFilter{State: "/a"}, p)
			}, func(c gaea.StateChange) string { return c.JID }),
			"the failed minions": listOf(func(p gaea.PageRequest) (gaea.Page[gaea.FailedMinion], error) {
				return b.store.FailedMinions(b.ctx(), gaea.StateFilter{SLS: "nginx", Until: at(50)}, p)
			}, func(m gaea.FailedMinion) string { return m.Minion }),
			"the slowest": listOf(func(p gaea.PageRequest) (gaea.Page[gaea.SlowState], error) {
				m, err := b.store.SlowStates(b.ctx(), gaea.SlowStateFilter{}, p)
				return m.Page, err
			}, func(s gaea.SlowState) string { return s.Key }),
		}
		for n := range 20 {
			write(n)
		}
		more := 60
		for name, list := range lists {
			before := all(b, 1000, list)
			got := all(b, 2, func(p gaea.PageRequest) (gaea.Page[string], error) {
				page, err := list(p)
				if name != "the slowest" { // what comes may be slower than what is to come
					write(more)
					more++
				}
				return page, err
			})
			same(b, name+" in pages while more arrived", got, before)
		}
	},
}
