package provider

import (
	"context"
	"maps"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-jsontypes/jsontypes"
	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func (r *stateAssignmentResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes := map[string]schema.Attribute{
		"name":        nameAttribute("state assignment"),
		"description": descriptionAttribute(),
		"id":          schema.StringAttribute{Computed: true, MarkdownDescription: "The name."},
		"ref": schema.StringAttribute{
			Computed: true,
			MarkdownDescription: "`NAME@DIGEST`: this very version of the assignment, known when it is planned. An apply runs this version " +
				"and no other.",
		},
		"timeouts": assignmentTimeouts(ctx),
	}
	for _, part := range []map[string]schema.Attribute{assignmentInputs(), assignmentPolicy(), assignmentResults()} {
		maps.Copy(attributes, part)
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Which states should be true on which minions. A plan shows each state that is not, with its diff; an " +
			"apply makes it true and ends when every minion is accounted for.",
		Attributes: attributes,
	}
}

// assignmentInputs are what is applied, and where.
func assignmentInputs() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"target_group": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "Which minions: the `ref` of a `gaea_target_group`, so that a change of the group is planned here too, or its " +
				"`id` for whatever the group is at the time.",
			Validators: []validator.String{refValidator()},
		},
		"job_template": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "How runs are made: the `ref` or the `id` of a `gaea_job_template`, for its batches, limits, lock and actions. " +
				"All minions at once, within 30 minutes, where it is not set.",
			Validators: []validator.String{refValidator()},
		},
		"states": schema.ListAttribute{
			Optional:            true,
			ElementType:         types.StringType,
			MarkdownDescription: "SLS names in order, for example `[\"nginx\", \"web.vhosts\"]`. Either this or `highstate`.",
			Validators: []validator.List{
				listvalidator.SizeAtLeast(1), listvalidator.NoNullValues(), listvalidator.ValueStringsAre(slsValidator()),
			},
		},
		"highstate": schema.BoolAttribute{
			Optional:            true,
			MarkdownDescription: "`true` applies what the top file says instead of `states`.",
		},
		"saltenv": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "Salt environment that the states are taken from; `base` where it is not set.",
			Validators:          []validator.String{stringvalidator.LengthBetween(1, 255)},
		},
		"pillar": schema.StringAttribute{
			Optional:            true,
			CustomType:          jsontypes.NormalizedType{},
			MarkdownDescription: "Pillar for the run as a JSON object: `jsonencode({ nginx = { workers = 4 } })`. Not for secrets.",
			Validators:          []validator.String{objectValidator()},
		},
		"pillar_wo": schema.StringAttribute{
			Optional:  true,
			Sensitive: true,
			WriteOnly: true,
			MarkdownDescription: "Secret pillar as a JSON object, laid over `pillar` in every run. It is in no plan and no state (write-only, " +
				"Terraform 1.11 or later), and jobd keeps it sealed. A change is seen by `pillar_wo_version`.",
			Validators: []validator.String{
				secretObjectValidator(), stringvalidator.AlsoRequires(path.MatchRoot("pillar_wo_version")),
			},
		},
		"pillar_wo_version": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "Any text that you change whenever `pillar_wo` changes, for example `1`, then `2`: Terraform cannot compare " +
				"what it does not keep.",
			Validators: []validator.String{
				stringvalidator.LengthBetween(1, 255), stringvalidator.AlsoRequires(path.MatchRoot("pillar_wo")),
			},
		},
	}
}

// assignmentPolicy is how drift is looked for and what is made of it.
func assignmentPolicy() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"remediate": schema.BoolAttribute{
			Optional: true,
			Computed: true,
			Default:  booldefault.StaticBool(true),
			MarkdownDescription: "`true`, the default: drift is planned away and an apply repairs it. `false`: drift is shown in `drift` and no " +
				"apply touches a minion.",
		},
		"on_unreachable": schema.StringAttribute{
			Optional: true,
			Computed: true,
			Default:  stringdefault.StaticString(string(gaea.UnreachableError)),
			MarkdownDescription: "What an apply makes of a minion that does not answer: `error`, the default, or `warn`. Either way the minion " +
				"is listed in `unreachable`, and its drift is back when it answers again.",
			Validators: []validator.String{stringvalidator.OneOf(string(gaea.UnreachableError), string(gaea.UnreachableWarn))},
		},
		"on_interrupt": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "What becomes of the run when Terraform is interrupted (Ctrl-C) while it waits: `detach`, the default: the run " +
				"goes on, and the next apply joins it. `cancel`: the run is cancelled, what it started on the minions is killed, and " +
				"Terraform ends when that is verified, after at most " + gaea.Duration(cancelTime).String() + ". A change of it changes nothing on jobd.",
			Validators: []validator.String{stringvalidator.OneOf(interruptDetach, interruptCancel)},
		},
		"drift_check": schema.SingleNestedAttribute{
			Optional:            true,
			MarkdownDescription: "How a plan looks for drift.",
			Attributes: map[string]schema.Attribute{
				"mode": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "`archive`, the default: from what jobd has seen, with one test run on the minions that nothing new " +
						"enough is known of. `live`: a test run for every plan. `off`: a plan does not look.",
					Validators: []validator.String{stringvalidator.OneOf(string(gaea.CheckArchive), string(gaea.CheckLive), string(gaea.CheckOff))},
				},
				"max_age": schema.StringAttribute{
					Optional:            true,
					MarkdownDescription: "How old what jobd has seen may be before minions are looked at again; `1h` where it is not set.",
					Validators:          []validator.String{durationValidator()},
				},
				"interval": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "How often jobd looks by itself, for example `30m`, at least `" + gaea.MinCheckInterval.String() +
						"`. Never where it is not set.",
					Validators: []validator.String{intervalValidator()},
				},
				"detail": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "`diff`, the default: the unified diff where Salt gives one. `names`: only the names of the states, for " +
						"files that hold secrets.",
					Validators: []validator.String{stringvalidator.OneOf(string(gaea.DetailDiff), string(gaea.DetailNames))},
				},
				"ignore": schema.SetAttribute{
					Optional:    true,
					ElementType: types.StringType,
					MarkdownDescription: "States that are no drift, as `MODULE.FUNCTION:ID-glob`, for example `cmd.run:*` or " +
						"`file.*:/etc/motd*`.",
					Validators: []validator.Set{setvalidator.NoNullValues(), setvalidator.ValueStringsAre(ignoreRuleValidator())},
				},
			},
		},
	}
}

