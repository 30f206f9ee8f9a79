package swarm_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

func TestASlowMinionIsSeenToRunItsJob(t *testing.T) {
	m := newMaster(t)
	one(t, m, swarm.Behaviour{Functions: []string{"test.ping"}, Slow: swarm.Exactly(time.Second)})
	m.tell("1", "*", "test.ping")
	m.tell("2", "*", "saltutil.find_job", "1")
	found := asMap(m.only("2", "m1"))
	if found["fun"] != "test.ping" || found["jid"] != "1" || asInt(found["pid"]) <= 1000 {
		t.Errorf("find_job says %v", found)
	}
	m.load("1", "m1")
	m.tell("3", "*", "saltutil.find_job", "1")
	if found := asMap(m.only("3", "m1")); len(found) != 0 {
		t.Errorf("find_job says %v of a job that is over", found)
	}
}

func TestALateReturnComesWhenTheJobIsLongOver(t *testing.T) {
	m := newMaster(t)
	s := one(t, m, swarm.Behaviour{Functions: []string{"test.ping"}, Late: swarm.Exactly(time.Second)})
	m.tell("1", "*", "test.ping")
	eventually(t, "the job is over", func() bool { return s.Trace("1")["m1"].Finished == 1 })
	m.tell("2", "*", "saltutil.find_job", "1")
	if found := asMap(m.only("2", "m1")); len(found) != 0 || len(m.returns("1")) != 0 {
		t.Errorf("find_job says %v, and there are returns: %v", found, m.returns("1"))
	}
	m.load("1", "m1")
}

func TestASilentMinionRunsAndReturnsNothing(t *testing.T) {
	m := newMaster(t)
	s := one(t, m, swarm.Behaviour{Silent: true})
	m.tell("1", "*", "test.ping")
	m.tell("2", "*", "saltutil.find_job", "1")
	eventually(t, "both have run", func() bool { return s.Trace("1")["m1"].Finished == 1 && s.Trace("2")["m1"].Finished == 1 })
	if err := s.Behave("m1"); err != nil {
		t.Fatal(err)
	}
	m.tell("3", "*", "test.ping")
	m.load("3", "m1")
	if len(m.returns("1")) != 0 || len(m.returns("2")) != 0 {
		t.Error("it returns")
	}
}

func TestAMinionAnswersTwice(t *testing.T) {
	m := newMaster(t)
	one(t, m, swarm.Behaviour{Twice: true})
	m.tell("1", "*", "test.ping")
	eventually(t, "two returns come", func() bool { return len(m.returns("1")["m1"]) == 2 })
}

func TestAMinionAnswersUnderAnotherJobID(t *testing.T) {
	m := newMaster(t)
	one(t, m, swarm.Behaviour{WrongJID: true})
	m.tell("20260101000000000001", "*", "test.ping")
	m.load("20260101000000000000", "m1")
	if len(m.returns("20260101000000000001")) != 0 {
		t.Error("it answers under the right one, too")
	}
}

func TestAHugeReturnIsAsLargeAsIsSaid(t *testing.T) {
	m := newMaster(t)
	one(t, m, swarm.Behaviour{Huge: 1 << 20})
	m.tell("1", "*", "test.ping")
	if got := len(asText(m.only("1", "m1"))); got != 1<<20 {
		t.Errorf("it has %d bytes", got)
	}
}

func TestEachHostileReturnArrives(t *testing.T) {
	m := newMaster(t)
	s := one(t, m, swarm.Behaviour{})
	for _, kind := range []swarm.Hostile{"nan", "keys", "bytes", "control", "markup", "deep", "states"} {
		if err := s.Behave("m1", swarm.Behaviour{Hostile: kind}); err != nil {
			t.Fatal(err)
		}
		m.tell(string(kind), "*", "test.ping")
		if got := m.only(string(kind), "m1"); got == true || got == nil {
			t.Errorf("%s returns %v", kind, got)
		}
	}
}

