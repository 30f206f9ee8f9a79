package machine

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// rollTogether is how long a place that is free in rolling mode waits for others, to be filled with one publish.
const rollTogether = 250 * time.Millisecond

// cut writes down in which slices the run goes to its minions, or to those that have none yet. In rolling mode only the
// canary's are known beforehand; the others are told as places become free.
func (m *Machine) cut(minions []string) {
	b := m.run.Batch
	minions = m.ordered(minions)
	m.among = m.sliced() + len(minions)
	size := b.Size.Count(m.among)
	if m.canaryToCut() {
		n := b.Canary.Count(len(minions))
		m.planSlices(minions[:n], size, true)
		minions = minions[n:]
	}
	if b.Mode != gaea.BatchRolling {
		m.planSlices(minions, size, false)
		return
	}
	for _, name := range minions {
		m.set(name, gaea.RunMinion{Outcome: gaea.OutcomePending, Slice: -1})
	}
	m.rest = minions
	m.head = true
}

func (m *Machine) planSlices(minions []string, size int, canary bool) {
	if len(minions) == 0 {
		return
	}
	for chunk := range slices.Chunk(minions, size) {
		m.newSlice(chunk).Canary = canary
	}
}

// newSlice plans a slice of its own for minions.
func (m *Machine) newSlice(minions []string) *gaea.Slice {
	index := len(m.run.Slices)
	m.run.Slices = append(m.run.Slices, gaea.Slice{Index: index, Minions: slices.Sorted(slices.Values(minions))})
	for _, name := range minions {
		m.set(name, gaea.RunMinion{Outcome: gaea.OutcomePending, Slice: index})
	}
	m.head = true
	return &m.run.Slices[index]
}

// ordered puts minions into the order in which they are told. A random order depends on the seed and the names alone, so
// that it is the same after a restart, whichever of them have been told.
func (m *Machine) ordered(minions []string) []string {
	if m.run.Batch.Order != gaea.OrderRandom {
		return slices.Sorted(slices.Values(minions))
	}
	type place struct {
		name string
		key  [sha256.Size]byte
	}
	places := make([]place, len(minions))
	for i, name := range minions {
		places[i] = place{name, sha256.Sum256(append(binary.BigEndian.AppendUint32(nil, m.run.Seed), name...))}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(bytes.Compare(a.key[:], b.key[:]), strings.Compare(a.name, b.name))
	})
	names := make([]string, len(places))
	for i := range places {
		names[i] = places[i].name
	}
	return names
}

// findPlace takes from a stored run what is kept of its plan in memory.
func (m *Machine) findPlace() {
	rolling := m.run.Batch.Mode == gaea.BatchRolling
	for name, rm := range m.run.Minions {
		switch {
		case rm.JID == "" && rm.Outcome == gaea.OutcomeUnreachable:
			m.gone++
			continue
		case rm.JID == "" && !rm.Outcome.Final() && rm.Slice < 0:
			m.rest = append(m.rest, name)
		case rm.JID != "" && rm.Outcome.Final() && rolling && m.run.Batch.Wait > 0:
			m.cooling = append(m.cooling, rm.At.Add(m.run.Batch.Wait.Std()))
		}
		if rm.JID != "" || !rm.Outcome.Final() {
			m.among++
		}
	}
	m.rest = m.ordered(m.rest)
	slices.SortFunc(m.cooling, time.Time.Compare)
}

// refill tells more minions while others are at work, in rolling mode.
func (m *Machine) refill(now time.Time) {
	if m.run.Batch.Mode != gaea.BatchRolling || m.stopped() || m.run.Pause != nil || m.tooLate(now) {
		return
	}
	if s := m.unpublished(); s != nil {
		if !s.Canary { // planned when the process ended
			m.enter(s, now)
		}
		return
	}
	if len(m.rest) == 0 || (!m.run.Batch.Canary.IsZero() && !m.run.CanaryDone) {
		return
	}
	if hold := m.rollFrom(); now.Before(hold) {
		m.waitUntil = hold
		return
	}
	window, certain := m.amount(m.run.Batch.Size, m.among)
	places := window - m.atWork() - m.cool(now)
	free := min(places, m.ready())
	if free <= 0 || !certain || m.fillWhole(places) {
		m.rollAt = time.Time{}
		if len(m.cooling) > 0 {
			m.waitUntil = m.cooling[0]
		}
		return
	}
	if 4*free < window && free < len(m.rest) && !due(m.rollAt, now) {
		if m.rollAt.IsZero() {
			m.rollAt = now.Add(rollTogether)
		}
		m.waitUntil = m.rollAt
		return
	}
	m.rollAt = time.Time{}
	m.enter(m.newSlice(m.take(free)), now)
}

// rollFrom is when the first minions after the canary may be told.
func (m *Machine) rollFrom() time.Time {
	if m.run.Batch.Canary.IsZero() || len(m.rest) < m.among-m.canaries() {
		return time.Time{}
	}
	return m.slotAt(&gaea.Slice{})
}

// canaries counts the minions of canary slices.
func (m *Machine) canaries() int {
	n := 0
	for i := range m.run.Slices {
		if !m.run.Slices[i].Canary {
			break
		}
		n += len(m.run.Slices[i].Minions)
	}
	return n
}

// atWork counts the minions that were told and have no outcome.
func (m *Machine) atWork() int { return m.run.Counts[gaea.OutcomePending] - len(m.rest) }

// cool counts the minions that have ended and whose place is not yet to be taken.
func (m *Machine) cool(now time.Time) int {
	for len(m.cooling) > 0 && !m.cooling[0].After(now) {
		m.cooling = m.cooling[1:]
	}
	return len(m.cooling)
}
