package jobdclient_test

import (
	"slices"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/api/apitest"
)

// questionsConform follows archiveConforms. Filters arrive as they were given, and answers as they are.
func questionsConform(t *testing.T, j *jobd, c *jobdclient.Client) {
	t.Helper()
	ctx := t.Context()
	since := time.Date(2026, 1, 1, 12, 0, 0, 123456000, time.UTC)
	until := since.Add(time.Hour)
	took := 12.5
	j.Answer(apitest.Answers{
		History:  []gaea.HistoryItem{{JID: "1", Minion: "wéb/2", Outcome: gaea.OutcomeFailed, Duration: &took}, {JID: "2"}},
		States:   []gaea.LatestState{{Key: "a", Outcome: gaea.OutcomeChanged, Duration: &took}},
		Changes:  []gaea.StateChange{{Name: "/etc/motd", User: "ann"}},
		Failures: []gaea.FailedMinion{{Minion: "web1", States: []string{"file.managed motd"}}},
		Slow:     gaea.Measured[gaea.SlowState]{Page: gaea.Page[gaea.SlowState]{Items: []gaea.SlowState{{Name: "x", Slowest: 1.5}}}, Since: since},
		Runs:     gaea.Measured[gaea.RunDurations]{Page: gaea.Page[gaea.RunDurations]{Items: []gaea.RunDurations{{Day: "2026-01-01", P95: 1.5}}}, Since: since},
	})
	history := gaea.HistoryFilter{Master: "m1", Minion: "wéb/2", Function: "state.*", Outcome: gaea.OutcomeFailed, Since: since, Until: until}
	first := must[gaea.Page[gaea.HistoryItem]](t)(c.History(ctx, history, gaea.PageRequest{Limit: 1}))
	if len(first.Items) != 1 || *first.Items[0].Duration != took || first.Next == "" {
		t.Errorf("history %+v", first)
	}
	if second := must[gaea.Page[gaea.HistoryItem]](t)(c.History(ctx, history, gaea.PageRequest{Limit: 1, Cursor: first.Next})); len(second.Items) != 1 || second.Next != "" {
		t.Errorf("its second page %+v", second)
	}
	states := gaea.StateFilter{Master: "m1", Minion: "web1", SLS: "a.b", State: "/etc/motd é", Function: "file.managed", Since: since, Until: until}
	latest := states
	latest.Outcome = gaea.OutcomeChanged
	if got := must[gaea.Page[gaea.LatestState]](t)(c.States(ctx, latest, gaea.PageRequest{})); len(got.Items) != 1 || *got.Items[0].Duration != took {
		t.Errorf("states %+v", got)
	}
	if got := must[gaea.Page[gaea.StateChange]](t)(c.Changes(ctx, states, gaea.PageRequest{})); len(got.Items) != 1 || got.Items[0].User != "ann" {
		t.Errorf("changes %+v", got)
	}
	if got := must[gaea.Page[gaea.FailedMinion]](t)(c.FailedMinions(ctx, states, gaea.PageRequest{})); len(got.Items) != 1 || len(got.Items[0].States) != 1 {
		t.Errorf("failures %+v", got)
	}
	slow := gaea.SlowStateFilter{Master: "m1", SLS: "a.b", Since: since, Until: until}
	if got := must[gaea.Measured[gaea.SlowState]](t)(c.SlowStates(ctx, slow, gaea.PageRequest{})); len(got.Items) != 1 || !got.Since.Equal(since) {
		t.Errorf("slow states %+v", got)
	}
	runs := gaea.RunDurationFilter{Master: "m1", Applied: "a.b,c", Test: true, Since: since, Until: until}
	if got := must[gaea.Measured[gaea.RunDurations]](t)(c.RunDurations(ctx, runs, gaea.PageRequest{})); len(got.Items) != 1 || !got.Since.Equal(since) {
		t.Errorf("durations %+v", got)
	}
	if asked := j.Questions(); !slices.Equal(asked, []any{history, history, latest, states, states, slow, runs}) {
		t.Errorf("asked was %+v", asked)
	}
	if got := must[gaea.Page[gaea.Job]](t)(c.Jobs(ctx, gaea.JobFilter{Running: true}, gaea.PageRequest{})); len(got.Items) != 0 {
		t.Errorf("running: %+v", got)
	}
	must[gaea.Page[gaea.HistoryItem]](t)(c.History(ctx, gaea.HistoryFilter{Minion: "web1"}, gaea.PageRequest{}))
	_, err := c.RunDurations(ctx, gaea.RunDurationFilter{}, gaea.PageRequest{})
	wantError(t, err, gaea.CodeInvalid)
	_, err = c.History(ctx, gaea.HistoryFilter{}, gaea.PageRequest{})
	wantError(t, err, gaea.CodeInvalid)
}
