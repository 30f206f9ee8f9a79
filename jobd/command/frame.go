package command

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// frame is what a terminal shows of a run that goes on.
type frame struct {
	run   *gaea.Run
	now   time.Time
	pace  *pace
	note  string // what Ctrl-C does, or did
	width int
	paint palette
}

// The most that a frame names one by one.
const (
	maxLags    = 3
	maxActions = 3
)

// lines are the frame's, from the first to the last. Each may be wider than the screen.
func (f *frame) lines() []string {
	p := progressOf(f.run)
	lines := []string{
		f.paint.bold(f.run.ID) + "  " + title(f.run),
		f.head(&p),
	}
	if line := f.counts(&p); line != "" {
		lines = append(lines, line)
	}
	if line := lagging(&p, f.now); line != "" {
		lines = append(lines, f.paint.dim("at work longest: ")+line)
	}
	for i, a := range running(f.run) {
		if i == maxActions {
			break
		}
		lines = append(lines, actionLine(&a, f.run, f.now))
	}
	if line := waitsFor(f.run, f.now); line != "" {
		lines = append(lines, f.paint.yellow(line))
	}
	if v := f.run.Verdict; v != "" && !f.run.Status.Final() && f.run.Status != gaea.RunCancelling {
		line := "will end as " + words(v)
		if f.run.Reason != "" {
			line += ": " + firstLine(f.run.Reason)
		}
		lines = append(lines, f.verdict(v)(line))
	}
	if f.note != "" {
		lines = append(lines, f.paint.dim(f.note))
	}
	return lines
}

func (f *frame) verdict(s gaea.RunStatus) func(string) string {
	if s == gaea.RunSucceeded {
		return f.paint.green
	}
	return f.paint.red
}

// head says where the run stands: "running, slice 3 of 10  ███░░░  27 of 100 minions  1m12s, about 3m left".
func (f *frame) head(p *progress) string {
	status := standing(f.run, p)
	times := rounded(max(f.now.Sub(f.run.Created), 0))
	if left, ok := f.pace.left(p.atWork + p.toCome); ok && !frozen(f.run) && f.run.Status == gaea.RunRunning && f.run.Verdict == "" {
		times += ", about " + roughly(left) + " left"
	}
	if p.total == 0 {
		return f.paint.bold(status) + "  " + times
	}
	count := fmt.Sprintf("%d of %s", p.done, minions(p.total))
	room := f.width - 1 - wide(status) - wide(count) - wide(times) - 6
	bar := ""
	if room >= 8 {
		bar = f.bar(p, min(room, 40)) + "  "
	}
	return f.paint.bold(status) + "  " + bar + count + "  " + times
}

// bar has parts for minions that ended well, that did not, and that are at work.
func (f *frame) bar(p *progress, columns int) string {
	part := func(n int) int { return int(math.Round(float64(n) * float64(columns) / float64(p.total))) }
	well := part(p.done - p.bad)
	bad := part(p.done) - well
	if p.bad > 0 && bad == 0 { // what went wrong is always seen
		bad = 1
		well = max(well-1, 0)
	}
	busy := max(part(p.done+p.atWork)-well-bad, 0)
	rest := max(columns-well-bad-busy, 0)
	return f.paint.green(strings.Repeat("█", well)) + f.paint.red(strings.Repeat("▓", bad)) + f.paint.yellow(strings.Repeat("▒", busy)) +
		f.paint.dim(strings.Repeat("░", rest))
}

