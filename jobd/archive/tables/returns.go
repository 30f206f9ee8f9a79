package tables

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
)

// returnColumns are what storedReturn.scan reads, from returnTables. The body is joined apart: lists do without. They
// start from the returns, which would otherwise be sorted.
const (
	returnColumns = `r.job_id, r.minion_id, ma.name, j.jid, m.name, r.stamp, r.outcome, r.source, r.retcode, r.success, coalesce(r.message, ''), coalesce(r.truncated, ''), ` + CallColumns
	returnTables  = ` jobs j ON j.id = r.job_id JOIN minions m ON m.id = r.minion_id JOIN masters ma ON ma.id = j.master_id
		JOIN calls c ON c.id = r.call_id LEFT JOIN state_keys k ON k.id = c.state_key_id`
	bodyColumns = `, r.content_id IS NOT NULL, r.states, r.unclean, coalesce(r.cuts, ''), r.packed_cuts, coalesce(r.state_list, ''), coalesce(b.body, ''), b.packed, b.holes`
	bodyTable   = ` LEFT JOIN content_bodies b ON b.content_id = r.content_id`
)

func (d *Dialect) fromReturns() string { return ` FROM returns r ` + d.FirstJoin + returnTables }

// storedReturn is a return as the tables have it.
type storedReturn struct {
	gaea.Return
	jobID, minionID int64
	parts           storedBody
}

// storedBody is a return's body and states as the tables have them.
type storedBody struct {
	present         bool
	states, unclean int
	cuts, list      []byte
	same            []byte
	holes           []byte
	// In zstd, in the place of cuts and same.
	packedCuts, packed []byte
}

// size is how much of it is held, in bytes.
func (b *storedBody) size() int {
	return len(b.cuts) + len(b.list) + len(b.same) + len(b.holes) + len(b.packedCuts) + len(b.packed)
}

func (b *storedBody) into() []any {
	return []any{&b.present, &b.states, &b.unclean, &b.cuts, &b.packedCuts, &b.list, &b.same, &b.packed, &b.holes}
}

func (r *storedReturn) scan(row Scanner, bodies bool) error {
	var c Call
	var stamp, outcome, source int64
	var truncated RawText
	into := append([]any{
		&r.jobID, &r.minionID, &r.Master, &r.JID, &r.Minion, &stamp, &outcome, &source, &r.Retcode, &r.Success, &r.Message, &truncated,
	}, c.Into()...)
	if bodies {
		into = append(into, r.parts.into()...)
	}
	err := row.Scan(into...)
	if err == nil {
		r.Truncated, err = truncation(truncated)
	}
	r.Stamp, r.Outcome, r.Source = TimeOf(stamp), OutcomeOf(outcome), SourceOf(source)
	r.Function, r.Args, r.Metadata, r.RunID, r.StateKey, r.Test = c.Function, c.Args, c.Metadata, c.RunID, c.StateKey, c.Test
	return err
}

// rebuild puts body and states together from their parts. unclean are the outcomes of the states that are not clean, by place.
func (r *storedReturn) rebuild(unclean map[int]gaea.Outcome) error {
	body, states, err := r.parts.rebuild(unclean)
	if err != nil {
		return gaea.Wrap(err, gaea.CodeInternal, "the return of %s for job %s is damaged in the archive", r.Minion, r.JID)
	}
	r.Body, r.States = body, states
	return nil
}

func (b *storedBody) rebuild(unclean map[int]gaea.Outcome) (body json.RawMessage, states []gaea.StateResult, err error) {
	if b.present {
		body, err = b.join()
	}
	switch {
	case err != nil || b.states == 0:
		return body, nil, err
	case len(b.list) > 0:
		var list []keptState
		err = json.Unmarshal(b.list, &list)
		return body, restored(list), err
	}
	if states, err = content.States(body); err != nil {
		return body, nil, err
	}
	for i := range states {
		states[i].Outcome = gaea.OutcomeInSync
		if o, ok := unclean[i]; ok {
			states[i].Outcome = o
		}
	}
	return body, states, nil
}

