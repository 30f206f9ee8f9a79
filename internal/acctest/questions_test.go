package acctest

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// slowAndBroken has a file, a command that takes its time, and on web2 a command that fails.
const slowAndBroken = motd + `
wait:
  cmd.run:
    - name: sleep 0.4
{% if grains.id == 'web2' %}
broken:
  cmd.run:
    - name: exit 3
{% endif %}
`

// What people ask is answered by the command line from what real state runs told: before, as it happened, and by whom.
func TestAccTheArchiveAnswersWhatPeopleAsk(t *testing.T) {
	r := newRigAlone(t)
	sls := r.sls(t, slowAndBroken)
	first := r.salt(t, "web1", "state.apply", sls)
	broken := r.salt(t, "web2", "state.apply", sls)
	r.write(t, "web1", "motd", "tampered\n")
	tested := r.salt(t, "web1", "state.apply", sls, "test=True")
	repaired := r.salt(t, "web1", "state.apply", sls)
	missing := r.salt(t, "web1", "state.apply", sls+".missing")
	file := r.path("web1", "motd")

	ask := func(line ...string) [][]string {
		t.Helper()
		code, out := r.command(t, "read", append(line, "-o", "csv", "--all")...)
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if code != 0 || err != nil || len(rows) == 0 {
			t.Fatalf("jobd %q ends with %d (%v):\n%s", line, code, err, out)
		}
		return rows[1:]
	}
	// column takes some columns of each row.
	column := func(rows [][]string, columns ...int) (list []string) {
		for _, row := range rows {
			var cells []string
			for _, c := range columns {
				cells = append(cells, row[c])
			}
			list = append(list, strings.Join(cells, " "))
		}
		return list
	}
	equal := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s is\n%q\nwant\n%q", what, got, want)
		}
	}

	history := ask("history", "web1", "--since", "today", "--function", "state.apply")
	history = slices.DeleteFunc(history, func(row []string) bool { return !strings.Contains(row[2], sls) })
	equal("what ran on web1, and how it ended", column(history, 11, 4, 3), missing.JID+" could_not_run false", repaired.JID+" changed false", tested.JID+" would_change true", first.JID+" changed false")
	for _, row := range history[1:] {
		if row[7] == "" || row[8] == "" {
			t.Errorf("a state run has no duration or user: %q", row)
		}
	}
	jobs := ask("jobs", "--function", "state.apply", "--since", "1h")
	if users := column(jobs, 0, 6); !slices.Contains(users, repaired.JID+" "+repaired.User) || repaired.User == "" {
		t.Errorf("who ran state.apply is\n%q", users)
	}
	equal("where the SLS file failed", column(ask("failures", sls, "--since", "1h"), 0, 1, 3, 4, 5), "web2 1 failed cmd.run broken "+broken.JID)
	equal("where one failed that is not there", column(ask("failures", sls+".missing"), 0, 3, 5), "web1 could_not_run "+missing.JID)
	equal("what changed the file", column(ask("changes", file), 1, 2, 6, 8), "web1 file.managed "+repaired.User+" "+repaired.JID, "web1 file.managed "+first.User+" "+first.JID)
	equal("what changed the state", column(ask("changes", "file.managed motd", "--sls", sls, "--minion", "web2"), 8), broken.JID)
	code, out := r.command(t, "read", "changes", file, "-n", "1", "--diff")
	if code != 0 || !strings.Contains(out, "-tampered") || !strings.Contains(out, "+hello from gaea") {
		t.Errorf("the diff is (%d)\n%s", code, out)
	}
	states := column(ask("states", "--sls", sls, "--minion", "web1"), 2, 5, 6, 9)
	slices.Sort(states)
	equal("how states stand on web1", states, "motd changed false "+repaired.JID, "wait changed false "+repaired.JID)
	if failed := column(ask("states", "--sls", sls, "--outcome", "failed"), 0, 2); !slices.Equal(failed, []string{"web2 broken"}) {
		t.Errorf("what failed is %q", failed)
	}
	slow := ask("slowest", "--sls", sls)
	if len(slow) == 0 || slow[0][3] != "cmd.run" || slow[0][4] != "wait" || len(slow[0][0]) < 3 {
		t.Errorf("the slowest states are %q", slow)
	}
	durations := ask("durations", sls, "--since", "yesterday")
	runs := 0
	for _, row := range durations {
		if row[1] != "0" {
			runs++
		}
	}
	if runs == 0 {
		t.Errorf("the durations are %q", durations)
	}
	r.answersAreTheReturns(t, first, history)
	r.runningIsTold(t)
}

// answersAreTheReturns holds a history's durations against the returns themselves.
func (r *rig) answersAreTheReturns(t *testing.T, job gaea.Job, history [][]string) {
	t.Helper()
	ret, err := r.client.Return(t.Context(), job.JID, "web1")
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, s := range ret.States {
		sum += s.Duration
	}
	var told float64
	if err := json.Unmarshal([]byte(history[len(history)-1][7]), &told); err != nil || told < sum-0.01 || told > sum+0.01 {
		t.Errorf("the run took %v ms by the history, and %v by its states (%v)", told, sum, err)
	}
}

// runningIsTold wants a job to be told as running until it returns.
func (r *rig) runningIsTold(t *testing.T) {
	t.Helper()
	running := func(jid string) bool {
		for j, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Job], error) {
			return r.client.Jobs(t.Context(), gaea.JobFilter{Running: true}, p)
		}) {
			if err != nil {
				t.Fatal(err)
			}
			if j.JID == jid {
				return true
			}
		}
		return false
	}
	jids, err := r.saltAPI(t).publish(t.Context(), 1, []string{"web1"}, "test.sleep", "4")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job is told as running", func() bool { return running(jids[0]) })
	eventually(t, "the job runs no more", func() bool { return !running(jids[0]) })
}
