package command_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

// withEvents is an archive with a beacon, an event that somebody fired, and one that a minion forged.
func withEvents(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	now := time.Now() // newest first, as an archive lists them
	r.AddEvent(gaea.Event{Master: "salt", Tag: "salt/job/1/ret/web2", Stamp: now.Add(-time.Minute), Data: json.RawMessage(`{"id":"web1"}`),
		Suspect: "its tag says that \"web2\" returned,\nand its data that web1\x1b[31m did"})
	r.AddEvent(gaea.Event{Master: "salt", Tag: "deploy/done", Stamp: now.Add(-2 * time.Minute), Data: json.RawMessage(`{"text":"` + strings.Repeat("x", 300) + `"}`),
		Truncated: &gaea.Truncation{Size: 1 << 30, SHA256: "abc"}})
	r.AddEvent(gaea.Event{Master: "salt", Tag: "salt/beacon/web1/inotify//etc/motd", Stamp: now.Add(-3 * time.Minute), Data: json.RawMessage(`{"id": "web1", "change": "IN_MODIFY"}`)})
	return r
}

func TestEventsAreListedForPeopleWithTheBeginningOfTheirData(t *testing.T) {
	t.Parallel()
	r := withEvents(t)
	code, out, errs := r.run("events")
	want(t, "all", code, command.ExitOK, out+errs, "Events since 20", "newest first:", "WHEN", "SUSPECT", `{"id":"web1","change":"IN_MODIFY"}`, strings.Repeat("x", 50)+"…", `its tag says that "web2" returned, …`)
	if strings.Contains(out, "\x1b") || strings.Contains(out, strings.Repeat("x", 100)) {
		t.Errorf("the table is %q", out)
	}
	code, out, errs = r.run("events", "-n", "1")
	want(t, "one", code, command.ExitOK, out+errs, "There are more: see them with -n 100, or --all.")
	code, out, errs = r.run("events", "--tag", "no/such")
	want(t, "none", code, command.ExitOK, out+errs, "There are no such events since 20", "jobd jobs lists those")
	code, out, errs = r.run("events", "-n", "0")
	want(t, "no page", code, command.ExitUsage, out+errs, "--limit must be between 1 and 1000")
}

func TestEventsAreChosenByTagAndWhetherTheyAreSuspect(t *testing.T) {
	t.Parallel()
	r := withEvents(t)
	for line, tags := range map[string]string{
		"events": "salt/job/1/ret/web2 deploy/done salt/beacon/web1/inotify//etc/motd", "events --tag deploy/done": "deploy/done",
		"events --tag salt/beacon/*/inotify/*": "salt/beacon/web1/inotify//etc/motd", "events --suspect --since all": "salt/job/1/ret/web2",
	} {
		code, out, errs := r.run(append(strings.Fields(line), "-o", "json")...)
		want(t, line, code, command.ExitOK, errs)
		var page gaea.Page[gaea.Event]
		if err := json.Unmarshal([]byte(out), &page); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ev := range page.Items {
			got = append(got, ev.Tag)
		}
		if strings.Join(got, " ") != tags {
			t.Errorf("%s has %q, want %q", line, got, tags)
		}
	}
}

func TestEventsAreWholeInCSV(t *testing.T) {
	t.Parallel()
	r := withEvents(t)
	code, out, errs := r.run("events", "-o", "csv")
	want(t, "CSV", code, command.ExitOK, errs)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 4 || strings.Join(rows[0], ",") != "stamp,master,tag,data,suspect,whole_size,whole_sha256" {
		t.Fatalf("the rows are %q (%v)", rows, err)
	}
	if rows[2][3] != `{"text":"`+strings.Repeat("x", 300)+`"}` || rows[2][5] != fmt.Sprint(1<<30) || rows[2][6] != "abc" || !strings.Contains(rows[1][4], "\nand its data") {
		t.Errorf("the rows are %q", rows)
	}
}

func TestAllEventsAreGatheredPageByPage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 1100 {
		r.AddEvent(gaea.Event{Tag: fmt.Sprintf("t/%04d", n), Stamp: time.Now().Add(-time.Duration(n) * time.Second), Data: json.RawMessage(`{}`)})
	}
	code, out, errs := r.run("events", "--all", "-o", "csv")
	want(t, "all", code, command.ExitOK, errs)
	if lines := strings.Count(out, "\n"); lines != 1101 {
		t.Errorf("%d lines are printed", lines)
	}
}
