package engine

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Request asks for a run.
type Request struct {
	Kind       gaea.RunKind // empty: [gaea.RunJob]
	Call       gaea.Call    // what to run, secrets included
	Target     gaea.Target
	Batch      gaea.Batch
	Timeouts   gaea.Timeouts
	Assignment string // for checks and enforcing runs
	Revision   string
	Parent     string          // the run that this one belongs to
	User       string          // who asks
	CheckState gaea.CheckState // pending for a run that a check will follow
	AllowEmpty bool            // a target that matches no minion is no error
	Key        string          // idempotency key: the same key of the same user gives the same run for a day. May be empty
}

// Submit validates and stores a run and starts it at once. With a key that was used before it returns the run of then and
// created false. Errors: CodeInvalid names the field, CodeConflict where the key was used for something else,
// CodeUnavailable where the engine is stopped or full.
func (e *Engine) Submit(ctx context.Context, req Request) (run *gaea.Run, created bool, err error) {
	return nil, false, errNotReady
}
