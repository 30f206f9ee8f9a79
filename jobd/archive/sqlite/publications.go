package sqlite

import (
	"cmp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// job is what the writer remembers of a stored job.
type job struct {
	id int64
	origin
	hasMetadata, hasRun, hasStateKey, hasHow bool
}

// origin is where a job's head (its function, arguments, target, user and time) comes from.
type origin struct {
	known   bool // from a publication, not from a return
	empty   bool // names no function: a return that the bus did not carry
	source  int64
	started int64
	minion  string // from whose return, where it is not known
}

// before says whether a head from o is kept rather than one from p.
func (o origin) before(p origin) bool {
	switch {
	case o.known != p.known:
		return o.known
	case o.empty != p.empty:
		return p.empty
	case o.known:
		return cmp.Or(cmp.Compare(o.source, p.source), cmp.Compare(o.started, p.started)) < 0
	default:
		return cmp.Or(cmp.Compare(o.started, p.started), cmp.Compare(o.minion, p.minion)) < 0
	}
}

// head is what is known of a job beside its minions.
type head struct {
	origin
	call
	targetType, target, user string
	how                      int64 // the number of the gaea.Origin
}

// adds says whether a head has what the stored job has not.
func (j *job) adds(h *head) bool {
	return h.before(j.origin) || (!j.hasMetadata && len(h.metadata) > 0) || (!j.hasRun && h.runID != "") || (!j.hasStateKey && h.stateKey != "") ||
		(!j.hasHow && h.how != 0)
}

func remembered(id int64, h *head) *job {
	return &job{id: id, origin: h.origin, hasMetadata: len(h.metadata) > 0, hasRun: h.runID != "", hasStateKey: h.stateKey != "", hasHow: h.how != 0}
}

// merge is the better of two heads of one job, with the metadata that only the other has: some masters tell the metadata of a
// job in returns only.
func merge(a, b head) head {
	if b.before(a.origin) {
		a, b = b, a
	}
	if len(a.metadata) == 0 {
		a.metadata = b.metadata
	}
	a.runID = cmp.Or(a.runID, b.runID)
	a.stateKey = cmp.Or(a.stateKey, b.stateKey)
	a.how = cmp.Or(a.how, b.how)
	return a
}

// publication stores a job that a master published, and the minions that it names.
func (w *batchWriter) publication(j *gaea.Job) error {
	source, err := sourceCode(j.Source)
	if err != nil {
		return err
	}
	how, err := originCode(j.Origin)
	if err != nil {
		return err
	}
	w.seen(j.Started)
	if err := w.note(j.JID, noteOf(j)); err != nil || onlyNote(j) {
		return err
	}
	h := head{
		origin: origin{known: j.Known, empty: j.Function == "", source: source, started: micros(j.Started)},
		call:   callOfJob(j), targetType: string(j.Target.Type), target: j.Target.Expr, user: j.User, how: how,
	}
	stored, err := w.job(j.JID, &h)
	if err == nil {
		err = w.jobMinions(stored.id, expected, j.Minions)
	}
	if err == nil {
		err = w.jobMinions(stored.id, unknown, j.Missing)
	}
	if err == nil {
		err = w.jobMinions(stored.id, listed, j.Target.Minions)
	}
	return err
}

// job stores a job's head, or what it adds to the one that is stored.
func (w *batchWriter) job(jid string, h *head) (*job, error) {
	name := jobName{w.master, jid}
	stored, ok := w.names.jobs.get(name)
	if ok && !stored.adds(h) {
		return stored, nil
	}
	if !ok {
		var err error
		if stored, ok, err = w.newJob(jid, h); err != nil {
			return nil, err
		}
		if ok {
			w.names.jobs.put(name, stored)
			return stored, nil
		}
	}
	was, id, callID, err := w.loadHead(jid)
	if err != nil {
		return nil, err
	}
	if stored = remembered(id, &was); stored.adds(h) {
		better := merge(was, *h)
		if err = w.replaceHead(id, callID, &better); err != nil {
			return nil, err
		}
		stored = remembered(id, &better)
	}
	w.names.jobs.put(name, stored)
	return stored, nil
}

func (w *batchWriter) newJob(jid string, h *head) (*job, bool, error) {
	callID, err := w.call(&h.call)
	if err != nil {
		return nil, false, err
	}
	id, inserted, err := w.insert(`INSERT INTO jobs (master_id, jid, known, source, started, head, call_id, function, run_id, target_type, target, user, origin)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		w.master, jid, truth(h.known), h.source, h.started, h.minion, callID, h.function, h.runID, h.targetType, h.target, h.user, h.how)
	if err != nil {
		return nil, false, err
	}
	if !inserted {
		w.unused = true
		return nil, false, nil
	}
	w.calls[callID]++
	w.jobs++
	return remembered(id, h), true, nil
}

func (w *batchWriter) loadHead(jid string) (h head, id, callID int64, err error) {
	into := append([]any{&id, &callID, &h.known, &h.source, &h.started, &h.minion, &h.targetType, &h.target, &h.user, &h.how}, h.into()...)
	err = w.row(`SELECT j.id, j.call_id, j.known, j.source, j.started, j.head, j.target_type, j.target, j.user, j.origin, `+callColumns+`
		FROM jobs j JOIN calls c ON c.id = j.call_id LEFT JOIN state_keys k ON k.id = c.state_key_id
		WHERE j.master_id = ? AND j.jid = ?`, w.master, jid).Scan(into...)
	h.empty = h.function == ""
	return h, id, callID, err
}

func (w *batchWriter) replaceHead(id, oldCall int64, h *head) error {
	callID, err := w.call(&h.call)
	if err != nil {
		return err
	}
	w.calls[oldCall]--
	w.calls[callID]++
	w.unused = true
	return w.exec(`UPDATE jobs SET known = ?, source = ?, started = ?, head = ?, call_id = ?, function = ?, run_id = ?, target_type = ?, target = ?, user = ?, origin = ?
		WHERE id = ?`,
		truth(h.known), h.source, h.started, h.minion, callID, h.function, h.runID, h.targetType, h.target, h.user, h.how, id)
}
