package tables

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// The roles of the minions of a job.
const (
	Expected = 0 // the master expects their returns
	Unknown  = 1 // listed, but the master does not know them
	Listed   = 2 // the target, where that is a list
)

// SetDigest identifies a sorted list of minions of a master.
func SetDigest(master int64, minions []string) (d [sha256.Size]byte) {
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
func minionsOf(q Query, sets map[int64][]string, jobID, role int64) ([]string, error) {
	ids, err := setsOf(q, jobID, role)
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

// setsOf are the sets of the minions with a role in a job.
func setsOf(q Query, jobID, role int64) ([]int64, error) {
	var ids []int64
	err := q.Each(`SELECT set_id FROM job_minions WHERE job_id = ? AND role = ?`, func(row Scanner) error {
		var id int64
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}, jobID, role)
	return ids, err
}

func members(q Query, set int64) ([]string, error) {
	var list []string
	err := q.Each(`SELECT m.name FROM minion_set_members s JOIN minions m ON m.id = s.minion_id WHERE s.set_id = ?`, func(row Scanner) error {
		var name string
		err := row.Scan(&name)
		list = append(list, name)
		return err
	}, set)
	slices.Sort(list)
	return list, err
}
