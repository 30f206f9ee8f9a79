package provider

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-validators/datasourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// Bounds on what a data source takes into a state.
const (
	maxReturn        = 64 << 10 // bytes of one minion's return
	maxReturnsTotal  = 4 << 20  // bytes of all returns of a job
	returnsPage      = 25       // returns in a request: each can be megabytes
	maxResultMessage = 4 << 10  // bytes of one minion's message
)

const defaultResultTimeout = 10 * time.Minute

type jobResultDataSource struct{ session *session }

func newJobResultDataSource() datasource.DataSource { return &jobResultDataSource{} }

var (
	_ datasource.DataSourceWithConfigure        = (*jobResultDataSource)(nil)
	_ datasource.DataSourceWithConfigValidators = (*jobResultDataSource)(nil)
)

type jobResultModel struct {
	JID      types.String `tfsdk:"jid"`
	RunID    types.String `tfsdk:"run_id"`
	Wait     types.Bool   `tfsdk:"wait"`
	Timeout  types.String `tfsdk:"timeout"`
	Function types.String `tfsdk:"function"`
	Status   types.String `tfsdk:"status"`
	Complete types.Bool   `tfsdk:"complete"`
	JIDs     types.List   `tfsdk:"jids"`
	Outcomes types.Map    `tfsdk:"outcomes"`
	Minions  types.Map    `tfsdk:"minions"`
}

var minionResultType = types.ObjectType{AttrTypes: map[string]attr.Type{
	"outcome": types.StringType, "retcode": types.StringType, "return": types.StringType, "return_left_out": types.BoolType,
	"message": types.StringType, "jid": types.StringType,
}}

func (d *jobResultDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_job_result"
}

// Schema has texts where one expects numbers: an output that takes a number from here makes -refresh-only -detailed-exitcode say
// "changed" (2) for ever, seen with Terraform 1.11.4 (hashicorp/terraform#36403).
func (d *jobResultDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "What came of a job: of one that Gaea ran, or of any that the master published, by whomever, as long as jobd " +
			"keeps it; without a jobd as long as the master's job cache does, a day by default.",
		Attributes: map[string]schema.Attribute{
			"jid": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Salt's job id. Exactly one of `jid` and `run_id` is set.",
				Validators:          []validator.String{jidValidator()},
			},
			"run_id": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The id of a run of Gaea, for example the `last_run_id` of a state assignment.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"wait": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "`true` waits until every minion is accounted for. Otherwise the job is taken as it stands.",
			},
			"timeout": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "How long to wait before it is an error, for example `10m`, which is the default. Only with `wait = true`. jobd " +
					"does not ask after the minions of a job that is no run of Gaea: where one of them is down, the wait ends here.",
				Validators: []validator.String{durationValidator(), stringvalidator.AlsoRequires(path.MatchRoot("wait"))},
			},
			"function": schema.StringAttribute{Computed: true, MarkdownDescription: "Which function was run."},
			"status": schema.StringAttribute{
				Computed: true,
				MarkdownDescription: "Of a run: `queued`, `running`, `cancelling`, `succeeded`, `failed`, `cancelled` or `timed_out`. Of another " +
					"job: `running`, `succeeded` or `failed`.",
			},
			"complete": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether every minion is accounted for."},
			"jids": schema.ListAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "Salt's job ids: one for each slice of a run.",
			},
			"outcomes": schema.MapAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "How many minions have which outcome: `succeeded`, `in_sync`, `changed`, `would_change`, `failed`, " +
					"`could_not_run`, `no_return`, `unreachable`, `killed`, `skipped` or `pending`. The counts are texts: write " +
					"`tonumber(…)` to compute with them.",
			},
			"minions": schema.MapNestedAttribute{
				Computed:            true,
				MarkdownDescription: "Each minion by its id.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"outcome": schema.StringAttribute{Computed: true, MarkdownDescription: "One of those that `outcomes` counts."},
					"retcode": schema.StringAttribute{Computed: true, MarkdownDescription: "Salt's return code, as a text; null where it sent none."},
					"return": schema.StringAttribute{
						Computed: true,
						MarkdownDescription: "What the function returned, as JSON for `jsondecode`. Null where there is no return, and where it is " +
							"larger than 64 KiB or all of them together than 4 MiB.",
					},
					"return_left_out": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether there is a return that was too large."},
					"message": schema.StringAttribute{
						Computed:            true,
						MarkdownDescription: "Why, for people: Salt's words where the function failed, or how silence was settled.",
					},
					"jid": schema.StringAttribute{Computed: true, MarkdownDescription: "The job that reached this minion."},
				}},
			},
		},
	}
}

func (d *jobResultDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.session = sessionOf(req.ProviderData, &resp.Diagnostics)
}

func (d *jobResultDataSource) ConfigValidators(context.Context) []datasource.ConfigValidator {
	return []datasource.ConfigValidator{
		datasourcevalidator.ExactlyOneOf(path.MatchRoot("jid"), path.MatchRoot("run_id")),
	}
}

