package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/hashicorp/terraform-plugin-framework-jsontypes/jsontypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The attributes that hold a template's actions, which are also their names in the domain.
const (
	preActions  = "pre_actions"
	postActions = "post_actions"
)

// jobActionModel is one action in a configuration, a plan or a state.
type jobActionModel struct {
	Name        types.String         `tfsdk:"name"`
	Function    types.String         `tfsdk:"function"`
	Runner      types.String         `tfsdk:"runner"`
	HTTP        types.Object         `tfsdk:"http"`
	Args        types.List           `tfsdk:"args"`
	Kwargs      jsontypes.Normalized `tfsdk:"kwargs"`
	TargetGroup types.String         `tfsdk:"target_group"`
	Scope       types.String         `tfsdk:"scope"`
	When        types.String         `tfsdk:"when"`
	Expect      types.String         `tfsdk:"expect"`
	Retries     types.String         `tfsdk:"retries"`
	Interval    types.String         `tfsdk:"interval"`
	Timeout     types.String         `tfsdk:"timeout"`
	OnFailure   types.String         `tfsdk:"on_failure"`
}

var (
	httpTypes = map[string]attr.Type{
		"url": types.StringType, "method": types.StringType, "headers": types.MapType{ElemType: types.StringType}, "body": types.StringType,
	}
	jobActionTypes = map[string]attr.Type{
		"name": types.StringType, "function": types.StringType, "runner": types.StringType, "http": types.ObjectType{AttrTypes: httpTypes},
		"args": types.ListType{ElemType: types.StringType}, "kwargs": jsontypes.NormalizedType{}, "target_group": types.StringType,
		"scope": types.StringType, "when": types.StringType, "expect": types.StringType, "retries": types.StringType,
		"interval": types.StringType, "timeout": types.StringType, "on_failure": types.StringType,
	}
	jobActionType = types.ObjectType{AttrTypes: jobActionTypes}
)

func jobActionsAttribute(description, name string) schema.Attribute {
	attributes := jobActionWork()
	maps.Copy(attributes, jobActionJudgement())
	return schema.ListNestedAttribute{
		Optional:            true,
		MarkdownDescription: description,
		Validators:          []validator.List{listvalidator.NoNullValues()},
		NestedObject: schema.NestedAttributeObject{
			Validators: []validator.Object{actionValidator(name == preActions)},
			Attributes: attributes,
		},
	}
}

// jobActionWork are the attributes that say what an action does, and on which minions.
func jobActionWork() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"name": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: "Name of the action, for example `drain`, unique in its list.",
		},
		"function": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "Execution function on minions, for example `cmd.run`: those of the run, or of the slice. An action has just one " +
				"of `function`, `runner` and `http`.",
		},
		"runner": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "Runner on the master, for example `cache.grains`.",
		},
		"http": schema.SingleNestedAttribute{
			Optional:            true,
			MarkdownDescription: "A request that jobd makes. It follows no redirect.",
			Attributes: map[string]schema.Attribute{
				"url": schema.StringAttribute{
					Required:            true,
					MarkdownDescription: "For example `https://lb.example.com/drain`. Without a password: that belongs in a header.",
				},
				"method": schema.StringAttribute{Optional: true, MarkdownDescription: "For example `POST`; `GET` where it is not set."},
				"headers": schema.MapAttribute{
					Optional:    true,
					Sensitive:   true,
					ElementType: types.StringType,
					MarkdownDescription: "Headers of the request. Plans and runs do not show them; Terraform's state and jobd's database have " +
						"them with the template, which every token of jobd may read.",
					Validators: []validator.Map{mapvalidator.NoNullValues()},
				},
				"body": schema.StringAttribute{Optional: true, MarkdownDescription: "What is sent. Not for secrets: plans show it."},
			},
		},
		"args": schema.ListAttribute{
			Optional:            true,
			ElementType:         types.StringType,
			MarkdownDescription: "Positional arguments of `function` or `runner`.",
			Validators:          []validator.List{listvalidator.NoNullValues()},
		},
		"kwargs": schema.StringAttribute{
			Optional:   true,
			CustomType: jsontypes.NormalizedType{},
			MarkdownDescription: "Keyword arguments of `function` or `runner`, as a JSON object: `jsonencode({ python_shell = true })`. Not for " +
				"secrets.",
			Validators: []validator.String{objectValidator()},
		},
		"target_group": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "Other minions for `function`: the `ref` or the `id` of a `gaea_target_group`, for example of the load " +
				"balancers.",
			Validators: []validator.String{refValidator()},
		},
	}
}

