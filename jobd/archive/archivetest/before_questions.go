package archivetest

import (
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// BeforeQuestions writes what a store of before has: a state run that changed and one that failed, and a job that waits.
func BeforeQuestions(t *testing.T, s archive.Store) {
	t.Helper()
	b := &bench{T: t, store: s}
	b.write(archive.Batch{
		Jobs: []gaea.Job{newJob(3, "web1", "web2")},
		Returns: []gaea.Return{
			runOf(1, "web1", "motd", state{"/etc/motd", gaea.OutcomeChanged, 500}), runOf(2, "web2", "motd", state{"/etc/motd", gaea.OutcomeFailed, 500}), newReturn(3, "web1"),
		},
	})
}

// AfterQuestions checks that what [BeforeQuestions] wrote is found when the tables have been changed, and that durations are not
// made up.
func AfterQuestions(t *testing.T, s archive.Store) {
	t.Helper()
	b := &bench{T: t, store: s}
	changes, err := s.Changes(b.ctx(), gaea.StateFilter{State: "id of /etc/motd", Function: "file.managed"}, gaea.PageRequest{})
	b.ok(err)
	same(b, "how many changes", len(changes.Items), 1)
	same(b, "when it changed", changes.Items[0].Stamp, at(2))
	failures, err := s.FailedMinions(b.ctx(), gaea.StateFilter{SLS: "motd", Since: at(3)}, gaea.PageRequest{})
	b.ok(err)
	same(b, "how many failures", len(failures.Items), 1)
	same(b, "what runs", b.jids(gaea.JobFilter{Running: true}), []string{jid(3)})
	history, err := s.History(b.ctx(), gaea.HistoryFilter{Minion: "web1", Function: "state.apply"}, gaea.PageRequest{})
	b.ok(err)
	same(b, "how long that took", history.Items[0].Duration, nil)
	states, err := s.States(b.ctx(), gaea.StateFilter{State: "/etc/motd"}, gaea.PageRequest{})
	b.ok(err)
	same(b, "how many minions have the state", len(states.Items), 2)
	same(b, "how long it took", states.Items[0].Duration, nil)
	slow, err := s.SlowStates(b.ctx(), gaea.SlowStateFilter{}, gaea.PageRequest{})
	b.ok(err)
	if len(slow.Items) != 0 || time.Since(slow.Since) > time.Hour {
		b.Errorf("the slowest states are %+v", slow)
	}
	b.writeReturns(runOf(4, "web1", "motd", state{"/etc/motd", gaea.OutcomeChanged, 500}))
	durations, err := s.RunDurations(b.ctx(), gaea.RunDurationFilter{Applied: "motd"}, gaea.PageRequest{})
	b.ok(err)
	if len(durations.Items) != 1 || durations.Items[0].Runs != 1 || durations.Since.IsZero() {
		b.Errorf("the durations are %+v", durations)
	}
}
