package sqlite

import (
	"database/sql"
	"errors"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// publication stores a job that a master published, and the minions that it names.
func (w *batchWriter) publication(j *gaea.Job) error {
	h, err := tables.HeadOfJob(j)
	if err != nil {
		return err
	}
	w.seen(j.Started)
	if err := w.note(j.JID, tables.NoteOf(j)); err != nil || tables.OnlyNote(j) {
		return err
	}
	stored, err := w.job(j.JID, &h)
	if err == nil {
		err = w.jobMinions(stored.ID, tables.Expected, j.Minions)
	}
	if err == nil {
		err = w.jobMinions(stored.ID, tables.Unknown, j.Missing)
	}
	if err == nil {
		err = w.jobMinions(stored.ID, tables.Listed, j.Target.Minions)
	}
	return err
}

// job stores a job's head, or what it adds to the one that is stored.
func (w *batchWriter) job(jid string, h *tables.Head) (*tables.Job, error) {
	name := tables.JobName{Master: w.master, JID: jid}
	stored, ok := w.names.jobs.Get(name)
	if ok && !stored.Adds(h) {
		return stored, nil
	}
	if !ok {
		var err error
		if stored, ok, err = w.newJob(jid, h); err != nil {
			return nil, err
		}
		if ok {
			w.names.jobs.Put(name, stored)
			return stored, nil
		}
	}
	was, id, callID, err := w.loadHead(jid)
	if err != nil {
		return nil, err
	}
	if stored = tables.Remembered(id, &was); stored.Adds(h) {
		better := tables.Merge(was, *h)
		if err = w.replaceHead(id, callID, &better); err != nil {
			return nil, err
		}
		stored = tables.Remembered(id, &better)
	}
	w.names.jobs.Put(name, stored)
	return stored, nil
}

func (w *batchWriter) newJob(jid string, h *tables.Head) (*tables.Job, bool, error) {
	callID, err := w.call(&h.Call)
	if err != nil {
		return nil, false, err
	}
	id, inserted, err := w.insert(`INSERT INTO jobs (master_id, jid, known, source, started, head, call_id, function, run_id, target_type, target, user, origin)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		w.master, jid, h.Known, h.Source, h.Started, h.Minion, callID, h.Function, h.RunID, h.TargetType, h.Target, h.User, h.How)
	if err != nil {
		return nil, false, err
	}
	if !inserted {
		w.unused = true
		return nil, false, nil
	}
	w.calls[callID]++
	w.jobs++
	return tables.Remembered(id, h), true, nil
}

func (w *batchWriter) loadHead(jid string) (h tables.Head, id, callID int64, err error) {
	err = w.Row(`SELECT `+tables.HeadColumns+`
		FROM jobs j JOIN calls c ON c.id = j.call_id LEFT JOIN state_keys k ON k.id = c.state_key_id
		WHERE j.master_id = ? AND j.jid = ?`, w.master, jid).Scan(h.Into(&id, &callID)...)
	h.Empty = h.Function == ""
	return h, id, callID, err
}

func (w *batchWriter) replaceHead(id, oldCall int64, h *tables.Head) error {
	callID, err := w.call(&h.Call)
	if err != nil {
		return err
	}
	w.calls[oldCall]--
	w.calls[callID]++
	w.unused = true
	if err := w.Exec(`UPDATE open_jobs SET started = ? WHERE job_id = ?`, h.Started, id); err != nil {
		return err
	}
	return w.Exec(`UPDATE jobs SET known = ?, source = ?, started = ?, head = ?, call_id = ?, function = ?, run_id = ?, target_type = ?, target = ?, user = ?, origin = ?
		WHERE id = ?`,
		h.Known, h.Source, h.Started, h.Minion, callID, h.Function, h.RunID, h.TargetType, h.Target, h.User, h.How, id)
}

// note stores what is known of a job, or what it adds to what is stored.
func (w *batchWriter) note(jid string, n tables.Note) error {
	if n.Empty() {
		return nil
	}
	var stored tables.Note
	err := w.Row(`SELECT `+tables.StoredColumns+` FROM job_notes WHERE master_id = ? AND jid = ?`, w.master, jid).Scan(stored.StoredInto()...)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	merged := tables.MergeNotes(stored, n)
	batch, err := merged.BatchJSON(jid)
	if err != nil {
		return err
	}
	return w.Exec(`INSERT INTO job_notes (master_id, jid, stamp, parent, schedule, batch) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET stamp = excluded.stamp, parent = excluded.parent, schedule = excluded.schedule, batch = excluded.batch`,
		w.master, jid, merged.Stamp, merged.Parent, merged.Schedule, batch)
}
