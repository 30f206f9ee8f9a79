package provider_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

// rolling is the template of the design, with its numbers as people write them.
const rolling = `
resource "gaea_job_template" "rolling" {
  name         = "rolling"
  batch        = { size = "10%", wait = "30s", canary = 1, max_failures = "5%" }
  timeouts     = { job = "30m", gather = "10s" }
  pre_actions  = [{ name = "drain", function = "cmd.run", args = ["lb-drain"], on_failure = "abort" }]
  post_actions = [{ name = "health", function = "http.query", args = ["http://localhost/healthz"], expect = "ret.status == 200", retries = 10 }]
}
`

// everything is a template in which nothing is left out.
const everything = `
resource "gaea_job_template" "rolling" {
  name        = "rolling"
  batch       = { size = 2, mode = "stepped", wait = "1m", canary = "5%", canary_hold = "manual", max_failures = "5%", min_sample = 20, order = "random" }
  timeouts    = { job = "2h", slice = "10m", gather = "7s" }
  concurrency = { lock = "deploy", policy = "refuse" }
  pre_actions = [
    { name = "drain", http = { url = "https://lb/drain", method = "POST", headers = { Authorization = "Bearer hunter2" }, body = "{}" }, retries = 3, interval = "2s", timeout = "30s" },
    { name = "known", runner = "cache.grains", args = ["*"], kwargs = jsonencode({ tgt_type = "glob" }), expect = "size(ret) > 0" },
  ]
  post_actions = [
    { name = "health", function = "http.query", args = ["http://localhost/healthz"], scope = "slice", when = "success", expect = "ret.status == 200", on_failure = "abort" },
    { name = "tell", function = "cmd.run", target_group = "chat", kwargs = jsonencode({ cmd = "tell", python_shell = false }), when = "always", on_failure = "continue" },
  ]
}
`

const rollingAddress = "gaea_job_template.rolling"

func parsed[T any](t *testing.T, parse func(string) (T, error), text string) T {
	t.Helper()
	v, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheTemplateOfTheDesignIsStoredAsItIsWritten(t *testing.T) {
	f := newFakeJobd()
	want := gaea.JobTemplate{
		Name: "rolling",
		Batch: gaea.Batch{
			Size: parsed(t, gaea.ParseAmount, "10%"), Wait: 30e9, Canary: parsed(t, gaea.ParseAmount, "1"),
			MaxFailures: parsed(t, gaea.ParseAllowance, "5%"),
		},
		Timeouts:   gaea.Timeouts{Job: 1800e9, Gather: 10e9},
		PreActions: []gaea.JobAction{{Name: "drain", Function: "cmd.run", Args: []any{"lb-drain"}, OnFailure: gaea.FailureAbort}},
		PostActions: []gaea.JobAction{{
			Name: "health", Function: "http.query", Args: []any{"http://localhost/healthz"}, Expect: "ret.status == 200", Retries: 10,
		}},
	}
	unitTest(t, f,
		resource.TestStep{
			Config: rolling,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
				plancheck.ExpectKnownValue(rollingAddress, tfjsonpath.New("ref"), knownvalue.StringExact(gaea.RefOf(want))),
			}},
			PostApplyFunc: func() {
				if got := gaea.RefOf(f.templates["rolling"]); got != gaea.RefOf(want) {
					t.Errorf("jobd has %+v", f.templates["rolling"])
				}
			},
		},
		resource.TestStep{ResourceName: rollingAddress, ImportState: true, ImportStateId: "rolling", ImportStateVerify: true},
	)
}

func TestATemplateWithEverythingIsImportedAsItWas(t *testing.T) {
	unitTest(t, newFakeJobd(),
		resource.TestStep{Config: everything},
		resource.TestStep{ResourceName: rollingAddress, ImportState: true, ImportStateId: "rolling", ImportStateVerify: true},
	)
}

// The refs of templates are in the states of users: one that says nothing of what is new must keep the ref it had.
func TestATemplateOfAnEarlierVersionKeepsItsRef(t *testing.T) {
	unitTest(t, newFakeJobd(), resource.TestStep{
		Config: `resource "gaea_job_template" "rolling" {
  name     = "one-by-one"
  batch    = { size = "1" }
  timeouts = { job = "10m" }
}`,
		ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
			plancheck.ExpectKnownValue(rollingAddress, tfjsonpath.New("ref"), knownvalue.StringExact("one-by-one@bce6f6e740238adf")),
		}},
	})
}

