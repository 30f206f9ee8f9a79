package provider

import (
	"context"
	"maps"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-jsontypes/jsontypes"
	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func (r *jobResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes := map[string]schema.Attribute{
		"name": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "Name of the job: 1 to 128 letters, digits, dots, dashes and underscores. By it an apply finds the run again that " +
				"one before it has started and was cut off in, so no other `gaea_job` of the same jobd should have it. A change of it alone runs " +
				"nothing.",
			Validators: []validator.String{nameValidator()},
		},
		"triggers": schema.MapAttribute{
			Optional:    true,
			ElementType: types.StringType,
			MarkdownDescription: "Any texts: when one of them changes, the job is run again. For example the digest of a file, or the version of " +
				"what is deployed.",
			Validators: []validator.Map{mapvalidator.NoNullValues()},
		},
		"wait": schema.BoolAttribute{
			Optional: true,
			Computed: true,
			Default:  booldefault.StaticBool(true),
			MarkdownDescription: "`true`, the default: an apply waits for the run's end, and is an error where it did not succeed. `false`: an apply " +
				"ends when jobd has accepted the run; a later refresh tells how it ended, and nothing is planned for that.",
		},
		"keep_results": schema.BoolAttribute{
			Optional: true,
			Computed: true,
			Default:  booldefault.StaticBool(true),
			MarkdownDescription: "Whether `results` holds what the minions returned. `false` keeps it out of Terraform's state, where it could hold " +
				"a secret. jobd has it either way.",
		},
		"on_interrupt": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "What becomes of the run when Terraform is interrupted (Ctrl-C) while it waits: `detach`, the default: the run " +
				"goes on, and the next apply joins it. `cancel`: the run is cancelled, what it started on the minions is killed, and " +
				"Terraform ends when that is verified, after at most " + gaea.Duration(cancelTime).String() + ". A change of it runs nothing.",
			Validators: []validator.String{stringvalidator.OneOf(interruptDetach, interruptCancel)},
		},
		"on_destroy": onDestroyAttribute(),
		"timeouts":   jobTimeouts(ctx),
	}
	maps.Copy(attributes, jobWork("The run's"))
	maps.Copy(attributes, jobResults())
	resp.Schema = schema.Schema{
		MarkdownDescription: "A function, or what a job template says, run once on minions: when it is created, and again when its `triggers` " +
			"or what is run change.",
		Attributes: attributes,
	}
}

// jobWork are the attributes that say what is run, and where.
func jobWork(whose string) map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"target_group": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: whose + " minions: the `ref` of a `gaea_target_group`, so that a change of the group runs the job again, or its " +
				"`id` for whatever the group is at the time. Either this or `target`.",
			Validators: []validator.String{refValidator()},
		},
		"target": schema.SingleNestedAttribute{
			Optional:            true,
			MarkdownDescription: whose + " minions where no target group names them: `{ minions = [\"db1\"] }` or `{ match = \"G@role:web\" }`.",
			Validators:          []validator.Object{jobTargetValidator()},
			Attributes: map[string]schema.Attribute{
				"match": schema.StringAttribute{
					Optional:            true,
					MarkdownDescription: "An expression in the syntax of `match_type`. Exactly one of `match` and `minions` is set.",
				},
				"match_type": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "How Salt reads `match`: `compound`, which it is where it is not set, `glob`, `pcre`, `grain`, `grain_pcre`, " +
						"`pillar`, `pillar_pcre`, `pillar_exact`, `nodegroup`, `range` or `ipcidr`.",
					Validators: []validator.String{stringvalidator.OneOf(targetTypeNames()...)},
				},
				"minions": schema.SetAttribute{
					Optional:            true,
					ElementType:         types.StringType,
					MarkdownDescription: "The ids of the minions.",
					Validators:          []validator.Set{setvalidator.SizeAtLeast(1), setvalidator.NoNullValues(), setvalidator.ValueStringsAre(minionValidator())},
				},
			},
		},
		"job_template": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "How it is run, and where `function` is not set also what: the `ref` of a `gaea_job_template`, so that a change of " +
				"the template runs the job again, or its `id` for whatever the template is at the time.",
			Validators: []validator.String{refValidator()},
		},
		"function": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "Execution function, for example `pkg.upgrade`. Where the template names one too, this one is run, and where it is " +
				"another the template's arguments are left out.",
			Validators: []validator.String{functionValidator()},
		},
		"args": schema.ListAttribute{
			Optional:            true,
			ElementType:         types.StringType,
			MarkdownDescription: "Positional arguments; the template's where it is not set.",
			Validators:          []validator.List{listvalidator.NoNullValues()},
		},
		"kwargs": schema.StringAttribute{
			Optional:   true,
			CustomType: jsontypes.NormalizedType{},
			MarkdownDescription: "Keyword arguments as a JSON object: `jsonencode({ refresh = true })`. They are laid over the template's. Not for " +
				"secrets: plans and state show them.",
			Validators: []validator.String{objectValidator()},
		},
	}
}

