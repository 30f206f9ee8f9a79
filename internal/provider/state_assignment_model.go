package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-jsontypes/jsontypes"
	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// stateAssignmentModel is a state assignment in a configuration, a plan or a state.
type stateAssignmentModel struct {
	Name            types.String         `tfsdk:"name"`
	Description     types.String         `tfsdk:"description"`
	TargetGroup     types.String         `tfsdk:"target_group"`
	JobTemplate     types.String         `tfsdk:"job_template"`
	States          types.List           `tfsdk:"states"`
	Highstate       types.Bool           `tfsdk:"highstate"`
	SaltEnv         types.String         `tfsdk:"saltenv"`
	Pillar          jsontypes.Normalized `tfsdk:"pillar"`
	PillarWO        types.String         `tfsdk:"pillar_wo"`
	PillarWOVersion types.String         `tfsdk:"pillar_wo_version"`
	Remediate       types.Bool           `tfsdk:"remediate"`
	OnUnreachable   types.String         `tfsdk:"on_unreachable"`
	OnInterrupt     types.String         `tfsdk:"on_interrupt"`
	DriftCheck      types.Object         `tfsdk:"drift_check"`
	Timeouts        timeouts.Value       `tfsdk:"timeouts"`

	ID           types.String `tfsdk:"id"`
	Ref          types.String `tfsdk:"ref"`
	Drift        types.Map    `tfsdk:"drift"`
	DriftSummary types.Object `tfsdk:"drift_summary"`
	Unreachable  types.List   `tfsdk:"unreachable"`
	Unsettled    types.List   `tfsdk:"unsettled"`
	LastRunID    types.String `tfsdk:"last_run_id"`
	Status       types.String `tfsdk:"status"`
}

// defined says whether all that makes the definition is known, so that its ref is.
func (m *stateAssignmentModel) defined(ctx context.Context) bool {
	return known(ctx, m.Name, m.Description, m.TargetGroup, m.JobTemplate, m.States, m.Highstate, m.SaltEnv, m.Pillar,
		m.PillarWOVersion, m.Remediate, m.OnUnreachable, m.DriftCheck)
}

// definition is the domain's assignment. What is a default is left out of it, so that it has the digest of a definition that
// somebody wrote through the API and left it out too.
func (m *stateAssignmentModel) definition() (gaea.Assignment, error) {
	a := gaea.Assignment{
		Name:          m.Name.ValueString(),
		Description:   m.Description.ValueString(),
		TargetGroup:   m.TargetGroup.ValueString(),
		JobTemplate:   m.JobTemplate.ValueString(),
		States:        texts(m.States.Elements()),
		Highstate:     m.Highstate.ValueBool(),
		SaltEnv:       m.SaltEnv.ValueString(),
		SecretVersion: m.PillarWOVersion.ValueString(),
		Remediate:     m.Remediate.ValueBool(),
		DriftCheck:    m.driftCheck(),
	}
	if u := gaea.OnUnreachable(m.OnUnreachable.ValueString()); u != gaea.UnreachableError {
		a.OnUnreachable = u
	}
	if !m.Pillar.IsNull() {
		pillar, err := canonicalObject(m.Pillar.ValueString())
		if err != nil {
			return a, gaea.Invalid("pillar", "%s", err.Error())
		}
		a.Pillar = pillar
	}
	return a, nil
}

func (m *stateAssignmentModel) driftCheck() gaea.DriftCheck {
	c := gaea.DriftCheck{
		Mode:     gaea.CheckMode(field(m.DriftCheck, "mode").ValueString()),
		MaxAge:   duration(field(m.DriftCheck, "max_age")),
		Interval: duration(field(m.DriftCheck, "interval")),
		Detail:   gaea.CheckDetail(field(m.DriftCheck, "detail").ValueString()),
	}
	if rules := sortedTexts(m.ignoreRules().Elements()); len(rules) > 0 {
		c.Ignore = rules
	}
	return c
}

func (m *stateAssignmentModel) ignoreRules() types.Set {
	if s, ok := m.DriftCheck.Attributes()["ignore"].(types.Set); ok {
		return s
	}
	return types.SetNull(types.StringType)
}

// adopt takes over each value of a definition that means something else than the one in state.
func (m *stateAssignmentModel) adopt(now gaea.Assignment) {
	m.Description = keepText(m.Description, now.Description)
	m.TargetGroup = keepText(m.TargetGroup, now.TargetGroup)
	m.JobTemplate = keepText(m.JobTemplate, now.JobTemplate)
	m.States = keepList(m.States, now.States)
	if m.Highstate.ValueBool() != now.Highstate {
		m.Highstate = types.BoolValue(now.Highstate)
	}
	m.SaltEnv = keepText(m.SaltEnv, now.SaltEnv)
	m.Pillar = keepObject(m.Pillar, now.Pillar)
	m.PillarWOVersion = keepText(m.PillarWOVersion, now.SecretVersion)
	m.Remediate = types.BoolValue(now.Remediate)
	m.OnUnreachable = types.StringValue(string(gaea.UnreachableError))
	if now.OnUnreachable != "" {
		m.OnUnreachable = types.StringValue(string(now.OnUnreachable))
	}

	c := now.DriftCheck
	check := map[string]attr.Value{
		"mode":     keepText(field(m.DriftCheck, "mode"), string(c.Mode)),
		"max_age":  keepDuration(field(m.DriftCheck, "max_age"), c.MaxAge),
		"interval": keepDuration(field(m.DriftCheck, "interval"), c.Interval),
		"detail":   keepText(field(m.DriftCheck, "detail"), string(c.Detail)),
		"ignore":   keepSet(m.ignoreRules(), c.Ignore),
	}
	m.DriftCheck = keepFields(m.DriftCheck, driftCheckTypes, check)
}

// settle gives every result that is still unknown a value: the prior one, or none. An apply that could not see what came of
// it must not claim to know.
func (m *stateAssignmentModel) settle(prior *stateAssignmentModel) {
	if prior == nil {
		prior = &stateAssignmentModel{DriftSummary: types.ObjectNull(summaryTypes)}
	}
	if m.DriftSummary.IsUnknown() {
		m.DriftSummary = prior.DriftSummary
	}
	if m.LastRunID.IsUnknown() {
		m.LastRunID = prior.LastRunID
	}
	if m.Status.IsUnknown() {
		m.Status = prior.Status
	}
	if m.Drift.IsUnknown() {
		m.Drift = prior.Drift
	}
	if m.Unreachable.IsUnknown() {
		m.Unreachable = prior.Unreachable
	}
	if m.Unsettled.IsUnknown() {
		m.Unsettled = prior.Unsettled
	}
	m.fill()
}

// fill makes what has never been looked at empty: after an import, and where drift_check says not to look.
func (m *stateAssignmentModel) fill() {
	if m.Drift.IsNull() {
		m.Drift = noDrift()
	}
	if m.Unreachable.IsNull() {
		m.Unreachable = textList(nil)
	}
	if m.Unsettled.IsNull() {
		m.Unsettled = textList(nil)
	}
}

// secretPillar reads the write-only pillar out of a configuration's model; nil where there is none.
func (m *stateAssignmentModel) secretPillar() (map[string]any, error) {
	if m.PillarWO.IsNull() || m.PillarWO.IsUnknown() {
		return nil, nil
	}
	pillar, err := decodeObject(m.PillarWO.ValueString())
	if err != nil {
		// The cause could quote the secret.
		return nil, gaea.Invalid("pillar_wo", "%s", notSecretObject)
	}
	return pillar, nil
}
