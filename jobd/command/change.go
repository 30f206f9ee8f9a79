package command

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// change is one thing that happened to a run, as --watch --output json prints it: one object a line. Which fields there are
// depends on the event: status, slice, action, minion, blocked or pause.
type change struct {
	Time  time.Time `json:"time"` // when it was seen
	Run   string    `json:"run"`
	Event string    `json:"event"`

	Status  string               `json:"status,omitempty"` // of the run, the slice (running, ended) or the action
	Verdict gaea.RunStatus       `json:"verdict,omitempty"`
	Reason  string               `json:"reason,omitempty"`
	Counts  map[gaea.Outcome]int `json:"counts,omitempty"` // of the run's or the slice's minions
	Slice   int                  `json:"slice,omitempty"`  // which, from 1
	Slices  int                  `json:"slices,omitempty"` // of how many; absent while that is not known
	Canary  bool                 `json:"canary,omitempty"`
	JID     string               `json:"jid,omitempty"`
	Action  *gaea.RunAction      `json:"action,omitempty"`
	Minion  string               `json:"minion,omitempty"`
	Outcome gaea.Outcome         `json:"outcome,omitempty"`
	Late    bool                 `json:"late,omitempty"`
	Message string               `json:"message,omitempty"`
	Blocked *gaea.Blocked        `json:"blocked,omitempty"` // absent once it waits no more
	Pause   *gaea.Pause          `json:"pause,omitempty"`   // absent once it goes on
}

// The kinds of change.
const (
	eventStatus  = "status"
	eventSlice   = "slice"
	eventAction  = "action"
	eventMinion  = "minion"
	eventBlocked = "blocked"
	eventPause   = "pause"

	sliceRunning = "running"
	sliceEnded   = "ended"
)

// changes tells what is different in a run from an earlier snapshot of it, in the order in which it will have happened: slice
// by slice what began, what its minions did, what ended. Without an earlier snapshot it tells all there is.
func changes(before, run *gaea.Run, now time.Time) []change {
	if before == nil {
		before = &gaea.Run{}
	}
	d := differ{before: before, run: run, now: now, acted: map[actionPlace]gaea.RunAction{}}
	for _, a := range allActions(before) {
		d.acted[a.place()] = a.RunAction
	}
	settled := d.settled()
	d.blocked()
	d.pause(false)
	d.actions(gaea.PhasePre, run.Actions, -1)
	for i := range run.Slices {
		s := &run.Slices[i]
		d.actions(gaea.PhasePre, s.Actions, s.Index)
		d.slice(i, false)
		d.minions(settled[s.Index])
		d.slice(i, true)
		d.actions(gaea.PhasePost, s.Actions, s.Index)
	}
	d.minions(settled[-1])
	d.actions(gaea.PhasePost, run.Actions, -1)
	d.pause(true)
	d.status()
	return d.out
}

type differ struct {
	before, run *gaea.Run
	now         time.Time
	acted       map[actionPlace]gaea.RunAction // how the actions stood before
	out         []change
}

func (d *differ) add(c change) {
	c.Time, c.Run = d.now, d.run.ID
	d.out = append(d.out, c)
}

func (d *differ) status() {
	r, b := d.run, d.before
	if r.Status != b.Status || r.Verdict != b.Verdict || r.Reason != b.Reason || r.CheckState != b.CheckState {
		d.add(change{Event: eventStatus, Status: string(r.Status), Verdict: r.Verdict, Reason: r.Reason, Message: r.Message, Counts: r.Tally()})
	}
}

func (d *differ) blocked() {
	if !reflect.DeepEqual(d.run.Blocked, d.before.Blocked) {
		d.add(change{Event: eventBlocked, Blocked: d.run.Blocked})
	}
}

