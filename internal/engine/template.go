package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// TakeTemplate gives the request what a job template says and the request does not: batch, limits and lock field by field,
// the actions where it has none, with the target groups that they name resolved. What is called stays as it is. The errors
// are the store's, and CodeInvalid with the field job_template where an action names a group that there is not.
func (req *Request) TakeTemplate(ctx context.Context, t gaea.Version[gaea.JobTemplate], groups gaea.DefinitionStore[gaea.TargetGroup]) error {
	d := t.Definition
	req.Template = t.Ref
	req.Batch = batchOf(req.Batch, d.Batch)
	req.Timeouts = timeoutsOf(req.Timeouts, d.Timeouts)
	req.Concurrency.Lock = or(req.Concurrency.Lock, d.Concurrency.Lock)
	req.Concurrency.Policy = or(req.Concurrency.Policy, d.Concurrency.Policy)
	var err error
	if req.Pre == nil {
		if req.Pre, err = actionsOf(ctx, "pre_actions", d.Name, d.PreActions, groups); err != nil {
			return err
		}
	}
	if req.Post == nil {
		req.Post, err = actionsOf(ctx, "post_actions", d.Name, d.PostActions, groups)
	}
	return err
}

func batchOf(asked, given gaea.Batch) gaea.Batch {
	return gaea.Batch{
		Size: or(asked.Size, given.Size), Mode: or(asked.Mode, given.Mode), Wait: or(asked.Wait, given.Wait),
		Canary: or(asked.Canary, given.Canary), CanaryHold: or(asked.CanaryHold, given.CanaryHold),
		MaxFailures: or(asked.MaxFailures, given.MaxFailures), MinSample: or(asked.MinSample, given.MinSample),
		Order: or(asked.Order, given.Order),
	}
}

func timeoutsOf(asked, given gaea.Timeouts) gaea.Timeouts {
	return gaea.Timeouts{Job: or(asked.Job, given.Job), Gather: or(asked.Gather, given.Gather), Slice: or(asked.Slice, given.Slice)}
}

// or is what was asked for, or what is given where nothing was.
func or[T comparable](asked, given T) T {
	var none T
	if asked != none {
		return asked
	}
	return given
}

// actionsOf are a template's actions as a run does them: on targets, and with the numbers that Salt's functions take.
func actionsOf(ctx context.Context, path, template string, actions []gaea.JobAction, groups gaea.DefinitionStore[gaea.TargetGroup]) ([]gaea.JobAction, error) {
	if len(actions) == 0 {
		return nil, nil
	}
	out := make([]gaea.JobAction, len(actions))
	for i, a := range actions {
		if len(a.Args) > 0 {
			a.Args, _ = PlainNumbers(a.Args).([]any)
		}
		if len(a.Kwargs) > 0 {
			a.Kwargs, _ = PlainNumbers(a.Kwargs).(map[string]any)
		}
		if a.TargetGroup != "" {
			target, err := groupTarget(ctx, groups, a.TargetGroup)
			if code := gaea.CodeOf(err); code == gaea.CodeNotFound || code == gaea.CodeInvalid {
				return nil, &gaea.Error{Code: gaea.CodeInvalid, Field: "job_template", Err: err, Message: fmt.Sprintf(
					"%s[%d].target_group of the job template %q names %q, which there is not; define it, or point the action at another", path, i, template, a.TargetGroup)}
			}
			if err != nil {
				return nil, err
			}
			a.Target, a.TargetGroup = target, ""
		}
		out[i] = a
	}
	return out, nil
}

func groupTarget(ctx context.Context, groups gaea.DefinitionStore[gaea.TargetGroup], text string) (gaea.Target, error) {
	ref, err := gaea.ParseRef(text)
	if err != nil {
		return gaea.Target{}, err
	}
	g, err := groups.Get(ctx, ref)
	return g.Definition.Target, err
}

// PlainNumbers replaces JSON numbers that are kept as text with the numbers they are, whole ones as integers: Salt's
// functions tell 5 from 5.0, and a store may have made the one into the other. Lists and objects are copied.
func PlainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return gaea.PlainNumber(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= 1<<53 {
			return int64(v)
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = PlainNumbers(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = PlainNumbers(item)
		}
		return out
	default:
		return v
	}
}
