package tables

import (
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Pruning is one step of deleting what is old, in one transaction.
type Pruning struct {
	tx Tx

	Returns int64 // jobs, with their returns, that are older go
	Events  int64 // events that are older go
	Asked   int64 // evidence of state keys that were asked about since stays
	Keys    int64 // runs and their keys that are older go; at least as long ago as idempotency keys live

	Held    Held
	Left    int // how many rows may still go
	Deleted int // how many things went
	gone    map[int64]*Gone
}

// Gone is how many rows of a master went.
type Gone struct {
	Jobs, Returns, Events int64
	Raw, Sized            int64 // bytes of bodies as they came, and how many returns that were
}

// ValidatePruning says what is wrong with the limit of a step. CodeInvalid.
func ValidatePruning(limit int) error {
	if limit < 1 {
		return gaea.Invalid("limit", "%d is not how many things to delete; use 1 or more", limit)
	}
	return nil
}

// NewPruning begins a step, in which so many rows may go.
func NewPruning(tx Tx, e gaea.Expiry, now time.Time, limit int) *Pruning {
	return &Pruning{
		tx: tx, Returns: Micros(e.Returns), Events: Micros(e.Events), Asked: Micros(e.Returns) - askedEvery.Microseconds(),
		Keys: min(Micros(e.Runs), Micros(now.Add(-keyLife))), Left: limit, gone: map[int64]*Gone{},
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

// Count writes how many rows the masters have now, and before when jobs are gone.
func (p *Pruning) Count() error {
	jobs := false
	for master, g := range p.gone {
		jobs = jobs || g.Jobs > 0
		err := p.tx.Exec(`UPDATE masters SET jobs = jobs - ?, returns = returns - ?, events = events - ?, raw = raw - ?, sized = sized - ? WHERE id = ?`,
			g.Jobs, g.Returns, g.Events, g.Raw, g.Sized, master)
		if err != nil {
			return err
		}
	}
	clear(p.gone)
	if jobs {
		return p.tx.Exec(`UPDATE horizon SET until = ?1 WHERE until < ?1`, p.Returns)
	}
	return nil
}
