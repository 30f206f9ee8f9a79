package sqlite

import (
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// newReturn is a return on its way into the tables.
type newReturn struct {
	*gaea.Return
	stamp, outcome int64
	head           tables.Head
	body           content.Body
	digest         content.Digest
	states         any // the list as JSON where it does not follow from the body, else nil
	outcomes       []int64
	unclean        int64 // states that are not in sync

	job          *tables.Job // what follows is known when it is written
	minion, call int64
	content      any  // number, or nil where there is no body
	replaced     bool // a word that was stored, and removed by the return itself
}

// prepareReturns makes of returns what can be made of them without the database.
func prepareReturns(list []gaea.Return) ([]newReturn, error) {
	returns := make([]newReturn, len(list))
	var splitter content.Splitter
	for i := range list {
		if err := returns[i].prepare(&list[i], &splitter); err != nil {
			return nil, err
		}
	}
	return returns, nil
}

func (n *newReturn) prepare(r *gaea.Return, splitter *content.Splitter) (err error) {
	n.Return, n.stamp = r, tables.Micros(r.Stamp)
	if n.outcome, err = tables.OutcomeCode(r.Outcome); err != nil {
		return err
	}
	if n.head, err = tables.HeadOfReturn(r); err != nil {
		return err
	}
	n.body = content.Body{Same: r.Body}
	if len(r.States) > 0 {
		n.body = splitter.Split(r.Body)
		if !splitter.Follows(r.States) {
			if n.states, err = tables.StateList(r); err != nil {
				return err
			}
		}
	}
	n.digest = n.body.Digest()
	n.outcomes = make([]int64, len(r.States))
	for i := range r.States {
		if n.outcomes[i], err = tables.OutcomeCode(r.States[i].Outcome); err != nil {
			return err
		}
		if r.States[i].Outcome != gaea.OutcomeInSync {
			n.unclean++
		}
	}
	return nil
}

// storeReturns stores returns, their states and what they are evidence of, table by table. One that is stored already stays as
// it is, unless it is only a word about a return (gaea.Outcome.Heard) and this is the return itself.
func (w *batchWriter) storeReturns(returns []newReturn) error {
	for i := range returns {
		if err := w.number(&returns[i]); err != nil {
			return err
		}
	}
	if err := w.storeContents(returns); err != nil {
		return err
	}
	stored, err := w.insertReturns(returns)
	if err != nil {
		return err
	}
	w.unused = w.unused || len(stored) < len(returns)
	for _, n := range stored {
		w.returns++
		w.size(len(n.Body), 1)
		w.calls[n.call]++
		if id, ok := n.content.(int64); ok {
			w.contents[id]++
		}
		w.came[n.job.ID]++
	}
	if err := w.stateResults(stored); err != nil {
		return err
	}
	return w.evidence(stored)
}

// number finds the numbers of what a return names, and stores what it tells of its job.
func (w *batchWriter) number(n *newReturn) (err error) {
	w.seen(n.Stamp)
	if n.minion, err = w.Minion(w.master, n.Minion); err != nil {
		return err
	}
	if err = w.note(n.JID, tables.Note{Stamp: n.stamp, Schedule: n.Schedule}); err != nil {
		return err
	}
	if n.job, err = w.job(n.JID, &n.head); err != nil {
		return err
	}
	n.call, err = w.callOf(&n.head.Call)
	return err
}

const (
	intoReturns = `INSERT INTO returns
		(job_id, minion_id, stamp, outcome, source, call_id, content_id, retcode, success, message, states, unclean, cuts, state_list, truncated, duration, packed_cuts, size)`
	returnsRow = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

var insertReturns = newInsertion(intoReturns, returnsRow, ``)

// insertReturns inserts rows and returns those that were not there. Of several at once none is stored where one is there
// already; then each is stored alone.
func (w *batchWriter) insertReturns(returns []newReturn) ([]*newReturn, error) {
	stored := make([]*newReturn, 0, len(returns))
	var args []any
	err := insertReturns.eachChunk(len(returns), func(text string, from, to int) (err error) {
		args = args[:0]
		for i := from; i < to; i++ {
			if args, err = returns[i].columns(args); err != nil {
				return err
			}
		}
		if err = w.Exec(text, args...); err == nil {
			for i := from; i < to; i++ {
				stored = append(stored, &returns[i])
			}
			return nil
		}
		if !taken(err) {
			return err
		}
		width := len(args) / (to - from)
		for i := from; i < to; i++ {
			inserted, err := w.insertReturn(&returns[i], args[(i-from)*width:(i-from+1)*width])
			if err != nil {
				return err
			}
			if !inserted {
				continue
			}
			for _, n := range stored {
				n.replaced = n.replaced || n.job == returns[i].job && n.minion == returns[i].minion
			}
			stored = append(stored, &returns[i])
		}
		return nil
	})
	return stored, err
}

// insertReturn inserts one row where there is none yet, or a word only.
func (w *batchWriter) insertReturn(n *newReturn, columns []any) (bool, error) {
	const text = intoReturns + ` VALUES ` + returnsRow + ` ON CONFLICT DO NOTHING`
	changed, err := w.Change(text, columns...)
	if err != nil || changed > 0 || !n.Outcome.Heard() {
		return changed > 0, err
	}
	if removed, err := w.removeUnheard(n); err != nil || !removed {
		return false, err
	}
	changed, err = w.Change(text, columns...)
	return changed > 0, err
}

// columns appends the values of the row.
func (n *newReturn) columns(all []any) ([]any, error) {
	var retcode, success, size any
	if n.Retcode != nil {
		retcode = int64(*n.Retcode)
	}
	if n.Success != nil {
		success = *n.Success
	}
	if len(n.Body) > 0 {
		size = int64(len(n.Body))
	}
	var cuts, packedCuts any
	if packed := content.Pack(n.body.Cuts); packed != nil {
		packedCuts = packed
	} else {
		cuts = tables.Text(n.body.Cuts)
	}
	truncated, err := tables.Truncated(n.Truncated)
	return append(all, n.job.ID, n.minion, n.stamp, n.outcome, n.head.Source, n.call, n.content, retcode, success, tables.Text(n.Message), int64(len(n.States)),
		n.unclean, cuts, n.states, tables.Text(truncated), tables.RunDuration(n.Return), packedCuts, size), err
}

// removeUnheard removes the stored row of a return where that is only a word about it.
func (w *batchWriter) removeUnheard(n *newReturn) (bool, error) {
	var outcome, callID, contentID, size int64
	err := w.Row(`SELECT outcome, call_id, ifnull(content_id, 0), ifnull(size, 0) FROM returns WHERE job_id = ? AND minion_id = ?`, n.job.ID, n.minion).
		Scan(&outcome, &callID, &contentID, &size)
	if err != nil || tables.OutcomeOf(outcome).Heard() {
		return false, err
	}
	w.returns--
	w.size(int(size), -1)
	w.calls[callID]--
	if contentID != 0 {
		w.contents[contentID]--
	}
	w.unused = true
	return true, w.Exec(`DELETE FROM returns WHERE job_id = ? AND minion_id = ?`, n.job.ID, n.minion)
}

const (
	intoStateResults = `INSERT INTO state_results (job_id, minion_id, place, state_id, outcome, stamp) VALUES (?, ?, ?, ?, ?, ?)`
	// Of two returns with one stamp the later job counts, so that the order of writing does not matter.
	laterState = `
		ON CONFLICT DO UPDATE SET stamp = excluded.stamp, job_id = excluded.job_id, outcome = excluded.outcome, test = excluded.test, duration = excluded.duration
		WHERE excluded.stamp > stamp OR (excluded.stamp = stamp AND
			(SELECT jid FROM jobs WHERE id = excluded.job_id) > (SELECT jid FROM jobs WHERE id = state_latest.job_id))`
)

var insertLatest = newInsertion(`INSERT INTO state_latest (minion_id, state_id, stamp, job_id, outcome, test, duration)`, `(?, ?, ?, ?, ?, ?, ?)`, laterState)

// stateResults stores the states that are not clean, and how each one stood last.
func (w *batchWriter) stateResults(stored []*newReturn) error {
	type result struct {
		*newReturn
		place int
		id    int64
	}
	var latest []result
	for _, n := range stored {
		if n.replaced {
			continue
		}
		first := len(latest)
		for i := range n.States {
			id, err := w.state(&n.States[i])
			if err != nil {
				return err
			}
			latest = append(latest, result{n, i, id})
			if n.States[i].Outcome != gaea.OutcomeInSync {
				if err := w.Exec(intoStateResults, n.job.ID, n.minion, int64(i), id, n.outcomes[i], n.stamp); err != nil {
					return err
				}
			}
		}
		w.durations.Add(n.Return, n.minion, func(i int) int64 { return latest[first+i].id })
	}
	return w.insertAll(&insertLatest, len(latest), func(all []any, i int) []any {
		r := &latest[i]
		return append(all, r.minion, r.id, r.stamp, r.job.ID, r.outcomes[r.place], r.Test, tables.DurationOf(&r.States[r.place]))
	})
}

var insertEvidence = newInsertion(`INSERT INTO evidence (state_key_id, minion_id, stamp, jid, job_id)`, `(?, ?, ?, ?, ?)`, `
	ON CONFLICT DO UPDATE SET stamp = excluded.stamp, jid = excluded.jid, job_id = excluded.job_id
	WHERE (excluded.stamp, excluded.jid) > (stamp, jid)`)

// evidence notes the newest return of a minion for its state key.
func (w *batchWriter) evidence(stored []*newReturn) error {
	var keys []int64
	var of []*newReturn
	for _, n := range stored {
		if n.StateKey == "" || !n.Outcome.Heard() || n.Busy() {
			continue
		}
		key, err := w.StateKey(w.master, n.StateKey)
		if err != nil {
			return err
		}
		keys, of = append(keys, key), append(of, n)
	}
	return w.insertAll(&insertEvidence, len(of), func(all []any, i int) []any {
		return append(all, keys[i], of[i].minion, of[i].stamp, of[i].JID, of[i].job.ID)
	})
}
