package acctest

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// secrecy looks for secrets in all that a user, an operator or a thief of the disk could see.
type secrecy struct {
	r       *rig
	secrets []string
	control string // what is no secret, and must be found: the look itself works
	found   bool
}

func (s *secrecy) look(t *testing.T, where, text string) {
	t.Helper()
	s.found = s.found || strings.Contains(text, s.control)
	for _, secret := range s.secrets {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("a secret is in %s: …%q…", where, text[max(0, i-80):i+len(secret)])
		}
	}
}

// files looks into jobd's log, its database and what the database has beside it.
func (s *secrecy) files(t *testing.T) {
	t.Helper()
	dir := filepath.Dir(strings.TrimPrefix(s.r.jobd.Database, "sqlite://"))
	files, err := filepath.Glob(filepath.Join(dir, "jobd*"))
	if err != nil {
		t.Fatal(err)
	}
	s.found = false
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s.look(t, filepath.Base(file), string(b))
	}
	if !s.found {
		t.Errorf("%q is not in %q either", s.control, files)
	}
}

// api looks at what jobd answers.
func (s *secrecy) api(t *testing.T, paths ...string) {
	t.Helper()
	s.found = false
	for _, path := range paths {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.r.jobd.Endpoint+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.r.tokens["admin"])
		answer, err := (&http.Client{}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s answers %s %s (%v)", path, answer.Status, body, err)
		}
		s.look(t, path, string(body))
	}
	if !s.found {
		t.Errorf("%q is not in what the API says either", s.control)
	}
}

func TestAccASecretPillarReachesTheMinionsAndNothingElse(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	r.sls(t, `
public:
  file.managed:
    - name: {{ dir }}/public
    - makedirs: True
    - contents: {{ pillar['site']['title'] }}
secret:
  file.managed:
    - name: {{ dir }}/secret
    - contents: {{ pillar['site']['phrase'] }}
    - show_changes: False
`)
	config := func(version string) string {
		return `
variable "phrase" {
  type      = string
  ephemeral = true
}
` + r.assignment(fmt.Sprintf(`
  pillar            = jsonencode({ site = { title = "open to all" } })
  pillar_wo         = jsonencode({ site = { phrase = var.phrase } })
  pillar_wo_version = %q
`, version), "web1")
	}
	secrecy := &secrecy{r: r, secrets: []string{"correct-horse-battery", "staple-of-the-second"}, control: "open to all"}
	for _, token := range r.tokens {
		secrecy.secrets = append(secrecy.secrets, token)
	}
	f := r.newTerraform(t, "apply", config("1"))
	f.setenv("TF_VAR_phrase", secrecy.secrets[0])
	f.must(t, 0, "plan", "-out=first.tfplan")
	secrecy.look(t, "terraform show PLAN", f.must(t, 0, "show", "-json", "first.tfplan"))
	secrecy.look(t, "terraform apply", f.apply(t))
	secrecy.look(t, "terraform plan", f.plan(t, planEmpty))
	if got := r.content(t, "web1", "public") + r.content(t, "web1", "secret"); got != "open to all\ncorrect-horse-battery\n" {
		t.Errorf("web1 has %q: the secret pillar is laid over the other", got)
	}

	// The version says that there is a new one; the old one is gone with it.
	f.setenv("TF_VAR_phrase", secrecy.secrets[1])
	secrecy.look(t, "terraform plan", f.plan(t, planEmpty))
	f.write(t, config("2"))
	secrecy.look(t, "terraform plan", f.plan(t, planChanges))
	secrecy.look(t, "terraform apply", f.apply(t))
	if got := r.content(t, "web1", "secret"); got != "staple-of-the-second\n" {
		t.Errorf("web1 has %q", got)
	}

	// Drift is told, and repaired with the secret that jobd keeps, though nobody gives it again.
	r.write(t, "web1", "secret", "tampered\n")
	r.check(t)
	secrecy.look(t, "terraform plan", f.plan(t, planChanges))
	secrecy.look(t, "terraform apply", f.apply(t))
	if got := r.content(t, "web1", "secret"); got != "staple-of-the-second\n" {
		t.Errorf("the repair left %q", got)
	}
	f.plan(t, planEmpty)

	secrecy.look(t, "terraform.tfstate", f.stateFile(t))
	secrecy.look(t, "terraform show", f.must(t, 0, "show", "-json"))
	paths := []string{
		"/v1/jobs", "/v1/returns", "/v1/events", "/v1/runs", "/v1/assignments", "/v1/assignments/" + r.name, "/v1/assignments/" + r.name + "/versions",
		"/v1/assignments/" + r.name + "/drift", "/metrics",
	}
	for _, run := range append(r.runs(t, gaea.RunEnforce), r.runs(t, gaea.RunCheck)...) {
		paths = append(paths, "/v1/runs/"+run.ID)
		for _, m := range r.run(t, run.ID).Minions {
			paths = append(paths, "/v1/jobs/"+m.JID, "/v1/jobs/"+m.JID+"/returns")
		}
	}
	secrecy.api(t, paths...)
	secrecy.files(t)
}

