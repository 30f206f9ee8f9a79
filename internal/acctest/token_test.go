package acctest

import (
	"context"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAccAPlanTokenPlansAndCannotApply(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment("", "web1"))
	f.apply(t)
	r.write(t, "web1", "motd", "tampered\n")
	r.check(t) // itself with a plan token

	f.as(r, "plan")
	wants(t, f.plan(t, planChanges), "-tampered", "+hello from gaea")
	out := f.must(t, 1, "apply", "-auto-approve")
	wants(t, out, "Error: Cannot", "has the role plan", "jobd token create --role apply")
	if got := r.content(t, "web1", "motd"); got != "tampered\n" {
		t.Errorf("web1 was touched: %q", got)
	}
	if runs := r.runs(t, gaea.RunEnforce); len(runs) != 1 {
		t.Errorf("there are %d enforcing runs", len(runs))
	}

	fresh := r.newTerraform(t, "plan", `resource "gaea_target_group" "it" {
  name    = "`+r.name+`-new"
  minions = ["web1"]
}
`)
	fresh.plan(t, planChanges)
	wants(t, fresh.must(t, 1, "apply", "-auto-approve"), "Error: Cannot store the target group", "jobd token create --role apply")
	if _, err := r.client.GetTargetGroup(t.Context(), r.name+"-new"); gaea.CodeOf(err) != gaea.CodeNotFound {
		t.Errorf("the group was stored (%v)", err)
	}

	f.as(r, "apply")
	f.apply(t)
	f.plan(t, planEmpty)
}

func TestAccAReadTokenSeesTheDriftOfTheArchiveAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment(`drift_check = { mode = "live" }`, "web2"))
	f.apply(t)
	checks := len(r.runs(t, gaea.RunCheck))
	f.as(r, "read")
	r.write(t, "web2", "motd", "tampered\n")
	wants(t, f.plan(t, planEmpty), "Warning: Drift from the archive only")
	if now := len(r.runs(t, gaea.RunCheck)); now != checks {
		t.Errorf("a read token caused %d test runs", now-checks)
	}
	r.check(t)
	wants(t, f.plan(t, planChanges), "-tampered", "+hello from gaea")
}

func TestAccEachRoleMayDoWhatItSaysAndNothingMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sls := r.sls(t, motd)
	g, err := r.client.PutTargetGroup(t.Context(), gaea.TargetGroup{Name: r.name, Target: gaea.ListTarget([]string{"db1"})})
	if err != nil {
		t.Fatal(err)
	}
	definition := gaea.AssignmentInput{Assignment: gaea.Assignment{Name: r.name, TargetGroup: g.Ref, States: []string{sls}, Remediate: true}}
	if _, err := r.client.PutAssignment(t.Context(), definition); err != nil {
		t.Fatal(err)
	}
	run, err := r.client.CreateRun(t.Context(), gaea.RunRequest{Function: "test.ping", Target: gaea.ListTarget([]string{"db1"})}, r.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []gaea.Role{gaea.RoleRead, gaea.RolePlan, gaea.RoleApply, gaea.RoleAdmin} {
		c := r.dial(t, string(role))
		for _, action := range []struct {
			name  string
			needs gaea.Role
			try   func(context.Context) error
		}{
			{"list jobs", gaea.RoleRead, func(ctx context.Context) error {
				_, err := c.Jobs(ctx, gaea.JobFilter{}, gaea.PageRequest{Limit: 1})
				return err
			}},
			{"see drift", gaea.RoleRead, func(ctx context.Context) error { _, err := c.Drift(ctx, r.name); return err }},
			{"see a run", gaea.RoleRead, func(ctx context.Context) error { _, err := c.GetRun(ctx, run.ID); return err }},
			{"check", gaea.RolePlan, func(ctx context.Context) error {
				_, err := c.Check(ctx, r.name, gaea.CheckRequest{MaxAge: gaea.DefaultMaxAge})
				return err
			}},
			{"define", gaea.RoleApply, func(ctx context.Context) error {
				_, err := c.PutTargetGroup(ctx, gaea.TargetGroup{Name: r.name + "-" + string(role), Target: g.Definition.Target})
				return err
			}},
			{"delete", gaea.RoleApply, func(ctx context.Context) error {
				err := c.DeleteTargetGroup(ctx, r.name+"-never-was")
				if gaea.CodeOf(err) == gaea.CodeNotFound {
					return nil
				}
				return err
			}},
			{"enforce", gaea.RoleApply, func(ctx context.Context) error {
				_, err := c.Enforce(ctx, r.name, gaea.EnforceRequest{}, r.name)
				return err
			}},
			{"run", gaea.RoleApply, func(ctx context.Context) error {
				_, err := c.CreateRun(ctx, gaea.RunRequest{Function: "test.ping", Target: gaea.ListTarget([]string{"db1"})}, r.name+string(role))
				return err
			}},
			{"cancel", gaea.RoleApply, func(ctx context.Context) error { _, err := c.CancelRun(ctx, run.ID, gaea.CancelRequest{}); return err }},
			{"list tokens", gaea.RoleAdmin, func(ctx context.Context) error { _, err := c.Tokens(ctx); return err }},
			{"make tokens", gaea.RoleAdmin, func(ctx context.Context) error {
				_, err := c.CreateToken(ctx, gaea.TokenRequest{Name: r.name, Role: gaea.RoleRead, TTL: gaea.DefaultMaxAge})
				return err
			}},
		} {
			err := action.try(t.Context())
			if role.Includes(action.needs) && gaea.CodeOf(err) == gaea.CodeForbidden {
				t.Errorf("%s may not %s: %v", role, action.name, err)
			}
			if !role.Includes(action.needs) && gaea.CodeOf(err) != gaea.CodeForbidden {
				t.Errorf("%s may %s (%v)", role, action.name, err)
			}
		}
	}
}
