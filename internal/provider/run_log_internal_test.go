package provider

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestEachStateOfARunThatIsWaitedForIsLoggedOnceWithHowToGoOn(t *testing.T) {
	var out bytes.Buffer
	log := runLog(tflogtest.RootLogger(t.Context(), &out))
	run := gaea.Run{ID: "run-1", Status: gaea.RunQueued, Blocked: &gaea.Blocked{Lock: "deploy", Runs: []string{"run-0"}}}
	log(&run)
	run.Status, run.Blocked = gaea.RunRunning, nil
	log(&run)
	log(&run) // a minion has returned meanwhile
	run.Status, run.Pause = gaea.RunPaused, &gaea.Pause{Reason: gaea.PauseAsked, By: "ops"}
	log(&run)
	run.Status = gaea.RunPostActions
	log(&run)

	entries, err := tflogtest.MultilineJSONDecode(&out)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e["run_id"] != "run-1" {
			t.Errorf("the entry does not say of what: %v", e)
		}
		got = append(got, fmt.Sprint(e["@level"], " ", e["@message"]))
	}
	want := []string{
		`warn the run waits for minions that are busy under the lock "deploy" in run-0`,
		"info the run goes on: running",
		"warn the run is paused: ops asked for it; `jobd resume run-1` lets it go on, `jobd cancel run-1` stops it",
		"info the run goes on: post actions",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the log is\n%s", strings.Join(got, "\n"))
	}
}
