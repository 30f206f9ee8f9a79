package command

import "time"

const (
	// paceWindow is how far back the pace of a run is looked at, at least; in a long run it is the latter half.
	paceWindow = 30 * time.Second
	// paceFrom is how long a run must have been at work before its pace says something.
	paceFrom = time.Second
	// maxPaceSteps bounds what is kept of the way so far.
	maxPaceSteps = 512
)

// pace is how fast a run's minions end. Time in which nothing can go on, because the run is paused or waits for others,
// does not count. The zero pace has not begun.
type pace struct {
	last    time.Time
	worked  time.Duration // so far
	frozen  bool          // since last
	steps   []paceStep    // sorted by time, each with more minions than the one before
	started bool
}

type paceStep struct {
	at   time.Duration // of work
	done int
}

// observe takes in that so many minions have ended by now, and whether nothing can go on from here. A run that was at work
// before the first look has worked for so long.
func (p *pace) observe(now time.Time, done int, frozen bool, before time.Duration) {
	switch {
	case !p.started:
		p.started = true
		p.worked = max(before, 0)
		p.steps = []paceStep{{}}
	case !p.frozen && now.After(p.last):
		p.worked += now.Sub(p.last)
	}
	p.last, p.frozen = now, frozen
	if done > p.steps[len(p.steps)-1].done {
		p.steps = append(p.steps, paceStep{p.worked, done})
	}
	if len(p.steps) > maxPaceSteps {
		p.thin()
	}
}

// thin leaves out every second step, and so keeps the first and the last.
func (p *pace) thin() {
	kept := p.steps[:0]
	for i, s := range p.steps {
		if i%2 == 0 || i == len(p.steps)-1 {
			kept = append(kept, s)
		}
	}
	p.steps = kept
}

// rate is how many minions end a second, lately; 0 where that cannot be told.
func (p *pace) rate() float64 {
	if p.worked < paceFrom {
		return 0
	}
	from := max(p.worked-max(paceWindow, p.worked/2), 0)
	then := 0
	for _, s := range p.steps {
		if s.at <= from {
			then = s.done
		}
	}
	return float64(p.steps[len(p.steps)-1].done-then) / (p.worked - from).Seconds()
}

// left is how long so many minions more take at this pace, and whether that can be told.
func (p *pace) left(minions int) (time.Duration, bool) {
	rate := p.rate()
	if rate <= 0 || minions <= 0 {
		return 0, false
	}
	seconds := float64(minions) / rate
	const aYear = 365 * 24 * 3600
	if seconds > aYear {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
