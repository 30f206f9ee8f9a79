package command_test

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api/apitest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

var answered = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// withAnswers is an archive that answers every question.
func withAnswers(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	took := 1234.5
	r.Answer(apitest.Answers{
		History: []gaea.HistoryItem{
			{JID: "3", Minion: "web1", Function: "state.apply", Args: json.RawMessage(`["nginx",{"__kwarg__":true,"test":true,"queue":true}]`), Test: true, User: "ann",
				Outcome: gaea.OutcomeWouldChange, States: 12, Unclean: 2, Duration: &took, Stamp: answered, Started: answered},
			{JID: "2", Minion: "web1", Function: "cmd.run", Args: json.RawMessage(`["echo \u001b[31mred"]`), User: "=bob", Outcome: gaea.OutcomeFailed, Message: "exit code 3\nmore", Stamp: answered},
			{JID: "1", Minion: "web1", Function: "test.ping", Outcome: gaea.OutcomePending, Stamp: answered},
		},
		States:  []gaea.LatestState{{Minion: "web1", Function: "file.managed", ID: "motd", Name: "/etc/motd", SLS: "base", Outcome: gaea.OutcomeWouldChange, Test: true, JID: "3", Stamp: answered, Duration: &took}},
		Changes: []gaea.StateChange{{Minion: "web1", JID: "7", Key: "file_|-motd_|-/etc/motd_|-managed", Function: "file.managed", ID: "motd", Name: "/etc/motd", SLS: "base", User: "ann", Stamp: answered}},
		Failures: []gaea.FailedMinion{
			{Minion: "web2", Runs: 3, JID: "5", Stamp: answered, Outcome: gaea.OutcomeFailed, States: []string{"service.running nginx", "file.managed motd"}, Message: "no such service"},
			{Minion: "web1", Runs: 1, JID: "6", Stamp: answered, Outcome: gaea.OutcomeCouldNotRun, Message: "Rendering SLS failed"},
		},
		Slow: gaea.Measured[gaea.SlowState]{Since: time.Now(), Page: gaea.Page[gaea.SlowState]{Items: []gaea.SlowState{
			{Function: "pkg.installed", ID: "nginx", Name: "nginx", SLS: "nginx", Runs: 4, Mean: 150, Slowest: 65000, Minion: "web3", JID: "8"}}}},
		Runs: gaea.Measured[gaea.RunDurations]{Page: gaea.Page[gaea.RunDurations]{Items: []gaea.RunDurations{{Day: "2026-01-02", Runs: 3, Mean: 1500, Median: 1400, P95: 2000, Slowest: 2100}}}},
	})
	r.AddReturn(gaea.Return{JID: "7", Minion: "web1", States: []gaea.StateResult{
		{Key: "file_|-motd_|-/etc/motd_|-managed", SLS: "base", Module: "file", Function: "managed", ID: "motd", Outcome: gaea.OutcomeChanged, Diff: "@@ -1 +1 @@\n-tampered\n+hello"},
		{Key: "other", Outcome: gaea.OutcomeChanged, Comment: "not this one"},
	}})
	return r
}

func TestEachQuestionIsAnsweredForPeople(t *testing.T) {
	t.Parallel()
	r := withAnswers(t)
	for line, texts := range map[string][]string{
		"history web1":           {"On web1 since 20", "newest first:", "state.apply nginx queue=True test=True", "would change", "2 of 12", "1.235s", "ann", "exit code 3 …", "test.ping", "pending"},
		"history web1 -n 1":      {"There are more: see them with -n 100, or --all."},
		"states --sls base":      {"How states stood", "file.managed /etc/motd (motd)", "would change (test)"},
		"changes /etc/motd":      {"Changes since 20", "file.managed /etc/motd (motd)", "ann"},
		"changes -m web1 --diff": {"web1  file.managed /etc/motd (motd) by ann, job 7", "    -tampered"},
		"failures nginx":         {"nginx failed since 20", "web1    once", "web2    3 times", "could not run", "service.running nginx, file.managed motd", "Rendering SLS failed"},
		"slowest":                {"The slowest states since 20", "(days in UTC)", "1m5s", "150ms", "pkg.installed nginx", "web3", "Durations are kept since"},
		"durations highstate":    {"How long highstate took since 20", "2026-01-02", "1.4s", "2s", "2.1s"},
	} {
		code, out, errs := r.run(strings.Fields(line)...)
		want(t, "jobd "+line, code, command.ExitOK, out+errs, texts...)
		if strings.Contains(out, "\x1b") || strings.Contains(out, "not this one") {
			t.Errorf("jobd %s prints\n%q", line, out)
		}
	}
}

