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

// jobSets are the sets of the minions that some jobs name, with what is known of the sets.
type jobSets struct {
	of      map[jobRole][]int64
	members map[int64]*minionSet // those that were read
}

// minionSet are the minions of a set.
type minionSet struct {
	names []string // sorted
	ids   []int64  // sorted
}

func (s *minionSet) has(id int64) bool {
	_, ok := slices.BinarySearch(s.ids, id)
	return ok
}

type jobRole struct{ job, role int64 }

// setsOf reads which sets jobs name: of all at once, because a page has many of them.
func setsOf(q Query, jobs []storedJob) (*jobSets, error) {
	sets := &jobSets{map[jobRole][]int64{}, map[int64]*minionSet{}}
	if len(jobs) == 0 {
		return sets, nil
	}
	ids := make([]any, len(jobs))
	for i := range jobs {
		ids[i] = jobs[i].id
	}
	c := conditions{dialect: q.Dialect()}
	c.oneOf("job_id", ids)
	err := q.Each(`SELECT job_id, role, set_id FROM job_minions`+c.where(), func(row Scanner) error {
		var at jobRole
		var id int64
		err := row.Scan(&at.job, &at.role, &id)
		sets.of[at] = append(sets.of[at], id)
		return err
	}, c.args...)
	return sets, err
}

// minions reads the minions with a role in a job, sorted. A set that was read before is not read again.
func (s *jobSets) minions(q Query, job, role int64) (all []string, err error) {
	ids := s.of[jobRole{job, role}]
	for _, id := range ids {
		if _, ok := s.members[id]; !ok {
			if s.members[id], err = members(q, id); err != nil {
				return nil, err
			}
		}
		if len(ids) == 1 {
			return s.members[id].names, nil
		}
		all = append(all, s.members[id].names...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// named are the sets that have a role in a job, of which minions has been asked.
func (s *jobSets) named(job, role int64) []*minionSet {
	var list []*minionSet
	for _, id := range s.of[jobRole{job, role}] {
		list = append(list, s.members[id])
	}
	return list
}

func members(q Query, set int64) (*minionSet, error) {
	list := &minionSet{}
	err := q.Each(`SELECT m.name, m.id FROM minion_set_members s JOIN minions m ON m.id = s.minion_id WHERE s.set_id = ?`, func(row Scanner) error {
		var name string
		var id int64
		err := row.Scan(&name, &id)
		list.names, list.ids = append(list.names, name), append(list.ids, id)
		return err
	}, set)
	slices.Sort(list.names)
	slices.Sort(list.ids)
	return list, err
}
