package apitest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// PutStats sets what Usage answers, without the number of holds.
func (w *World) PutStats(s gaea.ArchiveStats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats = s
}

// Usage implements api.Archive.
func (w *World) Usage(context.Context) (gaea.ArchiveStats, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	if s.Kinds == nil {
		s.Kinds = []gaea.KindStats{}
	}
	for _, h := range w.holds {
		if h.Released.IsZero() {
			s.Holds++
		}
	}
	return s, w.fail
}

// heldAt is when everything is held and released.
var heldAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Hold implements api.Archive. Runs are not looked for.
func (w *World) Hold(_ context.Context, req gaea.HoldRequest, holder string) (*gaea.LegalHold, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := req.Validate(); err != nil {
		return nil, err
	}
	h := gaea.LegalHold{ID: fmt.Sprintf("hold-%d", len(w.holds)+1), RunID: req.RunID, JID: req.JID, Reason: req.Reason, Holder: holder, Created: heldAt}
	if req.JID != "" {
		h.Master = Master
		if !slices.ContainsFunc(w.jobs, func(j gaea.Job) bool { return j.JID == req.JID }) {
			return nil, gaea.Errorf(gaea.CodeNotFound, "there is no job %s in the archive", req.JID)
		}
	}
	w.holds = append(w.holds, h)
	return &h, w.fail
}

// Holds implements api.Archive.
func (w *World) Holds(_ context.Context, released bool) ([]gaea.LegalHold, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []gaea.LegalHold
	for _, h := range slices.Backward(w.holds) {
		if released || h.Released.IsZero() {
			list = append(list, h)
		}
	}
	return list, w.fail
}

// ReleaseHold implements api.Archive.
func (w *World) ReleaseHold(_ context.Context, id, releaser, reason string) (*gaea.LegalHold, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.holds {
		if h := &w.holds[i]; h.ID == id {
			h.Released, h.Releaser, h.ReleaseReason = heldAt, releaser, reason
			released := *h
			return &released, w.fail
		}
	}
	return nil, gaea.Errorf(gaea.CodeNotFound, "there is no hold %s", id)
}