// join puts the body together.
func (b *storedBody) join() (_ []byte, err error) {
	c := content.Body{Same: b.same, Holes: b.holes, Cuts: b.cuts}
	if len(b.packed) > 0 {
		if c.Same, err = content.Unpack(b.packed); err != nil {
			return nil, err
		}
	}
	if len(b.packedCuts) > 0 {
		if c.Cuts, err = content.Unpack(b.packedCuts); err != nil {
			return nil, err
		}
	}
	return content.Join(c)
}

// uncleanOf reads the outcomes of the states that are not clean: of the returns of a job from one minion to another, by their numbers.
func uncleanOf(q Query, jobID, first, last int64) (map[int64]map[int]gaea.Outcome, error) {
	all := map[int64]map[int]gaea.Outcome{}
	err := q.Each(`SELECT minion_id, place, outcome FROM state_results WHERE job_id = ? AND minion_id BETWEEN ? AND ?`, func(row Scanner) error {
		var minion, outcome int64
		var place int
		err := row.Scan(&minion, &place, &outcome)
		if all[minion] == nil {
			all[minion] = map[int]gaea.Outcome{}
		}
		all[minion][place] = OutcomeOf(outcome)
		return err
	}, jobID, first, last)
	return all, err
}

// Return implements [archive.Store].
func (s *Store) Return(ctx context.Context, master, jid, minion string) (*gaea.Return, error) {
	var r storedReturn
	err := s.db.Read(ctx, func(q Query) error {
		named, args := q.Dialect().equal("j.jid", jid)
		where := ` WHERE ` + named + ` AND m.name = ? AND j.master_id IN (SELECT id FROM masters)`
		args = append(args, minion)
		if master != "" {
			where, args = where+` AND ma.name = ?`, append(args, master)
		}
		// From the job, and not by time as lists are: that would look through every return.
		err := r.scan(q.Row(`SELECT `+returnColumns+bodyColumns+` FROM returns r JOIN`+returnTables+bodyTable+where+` ORDER BY r.stamp DESC LIMIT 1`, args...), true)
		if err != nil {
			return missing(err, "there is no return of %s for job %s in the archive", minion, jid)
		}
		return r.whole(q)
	})
	if err != nil {
		return nil, err
	}
	return &r.Return, nil
}

// whole reads what is left to read of one return, and rebuilds it.
func (r *storedReturn) whole(q Query) error {
	var unclean map[int64]map[int]gaea.Outcome
	if r.parts.unclean > 0 && len(r.parts.list) == 0 {
		var err error
		if unclean, err = uncleanOf(q, r.jobID, r.minionID, r.minionID); err != nil {
			return err
		}
	}
	return r.rebuild(unclean[r.minionID])
}

// A part of a job's returns, as the tables have them: so many, or the first ones that take so much together.
const (
	partReturns = 256
	partBytes   = 4 << 20
)

// errPart ends the reading of a part that has enough.
var errPart = errors.New("the part is full")

// EachReturn implements [gaea.ReturnStore].
func (s *Store) EachReturn(ctx context.Context, master, jid string, take func(*gaea.Return) error) error {
	for after := int64(-1); ; {
		part, unclean, err := s.returnsAfter(ctx, master, jid, after)
		if err != nil || len(part) == 0 {
			return err
		}
		after = part[len(part)-1].minionID
		for i := range part {
			r := part[i]
			part[i] = storedReturn{} // no more than one is held beside what is packed
			if err := r.rebuild(unclean[r.minionID]); err != nil {
				return err
			}
			if err := take(&r.Return); err != nil {
				return err
			}
		}
	}
}

// returnsAfter reads a part of a job's returns, not rebuilt: those of the minions after one, by their numbers.
func (s *Store) returnsAfter(ctx context.Context, master, jid string, after int64) (part []storedReturn, unclean map[int64]map[int]gaea.Outcome, err error) {
	err = s.db.Read(ctx, func(q Query) error {
		part = nil // it may be read again
		j, err := findJob(q, master, jid)
		if err != nil {
			if gaea.CodeOf(err) == gaea.CodeNotFound {
				err = nil
			}
			return err
		}
		size := 0
		err = q.Each(`SELECT `+returnColumns+bodyColumns+q.Dialect().fromReturns()+bodyTable+` WHERE r.job_id = ? AND r.minion_id > ? ORDER BY r.minion_id LIMIT ?`, func(row Scanner) error {
			if size >= partBytes {
				return errPart
			}
			var r storedReturn
			err := r.scan(row, true)
			part = append(part, r)
			size += r.parts.size()
			return err
		}, j.id, after, partReturns)
		if err != nil && !errors.Is(err, errPart) || len(part) == 0 {
			return err
		}
		unclean, err = uncleanOf(q, j.id, part[0].minionID, part[len(part)-1].minionID)
		return err
	})
	return part, unclean, err
}

