package provider_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const jid = "20260102150405123456"

// withJob gives the fake a job on three minions, one of which has not returned and one of which returned too much.
func withJob(f *fakeJobd) {
	one := 1
	f.jobs[jid] = &gaea.JobDetail{
		Job: gaea.Job{JID: jid, Function: "cmd.run", Minions: []string{"web1", "web2", "web3"}},
		Returns: map[string]gaea.ReturnHead{
			"web1": {Outcome: gaea.OutcomeFailed, Retcode: &one, Message: "command not found"},
			"web2": {Outcome: gaea.OutcomeSucceeded},
			"web3": {Outcome: gaea.OutcomePending},
		},
	}
	f.returns[jid] = []gaea.Return{
		{JID: jid, Minion: "web1", Body: json.RawMessage(`"sh: nope"`)},
		{JID: jid, Minion: "web2", Body: json.RawMessage(`"` + strings.Repeat("x", 70_000) + `"`)},
	}
}

func TestAJobsResultIsReadAsItStands(t *testing.T) {
	f := newFakeJobd()
	withJob(f)
	minion := func(name, field string) tfjsonpath.Path {
		return tfjsonpath.New("minions").AtMapKey(name).AtMapKey(field)
	}
	const address = "data.gaea_job_result.last"
	check := func(p tfjsonpath.Path, want knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue(address, p, want)
	}
	unitTest(t, f, resource.TestStep{
		Config: `data "gaea_job_result" "last" { jid = "` + jid + `" }`,
		ConfigStateChecks: []statecheck.StateCheck{
			check(tfjsonpath.New("function"), knownvalue.StringExact("cmd.run")),
			check(tfjsonpath.New("status"), knownvalue.StringExact("running")),
			check(tfjsonpath.New("complete"), knownvalue.Bool(false)),
			check(tfjsonpath.New("outcomes"), knownvalue.MapExact(map[string]knownvalue.Check{
				"failed": knownvalue.StringExact("1"), "succeeded": knownvalue.StringExact("1"), "pending": knownvalue.StringExact("1"),
			})),
			check(minion("web1", "return"), knownvalue.StringExact(`"sh: nope"`)),
			check(minion("web1", "retcode"), knownvalue.StringExact("1")),
			check(minion("web1", "message"), knownvalue.StringExact("command not found")),
			check(minion("web2", "return"), knownvalue.Null()),
			check(minion("web2", "return_left_out"), knownvalue.Bool(true)),
			check(minion("web3", "outcome"), knownvalue.StringExact("pending")),
		},
	})
}

func TestAWaitForAJobEndsWithItsTimeout(t *testing.T) {
	f := newFakeJobd()
	withJob(f)
	unitTest(t, f, resource.TestStep{
		Config: `data "gaea_job_result" "last" {
  jid     = "` + jid + `"
  wait    = true
  timeout = "1s"
}`,
		ExpectError: regexp.MustCompile(`not complete after\s+1s`),
	})
}

func TestARunsResultHasTheReturnsOfAllItsSlices(t *testing.T) {
	f := newFakeJobd()
	second := jid[:19] + "7"
	f.runs["run-7"] = &gaea.Run{
		ID: "run-7", Function: "test.version", Status: gaea.RunSucceeded,
		Slices: []gaea.Slice{{Index: 0, JID: jid, Minions: []string{"web1"}}, {Index: 1, JID: second, Minions: []string{"web2"}}},
		Minions: map[string]gaea.RunMinion{
			"web1": {Outcome: gaea.OutcomeSucceeded, JID: jid}, "web2": {Outcome: gaea.OutcomeSucceeded, JID: second},
		},
	}
	f.returns[jid] = []gaea.Return{{JID: jid, Minion: "web1", Body: json.RawMessage(`"3008.3"`)}}
	f.returns[second] = []gaea.Return{{JID: second, Minion: "web2", Body: json.RawMessage(`{"a": [1, null]}`)}}
	unitTest(t, f,
		resource.TestStep{
			Config: `data "gaea_job_result" "last" {
  run_id = "run-7"
  wait   = true
}

output "second" { value = jsondecode(data.gaea_job_result.last.minions["web2"].return).a[0] }`,
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownOutputValue("second", knownvalue.Int64Exact(1)),
				statecheck.ExpectKnownValue("data.gaea_job_result.last", tfjsonpath.New("status"), knownvalue.StringExact("succeeded")),
				statecheck.ExpectKnownValue("data.gaea_job_result.last", tfjsonpath.New("jids"), knownvalue.ListExact([]knownvalue.Check{
					knownvalue.StringExact(jid), knownvalue.StringExact(second),
				})),
			},
		},
		resource.TestStep{
			Config:      `data "gaea_job_result" "last" { run_id = "run-8" }`,
			ExpectError: regexp.MustCompile(`there is no run "run-8"`),
		},
	)
}

func TestAJobResultThatIsPutOutLeavesPlansEmpty(t *testing.T) {
	f := newFakeJobd("web1")
	withJob(f)
	tf := applied(t, f, motd+`
data "gaea_job_result" "last" { jid = "`+jid+`" }

output "outcomes" { value = data.gaea_job_result.last.outcomes }
output "minions" { value = data.gaea_job_result.last.minions }
`)
	for range 2 {
		if code, out := tf.plan(); code != 0 {
			t.Errorf("plan: exit %d\n%s", code, out)
		}
		if code, out := tf.plan("-refresh-only"); code != 0 {
			t.Errorf("plan -refresh-only: exit %d\n%s", code, out)
		}
	}
}