// jobActionJudgement are the attributes that say when an action is done, when it has succeeded, and what follows if not.
func jobActionJudgement() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"scope": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "`once` for the run, the default, or for each `slice`, on its minions.",
		},
		"when": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "Of a post-action: after `success`, the default, after `failure`, which is any other end, or `always`. A " +
				"pre-action has none.",
		},
		"expect": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "CEL expression that must be true, for example `ret.status == 200`. Without one each minion's outcome must be " +
				"good, a runner successful, and the status of a request 200 to 299.",
			Validators: []validator.String{expectValidator()},
		},
		"retries": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "How often it is tried again, 0 to 1000; never where it is not set.",
			Validators:          []validator.String{wholeNumberValidator()},
		},
		"interval": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "Pause before it is tried again; `" + gaea.DefaultActionInterval.String() + "` where it is not set.",
			Validators:          []validator.String{durationValidator()},
		},
		"timeout": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "How long the action may take, all tries together; `" + gaea.DefaultActionTimeout.String() +
				"` where it is not set.",
			Validators: []validator.String{durationValidator()},
		},
		"on_failure": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "What its failure does to the run. `abort`, the default: nothing more starts, and the run has failed. " +
				"`continue`: it goes on as if nothing had happened.",
		},
	}
}

// jobActions reads a list of actions. An error names the field below the attribute of the given name.
func jobActions(ctx context.Context, name string, list types.List) ([]gaea.JobAction, error) {
	var out []gaea.JobAction
	for i, e := range list.Elements() {
		at := fmt.Sprintf("%s[%d]", name, i)
		object, ok := e.(types.Object)
		if !ok || object.IsNull() || object.IsUnknown() {
			return nil, gaea.Invalid(at, "an action is missing; write for example { name = \"drain\", function = \"cmd.run\", args = [\"lb-drain\"] }")
		}
		action, err := jobAction(ctx, at, object)
		if err != nil {
			return nil, err
		}
		out = append(out, action)
	}
	return out, nil
}

// jobAction reads one action. What is unknown in it must be asked for before.
func jobAction(ctx context.Context, at string, object types.Object) (gaea.JobAction, error) {
	var m jobActionModel
	if diags := object.As(ctx, &m, basetypes.ObjectAsOptions{}); diags.HasError() {
		return gaea.JobAction{}, gaea.Errorf(gaea.CodeInternal, "%s cannot be read: %s", at, diags.Errors()[0].Detail())
	}
	a := gaea.JobAction{
		Name:        m.Name.ValueString(),
		Function:    m.Function.ValueString(),
		Runner:      m.Runner.ValueString(),
		Args:        textArgs(m.Args),
		TargetGroup: m.TargetGroup.ValueString(),
		Scope:       gaea.ActionScope(m.Scope.ValueString()),
		When:        gaea.ActionWhen(m.When.ValueString()),
		Expect:      m.Expect.ValueString(),
		Interval:    duration(m.Interval),
		Timeout:     duration(m.Timeout),
		OnFailure:   gaea.ActionFailure(m.OnFailure.ValueString()),
	}
	var err error
	if a.Kwargs, err = keywordArgs(m.Kwargs); err != nil {
		return a, gaea.Invalid(at+".kwargs", "%s", err.Error())
	}
	if a.Retries, err = numberIn(m.Retries); err != nil {
		return a, gaea.Invalid(at+".retries", "%s", gaea.MessageOf(err))
	}
	if !m.HTTP.IsNull() {
		a.HTTP = &gaea.HTTPCall{
			URL:     field(m.HTTP, "url").ValueString(),
			Method:  field(m.HTTP, "method").ValueString(),
			Headers: textMap(headersOf(m.HTTP)),
			Body:    field(m.HTTP, "body").ValueString(),
		}
	}
	return a, nil
}

