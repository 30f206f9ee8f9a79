package api

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type holdsInput struct {
	Released bool `query:"released" doc:"those that were released as well"`
}

type createHoldInput struct{ Body gaea.HoldRequest }

type releaseHoldInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body gaea.ReleaseRequest
}

// retention adds how much the archive holds, and what keeps parts of it from being deleted.
func (a *API) retention() {
	const tag = "archive"
	route(a, operation{
		id: "get-archive-stats", method: http.MethodGet, path: "/v1/archive/stats", tag: tag, action: gaea.ActionRead,
		summary: "How much the archive holds, by kind, and how fast it grows",
	}, func(ctx context.Context, _ *nothing) (*answer[gaea.ArchiveStats], error) {
		stats, err := a.deps.Archive.Usage(ctx)
		return &answer[gaea.ArchiveStats]{stats}, err
	})
	route(a, operation{
		id: "list-holds", method: http.MethodGet, path: "/v1/archive/holds", tag: tag, action: gaea.ActionRead,
		summary: "What is held, newest first, with who holds it, since when and why",
	}, func(ctx context.Context, in *holdsInput) (*answer[gaea.Page[gaea.LegalHold]], error) {
		list, err := a.deps.Archive.Holds(ctx, in.Released)
		return &answer[gaea.Page[gaea.LegalHold]]{gaea.Page[gaea.LegalHold]{Items: filled(list)}}, err
	})
	route(a, operation{
		id: "create-hold", method: http.MethodPost, path: "/v1/archive/holds", tag: tag, action: gaea.ActionHold, status: http.StatusCreated,
		summary: "Keep a run or a job from being deleted by retention",
		about: "A run is held with the runs of its actions, their jobs and returns; a job with its returns and the jobs that belong to it. The same may be held several times, " +
			"for different reasons: it is kept until all of them are released.",
	}, func(ctx context.Context, in *createHoldInput) (*answer[gaea.LegalHold], error) {
		h, err := a.deps.Archive.Hold(ctx, in.Body, gaea.PrincipalFrom(ctx).Name)
		if err != nil {
			return nil, err
		}
		return &answer[gaea.LegalHold]{*h}, nil
	})
	route(a, operation{
		id: "release-hold", method: http.MethodPost, path: "/v1/archive/holds/{id}/release", tag: tag, action: gaea.ActionHold,
		summary: "Release a hold; the record of it stays",
		about:   "To release it again changes nothing.",
	}, func(ctx context.Context, in *releaseHoldInput) (*answer[gaea.LegalHold], error) {
		h, err := a.deps.Archive.ReleaseHold(ctx, in.ID, gaea.PrincipalFrom(ctx).Name, in.Body.Reason)
		if err != nil {
			return nil, err
		}
		return &answer[gaea.LegalHold]{*h}, nil
	})
}
