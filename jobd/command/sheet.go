package command

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// sheet is all there is to say about a run, for people.
type sheet struct {
	w   *world
	run *gaea.Run
	all bool // name everything
	now time.Time
	cut bool // something was not named
}

// What a sheet names where it does not name everything.
const (
	maxMinions  = 10 // of a group that ended alike
	maxGroups   = 20 // of one outcome
	maxSlices   = 20
	maxWhyLines = 5  // of what a minion says
	maxTryRuns  = 3  // of an action
	nameColumns = 96 // that a line of names takes at most
)

func (s *sheet) print(retries []gaea.Run, returns []gaea.Return) error {
	s.head(retries)
	if err := s.actions(); err != nil {
		return err
	}
	if err := s.slices(); err != nil {
		return err
	}
	s.minions()
	for i := range returns {
		s.w.printf("\n%s:\n%s\n", harmless(returns[i].Minion), indent(harmlessBlock(readable(&returns[i])), "    "))
	}
	s.next()
	return nil
}

// head says what the run is, how it stands, and why.
func (s *sheet) head(retries []gaea.Run) {
	r := s.run
	p := progressOf(r)
	what := string(r.Kind)
	if r.Assignment != "" {
		what += " of " + r.Assignment + ":"
	}
	how := "for"
	if r.Status.Final() {
		how = "in"
	}
	s.w.printf("%s  %s %s on %s: %s %s %s\n", r.ID, harmless(what), harmless(r.Function), harmless(shortTarget(r.Target)), standing(r, &p), how, age(r))
	if r.Message != "" {
		s.w.printf("%s\n", harmlessLines(r.Message))
	}
	if r.Verdict != "" && !r.Status.Final() {
		s.w.printf("will end as %s\n", words(r.Verdict))
	}
	if r.Reason != "" && !strings.Contains(r.Message, r.Reason) {
		s.w.printf("%s\n", harmlessLines(r.Reason))
	}
	if line := waitsFor(r, s.now); line != "" {
		s.w.printf("%s\n", line)
	}
	s.origin()
	if r.CheckRun != "" {
		s.w.printf("what is left was checked by %s\n", r.CheckRun)
	}
	for i := range retries {
		s.w.printf("repeated by %s: %s\n", retries[i].ID, words(retries[i].Status))
	}
}

// origin says where the run comes from and by which rules it goes.
func (s *sheet) origin() {
	r := s.run
	line := "asked for"
	if r.User != "" {
		line += " by " + harmless(r.User)
	}
	s.w.printf("%s at %s\n", line, clock(r.Created))
	switch {
	case r.RetryOf != "":
		s.w.printf("repeats %s\n", r.RetryOf)
	case r.Kind == gaea.RunForAction && r.Parent != "":
		s.w.printf("carries out an action of %s\n", r.Parent)
	case r.Parent != "":
		s.w.printf("belongs to %s\n", r.Parent)
	}
	if r.Template != "" {
		s.w.printf("by the template %s\n", r.Template)
	}
	if rules := batchRules(r.Batch); rules != "" {
		s.w.printf("%s\n", rules)
	}
	if r.Concurrency.Lock != "" {
		policy := r.Concurrency.Policy
		if policy == "" {
			policy = gaea.LockWait
		}
		s.w.printf("under the lock %s (%s)\n", harmless(r.Concurrency.Lock), policy)
	}
}

// batchRules says in words how a run is cut into slices.
func batchRules(b gaea.Batch) string {
	if !b.Sliced() {
		return ""
	}
	var parts []string
	switch {
	case b.Mode == gaea.BatchRolling:
		parts = append(parts, "rolling, "+b.Size.String()+" at work")
	case !b.Size.IsZero():
		parts = append(parts, "in slices of "+b.Size.String())
	}
	if !b.Canary.IsZero() {
		canary := "canary " + b.Canary.String()
		if !b.CanaryHold.IsZero() {
			canary += ", then a hold of " + b.CanaryHold.String()
		}
		parts = append(parts, strings.Replace(canary, "a hold of manual", "a hold until resumed", 1))
	}
	if b.Wait > 0 {
		parts = append(parts, b.Wait.String()+" between")
	}
	if b.MaxFailures.IsSet() {
		parts = append(parts, "halted when more than "+b.MaxFailures.String()+" go wrong")
	}
	if b.Order == gaea.OrderRandom {
		parts = append(parts, "in random order")
	}
	return strings.Join(parts, ", ")
}

