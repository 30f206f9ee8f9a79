package machine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const blockedMost = 100 // minions that a run names which it waits for

// choose goes on with the minions that the run is for: at once, or when they are the run's under its lock.
func (m *Machine) choose(minions []string) bool {
	c := m.run.Concurrency
	if c.Lock == "" || m.run.Claimed {
		m.cut(minions)
		return true
	}
	m.phase = phaseClaim
	m.candidates = minions
	m.emit(Claim{Lock: c.Lock, Minions: minions, Policy: cmp.Or(c.Policy, gaea.LockWait)})
	return false
}

// Claims is what a stored run held under a lock when its process ended, and must hold again before another run is begun.
func (m *Machine) Claims() (lock string, minions []string) {
	if !m.run.Claimed || m.run.Status.Final() {
		return "", nil
	}
	return m.run.Concurrency.Lock, m.chosen()
}

// claimed goes on with the minions that are the run's. Those that others hold are skipped.
func (m *Machine) claimed(in Claimed, now time.Time) {
	if m.phase != phaseClaim {
		return
	}
	m.phase = phaseWork
	m.run.Claimed, m.run.Blocked = true, nil
	m.head = true
	var free []string
	for _, name := range m.candidates {
		if holder := in.Busy[name]; holder != "" {
			m.leaveOut(name, fmt.Sprintf("not told: %s holds the minion under the lock %q", holder, m.run.Concurrency.Lock), now)
		} else {
			free = append(free, name)
		}
	}
	m.candidates = nil
	if len(free) == 0 {
		m.decide(gaea.RunFailed, fmt.Sprintf("every minion is busy under the lock %q", m.run.Concurrency.Lock), now)
		return
	}
	m.cut(free)
}

// leaveOut skips a minion that is in no slice.
func (m *Machine) leaveOut(name, why string, now time.Time) {
	m.set(name, gaea.RunMinion{Outcome: gaea.OutcomeSkipped, Slice: -1, Message: why, At: now})
}

// claimBlocked notes what the run waits for.
func (m *Machine) claimBlocked(in ClaimBlocked, now time.Time) {
	if m.phase != phaseClaim {
		return
	}
	b := &gaea.Blocked{Lock: m.run.Concurrency.Lock, Runs: in.Runs, Minions: in.Minions[:min(len(in.Minions), blockedMost)], Since: now}
	if old := m.run.Blocked; old != nil {
		b.Since = old.Since
	}
	m.run.Blocked = b
	m.head = true
}

// claimRefused ends a run that does not wait.
func (m *Machine) claimRefused(in ClaimRefused, now time.Time) {
	if m.phase != phaseClaim {
		return
	}
	m.phase = phaseWork
	be := "are"
	if len(in.Minions) == 1 {
		be = "is"
	}
	m.decide(gaea.RunFailed, fmt.Sprintf("refused: %s of its minions (%s) %s busy under the lock %q in %s; try again when that has ended",
		count(len(in.Minions)), first(in.Minions), be, m.run.Concurrency.Lock, strings.Join(in.Runs, ", ")), now)
}

// chosen lists the minions that were told, are to be, or were to be before the run's end was decided.
func (m *Machine) chosen() []string {
	var names []string
	for name, rm := range m.run.Minions {
		if rm.JID != "" || !rm.Outcome.Final() || rm.Slice >= 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// first names the first few minions of many.
func first(names []string) string {
	s := strings.Join(names[:min(len(names), namedMinions)], ", ")
	if len(names) > namedMinions {
		s += ", …"
	}
	return s
}

func count(n int) string {
	if n == 1 {
		return "one"
	}
	return fmt.Sprint(n)
}
