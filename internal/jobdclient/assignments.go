package jobdclient

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Drift returns how an assignment stands by the evidence that the archive has; it asks no minion. CodeNotFound.
func (c *Client) Drift(ctx context.Context, name string) (*gaea.DriftReport, error) {
	return c.DriftOf(ctx, "", name)
}

// DriftOf is [Client.Drift] for the minions of a master; empty: that of the jobd that is asked.
func (c *Client) DriftOf(ctx context.Context, master, name string) (*gaea.DriftReport, error) {
	if err := gaea.ValidateName(name); err != nil {
		return nil, err
	}
	return get[gaea.DriftReport](ctx, c, assignmentsPath+"/"+name+"/drift", newQuery().text("master", master).Values)
}

// Check returns how an assignment stands by evidence that is at most req.MaxAge old: at once where the archive has it, else
// after a test run, which it waits for. A check that could not ask any minion is an error that says why.
func (c *Client) Check(ctx context.Context, name string, req gaea.CheckRequest) (*gaea.DriftReport, error) {
	if err := gaea.ValidateName(name); err != nil {
		return nil, err
	}
	// The question itself is short, and the wait is a poll, which can be repeated: a restart of jobd in between is waited out.
	answer, err := send[gaea.CheckResult](ctx, c, call{method: http.MethodPost, path: assignmentsPath + "/" + name + "/check", body: req})
	if err != nil {
		return nil, err
	}
	if answer.Report != nil {
		return answer.Report, nil
	}
	if answer.Run == nil {
		return nil, gaea.Errorf(gaea.CodeInternal, "jobd at %s answered the check of %q with neither a report nor a run", c.endpoint, name)
	}
	run, err := c.WaitRun(ctx, answer.Run.ID, nil)
	if err != nil {
		return nil, err
	}
	if err := checkFailure(name, run); err != nil {
		return nil, err
	}
	report, err := c.DriftOf(ctx, req.Master, name)
	if err != nil {
		return nil, err
	}
	report.CheckRun = run.ID
	return report, nil
}

// checkFailure is the error of a check that tells nothing about any minion. A minion that drifted, failed or is unreachable
// is no such error: the report says so.
func checkFailure(name string, run *gaea.Run) error {
	switch {
	case run.Status == gaea.RunCancelled:
		return gaea.Errorf(gaea.CodeCancelled, "the check of %q was cancelled (run %s)", name, run.ID)
	case run.Status == gaea.RunFailed && len(run.Minions) == 0:
		return gaea.Errorf(gaea.CodeSalt, "the check of %q asked no minion (run %s): %s", name, run.ID, run.Message)
	default:
		return nil
	}
}

// Enforce starts a run that makes an assignment true, or joins one of the same version that still goes on, and returns it at
// once; [Client.WaitRun] waits for it and for the check after it. The same key of the same token gives the same run.
func (c *Client) Enforce(ctx context.Context, name string, req gaea.EnforceRequest, key string) (*gaea.Run, error) {
	if err := gaea.ValidateName(name); err != nil {
		return nil, err
	}
	return send[gaea.Run](ctx, c, call{method: http.MethodPost, path: assignmentsPath + "/" + name + "/enforce", body: req, key: key})
}
