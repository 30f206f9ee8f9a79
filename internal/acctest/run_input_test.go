package acctest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// fieldOf is the field that an error names.
func fieldOf(err error) string {
	wrong, ok := errors.AsType[*gaea.Error](err)
	if !ok {
		return ""
	}
	return wrong.Field
}

// post sends a body to jobd's API with the token of the role apply.
func (r *rig) post(t *testing.T, path, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.jobd.Endpoint+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.tokens["apply"])
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// neverPublished fails the test where a job of this test was published: neither the archive nor the master's job cache
// knows a run or a job whose arguments name the test.
func (r *rig) neverPublished(t *testing.T) {
	t.Helper()
	runs, err := r.client.ListRuns(t.Context(), gaea.RunFilter{Since: time.Now().Add(-10 * time.Minute)}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range runs.Items {
		if strings.Contains(string(runs.Items[i].Args), r.name) {
			t.Errorf("there is the run %+v", runs.Items[i])
		}
	}
	jobs, err := r.client.Jobs(t.Context(), gaea.JobFilter{}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range jobs.Items {
		if strings.Contains(string(jobs.Items[i].Args), r.name) {
			t.Errorf("the archive has the job %+v", jobs.Items[i])
		}
	}
	out, err := r.lab.SaltRun(t.Context(), "jobs.list_jobs", "--out", "json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(out) {
		t.Fatalf("the master's job cache is listed as\n%s", out)
	}
	if strings.Contains(string(out), r.name) {
		t.Error("the master's job cache has a job of this test")
	}
}

func TestAccBadInputIsRefusedNamingTheFieldAndNothingIsPublished(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	quoted, err := json.Marshal(r.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		flags []string // of jobd run; empty: the command line cannot say it
		body  string   // the same for the API
		field string
		flag  string // what the command line calls the field
		wants []string
	}{
		{
			"a function that no minion has", []string{"test.pingg", r.name, "-t", "db1"},
			`{"function": "test.pingg", "args": [NAME], "target": {"type": "glob", "expr": "db1"}}`,
			"function", "function", []string{`no minion that answers has the function`, "test.pingg", "near to it are test.ping"},
		},
		{
			"a module that no minion has", []string{"nosuch.fun", r.name, "-t", "db1"},
			`{"function": "nosuch.fun", "args": [NAME], "target": {"type": "glob", "expr": "db1"}}`,
			"function", "function", []string{"nosuch.fun", "saltutil.sync_modules"},
		},
		{
			"no function at all", []string{"test", r.name, "-t", "*"}, `{"function": "test", "args": [NAME], "target": {"type": "glob", "expr": "*"}}`,
			"function", "function", []string{"MODULE.FUNCTION"},
		},
		{
			"a pause between slices where there are none", []string{"test.arg", r.name, "-t", "*", "--wait-between", "30s"},
			`{"function": "test.arg", "args": [NAME], "target": {"type": "glob", "expr": "*"}, "batch": {"wait": "30s"}}`,
			"batch.wait", "--wait-between", []string{"there is nothing to wait between"},
		},
		{
			"a rolling run of no size", []string{"test.arg", r.name, "-t", "*", "--mode", "rolling"},
			`{"function": "test.arg", "args": [NAME], "target": {"type": "glob", "expr": "*"}, "batch": {"mode": "rolling"}}`,
			"batch.size", "--batch", []string{"keeps size minions at work"},
		},
		{
			"a sample for a number", []string{"test.arg", r.name, "-t", "*", "-b", "1", "--max-failures", "1", "--min-sample", "2"},
			`{"function": "test.arg", "args": [NAME], "target": {"type": "glob", "expr": "*"}, "batch": {"size": "1", "max_failures": "1", "min_sample": 2}}`,
			"batch.min_sample", "--min-sample", []string{"a share in max_failures"},
		},
		{
			"an expression that is cut off", []string{"test.arg", r.name, "-t", "web* and", "--target-type", "compound"},
			`{"function": "test.arg", "args": [NAME], "target": {"type": "compound", "expr": "web* and"}}`,
			"target.expr", "--target", []string{"a term is missing"},
		},
		{
			"kwargs that are a list", nil, `{"function": "test.arg", "args": [NAME], "target": {"type": "glob", "expr": "*"}, "kwargs": ["a", "b"]}`,
			"kwargs", "", []string{"object"},
		},
		{
			"kwargs that are a text", nil, `{"function": "test.arg", "args": [NAME], "target": {"type": "glob", "expr": "*"}, "kwargs": "a=b"}`,
			"kwargs", "", []string{"object"},
		},
	} {
		if c.flags != nil {
			code, out := r.command(t, "apply", append([]string{"run"}, c.flags...)...)
			if code != 1 {
				t.Errorf("%s: jobd run ended with %d", c.name, code)
			}
			wants(t, out, append([]string{"jobd: " + c.flag + ": "}, c.wants...)...)
			wantsNot(t, out, "run-2")
		}
		status, answer := r.post(t, "/v1/runs", strings.ReplaceAll(c.body, "NAME", string(quoted)))
		var problem struct{ Code, Field, Detail string }
		if err := json.Unmarshal([]byte(answer), &problem); err != nil {
			t.Fatalf("%s: the API answers %s", c.name, answer)
		}
		if status != http.StatusBadRequest || problem.Code != string(gaea.CodeInvalid) || problem.Field != c.field {
			t.Errorf("%s: the API answers %d %s", c.name, status, answer)
		}
		wants(t, problem.Detail, c.wants...)
	}
	r.neverPublished(t)
}

func TestAccATargetThatMatchesNobodyIsAnErrorUnlessThatIsAllowed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, slicing := range [][]string{nil, {"--batch", "1"}} {
		args := append([]string{"run", "test.arg", r.name, "--target", "nobody-*", "--watch"}, slicing...)
		out := r.cli(t, 1, args...)
		wants(t, out, `the target "nobody-*" (glob) matches no minion; correct it, or allow an empty target`)
		allowed := r.cli(t, 0, append(args, "--allow-empty")...)
		wants(t, allowed, "succeeded", "the target matches no minion")
		for _, text := range []string{out, allowed} {
			if run := r.runIn(t, text); len(run.Minions) > 0 {
				t.Errorf("the run has %+v", run.Minions)
			}
		}
	}
	jobs, err := r.client.Jobs(t.Context(), gaea.JobFilter{Function: "test.arg"}, gaea.PageRequest{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range jobs.Items {
		if strings.Contains(string(jobs.Items[i].Args), r.name) && len(jobs.Items[i].Minions) > 0 {
			t.Errorf("somebody was told: %+v", jobs.Items[i])
		}
	}
}