func TestAccArgumentsThatAreNamedLikeSecretsAreNotStored(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	secrecy := &secrecy{r: r, secrets: []string{"tr0ub4dor-by-run", "tr0ub4dor-by-salt", "tr0ub4dor-in-pillar"}, control: r.name}
	code, out := r.command(t, "apply", "run", "test.arg", r.name, "password=tr0ub4dor-by-run", "--target", "web2", "--watch")
	if code != 0 {
		t.Fatalf("jobd run ended with %d:\n%s", code, out)
	}
	secrecy.look(t, "jobd run", out)
	name := strings.ReplaceAll(r.name, "-", "_")
	foreign := r.salt(t, "web2", "test.arg", name, "db_password=tr0ub4dor-by-salt")
	r.sls(t, motd)
	states := r.salt(t, "web2", "state.apply", name, "test=True", "queue=True", `pillar={"phrase": "tr0ub4dor-in-pillar"}`)

	runs, err := r.client.ListRuns(t.Context(), gaea.RunFilter{}, gaea.PageRequest{})
	if err != nil || len(runs.Items) != 1 {
		t.Fatalf("the runs are %+v (%v)", runs, err)
	}
	paths := []string{"/v1/jobs", "/v1/returns", "/v1/events", "/v1/runs/" + runs.Items[0].ID}
	for _, jid := range []string{foreign.JID, states.JID, r.run(t, runs.Items[0].ID).Minions["web2"].JID} {
		paths = append(paths, "/v1/jobs/"+jid, "/v1/jobs/"+jid+"/returns", "/v1/jobs/"+jid+"/returns/web2")
	}
	secrecy.api(t, paths...)
	secrecy.files(t)
}

func TestAccPillarIsNotStoredWhereAMinionTellsWhatItRuns(t *testing.T) {
	t.Parallel()
	r := newRigAlone(t)
	secrecy := &secrecy{r: r, secrets: []string{"xyzzy-of-a-running-job"}, control: r.name}
	sls := r.sls(t, `
slow:
  cmd.run:
    - name: mkdir -p {{ dir }}; touch {{ dir }}/started; while [ ! -e {{ dir }}/go ]; do sleep 0.1; done
`)
	t.Cleanup(func() { r.write(t, "db1", "go", "") })
	jids, err := r.saltAPI(t).publish(t.Context(), 1, []string{"db1"}, "state.apply", sls, "queue=True", `pillar={"word": "`+secrecy.secrets[0]+`"}`)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the states run", func() bool { return r.exists("db1", "started") })
	paths := []string{"/v1/jobs/" + jids[0]}
	for _, ask := range [][]string{{"saltutil.find_job", jids[0]}, {"saltutil.running"}, {"saltutil.is_running", "state.*"}} {
		id, err := r.client.CreateRun(t.Context(), gaea.RunRequest{Function: ask[0], Args: anys(ask[1:]), Target: gaea.ListTarget([]string{"db1"})}, r.name+ask[0])
		if err != nil {
			t.Fatal(err)
		}
		run, err := r.client.WaitRun(t.Context(), id.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		jid := run.Minions["db1"].JID
		ret, err := r.client.Return(t.Context(), jid, "db1")
		if err != nil || !strings.Contains(string(ret.Body), jids[0]) {
			t.Errorf("%s does not tell of the job: %+v (%v)", ask[0], ret, err)
		}
		paths = append(paths, "/v1/jobs/"+jid, "/v1/jobs/"+jid+"/returns", "/v1/jobs/"+jid+"/returns/db1")
	}
	secrecy.api(t, paths...)
	r.write(t, "db1", "go", "")
	if err := r.client.FollowJob(t.Context(), jids[0], func(gaea.Return) error { return nil }); err != nil {
		t.Fatal(err)
	}
	secrecy.api(t, "/v1/jobs/"+jids[0]+"/returns")
	secrecy.files(t)
}

func anys(texts []string) []any {
	out := make([]any, len(texts))
	for i, s := range texts {
		out[i] = s
	}
	return out
}