func TestAFailureHasItsExitCode(t *testing.T) {
	m := newMaster(t)
	one(t, m, swarm.Behaviour{Fail: 7})
	m.tell("1", "*", "test.ping")
	load := m.load("1", "m1")
	if load["retcode"] != int64(7) || load["success"] != false || !strings.Contains(asText(load["return"]), "exception") {
		t.Errorf("the return is %v", load)
	}
}

func TestAMinionThatDiesInTheMiddleOfAJobComesBackWithoutIt(t *testing.T) {
	m := newMaster(t)
	s := one(t, m, swarm.Behaviour{Functions: []string{"state.*"}, Dies: &swarm.Death{After: swarm.Exactly(20 * time.Millisecond), For: swarm.Exactly(50 * time.Millisecond)}})
	m.tell("1", "*", "state.apply", "motd")
	eventually(t, "it has started twice", func() bool { return len(m.events()) == 2 && s.Stats().Connected == 1 })
	m.tell("2", "*", "saltutil.running")
	if got := asList(m.only("2", "m1")); len(got) != 0 || len(m.returns("1")) != 0 {
		t.Errorf("it runs %v and returns %v", got, m.returns("1"))
	}
	if drifted, _ := s.Drifted("m1"); len(drifted) != 1 {
		t.Errorf("its drift is %q", drifted)
	}
}

func TestAMinionThatIsDownIsKnownToTheMasterAndComesUp(t *testing.T) {
	m := newMaster(t)
	s := one(t, m, swarm.Behaviour{Down: true})
	if stats := s.Stats(); stats.Accepted != 1 || stats.Connected != 0 {
		t.Errorf("the swarm says %+v", stats)
	}
	m.with(func() {
		if m.grains["m1"] == nil {
			t.Error("the master does not know its grains")
		}
	})
	if err := s.Up("m1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is up", func() bool { return s.Stats().Connected == 1 })
	if err := s.Down("m1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is down", func() bool { return s.Stats().Connected == 0 })
}

