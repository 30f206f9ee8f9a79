package ingest

import (
	"context"
	"sync"
	"time"
)

// missing is since when events may be missing from the archive, with the archive's records of it. It is noted where it shows,
// recorded before anything newer is stored (so that the death of jobd in between loses nothing), and looked at one at a time:
// what is noted meanwhile is the next look's.
type missing struct {
	mu       sync.Mutex
	noted    bool
	from     time.Time // zero: since ever
	recorded bool      // the archive has an open record that starts at from, or before
	covered  bool      // the archive has an open record from before, which starts at cover
	cover    time.Time

	recording sync.Mutex // held by who records or takes; before mu
	ids       []int64    // of the archive's open records, guarded by recording

	wake chan struct{} // holds one value while somebody should look
}

func newMissing() *missing { return &missing{wake: make(chan struct{}, 1)} }

// note notes that events from a time on may be missing. It never waits. False where that was known already.
func (m *missing) note(from time.Time) (isNew bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	isNew = !m.noted
	if isNew || from.Before(m.from) {
		m.noted, m.from, m.recorded = true, from, m.covered && !from.Before(m.cover)
	}
	return isNew
}

// look has what is noted looked at.
func (m *missing) look() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// open says whether something is noted that nobody looks at yet.
func (m *missing) open() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.noted
}

func (m *missing) unrecorded() (from time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.from, m.noted && !m.recorded
}

// record has the archive record what is noted. It does nothing, and costs nothing, where that is done.
func (m *missing) record(ctx context.Context, openGap func(context.Context, time.Time) (int64, error)) error {
	if _, ok := m.unrecorded(); !ok {
		return nil
	}
	m.recording.Lock()
	defer m.recording.Unlock()
	from, ok := m.unrecorded()
	if !ok {
		return nil
	}
	id, err := openGap(ctx, from)
	if err != nil {
		return err
	}
	m.ids = append(m.ids, id)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recorded = !m.from.Before(from)
	return nil
}

// take hands what is noted, and the archive's records of it, to who looks.
func (m *missing) take() (from time.Time, ids []int64, ok bool) {
	m.recording.Lock()
	defer m.recording.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.noted || !m.recorded {
		return time.Time{}, nil, false
	}
	m.noted, m.recorded, m.covered = false, false, false
	ids, m.ids = m.ids, nil
	return m.from, ids, true
}

// keep takes over records that are open from before, the earliest of which starts at a time.
func (m *missing) keep(ids []int64, earliest time.Time) {
	m.recording.Lock()
	defer m.recording.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids, m.covered, m.cover = ids, len(ids) > 0, earliest
}
