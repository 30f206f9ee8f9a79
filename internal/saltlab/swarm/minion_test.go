package swarm_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

func TestAMinionSignsInTellsItsGrainsAndItsStartAndAnswers(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1"}, Grains: map[string]any{"role": "web"}})
	m.with(func() {
		if m.grains["m1"]["role"] != "web" || m.grains["m1"]["id"] != "m1" {
			t.Errorf("the master knows the grains %v", m.grains["m1"])
		}
	})
	if tags := m.events(); !slices.Contains(tags, "salt/minion/m1/start") {
		t.Errorf("the events are %q", tags)
	}
	m.tell("20260101000000000001", "*", "test.ping")
	load := m.load("20260101000000000001", "m1")
	if load["return"] != true || load["retcode"] != int64(0) || load["success"] != true || load["fun"] != "test.ping" || load["user"] != "root" {
		t.Errorf("the return is %v", load)
	}
	eventually(t, "the swarm's books are right", func() bool {
		return s.Trace("20260101000000000001")["m1"] == swarm.Trace{Told: 1, Finished: 1, Returned: 1}
	})
}

func TestMetadataComesBackInTheReturn(t *testing.T) {
	m := newMaster(t)
	start(t, m, swarm.Config{IDs: []string{"m1"}})
	m.publishLoad(map[string]any{
		"jid": "1", "fun": "test.echo", "arg": []any{"hé"}, "tgt": []any{"m1", "other"}, "tgt_type": "list", "metadata": map[string]any{"run": "r1"},
	})
	load := m.load("1", "m1")
	if load["return"] != "hé" || asMap(load["metadata"])["run"] != "r1" {
		t.Errorf("the return is %v", load)
	}
}

func TestAJobThatComesTwiceRunsOnce(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1"}})
	m.tell("1", "m1", "test.ping")
	m.tell("1", "m1", "test.ping")
	m.tell("2", "m1", "test.ping")
	m.load("2", "m1")
	if trace := s.Trace("1")["m1"]; trace.Told != 1 {
		t.Errorf("the trace is %+v", trace)
	}
}

func TestAMinionThatIsNotMeantDoesNothing(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"web1", "db1"}, Groups: []swarm.Group{{Match: "web*", Grains: map[string]any{"role": "web"}}}})
	m.publishLoad(map[string]any{"jid": "1", "fun": "test.ping", "arg": []any{}, "tgt": "G@role:web and not E@w.b2", "tgt_type": "compound"})
	m.load("1", "web1")
	m.tell("2", "db*", "test.ping")
	m.load("2", "db1")
	if len(s.Trace("1")) != 1 || len(s.Trace("2")) != 1 {
		t.Errorf("job 1 ran on %v, job 2 on %v", s.Trace("1"), s.Trace("2"))
	}
}

func TestAPublicationThatSomebodyElseSignedIsPassedOver(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1"}})
	m.with(func() { m.unsign = true })
	m.tell("1", "*", "test.ping")
	eventually(t, "it is refused", func() bool { return s.Stats().Refused == 1 })
	m.with(func() { m.unsign = false })
	m.tell("2", "*", "test.ping")
	m.load("2", "m1")
	if len(s.Trace("1")) != 0 {
		t.Error("the minion ran it")
	}
}

func TestAnOldPublicationThatIsSentAgainIsPassedOver(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1"}})
	m.tell("1", "*", "test.ping")
	m.load("1", "m1")
	m.with(func() { m.serial = 0 })
	m.tell("2", "*", "test.ping")
	eventually(t, "it is refused", func() bool { return s.Stats().Refused == 1 })
}

func TestNewKeysOfTheMasterAreFollowed(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1", "m2"}})
	m.rotate()
	m.tell("1", "*", "test.ping")
	m.load("1", "m1")
	m.load("1", "m2")
	m.forgetSessions()
	m.tell("2", "*", "test.ping")
	m.load("2", "m1")
	m.load("2", "m2")
	if stats := s.Stats(); stats.SignIns != 6 || stats.Refused != 0 {
		t.Errorf("the swarm says %+v", stats)
	}
}

