package sqlite

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// note is what is known of a job beside its publication and its returns.
type note struct {
	stamp            int64
	parent, schedule string
	batch            *gaea.JobBatch
}

func noteOf(j *gaea.Job) note {
	return note{stamp: micros(j.Started), parent: j.Parent, schedule: j.Schedule, batch: j.Batch}
}

func (n *note) empty() bool { return n.parent == "" && n.schedule == "" && n.batch == nil }

// onlyNote says whether a job is none, and brings a note only.
func onlyNote(j *gaea.Job) bool { return !j.Known && j.Function == "" }

// note stores what is known of a job, or what it adds to what is stored. Of two parents the later job counts, so that the
// order of writing does not matter: that is the nearer one where an orchestration is a step of another.
func (w *batchWriter) note(jid string, n note) error {
	if n.empty() {
		return nil
	}
	var stored note
	err := w.row(`SELECT stamp, parent, schedule, ifnull(batch, '') FROM job_notes WHERE master_id = ? AND jid = ?`, w.master, jid).
		Scan(&stored.stamp, &stored.parent, &stored.schedule, (*batchText)(&stored))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	merged := note{
		stamp: max(stored.stamp, n.stamp), parent: max(stored.parent, n.parent), schedule: cmp.Or(stored.schedule, n.schedule),
		batch: stored.batch.Merge(n.batch),
	}
	var batch any
	if merged.batch != nil {
		if batch, err = marshal(merged.batch); err != nil {
			return gaea.Wrap(err, gaea.CodeInvalid, "the batch of job %s is no JSON", jid)
		}
	}
	return w.exec(`INSERT INTO job_notes (master_id, jid, stamp, parent, schedule, batch) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET stamp = excluded.stamp, parent = excluded.parent, schedule = excluded.schedule, batch = excluded.batch`,
		w.master, jid, merged.stamp, merged.parent, merged.schedule, batch)
}

// batchText reads the batch of a note.
type batchText note

// Scan implements [database/sql.Scanner].
func (b *batchText) Scan(v any) error {
	b.batch = nil
	s, ok := v.(string)
	if !ok || s == "" {
		return nil
	}
	b.batch = &gaea.JobBatch{}
	return json.Unmarshal([]byte(s), b.batch)
}

// noteColumns are what a job's note is read by, with job_notes joined as n.
const (
	noteColumns = `ifnull(n.parent, ''), ifnull(n.schedule, ''), ifnull(n.batch, '')`
	noteTable   = ` LEFT JOIN job_notes n ON n.master_id = j.master_id AND n.jid = j.jid`
)

// into are the places for noteColumns.
func (n *note) into() []any { return []any{&n.parent, &n.schedule, (*batchText)(n)} }

// fill tells a job what is known of it.
func (n *note) fill(j *gaea.Job) {
	j.Parent, j.Schedule, j.Batch = n.parent, n.schedule, n.batch
	if j.Batch != nil {
		j.Origin = gaea.OriginBatch
	}
}

// untold are the minions that a job's batch has not told, and how they stand. Who was told meanwhile is not among them.
func (j *storedJob) untold() ([]string, gaea.Outcome) {
	if j.Batch == nil {
		return nil, ""
	}
	left := slices.DeleteFunc(slices.Clone(j.Batch.Untold), func(m string) bool {
		_, told := slices.BinarySearch(j.Minions, m)
		return told
	})
	if j.Batch.Status.Ended() {
		return left, gaea.OutcomeSkipped
	}
	return left, gaea.OutcomePending
}

// children reads the jobs that belong to a job, oldest first.
func (j *storedJob) children(q query) ([]gaea.Job, error) {
	var list []storedJob
	err := q.each(`SELECT `+jobColumns+jobTables+` WHERE ma.name = ? AND n.parent = ? AND n.parent <> '' ORDER BY j.started, j.id LIMIT ?`, func(row scanner) error {
		child, err := scanJob(row)
		list = append(list, child)
		return err
	}, j.Master, j.JID, gaea.MaxChildren)
	var jobs []gaea.Job
	sets := map[int64][]string{}
	for i := range list {
		if err == nil {
			err = list[i].fill(q, sets)
		}
		jobs = append(jobs, list[i].Job)
	}
	return jobs, err
}
