package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
)

const (
	minionsNamed = 5   // at most, in a message
	valueShown   = 200 // characters of a value that is quoted in one
	// judgedMost is how many bytes the returns may have together of which something is expected: an expectation sees them all.
	judgedMost = 64 << 20
)

// expectation compiles what an action expects.
func (e *Engine) expectation(expr string) (gaea.Expectation, error) {
	if e.deps.Expect == nil {
		return nil, gaea.Errorf(gaea.CodeInvalid, "expectations cannot be evaluated here; leave expect out")
	}
	return e.deps.Expect(expr)
}

// judge says whether the run of an action brought what the action expects.
func (e *Engine) judge(ctx context.Context, a *gaea.JobAction, run *gaea.Run) tried {
	names := slices.Sorted(maps.Keys(run.Minions))
	switch {
	case !run.Status.Final():
		return failed("run %s has not ended", run.ID)
	case run.Status == gaea.RunCancelled, len(names) == 0:
		return failed("%s", run.Message)
	case a.Expect == "":
		return judgeOutcomes(run, names)
	}
	expectation, err := e.expectation(a.Expect)
	if err != nil {
		return failed("expected %s: %s", a.Expect, gaea.MessageOf(err))
	}
	returns, err := e.returnsOf(ctx, run)
	if err != nil {
		return failed("the returns of run %s cannot be read: %s", run.ID, gaea.MessageOf(err))
	}
	return judgeReturns(ctx, a.Expect, expectation, run, names, returns)
}

// judgeOutcomes is for an action that expects nothing in particular: each minion's outcome must be OK.
func judgeOutcomes(run *gaea.Run, names []string) tried {
	var bad listing
	for _, name := range names {
		if rm := run.Minions[name]; !rm.Outcome.OK() {
			bad.add(name, "%s", outcomeWords(rm))
		}
	}
	switch {
	case bad.n == 0:
		return tried{ok: true, message: "done on " + minionCount(len(names))}
	case len(names) == 1:
		return failed("failed on %s", bad.String())
	default:
		return failed("failed on %d of %s: %s", bad.n, minionCount(len(names)), bad.String())
	}
}

// judgeReturns evaluates an expectation for each minion, or once for all. A minion without a return fails it.
func judgeReturns(ctx context.Context, text string, expectation gaea.Expectation, run *gaea.Run, names []string, returns map[string]*gaea.Return) tried {
	bodies := make(map[string]json.RawMessage, len(returns))
	for name, ret := range returns {
		bodies[name] = ret.Body
	}
	var silent, wrong, unclear listing
	for _, name := range names {
		if ctx.Err() != nil {
			return failed("expected %s: not judged in time", text)
		}
		ret, rm := returns[name], run.Minions[name]
		if ret == nil {
			silent.add(name, "%s", outcomeWords(rm))
			continue
		}
		if !expectation.PerMinion() {
			continue
		}
		is, err := expectation.Eval(ctx, gaea.ExpectInput{
			Ret: ret.Body, Minion: name, Retcode: retcode(ret), Outcome: ret.Outcome, Success: ret.Outcome.OK(), Returns: bodies,
		})
		switch {
		case err != nil:
			unclear.add(name, "%s; %s", gaea.MessageOf(err), returned(ret.Body))
		case !is:
			wrong.add(name, "%s", withOutcome(ret))
		}
	}
	var parts []string
	if wrong.n > 0 {
		parts = append(parts, "false on "+wrong.String())
	}
	if unclear.n > 0 {
		parts = append(parts, "cannot be told on "+unclear.String())
	}
	if silent.n > 0 {
		parts = append(parts, "no return from "+silent.String())
	}
	if !expectation.PerMinion() && silent.n == 0 {
		is, err := expectation.Eval(ctx, gaea.ExpectInput{Returns: bodies})
		switch {
		case err != nil:
			parts = append(parts, "cannot be told: "+gaea.MessageOf(err))
		case !is:
			var all listing
			for _, name := range names {
				all.add(name, "%s", withOutcome(returns[name]))
			}
			parts = append(parts, "false; "+all.String())
		}
	}
	if len(parts) > 0 {
		return failed("expected %s: %s", text, strings.Join(parts, "; "))
	}
	return tried{ok: true, message: fmt.Sprintf("expected %s: true on %s", text, minionCount(len(names)))}
}

// judgeAnswer says whether what a runner or a request answered is what an action expects; without an expectation whether
// it ended well.
func (e *Engine) judgeAnswer(ctx context.Context, a *gaea.JobAction, ret json.RawMessage, success bool) tried {
	if a.Expect == "" {
		return tried{ok: success, message: returned(ret)}
	}
	expectation, err := e.expectation(a.Expect)
	if err != nil {
		return failed("expected %s: %s", a.Expect, gaea.MessageOf(err))
	}
	in := gaea.ExpectInput{Ret: ret, Outcome: gaea.OutcomeSucceeded, Success: success}
	if !success {
		in.Outcome, in.Retcode = gaea.OutcomeFailed, 1
	}
	is, err := expectation.Eval(ctx, in)
	switch {
	case err != nil:
		return failed("expected %s: cannot be told: %s (%s)", a.Expect, gaea.MessageOf(err), returned(ret))
	case !is:
		return failed("expected %s: false (%s)", a.Expect, returned(ret))
	default:
		return tried{ok: true, message: fmt.Sprintf("expected %s: true", a.Expect)}
	}
}

