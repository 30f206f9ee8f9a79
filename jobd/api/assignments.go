package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/intake"
)

type driftInput struct {
	NameInput
	Master string `query:"master" maxLength:"255" doc:"the master whose minions are meant, by its name in the archive; that of the jobd that is asked when absent"`
}

type checkInput struct {
	NameInput
	WaitInput
	Body *gaea.CheckRequest
}

type enforceInput struct {
	NameInput
	KeyInput
	Body *gaea.EnforceRequest
}

func (a *API) assignments() {
	serve(a, catalog[gaea.Assignment, gaea.AssignmentInput]{
		path: "assignments", one: "state assignment", many: "state assignments",
		about: " It runs nothing: see check and enforce. The secret pillar is sealed and never returned.",
		store: func() gaea.DefinitionStore[gaea.Assignment] { return a.deps.Archive.Assignments() },
		put:   a.putAssignment,
	})
	const tag, base = "assignments", "/v1/assignments/{name}"
	route(a, operation{
		id: "get-drift", method: http.MethodGet, path: base + "/drift", tag: tag, action: gaea.ActionRead,
		summary: "How an assignment stands by the archive",
		about:   "Asks no minion.",
	}, func(ctx context.Context, in *driftInput) (*answer[gaea.DriftReport], error) {
		if err := gaea.ValidateName(in.Name); err != nil {
			return nil, err
		}
		report, err := a.drift(ctx, in.Master, in.Name)
		if err != nil {
			return nil, err
		}
		return &answer[gaea.DriftReport]{*report}, nil
	})
	route(a, operation{
		id: "check-assignment", method: http.MethodPost, path: base + "/check", tag: tag, action: gaea.ActionCheck, wait: true,
		summary: "Look how an assignment stands now",
		about: "Makes a test run on the minions whose evidence is older than max_age, or joins one that goes on. " +
			"Answers with the report where no run was needed, or it ended within wait; else with the run to wait for.",
	}, a.check)
	route(a, operation{
		id: "enforce-assignment", method: http.MethodPost, path: base + "/enforce", tag: tag, action: gaea.ActionApply, status: http.StatusAccepted,
		summary: "Make an assignment true",
		about:   "Starts a run, or joins one of the same version that goes on. The run is complete when the check after it has ended too.",
	}, a.enforce)
}

func (a *API) drift(ctx context.Context, master, name string) (*gaea.DriftReport, error) {
	report, err := a.deps.Enforcer.Drift(ctx, master, name)
	if err != nil {
		return nil, err
	}
	if report.Minions == nil {
		report.Minions = map[string]gaea.MinionDrift{}
	}
	return report, nil
}

func (a *API) check(ctx context.Context, in *checkInput) (*answer[gaea.CheckResult], error) {
	wait, err := in.duration()
	if err != nil {
		return nil, err
	}
	var req gaea.CheckRequest
	if in.Body != nil {
		req = *in.Body
	}
	if err := firstError(gaea.ValidateName(in.Name), validMinions(req.Minions)); err != nil {
		return nil, err
	}
	run, err := a.deps.Enforcer.Check(ctx, in.Name, req)
	if err != nil {
		return nil, err
	}
	if run != nil && wait > 0 {
		if run, err = a.await(ctx, run.ID, wait); err != nil {
			return nil, err
		}
	}
	out := gaea.CheckResult{Run: run}
	if run != nil && !run.Complete() {
		return &answer[gaea.CheckResult]{out}, nil
	}
	if run != nil && wait <= 0 { // it was joined at its very end: whoever asked not to wait gets the run all the same
		return &answer[gaea.CheckResult]{out}, nil
	}
	if out.Report, err = a.drift(ctx, req.Master, in.Name); err != nil {
		return nil, err
	}
	if run != nil {
		out.Report.CheckRun = run.ID
	}
	return &answer[gaea.CheckResult]{out}, nil
}

func (a *API) enforce(ctx context.Context, in *enforceInput) (*accepted, error) {
	var req gaea.EnforceRequest
	if in.Body != nil {
		req = *in.Body
	}
	if err := firstError(gaea.ValidateName(in.Name), validMinions(req.Minions)); err != nil {
		return nil, err
	}
	if req.Ref != "" {
		ref, err := gaea.ParseRef(req.Ref)
		if err != nil || ref.Name != in.Name || ref.Digest == "" {
			return nil, gaea.Invalid("ref", "%q is not a version of the assignment %q; write NAME@DIGEST, or leave it out for the latest", req.Ref, in.Name)
		}
	}
	run, err := a.deps.Enforcer.Enforce(ctx, in.Name, req, in.Key)
	if err != nil {
		return nil, err
	}
	return newAccepted(run), nil
}

