package jobdclient

import (
	"context"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Masters lists the masters of the archive by name, and who serves each.
func (c *Client) Masters(ctx context.Context) ([]gaea.MasterStatus, error) {
	type masters struct {
		Masters []gaea.MasterStatus `json:"masters"`
	}
	out, err := get[masters](ctx, c, "/v1/masters", newQuery().Values)
	if err != nil {
		return nil, err
	}
	return out.Masters, nil
}