// actions has a line for each action that has begun or was skipped.
func (s *sheet) actions() error {
	var rows [][]string
	for _, a := range allActions(s.run) {
		if a.Status == "" {
			continue
		}
		where := "run"
		if a.slice >= 0 {
			where = fmt.Sprintf("slice %d", sliceNumber(s.run, a.slice))
		}
		runs := a.Runs
		if len(runs) > maxTryRuns && !s.all {
			runs = append([]string{"…"}, runs[len(runs)-maxTryRuns:]...)
			s.cut = true
		}
		tries := ""
		if a.Attempts > 0 {
			tries = fmt.Sprint(a.Attempts)
		}
		rows = append(rows, []string{
			string(a.Phase), harmless(a.Name), harmless(a.What), where, words(a.Status), tries, took(a.Started, a.Ended, s.now),
			strings.Join(runs, ","), firstLine(a.Message),
		})
	}
	if len(rows) == 0 {
		return nil
	}
	s.w.printf("\n")
	return table(s.w.Stdout, []string{"when", "action", "what", "for", "status", "tries", "took", "runs", "why"}, rows)
}

// slices has a line for each slice, or for those that something is to be said about.
func (s *sheet) slices() error {
	r := s.run
	if len(r.Slices) < 2 && !r.Batch.Sliced() {
		return nil
	}
	var rows [][]string
	left := 0
	for i := range r.Slices {
		sl := &r.Slices[i]
		if !s.all && len(r.Slices) > maxSlices && (len(rows) == maxSlices || !s.notable(sl)) {
			left++
			continue
		}
		name := fmt.Sprint(sliceNumber(r, sl.Index))
		switch {
		case sl.Again:
			name = "again"
		case sl.Canary:
			name += " canary"
		}
		started := "-"
		if !sl.Started.IsZero() {
			started = clock(sl.Started)
		}
		rows = append(rows, []string{name, fmt.Sprint(len(sl.Minions)), sl.JID, started, took(sl.Started, sl.Ended, s.now), counts(tallyOf(r, sl))})
	}
	if len(rows) == 0 { // there was nobody to put into a slice
		return nil
	}
	s.w.printf("\n")
	if err := table(s.w.Stdout, []string{"slice", "minions", "jid", "begun", "took", "outcomes"}, rows); err != nil {
		return err
	}
	if left > 0 {
		s.w.printf("and %d more slices of which there is nothing special to say\n", left)
		s.cut = true
	}
	return nil
}

// notable says whether a slice is a canary, is at work, or has minions that did not end well.
func (s *sheet) notable(sl *gaea.Slice) bool {
	if sl.JID == "" {
		return false
	}
	return sl.Canary || sl.Again || sl.Ended.IsZero() || slices.ContainsFunc(sl.Minions, func(id string) bool { return !s.run.Minions[id].Outcome.OK() })
}

// alike are minions that ended in the same way for the same reason.
type alike struct {
	outcome gaea.Outcome
	late    bool
	message string
	minions []string
}

// groups puts together what ended alike: by outcome in the order in which people want them, then the largest first.
func groups(r *gaea.Run) []alike {
	type key struct {
		outcome gaea.Outcome
		late    bool
		message string
	}
	found := map[key]*alike{}
	for _, id := range slices.Sorted(maps.Keys(r.Minions)) {
		m := r.Minions[id]
		k := key{m.Outcome, m.Late, m.Message}
		if found[k] == nil {
			found[k] = &alike{outcome: m.Outcome, late: m.Late, message: m.Message}
		}
		found[k].minions = append(found[k].minions, id)
	}
	rank := map[gaea.Outcome]int{}
	for i, o := range gaea.Outcomes() {
		rank[o] = i
	}
	var list []alike
	for _, g := range found {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b alike) int {
		switch {
		case a.outcome != b.outcome:
			return rank[a.outcome] - rank[b.outcome]
		case len(a.minions) != len(b.minions):
			return len(b.minions) - len(a.minions)
		default:
			return strings.Compare(a.minions[0], b.minions[0])
		}
	})
	return list
}

