package acctest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// motd is a state file with one state: a file.
const motd = `
motd:
  file.managed:
    - name: {{ dir }}/motd
    - makedirs: True
    - contents: hello from gaea
`

// sls writes the test's state file and returns its name. In it the variable dir is a directory of the test's own on the
// minion; see [rig.path].
func (r *rig) sls(t *testing.T, text string) string {
	t.Helper()
	return r.slsNamed(t, strings.ReplaceAll(r.name, "-", "_"), text)
}

// slsNamed is sls for a test that needs several.
func (r *rig) slsNamed(t *testing.T, name, text string) string {
	t.Helper()
	return r.slsIn(t, shared.states, name, text)
}

// slsIn is slsNamed in another file root.
func (r *rig) slsIn(t *testing.T, root, name, text string) string {
	t.Helper()
	file := filepath.Join(root, filepath.FromSlash(strings.ReplaceAll(name, ".", "/"))+".sls")
	head := "{% set dir = grains.lab_root ~ '/" + r.name + "' %}\n"
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(head+text), 0o644)); err != nil {
		t.Fatal(err)
	}
	return name
}

// dir is the directory of this test on a minion.
func (r *rig) dir(minion string) string { return filepath.Join(r.lab.MinionRoot(minion), r.name) }

// path is a file of this test on a minion.
func (r *rig) path(minion, file string) string { return filepath.Join(r.dir(minion), file) }

// write changes a file on a minion behind everybody's back.
func (r *rig) write(t *testing.T, minion, file, text string) {
	t.Helper()
	path := r.path(minion, file)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// content is a file on a minion.
func (r *rig) content(t *testing.T, minion, file string) string {
	t.Helper()
	text, err := os.ReadFile(r.path(minion, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// remove removes a file on a minion.
func (r *rig) remove(t *testing.T, minion, file string) {
	t.Helper()
	if err := os.Remove(r.path(minion, file)); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// exists says whether a minion has a file.
func (r *rig) exists(minion, file string) bool {
	_, err := os.Stat(r.path(minion, file))
	return err == nil
}

// check has jobd make a test run of the test's assignment, as an operator would.
func (r *rig) check(t *testing.T) { t.Helper(); r.checkNamed(t, r.name) }

func (r *rig) checkNamed(t *testing.T, assignment string) {
	t.Helper()
	if code, out := r.command(t, "plan", "check", assignment); code != 0 && code != 3 {
		t.Fatalf("jobd check ended with %d:\n%s", code, out)
	}
}

// command runs jobd's command line and returns its exit code and all that it printed.
func (r *rig) command(t *testing.T, role string, args ...string) (code int, out string) {
	t.Helper()
	b, err := r.jobd.Command(t.Context(), r.tokens[role], args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return code, string(b)
}

// salt runs the salt command on a minion, and returns when jobd has archived that job. The exit code does not matter: Salt's
// is 1 where a state failed.
func (r *rig) salt(t *testing.T, minion, function string, args ...string) gaea.Job {
	t.Helper()
	before := r.foreignJobs(t, minion, function)
	out, err := r.lab.Salt(t.Context(), append([]string{minion, function}, args...)...)
	var job gaea.Job
	eventually(t, "jobd has archived what the salt command did: "+string(out)+errorText(err), func() bool {
		for jid, j := range r.foreignJobs(t, minion, function) {
			if _, old := before[jid]; !old && j.Counts[gaea.OutcomePending] == 0 && len(j.Counts) > 0 {
				job = j
				return true
			}
		}
		return false
	})
	return job
}

// foreignJobs are the jobs of the last minutes that Gaea did not publish and that name this test.
func (r *rig) foreignJobs(t *testing.T, minion, function string) map[string]gaea.Job {
	t.Helper()
	page, err := r.client.Jobs(t.Context(), gaea.JobFilter{Minion: minion, Function: function, Since: time.Now().Add(-5 * time.Minute)}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	jobs := map[string]gaea.Job{}
	for _, j := range page.Items {
		name := strings.ReplaceAll(r.name, "-", "_")
		if j.RunID == "" && strings.Contains(string(j.Args), name) {
			jobs[j.JID] = j
		}
	}
	return jobs
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return " (" + err.Error() + ")"
}

// runs are the runs of the test's assignment, newest first.
func (r *rig) runs(t *testing.T, kind gaea.RunKind) []gaea.Run {
	t.Helper()
	var runs []gaea.Run
	for run, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Run], error) {
		return r.client.ListRuns(t.Context(), gaea.RunFilter{Assignment: r.name, Kind: kind}, p)
	}) {
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run)
	}
	return runs
}

// run is a run with its minions.
func (r *rig) run(t *testing.T, id string) *gaea.Run {
	t.Helper()
	run, err := r.client.GetRun(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// drift is how the test's assignment stands by the archive.
func (r *rig) drift(t *testing.T) *gaea.DriftReport {
	t.Helper()
	report, err := r.client.Drift(t.Context(), r.name)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// stopMinion stops a minion until the test ends or [rig.startMinion] is called. Not for tests that run in parallel.
func (r *rig) stopMinion(t *testing.T, minion string) {
	t.Helper()
	r.startMinionAtEnd(t, minion)
	if err := r.lab.StopMinion(t.Context(), minion); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) startMinionAtEnd(t *testing.T, minion string) {
	t.Helper()
	t.Cleanup(func() {
		if err := r.lab.StartMinion(context.Background(), minion); err != nil {
			t.Error(err)
		}
	})
}

func (r *rig) startMinion(t *testing.T, minion string) {
	t.Helper()
	if err := r.lab.StartMinion(t.Context(), minion); err != nil {
		t.Fatal(err)
	}
}

// saltAPI is a session with the lab's salt-api, for jobs that are not Gaea's.
type saltAPI struct {
	url, token string
}

func (r *rig) saltAPI(t *testing.T) *saltAPI {
	t.Helper()
	answer, err := http.PostForm(r.lab.APIURL()+"/login", url.Values{
		"username": {r.lab.APIUser()}, "password": {r.lab.APIPassword()}, "eauth": {r.lab.APIEauth()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	token := answer.Header.Get("X-Auth-Token")
	if answer.StatusCode != http.StatusOK || token == "" {
		t.Fatalf("salt-api's login answers %s", answer.Status)
	}
	return &saltAPI{url: r.lab.APIURL(), token: token}
}

// publish publishes a job n times on the minions and returns the job ids.
func (a *saltAPI) publish(ctx context.Context, n int, minions []string, function string, arg ...string) ([]string, error) {
	chunk := map[string]any{"client": "local_async", "tgt": minions, "tgt_type": "list", "fun": function, "arg": arg}
	chunks := make([]map[string]any, n)
	for i := range chunks {
		chunks[i] = chunk
	}
	body, err := json.Marshal(chunks)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-Auth-Token", a.token)
	answer, err := (&http.Client{}).Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New("salt-api answers " + answer.Status)
	}
	var out struct {
		Return []struct {
			JID string `json:"jid"`
		} `json:"return"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil {
		return nil, err
	}
	var jids []string
	for _, ret := range out.Return {
		if ret.JID == "" {
			return nil, errors.New("salt-api published nothing")
		}
		jids = append(jids, ret.JID)
	}
	return jids, nil
}