func validMinions(ids []string) error {
	for _, id := range ids {
		if err := gaea.ValidateMinionID(id); err != nil {
			return err
		}
	}
	return nil
}

// putAssignment stores an assignment and its secret pillar. The secret goes first, under the version that the assignment
// names, so that no run finds an assignment without its secret.
func (a *API) putAssignment(ctx context.Context, name string, in gaea.AssignmentInput, author string) (gaea.Version[gaea.Assignment], error) {
	var none gaea.Version[gaea.Assignment]
	archive := a.deps.Archive
	if err := firstError(sameName(name, in.Name), in.Validate()); err != nil {
		return none, err
	}
	in.Assignment = in.Pinned() // what a provider without a jobd had its references carry is of no use here
	if _, err := intake.Definition(ctx, archive.TargetGroups(), "target_group", in.TargetGroup); err != nil {
		return none, err
	}
	if in.JobTemplate != "" {
		if _, err := intake.Definition(ctx, archive.JobTemplates(), "job_template", in.JobTemplate); err != nil {
			return none, err
		}
	}
	if in.SecretPillar != nil && in.SecretVersion == "" {
		return none, gaea.Invalid("secret_version", "a secret pillar needs a version, which says when it has changed; give secret_version, for example \"1\"")
	}
	if in.SecretVersion != "" {
		if err := a.owns(ctx, name, author); err != nil {
			return none, err
		}
		if err := a.keepSecret(ctx, name, in); err != nil {
			return none, err
		}
	}
	return archive.Assignments().Put(ctx, in.Assignment, author)
}

// owns refuses to touch the secret of an assignment that is somebody else's; the store says the same of the definition.
func (a *API) owns(ctx context.Context, name, author string) error {
	latest, err := a.deps.Archive.Assignments().Get(ctx, gaea.Ref{Name: name})
	switch {
	case gaea.CodeOf(err) == gaea.CodeNotFound:
		return nil
	case err != nil:
		return err
	case latest.Owner != author:
		return gaea.Errorf(gaea.CodeConflict, "the assignment %q belongs to %q, not to %q; choose another name, or use a token of that name", name, latest.Owner, author)
	}
	return nil
}

func (a *API) keepSecret(ctx context.Context, name string, in gaea.AssignmentInput) error {
	if in.SecretPillar != nil {
		secret, err := json.Marshal(in.SecretPillar)
		if err != nil {
			return gaea.Invalid("secret_pillar", "the secret pillar holds a value that JSON cannot carry")
		}
		return a.deps.Archive.PutSecretPillar(ctx, name, in.SecretVersion, secret)
	}
	stored, err := a.deps.Archive.SecretPillar(ctx, name, in.SecretVersion)
	if err != nil {
		return err
	}
	if stored == nil {
		return gaea.Invalid("secret_pillar", "no secret pillar is stored for the secret_version %q of %q; send it once with this version", in.SecretVersion, name)
	}
	return nil
}

// maxNamed bounds how many assignments a refusal names.
const maxNamed = 10

// notUsed refuses the deletion of what assignments use by name: their next run would fail. Those that name a version keep
// it, and are not in the way.
func (a *API) notUsed(ctx context.Context, what, name string, uses func(gaea.Assignment) string) error {
	var by []string
	more := 0
	p := gaea.PageRequest{Limit: 1000}
	for {
		page, err := a.deps.Archive.Assignments().List(ctx, p)
		if err != nil {
			return err
		}
		for _, v := range page.Items {
			switch {
			case uses(v.Definition) != name: // a name only: a ref with a digest is another text
			case len(by) < maxNamed:
				by = append(by, fmt.Sprintf("%q", v.Definition.Name))
			default:
				more++
			}
		}
		if page.Next == "" {
			break
		}
		p.Cursor = page.Next
	}
	if len(by) == 0 {
		return nil
	}
	if more > 0 {
		by = append(by, fmt.Sprintf("%d more", more))
	}
	return gaea.Errorf(gaea.CodeConflict, "the %s %q is used by name by the assignments %s; change or delete them first, or give them its ref", what, name, strings.Join(by, ", "))
}
