package command_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

func TestARunIsAskedForAsItWasTyped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, out, errs := r.run("run", "state.apply", "nginx", "test=True", "-t", "web*", "-b", "10%", "--timeout", "5m")
	want(t, "run", code, command.ExitOK, out+errs, "run-000001\n", "jobd show --watch run-000001")
	if out != "run-000001\n" {
		t.Errorf("a script reads %q", out)
	}
	got := r.Runs.Requests[0]
	wantCall := gaea.Call{Function: "state.apply", Args: []any{"nginx"}, Kwargs: map[string]any{"test": true}}
	if !reflect.DeepEqual(got.Call, wantCall) || got.Target.Expr != "web*" || got.Batch.Size.String() != "10%" || got.Timeouts.Job.String() != "5m" {
		t.Errorf("asked for %+v", got)
	}
	_, out, _ = r.run("run", "test.ping", "-t", "web2,web1", "--target-type", "list", "-o", "json")
	var run gaea.Run
	if err := json.Unmarshal([]byte(out), &run); err != nil || run.ID != "run-000002" {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
}

func TestATargetIsNeeded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, _, errs := r.run("run", "test.ping")
	want(t, "no target", code, command.ExitUsage, errs, "--target", "--group")
	code, _, errs = r.run("run", "test.ping", "-t", "a", "-g", "b")
	want(t, "two targets", code, command.ExitUsage, errs, "--target", "--group")
}

func TestEveryRuleForSlicesCanBeTyped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, _, errs := r.run("run", "state.apply", "-t", "*", "--batch", "10%", "--mode", "stepped", "--wait-between", "30s", "--canary", "2", "--canary-hold", "manual",
		"--max-failures", "5%", "--min-sample", "20", "--order", "random", "--slice-timeout", "4m", "--gather", "7s", "--lock", "deploy", "--lock-policy", "skip")
	want(t, "run", code, command.ExitOK, errs)
	got, err := json.Marshal(struct {
		B gaea.Batch
		T gaea.Timeouts
		C gaea.Concurrency
	}{r.Runs.Requests[0].Batch, r.Runs.Requests[0].Timeouts, r.Runs.Requests[0].Concurrency})
	wantRules := `{"B":{"size":"10%","mode":"stepped","wait":"30s","canary":"2","canary_hold":"manual","max_failures":"5%","min_sample":20,"order":"random"},` +
		`"T":{"gather":"7s","slice":"4m"},"C":{"lock":"deploy","policy":"skip"}}`
	if err != nil || string(got) != wantRules {
		t.Errorf("asked for %s (%v), not %s", got, err, wantRules)
	}
}

func TestARuleThatContradictsAnotherIsNamedByItsFlag(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, _, errs := r.run("run", "test.ping", "-t", "*", "--wait-between", "30s")
	want(t, "a pause without slices", code, command.ExitFailed, errs, "--wait-between: there is nothing to wait between")
	code, _, errs = r.run("run", "test.ping", "-t", "*", "--lock-policy", "skip")
	want(t, "a policy without a lock", code, command.ExitFailed, errs, "--lock: a policy needs the name of a lock")
	for flag, value := range map[string]string{"--mode": "sideways", "--order": "up", "--lock-policy": "hope", "--max-failures": "some", "--canary-hold": "long", "--on-interrupt": "panic"} {
		code, _, errs = r.run("run", "test.ping", "-t", "*", flag, value)
		want(t, flag, code, command.ExitUsage, errs, flag, value)
	}
}

func TestTheSameKeyGivesTheSameRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, first, _ := r.run("run", "test.ping", "-t", "*", "--idempotency-key", "k1")
	_, second, _ := r.run("run", "test.ping", "-t", "*", "--idempotency-key", "k1")
	if first != second || first == "" {
		t.Errorf("%q, then %q", first, second)
	}
}
