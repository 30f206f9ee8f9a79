package sqlite

import (
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// newReturn is a return on its way into the tables.
type newReturn struct {
	*gaea.Return
	stamp, outcome, source int64
	job                    *tables.Job
	minion, call           int64
	content                any // number, or nil where there is no body
	cuts                   []byte
	states                 any // the list as JSON where it does not follow from the body, else nil
}

// ret stores a return, its states and what it is evidence of. One that is stored already stays as it is, unless it is only a
// word about a return (gaea.Outcome.Heard) and this is the return itself.
func (w *batchWriter) ret(r *gaea.Return) error {
	w.seen(r.Stamp)
	n, err := w.prepare(r)
	if err != nil {
		return err
	}
	inserted, err := w.insertReturn(n)
	if err == nil && !inserted && r.Outcome.Heard() {
		if inserted, err = w.removeUnheard(n); err == nil && inserted {
			inserted, err = w.insertReturn(n)
		}
	}
	if err != nil {
		return err
	}
	if !inserted {
		w.unused = true
		return nil
	}
	w.returns++
	w.size(len(n.Body), 1)
	w.calls[n.call]++
	if id, ok := n.content.(int64); ok {
		w.contents[id]++
	}
	w.came[n.job.ID]++
	if err := w.stateResults(n); err != nil {
		return err
	}
	return w.evidence(n)
}

func (w *batchWriter) prepare(r *gaea.Return) (*newReturn, error) {
	n := &newReturn{Return: r, stamp: tables.Micros(r.Stamp)}
	var err error
	if n.outcome, err = tables.OutcomeCode(r.Outcome); err != nil {
		return nil, err
	}
	h, err := tables.HeadOfReturn(r)
	if err != nil {
		return nil, err
	}
	n.source = h.Source
	if n.minion, err = w.Minion(w.master, r.Minion); err != nil {
		return nil, err
	}
	if err := w.note(r.JID, tables.Note{Stamp: n.stamp, Schedule: r.Schedule}); err != nil {
		return nil, err
	}
	if n.job, err = w.job(r.JID, &h); err != nil {
		return nil, err
	}
	if n.call, err = w.call(&h.Call); err != nil {
		return nil, err
	}
	return n, w.body(n)
}

// body stores the body, and finds out whether the states follow from it.
func (w *batchWriter) body(n *newReturn) error {
	b := content.Body{Same: n.Body}
	follows := false
	if len(n.States) > 0 {
		b = w.splitter.Split(n.Body)
		follows = w.splitter.Follows(n.States)
	}
	n.cuts = b.Cuts
	if len(n.Body) > 0 {
		id, err := w.content(b)
		if err != nil {
			return err
		}
		n.content = id
	}
	if len(n.States) > 0 && !follows {
		list, err := tables.StateList(n.Return)
		if err != nil {
			return err
		}
		n.states = list
	}
	return nil
}

func (w *batchWriter) insertReturn(n *newReturn) (bool, error) {
	var retcode, success any
	if n.Retcode != nil {
		retcode = int64(*n.Retcode)
	}
	if n.Success != nil {
		success = *n.Success
	}
	var size any
	if len(n.Body) > 0 {
		size = int64(len(n.Body))
	}
	cuts, packedCuts := packedOr(n.cuts)
	truncated, err := tables.Truncated(n.Truncated)
	if err != nil {
		return false, err
	}
	changed, err := w.Change(`INSERT INTO returns
		(job_id, minion_id, stamp, outcome, source, call_id, content_id, retcode, success, message, states, unclean, cuts, state_list, truncated, duration, packed_cuts, size)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		n.job.ID, n.minion, n.stamp, n.outcome, n.source, n.call, n.content, retcode, success, tables.Text(n.Message), int64(len(n.States)),
		n.unclean(), tables.Text(cuts), n.states, tables.Text(truncated), tables.RunDuration(n.Return), packedCuts, size)
	return changed > 0, err
}

// unclean counts the states that are not in sync.
func (n *newReturn) unclean() (count int64) {
	for i := range n.States {
		if n.States[i].Outcome != gaea.OutcomeInSync {
			count++
		}
	}
	return count
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

// stateResults stores the states that are not clean, and how each one stood last.
func (w *batchWriter) stateResults(n *newReturn) error {
	ids := make([]int64, len(n.States))
	for i := range n.States {
		s := &n.States[i]
		outcome, err := tables.OutcomeCode(s.Outcome)
		if err != nil {
			return err
		}
		id, err := w.state(s)
		if err != nil {
			return err
		}
		ids[i] = id
		if s.Outcome != gaea.OutcomeInSync {
			err = w.Exec(`INSERT INTO state_results (job_id, minion_id, place, state_id, outcome, stamp) VALUES (?, ?, ?, ?, ?, ?)`,
				n.job.ID, n.minion, int64(i), id, outcome, n.stamp)
			if err != nil {
				return err
			}
		}
		// Of two returns with one stamp the later job counts, so that the order of writing does not matter.
		err = w.Exec(`INSERT INTO state_latest (minion_id, state_id, stamp, job_id, outcome, test, duration) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET stamp = excluded.stamp, job_id = excluded.job_id, outcome = excluded.outcome, test = excluded.test, duration = excluded.duration
			WHERE excluded.stamp > stamp OR (excluded.stamp = stamp AND
				(SELECT jid FROM jobs WHERE id = excluded.job_id) > (SELECT jid FROM jobs WHERE id = state_latest.job_id))`,
			n.minion, id, n.stamp, n.job.ID, outcome, n.Test, tables.DurationOf(s))
		if err != nil {
			return err
		}
	}
	w.durations.Add(n.Return, n.minion, func(i int) int64 { return ids[i] })
	return nil
}

// evidence notes the newest return of a minion for its state key.
func (w *batchWriter) evidence(n *newReturn) error {
	if n.StateKey == "" || !n.Outcome.Heard() || n.Busy() {
		return nil
	}
	key, err := w.StateKey(w.master, n.StateKey)
	if err != nil {
		return err
	}
	return w.Exec(`INSERT INTO evidence (state_key_id, minion_id, stamp, jid, job_id) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET stamp = excluded.stamp, jid = excluded.jid, job_id = excluded.job_id
		WHERE (excluded.stamp, excluded.jid) > (stamp, jid)`,
		key, n.minion, n.stamp, n.JID, n.job.ID)
}
