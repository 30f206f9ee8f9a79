package tables

import (
	"cmp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Job is what a writer remembers of a stored job.
type Job struct {
	ID int64
	Origin
	hasMetadata, hasRun, hasStateKey, hasHow bool
}

// Origin is where a job's head (its function, arguments, target, user and time) comes from.
type Origin struct {
	Known   bool // from a publication, not from a return
	Empty   bool // names no function: a return that the bus did not carry
	Source  int64
	Started int64
	Minion  string // from whose return, where it is not known
}

// before says whether a head from o is kept rather than one from p.
func (o Origin) before(p Origin) bool {
	switch {
	case o.Known != p.Known:
		return o.Known
	case o.Empty != p.Empty:
		return p.Empty
	case o.Known:
		return cmp.Or(cmp.Compare(o.Source, p.Source), cmp.Compare(o.Started, p.Started)) < 0
	default:
		return cmp.Or(cmp.Compare(o.Started, p.Started), cmp.Compare(o.Minion, p.Minion)) < 0
	}
}

// Head is what is known of a job beside its minions.
type Head struct {
	Origin
	Call
	TargetType, Target, User string
	How                      int64 // the number of the gaea.Origin
}

// HeadOfJob is the head that a job tells, which a publication or what is beside it.
func HeadOfJob(j *gaea.Job) (Head, error) {
	source, err := SourceCode(j.Source)
	if err != nil {
		return Head{}, err
	}
	how, err := OriginCode(j.Origin)
	return Head{
		Origin: Origin{Known: j.Known, Empty: j.Function == "", Source: source, Started: Micros(j.Started)},
		Call:   CallOfJob(j), TargetType: string(j.Target.Type), Target: j.Target.Expr, User: j.User, How: how,
	}, err
}

// HeadOfReturn is the head that a return tells of its job.
func HeadOfReturn(r *gaea.Return) (Head, error) {
	source, err := SourceCode(r.Source)
	if err != nil {
		return Head{}, err
	}
	how, err := OriginCode(r.Origin)
	return Head{
		Origin: Origin{Empty: r.Function == "", Source: source, Started: Micros(r.Stamp), Minion: r.Minion}, Call: CallOfReturn(r), How: how,
	}, err
}

// Adds says whether a head has what the stored job has not.
func (j *Job) Adds(h *Head) bool {
	return h.before(j.Origin) || (!j.hasMetadata && len(h.Metadata) > 0) || (!j.hasRun && h.RunID != "") || (!j.hasStateKey && h.StateKey != "") ||
		(!j.hasHow && h.How != 0)
}

// Remembered is what a writer remembers of a job that was stored with a head.
func Remembered(id int64, h *Head) *Job {
	return &Job{ID: id, Origin: h.Origin, hasMetadata: len(h.Metadata) > 0, hasRun: h.RunID != "", hasStateKey: h.StateKey != "", hasHow: h.How != 0}
}

// Merge is the better of two heads of one job, with the metadata that only the other has: some masters tell the metadata of a
// job in returns only.
func Merge(a, b Head) Head {
	if b.before(a.Origin) {
		a, b = b, a
	}
	if len(a.Metadata) == 0 {
		a.Metadata = b.Metadata
	}
	a.RunID = cmp.Or(a.RunID, b.RunID)
	a.StateKey = cmp.Or(a.StateKey, b.StateKey)
	a.How = cmp.Or(a.How, b.How)
	return a
}

// HeadColumns are what HeadInto reads, with jobs as j, calls as c and state_keys as k.
const HeadColumns = `j.id, j.call_id, j.known, j.source, j.started, j.head, j.target_type, j.target, j."user", j.origin, ` + CallColumns

// Into are the places for HeadColumns.
func (h *Head) Into(id, callID *int64) []any {
	return append([]any{id, callID, &h.Known, &h.Source, &h.Started, &h.Minion, &h.TargetType, &h.Target, &h.User, &h.How}, h.Call.Into()...)
}