// counts says "25 changed, 2 failed; 10 at work, 63 to come; 0.4 minions/s".
func (f *frame) counts(p *progress) string {
	var parts []string
	if c := counts(p.counts); c != "-" {
		if p.bad > 0 {
			c = f.paint.red(c)
		}
		parts = append(parts, c)
	}
	var open []string
	if p.atWork > 0 {
		open = append(open, fmt.Sprintf("%d at work", p.atWork))
	}
	if p.toCome > 0 {
		open = append(open, fmt.Sprintf("%d to come", p.toCome))
	}
	if len(open) > 0 {
		parts = append(parts, strings.Join(open, ", "))
	}
	if rate := f.pace.rate(); rate > 0 && p.atWork+p.toCome > 0 && !frozen(f.run) {
		parts = append(parts, speed(rate))
	}
	return strings.Join(parts, "; ")
}

// title says what a run does: "state.apply of nginx on web*".
func title(r *gaea.Run) string {
	what := r.Function
	if r.Assignment != "" {
		what = string(r.Kind) + " of " + r.Assignment
	}
	if target := shortTarget(r.Target); target != "" {
		what += " on " + target
	}
	return harmless(what)
}

// standing is a run's status with the slice: "running, slice 3 of 10 (canary)".
func standing(r *gaea.Run, p *progress) string {
	s := words(r.Status)
	if r.Status.Final() && r.CheckState == gaea.CheckPending {
		s = "checking what is left"
	}
	if p.slice == 0 || p.slices == 1 {
		return s
	}
	s += fmt.Sprintf(", slice %d", p.slice)
	if p.slices > 0 {
		s += fmt.Sprintf(" of %d", p.slices)
	}
	if p.canary {
		s += " (canary)"
	}
	return s
}

// lagging names the minions that are at work the longest.
func lagging(p *progress, now time.Time) string {
	var parts []string
	for i, l := range p.lags {
		if i == maxLags {
			break
		}
		part := harmless(l.minion)
		if !l.since.IsZero() {
			part += " " + rounded(max(now.Sub(l.since), 0))
		}
		if l.message != "" {
			part += " (" + firstLine(l.message) + ")"
		}
		parts = append(parts, part)
	}
	line := strings.Join(parts, ", ")
	if more := len(p.lags) - maxLags; more > 0 {
		line += fmt.Sprintf(" and %d more", more)
	}
	return line
}

// actionLine says how an action stands that is at work.
func actionLine(a *actionAt, r *gaea.Run, now time.Time) string {
	line := fmt.Sprintf("%s-action %s: %s", a.Phase, harmless(a.Name), harmless(a.What))
	if a.slice >= 0 {
		line += fmt.Sprintf(", slice %d", sliceNumber(r, a.slice))
	}
	if a.Attempts > 1 || a.Status == gaea.ActionWaiting {
		line += fmt.Sprintf(", try %d", max(a.Attempts, 1))
	}
	switch {
	case a.Status == gaea.ActionWaiting && a.Next.After(now):
		line += ", the next in " + rounded(a.Next.Sub(now))
	case a.Status == gaea.ActionRunning && !a.Started.IsZero():
		line += ", " + rounded(max(now.Sub(a.Started), 0))
	}
	if a.Message != "" {
		line += ": " + firstLine(a.Message)
	}
	return line
}

// sliceNumber is a slice's place among those that people count, from 1; 0 for one that tells minions again.
func sliceNumber(r *gaea.Run, index int) int {
	n := 0
	for i := range r.Slices {
		if r.Slices[i].Again {
			if r.Slices[i].Index == index {
				return 0
			}
			continue
		}
		n++
		if r.Slices[i].Index == index {
			return n
		}
	}
	return index + 1
}