// minions tells how they ended, why, and who they are.
func (s *sheet) minions() {
	if len(s.run.Minions) == 0 {
		return
	}
	s.w.printf("\n")
	shown := map[gaea.Outcome]int{}
	more := map[gaea.Outcome]int{}
	list := groups(s.run)
	for i := range list {
		g := &list[i]
		if shown[g.outcome]++; shown[g.outcome] > maxGroups && !s.all {
			more[g.outcome] += len(g.minions)
		} else {
			s.group(g)
		}
		if last := i+1 == len(list) || list[i+1].outcome != g.outcome; last && more[g.outcome] > 0 {
			s.w.printf("%d more %s, for other reasons\n", more[g.outcome], words(g.outcome))
			s.cut = true
		}
	}
}

func (s *sheet) group(g *alike) {
	line := fmt.Sprintf("%d %s", len(g.minions), words(g.outcome))
	if g.late {
		line += ", late"
	}
	why := strings.Split(strings.TrimPrefix(strings.TrimSpace(g.message), words(g.outcome)+"; "), "\n") // "killed: killed; …"
	if why[0] != "" {
		line += ": " + harmless(why[0])
	}
	s.w.printf("%s\n", line)
	rest := why[1:]
	if len(rest) > maxWhyLines && !s.all {
		rest = append(slices.Clone(rest[:maxWhyLines]), "…")
		s.cut = true
	}
	for _, l := range rest {
		s.w.printf("    %s\n", harmless(l))
	}
	names := g.minions
	tail := ""
	if len(names) > maxMinions+1 && !s.all {
		tail = fmt.Sprintf(" and %d more", len(names)-maxMinions)
		names = names[:maxMinions]
		s.cut = true
	}
	for l := range strings.Lines(folded(names, nameColumns) + tail) {
		s.w.printf("  %s\n", strings.TrimRight(l, "\n"))
	}
}

// folded writes names with commas between, in lines of at most so many columns.
func folded(names []string, columns int) string {
	var b strings.Builder
	at := 0
	for i, name := range names {
		name = harmless(name)
		if i > 0 {
			b.WriteByte(',')
			if at+len(name)+2 > columns {
				b.WriteByte('\n')
				at = 0
			} else {
				b.WriteByte(' ')
				at += 2
			}
		}
		b.WriteString(name)
		at += len(name)
	}
	return b.String()
}

// next says what can be done now.
func (s *sheet) next() {
	r := s.run
	var lines []string
	if s.cut {
		lines = append(lines, "See all of it with: jobd show --all "+r.ID)
	}
	tally := r.Tally()
	again := 0
	for _, o := range gaea.RetryOutcomes() {
		again += tally[o]
	}
	if r.Status.Final() && r.Kind != gaea.RunCheck && r.Kind != gaea.RunForAction {
		if again > 0 {
			lines = append(lines, fmt.Sprintf("Run it again on the %s that went wrong with: jobd retry %s", minions(again), r.ID))
		}
		if left, outcomes := leftUndone(tally); left > 0 {
			lines = append(lines, fmt.Sprintf("Run it on what is left (%s) with: jobd retry --outcome %s %s", minions(left), outcomes, r.ID))
		}
	}
	if len(lines) > 0 {
		s.w.printf("\n%s\n", strings.Join(lines, "\n"))
	}
}

// leftUndone is how many minions a run has left undone, and their outcomes as a retry takes them.
func leftUndone(tally map[gaea.Outcome]int) (left int, outcomes string) {
	var names []string
	for _, o := range []gaea.Outcome{gaea.OutcomeKilled, gaea.OutcomeSkipped} {
		if tally[o] > 0 {
			left += tally[o]
			names = append(names, string(o))
		}
	}
	return left, strings.Join(names, ",")
}

// took is how long something took, or takes so far; "-" where it has not begun.
func took(started, ended, now time.Time) string {
	if started.IsZero() {
		return "-"
	}
	if ended.IsZero() {
		return rounded(max(now.Sub(started), 0)) + " …"
	}
	return fmt.Sprint(max(ended.Sub(started), 0).Round(100 * time.Millisecond))
}

// age is how long a run took, or takes so far.
func age(r *gaea.Run) string {
	end := r.Ended
	if end.IsZero() {
		end = time.Now()
	}
	return fmt.Sprint(max(end.Sub(r.Created), 0).Round(100 * time.Millisecond))
}

// harmlessBlock is a text of many lines without control characters but line breaks and tabs, as it is otherwise.
func harmlessBlock(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		cells := strings.Split(strings.TrimSuffix(line, "\r"), "\t")
		for k, cell := range cells {
			cells[k] = harmless(cell)
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}

// harmlessLines is a text without control characters but line breaks.
func harmlessLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		lines[i] = harmless(line)
	}
	return strings.Join(lines, "\n")
}
