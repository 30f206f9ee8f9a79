package app

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/expect"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// compileExpectation compiles what an action expects.
func compileExpectation(expr string) (gaea.Expectation, error) {
	p, err := expect.Compile(expr)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// keepEvent archives an event of Gaea's own.
func (s ingestStore) keepEvent(ctx context.Context, ev gaea.Event) error {
	return s.store.WriteBatch(ctx, s.master, archive.Batch{Events: []gaea.Event{ev}})
}