func TestWhatAMinionRunsWhileItIsOffTheNetworkIsSentWhenItIsBack(t *testing.T) {
	m := newMaster(t)
	s := one(t, m, swarm.Behaviour{Slow: swarm.Exactly(50 * time.Millisecond)})
	m.tell("1", "*", "test.ping")
	eventually(t, "it runs", func() bool { return s.Trace("1")["m1"].Told == 1 })
	if err := s.Unplug("m1"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is over", func() bool { return s.Trace("1")["m1"].Finished == 1 })
	if len(m.returns("1")) != 0 {
		t.Error("it returns without a network")
	}
	if err := s.Plug("m1"); err != nil {
		t.Fatal(err)
	}
	m.load("1", "m1")
}

func TestAMinionFlaps(t *testing.T) {
	m := newMaster(t)
	s := one(t, m, swarm.Behaviour{Flaps: &swarm.Flaps{Up: swarm.Between(10*time.Millisecond, 50*time.Millisecond), Down: swarm.Exactly(10 * time.Millisecond)}})
	eventually(t, "it has signed in again and again", func() bool { return s.Stats().SignIns >= 3 })
	if len(m.events()) != 1 {
		t.Errorf("it says that it has started each time: %q", m.events())
	}
}

func TestAMinionDriftsWhenItIsTime(t *testing.T) {
	m := newMaster(t)
	s := one(t, m, swarm.Behaviour{Drifts: []swarm.Drifts{{After: swarm.Exactly(10 * time.Millisecond), States: []string{"nginx"}}}})
	eventually(t, "the service has drifted, too", func() bool {
		drifted, _ := s.Drifted("m1")
		return len(drifted) == 2
	})
}

func TestAClockThatIsOffShowsInWhatAMinionSends(t *testing.T) {
	m := newMaster(t)
	one(t, m, swarm.Behaviour{Clock: -24 * time.Hour})
	m.tell("1", "*", "test.ping")
	if behind := time.Since(time.Unix(asInt(m.load("1", "m1")["ts"]), 0)); behind < 23*time.Hour || behind > 25*time.Hour {
		t.Errorf("it is behind by %s", behind)
	}
}

func TestAKilledJobReturnsNothing(t *testing.T) {
	for _, fun := range []string{"saltutil.kill_job", "saltutil.term_job"} {
		m := newMaster(t)
		s := one(t, m, swarm.Behaviour{})
		m.tell("1", "*", "test.sleep", 60)
		eventually(t, "it runs", func() bool { return s.Trace("1")["m1"].Told == 1 })
		m.tell("2", "*", fun, "1")
		if got := asText(m.only("2", "m1")); !strings.HasPrefix(got, "Signal ") || !strings.Contains(got, " sent to job 1 at pid ") {
			t.Errorf("%s says %q", fun, got)
		}
		m.tell("3", "*", "saltutil.find_job", "1")
		if got := asMap(m.only("3", "m1")); len(got) != 0 {
			t.Errorf("find_job says %v", got)
		}
		m.tell("4", "*", fun, "1")
		if got := m.only("4", "m1"); got != "" {
			t.Errorf("%s says %q of a job that is gone", fun, got)
		}
		if trace := s.Trace("1")["m1"]; trace != (swarm.Trace{Told: 1, Killed: 1}) {
			t.Errorf("its trace is %+v", trace)
		}
	}
}

func TestAJobThatIgnoresAKillGoesOnAndReturns(t *testing.T) {
	m := newMaster(t)
	one(t, m, swarm.Behaviour{Functions: []string{"test.ping"}, IgnoresKill: true, Slow: swarm.Exactly(500 * time.Millisecond)})
	m.tell("1", "*", "test.ping")
	m.tell("2", "*", "saltutil.kill_job", "1")
	m.tell("3", "*", "saltutil.is_running", "test.*")
	if got := asList(m.only("3", "m1")); len(got) != 1 {
		t.Errorf("is_running says %v", got)
	}
	m.load("1", "m1")
}

func TestTheSameSeedMakesTheSameChoices(t *testing.T) {
	play := func(seed uint64) (outcome [20]uint8) {
		m := newMaster(t)
		s := start(t, m, swarm.Config{IDs: []string{"m1"}, Seed: seed, Groups: []swarm.Group{{Behaviour: swarm.Behaviour{Silent: true, Chance: 0.5}}}})
		defer s.Stop()
		for i := range outcome {
			m.tell(string(rune('a'+i)), "*", "test.ping")
		}
		eventually(t, "all have run", func() bool { return s.Stats().Jobs == int64(len(outcome)) && settled(s, len(outcome)) })
		for i := range outcome {
			outcome[i] = uint8(len(m.returns(string(rune('a' + i)))))
		}
		return outcome
	}
	first, again, other := play(1), play(1), play(2)
	if first != again {
		t.Errorf("seed 1 plays %v, then %v", first, again)
	}
	if first == other {
		t.Error("seed 2 plays the same")
	}
}

// settled says whether each of the jobs has finished, and what was to be returned has been.
func settled(s *swarm.Swarm, jobs int) bool {
	finished, returned := 0, int64(0)
	for i := range jobs {
		trace := s.Trace(string(rune('a' + i)))["m1"]
		finished += int(trace.Finished)
		returned += int64(trace.Returned)
	}
	return finished == jobs && s.Busy("m1") == 0 && returned == s.Stats().Returns
}

func TestAJobOfAMinionThatLosesItsPowerHasNotComeToItsEnd(t *testing.T) {
	m := newMaster(t)
	s := one(t, m, swarm.Behaviour{})
	const jid = "20261123014509900001"
	m.tell(jid, "m1", "test.sleep", 60)
	eventually(t, "the minion runs the job", func() bool { return s.Trace(jid)["m1"].Told == 1 })
	if err := s.Down("m1"); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if trace := s.Trace(jid)["m1"]; trace != (swarm.Trace{Told: 1}) {
		t.Errorf("the job's trace is %+v", trace)
	}
}