// returnsOf reads what the minions of a run returned. What the archive lacks, because it was lost on its way, is read from
// the job cache and redacted as the archive would.
func (e *Engine) returnsOf(ctx context.Context, run *gaea.Run) (map[string]*gaea.Return, error) {
	missing := map[string]int{} // by job
	for _, rm := range run.Minions {
		if rm.Outcome.Heard() && rm.JID != "" {
			missing[rm.JID]++
		}
	}
	found, size := make(map[string]*gaea.Return, len(run.Minions)), 0
	take := func(ret *gaea.Return) error {
		if rm, ok := run.Minions[ret.Minion]; !ok || rm.JID != ret.JID || found[ret.Minion] != nil || !ret.Outcome.Heard() {
			return nil
		}
		if size += len(ret.Body); size > judgedMost {
			return gaea.Errorf(gaea.CodeTooLarge, "they are larger than %d MiB together; expect something of a function that returns less", judgedMost>>20)
		}
		kept := *ret
		kept.States = nil // no expectation is told of them
		found[ret.Minion] = &kept
		missing[ret.JID]--
		return nil
	}
	for _, jid := range slices.Sorted(maps.Keys(missing)) {
		if err := e.archivedReturns(ctx, jid, take); err != nil {
			return nil, err
		}
		if missing[jid] <= 0 {
			continue
		}
		err := e.cachedReturns(ctx, jid, func(part *gaea.CachedJob) error {
			for i := range part.Returns {
				redact.Return(&part.Returns[i])
				if err := take(&part.Returns[i]); err != nil {
					return err
				}
			}
			return nil
		})
		switch {
		case size > judgedMost:
			return nil, err
		case err != nil:
			e.deps.Logger.Warn("returns that the archive lacks not read from the job cache", "run", run.ID, "jid", jid, "err", err)
		}
	}
	return found, nil
}

// archivedReturns hands on what is stored of a job, until that was read or what takes it has failed.
func (e *Engine) archivedReturns(ctx context.Context, jid string, take func(*gaea.Return) error) error {
	for failures := 1; ; failures++ {
		var refused error
		err := e.archived(ctx, jid, func(ret *gaea.Return) error {
			refused = take(ret)
			return refused
		})
		if err == nil || refused != nil {
			return err
		}
		if wait(ctx, retryPause(failures)) != nil {
			return err
		}
	}
}

func (e *Engine) cachedReturns(ctx context.Context, jid string, part func(*gaea.CachedJob) error) error {
	select {
	case e.lookingUp <- struct{}{}:
		defer func() { <-e.lookingUp }()
	case <-ctx.Done():
		return ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	return e.deps.Cache.CachedJobParts(limited, jid, part)
}

// retcode is a return's, see [gaea.ExpectInput].
func retcode(ret *gaea.Return) int {
	switch {
	case ret.Retcode != nil:
		return *ret.Retcode
	case ret.Outcome.OK():
		return 0
	default:
		return 1
	}
}

// listing names the first few minions of many, with what there is to say of each.
type listing struct {
	n     int
	named []string
}

func (l *listing) add(name, format string, args ...any) {
	if l.n++; l.n <= minionsNamed {
		l.named = append(l.named, fmt.Sprintf("%s (%s)", name, fmt.Sprintf(format, args...)))
	}
}

// String writes the listing for people.
func (l *listing) String() string {
	s := strings.Join(l.named, ", ")
	if l.n > minionsNamed {
		s += fmt.Sprintf(" and %d more", l.n-minionsNamed)
	}
	return s
}

func minionCount(n int) string {
	if n == 1 {
		return "one minion"
	}
	return fmt.Sprintf("%d minions", n)
}

// outcomeWords says how a minion ended.
func outcomeWords(rm gaea.RunMinion) string {
	words := outcomeName(rm.Outcome)
	if rm.Message != "" {
		words += ": " + cut(strings.Join(strings.Fields(rm.Message), " "), valueShown)
	}
	return words
}

func outcomeName(o gaea.Outcome) string { return strings.ReplaceAll(string(o), "_", " ") }

// withOutcome says what a minion returned, and how it ended where that was not well.
func withOutcome(ret *gaea.Return) string {
	if ret.Outcome.OK() {
		return returned(ret.Body)
	}
	return outcomeName(ret.Outcome) + ", " + returned(ret.Body)
}

// returned quotes what was returned.
func returned(body json.RawMessage) string {
	if len(body) == 0 {
		return "returned nothing"
	}
	return "returned " + cut(string(body), valueShown)
}

// cut shortens a text to so many characters.
func cut(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}
