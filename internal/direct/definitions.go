package direct

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// definitions is a [gaea.DefinitionStore] of what this process was told, and of what references carry.
type definitions[T gaea.Definition] struct {
	mu       sync.Mutex
	latest   map[string]gaea.Version[T]
	versions map[gaea.Ref]gaea.Version[T]
}

func newDefinitions[T gaea.Definition]() *definitions[T] {
	return &definitions[T]{latest: map[string]gaea.Version[T]{}, versions: map[gaea.Ref]gaea.Version[T]{}}
}

// Put implements [gaea.DefinitionStore].
func (s *definitions[T]) Put(_ context.Context, d T, author string) (gaea.Version[T], error) {
	v := version(d, author)
	ref := gaea.Ref{Name: d.DefinitionName(), Digest: gaea.Digest(d)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest[ref.Name], s.versions[ref] = v, v
	return v, nil
}

func version[T gaea.Definition](d T, author string) gaea.Version[T] {
	return gaea.Version[T]{Definition: d, Ref: gaea.RefOf(d), Number: 1, Owner: author, Author: author, Created: time.Now()}
}

// Get implements [gaea.DefinitionStore]. What the reference carries goes before what was stored. CodeInvalid for a reference
// that is damaged.
func (s *definitions[T]) Get(_ context.Context, ref gaea.Ref) (gaea.Version[T], error) {
	d, ok, err := gaea.Carried[T](ref)
	if err != nil {
		return gaea.Version[T]{}, err
	}
	if ok {
		return version(d, ""), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.latest[ref.Name]
	if ref.Digest != "" {
		v, ok = s.versions[ref.Bare()]
	}
	if !ok {
		return v, gaea.Errorf(gaea.CodeNotFound, "%q names a definition that nobody keeps without a jobd; use the ref attribute of its resource, which carries it", ref.Bare())
	}
	return v, nil
}

// Delete implements [gaea.DefinitionStore].
func (s *definitions[T]) Delete(_ context.Context, name, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.latest, name)
	return nil
}

// List implements [gaea.DefinitionStore]. All are in the first page.
func (s *definitions[T]) List(context.Context, gaea.PageRequest) (gaea.Page[gaea.Version[T]], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var page gaea.Page[gaea.Version[T]]
	for _, name := range slices.Sorted(maps.Keys(s.latest)) {
		page.Items = append(page.Items, s.latest[name])
	}
	return page, nil
}

// History implements [gaea.DefinitionStore]. There is no history but the latest version.
func (s *definitions[T]) History(ctx context.Context, name string) ([]gaea.Version[T], error) {
	v, err := s.Get(ctx, gaea.Ref{Name: name})
	if err != nil {
		return nil, err
	}
	return []gaea.Version[T]{v}, nil
}
