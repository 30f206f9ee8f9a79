package postgres

import (
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// changedJob is a job of the batch whose head is to be written.
type changedJob struct {
	jid     string
	head    tables.Head
	id      int64 // 0: there is none yet
	oldCall int64
}

// jobs stores the heads of the batch's jobs, or what they add to those that are stored.
func (w *batchWriter) jobs() error {
	w.stored, w.fresh = map[string]*tables.Job{}, map[string]bool{}
	var unknown []string
	for _, jid := range w.batch.jobs {
		j, ok := w.knows.jobs.get(tables.JobName{Master: w.master, JID: jid})
		if ok && !slices.ContainsFunc(w.batch.heads[jid], func(h tables.Head) bool { return j.Adds(&h) }) {
			w.stored[jid] = j
			continue
		}
		unknown = append(unknown, jid)
	}
	changed, err := w.mergeHeads(unknown)
	if err != nil {
		return err
	}
	calls := make([]tables.Call, 0, len(changed)+1)
	for i := range changed {
		calls = append(calls, changed[i].head.Call)
	}
	var last tables.Call
	for i := range w.batch.returns {
		if c := w.batch.returns[i].call; i == 0 || !c.Same(&last) {
			calls, last = append(calls, c), c
		}
	}
	if err := w.number(calls); err != nil {
		return err
	}
	return w.writeHeads(changed)
}

// mergeHeads reads the heads of jobs, and says what is to be written when those of the batch have been added to them.
func (w *batchWriter) mergeHeads(jids []string) ([]changedJob, error) {
	if len(jids) == 0 {
		return nil, nil
	}
	digests, byDigest := make([][]byte, len(jids)), make(map[digest]string, len(jids))
	for i, jid := range jids {
		d := digestOf(w.master, jid)
		digests[i], byDigest[d] = d[:], jid
	}
	heads := map[string]changedJob{}
	err := w.Each(`SELECT j.digest, `+tables.HeadColumns+` FROM jobs j JOIN calls c ON c.id = j.call_id LEFT JOIN state_keys k ON k.id = c.state_key_id
		WHERE j.digest = ANY($1)`, func(row tables.Scanner) error {
		var d []byte
		var j changedJob
		err := row.Scan(append([]any{&d}, j.head.Into(&j.id, &j.oldCall)...)...)
		if err == nil {
			j.head.Empty = j.head.Function == ""
			heads[byDigest[digest(d)]] = j
		}
		return err
	}, digests)
	if err != nil {
		return nil, err
	}
	var changed []changedJob
	for _, jid := range jids {
		j, ok := heads[jid]
		j.jid = jid
		news := w.batch.heads[jid]
		same := ok
		if !ok {
			j.head, news = news[0], news[1:]
		}
		for i := range news {
			if tables.Remembered(j.id, &j.head).Adds(&news[i]) {
				j.head, same = tables.Merge(j.head, news[i]), false
			}
		}
		if same {
			stored := tables.Remembered(j.id, &j.head)
			w.stored[jid] = stored
			w.knows.jobs.learn(tables.JobName{Master: w.master, JID: jid}, stored)
			continue
		}
		changed = append(changed, j)
	}
	return changed, nil
}

// number numbers calls, and the state keys that they have.
func (w *batchWriter) number(calls []tables.Call) error {
	var unknown []tables.Call
	var digests []digest
	var keys []string
	asked := map[digest]bool{}
	for i := range calls {
		d := calls[i].Digest(w.master)
		if _, ok := w.knows.calls.get(d); ok || asked[d] {
			continue
		}
		asked[d] = true
		unknown, digests = append(unknown, calls[i]), append(digests, d)
		if calls[i].StateKey != "" {
			keys = append(keys, calls[i].StateKey)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if err := w.stateKeys(w.master, keys); err != nil {
		return err
	}
	n := len(unknown)
	functions, runs, tests := make([]string, n), make([]string, n), make([]bool, n)
	args, metadata, stateKeys := make([][]byte, n), make([][]byte, n), make([]*int64, n)
	for i := range unknown {
		c := &unknown[i]
		functions[i], runs[i], tests[i] = written(c.Function), written(c.RunID), c.Test
		args[i], metadata[i] = orNull(c.Args), orNull(c.Metadata)
		if c.StateKey != "" {
			id, _ := w.knows.keys.get(tables.MinionName{Master: w.master, Name: c.StateKey})
			stateKeys[i] = &id
		}
	}
	ids, _, err := w.tx.number("calls", `INSERT INTO calls (digest, refs, function, args, metadata, run_id, state_key_id, test)
		SELECT d, 0, f, a, m, r, k, t FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bytea[], $5::text[], $6::bigint[], $7::boolean[]) g(d, f, a, m, r, k, t)
		ON CONFLICT DO NOTHING RETURNING id, digest`, digests, functions, args, metadata, runs, stateKeys, tests)
	for d, id := range ids {
		w.knows.calls.learn(d, id)
	}
	return err
}

// orNull is nil for an empty text.
func orNull[T ~[]byte](b T) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// callOf is the number of a call that number has numbered.
func (w *batchWriter) callOf(c *tables.Call) int64 {
	id, _ := w.knows.calls.get(c.Digest(w.master))
	return id
}

func (w *batchWriter) writeHeads(changed []changedJob) error {
	var fresh []*changedJob
	for i := range changed {
		j := &changed[i]
		h, call := &j.head, w.callOf(&j.head.Call)
		w.calls[call]++
		if j.id == 0 {
			fresh = append(fresh, j)
			continue
		}
		w.calls[j.oldCall]--
		err := w.Exec(`UPDATE jobs SET known = $2, source = $3, started = $4, head = $5, call_id = $6, function = $7, run_id = $8, target_type = $9, target = $10,
			"user" = $11, origin = $12 WHERE id = $1`,
			j.id, h.Known, h.Source, h.Started, h.Minion, call, h.Function, h.RunID, h.TargetType, h.Target, h.User, h.How)
		if err == nil {
			err = w.Exec(`UPDATE open_jobs SET started = $2 WHERE job_id = $1 AND started <> $2`, j.id, h.Started)
		}
		if err != nil {
			return err
		}
	}
	if err := w.insertJobs(fresh); err != nil {
		return err
	}
	for i := range changed {
		stored := tables.Remembered(changed[i].id, &changed[i].head)
		w.stored[changed[i].jid] = stored
		w.knows.jobs.learn(tables.JobName{Master: w.master, JID: changed[i].jid}, stored)
	}
	return nil
}

// insertJobs inserts jobs, and numbers them.
func (w *batchWriter) insertJobs(jobs []*changedJob) error {
	n := len(jobs)
	if n == 0 {
		return nil
	}
	digests, firsts, starts, calls, sources, origins := make([]digest, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	known, texts := make([]bool, n), [7][]string{}
	for k := range texts {
		texts[k] = make([]string, n)
	}
	for i, j := range jobs {
		h := &j.head
		digests[i], firsts[i], known[i] = digestOf(w.master, j.jid), firstOf(w.s.kept(dayOf(h.Started))), h.Known
		starts[i], calls[i], sources[i], origins[i] = h.Started, w.callOf(&h.Call), h.Source, h.How
		for k, text := range [...]string{j.jid, h.Minion, h.Function, h.RunID, h.TargetType, h.Target, h.User} {
			texts[k][i] = written(text)
		}
	}
	ids, made, err := w.tx.number("jobs", `INSERT INTO jobs (digest, id, master_id, known, source, started, call_id, origin, jid, head, function, run_id, target_type, target, "user")
		SELECT d, first + nextval('job_numbers'), $2, known, source, started, call, origin, jid, head, function, run, type, target, "user"
		FROM unnest($1::bytea[], $3::bigint[], $4::boolean[], $5::smallint[], $6::bigint[], $7::bigint[], $8::smallint[], $9::text[], $10::text[], $11::text[], $12::text[],
			$13::text[], $14::text[], $15::text[]) g(d, first, known, source, started, call, origin, jid, head, function, run, type, target, "user")
		RETURNING id, digest`,
		digests, w.master, firsts, known, sources, starts, calls, origins, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6])
	for i, j := range jobs {
		j.id = ids[digests[i]]
		w.fresh[j.jid] = true
	}
	w.madeJobs += int64(made)
	return err
}

// names numbers the minions of the batch.
func (w *batchWriter) names() error {
	var list []string
	for _, l := range w.batch.lists {
		if _, ok := w.knows.sets.get(tables.SetDigest(w.master, sorted(l.minions))); !ok {
			list = append(list, l.minions...)
		}
	}
	for i := range w.batch.returns {
		list = append(list, w.batch.returns[i].Minion)
	}
	for i := range w.batch.events {
		if name := tables.EventMinion(&w.batch.events[i]); name != "" {
			list = append(list, name)
		}
	}
	return w.minions(w.master, list)
}

func (w *batchWriter) minion(name string) int64 {
	id, _ := w.knows.minions.get(tables.MinionName{Master: w.master, Name: name})
	return id
}

func sorted(minions []string) []string {
	if slices.IsSorted(minions) {
		return minions
	}
	return slices.Sorted(slices.Values(minions))
}

// minionSets stores the minions of the batch's jobs. A job that was published in parts has several sets of one role, and
// adding one again changes nothing.
func (w *batchWriter) minionSets() error {
	var jobs, roles, sets []int64
	for _, l := range w.batch.lists {
		id, err := w.minionSet(sorted(l.minions))
		if err != nil {
			return err
		}
		jobs, roles, sets = append(jobs, w.stored[l.jid].ID), append(roles, l.role), append(sets, id)
	}
	if len(jobs) == 0 {
		return nil
	}
	return w.Each(`INSERT INTO job_minions (job_id, role, set_id) SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::bigint[]) ON CONFLICT DO NOTHING
		RETURNING job_id, role`, func(row tables.Scanner) error {
		var job, role int64
		err := row.Scan(&job, &role)
		if role == tables.Expected {
			w.asked = append(w.asked, job)
		}
		return err
	}, jobs, roles, sets)
}

// minionSet stores a sorted list of minions, once for each list.
func (w *batchWriter) minionSet(minions []string) (int64, error) {
	d := tables.SetDigest(w.master, minions)
	if id, ok := w.knows.sets.get(d); ok {
		return id, nil
	}
	ids, made, err := w.tx.number("minion_sets", `INSERT INTO minion_sets (digest) SELECT unnest($1::bytea[]) ON CONFLICT DO NOTHING RETURNING id, digest`, []digest{d})
	if err != nil {
		return 0, err
	}
	if made > 0 {
		members := make([]int64, len(minions))
		for i, m := range minions {
			members[i] = w.minion(m)
		}
		if err := w.Exec(`INSERT INTO minion_set_members (set_id, minion_id) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`, ids[d], members); err != nil {
			return 0, err
		}
	}
	w.knows.sets.learn(d, ids[d])
	return ids[d], nil
}

// notes stores what is known of jobs beside themselves, or what it adds to what is stored.
func (w *batchWriter) notes() error {
	if len(w.batch.noted) == 0 {
		return nil
	}
	digests, byDigest := make([][]byte, len(w.batch.noted)), map[digest]string{}
	for i, jid := range w.batch.noted {
		d := digestOf(w.master, jid)
		digests[i], byDigest[d] = d[:], jid
	}
	merged := map[string]tables.Note{}
	err := w.Each(`SELECT digest, `+tables.StoredColumns+` FROM job_notes WHERE digest = ANY($1)`, func(row tables.Scanner) error {
		var d []byte
		var n tables.Note
		err := row.Scan(append([]any{&d}, n.StoredInto()...)...)
		if err == nil {
			jid := byDigest[digest(d)]
			merged[jid] = tables.MergeNotes(n, w.batch.notes[jid])
		}
		return err
	}, digests)
	if err != nil {
		return err
	}
	for i, jid := range w.batch.noted {
		n, ok := merged[jid]
		if !ok {
			n = w.batch.notes[jid]
		}
		batch, err := n.BatchJSON(jid)
		if err != nil {
			return err
		}
		err = w.Exec(`INSERT INTO job_notes (digest, master_id, jid, stamp, parent, schedule, batch) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (digest) DO UPDATE SET stamp = excluded.stamp, parent = excluded.parent, schedule = excluded.schedule, batch = excluded.batch`,
			digests[i], w.master, jid, n.Stamp, n.Parent, n.Schedule, batch)
		if err != nil {
			return err
		}
	}
	return nil
}