func TestMinionsComeBackWhenTheMasterCutsTheirLinks(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1", "m2", "m3"}})
	started := len(m.events())
	m.drop()
	m.rotate()
	eventually(t, "all have signed in again", func() bool { return s.Stats().SignIns == 6 && s.Stats().Connected == 3 })
	m.tell("1", "*", "test.ping")
	for _, id := range s.IDs() {
		m.load("1", id)
	}
	if len(m.events()) != started {
		t.Errorf("a minion that was only cut off says that it has started: %q", m.events())
	}
}

func TestAMinionWaitsUntilItsKeyIsAccepted(t *testing.T) {
	m := newMaster(t)
	m.pending = true
	s := begin(t, m, swarm.Options{Config: swarm.Config{IDs: []string{"m1"}}})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := s.Accepted(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	m.with(func() { m.pending = false })
	accepted(t, s)
}

func TestPingsOfTheMasterAreAnswered(t *testing.T) {
	m := newMaster(t)
	start(t, m, swarm.Config{IDs: []string{"m1"}})
	m.toSubscribers(4, []byte("\x04PING\x00\x64ctx"))
	eventually(t, "the pong comes", func() bool {
		var pongs int
		m.with(func() { pongs = m.pongs })
		return pongs == 1
	})
}

func TestAMinionHearsItsTopicAndNoOther(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1"}})
	m.toSubscribers(0, []byte("0123456789012345678901234567890123456789"), []byte("for another"))
	m.tell("1", "*", "test.ping")
	m.load("1", "m1")
	if s.Stats().Refused != 0 {
		t.Error("a publication for another minion is taken for a bad one")
	}
}

func TestEventsBeaconsAndCallsReachTheMaster(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1"}})
	if err := errors.Join(s.Fire(t.Context(), "m1", "my/tag", map[string]any{"k": 1}), s.Beacon(t.Context(), "m1", "load", map[string]any{"1m": 2.5})); err != nil {
		t.Fatal(err)
	}
	jid, err := s.Call(t.Context(), "m1", "test.echo", "by itself")
	if err != nil {
		t.Fatal(err)
	}
	load := m.load(jid, "m1")
	if _, said := load["success"]; said || load["return"] != "by itself" || load["tgt"] != "m1" {
		t.Errorf("salt-call returns %v", load)
	}
	if tags := m.events(); !slices.Contains(tags, "my/tag") || !slices.Contains(tags, "salt/beacon/m1/load/") {
		t.Errorf("the events are %q", tags)
	}
}

func TestChangedGrainsReachTheMasterAndTargets(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1"}, Grains: map[string]any{"role": "web"}})
	if err := s.SetGrains(t.Context(), "m1", map[string]any{"role": nil, "tier": "gold"}); err != nil {
		t.Fatal(err)
	}
	m.with(func() {
		if _, still := m.grains["m1"]["role"]; still || m.grains["m1"]["tier"] != "gold" {
			t.Errorf("the master knows %v", m.grains["m1"])
		}
	})
	m.publishLoad(map[string]any{"jid": "1", "fun": "pillar.get", "arg": []any{"of"}, "tgt": "tier:g*", "tgt_type": "grain"})
	if got := m.only("1", "m1"); got != "m1" {
		t.Errorf("the pillar says %v", got)
	}
}

func TestAMasterElsewhereIsRefused(t *testing.T) {
	for _, address := range []string{"192.0.2.1:4506", "salt.example.com:4506", "127.0.0.1"} {
		if s, err := swarm.Start(t.Context(), swarm.Options{Master: address, KeyDir: keyDir}); err == nil {
			s.Stop()
			t.Errorf("%s is taken", address)
		}
	}
}

func TestNothingCanBeAskedOfASwarmThatIsStopped(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1"}})
	s.Stop()
	s.Stop()
	if err := s.Fire(t.Context(), "m1", "tag", nil); err == nil {
		t.Error("it fires")
	}
	if err := s.Fire(t.Context(), "m2", "tag", nil); err == nil {
		t.Error("there is no such minion")
	}
}

func TestKeysAreMadeOnceAndKept(t *testing.T) {
	m := newMaster(t)
	var lines []string
	for range 2 {
		s := begin(t, m, swarm.Options{Config: swarm.Config{IDs: []string{"kept"}}, Progress: func(line string) { lines = append(lines, line) }})
		accepted(t, s)
		s.Stop()
	}
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "making 1 keys") {
		t.Errorf("two swarms of one minion said %q", lines)
	}
}
