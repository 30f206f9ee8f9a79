package tables

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Note is what is known of a job beside its publication and its returns.
type Note struct {
	Stamp            int64
	Parent, Schedule string
	Batch            *gaea.JobBatch
}

// NoteOf is what a job brings beside itself.
func NoteOf(j *gaea.Job) Note {
	return Note{Stamp: Micros(j.Started), Parent: j.Parent, Schedule: j.Schedule, Batch: j.Batch}
}

// Empty says whether there is nothing to note.
func (n *Note) Empty() bool { return n.Parent == "" && n.Schedule == "" && n.Batch == nil }

// OnlyNote says whether a job is none, and brings a note only.
func OnlyNote(j *gaea.Job) bool { return !j.Known && j.Function == "" }

// MergeNotes is what two notes of a job say together. Of two parents the later job counts, so that the order of writing does
// not matter: that is the nearer one where an orchestration is a step of another.
func MergeNotes(a, b Note) Note {
	return Note{
		Stamp: max(a.Stamp, b.Stamp), Parent: max(a.Parent, b.Parent), Schedule: cmp.Or(a.Schedule, b.Schedule), Batch: a.Batch.Merge(b.Batch),
	}
}

// BatchJSON is how a note's batch stands in the table; nil for none.
func (n *Note) BatchJSON(jid string) (any, error) {
	if n.Batch == nil {
		return nil, nil //nolint:nilnil // no batch is a right answer
	}
	text, err := Marshal(n.Batch)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInvalid, "the batch of job %s is no JSON", jid)
	}
	return text, nil
}

// StoredColumns are what StoredInto reads of job_notes.
const StoredColumns = `stamp, parent, schedule, coalesce(batch, '')`

// StoredInto are the places for StoredColumns.
func (n *Note) StoredInto() []any {
	return []any{&n.Stamp, &n.Parent, &n.Schedule, (*batchText)(n)}
}

// batchText reads the batch of a note.
type batchText Note

// Scan implements [database/sql.Scanner].
func (b *batchText) Scan(v any) error {
	b.Batch = nil
	s, ok := v.(string)
	if !ok || s == "" {
		return nil
	}
	b.Batch = &gaea.JobBatch{}
	return json.Unmarshal([]byte(s), b.Batch)
}

// noteColumns are what a job's note is read by, with job_notes joined as n.
const noteColumns = `coalesce(n.parent, ''), coalesce(n.schedule, ''), coalesce(n.batch, '')`

// into are the places for noteColumns.
func (n *Note) into() []any { return []any{&n.Parent, &n.Schedule, (*batchText)(n)} }

// fill tells a job what is known of it.
func (n *Note) fill(j *gaea.Job) {
	j.Parent, j.Schedule, j.Batch = n.Parent, n.Schedule, n.Batch
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
func (j *storedJob) children(q Query) ([]gaea.Job, error) {
	named, args := q.Dialect().equal("n.parent", j.JID)
	var list []storedJob
	err := q.Each(`SELECT `+jobColumns+q.Dialect().fromJobs()+` WHERE ma.name = ? AND `+named+` AND n.parent <> '' ORDER BY j.started, j.id LIMIT ?`, func(row Scanner) error {
		child, err := scanJob(row)
		list = append(list, child)
		return err
	}, append(append([]any{j.Master}, args...), gaea.MaxChildren)...)
	if err == nil {
		err = fill(q, list)
	}
	var jobs []gaea.Job
	for i := range list {
		jobs = append(jobs, list[i].Job)
	}
	return jobs, err
}
