package provider_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

func TestTheProviderTalksToAJobdOrToASaltAPIAndSaysWhatIsUnclear(t *testing.T) {
	const jobd, salt = `endpoint = "http://127.0.0.1:1"
  token = "t"`, `salt_api = { url = "http://127.0.0.1:1", username = "u", password = "p", eauth = "pam" }`
	for _, c := range []struct {
		name, block string
		env         map[string]string
		wants       []string
	}{
		{"both in the block", jobd + "\n  " + salt, nil, []string{"Both a jobd and a salt-api", "Leave out one of them"}},
		{"both in the environment", "", map[string]string{provider.EnvToken: "t", provider.EnvSaltAPIURL: "http://127.0.0.1:1"}, []string{
			"Both a jobd and a salt-api in the environment", "GAEA_TOKEN", "SALTAPI_URL", "salt_api = {}",
		}},
		{"neither", "", nil, []string{"Neither a jobd nor a salt-api"}},
		{"the block's jobd beats the environment's salt-api", jobd, map[string]string{provider.EnvSaltAPIURL: "http://127.0.0.1:2"}, []string{"jobd does not answer"}},
		{"the block's salt-api beats the environment's jobd", salt, map[string]string{provider.EnvEndpoint: "http://127.0.0.1:2", provider.EnvToken: "t"}, []string{"salt-api does not answer"}},
		{"an empty salt_api takes the environment", "salt_api = {}", map[string]string{
			provider.EnvSaltAPIURL: "http://127.0.0.1:1", provider.EnvSaltAPIUser: "u", provider.EnvSaltAPIPassword: "p", provider.EnvSaltAPIEauth: "pam", provider.EnvToken: "t",
		}, []string{"salt-api does not answer"}},
		{"the environment's salt-api alone", "", map[string]string{provider.EnvSaltAPIURL: "http://127.0.0.1:1"}, []string{"username", "SALTAPI_USER"}},
		{"a salt_api without a url", "salt_api = {}", nil, []string{"No url", "SALTAPI_URL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			tf := newTerraform(t)
			tf.write("provider \"gaea\" {\n  request_timeout = \"2s\"\n  " + c.block + "\n}\n" + `
resource "gaea_target_group" "all" {
  name  = "all"
  match = "*"
}
`)
			tf.must(0, "init", "-input=false")
			wantText(t, tf.must(1, "plan", "-no-color"), c.wants...)
		})
	}
}

// directFake is a backend without a memory, which says that there is no jobd.
type directFake struct{ *fakeJobd }

func (directFake) Direct() bool { return true }

const directConfig = `
resource "gaea_target_group" "all" {
  name       = "all"
  match      = "*"
  match_type = "glob"
}

resource "gaea_job_template" "calm" {
  name  = "calm"
  batch = { size = "10%" }
}

resource "gaea_state_assignment" "motd" {
  name         = "motd"
  target_group = gaea_target_group.all.REF
  job_template = gaea_job_template.calm.ref
  states       = ["motd"]
  DRIFT
}
`

func TestWithoutAJobdReferencesCarryTheirDefinitions(t *testing.T) {
	f := newFakeJobd("web1")
	tf := newTerraform(t, provider.WithBackend(directFake{f}))
	tf.write(replaced(directConfig, "REF", "ref", "DRIFT", `drift_check = { interval = "30m", max_age = "1h" }`))
	tf.must(0, "init", "-input=false")
	ok, out := tf.apply()
	if !ok {
		t.Fatal(out)
	}
	wantText(t, out, "Nobody looks between plans", "Drift is looked for live")
	group, _ := tf.state("gaea_target_group.all")
	ref, err := gaea.ParseRef(fmt.Sprint(group["ref"]))
	if err != nil {
		t.Fatal(err)
	}
	if d, ok, err := gaea.Carried[gaea.TargetGroup](ref); err != nil || !ok || d.Target.Expr != "*" {
		t.Errorf("the ref carries %+v %v %v", d, ok, err)
	}
	if code, out := tf.plan(); code != 0 {
		t.Errorf("the plan after the apply is not empty:\n%s", out)
	}
	tf.write(replaced(directConfig, "REF", "id", "DRIFT", ""))
	wantText(t, tf.must(1, "plan", "-no-color"), "names a definition that nobody keeps without a jobd", "use the ref attribute")
}

func TestWithoutAJobdALargeDefinitionIsCarriedAndOneThatIsTooLargeIsRefusedInThePlan(t *testing.T) {
	tf := newTerraform(t, provider.WithBackend(directFake{newFakeJobd("web1")}))
	write := func(text string) {
		tf.write(fmt.Sprintf(`
resource "gaea_target_group" "all" {
  name  = "all"
  match = "*"
}
resource "gaea_job_template" "long" {
  name        = "long"
  pre_actions = [{ name = "note", function = "test.arg", args = [%q] }]
}
resource "gaea_state_assignment" "it" {
  name         = "it"
  target_group = gaea_target_group.all.ref
  job_template = gaea_job_template.long.ref
  states       = ["motd"]
}
`, text))
	}
	var noise strings.Builder // that does not get shorter when it is packed
	for i := range 4000 {
		fmt.Fprintf(&noise, "%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	write(noise.String())
	tf.must(0, "init", "-input=false")
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	template, _ := tf.state("gaea_job_template.long")
	if ref := fmt.Sprint(template["ref"]); len(ref) < 100_000 {
		t.Errorf("the ref has %d bytes", len(ref))
	}
	if code, out := tf.plan(); code != 0 {
		t.Errorf("the plan after the apply is not empty:\n%s", out)
	}
	write(strings.Repeat("x", 5<<20))
	wantText(t, tf.must(1, "plan", "-no-color"), `Invalid ref`, `the definition of "long" has 5.0 MiB as JSON`, "at most 4 MiB")
}

func TestWithoutAJobdThereIsNothingToImport(t *testing.T) {
	tf := newTerraform(t, provider.WithBackend(directFake{newFakeJobd("web1")}))
	tf.write(replaced(directConfig, "REF", "ref", "DRIFT", ""))
	tf.must(0, "init", "-input=false")
	wantText(t, tf.must(1, "import", "-no-color", "gaea_target_group.all", "all"), "There is nothing to import from")
}
