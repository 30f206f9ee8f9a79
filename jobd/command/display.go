package command

import (
	"encoding/json"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// display shows how a run goes, while it does. It belongs to one goroutine and must be ended, also when that one panics.
type display interface {
	see(r *gaea.Run)  // how the run stands now
	tick()            // a second has passed
	say(text string)  // what the person before it should know from now on
	end()             // the run has ended, or nobody looks any more
	hint(text string) // what keys do, where there is somebody to press them
}

// newDisplay is a block that is drawn over itself on a terminal, lines elsewhere, both beside the output proper; or events
// for programs.
func newDisplay(w *world, events bool) display {
	switch {
	case events:
		return &eventDisplay{w: w, enc: json.NewEncoder(w.Stdout)}
	case w.Screen != nil:
		return newLiveDisplay(w)
	default:
		return &lineDisplay{w: w}
	}
}

// liveDisplay is a block on a terminal.
type liveDisplay struct {
	screen screen
	paint  palette
	run    *gaea.Run
	pace   pace
	note   string
	asked  bool // the note is an answer, and not only what keys do
}

func newLiveDisplay(w *world) *liveDisplay {
	return &liveDisplay{screen: screen{w: w.Stderr, size: w.Screen}, paint: palette(w.Color)}
}

func (d *liveDisplay) see(r *gaea.Run) {
	now := time.Now()
	p := progressOf(r)
	d.run = r
	d.pace.observe(now, p.done, frozen(r), workedBefore(r, now))
	d.draw(now)
}

func (d *liveDisplay) tick() {
	if d.run == nil {
		return
	}
	now := time.Now()
	d.pace.observe(now, 0, frozen(d.run), 0)
	d.draw(now)
}

func (d *liveDisplay) draw(now time.Time) {
	width, _ := d.screen.size()
	f := frame{run: d.run, now: now, pace: &d.pace, note: d.note, width: width, paint: d.paint}
	d.screen.draw(f.lines())
}

func (d *liveDisplay) say(text string) {
	d.note, d.asked = text, true
	d.tick()
}

func (d *liveDisplay) hint(text string) {
	if !d.asked {
		d.note = text
	}
}

func (d *liveDisplay) end() { d.screen.end() }

// lineDisplay is a line for each change that matters, with its time.
type lineDisplay struct {
	w    *world
	last *gaea.Run
}

func (d *lineDisplay) see(r *gaea.Run) {
	now := time.Now()
	if !r.Complete() || d.last != nil { // one that has ended is printed anyway
		for _, line := range plainLines(d.last, r, now) {
			d.print(now, line)
		}
	}
	d.last = r
}

func (d *lineDisplay) print(now time.Time, line string) { d.w.note("%s %s\n", clock(now), line) }
func (*lineDisplay) tick()                              {}
func (d *lineDisplay) say(text string)                  { d.print(time.Now(), text) }
func (*lineDisplay) hint(string)                        {}
func (*lineDisplay) end()                               {}

// eventDisplay is an object for each change, one a line, on standard output.
type eventDisplay struct {
	w    *world
	enc  *json.Encoder
	last *gaea.Run
}

func (d *eventDisplay) see(r *gaea.Run) {
	for _, c := range changes(d.last, r, time.Now().UTC()) {
		_ = d.enc.Encode(c) // a broken pipe is no error of ours
	}
	d.last = r
}

func (*eventDisplay) tick()             {}
func (d *eventDisplay) say(text string) { d.w.note("%s\n", text) }
func (*eventDisplay) hint(string)       {}
func (*eventDisplay) end()              {}
