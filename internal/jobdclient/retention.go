package jobdclient

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// ArchiveStats tells how much the archive holds, and how fast it grows.
func (c *Client) ArchiveStats(ctx context.Context) (*gaea.ArchiveStats, error) {
	return get[gaea.ArchiveStats](ctx, c, "/v1/archive/stats", nil)
}

// Holds lists what is held, newest first; what was released as well if released says so.
func (c *Client) Holds(ctx context.Context, released bool) ([]gaea.LegalHold, error) {
	q := newQuery()
	if released {
		q.text("released", "true")
	}
	out, err := get[gaea.Page[gaea.LegalHold]](ctx, c, "/v1/archive/holds", q.Values)
	if err != nil {
		return nil, err
	}
	return out.Items, nil
}

// Hold keeps a run or a job from being deleted by retention. CodeNotFound.
func (c *Client) Hold(ctx context.Context, req gaea.HoldRequest) (*gaea.LegalHold, error) {
	return send[gaea.LegalHold](ctx, c, call{method: http.MethodPost, path: "/v1/archive/holds", body: req})
}

// ReleaseHold ends a hold. CodeNotFound.
func (c *Client) ReleaseHold(ctx context.Context, id string, req gaea.ReleaseRequest) (*gaea.LegalHold, error) {
	s, err := segment("id", id)
	if err != nil {
		return nil, err
	}
	return send[gaea.LegalHold](ctx, c, call{method: http.MethodPost, path: "/v1/archive/holds/" + s + "/release", body: req})
}
