package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// The roles of the minions of a job.
const (
	expected = 0 // the master expects their returns
	unknown  = 1 // listed, but the master does not know them
	listed   = 2 // the target, where that is a list
)

// jobMinions adds minions to those that have a role in a job. A job that was published in parts has several sets, and adding
// one again changes nothing.
func (w *batchWriter) jobMinions(jobID, role int64, minions []string) error {
	if len(minions) == 0 {
		return nil
	}
	set, err := w.minionSet(minions)
	if err != nil {
		return err
	}
	return w.exec(`INSERT INTO job_minions (job_id, role, set_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, jobID, role, set)
}

// minionSet stores a list of minions, once for each list.
func (w *batchWriter) minionSet(minions []string) (int64, error) {
	if !slices.IsSorted(minions) {
		minions = slices.Sorted(slices.Values(minions))
	}
	digest := setDigest(w.master, minions)
	if id, ok := w.names.sets.get(digest); ok {
		return id, nil
	}
	set, inserted, err := w.insert(`INSERT INTO minion_sets (digest) VALUES (?) ON CONFLICT DO NOTHING`, digest[:])
	if err != nil {
		return 0, err
	}
	if !inserted {
		err = w.row(`SELECT id FROM minion_sets WHERE digest = ?`, digest[:]).Scan(&set)
	} else {
		for _, m := range minions {
			var id int64
			if id, err = w.minion(w.master, m); err == nil {
				err = w.exec(`INSERT INTO minion_set_members (set_id, minion_id) VALUES (?, ?) ON CONFLICT DO NOTHING`, set, id)
			}
			if err != nil {
				return 0, err
			}
		}
	}
	if err == nil {
		w.names.sets.put(digest, set)
	}
	return set, err
}

// setDigest identifies a sorted list of minions of a master.
func setDigest(master int64, minions []string) (d [sha256.Size]byte) {
	h := sha256.New()
	b := binary.AppendVarint(nil, master)
	for _, m := range minions {
		b = binary.AppendUvarint(b, uint64(len(m)))
		b = append(b, m...)
		if len(b) > 4096 {
			h.Write(b)
			b = b[:0]
		}
	}
	h.Write(b)
	h.Sum(d[:0])
	return d
}

// minionsOf reads the minions with a role in a job, sorted. Lists that were read before are taken from sets.
func minionsOf(q query, sets map[int64][]string, jobID, role int64) ([]string, error) {
	var ids []int64
	err := q.each(`SELECT set_id FROM job_minions WHERE job_id = ? AND role = ?`, func(row scanner) error {
		var id int64
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}, jobID, role)
	var all []string
	for _, id := range ids {
		if err != nil {
			return nil, err
		}
		if _, ok := sets[id]; !ok {
			sets[id], err = members(q, id)
		}
		if len(ids) == 1 {
			return sets[id], err
		}
		all = append(all, sets[id]...)
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

func members(q query, set int64) ([]string, error) {
	var list []string
	err := q.each(`SELECT m.name FROM minion_set_members s JOIN minions m ON m.id = s.minion_id WHERE s.set_id = ?`, func(row scanner) error {
		var name string
		err := row.Scan(&name)
		list = append(list, name)
		return err
	}, set)
	slices.Sort(list)
	return list, err
}
