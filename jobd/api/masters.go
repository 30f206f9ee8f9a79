package api

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Masters are the masters of an archive.
type Masters struct {
	Masters []gaea.MasterStatus `json:"masters" doc:"by name"`
}

// masters adds what says who serves which master.
func (a *API) masters() {
	route(a, operation{
		id: "list-masters", method: http.MethodGet, path: "/v1/masters", tag: "jobd", action: gaea.ActionRead,
		summary: "Which masters are in this archive, and which jobd leads each",
		about: "Several jobds may use one PostgreSQL, each beside a master. One of a master's jobds leads it: runs, checks and retention are its. Where it is " +
			"gone, another one of that master leads it within 15 s.",
	}, func(ctx context.Context, _ *nothing) (*answer[Masters], error) {
		list, err := a.deps.Masters(ctx)
		if err != nil {
			return nil, err
		}
		for i := range list {
			list[i].Jobds = filled(list[i].Jobds)
		}
		return &answer[Masters]{Masters{filled(list)}}, nil
	})
}
