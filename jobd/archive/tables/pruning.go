package tables

import (
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Pruning is one step of deleting what is old, in one transaction.
type Pruning struct {
	tx Tx

	Before int64 // what is older goes
	Asked  int64 // evidence of state keys that were asked about since stays
	Keys   int64 // Before, but at least as long ago as idempotency keys live: runs and their keys that are older go

	Left    int // how many rows may still go
	Deleted int // how many things went
	gone    map[int64]*Gone
}

// Gone is how many rows of a master went.
type Gone struct{ Jobs, Returns, Events int64 }

// ValidatePruning says what is wrong with the limit of a step. CodeInvalid.
func ValidatePruning(limit int) error {
	if limit < 1 {
		return gaea.Invalid("limit", "%d is not how many things to delete; use 1 or more", limit)
	}
	return nil
}

// NewPruning begins a step, in which so many rows may go.
func NewPruning(tx Tx, before, now time.Time, limit int) *Pruning {
	return &Pruning{
		tx: tx, Before: Micros(before), Asked: Micros(before.Add(-askedEvery)), Keys: min(Micros(before), Micros(now.Add(-keyLife))),
		Left: limit, gone: map[int64]*Gone{},
	}
}

// Parts carries out parts of the step, one after the other, until enough went.
func (p *Pruning) Parts(parts ...func() error) error {
	for _, part := range parts {
		if p.Left <= 0 {
			return nil
		}
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// Of is what went of a master.
func (p *Pruning) Of(master int64) *Gone {
	g := p.gone[master]
	if g == nil {
		g = &Gone{}
		p.gone[master] = g
	}
	return g
}

// Went counts things that were deleted.
func (p *Pruning) Went(n int) {
	p.Deleted += n
	p.Left -= n
}

// Count writes how many rows the masters have now.
func (p *Pruning) Count() error {
	for master, g := range p.gone {
		err := p.tx.Exec(`UPDATE masters SET jobs = jobs - ?, returns = returns - ?, events = events - ? WHERE id = ?`, g.Jobs, g.Returns, g.Events, master)
		if err != nil {
			return err
		}
	}
	clear(p.gone)
	return nil
}
