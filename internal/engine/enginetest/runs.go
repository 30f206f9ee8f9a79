package enginetest

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// keyLife is how long an idempotency key is remembered.
const keyLife = 24 * time.Hour

// Runs is a [gaea.RunStore] in memory. What it keeps and gives out are copies.
type Runs struct {
	mu    sync.Mutex
	runs  map[string]*gaea.Run
	order []string // ids, oldest first
	keys  map[[2]string]storedKey
	fail  error
	saves int
}

type storedKey struct {
	id, digest string
	at         time.Time
}

// NewRuns returns a store without runs.
func NewRuns() *Runs { return &Runs{runs: map[string]*gaea.Run{}, keys: map[[2]string]storedKey{}} }

// FailSave makes SaveRun fail. Nil: it works.
func (s *Runs) FailSave(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Saves counts the calls of SaveRun that worked.
func (s *Runs) Saves() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

// CreateRun implements [gaea.RunStore].
func (s *Runs) CreateRun(_ context.Context, r *gaea.Run, key, digest string) (*gaea.Run, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.keys[[2]string{r.User, key}]; ok && key != "" && time.Since(k.at) < keyLife {
		if k.digest != digest {
			return nil, false, gaea.Errorf(gaea.CodeConflict, "the idempotency key %q was used for something else; use a new one", key)
		}
		return copyRun(s.runs[k.id]), false, nil
	}
	if s.runs[r.ID] != nil {
		return nil, false, gaea.Errorf(gaea.CodeConflict, "there is a run %s", r.ID)
	}
	s.runs[r.ID] = copyRun(r)
	s.order = append(s.order, r.ID)
	if key != "" {
		s.keys[[2]string{r.User, key}] = storedKey{id: r.ID, digest: digest, at: time.Now()}
	}
	return copyRun(r), true, nil
}

// SaveRun implements [gaea.RunStore].
func (s *Runs) SaveRun(_ context.Context, r *gaea.Run, minions ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	old := s.runs[r.ID]
	if old == nil {
		return gaea.Errorf(gaea.CodeNotFound, "there is no run %s", r.ID)
	}
	kept := old.Minions
	if kept == nil {
		kept = map[string]gaea.RunMinion{}
	}
	if len(minions) == 0 {
		minions = slices.Collect(maps.Keys(r.Minions))
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
	stored := copyRun(&head)
	stored.Minions = kept
	s.runs[r.ID] = stored
	s.saves++
	return nil
}

// GetRun implements [gaea.RunStore].
func (s *Runs) GetRun(_ context.Context, id string) (*gaea.Run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.runs[id]
	if r == nil {
		return nil, gaea.Errorf(gaea.CodeNotFound, "there is no run %s", id)
	}
	return copyRun(r), nil
}

// ListRuns implements [gaea.RunStore].
func (s *Runs) ListRuns(_ context.Context, f gaea.RunFilter, p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
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

// copyRun copies a run through JSON, as a store would, with what JSON leaves out.
func copyRun(r *gaea.Run) *gaea.Run {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	c := &gaea.Run{}
	if err := json.Unmarshal(b, c); err != nil {
		panic(err)
	}
	c.AllowEmpty = r.AllowEmpty
	for name, m := range c.Minions {
		m.Processes = r.Minions[name].Processes
		c.Minions[name] = m
	}
	if r.Call != nil {
		call := *r.Call
		c.Call = &call
	}
	return c
}
