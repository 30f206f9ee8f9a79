package acctest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// newDirect is a rig whose Terraform talks to the lab's salt-api.
func newDirect(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	r := newRig(t)
	r.direct = true
	return r
}

func TestAccASavedPlanIsAppliedInAnEmptyDirectoryWithoutAJobd(t *testing.T) {
	r := newDirect(t)
	r.sls(t, motd)
	template := fmt.Sprintf("resource \"gaea_job_template\" \"it\" {\n  name = %q\n  batch = { size = \"1\" }\n}\n", r.name)
	f := r.newTerraform(t, "apply", template+r.assignment(lookLive+"\n  job_template = gaea_job_template.it.ref", "web1", "db1"))
	elsewhere := func() *tf {
		t.Helper()
		f.must(t, 0, "plan", "-out", "saved")
		other := r.newTerraformIn(t.TempDir(), "apply")
		for _, file := range []string{"main.tf", "saved", ".terraform.lock.hcl", "terraform.tfstate"} {
			b, err := os.ReadFile(filepath.Join(f.dir, file))
			if errors.Is(err, os.ErrNotExist) && file == "terraform.tfstate" {
				continue // before the first apply
			}
			if err := errors.Join(err, os.WriteFile(filepath.Join(other.dir, file), b, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		other.must(t, 0, "init")
		other.must(t, 0, "apply", "saved")
		return other
	}
	f = elsewhere() // creates
	if got := r.content(t, "db1", "motd"); got != "hello from gaea\n" {
		t.Errorf("db1 has %q", got)
	}
	f.plan(t, planEmpty)
	r.write(t, "db1", "motd", "tampered\n")
	f = elsewhere() // repairs
	if got := r.content(t, "db1", "motd"); got != "hello from gaea\n" {
		t.Errorf("db1 has %q", got)
	}
	f.plan(t, planEmpty)
}

func TestAccAMoveToAJobdAndBackReplacesNothing(t *testing.T) {
	r := newDirect(t)
	r.sls(t, motd)
	template := fmt.Sprintf("resource \"gaea_job_template\" \"it\" {\n  name = %q\n  batch = { size = \"1\" }\n}\n", r.name)
	f := r.newTerraform(t, "apply", template+r.assignment(lookLive+"\n  job_template = gaea_job_template.it.ref\n  pillar_wo = jsonencode({ a = \"secret\" })\n  pillar_wo_version = \"1\"", "web1"))
	f.apply(t)
	last := f.text(t, it, "last_run_id")
	for _, to := range []struct {
		name   string
		direct bool
	}{{"a jobd", false}, {"direct mode", true}, {"the jobd again", false}} {
		f.connect(r, "apply", to.direct)
		out := f.plan(t, planChanges)
		wants(t, out, "0 to add", "to change", "0 to destroy")
		wantsNot(t, out, "must be replaced", "will be created", "(known after apply)")
		f.apply(t)
		f.plan(t, planEmpty)
		if now := f.text(t, it, "last_run_id"); now != last {
			t.Errorf("the move to %s ran something: %s after %s", to.name, now, last)
		}
	}
	if _, err := r.client.GetJobTemplate(t.Context(), r.name); err != nil {
		t.Errorf("jobd was not given the template: %v", err)
	}
}

func TestAccAnApplyWhoseProviderWasKilledFindsItsRunAgain(t *testing.T) {
	r := newDirect(t)
	r.sls(t, `
slow:
  cmd.run:
    - name: mkdir -p {{ dir }}; echo run >> {{ dir }}/started; while [ ! -e {{ dir }}/go ]; do sleep 0.1; done
    - creates: {{ dir }}/go
`)
	t.Cleanup(func() { r.write(t, "web1", "go", "") })
	f := r.newTerraform(t, "apply", r.assignment(lookLive, "web1"))
	first := f.background(t, "apply", "-auto-approve")
	eventually(t, "the state runs", func() bool { return r.exists("web1", "started") })
	first.kill()
	second := f.background(t, "apply", "-auto-approve", "-lock=false")
	jobs := func() int { return len(r.publishedBy(t, "state.apply")) }
	eventually(t, "the second apply waits", func() bool { return strings.Contains(second.out.String(), "Still creating") })
	if n := jobs(); n != 1 {
		t.Errorf("%d state runs were published", n)
	}
	r.write(t, "web1", "go", "")
	if code, out := second.wait(t); code != 0 {
		t.Fatalf("the second apply ended with %d:\n%s", code, out)
	}
	if got := r.content(t, "web1", "started"); got != "run\n" {
		t.Errorf("the state ran %q", got)
	}
	f.plan(t, planEmpty)
}

func TestAccARunThatIsLeftGoesOnOnTheMinionsThatWereTold(t *testing.T) {
	r := newDirect(t)
	r.sls(t, `
slow:
  cmd.run:
    - name: mkdir -p {{ dir }}; echo run >> {{ dir }}/started; while [ ! -e {{ dir }}/go ]; do sleep 0.1; done; touch {{ dir }}/done
    - creates: {{ dir }}/done
`)
	t.Cleanup(func() { r.write(t, "web1", "go", "") })
	template := fmt.Sprintf("resource \"gaea_job_template\" \"it\" {\n  name = %q\n  batch = { size = \"1\" }\n}\n", r.name)
	f := r.newTerraform(t, "apply", template+r.assignment(lookLive+"\n  job_template = gaea_job_template.it.ref", "web1", "web2"))
	apply := f.background(t, "apply", "-auto-approve")
	eventually(t, "the state runs", func() bool { return r.exists("web1", "started") })
	apply.interrupt(t)
	code, out := apply.wait(t)
	if code != 1 {
		t.Errorf("the apply ended with %d", code)
	}
	wants(t, out, "Without a jobd nobody goes on with the run: 1 minion that were told carry on by themselves, and 1 minion were not told")
	r.write(t, "web1", "go", "")
	eventually(t, "what was told goes on", func() bool { return r.exists("web1", "done") })
	if r.exists("web2", "started") {
		t.Error("web2 was told")
	}
}

func TestAccASaltAPIThatIsAwayOrRefusesIsOneErrorAndRemovesNothing(t *testing.T) {
	r := newDirect(t)
	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment(lookLive, "web1"))
	f.apply(t)
	before := f.stateFile(t)
	for _, c := range []struct {
		name, variable, value string
		wants                 []string
	}{
		{"away", "SALTAPI_URL", "http://127.0.0.1:1", []string{"salt-api does not answer", "Nothing was changed"}},
		{"a wrong password", "SALTAPI_PASS", "wrong", []string{"salt-api does not let the user in"}},
		{"an eauth that the master does not have", "SALTAPI_EAUTH", "ldap", []string{"salt-api does not let the user in"}},
	} {
		f.connect(r, "apply", true)
		f.setenv(c.variable, c.value)
		wants(t, f.must(t, 1, "apply", "-refresh-only", "-auto-approve"), c.wants...)
		if f.stateFile(t) != before {
			t.Errorf("%s: the state has changed", c.name)
		}
	}
}

// publishedBy are the jobs of a function that the test's assignment published, as jobd has archived them.
func (r *rig) publishedBy(t *testing.T, function string) []gaea.Job {
	t.Helper()
	var jobs []gaea.Job
	page, err := r.client.Jobs(t.Context(), gaea.JobFilter{Function: function, Since: time.Now().Add(-10 * time.Minute)}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range page.Items {
		if !j.Test && strings.Contains(string(j.Args), r.word()) {
			jobs = append(jobs, j)
		}
	}
	return jobs
}
