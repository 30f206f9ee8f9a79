package apitest

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// ListMasters lists the world's masters.
func (w *World) ListMasters(context.Context) ([]gaea.MasterStatus, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Masters, w.fail
}