func headersOf(http types.Object) types.Map {
	if m, ok := http.Attributes()["headers"].(types.Map); ok {
		return m
	}
	return types.MapNull(types.StringType)
}

// keepActions is the value of a list of actions after jobd was asked: each action keeps what means the same as before.
func keepActions(ctx context.Context, name string, prior types.List, now []gaea.JobAction) (types.List, error) {
	if len(now) == 0 {
		if !prior.IsUnknown() && len(prior.Elements()) == 0 && !prior.IsNull() {
			return prior, nil
		}
		return types.ListNull(jobActionType), nil
	}
	var before []jobActionModel
	if !prior.IsNull() && !prior.IsUnknown() {
		if diags := prior.ElementsAs(ctx, &before, false); diags.HasError() {
			before = nil // it holds nothing that could be kept
		}
	}
	models := make([]jobActionModel, len(now))
	for i := range now {
		m := jobActionModel{Args: types.ListNull(types.StringType), HTTP: types.ObjectNull(httpTypes)}
		if i < len(before) {
			m = before[i]
		}
		if err := m.adopt(&now[i]); err != nil {
			return prior, fmt.Errorf("%s[%d]: %w", name, i, err)
		}
		models[i] = m
	}
	list, diags := types.ListValueFrom(ctx, jobActionType, models)
	if diags.HasError() {
		return prior, fmt.Errorf("%s: %s", name, diags.Errors()[0].Detail())
	}
	return list, nil
}

// adopt takes over each value of an action that means something else than the one in state.
func (m *jobActionModel) adopt(now *gaea.JobAction) error {
	m.Name = types.StringValue(now.Name)
	m.Function = keepText(m.Function, now.Function)
	m.Runner = keepText(m.Runner, now.Runner)
	args, err := argTexts(now.Args)
	if err != nil {
		return err
	}
	m.Args = keepList(m.Args, args)
	if m.Kwargs, err = keepKeywordArgs(m.Kwargs, now.Kwargs); err != nil {
		return err
	}
	m.HTTP = keepHTTP(m.HTTP, now.HTTP)
	m.TargetGroup = keepText(m.TargetGroup, now.TargetGroup)
	m.Scope = keepText(m.Scope, string(now.Scope))
	m.When = keepText(m.When, string(now.When))
	m.Expect = keepText(m.Expect, now.Expect)
	m.Retries = keepNumber(m.Retries, now.Retries)
	m.Interval = keepDuration(m.Interval, now.Interval)
	m.Timeout = keepDuration(m.Timeout, now.Timeout)
	m.OnFailure = keepText(m.OnFailure, string(now.OnFailure))
	return nil
}

func keepHTTP(prior types.Object, now *gaea.HTTPCall) types.Object {
	if now == nil {
		return types.ObjectNull(httpTypes)
	}
	return types.ObjectValueMust(httpTypes, map[string]attr.Value{
		"url":     types.StringValue(now.URL),
		"method":  keepText(field(prior, "method"), now.Method),
		"headers": keepMap(headersOf(prior), now.Headers),
		"body":    keepText(field(prior, "body"), now.Body),
	})
}

// keepKeywordArgs is keepObject for keyword arguments, which the domain has as a map.
func keepKeywordArgs(prior jsontypes.Normalized, now map[string]any) (jsontypes.Normalized, error) {
	var kwargs json.RawMessage
	if len(now) > 0 {
		var err error
		if kwargs, err = json.Marshal(now); err != nil {
			return prior, fmt.Errorf("kwargs: %w", err)
		}
	}
	return keepObject(prior, kwargs), nil
}

// actionValidator checks an action as a whole as soon as all of it is known, so that each wrong action of a list is named.
func actionValidator(pre bool) validator.Object {
	const name = "action"
	return objectChecker{"one of function, runner and http, and how it is judged", func(ctx context.Context, at path.Path, object types.Object) (path.Path, error) {
		action, err := jobAction(ctx, name+"[0]", object)
		if err == nil {
			err = gaea.ValidateActions(name, []gaea.JobAction{action}, pre)
		}
		return fieldBelow(at, name+"[0]", err), err
	}}
}