func TestEachQuestionIsAnsweredForScriptsAsJSONAndCSV(t *testing.T) {
	t.Parallel()
	r := withAnswers(t)
	for line, first := range map[string]string{
		"history web1": `2026-01-02T03:04:05Z,state.apply,"[""nginx"",{""__kwarg__"":true,""test"":true,""queue"":true}]",true,would_change,12,2,1234.5,ann,,2026-01-02T03:04:05Z,3,`,
		"states":       `web1,file.managed,motd,/etc/motd,base,would_change,true,2026-01-02T03:04:05Z,1234.5,3`,
		"changes x":    `2026-01-02T03:04:05Z,web1,file.managed,motd,/etc/motd,base,ann,,7`,
		"failures x":   `web1,1,2026-01-02T03:04:05Z,could_not_run,,6,Rendering SLS failed`,
		"slowest":      `65000,150,4,pkg.installed,nginx,nginx,nginx,web3,8`,
		"durations x":  `2026-01-02,3,1400,2000,2100,1500`,
		"jobs":         ``,
	} {
		args := strings.Fields(line)
		code, out, errs := r.run(append(args, "-o", "csv", "--all")...)
		want(t, "jobd "+line, code, command.ExitOK, out+errs, first)
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil || errs != "" {
			t.Errorf("jobd %s prints as CSV (%v)\n%s\n%s", line, err, out, errs)
		}
		_, tsv, _ := r.run(append(args, "-o", "tsv", "--all")...)
		if strings.Count(tsv, "\n") != len(rows) {
			t.Errorf("jobd %s prints %d rows of CSV, and as TSV\n%s", line, len(rows), tsv)
		}
		var page struct {
			Items []json.RawMessage `json:"items"`
		}
		_, out, _ = r.run(append(args, "-o", "json")...)
		if err := json.Unmarshal([]byte(out), &page); err != nil || len(page.Items) != len(rows)-1 {
			t.Errorf("jobd %s prints %d rows, and as JSON (%v)\n%s", line, len(rows)-1, err, out)
		}
	}
}

func TestAQuestionIsAskedAsTheCommandLineSays(t *testing.T) {
	t.Parallel()
	r := withAnswers(t)
	for _, line := range [][]string{
		{"history", "web1", "--since", "2026-01-01T00:00:00Z", "--until", "2026-01-03T00:00:00Z", "-f", "state.*", "--outcome", "failed"},
		{"changes", "file.managed /etc/motd", "--since", "all", "--sls", "base"},
		{"states", "--state", "/etc/motd", "--minion", "web1", "--outcome", "changed"},
		{"failures", "nginx", "--state", "service.running nginx", "--since", "all"},
		{"durations", "users,nginx", "--test", "--since", "all"},
	} {
		if code, out, errs := r.run(line...); code != command.ExitOK {
			t.Errorf("jobd %q ends with %d\n%s%s", line, code, out, errs)
		}
	}
	asked := r.Questions()
	for i, want := range []any{
		gaea.HistoryFilter{Minion: "web1", Function: "state.*", Outcome: gaea.OutcomeFailed, Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)},
		gaea.StateFilter{State: "/etc/motd", Function: "file.managed", SLS: "base"},
		gaea.StateFilter{State: "/etc/motd", Minion: "web1", Outcome: gaea.OutcomeChanged},
		gaea.StateFilter{SLS: "nginx", State: "nginx", Function: "service.running"},
		gaea.RunDurationFilter{Applied: "users,nginx", Test: true},
	} {
		if asked[i] != want {
			t.Errorf("asked was\n%+v, want\n%+v", asked[i], want)
		}
	}
}

func TestAQuestionThatCannotBeAnsweredSaysWhy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for line, text := range map[string]string{
		"changes":                         "say what changed",
		"changes /etc/motd --diff -o csv": "--diff",
		"history web1 --since soon":       `"soon" is no time; use 7d`,
		"history web1 --limit 0":          "--limit",
		"states --outcome splendid":       "--outcome",
	} {
		code, out, errs := r.run(strings.Fields(line)...)
		want(t, "jobd "+line, code, command.ExitUsage, out+errs, text)
	}
	for line, text := range map[string]string{
		"history web9":        "Nothing ran on web9 since",
		"states":              "There are no such states.",
		"changes /etc/motd":   "No state run changed that since",
		"failures nginx":      "nginx failed on no minion since",
		"slowest":             "No state took 100 ms or more",
		"durations highstate": "highstate did not run since",
		"jobs --running":      "There are no such jobs.",
	} {
		code, out, errs := r.run(strings.Fields(line)...)
		want(t, "jobd "+line, code, command.ExitOK, out+errs, text)
	}
}

func TestJobsThatRunAreListed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.AddJob(gaea.Job{JID: "1", Function: "test.sleep", Minions: []string{"web1"}, User: "ann", Started: time.Now(), Known: true})
	r.AddJob(gaea.Job{JID: "2", Function: "test.ping", Minions: []string{"web1"}, Started: time.Now(), Known: true})
	r.AddReturn(gaea.Return{JID: "2", Minion: "web1", Outcome: gaea.OutcomeSucceeded})
	code, out, errs := r.run("jobs", "--running", "--since", "today")
	want(t, "jobd jobs --running", code, command.ExitOK, out+errs, "test.sleep", "ann")
	if strings.Contains(out, "test.ping") {
		t.Errorf("what has ended is listed:\n%s", out)
	}
}
