package postgres

import (
	"context"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// WriteBatch implements [archive.Store]. What the batch needs is made first, each kind by one statement; then its rows are
// copied. Nothing can be in the way of the copy: batches of one master wait for each other, and what is stored is left out.
func (s *Store) WriteBatch(ctx context.Context, master string, b archive.Batch) error {
	if err := tables.ValidateBatch(master, b); err != nil || b.Len() == 0 {
		return err
	}
	p, err := prepare(b)
	if err != nil {
		return err
	}
	return s.write(ctx, false, func(t *tx) error {
		if err := t.Exec(lockAlone, s.locks.batches(master)); err != nil {
			return err
		}
		w := &batchWriter{tx: t, batch: p, calls: map[int64]int64{}}
		var err error
		if w.master, err = t.Master(master); err != nil {
			return err
		}
		for _, step := range []func() error{
			w.jobs, w.names, w.minionSets, w.notes, w.news, w.states, w.contents, w.returnDays, w.returns, w.stateResults, w.latestStates, w.evidence, w.openJobs, w.durations, w.events,
			w.end,
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}, p.days(s)...)
}

// prepared is a batch with all that can be made of it without the database.
type prepared struct {
	jobs    []string // jids, in the order in which they came
	heads   map[string][]tables.Head
	lists   []minionList
	notes   map[string]tables.Note
	noted   []string // jids
	returns []newReturn
	events  []gaea.Event
	last    int64 // the newest time
}

// minionList are minions with a role in a job.
type minionList struct {
	jid     string
	role    int64
	minions []string
}

func prepare(b archive.Batch) (*prepared, error) {
	p := &prepared{heads: map[string][]tables.Head{}, notes: map[string]tables.Note{}, events: b.Events}
	for i := range b.Jobs {
		if err := p.publication(&b.Jobs[i]); err != nil {
			return nil, err
		}
	}
	if err := p.prepareReturns(b.Returns); err != nil {
		return nil, err
	}
	for i := range b.Events {
		p.seen(b.Events[i].Stamp)
	}
	return p, nil
}

func (p *prepared) seen(t time.Time) { p.last = max(p.last, tables.Micros(t)) }

func (p *prepared) publication(j *gaea.Job) error {
	h, err := tables.HeadOfJob(j)
	if err != nil {
		return err
	}
	p.seen(j.Started)
	p.note(j.JID, tables.NoteOf(j))
	if tables.OnlyNote(j) {
		return nil
	}
	p.head(j.JID, h)
	for _, l := range []minionList{{j.JID, tables.Expected, j.Minions}, {j.JID, tables.Unknown, j.Missing}, {j.JID, tables.Listed, j.Target.Minions}} {
		if len(l.minions) > 0 {
			p.lists = append(p.lists, l)
		}
	}
	return nil
}

func (p *prepared) head(jid string, h tables.Head) {
	if _, ok := p.heads[jid]; !ok {
		p.jobs = append(p.jobs, jid)
	}
	p.heads[jid] = append(p.heads[jid], h)
}

func (p *prepared) note(jid string, n tables.Note) {
	if n.Empty() {
		return
	}
	was, ok := p.notes[jid]
	if ok {
		n = tables.MergeNotes(was, n)
	} else {
		p.noted = append(p.noted, jid)
	}
	p.notes[jid] = n
}

// days are those that rows of the batch may fall on.
func (p *prepared) days(s *Store) []int64 {
	days := map[int64]bool{}
	for _, heads := range p.heads {
		for i := range heads {
			days[dayOf(heads[i].Started)] = true
		}
	}
	for i := range p.events {
		days[dayOf(tables.Micros(p.events[i].Stamp))] = true
	}
	return s.worthwhile(days)
}

// batchWriter writes one batch of one master, in one transaction.
type batchWriter struct {
	*tx
	batch  *prepared
	master int64

	stored      map[string]*tables.Job // of the batch's jobs
	fresh       map[string]bool        // jobs that this batch makes
	calls       map[int64]int64        // by how much the references to calls have changed
	asked       []int64                // jobs of which it became known whom they expect
	newContents int
	madeJobs    int64
	madeReturns int64
	madeEvents  int64
	madeRaw     int64 // bytes of bodies
	madeSized   int64
}

// end writes what was counted.
func (w *batchWriter) end() error {
	var ids, counts []int64
	for id, n := range w.calls {
		if n != 0 {
			ids, counts = append(ids, id), append(counts, n)
		}
	}
	if len(ids) > 0 {
		if err := w.Exec(`UPDATE calls SET refs = refs + d.n FROM unnest($1::bigint[], $2::bigint[]) d(id, n) WHERE calls.id = d.id`, ids, counts); err != nil {
			return err
		}
	}
	return w.Exec(`UPDATE masters SET last_stamp = greatest(last_stamp, $2), jobs = jobs + $3, returns = returns + $4, events = events + $5, contents = contents + $6,
		raw = raw + $7, sized = sized + $8 WHERE id = $1`, w.master, w.batch.last, w.madeJobs, w.madeReturns, w.madeEvents, w.newContents, w.madeRaw, w.madeSized)
}

// contentOf numbers a body's content; nil where there is none.
func (w *batchWriter) contentOf(r *newReturn) any {
	if len(r.Body) == 0 {
		return nil
	}
	c, _ := w.knows.contents.get(r.digest)
	return c.id
}
