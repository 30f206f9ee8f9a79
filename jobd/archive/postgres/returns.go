package postgres

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// newReturn is a return on its way into the tables.
type newReturn struct {
	*gaea.Return
	stamp, outcome, source int64
	call                   tables.Call
	digest                 content.Digest
	body                   content.Body
	cuts, packedCuts       []byte // of the body: one of them is nil
	stateList              []byte // as JSON where it does not follow from the body
	outcomes               []int64
	unclean                int

	job, minion int64 // numbers, when it is written
	day         int64
}

// place is where a return stands in a batch.
type place struct{ jid, minion string }

// prepareReturns makes the returns of a batch, each once: the first one, unless that is only a word about a return
// (gaea.Outcome.Heard) and a later one is the return itself.
func (p *prepared) prepareReturns(list []gaea.Return) error {
	p.returns = make([]newReturn, 0, len(list))
	places := make(map[place]int, len(list))
	var splitter content.Splitter
	for i := range list {
		r := &list[i]
		p.seen(r.Stamp)
		n := newReturn{Return: r, stamp: tables.Micros(r.Stamp), call: tables.CallOfReturn(r)}
		var err error
		if n.outcome, err = tables.OutcomeCode(r.Outcome); err != nil {
			return err
		}
		h, err := tables.HeadOfReturn(r)
		if err != nil {
			return err
		}
		n.source = h.Source
		p.note(r.JID, tables.Note{Stamp: n.stamp, Schedule: r.Schedule})
		p.head(r.JID, h)
		at, again := places[place{r.JID, r.Minion}]
		if again && (p.returns[at].Outcome.Heard() || !r.Outcome.Heard()) {
			continue
		}
		if err := n.take(&splitter); err != nil {
			return err
		}
		if again {
			p.returns[at] = n
			continue
		}
		places[place{r.JID, r.Minion}] = len(p.returns)
		p.returns = append(p.returns, n)
	}
	return nil
}

// take takes the body apart, and finds out whether the states follow from it.
func (n *newReturn) take(splitter *content.Splitter) error {
	n.body = content.Body{Same: n.Body}
	follows := false
	if len(n.States) > 0 {
		n.body = splitter.Split(n.Body)
		follows = splitter.Follows(n.States)
	}
	n.digest = n.body.Digest()
	if n.packedCuts = content.Pack(n.body.Cuts); n.packedCuts == nil {
		n.cuts = n.body.Cuts
	}
	if len(n.States) > 0 && !follows {
		list, err := tables.StateList(n.Return)
		if err != nil {
			return err
		}
		n.stateList = []byte(list)
	}
	n.outcomes = make([]int64, len(n.States))
	for i := range n.States {
		var err error
		if n.outcomes[i], err = tables.OutcomeCode(n.States[i].Outcome); err != nil {
			return err
		}
		if n.States[i].Outcome != gaea.OutcomeInSync {
			n.unclean++
		}
	}
	return nil
}

