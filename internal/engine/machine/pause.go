package machine

import (
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// pause has the run start nothing more until it is resumed. What runs goes on.
func (m *Machine) pause(in Pause, now time.Time) {
	if m.stopped() || m.run.Pause != nil {
		return
	}
	m.run.Pause = &gaea.Pause{Reason: gaea.PauseAsked, By: in.By, Asked: now}
	m.head = true
}

// resume lets the run go on. The time that it stood still does not count against the job timeout.
func (m *Machine) resume(now time.Time) {
	p := m.run.Pause
	if p == nil {
		return
	}
	m.run.Pause = nil
	if !p.Since.IsZero() {
		m.run.PausedFor += gaea.Duration(now.Sub(p.Since))
		m.setLimit()
	}
	if m.run.Status == gaea.RunPaused {
		m.run.Status = gaea.RunRunning
		if m.run.Started.IsZero() {
			m.run.Status = gaea.RunQueued
		}
	}
	m.head = true
}

// pausing says whether the run is to stand still now that nothing of it is at work.
func (m *Machine) pausing(now time.Time) bool {
	p := m.run.Pause
	if p == nil {
		return false
	}
	if p.Since.IsZero() {
		p.Since = now
		m.setLimit()
		m.head = true
	}
	m.status(gaea.RunPaused)
	return true
}
