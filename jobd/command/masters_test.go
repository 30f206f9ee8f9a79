package command_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestMastersShowWhoLeadsThemAndWhoIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	seen := time.Now().Add(-2 * time.Second)
	r.Masters = []gaea.MasterStatus{
		{Master: "eu1", Led: true, Runs: 3, Jobds: []gaea.Jobd{
			{ID: "a", Host: "salt1", Address: "10.0.0.1:7780", Version: "1.2.3", Seen: seen, Alive: true, Leads: true},
			{ID: "b", Host: "salt2", Address: "10.0.0.2:7780", Version: "1.2.2", Seen: seen, Alive: true},
			{ID: "c", Host: "salt3", Address: "10.0.0.3:7780", Version: "1.2.2", Seen: seen.Add(-time.Hour)},
		}},
		{Master: "old"},
		{Master: "us1", Runs: 1, Jobds: []gaea.Jobd{{ID: "d", Host: "salt9", Address: "10.0.0.9:7780", Version: "1.2.3", Seen: seen.Add(-time.Minute), Leads: true}}},
	}
	code, out, _ := r.run("masters")
	if code != 0 {
		t.Fatalf("it ends with %d", code)
	}
	plain := regexp.MustCompile(`\S+ ago`).ReplaceAllString(strings.Join(strings.Fields(out), " "), "N ago") // however slow this machine is
	for _, line := range []string{"eu1 salt1 10.0.0.1:7780 leads N ago 1.2.3 3", "eu1 salt2 10.0.0.2:7780 stands by N ago 1.2.2 -",
		"eu1 salt3 10.0.0.3:7780 gone N ago", "old - - - - - 0", "us1 salt9 10.0.0.9:7780 led last N ago 1.2.3 1"} {
		if !strings.Contains(plain, line) {
			t.Errorf("%q is not in\n%s", line, out)
		}
	}
	if _, out, _ := r.run("masters", "-o", "tsv"); !strings.Contains(out, "\tlast_event\n") || !strings.Contains(out, "\tled_last\t6") || !strings.Contains(out, "\tstands_by\t") {
		t.Errorf("for scripts it says\n%s", out)
	}
	if _, out, _ := r.run("masters", "-o", "json"); !strings.Contains(out, `"led": false`) || !strings.Contains(out, `"jobds": []`) {
		t.Errorf("as JSON it says\n%s", out)
	}
}