func onDestroyAttribute() schema.Attribute {
	attributes := jobWork("That run's")
	attributes["on_failure"] = schema.StringAttribute{
		Optional: true,
		MarkdownDescription: "What its failure does. `abort`, the default: the resource stays, and the next destroy runs it again. `continue`: it " +
			"is a warning, and the resource is gone.",
		Validators: []validator.String{stringvalidator.OneOf(string(gaea.FailureAbort), string(gaea.FailureContinue))},
	}
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "What is run when the resource is destroyed, or replaced by force; its end is waited for. On the minions of the resource " +
			"where it names none. Not where the creation never succeeded (the resource is tainted). A change of it runs nothing.",
		Attributes: attributes,
	}
}

// jobResults are what jobd tells of the last run.
func jobResults() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"done": schema.BoolAttribute{
			Computed: true,
			MarkdownDescription: "Whether a run of it has succeeded since the resource was created, or with `wait = false` was accepted. `on_destroy` " +
				"is for jobs that have been done.",
		},
		"run_id": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "The last run; `jobd show RUN` tells about it, and so does the data source `gaea_job_result`.",
		},
		"status": schema.StringAttribute{
			Computed: true,
			MarkdownDescription: "How that run ended: `succeeded`, `failed`, `halted`, `cancelled` or `timed_out`. Where Terraform did not wait " +
				"for the end how it stood then, for example `running`, until a refresh finds that it has ended.",
		},
		// Texts, not numbers: with any number in a state, -refresh-only -detailed-exitcode says "changed" (2) for ever, seen with
		// Terraform 1.11.4 (hashicorp/terraform#36403).
		"outcomes": schema.MapAttribute{
			Computed: true, ElementType: types.StringType,
			MarkdownDescription: "How many minions have which outcome: `succeeded`, `in_sync`, `changed`, `failed`, `could_not_run`, `no_return`, " +
				"`unreachable`, `killed` or `skipped`. Empty before the run's end is known. The counts are texts: write `tonumber(…)` to compute with them.",
		},
		"results": schema.MapAttribute{
			Computed: true, ElementType: types.StringType,
			MarkdownDescription: "What each minion returned, as JSON for `jsondecode`, with what is named secret taken out. Of the first 100 minions " +
				"that returned, by name; a return over 64 KiB, or beyond 4 MiB in all, is a JSON text that says so, with the beginning where " +
				"there is room. Null with `keep_results = false`.",
		},
	}
}

func jobTimeouts(ctx context.Context) schema.Attribute {
	const wait = "How long to wait for the run, for example `45m`. Where it is not set: an hour, or what the run's own limits allow where " +
		"that is longer. The run goes on when the wait ends, and the next apply joins it."
	a := timeouts.Attributes(ctx, timeouts.Opts{
		Create: true, CreateDescription: wait, Update: true, UpdateDescription: wait,
		Delete: true, DeleteDescription: "How long to wait for the run of `on_destroy`; as long as for any run where it is not set.",
	})
	return describedTimeouts(a, "How long Terraform waits. A change of them runs nothing. How long a run may take is said by its job template.")
}

// ValidateConfig checks what depends on more than one attribute.
func (r *jobResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m jobModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if m.Target.IsNull() && m.TargetGroup.IsNull() {
		resp.Diagnostics.AddAttributeError(path.Root("target_group"), "No minions", "Say where the job is run: target_group = gaea_target_group.NAME.ref, "+
			"or target = { minions = [\"db1\"] }.")
	}
	m.work().check(path.Empty(), &resp.Diagnostics)
	if !m.OnDestroy.IsNull() && !m.OnDestroy.IsUnknown() {
		m.onDestroy().check(path.Root("on_destroy"), &resp.Diagnostics)
	}
}
