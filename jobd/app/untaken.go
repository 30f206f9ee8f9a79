package app

import (
	"context"
	"fmt"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// sweepGap is how often a leader looks for such runs of other masters.
const sweepGap = 10 * time.Second

// endUntaken ends the runs that a jobd has accepted for another one, and that nobody has taken up by the time that they have for it:
// whoever asked is not there any more, and nothing is to begin at a time that nobody chose. Those of the term's master are ended
// under its lease, those of a master that nobody leads in the place of who would.
func (a *App) endUntaken(ctx context.Context, t *term, f gaea.RunFilter) error {
	now, err := a.seat.Now(ctx)
	if err != nil {
		return err
	}
	f.Active, f.Status = true, gaea.RunQueued
	page := gaea.PageRequest{Limit: straysPage}
	for {
		found, err := a.store.ListRuns(ctx, f, page)
		if err != nil {
			return err
		}
		for i := range found.Items {
			if run := &found.Items[i]; tooLate(run, now) && !t.engine.Going(run.ID) {
				if err := a.endRun(ctx, t.lease, run, now); err != nil {
					return err
				}
			}
		}
		if found.Next == "" {
			return nil
		}
		page.Cursor = found.Next
	}
}

func tooLate(run *gaea.Run, now time.Time) bool { return !run.TakeBy.IsZero() && now.After(run.TakeBy) }

// endRun ends a run that nobody has taken up, unless somebody leads its master now, who sees to it.
func (a *App) endRun(ctx context.Context, lease *postgres.Lease, run *gaea.Run, now time.Time) error {
	if run.Master != a.master {
		many, ok := a.store.(*postgres.Store)
		if !ok {
			return nil
		}
		var err error
		if lease, err = many.Vacant(ctx, run.Master); err != nil || lease == nil {
			return err
		}
	}
	last, err := a.store.GetRun(ctx, run.ID) // as it is now that nobody else can change it
	if err != nil || last.Status != gaea.RunQueued || !tooLate(last, now) {
		return err
	}
	by := last.TakeBy.UTC().Format(time.RFC3339)
	machine.Untaken(last, fmt.Sprintf("no jobd that leads the master %q took the run up by %s, and nothing was published; see jobd masters, start a jobd beside that master, and ask again",
		last.Master, by), now)
	if err := lease.Runs().SaveRun(ctx, last); err != nil {
		return err
	}
	a.log.Warn("a run was not taken up in time and is ended", "run", last.ID, "master", last.Master, "by", by)
	a.parts.ended(last)
	return nil
}