func (d *jobResultDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m jobResultModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || !d.session.connected(&resp.Diagnostics) {
		return
	}
	limit := defaultResultTimeout
	if t := duration(m.Timeout); t > 0 {
		limit = t.Std()
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	what, id, get := "run", m.RunID.ValueString(), d.run
	if m.RunID.IsNull() {
		what, id, get = "job", m.JID.ValueString(), d.job
	}
	result, err := get(ctx, id, m.Wait.ValueBool())
	if err == nil {
		err = d.addReturns(ctx, result)
	}
	if err != nil {
		if ctx.Err() != nil && m.Wait.ValueBool() {
			err = gaea.Errorf(gaea.CodeTimeout, "it is not complete after %s; raise timeout, or leave out wait to take it as it stands%s",
				gaea.Duration(limit), d.session.hint(". What is missing is shown by `jobd show`"))
		}
		addError(&resp.Diagnostics, "Cannot read the "+what+" "+id, err)
		return
	}
	m.take(result)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

// jobResult is a run or a job, as far as the data source shows it.
type jobResult struct {
	function, status string
	complete         bool
	jids             []string
	minions          map[string]*minionResult
}

type minionResult struct {
	outcome gaea.Outcome
	retcode *int
	body    string // JSON; empty where there is none
	leftOut bool
	message string
	jid     string
}

func (d *jobResultDataSource) run(ctx context.Context, id string, wait bool) (*jobResult, error) {
	get := d.session.backend.GetRun
	if wait {
		get = func(ctx context.Context, id string) (*gaea.Run, error) {
			return d.session.backend.WaitRun(ctx, id, nil)
		}
	}
	run, err := get(ctx, id)
	if err != nil {
		return nil, err
	}
	result := &jobResult{
		function: run.Function, status: string(run.Status), complete: run.Status.Final(), minions: make(map[string]*minionResult, len(run.Minions)),
	}
	jids := map[string]bool{}
	for _, s := range run.Slices {
		jids[s.JID] = true
	}
	for minion, m := range run.Minions {
		jids[m.JID] = true
		result.minions[minion] = &minionResult{outcome: m.Outcome, retcode: m.Retcode, message: m.Message, jid: m.JID}
	}
	delete(jids, "")
	result.jids = slices.Sorted(maps.Keys(jids))
	return result, nil
}

func (d *jobResultDataSource) job(ctx context.Context, jid string, wait bool) (*jobResult, error) {
	if wait {
		if err := d.session.backend.FollowJob(ctx, jid, func(gaea.Return) error { return nil }); err != nil {
			return nil, err
		}
	}
	job, err := d.session.backend.Job(ctx, jid)
	if err != nil {
		return nil, err
	}
	result := &jobResult{
		function: job.Function, status: string(gaea.RunSucceeded), complete: true, jids: []string{jid},
		minions: make(map[string]*minionResult, len(job.Returns)),
	}
	for minion, head := range job.Returns {
		result.minions[minion] = &minionResult{outcome: head.Outcome, retcode: head.Retcode, message: head.Message, jid: jid}
		switch {
		case !head.Outcome.Final():
			result.complete = false
		case !head.Outcome.OK():
			result.status = string(gaea.RunFailed)
		}
	}
	if !result.complete {
		result.status = string(gaea.RunRunning)
	}
	return result, nil
}

// addReturns adds what the minions returned, within the bounds.
func (d *jobResultDataSource) addReturns(ctx context.Context, result *jobResult) error {
	left := maxReturnsTotal
	for _, jid := range result.jids {
		list := func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
			p.Limit = returnsPage
			return d.session.backend.JobReturns(ctx, jid, p)
		}
		for ret, err := range jobdclient.All(list) {
			if err != nil {
				return fmt.Errorf("the returns of job %s: %w", jid, err)
			}
			m := result.minions[ret.Minion]
			if m == nil || m.jid != jid || len(ret.Body) == 0 {
				continue
			}
			if len(ret.Body) > min(maxReturn, left) {
				m.leftOut = true
				continue
			}
			left -= len(ret.Body)
			m.body = string(ret.Body)
		}
	}
	return nil
}

// take writes a result into the model.
func (m *jobResultModel) take(r *jobResult) {
	m.Function, m.Status, m.Complete = types.StringValue(r.function), types.StringValue(r.status), types.BoolValue(r.complete)
	m.JIDs = textList(r.jids)
	outcomes, minions := map[string]int{}, make(map[string]attr.Value, len(r.minions))
	for name, minion := range r.minions {
		outcomes[string(minion.outcome)]++
		retcode := types.StringNull()
		if minion.retcode != nil {
			retcode = types.StringValue(strconv.Itoa(*minion.retcode))
		}
		minions[name] = types.ObjectValueMust(minionResultType.AttrTypes, map[string]attr.Value{
			"outcome": types.StringValue(string(minion.outcome)), "retcode": retcode, "return": textOrNull(valid(minion.body)),
			"return_left_out": types.BoolValue(minion.leftOut), "message": textOrNull(cut(valid(minion.message), maxResultMessage)),
			"jid": textOrNull(minion.jid),
		})
	}
	counts := make(map[string]attr.Value, len(outcomes))
	for outcome, n := range outcomes {
		counts[outcome] = types.StringValue(strconv.Itoa(n))
	}
	m.Outcomes, m.Minions = types.MapValueMust(types.StringType, counts), types.MapValueMust(minionResultType, minions)
}