// pause tells of a pause in force, which began when what ran had ended, or of one that was asked for or is over.
func (d *differ) pause(inForce bool) {
	p := d.run.Pause
	if !reflect.DeepEqual(p, d.before.Pause) && inForce == (p != nil && !p.Since.IsZero()) {
		d.add(change{Event: eventPause, Pause: p})
	}
}

func (d *differ) slice(i int, ended bool) {
	s := &d.run.Slices[i]
	old := gaea.Slice{}
	if i < len(d.before.Slices) {
		old = d.before.Slices[i]
	}
	c := change{Event: eventSlice, Canary: s.Canary, JID: s.JID}
	switch {
	case !ended && s.JID != "" && old.JID == "":
		c.Status, c.Counts = sliceRunning, map[gaea.Outcome]int{gaea.OutcomePending: len(s.Minions)}
	case ended && !s.Ended.IsZero() && old.Ended.IsZero():
		c.Status, c.Counts = sliceEnded, tallyOf(d.run, s)
	default:
		return
	}
	c.Slice, c.Slices = sliceNumber(d.run, s.Index), slicesOf(d.run)
	d.add(c)
}

// slicesOf is how many slices of a run people count; 0 while that is not known.
func slicesOf(r *gaea.Run) int {
	if openEnded(r) {
		return 0
	}
	n := 0
	for i := range r.Slices {
		if !r.Slices[i].Again {
			n++
		}
	}
	return n
}

// tallyOf counts the minions of a slice by outcome.
func tallyOf(r *gaea.Run, s *gaea.Slice) map[gaea.Outcome]int {
	counts := map[gaea.Outcome]int{}
	for _, id := range s.Minions {
		if m, ok := r.Minions[id]; ok {
			counts[m.Outcome]++
		}
	}
	return counts
}

func (d *differ) actions(phase gaea.ActionPhase, list []gaea.RunAction, slice int) {
	for i := range list {
		a := actionAt{list[i], slice}
		was := d.acted[a.place()]
		if a.Phase != phase || (was.Status == a.Status && was.Attempts == a.Attempts && was.Message == a.Message) {
			continue
		}
		c := change{Event: eventAction, Action: &a.RunAction, Status: string(a.Status)}
		if slice >= 0 {
			c.Slice = sliceNumber(d.run, slice)
		}
		d.add(c)
	}
}

// settled are the minions that have a new outcome, by the index of their slice; -1 for those that are in none.
func (d *differ) settled() map[int][]string {
	known := make(map[int]bool, len(d.run.Slices))
	for i := range d.run.Slices {
		known[d.run.Slices[i].Index] = true
	}
	settled := map[int][]string{}
	for id, m := range d.run.Minions {
		old := d.before.Minions[id]
		if !m.Outcome.Final() || (m.Outcome == old.Outcome && m.Late == old.Late) {
			continue
		}
		slice := m.Slice
		if !known[slice] {
			slice = -1
		}
		settled[slice] = append(settled[slice], id)
	}
	return settled
}

func (d *differ) minions(settled []string) {
	slices.Sort(settled)
	for _, id := range settled {
		m := d.run.Minions[id]
		d.add(change{Event: eventMinion, Minion: id, Outcome: m.Outcome, JID: m.JID, Late: m.Late, Message: m.Message})
	}
}

// maxNamed is how many minions that went wrong at once a plain line names.
const maxNamed = 5

// plainLines are changes as lines for a log: what a person wants to know, and so no line for each minion that ended well.
func plainLines(before, run *gaea.Run, now time.Time) (lines []string) {
	if before == nil {
		return []string{overview(run)}
	}
	wrong := map[gaea.Outcome][]string{}
	for _, c := range changes(before, run, now) {
		if c.Event == eventMinion {
			if !c.Outcome.OK() && c.Outcome != gaea.OutcomeSkipped {
				wrong[c.Outcome] = append(wrong[c.Outcome], named(&c))
			}
			continue
		}
		if len(wrong) > 0 { // the changes of minions stand together
			lines = append(lines, wrongLines(wrong)...)
			clear(wrong)
		}
		if line := c.line(run, now); line != "" {
			lines = append(lines, line)
		}
	}
	lines = append(lines, wrongLines(wrong)...)
	if tenth(run) > tenth(before) && !run.Status.Final() {
		line := overview(run)
		if last := len(lines) - 1; last >= 0 && strings.HasPrefix(line, lines[last]) { // it says all that the status said
			lines = lines[:last]
		}
		lines = append(lines, line)
	}
	return lines
}

