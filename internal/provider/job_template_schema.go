package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-jsontypes/jsontypes"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Every number of a template is a text: with any number in a state, -refresh-only -detailed-exitcode says "changed" (2) for
// ever, seen with Terraform 1.11.4 (hashicorp/terraform#36403). Terraform takes retries = 10 for "10" by itself.

var (
	batchTypes = map[string]attr.Type{
		"size": types.StringType, "mode": types.StringType, "wait": types.StringType, "canary": types.StringType,
		"canary_hold": types.StringType, "max_failures": types.StringType, "min_sample": types.StringType, "order": types.StringType,
	}
	runTimeoutsTypes = map[string]attr.Type{"job": types.StringType, "slice": types.StringType, "gather": types.StringType}
	concurrencyTypes = map[string]attr.Type{"lock": types.StringType, "policy": types.StringType}
)

func (r *jobTemplateResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "How a job is run: in which batches, within which limits, apart from which other runs, and what is done " +
			"before and after; for what is no state run also which function. State assignments take all but the function from it.",
		Attributes: map[string]schema.Attribute{
			"name":        nameAttribute("job template"),
			"description": descriptionAttribute(),
			"function": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Execution function, for example `pkg.upgrade`. State assignments do not use it: they apply their " +
					"own states.",
				Validators: []validator.String{functionValidator()},
			},
			"args": schema.ListAttribute{
				Optional:            true,
				ElementType:         types.StringType,
				MarkdownDescription: "Positional arguments of `function`.",
				Validators: []validator.List{
					listvalidator.AlsoRequires(path.MatchRoot("function")),
					listvalidator.NoNullValues(),
				},
			},
			"kwargs": schema.StringAttribute{
				Optional:   true,
				CustomType: jsontypes.NormalizedType{},
				MarkdownDescription: "Keyword arguments of `function`, as a JSON object: `jsonencode({ refresh = true })`. Not for secrets: " +
					"a definition is kept in clear.",
				Validators: []validator.String{stringvalidator.AlsoRequires(path.MatchRoot("function")), objectValidator()},
			},
			"batch":       batchAttribute(),
			"timeouts":    runTimeoutsAttribute(),
			"concurrency": concurrencyAttribute(),
			"pre_actions": jobActionsAttribute("What is done before the run's own work, one after the other. A pre-action that fails ends the "+
				"run before a minion is told, unless its `on_failure` is `continue`.", preActions),
			"post_actions": jobActionsAttribute("What is done after it, one after the other: by default when it went well.", postActions),
			"id":           idAttribute("job template"),
			"ref":          refAttribute("job template"),
		},
	}
}

func batchAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: "Cuts a run into slices, so that not every minion is told at once. All at once where it is not set.",
		Validators:          []validator.Object{batchValidator()},
		Attributes: map[string]schema.Attribute{
			"size": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Minions in a slice: a number such as `5`, or a share such as `10%`, which is rounded up. All that are left " +
					"after the canary where it is not set.",
				Validators: []validator.String{amountValidator()},
			},
			"mode": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "`stepped`, the default: a slice begins when the one before has ended. `rolling`: as minions end others " +
					"begin, so that `size` of them are at work.",
			},
			"wait": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Pause after a slice before the next, for example `30s`; in mode `rolling` after a minion before its place " +
					"is taken.",
				Validators: []validator.String{durationValidator()},
			},
			"canary": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "So many minions are told first, in slices of their own: a number or a share. One of them that does not end " +
					"well halts the run.",
				Validators: []validator.String{amountValidator()},
			},
			"canary_hold": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How long the run is held after the canary, for example `10m`; `manual` pauses it until somebody resumes it. " +
					"As long as `wait` where it is not set.",
				Validators: []validator.String{holdValidator()},
			},
			"max_failures": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "So many minions may go wrong: a number from `0`, or a share of those that have ended, such as `5%`. One more " +
					"halts the run, and the minions that were not told yet are skipped.",
				Validators: []validator.String{allowanceValidator()},
			},
			"min_sample": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "A share in `max_failures` is judged when so many minions have ended, or when it cannot be met any more; `10` " +
					"where it is not set.",
				Validators: []validator.String{sampleValidator()},
			},
			"order": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "The order in which minions are told: `sorted` by name, the default, or `random`, by a seed that is stored " +
					"with the run.",
			},
		},
	}
}

func runTimeoutsAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "Limits of a run. They bound the work and never guess: a minion that is silent is asked whether it " +
			"still works.",
		Attributes: map[string]schema.Attribute{
			"job": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How long a whole run may take, from its first publish or pre-action. Pauses do not count, and " +
					"post-actions have limits of their own; `" + gaea.DefaultJobTimeout.String() + "` where it is not set.",
				Validators: []validator.String{durationValidator()},
			},
			"slice": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How long a slice may take from its publish. A minion that is silent then counts as one without a return: it " +
					"is not killed, and the run goes on. No limit of its own where it is not set.",
				Validators: []validator.String{durationValidator()},
			},
			"gather": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How long a minion may take to answer when it is asked whether it still runs the job, before it " +
					"counts as unreachable; `" + gaea.DefaultGatherTimeout.String() + "` where it is not set.",
				Validators: []validator.String{durationValidator()},
			},
		},
	}
}

func concurrencyAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: "Keeps runs apart that must not work on a minion together.",
		Validators:          []validator.Object{concurrencyValidator()},
		Attributes: map[string]schema.Attribute{
			"lock": schema.StringAttribute{
				Required: true,
				MarkdownDescription: "Name of the lock, for example `deploy`: while a run goes on, its minions are busy for every other run with " +
					"the same lock.",
			},
			"policy": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "What to do about minions that are busy: `wait` for them, the default, `skip` them, or `refuse` the run.",
			},
		},
	}
}