var driftCheckTypes = map[string]attr.Type{
	"mode": types.StringType, "max_age": types.StringType, "interval": types.StringType, "detail": types.StringType,
	"ignore": types.SetType{ElemType: types.StringType},
}

// assignmentResults are what jobd tells.
func assignmentResults() map[string]schema.Attribute {
	// Texts, not numbers: with any number in a state, -refresh-only -detailed-exitcode says "changed" (2) for ever, seen with
	// Terraform 1.11.4 (hashicorp/terraform#36403).
	count := func(what string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: what}
	}
	return map[string]schema.Attribute{
		"drift": schema.MapAttribute{
			Computed:    true,
			ElementType: statesType,
			MarkdownDescription: "What is not as it should be: minion to state to what differs, the unified diff where Salt gives one. At most " +
				"100 minions; `drift_summary` counts all.",
		},
		"drift_summary": schema.SingleNestedAttribute{
			Computed:            true,
			MarkdownDescription: "All minions of the target group, counted. The counts are texts: write `tonumber(…)` to compute with them.",
			Attributes: map[string]schema.Attribute{
				"minions":       count("All."),
				"in_sync":       count("Every state is as it should be."),
				"drifted":       count("At least one state is not."),
				"could_not_run": count("Salt could not run the states, for example because an SLS is missing."),
				"unreachable":   count("Did not answer."),
				"unknown":       count("Never looked at with these states."),
				"states":        count("States that differ, over all minions."),
			},
		},
		"unreachable": schema.ListAttribute{
			Computed:    true,
			ElementType: types.StringType,
			MarkdownDescription: "Minions that did not answer when they were last asked. Nothing is known of them: they are neither in sync nor " +
				"drifted, and they alone plan nothing.",
		},
		"unsettled": schema.ListAttribute{
			Computed:    true,
			ElementType: types.StringType,
			MarkdownDescription: "States that would change again right after they were applied, such as a `cmd.run` without a condition. They are " +
				"no drift while they would make that same change.",
		},
		"last_run_id": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "The last run that an apply made; `jobd show RUN` tells about it.",
		},
		"status": schema.StringAttribute{
			Computed: true,
			MarkdownDescription: "How that run ended: `succeeded`, `failed`, `halted`, `cancelled` or `timed_out`; where Terraform stopped " +
				"waiting how it stood then, for example `running` or `paused`.",
		},
	}
}

var (
	statesType   = types.MapType{ElemType: types.StringType}
	summaryTypes = map[string]attr.Type{
		"minions": types.StringType, "in_sync": types.StringType, "drifted": types.StringType, "could_not_run": types.StringType,
		"unreachable": types.StringType, "unknown": types.StringType, "states": types.StringType,
	}
)

func assignmentTimeouts(ctx context.Context) schema.Attribute {
	const wait = "How long to wait for the run and the check after it, for example `45m`. Where it is not set: an hour, or what the " +
		"run's own limits allow where that is longer. The run goes on when the wait ends, and the next apply joins it."
	a := timeouts.Attributes(ctx, timeouts.Opts{
		Create: true, CreateDescription: wait,
		Read: true, ReadDescription: "How long to wait for a test run, where one is needed; `" + gaea.Duration(defaultReadTimeout).String() + "` where it is not set.",
		Update: true, UpdateDescription: wait,
		Delete: true, DeleteDescription: "How long to wait for jobd to delete the definition; `" + gaea.Duration(defaultDeleteTimeout).String() + "` where it is not set.",
	})
	return describedTimeouts(a, "How long Terraform waits. A change of them alone changes nothing on jobd and runs nothing.")
}

// ValidateConfig checks what depends on more than one attribute.
func (r *stateAssignmentResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m stateAssignmentModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || m.Highstate.IsUnknown() || m.States.IsUnknown() {
		return
	}
	switch {
	case m.Highstate.ValueBool() && !m.States.IsNull():
		resp.Diagnostics.AddAttributeError(path.Root("states"), "Invalid states", "states and highstate exclude each other: the top file says "+
			"what a highstate is. Keep one of them.")
	case !m.Highstate.ValueBool() && m.States.IsNull():
		resp.Diagnostics.AddAttributeError(path.Root("states"), "Nothing to apply", "Name at least one SLS, states = [\"nginx\"], or set "+
			"highstate = true.")
	}
}