func wrongLines(wrong map[gaea.Outcome][]string) (lines []string) {
	for _, o := range gaea.Outcomes() {
		if names := wrong[o]; len(names) > 0 {
			lines = append(lines, fmt.Sprintf("%s: %s", words(o), few(names, maxNamed)))
		}
	}
	return lines
}

func named(c *change) string {
	if c.Message == "" {
		return c.Minion
	}
	return fmt.Sprintf("%s (%s)", c.Minion, firstLine(c.Message))
}

// tenth is how many tenths of the minions have ended.
func tenth(r *gaea.Run) int {
	p := progressOf(r)
	if p.total == 0 {
		return 0
	}
	return p.done * 10 / p.total
}

// overview is how a run stands on one line.
func overview(r *gaea.Run) string {
	p := progressOf(r)
	line := standing(r, &p)
	if p.total > 0 {
		line += fmt.Sprintf(": %d of %s", p.done, minions(p.total))
		if c := counts(p.counts); c != "-" {
			line += ", " + c
		}
	}
	return line
}

// line is a change for people, or empty where there is nothing to say.
func (c *change) line(r *gaea.Run, now time.Time) string {
	switch c.Event {
	case eventStatus:
		return c.statusLine(r)
	case eventSlice:
		return c.sliceLine()
	case eventAction:
		return c.actionLine()
	case eventBlocked:
		if c.Blocked == nil {
			return "waits no more for the lock"
		}
		return blocked(c.Blocked, now)
	case eventPause:
		if c.Pause == nil {
			return "goes on after the pause"
		}
		return paused(r, now)
	default:
		return ""
	}
}

func (c *change) statusLine(r *gaea.Run) string {
	if r.Complete() { // how it ended is printed anyway
		return ""
	}
	p := progressOf(r)
	line := standing(r, &p)
	if c.Verdict != "" && !r.Status.Final() {
		line += ", will end as " + words(c.Verdict)
		if c.Reason != "" {
			line += ": " + firstLine(c.Reason)
		}
	}
	return line
}

func (c *change) sliceLine() string {
	what := fmt.Sprintf("slice %d of %d", c.Slice, c.Slices)
	switch {
	case c.Slice == 0:
		what = "busy minions again"
	case c.Slices == 0:
		what = fmt.Sprintf("slice %d", c.Slice)
	case c.Slices == 1:
		return "" // all at once: the status says it
	}
	if c.Canary {
		what += " (canary)"
	}
	if c.Status == sliceRunning {
		return fmt.Sprintf("%s: %s, job %s", what, minions(c.Counts[gaea.OutcomePending]), c.JID)
	}
	return fmt.Sprintf("%s ended: %s", what, counts(c.Counts))
}

func (c *change) actionLine() string {
	a := c.Action
	line := fmt.Sprintf("%s-action %s", a.Phase, harmless(a.Name))
	if c.Slice > 0 {
		line += fmt.Sprintf(" of slice %d", c.Slice)
	}
	line += ": " + words(a.Status)
	switch {
	case a.Status == gaea.ActionRunning && a.Attempts <= 1:
		line += " " + harmless(a.What)
	case a.Attempts > 1:
		line += fmt.Sprintf(", try %d", a.Attempts)
	}
	if a.Message != "" && a.Status != gaea.ActionRunning { // that of the try before was told
		line += ": " + firstLine(a.Message)
	}
	return strings.TrimSpace(line)
}
