package direct

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// maxRuns is how many runs are kept; over that the oldest that have ended are let go.
const maxRuns = 2000

// runs is a [gaea.RunStore] of this process. What it keeps and gives out are copies.
type runs struct {
	// left looks for what an earlier process has left of a run with a key; nil where nothing is to be found.
	left func(ctx context.Context, r *gaea.Run, key string) (*gaea.Run, error)

	mu    sync.Mutex
	runs  map[string]*gaea.Run
	order []string          // ids, oldest first
	keys  map[string]keyed  // by the text of the key in metadata
	keyOf map[string]string // the same by run
	jobs  map[string]string // jid to run
	freed map[string]bool   // runs that their key finds no more
}

type keyed struct{ id, digest string }

func newRuns() *runs {
	return &runs{runs: map[string]*gaea.Run{}, keys: map[string]keyed{}, keyOf: map[string]string{}, jobs: map[string]string{}, freed: map[string]bool{}}
}

// keyText is what stands for a user's idempotency key in the metadata of jobs, which everybody can read.
func keyText(user, key string) string {
	sum := sha256.Sum256([]byte(user + "\n" + key))
	return hex.EncodeToString(sum[:16])
}

// CreateRun implements [gaea.RunStore]. A run with the key that an earlier process has left in the master's job cache is found
// too; the error where that cannot be looked at is the master's, for a second run is worse than none.
func (s *runs) CreateRun(ctx context.Context, r *gaea.Run, key, digest string) (*gaea.Run, bool, error) {
	if key == "" {
		return s.put(r, "", digest)
	}
	text := keyText(r.User, key)
	if have, err := s.withKey(text, digest); have != nil || err != nil {
		return have, false, err
	}
	if s.left != nil {
		found, err := s.left(ctx, r, text)
		if err != nil {
			return nil, false, err
		}
		if found != nil {
			have, _, err := s.put(found, text, digest)
			return have, false, err
		}
	}
	return s.put(r, text, digest)
}

func (s *runs) withKey(text, digest string) (*gaea.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.keys[text]
	switch {
	case !ok:
		return nil, nil
	case k.digest != digest:
		return nil, gaea.Errorf(gaea.CodeConflict, "the idempotency key was used for something else; use a new one")
	default:
		return engine.Clone(s.runs[k.id]), nil
	}
}

// put stores a new run, or returns the one that another call has stored with its key or id meanwhile.
func (s *runs) put(r *gaea.Run, text, digest string) (*gaea.Run, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.keys[text]; ok && text != "" {
		return engine.Clone(s.runs[k.id]), false, nil
	}
	if have := s.runs[r.ID]; have != nil {
		if text != "" {
			s.keys[text], s.keyOf[r.ID] = keyed{r.ID, digest}, text
		}
		return engine.Clone(have), false, nil
	}
	s.runs[r.ID] = engine.Clone(r)
	s.order = append(s.order, r.ID)
	s.note(r)
	if text != "" {
		s.keys[text], s.keyOf[r.ID] = keyed{r.ID, digest}, text
	}
	s.forget()
	return engine.Clone(r), true, nil
}

// note remembers whose a run's jobs are. The lock is held.
func (s *runs) note(r *gaea.Run) {
	for i := range r.Slices {
		if jid := r.Slices[i].JID; jid != "" {
			s.jobs[jid] = r.ID
		}
	}
}

// forget lets go of the oldest runs that have ended. The lock is held.
func (s *runs) forget() {
	for i := 0; len(s.order) > maxRuns && i < len(s.order); {
		id := s.order[i]
		r := s.runs[id]
		if !r.Complete() {
			i++
			continue
		}
		for k := range r.Slices {
			delete(s.jobs, r.Slices[k].JID)
		}
		if s.keys[s.keyOf[id]].id == id { // it may be a newer run's by now
			delete(s.keys, s.keyOf[id])
		}
		delete(s.keyOf, id)
		delete(s.runs, id)
		s.order = slices.Delete(s.order, i, i+1)
	}
}

// SaveRun implements [gaea.RunStore].
func (s *runs) SaveRun(_ context.Context, r *gaea.Run, minions ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.runs[r.ID]
	if old == nil {
		return gaea.Errorf(gaea.CodeNotFound, "there is no run %s", r.ID)
	}
	kept := old.Minions
	if kept == nil || len(minions) == 0 {
		kept = maps.Clone(r.Minions)
	}
	for _, name := range minions {
		if rm, ok := r.Minions[name]; ok {
			kept[name] = rm
		} else {
			delete(kept, name)
		}
	}
	head := *r
	head.Minions = nil
	stored := engine.Clone(&head)
	stored.Minions = kept
	s.runs[r.ID] = stored
	s.note(r)
	return nil
}

// GetRun implements [gaea.RunStore].
func (s *runs) GetRun(_ context.Context, id string) (*gaea.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runs[id]
	if r == nil {
		return nil, gaea.Errorf(gaea.CodeNotFound, "there is no run %s", id)
	}
	return engine.Clone(r), nil
}

// free has a run's key find it no more, in this process.
func (s *runs) free(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freed[id] = true
	if text := s.keyOf[id]; s.keys[text].id == id {
		delete(s.keys, text)
	}
}

func (s *runs) isFreed(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freed[id]
}

// of is the run that a job belongs to; empty where it is none of this process's.
func (s *runs) of(jid string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[jid]
}

// ListRuns implements [gaea.RunStore].
func (s *runs) ListRuns(_ context.Context, f gaea.RunFilter, p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var page gaea.Page[gaea.Run]
	limit := p.Limit
	if limit == 0 {
		limit = 100
	}
	from := len(s.order)
	if p.Cursor != "" {
		n, err := strconv.Atoi(p.Cursor)
		if err != nil || n < 0 || n > len(s.order) {
			return page, gaea.Invalid("cursor", "%q is not a cursor", p.Cursor)
		}
		from = n
	}
	for i := from - 1; i >= 0; i-- {
		r := s.runs[s.order[i]]
		if !f.Matches(r) {
			continue
		}
		if len(page.Items) == limit {
			page.Next = strconv.Itoa(i + 1)
			break
		}
		head := *r
		head.Minions, head.Call = nil, nil
		head.Counts = r.Tally()
		page.Items = append(page.Items, head)
	}
	return page, nil
}

// metadata is what a job of a run carries so that a later process finds the run, knows whether there are more to come, and can go on.
func (s *runs) metadata(r *gaea.Run, jid string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	metadata := map[string]any{}
	if text := s.keyOf[r.ID]; text != "" {
		metadata[MetadataKey] = text
	}
	if r.Planned() {
		metadata[metadataPlanned] = len(r.Minions)
	}
	for i := range r.Slices {
		if slice := &r.Slices[i]; slice.JID == jid && r.Batch.Sliced() {
			metadata[metadataSlice] = slice.Index
			if slice.Canary {
				metadata[metadataCanary] = true
			}
		}
	}
	return metadata
}
