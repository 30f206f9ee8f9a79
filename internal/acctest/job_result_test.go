package acctest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const result = "data.gaea_job_result.it"

func resultOf(attributes string, args ...any) string {
	return fmt.Sprintf("data \"gaea_job_result\" \"it\" {\n"+attributes+"\n}\n", args...)
}

func TestAccAJobOfTheSaltCommandIsReadByItsJID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.salt(t, "web1", "test.arg", strings.ReplaceAll(r.name, "-", "_"))
	bad := r.salt(t, "web1", "cmd.run", "echo "+r.name+" >&2; exit 7")
	at := func(path string, want knownvalue.Check) statecheck.StateCheck {
		p := tfjsonpath.New("minions").AtMapKey("web1").AtMapKey(path)
		return statecheck.ExpectKnownValue(result, p, want)
	}
	r.steps(t,
		resource.TestStep{
			Config: resultOf("jid = %q", good.JID),
			ConfigStateChecks: []statecheck.StateCheck{
				text(result, "function", "test.arg"), text(result, "status", "succeeded"),
				statecheck.ExpectKnownValue(result, tfjsonpath.New("complete"), knownvalue.Bool(true)),
				statecheck.ExpectKnownValue(result, tfjsonpath.New("outcomes"), knownvalue.MapExact(map[string]knownvalue.Check{"succeeded": knownvalue.StringExact("1")})),
				at("outcome", knownvalue.StringExact("succeeded")), at("retcode", knownvalue.StringExact("0")),
				at("return", knownvalue.StringFunc(func(s string) error {
					if !strings.Contains(s, `"args":["`+strings.ReplaceAll(r.name, "-", "_")+`"]`) {
						return fmt.Errorf("the return is %s", s)
					}
					return nil
				})),
			},
		},
		resource.TestStep{
			Config: resultOf("jid = %q\nwait = true", bad.JID),
			ConfigStateChecks: []statecheck.StateCheck{
				text(result, "status", "failed"), at("outcome", knownvalue.StringExact("failed")), at("retcode", knownvalue.StringExact("7")),
			},
		},
	)
}

func TestAccARunThatGoesOnIsWaitedForWhereAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := r.startCommand(t, "web2", "touch started; while [ ! -e go ]; do sleep 0.1; done; echo at last", 0)
	t.Cleanup(func() { r.write(t, "web2", "go", "") })
	eventually(t, "the command runs", func() bool { return r.exists("web2", "started") })

	f := r.newTerraform(t, "read", resultOf("run_id = %q", run.ID))
	f.apply(t)
	if got := f.attributes(t, result); got["status"] != "running" || got["complete"] != false {
		t.Errorf("not waited for, the run is %v", got)
	}
	f.write(t, resultOf("run_id = %q\nwait = true\ntimeout = \"1s\"", run.ID))
	wants(t, f.must(t, 1, "apply", "-auto-approve"), "Error: Cannot read the run "+run.ID, "not complete after 1s")

	f.write(t, resultOf("run_id = %q\nwait = true\ntimeout = \"2m\"", run.ID))
	apply := f.background(t, "apply", "-auto-approve")
	r.write(t, "web2", "go", "")
	if code, out := apply.wait(t); code != 0 {
		t.Fatalf("the apply ended with %d:\n%s", code, out)
	}
	got := f.attributes(t, result)
	if got["status"] != string(gaea.RunSucceeded) || got["complete"] != true || !strings.Contains(fmt.Sprint(got["minions"]), "at last") {
		t.Errorf("the run is %v", got)
	}
}
