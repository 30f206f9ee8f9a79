package sqlite

import (
	"encoding/json"
	"hash/maphash"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// savedSlices remembers what was written of each active run's slices: a run is saved at each return, and its slices, which
// name every minion, change a few times only.
type savedSlices struct {
	seed maphash.Seed
	mu   sync.Mutex
	runs map[string][]uint64
}

func newSavedSlices() *savedSlices {
	return &savedSlices{seed: maphash.MakeSeed(), runs: map[string][]uint64{}}
}

func (s *savedSlices) of(run string) ([]uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hashes, ok := s.runs[run]
	return hashes, ok
}

func (s *savedSlices) put(run string, hashes []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs[run] = hashes
}

func (s *savedSlices) forget(run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.runs, run)
}

func (s *savedSlices) hash(sl *gaea.Slice) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	maphash.WriteComparable(&h, [3]int64{int64(sl.Index), micros(sl.Started), micros(sl.Ended)})
	h.WriteString(sl.JID)
	for _, m := range sl.Minions {
		h.WriteByte(0)
		h.WriteString(m)
	}
	return h.Sum64()
}

// saveSlices writes the slices that differ from what was written before. What is remembered is right when the transaction is
// committed; the caller forgets it otherwise.
func (s *Store) saveSlices(tx *tx, r *gaea.Run) error {
	was, known := s.saved.of(r.ID)
	hashes := make([]uint64, len(r.Slices))
	for i := range r.Slices {
		hashes[i] = s.saved.hash(&r.Slices[i])
		if i < len(was) && was[i] == hashes[i] {
			continue
		}
		b, err := marshal(trimmed(r.Slices[i]))
		if err != nil {
			return gaea.Wrap(err, gaea.CodeInvalid, "slice %d of run %s cannot be stored as JSON", i, r.ID)
		}
		err = tx.exec(`INSERT INTO run_slices (run_id, place, slice) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET slice = excluded.slice`, r.ID, int64(i), b)
		if err != nil {
			return err
		}
	}
	if !known || len(was) > len(r.Slices) {
		if err := tx.exec(`DELETE FROM run_slices WHERE run_id = ? AND place >= ?`, r.ID, int64(len(r.Slices))); err != nil {
			return err
		}
	}
	s.saved.put(r.ID, hashes)
	return nil
}

// trimmed is a slice with its times as the archive keeps times.
func trimmed(sl gaea.Slice) gaea.Slice {
	sl.Started, sl.Ended = trim(sl.Started), trim(sl.Ended)
	return sl
}

func trim(t time.Time) time.Time { return timeOf(micros(t)) }

func slicesOf(q query, run string) ([]gaea.Slice, error) {
	var list []gaea.Slice
	err := q.each(`SELECT slice FROM run_slices WHERE run_id = ? ORDER BY place`, func(row scanner) error {
		var b string
		if err := row.Scan(&b); err != nil {
			return err
		}
		var sl gaea.Slice
		err := json.Unmarshal([]byte(b), &sl)
		list = append(list, sl)
		return err
	}, run)
	return list, err
}
