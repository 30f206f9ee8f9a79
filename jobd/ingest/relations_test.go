package ingest_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

// steps is what an orchestration returns that told minions two jobs.
const steps = `{"data": {"salt_master": {
	"salt_|-a_|-test.ping_|-function": {"name": "test.ping", "changes": {}, "comment": "", "result": true, "__jid__": "20260102030405000002", "__run_num__": 0, "__id__": "a"},
	"salt_|-b_|-test.ping_|-function": {"name": "test.ping", "changes": {}, "comment": "", "result": false, "__jid__": "20260102030405000003", "__run_num__": 1, "__id__": "b"}
}}, "retcode": 1}`

func (r *rig) event(tag, data string) {
	r.bus <- gaea.BusMessage{Event: &gaea.Event{Tag: tag, Stamp: time.Now(), Data: json.RawMessage(data)}}
}

// tied are the children that the store knows, each with its parent.
func (s *store) tied() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.parents)
}

func (s *store) job(jid string) gaea.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[jid]
}

var bothTied = map[string]string{"20260102030405000002": "20260102030405000001", "20260102030405000003": "20260102030405000001"}

func TestAnOrchestrationIsStoredWithWhatBelongsToIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const jid = "20260102030405000001"
		r := start(t, newCache(), func(o *ingest.Options) { o.MasterID = "salt_master" })
		r.connect()
		r.event("salt/run/"+jid+"/new", `{"fun": "runner.state.orch", "jid": "`+jid+`", "user": "root", "fun_args": ["deploy", {"pillar": {"key": "hunter2"}}]}`)
		r.event("salt/run/"+jid+"/ret", `{"fun": "runner.state.orch", "jid": "`+jid+`", "user": "root", "fun_args": ["deploy"], "return": `+steps+`, "success": false}`)
		elapse(time.Minute)
		j := r.store.job(jid)
		if !slices.Equal(j.Minions, []string{"salt_master"}) || j.Target.String() != "salt_master" || j.Origin != gaea.OriginOrchestration || string(j.Args) != `["deploy", {"pillar": "[redacted]"}]` {
			t.Errorf("the job is %+v with arguments %s", j, j.Args)
		}
		if got, ok := r.store.stored(gaea.Return{JID: jid, Minion: "salt_master"}); !ok || got.Outcome != gaea.OutcomeFailed || len(got.States) != 2 {
			t.Errorf("its return is %+v", got)
		}
		if got := r.store.tied(); !maps.Equal(got, bothTied) {
			t.Errorf("what belongs to it is %v", got)
		}
		r.stop(t)
	})
}

func TestARunnerThatNamesNoMinionRanOnTheMaster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newCache(), nil)
		r.connect()
		r.event("salt/run/20260102030405000009/ret", `{"fun": "runner.manage.up", "jid": "20260102030405000009", "user": "root", "fun_args": [], "return": ["web1"], "success": true}`)
		elapse(time.Minute)
		if got, ok := r.store.stored(gaea.Return{JID: "20260102030405000009", Minion: "m"}); !ok || got.Outcome != gaea.OutcomeSucceeded {
			t.Errorf("its return is %+v", got)
		}
		r.stop(t)
	})
}

func TestAnOrchestrationThatWasMissedIsFetchedWithItsTies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		missed := ret(1)
		missed.JID, missed.Minion, missed.Function, missed.Origin = "20260102030405000001", "salt_master", "runner.state.orchestrate", gaea.OriginOrchestration
		missed.Body = json.RawMessage(steps)
		r := start(t, newCache(missed), nil)
		r.connect()
		elapse(time.Minute)
		if got := r.store.tied(); !maps.Equal(got, bothTied) {
			t.Errorf("what belongs to it is %v", got)
		}
		r.stop(t)
	})
}

func TestABatchThatEndedUnseenIsLookedUpInTheJobCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := ret(1)
		c := newCache(told)
		c.jobs[told.JID].Job.Batch = &gaea.JobBatch{Status: gaea.JobBatchComplete, Minions: 1, Done: 1, Stamp: told.Stamp.Add(time.Second)}
		s := newStore()
		s.jobs[told.JID] = gaea.Job{JID: told.JID, Function: told.Function, Known: true, Minions: []string{told.Minion}, Started: told.Stamp,
			Batch: &gaea.JobBatch{Status: gaea.JobBatchRunning, Minions: 1, Running: 1, Stamp: told.Stamp}}
		s.put(told)
		r := startOn(t, s, c, nil)
		r.connect()
		elapse(time.Minute)
		if b := s.job(told.JID).Batch; b.Status != gaea.JobBatchComplete || b.Done != 1 {
			t.Errorf("the batch stands as %+v", b)
		}
		r.stop(t)
	})
}
