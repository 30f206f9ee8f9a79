package api

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/intake"
)

// catalog is one kind of definition in the API. In is what a PUT takes.
type catalog[T gaea.Definition, In any] struct {
	path   string // below /v1/
	one    string // for people: "target group"
	many   string
	about  string // what a PUT does besides
	store  func() gaea.DefinitionStore[T]
	put    func(ctx context.Context, name string, in In, author string) (gaea.Version[T], error)
	unused func(ctx context.Context, name string) error // CodeConflict where a deletion would break something; may be nil
}

// NameInput names a definition.
type NameInput struct {
	Name string `path:"name" maxLength:"128"`
}

type refInput struct {
	Ref string `path:"ref" maxLength:"160" doc:"NAME for the latest version, or NAME@DIGEST for one"`
}

type putInput[In any] struct {
	NameInput
	Body In
}

// serve adds the routes of a catalog.
func serve[T gaea.Definition, In any](a *API, c catalog[T, In]) {
	base, tag := "/v1/"+c.path, "definitions"
	route(a, operation{
		id: "list-" + c.path, method: http.MethodGet, path: base, tag: tag, action: gaea.ActionRead,
		summary: "List " + c.many + " by name, each in its latest version",
	}, func(ctx context.Context, in *PageInput) (*answer[gaea.Page[gaea.Version[T]]], error) {
		return paged(c.store().List(ctx, in.request()))
	})
	route(a, operation{
		id: "put-" + c.path, method: http.MethodPut, path: base + "/{name}", tag: tag, action: gaea.ActionDefine,
		summary: "Define a " + c.one,
		about:   "Makes the " + c.one + ", or a new version of it; what equals the latest version changes nothing. A name belongs to who used it first." + c.about,
	}, func(ctx context.Context, in *putInput[In]) (*answer[gaea.Version[T]], error) {
		if err := gaea.ValidateName(in.Name); err != nil {
			return nil, err
		}
		v, err := c.put(ctx, in.Name, in.Body, gaea.PrincipalFrom(ctx).Name)
		if err != nil {
			return nil, err
		}
		return &answer[gaea.Version[T]]{v}, nil
	})
	route(a, operation{
		id: "get-" + c.path, method: http.MethodGet, path: base + "/{ref}", tag: tag, action: gaea.ActionRead,
		summary: "One version of a " + c.one,
	}, func(ctx context.Context, in *refInput) (*answer[gaea.Version[T]], error) {
		ref, err := gaea.ParseRef(in.Ref)
		if err != nil {
			return nil, err
		}
		v, err := c.store().Get(ctx, ref)
		if err != nil {
			return nil, err
		}
		return &answer[gaea.Version[T]]{v}, nil
	})
	route(a, operation{
		id: "delete-" + c.path, method: http.MethodDelete, path: base + "/{name}", tag: tag, action: gaea.ActionDefine, status: http.StatusNoContent,
		summary: "Delete a " + c.one,
		about:   "Touches no minion and keeps every version: a ref with a digest stays good.",
	}, func(ctx context.Context, in *NameInput) (*nothing, error) {
		if err := gaea.ValidateName(in.Name); err != nil {
			return nil, err
		}
		if c.unused != nil {
			if err := c.unused(ctx, in.Name); err != nil {
				return nil, err
			}
		}
		if err := c.store().Delete(ctx, in.Name, gaea.PrincipalFrom(ctx).Name); err != nil {
			return nil, err
		}
		return &nothing{}, nil
	})
	route(a, operation{
		id: "list-" + c.path + "-versions", method: http.MethodGet, path: base + "/{name}/versions", tag: tag, action: gaea.ActionRead,
		summary: "Every version of a " + c.one + ", newest first",
	}, func(ctx context.Context, in *NameInput) (*answer[[]gaea.Version[T]], error) {
		if err := gaea.ValidateName(in.Name); err != nil {
			return nil, err
		}
		list, err := c.store().History(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		return &answer[[]gaea.Version[T]]{filled(list)}, nil
	})
}

// sameName refuses a body that names another definition than the path.
func sameName(path, body string) error {
	if path != body {
		return gaea.Invalid("name", "the body names %q and the path %q; they must be the same", body, path)
	}
	return nil
}

func (a *API) targetGroups() {
	serve(a, catalog[gaea.TargetGroup, gaea.TargetGroup]{
		path: "target-groups", one: "target group", many: "target groups",
		store: func() gaea.DefinitionStore[gaea.TargetGroup] { return a.deps.Archive.TargetGroups() },
		put: func(ctx context.Context, name string, g gaea.TargetGroup, author string) (gaea.Version[gaea.TargetGroup], error) {
			if err := firstError(sameName(name, g.Name), g.Validate(), intake.Target(g.Target)); err != nil {
				return gaea.Version[gaea.TargetGroup]{}, err
			}
			return a.deps.Archive.TargetGroups().Put(ctx, g, author)
		},
		unused: func(ctx context.Context, name string) error {
			return a.notUsed(ctx, "target group", name, func(d gaea.Assignment) string { return d.TargetGroup })
		},
	})
}

func (a *API) jobTemplates() {
	serve(a, catalog[gaea.JobTemplate, gaea.JobTemplate]{
		path: "job-templates", one: "job template", many: "job templates",
		store: func() gaea.DefinitionStore[gaea.JobTemplate] { return a.deps.Archive.JobTemplates() },
		put: func(ctx context.Context, name string, t gaea.JobTemplate, author string) (gaea.Version[gaea.JobTemplate], error) {
			if err := firstError(sameName(name, t.Name), intake.Template(t, a.deps.CompileExpect)); err != nil {
				return gaea.Version[gaea.JobTemplate]{}, err
			}
			return a.deps.Archive.JobTemplates().Put(ctx, t.Pinned(), author)
		},
		unused: func(ctx context.Context, name string) error {
			return a.notUsed(ctx, "job template", name, func(d gaea.Assignment) string { return d.JobTemplate })
		},
	})
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
