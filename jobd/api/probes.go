package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Health says that jobd answers.
type Health struct {
	Status string `json:"status" enum:"ok"`
}

// Readiness says whether jobd can do its work, and what keeps it from it.
type Readiness struct {
	Ready    bool     `json:"ready"`
	Problems []string `json:"problems,omitempty" doc:"a sentence for each thing that is down"`
}

type readinessAnswer struct {
	Status int
	Body   Readiness
}

func (a *API) probes() {
	const tag = "jobd"
	route(a, operation{
		id: "healthz", method: http.MethodGet, path: "/healthz", tag: tag,
		summary: "Does jobd answer?",
	}, func(context.Context, *nothing) (*answer[Health], error) {
		return &answer[Health]{Health{Status: "ok"}}, nil
	})
	route(a, operation{
		id: "readyz", method: http.MethodGet, path: "/readyz", tag: tag,
		summary: "Can jobd do its work?",
		about:   "Answers 503 with the reasons while the master's event bus is not connected, or the database does not answer.",
	}, func(ctx context.Context, _ *nothing) (*readinessAnswer, error) {
		problems := a.deps.Ready(ctx)
		out := &readinessAnswer{Status: http.StatusOK, Body: Readiness{Ready: len(problems) == 0, Problems: problems}}
		if !out.Body.Ready {
			out.Status = http.StatusServiceUnavailable
		}
		return out, nil
	})
	ready := a.huma.OpenAPI().Paths["/readyz"].Get.Responses
	ready["503"] = &huma.Response{Description: "Not ready, with the reasons", Content: ready["200"].Content}
	a.plain("metrics", "/metrics", "text/plain", huma.TypeString, "What jobd counts, as Prometheus reads it")
	a.plain("openapi", "/openapi.json", "application/openapi+json", huma.TypeObject, "This document")
	route(a, operation{
		id: "whoami", method: http.MethodGet, path: "/v1/whoami", tag: tag, action: gaea.ActionRead,
		summary: "Whose token is this, and what may it do?",
	}, func(ctx context.Context, _ *nothing) (*answer[gaea.Principal], error) {
		return &answer[gaea.Principal]{gaea.PrincipalFrom(ctx)}, nil
	})
	route(a, operation{
		id: "status", method: http.MethodGet, path: "/v1/status", tag: tag, action: gaea.ActionRead,
		summary: "How does jobd stand?",
	}, func(ctx context.Context, _ *nothing) (*answer[gaea.ServerStatus], error) {
		return &answer[gaea.ServerStatus]{a.deps.Status(ctx)}, nil
	})
}

// plain documents a route that is served without huma: [New] adds its handler.
func (a *API) plain(id, path, contentType, schema, summary string) {
	a.huma.OpenAPI().AddOperation(&huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Tags: []string{"jobd"}, Summary: summary,
		Responses: map[string]*huma.Response{
			"200": {Description: "OK", Content: map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: schema}}}},
		},
	})
}