func TestAfterAnApplyOfEverythingNoKindOfPlanSeesAChange(t *testing.T) {
	tf := applied(t, newFakeJobd(), everything)
	for _, args := range [][]string{{}, {"-refresh-only"}} {
		if code, out := tf.plan(args...); code != 0 {
			t.Errorf("plan %v ends with %d:\n%s", args, code, out)
		}
	}
}

func TestAPlanShowsNoHeaderOfARequest(t *testing.T) {
	tf := newTerraform(t, provider.WithBackend(newFakeJobd()))
	tf.write(everything)
	_, out := tf.plan()
	wantText(t, out, "headers = (sensitive value)", `url = "https://lb/drain"`)
	if strings.Contains(out, "hunter2") {
		t.Error(out)
	}
	if ok, out := tf.apply(); !ok || strings.Contains(out, "hunter2") {
		t.Error(out)
	}
}

func TestAnActionThatWasChangedOutsideShowsJustWhatDiffers(t *testing.T) {
	f := newFakeJobd()
	tf := applied(t, f, everything)
	f.do(func() {
		template := f.templates["rolling"]
		template.PostActions[0].Retries = 5
		template.PostActions[1].HTTP, template.PostActions[1].Function = &gaea.HTTPCall{URL: "http://chat/tell"}, ""
		template.PostActions[1].Kwargs, template.PostActions[1].TargetGroup = nil, ""
		f.templates["rolling"] = template
	})
	_, out := tf.plan()
	wantText(t, out, `- retries = "5" -> null`, `+ function = "cmd.run"`, `- url = "http://chat/tell" -> null`, `+ target_group = "chat"`)
	for _, kept := range []string{"~ pre_actions", "~ expect", "~ interval", "~ batch"} {
		if strings.Contains(out, kept) {
			t.Errorf("%q is in:\n%s", kept, out)
		}
	}
}

func TestAnActionWithAnArgumentThatIsKnownLaterIsCheckedThen(t *testing.T) {
	const config = `
resource "terraform_data" "later" {
  input = "1 +"
}

resource "gaea_job_template" "rolling" {
  name         = "rolling"
  post_actions = [{ name = "health", function = "test.ping", expect = terraform_data.later.output }]
}
`
	f := newFakeJobd()
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(config)
	tf.must(0, "init", "-input=false")
	tf.must(0, "validate")
	ok, out := tf.apply()
	if ok || len(f.templates) > 0 {
		t.Error("a wrong expectation was stored")
	}
	wantText(t, out, "Error: Invalid post_actions[0].expect", "line 1")
	tf.write(strings.Replace(config, `"1 +"`, `"ret"`, 1))
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	if code, out := tf.plan(); code != 0 {
		t.Error(out)
	}
}

// What an earlier version of the provider left in a state has none of the attributes that came since.
func TestAStateOfAnEarlierVersionPlansNothing(t *testing.T) {
	config := strings.Replace(motd, "states", "job_template = gaea_job_template.rolling.ref\n  states", 1) + `
resource "gaea_job_template" "rolling" {
  name     = "rolling"
  batch    = { size = "10%" }
  timeouts = { job = "30m" }
}
`
	tf := applied(t, newFakeJobd("web1"), config)
	statefile := filepath.Join(tf.dir, "terraform.tfstate")
	state, err := os.ReadFile(statefile)
	if err != nil {
		t.Fatal(err)
	}
	later := regexp.MustCompile(`(?m)^\s*"(canary|canary_hold|max_failures|min_sample|mode|order|wait|slice|concurrency|pre_actions|post_actions|on_interrupt)": null,?\n`)
	if n := len(later.FindAll(state, -1)); n != 12 {
		t.Errorf("%d attributes came later, and not 12:\n%s", n, state)
	}
	older := regexp.MustCompile(`,(\s*\})`).ReplaceAll(later.ReplaceAll(state, nil), []byte("$1"))
	if err := os.WriteFile(statefile, older, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"-refresh-only"}} {
		if code, out := tf.plan(args...); code != 0 {
			t.Errorf("plan %v ends with %d:\n%s", args, code, out)
		}
	}
}
