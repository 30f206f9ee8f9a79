package killtest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// verify checks all that has to hold when the runs of a round have ended.
func (r *round) verify(ctx context.Context) error {
	r.jids = map[string]int{}
	for _, j := range r.jobs {
		if err := r.readChildren(ctx, j); err != nil {
			return err
		}
		for _, check := range []func(*job) error{r.ended, r.outcomes, r.worked, r.acted} {
			if err := check(j); err != nil {
				return err
			}
		}
		for _, run := range append([]*gaea.Run{j.run}, j.children...) {
			if err := r.kept(ctx, run); err != nil {
				return err
			}
		}
	}
	if err := r.apart(); err != nil {
		return err
	}
	if err := r.once(ctx); err != nil {
		return err
	}
	var err error
	r.traced, err = r.count()
	return err
}

// readChildren reads the runs that the actions of a run made.
func (r *round) readChildren(ctx context.Context, j *job) error {
	for head, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
		return r.cfg.Client.ListRuns(ctx, gaea.RunFilter{Parent: j.id}, p)
	}) {
		if err != nil {
			return err
		}
		child, err := r.cfg.Client.GetRun(ctx, head.ID)
		if err != nil {
			return err
		}
		j.children = append(j.children, child)
	}
	return nil
}

// ended checks how a run ended as a whole.
func (r *round) ended(j *job) error {
	want := gaea.RunSucceeded
	switch {
	case j.control == cancelIt && !j.cancelled.IsZero():
		want = gaea.RunCancelled
	case j.halts:
		want = gaea.RunHalted
	case j.fails != "":
		want = gaea.RunFailed
	}
	if j.run.Status != want {
		return violation("run %s ended as %s, not %s: %s", j.id, j.run.Status, want, j.run.Message)
	}
	return nil
}

// outcomes checks that each minion has one outcome, and the right one.
func (r *round) outcomes(j *job) error {
	if got, all := slices.Sorted(maps.Keys(j.run.Minions)), slices.Sorted(slices.Values(r.traces.lab.Minions())); !slices.Equal(got, all) {
		return violation("run %s has the minions %q, not %q", j.id, got, all)
	}
	good := gaea.OutcomeSucceeded
	if strings.HasPrefix(j.template.Function, "state.") {
		good = gaea.OutcomeChanged
	}
	for name, rm := range j.run.Minions {
		right := rm.Outcome == good
		switch {
		case !j.cancelled.IsZero():
			right = right || rm.Outcome == gaea.OutcomeKilled || rm.Outcome == gaea.OutcomeSkipped && rm.JID == ""
		case name == j.fails:
			right = rm.Outcome == gaea.OutcomeFailed
		case j.halts:
			right = right || rm.Outcome == gaea.OutcomeSkipped && rm.JID == ""
		}
		if !right {
			return violation("run %s ended on %s as %q (%s)", j.id, name, rm.Outcome, rm.Message)
		}
	}
	return nil
}

// worked checks on each minion that the run's function ran there once where it was told, and not at all where it was not.
func (r *round) worked(j *job) error {
	for name, rm := range j.run.Minions {
		began, err := r.marks(name, mark(j.letter, "work"))
		if err != nil {
			return err
		}
		done, err := r.marks(name, mark(j.letter, workDone))
		if err != nil {
			return err
		}
		right := began == 1 && done == 1
		switch rm.Outcome {
		case gaea.OutcomeSkipped:
			right = began == 0
		case gaea.OutcomeKilled:
			right = began <= 1 && done == 0
		default: // it returned
		}
		if !right {
			return violation("run %s is %q on %s, and its function began there %d times and came to its end %d times", j.id, rm.Outcome, name, began, done)
		}
	}
	return nil
}

func (r *round) marks(minion, mark string) (int, error) {
	found, err := lines(r.traces.minion(r.number, minion))
	return countOf(found, mark), err
}

func countOf(words []string, word string) int {
	n := 0
	for _, w := range words {
		if w == word {
			n++
		}
	}
	return n
}

// apart checks that runs of one lock have done nothing on a minion while another was at work.
func (r *round) apart() error {
	if r.jobs[0].template.Concurrency.Lock == "" {
		return nil
	}
	for _, name := range r.traces.lab.Minions() {
		found, err := lines(r.traces.minion(r.number, name))
		if err != nil {
			return err
		}
		for i := range found {
			letter, _, _ := strings.Cut(found[i], ".")
			found[i] = letter
		}
		turns := slices.Compact(found)
		if len(turns) != len(r.jobs) {
			return violation("on %s the runs of one lock took turns: %q", name, turns)
		}
		if r.jobs[1].later && turns[0] != r.jobs[0].letter {
			return violation("on %s run %s went before run %s, which had its lock", name, r.jobs[1].id, r.jobs[0].id)
		}
	}
	return nil
}

// once checks that no work of this round is that of two runs: a request whose answer was lost has made one.
func (r *round) once(ctx context.Context) error {
	for _, j := range r.jobs {
		page, err := r.cfg.Client.ListRuns(ctx, gaea.RunFilter{Since: j.run.Created.Add(-time.Minute), NoActions: true}, gaea.PageRequest{Limit: 1000})
		if err != nil {
			return err
		}
		for _, other := range page.Items {
			if name, _, _ := strings.Cut(other.Template, "@"); name == j.template.Name && other.ID != j.id {
				return violation("one key made two runs, %s and %s", j.id, other.ID)
			}
		}
	}
	return nil
}

// count counts the marks in every trace of the round.
func (r *round) count() (map[string]int, error) {
	files := []string{r.traces.master(r.number)}
	for _, name := range r.traces.lab.Minions() {
		files = append(files, r.traces.minion(r.number, name))
	}
	counts := map[string]int{}
	for _, file := range files {
		found, err := lines(file)
		if err != nil {
			return nil, err
		}
		counts[file] = len(found)
	}
	return counts, nil
}

// unchanged checks that nothing has come after the round.
func (r *round) unchanged(ctx context.Context) error {
	now, err := r.count()
	if err != nil {
		return err
	}
	if !maps.Equal(now, r.traced) {
		return violation("after its runs had ended the traces grew from %v to %v", r.traced, now)
	}
	for jid, n := range r.jids {
		switch now, err := r.compare(ctx, jid); {
		case err != nil:
			return err
		case now != n:
			return violation("job %s had %d returns when its run had ended, and has %d", jid, n, now)
		}
	}
	return nil
}