// Returns implements [archive.Store].
func (s *Store) Returns(ctx context.Context, f gaea.JobFilter, p gaea.PageRequest, bodies bool) (gaea.Page[gaea.Return], error) {
	after, limit, err := archive.ParsePage(p, "returns", 3, 0)
	if err != nil {
		return gaea.Page[gaea.Return]{}, err
	}
	page := pager[gaea.Return]{list: "returns", limit: limit}
	err = s.db.Read(ctx, func(q Query) error {
		c, err := returnConditions(q, f)
		if err != nil {
			return err
		}
		c.after(after, "r.stamp", "r.job_id", "r.minion_id")
		var list []storedReturn
		err = q.Each(returnsQuery(&c, bodies), func(row Scanner) error {
			var r storedReturn
			err := r.scan(row, bodies)
			list = append(list, r)
			return err
		}, append(c.args, limit+1)...)
		for i := range list {
			r := &list[i]
			if err == nil && bodies && i < limit {
				err = r.whole(q)
			}
			page.add(r.Return, archive.Cursor{Numbers: []int64{Micros(r.Stamp), r.jobID, r.minionID}})
		}
		return err
	})
	return page.done(err)
}

func returnsQuery(c *conditions, bodies bool) string {
	columns, tables := returnColumns, c.dialect.fromReturns()
	if bodies {
		columns, tables = columns+bodyColumns, tables+bodyTable
	}
	return `SELECT ` + columns + tables + c.where() + ` ORDER BY r.stamp DESC, r.job_id DESC, r.minion_id DESC LIMIT ?`
}

// fewJobs is up to how many jobs a filter is answered from those jobs; the returns of more are looked through by time.
const fewJobs = 50

// returnConditions are those of a filter for returns.
func returnConditions(q Query, f gaea.JobFilter) (conditions, error) {
	c := conditions{dialect: q.Dialect()}
	c.ofMaster("j.master_id", f.Master)
	if f.Minion != "" {
		ids, err := minionIDs(q, f.Master, f.Minion)
		if err != nil {
			return c, err
		}
		c.oneOf("r.minion_id", ids)
	}
	if f.Outcome != "" {
		code, err := OutcomeCode(f.Outcome)
		if err != nil {
			return c, err
		}
		c.add("r.outcome = ?", code)
	}
	c.between("r.stamp", f.Since, f.Until)
	if f.Function == "" && f.User == "" && f.RunID == "" && f.Parent == "" && f.Target == "" {
		return c, nil
	}
	jobs := conditions{dialect: q.Dialect()}
	if err := jobs.published(q, f, ""); err != nil {
		return c, err
	}
	ids, err := idsOf(q, `SELECT j.id FROM jobs j`+jobs.where()+` LIMIT ?`, append(jobs.args, fewJobs+1)...)
	if err != nil {
		return c, err
	}
	if len(ids) <= fewJobs {
		c.oneOf("r.job_id", ids)
		return c, nil
	}
	return c, c.published(q, f, q.Dialect().Unindexed)
}

// HaveReturns implements [archive.Store].
func (s *Store) HaveReturns(ctx context.Context, master, jid string) (map[string]bool, error) {
	have := map[string]bool{}
	err := s.db.Read(ctx, func(q Query) error {
		named, args := q.Dialect().equal("j.jid", jid)
		return q.Each(`SELECT m.name, r.outcome FROM jobs j JOIN returns r ON r.job_id = j.id JOIN minions m ON m.id = r.minion_id
			WHERE j.master_id = (SELECT id FROM masters WHERE name = ?) AND `+named, func(row Scanner) error {
			var minion string
			var outcome int64
			err := row.Scan(&minion, &outcome)
			if OutcomeOf(outcome).Heard() {
				have[minion] = true
			}
			return err
		}, append([]any{master}, args...)...)
	})
	if err != nil {
		return nil, err
	}
	return have, nil
}
