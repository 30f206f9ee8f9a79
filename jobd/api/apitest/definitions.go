package apitest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Definitions keeps definitions in memory, with the rules of [gaea.DefinitionStore]. The zero Definitions is empty.
type Definitions[T gaea.Definition] struct {
	mu       sync.Mutex
	versions []gaea.Version[T] // oldest first
}

// Put implements gaea.DefinitionStore.
func (d *Definitions[T]) Put(_ context.Context, def T, author string) (gaea.Version[T], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := gaea.Version[T]{Definition: def, Ref: gaea.RefOf(def), Number: 1, Owner: author, Author: author, Created: time.Now().UTC()}
	if last, ok := d.latest(def.DefinitionName()); ok {
		v.Number = last.Number + 1
		if !last.Deleted {
			v.Owner = last.Owner
			if last.Owner != author {
				return gaea.Version[T]{}, gaea.Errorf(gaea.CodeConflict, "%q belongs to %q", def.DefinitionName(), last.Owner)
			}
			if last.Ref == v.Ref {
				return last, nil
			}
		}
	}
	d.versions = append(d.versions, v)
	return v, nil
}

func (d *Definitions[T]) latest(name string) (gaea.Version[T], bool) {
	for _, v := range slices.Backward(d.versions) {
		if v.Definition.DefinitionName() == name {
			return v, true
		}
	}
	return gaea.Version[T]{}, false
}

// Get implements gaea.DefinitionStore.
func (d *Definitions[T]) Get(_ context.Context, ref gaea.Ref) (gaea.Version[T], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ref.Digest == "" {
		if v, ok := d.latest(ref.Name); ok && !v.Deleted {
			return v, nil
		}
		return gaea.Version[T]{}, gaea.Errorf(gaea.CodeNotFound, "there is no %q", ref.Name)
	}
	for _, v := range d.versions {
		if v.Ref == ref.String() {
			return v, nil
		}
	}
	return gaea.Version[T]{}, gaea.Errorf(gaea.CodeNotFound, "there is no %q", ref)
}

// Delete implements gaea.DefinitionStore.
func (d *Definitions[T]) Delete(_ context.Context, name, author string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.latest(name)
	if !ok || v.Deleted {
		return gaea.Errorf(gaea.CodeNotFound, "there is no %q", name)
	}
	v.Deleted, v.Author, v.Number = true, author, v.Number+1
	d.versions = append(d.versions, v)
	return nil
}

// List implements gaea.DefinitionStore.
func (d *Definitions[T]) List(_ context.Context, p gaea.PageRequest) (gaea.Page[gaea.Version[T]], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	byName := map[string]gaea.Version[T]{}
	for _, v := range d.versions {
		byName[v.Definition.DefinitionName()] = v
	}
	var out []gaea.Version[T]
	for _, v := range byName {
		if !v.Deleted {
			out = append(out, v)
		}
	}
	name := func(v gaea.Version[T]) string { return v.Definition.DefinitionName() }
	slices.SortFunc(out, func(a, b gaea.Version[T]) int { return strings.Compare(name(a), name(b)) })
	return cut(out, p, name)
}

// History implements gaea.DefinitionStore.
func (d *Definitions[T]) History(_ context.Context, name string) ([]gaea.Version[T], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []gaea.Version[T]
	for _, v := range slices.Backward(d.versions) {
		if v.Definition.DefinitionName() == name {
			out = append(out, v)
		}
	}
	if out == nil {
		return nil, gaea.Errorf(gaea.CodeNotFound, "there was never a %q", name)
	}
	return out, nil
}
