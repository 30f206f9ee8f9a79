package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-jsontypes/jsontypes"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// jobTemplateModel is a job template in a configuration, a plan or a state.
type jobTemplateModel struct {
	Name        types.String         `tfsdk:"name"`
	Description types.String         `tfsdk:"description"`
	Function    types.String         `tfsdk:"function"`
	Args        types.List           `tfsdk:"args"`
	Kwargs      jsontypes.Normalized `tfsdk:"kwargs"`
	Batch       types.Object         `tfsdk:"batch"`
	Timeouts    types.Object         `tfsdk:"timeouts"`
	Concurrency types.Object         `tfsdk:"concurrency"`
	PreActions  types.List           `tfsdk:"pre_actions"`
	PostActions types.List           `tfsdk:"post_actions"`
	ID          types.String         `tfsdk:"id"`
	Ref         types.String         `tfsdk:"ref"`
}

// defined says whether all that makes the definition is known, so that its ref is.
func (m *jobTemplateModel) defined(ctx context.Context) bool {
	return known(ctx, m.Name, m.Description, m.Function, m.Args, m.Kwargs, m.Batch, m.Timeouts, m.Concurrency, m.PreActions, m.PostActions)
}

// definition is the domain's template. What is unknown must be asked for before.
func (m *jobTemplateModel) definition(ctx context.Context) (gaea.JobTemplate, error) {
	t := gaea.JobTemplate{
		Name:        m.Name.ValueString(),
		Description: m.Description.ValueString(),
		Function:    m.Function.ValueString(),
		Args:        textArgs(m.Args),
		Timeouts: gaea.Timeouts{
			Job:    duration(field(m.Timeouts, "job")),
			Slice:  duration(field(m.Timeouts, "slice")),
			Gather: duration(field(m.Timeouts, "gather")),
		},
		Concurrency: concurrencyOf(m.Concurrency),
	}
	var err error
	if t.Kwargs, err = keywordArgs(m.Kwargs); err != nil {
		return t, gaea.Invalid("kwargs", "%s", err.Error())
	}
	if t.Batch, err = batchOf("batch", m.Batch); err != nil {
		return t, err
	}
	if t.PreActions, err = jobActions(ctx, preActions, m.PreActions); err != nil {
		return t, err
	}
	t.PostActions, err = jobActions(ctx, postActions, m.PostActions)
	return t, err
}

// validateTemplate names the first field of a template that is wrong, as jobd does when it is given the template.
func validateTemplate(t gaea.JobTemplate) error {
	if err := t.Validate(); err != nil {
		return err
	}
	for i := range t.PreActions {
		if err := validateExpectation(preActions, i, t.PreActions[i].Expect); err != nil {
			return err
		}
	}
	for i := range t.PostActions {
		if err := validateExpectation(postActions, i, t.PostActions[i].Expect); err != nil {
			return err
		}
	}
	return nil
}

func validateExpectation(list string, i int, text string) error {
	if text == "" {
		return nil
	}
	if err := checkExpectation(text); err != nil {
		return gaea.Invalid(fmt.Sprintf("%s[%d].expect", list, i), "%s", gaea.MessageOf(err))
	}
	return nil
}

// batchOf reads a batch. An error names the field below the given path.
func batchOf(at string, o types.Object) (gaea.Batch, error) {
	b := gaea.Batch{
		Mode:  gaea.BatchMode(field(o, "mode").ValueString()),
		Wait:  duration(field(o, "wait")),
		Order: gaea.Order(field(o, "order").ValueString()),
	}
	var err error
	read := func(name string, parse func(string) error) {
		text := field(o, name)
		if err != nil || text.IsNull() {
			return
		}
		if e := parse(text.ValueString()); e != nil {
			err = gaea.Invalid(at+"."+name, "%s", gaea.MessageOf(e))
		}
	}
	read("size", func(s string) (err error) { b.Size, err = gaea.ParseAmount(s); return err })
	read("canary", func(s string) (err error) { b.Canary, err = gaea.ParseAmount(s); return err })
	read("canary_hold", func(s string) (err error) { b.CanaryHold, err = gaea.ParseHold(s); return err })
	read("max_failures", func(s string) (err error) { b.MaxFailures, err = gaea.ParseAllowance(s); return err })
	read("min_sample", func(s string) (err error) { b.MinSample, err = sampleSize(s); return err })
	return b, err
}