// waitsFor says what has to happen before the run goes on; empty where it is at work.
func waitsFor(r *gaea.Run, now time.Time) string {
	switch {
	case r.Status.Final():
		if r.CheckState == gaea.CheckPending && r.CheckRun != "" {
			return "waits for the check " + r.CheckRun
		}
		return ""
	case r.Blocked != nil && r.Pause != nil:
		return blocked(r.Blocked, now) + "; " + paused(r, now)
	case r.Blocked != nil:
		return blocked(r.Blocked, now)
	case r.Pause != nil:
		return paused(r, now)
	case r.Status == gaea.RunQueued && !r.TakeBy.IsZero():
		return fmt.Sprintf("waits for the jobd that leads the master %s, until %s", harmless(r.Master), clock(r.TakeBy))
	case r.Status == gaea.RunCancelling:
		line := "nothing more is published; each minion is asked whether the job is gone"
		if r.Grace > 0 {
			line += fmt.Sprintf(", after %s to end by itself", r.Grace)
		}
		return line
	case len(r.Minions) == 0 && r.Status == gaea.RunRunning:
		return "asks which minions the target matches"
	case openEnded(r) && r.Status == gaea.RunRunning && !slices.ContainsFunc(r.Slices, func(s gaea.Slice) bool { return s.JID == "" || s.Ended.IsZero() }):
		return "waits for minions that have not answered yet"
	}
	if at, ok := nextSlice(r); ok && at.After(now) {
		return "the next slice begins in " + rounded(at.Sub(now))
	}
	return ""
}

func blocked(b *gaea.Blocked, now time.Time) string {
	line := fmt.Sprintf("waits for the lock %s", harmless(b.Lock))
	if len(b.Runs) > 0 {
		line += ", which " + few(b.Runs, maxLags) + " has"
	}
	if len(b.Minions) > 0 {
		line += " on " + few(b.Minions, maxLags)
	}
	if !b.Since.IsZero() {
		line += ", since " + rounded(max(now.Sub(b.Since), 0))
	}
	return line
}

func paused(r *gaea.Run, now time.Time) string {
	by, asked := "", ""
	if r.Pause.By != "" {
		by, asked = " by "+harmless(r.Pause.By), ", as "+harmless(r.Pause.By)+" asked"
	}
	switch {
	case r.Pause.Since.IsZero() && r.Status == gaea.RunQueued:
		return fmt.Sprintf("pauses before it begins%s; take it back with: jobd resume %s", asked, r.ID)
	case r.Pause.Since.IsZero():
		return fmt.Sprintf("pauses when what runs has ended%s; take it back with: jobd resume %s", asked, r.ID)
	case r.Pause.Reason == gaea.PauseCanary:
		return fmt.Sprintf("paused since %s: the canary has ended well; go on with: jobd resume %s", rounded(max(now.Sub(r.Pause.Since), 0)), r.ID)
	default:
		return fmt.Sprintf("paused%s since %s; go on with: jobd resume %s", by, rounded(max(now.Sub(r.Pause.Since), 0)), r.ID)
	}
}

// few names so many, and says how many more there are.
func few(names []string, n int) string {
	if len(names) <= n+1 {
		return harmless(strings.Join(names, ", "))
	}
	return harmless(strings.Join(names[:n], ", ")) + fmt.Sprintf(" and %d more", len(names)-n)
}

func minions(n int) string {
	if n == 1 {
		return "1 minion"
	}
	return fmt.Sprintf("%d minions", n)
}

// speed is a rate as people say it: by the second, or by the minute where that is slow.
func speed(rate float64) string {
	switch {
	case rate >= 10:
		return fmt.Sprintf("%.0f minions/s", rate)
	case rate >= 0.1:
		return fmt.Sprintf("%.1f minions/s", rate)
	default:
		return fmt.Sprintf("%.1f minions/min", rate*60)
	}
}

// rounded is a time to the second.
func rounded(d time.Duration) string { return gaea.Duration(d.Round(time.Second)).String() }

// roughly is a time with no more precision than an estimate has.
func roughly(d time.Duration) string {
	step := time.Second
	switch {
	case d >= 2*time.Hour:
		step = 10 * time.Minute
	case d >= 5*time.Minute:
		step = time.Minute
	case d >= time.Minute:
		step = 10 * time.Second
	case d >= 10*time.Second:
		step = 5 * time.Second
	}
	return gaea.Duration(max(d.Round(step), time.Second)).String()
}
