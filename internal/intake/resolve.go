// Package intake checks what users define and ask for, as a whole and before it is stored or run: targets, templates, and requests
// for runs, which it turns into what the engine runs.
package intake

import (
	"context"
	"errors"
	"maps"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/target"
)

// Resolver turns a [gaea.RunRequest], which names a target group and a job template, into what the engine runs.
type Resolver struct {
	Groups    gaea.DefinitionStore[gaea.TargetGroup]
	Templates gaea.DefinitionStore[gaea.JobTemplate]
}

// Resolve validates the request and fills in what it takes from its group and its template. Errors are CodeInvalid and name
// the field, also for a group or a template that does not exist.
//
// A template gives what the request does not say, of batch, timeouts and concurrency each field, and its actions. Its
// arguments go with its function: a request that names another function takes none of them; one that names the same, or
// none, takes args where it has none itself, and each kwarg that it does not give itself.
func (r Resolver) Resolve(ctx context.Context, req gaea.RunRequest) (engine.Request, error) {
	out := engine.Request{Master: req.Master, Kind: gaea.RunJob, Batch: req.Batch, Timeouts: req.Timeouts, Concurrency: req.Concurrency, AllowEmpty: req.AllowEmpty}
	call := gaea.Call{Function: req.Function, Args: req.Args, Kwargs: req.Kwargs}
	if req.JobTemplate != "" {
		t, err := Definition(ctx, r.Templates, "job_template", req.JobTemplate)
		if err != nil {
			return engine.Request{}, err
		}
		call = fromTemplate(call, t.Definition)
		if err := out.TakeTemplate(ctx, t, r.Groups); err != nil {
			return engine.Request{}, err
		}
	}
	if err := validWork(out, req); err != nil {
		return engine.Request{}, err
	}
	if call.Function == "" {
		if req.JobTemplate != "" {
			return engine.Request{}, gaea.Invalid("function", "neither the request nor the job template %q names a function; give one, for example \"test.ping\"", req.JobTemplate)
		}
		return engine.Request{}, gaea.Invalid("function", "no function is named; give one, for example \"test.ping\", or a job_template that has one")
	}
	if err := gaea.ValidateFunction(call.Function); err != nil {
		return engine.Request{}, err
	}
	var err error
	if out.Target, err = r.target(ctx, req); err != nil {
		return engine.Request{}, err
	}
	out.Call = gaea.Call{Function: call.Function}
	for _, arg := range call.Args {
		out.Call.Args = append(out.Call.Args, engine.PlainNumbers(arg))
	}
	if len(call.Kwargs) > 0 {
		out.Call.Kwargs = make(map[string]any, len(call.Kwargs))
		for name, value := range call.Kwargs {
			out.Call.Kwargs[name] = engine.PlainNumbers(value)
		}
	}
	return out, nil
}

func fromTemplate(call gaea.Call, t gaea.JobTemplate) gaea.Call {
	if call.Function != "" && call.Function != t.Function {
		return call
	}
	call.Function = t.Function
	if len(call.Args) == 0 {
		call.Args = t.Args
	}
	kwargs := maps.Clone(t.Kwargs)
	if kwargs == nil {
		kwargs = call.Kwargs
	} else {
		maps.Copy(kwargs, call.Kwargs)
	}
	call.Kwargs = kwargs
	return call
}

func (r Resolver) target(ctx context.Context, req gaea.RunRequest) (gaea.Target, error) {
	given := req.Target.Type != "" || req.Target.Expr != "" || len(req.Target.Minions) > 0
	switch {
	case given && req.TargetGroup != "":
		return gaea.Target{}, gaea.Invalid("target_group", "target and target_group exclude each other; keep one of them")
	case given:
		return req.Target, Target(req.Target)
	case req.TargetGroup == "":
		return gaea.Target{}, gaea.Invalid("target", "no minions are named; give a target, for example {\"type\": \"glob\", \"expr\": \"web*\"}, or a target_group")
	}
	g, err := Definition(ctx, r.Groups, "target_group", req.TargetGroup)
	return g.Definition.Target, err
}

// validWork refuses a batch, a lock or actions that contradict each other, and says where a template has a part in it.
func validWork(out engine.Request, req gaea.RunRequest) error {
	err := gaea.ValidateWork(out.Batch, out.Concurrency, out.Pre, out.Post)
	if wrong, ok := errors.AsType[*gaea.Error](err); ok && req.JobTemplate != "" {
		return gaea.Invalid(wrong.Field, "together with what the job template %q gives: %s", req.JobTemplate, wrong.Message)
	}
	return err
}

// Target checks a target whole: its form, and the syntax of its expression. Package target speaks of a wrong expression
// as Terraform's users write it; here it stands in target.expr.
func Target(t gaea.Target) error {
	err := target.Validate(t)
	if wrong, ok := errors.AsType[*gaea.Error](err); ok && wrong.Field == "match" {
		return &gaea.Error{Code: wrong.Code, Field: "target.expr", Message: wrong.Message, Err: wrong.Err}
	}
	return err
}

// Definition finds what a ref in the input names. A wrong or unknown one is CodeInvalid with the field.
func Definition[T gaea.Definition](ctx context.Context, store gaea.DefinitionStore[T], field, text string) (gaea.Version[T], error) {
	var none gaea.Version[T]
	ref, err := gaea.ParseRef(text)
	if err != nil {
		return none, gaea.Invalid(field, "%q is neither a name nor a ref; write NAME for the latest version or NAME@DIGEST for one", text)
	}
	v, err := store.Get(ctx, ref)
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound && ref.Digest != "":
		return none, gaea.Invalid(field, "there is no version %q; create it first, or write %q for the latest version", ref.Bare(), ref.Name)
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		return none, gaea.Invalid(field, "there is no %q; create it first, or look at its spelling", text)
	case err != nil:
		return none, err
	}
	return v, nil
}