func concurrencyOf(o types.Object) gaea.Concurrency {
	return gaea.Concurrency{Lock: field(o, "lock").ValueString(), Policy: gaea.LockPolicy(field(o, "policy").ValueString())}
}

// adopt takes over each value of a definition that means something else than the one in state.
func (m *jobTemplateModel) adopt(ctx context.Context, now gaea.JobTemplate) error {
	m.Description = keepText(m.Description, now.Description)
	m.Function = keepText(m.Function, now.Function)
	args, err := argTexts(now.Args)
	if err != nil {
		return err
	}
	m.Args = keepList(m.Args, args)
	if m.Kwargs, err = keepKeywordArgs(m.Kwargs, now.Kwargs); err != nil {
		return err
	}
	b := now.Batch
	m.Batch = keepFields(m.Batch, batchTypes, map[string]attr.Value{
		"size":         keepParsed(field(m.Batch, "size"), b.Size, gaea.ParseAmount),
		"mode":         keepText(field(m.Batch, "mode"), string(b.Mode)),
		"wait":         keepDuration(field(m.Batch, "wait"), b.Wait),
		"canary":       keepParsed(field(m.Batch, "canary"), b.Canary, gaea.ParseAmount),
		"canary_hold":  keepParsed(field(m.Batch, "canary_hold"), b.CanaryHold, gaea.ParseHold),
		"max_failures": keepParsed(field(m.Batch, "max_failures"), b.MaxFailures, gaea.ParseAllowance),
		"min_sample":   keepNumber(field(m.Batch, "min_sample"), b.MinSample),
		"order":        keepText(field(m.Batch, "order"), string(b.Order)),
	})
	m.Timeouts = keepFields(m.Timeouts, runTimeoutsTypes, map[string]attr.Value{
		"job":    keepDuration(field(m.Timeouts, "job"), now.Timeouts.Job),
		"slice":  keepDuration(field(m.Timeouts, "slice"), now.Timeouts.Slice),
		"gather": keepDuration(field(m.Timeouts, "gather"), now.Timeouts.Gather),
	})
	m.Concurrency = keepFields(m.Concurrency, concurrencyTypes, map[string]attr.Value{
		"lock":   keepText(field(m.Concurrency, "lock"), now.Concurrency.Lock),
		"policy": keepText(field(m.Concurrency, "policy"), string(now.Concurrency.Policy)),
	})
	if m.PreActions, err = keepActions(ctx, preActions, m.PreActions, now.PreActions); err != nil {
		return err
	}
	m.PostActions, err = keepActions(ctx, postActions, m.PostActions, now.PostActions)
	return err
}

// keepParsed is the value of an attribute after jobd was asked, whose text can be written in many ways: "010%" stays when
// jobd says "10%".
func keepParsed[T interface {
	comparable
	String() string
}](prior types.String, now T, parse func(string) (T, error)) types.String {
	if before, err := parse(prior.ValueString()); err == nil && before == now {
		return prior
	}
	return textOrNull(now.String())
}

// batchValidator checks a batch as a whole as soon as all of it is known: whether its parts go together.
func batchValidator() validator.Object {
	const name = "batch"
	return objectChecker{"a batch whose parts go together", func(_ context.Context, at path.Path, object types.Object) (path.Path, error) {
		batch, err := batchOf(name, object)
		if err == nil {
			err = batch.Validate(name)
		}
		return fieldBelow(at, name, err), err
	}}
}

// concurrencyValidator checks a lock and its policy.
func concurrencyValidator() validator.Object {
	const name = "concurrency"
	return objectChecker{"a lock and what to do about minions that are busy", func(_ context.Context, at path.Path, object types.Object) (path.Path, error) {
		err := concurrencyOf(object).Validate(name)
		return fieldBelow(at, name, err), err
	}}
}
