package archivetest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

const aDay = 24 * 60 * 60 // seconds

// onDay is a job of newJob on web1 so many days before noon, and its return so many days after it.
func onDay(n, back, later int) (gaea.Job, gaea.Return) {
	j, r := newJob(n, "web1"), newReturn(n, "web1")
	j.Started = at(n - back*aDay)
	r.Stamp = j.Started.Add(time.Duration(later)*aDay*time.Second + time.Second)
	return j, r
}

// overDays are returns of web1 as they come over the days: most on the day of their job, one every few late, one before its job
// by a clock that was set back, and jobs of days that are far from all others.
func overDays() (b archive.Batch) {
	for n := range 60 {
		back, later := n*n%97, 0
		switch n % 8 {
		case 3:
			later = 1
		case 5:
			later = min(back, 40)
		case 6:
			later = -2
		}
		switch n {
		case 20, 21:
			back = 9000
		case 30:
			back, later = 9000, 9000
		}
		j, r := onDay(n, back, later)
		b.Jobs, b.Returns = append(b.Jobs, j), append(b.Returns, r)
		if n%9 == 0 { // one that does not come
			j, _ := onDay(1000+n, back, 0)
			b.Jobs = append(b.Jobs, j)
		}
	}
	return b
}

// historyOf is the history of web1 as it must be of jobs and their returns, newest first, by a line each.
func historyOf(b archive.Batch, since, until time.Time) []string {
	stamps := map[string]time.Time{}
	for i := range b.Jobs {
		stamps[b.Jobs[i].JID] = b.Jobs[i].Started
	}
	for i := range b.Returns {
		stamps[b.Returns[i].JID] = b.Returns[i].Stamp
	}
	lines := []string{}
	for jid, stamp := range stamps {
		if !stamp.Before(since) && (until.IsZero() || stamp.Before(until)) {
			lines = append(lines, historyLine(jid, stamp))
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return cmp.Compare(b, a) })
	return lines
}

func historyLine(jid string, stamp time.Time) string {
	return stamp.UTC().Format(time.RFC3339) + " " + jid
}

// history turns the pages of the history of web1, and calls meanwhile after each.
func (b *bench) history(f gaea.HistoryFilter, limit int, meanwhile func()) []string {
	b.Helper()
	f.Minion = "web1"
	lines := []string{}
	for _, i := range all(b, limit, func(p gaea.PageRequest) (gaea.Page[gaea.HistoryItem], error) {
		page, err := b.store.History(b.ctx(), f, p)
		meanwhile()
		return page, err
	}) {
		lines = append(lines, historyLine(i.JID, i.Stamp))
	}
	return lines
}

func nothing() {}

var dayTests = map[string]func(*bench){
	"what ran on a minion is in order over the days, whenever its jobs began": func(b *bench) {
		batch := overDays()
		b.write(batch)
		for _, limit := range []int{1, 3, 7, 1000} {
			for _, since := range []int{9100, 100, 30, 3, 0} {
				for _, until := range []int{50, 2, -1} {
					f := gaea.HistoryFilter{Since: at(-since * aDay), Until: at(-until * aDay)}
					same(b, fmt.Sprintf("the history from %d to %d days ago in pages of %d", since, until, limit), b.history(f, limit, nothing), historyOf(batch, f.Since, f.Until))
				}
			}
			same(b, fmt.Sprintf("the whole history in pages of %d", limit), b.history(gaea.HistoryFilter{}, limit, nothing), historyOf(batch, time.Time{}, time.Time{}))
		}
	},
	"what ran on a minion stays in order while more comes, of today and of days before": func(b *bench) {
		batch := overDays()
		for first := range 3 { // in no order of time
			var part archive.Batch
			for i := first; i < len(batch.Jobs); i += 3 {
				part.Jobs = append(part.Jobs, batch.Jobs[i])
			}
			for i := first; i < len(batch.Returns); i += 3 {
				part.Returns = append(part.Returns, batch.Returns[i])
			}
			b.write(part)
		}
		n := 2000
		got := b.history(gaea.HistoryFilter{}, 4, func() {
			for _, back := range []int{n % 7, 200 + n%7} { // with returns of now
				j, r := onDay(n, back, back)
				b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}})
				n++
			}
		})
		same(b, "the history while more came", got, historyOf(batch, time.Time{}, time.Time{}))
		n = 3000
		got = b.history(gaea.HistoryFilter{Until: at(-aDay)}, 4, func() {
			j, r := onDay(n, 150, 150) // of a day that has nothing yet, and now
			b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}})
			n++
		})
		same(b, "the history before yesterday", got, historyOf(batch, time.Time{}, at(-aDay)))
	},
	"what ran on a minion stays in order while what is old goes": func(b *bench) {
		batch := overDays()
		b.write(batch)
		held, late := onDay(4000, 60, 0)
		b.write(archive.Batch{Jobs: []gaea.Job{held}, Returns: []gaea.Return{late}})
		b.hold(gaea.HoldRequest{JID: held.JID, Master: salt})
		before := at(-40 * aDay)
		b.prune(before, 20)
		got := b.history(gaea.HistoryFilter{Since: before}, 3, nothing)
		same(b, "what is left", got, historyOf(batch, before, time.Time{}))
		whole := b.history(gaea.HistoryFilter{}, 3, nothing)
		same(b, "what is held", slices.Contains(whole, historyLine(held.JID, late.Stamp)), true)
		same(b, "what is left begins so", whole[:len(got)], got)
		// A day that has gone comes back with what comes late.
		j, r := onDay(5000, 60, 0)
		b.write(archive.Batch{Jobs: []gaea.Job{j}, Returns: []gaea.Return{r}})
		same(b, "what came late", slices.Contains(b.history(gaea.HistoryFilter{}, 3, nothing), historyLine(j.JID, r.Stamp)), true)
		same(b, "what came late, in its time", b.history(gaea.HistoryFilter{Since: j.Started, Until: r.Stamp.Add(time.Second)}, 3, nothing), []string{historyLine(j.JID, r.Stamp)})
	},
}