// news leaves of the batch's returns those that are to be stored: not those that are stored already, but those that a word
// stands for, which goes.
func (w *batchWriter) news() error {
	var jobs, minions []int64
	for i := range w.batch.returns {
		r := &w.batch.returns[i]
		r.job, r.minion = w.stored[r.JID].ID, w.minion(r.Minion)
		r.day = dayIn(r.job)
		if !w.fresh[r.JID] {
			jobs, minions = append(jobs, r.job), append(minions, r.minion)
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	type number struct{ job, minion int64 }
	heard := map[number]bool{}
	err := w.Each(`SELECT r.job_id, r.minion_id, r.outcome FROM unnest($1::bigint[], $2::bigint[]) g(job_id, minion_id)
		JOIN returns r ON r.job_id = g.job_id AND r.minion_id = g.minion_id WHERE r.job_id = ANY($3)`, func(row tables.Scanner) error {
		var n number
		var outcome int64
		err := row.Scan(&n.job, &n.minion, &outcome)
		heard[n] = tables.OutcomeOf(outcome).Heard()
		return err
	}, jobs, minions, slices.Compact(slices.Sorted(slices.Values(jobs))))
	if err != nil || len(heard) == 0 {
		return err
	}
	var words []number
	kept := make([]newReturn, 0, len(w.batch.returns))
	for _, r := range w.batch.returns {
		n := number{r.job, r.minion}
		was, stored := heard[n]
		if stored && (was || !r.Outcome.Heard()) {
			continue
		}
		if stored {
			words = append(words, n)
		}
		kept = append(kept, r)
	}
	batch := *w.batch // the transaction may be begun again with what was prepared
	batch.returns = kept
	w.batch = &batch
	for _, n := range words {
		if err := w.removeWord(n.job, n.minion); err != nil {
			return err
		}
	}
	return nil
}

// removeWord removes the stored row of a return that is only a word about it, with what only that needed.
func (w *batchWriter) removeWord(job, minion int64) error {
	if !w.alone {
		return errAlone
	}
	var call, contentID, size int64
	err := w.Row(`DELETE FROM returns WHERE job_id = $1 AND minion_id = $2 RETURNING call_id, coalesce(content_id, 0), coalesce(size, 0)`, job, minion).
		Scan(&call, &contentID, &size)
	if err != nil {
		return err
	}
	w.madeReturns--
	if size > 0 {
		w.madeRaw -= size
		w.madeSized--
	}
	w.calls[call]--
	if err := w.Exec(`DELETE FROM state_results WHERE job_id = $1 AND minion_id = $2`, job, minion); err != nil || contentID == 0 {
		return err
	}
	return w.dropContents([]int64{contentID})
}

// states numbers the states of the batch's returns.
func (w *batchWriter) states() error {
	var digests []digest
	var keys, sls, functions, ids, names []string
	asked := map[tables.StateName]digest{}
	for i := range w.batch.returns {
		for k := range w.batch.returns[i].States {
			s := &w.batch.returns[i].States[k]
			n := tables.StateName{Key: s.Key, SLS: s.SLS}
			if _, ok := asked[n]; ok {
				continue
			}
			if _, ok := w.knows.states.get(n); ok {
				continue
			}
			d := digestOf(0, s.Key, s.SLS)
			asked[n] = d
			digests, keys, sls = append(digests, d), append(keys, written(s.Key)), append(sls, written(s.SLS))
			functions, ids, names = append(functions, written(tables.FunctionOf(s))), append(ids, written(s.ID)), append(names, written(s.Name))
		}
	}
	numbers, _, err := w.tx.number("states", `INSERT INTO states (digest, state, sls, function, declared, name)
		SELECT d, k, s, f, i, n FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) g(d, k, s, f, i, n) ORDER BY d
		ON CONFLICT DO NOTHING RETURNING id, digest`, digests, keys, sls, functions, ids, names)
	for n, d := range asked {
		w.knows.states.learn(n, numbers[d])
	}
	return err
}

// contents stores what is the same in bodies, once, and notes the last day that needs it.
func (w *batchWriter) contents() error {
	days := map[content.Digest]int64{}
	var news []*newReturn
	for i := range w.batch.returns {
		r := &w.batch.returns[i]
		if len(r.Body) == 0 {
			continue
		}
		day := r.day
		if day == 0 {
			day = wholeDay(w.s.now())
		}
		if _, ok := days[r.digest]; !ok {
			if _, ok := w.knows.contents.get(r.digest); !ok {
				news = append(news, r)
			}
		}
		days[r.digest] = max(days[r.digest], day)
	}
	n := len(news)
	digests, bodies, packed, holes, last := make([]digest, n), make([][]byte, n), make([][]byte, n), make([][]byte, n), make([]int64, n)
	// In one order everywhere, so that no two transactions wait for each other.
	slices.SortFunc(news, func(a, b *newReturn) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	for i, r := range news {
		digests[i], bodies[i], holes[i], last[i] = digest(r.digest), r.body.Same, orNull(r.body.Holes), days[r.digest]
		if packed[i] = content.PackSame(r.body.Same); packed[i] != nil {
			bodies[i] = []byte{}
		}
	}
	ids, made, err := w.tx.number("contents", `INSERT INTO contents (digest, last_day, body, holes, packed)
		SELECT * FROM unnest($1::bytea[], $2::integer[], $3::bytea[], $4::bytea[], $5::bytea[]) ON CONFLICT DO NOTHING RETURNING id, digest`, digests, last, bodies, holes, packed)
	if err != nil {
		return err
	}
	w.newContents += made
	for d, id := range ids {
		day := days[content.Digest(d)]
		if made < n {
			day = 0 // some were there, and what is noted for them is not known
		}
		w.knows.contents.learn(content.Digest(d), stored{id, day})
	}
	return w.noteDays(days)
}

// noteDays notes that contents are needed on a later day than is known of them.
func (w *batchWriter) noteDays(days map[content.Digest]int64) error {
	var ids, last []int64
	for d, day := range days {
		c, _ := w.knows.contents.get(d)
		if c.day < day {
			ids, last = append(ids, c.id), append(last, day)
			w.knows.contents.learn(d, stored{c.id, day})
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return w.Exec(`WITH later AS (SELECT c.id, g.day FROM unnest($1::bigint[], $2::integer[]) g(id, day) JOIN contents c ON c.id = g.id
			WHERE c.last_day < g.day ORDER BY c.id FOR UPDATE OF c)
		UPDATE contents SET last_day = later.day FROM later WHERE contents.id = later.id`, ids, last)
}

// returns copies the returns into their table.
func (w *batchWriter) returns() error {
	rows := w.batch.returns
	if len(rows) == 0 {
		return nil
	}
	var call *tables.Call
	var callID int64
	columns := []string{"job_id", "minion_id", "stamp", "outcome", "source", "call_id", "content_id", "retcode", "success", "message", "states", "unclean", "cuts", "state_list", "truncated", "duration", "packed_cuts", "size"}
	_, err := w.view.tx.CopyFrom(w.ctx, pgx.Identifier{"returns"}, columns, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		r := &rows[i]
		if call == nil || !call.Same(&r.call) {
			call, callID = &r.call, w.callOf(&r.call)
		}
		w.calls[callID]++
		var retcode, success, message, size any
		if n := int64(len(r.Body)); n > 0 {
			size = n
			w.madeRaw += n
			w.madeSized++
		}
		if r.Retcode != nil {
			retcode = int64(*r.Retcode)
		}
		if r.Success != nil {
			success = *r.Success
		}
		if r.Message != "" {
			message = written(r.Message)
		}
		truncated, err := tables.Truncated(r.Truncated)
		if err != nil {
			return nil, err
		}
		return []any{
			r.job, r.minion, r.stamp, r.outcome, r.source, callID, w.contentOf(r), retcode, success, message, int64(len(r.States)), int64(r.unclean),
			orNull(r.cuts), orNull(r.stateList), tables.Text(truncated), tables.RunDuration(r.Return), orNull(r.packedCuts), size,
		}, nil
	}))
	w.madeReturns += int64(len(rows))
	return err
}

func (w *batchWriter) state(s *gaea.StateResult) int64 {
	id, _ := w.knows.states.get(tables.StateName{Key: s.Key, SLS: s.SLS})
	return id
}

// stateResults copies the states that are not clean.
func (w *batchWriter) stateResults() error {
	var rows [][]any
	for i := range w.batch.returns {
		r := &w.batch.returns[i]
		for k := range r.States {
			if r.States[k].Outcome != gaea.OutcomeInSync {
				rows = append(rows, []any{r.job, r.minion, int64(k), w.state(&r.States[k]), r.outcomes[k], r.stamp})
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	_, err := w.view.tx.CopyFrom(w.ctx, pgx.Identifier{"state_results"}, []string{"job_id", "minion_id", "place", "state_id", "outcome", "stamp"}, pgx.CopyFromRows(rows))
	return err
}

// latestStates notes how each state stood last. Of two returns with one stamp the later job counts, so that the order of
// writing does not matter.
func (w *batchWriter) latestStates() error {
	type key struct{ minion, state int64 }
	type value struct {
		r       *newReturn
		outcome int64
		took    int64
	}
	latest := map[key]value{}
	for i := range w.batch.returns {
		r := &w.batch.returns[i]
		for k := range r.States {
			at := key{r.minion, w.state(&r.States[k])}
			if was, ok := latest[at]; ok && cmp.Or(cmp.Compare(was.r.stamp, r.stamp), cmp.Compare(was.r.JID, r.JID)) > 0 {
				continue
			}
			latest[at] = value{r, r.outcomes[k], tables.DurationOf(&r.States[k])}
		}
	}
	n := len(latest)
	if n == 0 {
		return nil
	}
	minions, states, stamps, jobs, outcomes, tests, took := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n),
		make([]bool, 0, n), make([]int64, 0, n)
	for at, v := range latest {
		minions, states, stamps, jobs = append(minions, at.minion), append(states, at.state), append(stamps, v.r.stamp), append(jobs, v.r.job)
		outcomes, tests, took = append(outcomes, v.outcome), append(tests, v.r.Test), append(took, v.took)
	}
	return w.Exec(`INSERT INTO state_latest (minion_id, state_id, stamp, job_id, outcome, test, duration)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::boolean[], $7::bigint[])
		ON CONFLICT (minion_id, state_id) DO UPDATE SET stamp = excluded.stamp, job_id = excluded.job_id, outcome = excluded.outcome, test = excluded.test,
			duration = excluded.duration
		WHERE excluded.stamp > state_latest.stamp OR (excluded.stamp = state_latest.stamp AND
			(SELECT jid FROM jobs WHERE id = excluded.job_id) > (SELECT jid FROM jobs WHERE id = state_latest.job_id))`,
		minions, states, stamps, jobs, outcomes, tests, took)
}

// evidence notes the newest return of each minion for its state key.
func (w *batchWriter) evidence() error {
	type key struct{ stateKey, minion int64 }
	newest := map[key]*newReturn{}
	for i := range w.batch.returns {
		r := &w.batch.returns[i]
		if r.StateKey == "" || !r.Outcome.Heard() || r.Busy() {
			continue
		}
		id, err := w.StateKey(w.master, r.StateKey)
		if err != nil {
			return err
		}
		at := key{id, r.minion}
		if was, ok := newest[at]; !ok || cmp.Or(cmp.Compare(was.stamp, r.stamp), cmp.Compare(was.JID, r.JID)) < 0 {
			newest[at] = r
		}
	}
	if len(newest) == 0 {
		return nil
	}
	var keys, minions, stamps, jobs []int64
	var jids []string
	for at, r := range newest {
		keys, minions, stamps, jobs, jids = append(keys, at.stateKey), append(minions, at.minion), append(stamps, r.stamp), append(jobs, r.job), append(jids, written(r.JID))
	}
	return w.Exec(`INSERT INTO evidence (state_key_id, minion_id, stamp, jid, job_id)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[])
		ON CONFLICT (state_key_id, minion_id) DO UPDATE SET stamp = excluded.stamp, jid = excluded.jid, job_id = excluded.job_id
		WHERE (excluded.stamp, excluded.jid) > (evidence.stamp, evidence.jid)`, keys, minions, stamps, jids, jobs)
}

// events stores the batch's events, each once.
func (w *batchWriter) events() error {
	n := len(w.batch.events)
	if n == 0 {
		return nil
	}
	stamps, tags, digests, minions, data := make([]int64, n), make([]string, n), make([][]byte, n), make([]*int64, n), make([][]byte, n)
	truncated, suspect := make([]*string, n), make([]*string, n)
	for i := range w.batch.events {
		ev := &w.batch.events[i]
		d := digestOf(0, ev.Tag, hex.EncodeToString(tables.EventDigest(ev)))
		stamps[i], tags[i], digests[i], data[i] = tables.Micros(ev.Stamp), written(ev.Tag), d[:], orNull(ev.Data)
		if name := tables.EventMinion(ev); name != "" {
			id := w.minion(name)
			minions[i] = &id
		}
		if ev.Truncated != nil {
			text, err := tables.Truncated(ev.Truncated)
			if err != nil {
				return err
			}
			truncated[i] = &text
		}
		if ev.Suspect != "" {
			suspect[i] = new(written(ev.Suspect))
		}
	}
	var err error
	w.madeEvents, err = w.Change(`INSERT INTO events (master_id, stamp, tag, digest, minion_id, data, truncated, suspect)
		SELECT $1, s, t, d, m, b, x, y FROM unnest($2::bigint[], $3::text[], $4::bytea[], $5::bigint[], $6::bytea[], $7::text[], $8::text[]) g(s, t, d, m, b, x, y)
		ON CONFLICT DO NOTHING`, w.master, stamps, tags, digests, minions, data, truncated, suspect)
	return err
}
