package swarm_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

var test = map[string]any{"__kwarg__": true, "test": true}

func results(t *testing.T, v any) map[string]map[string]any {
	t.Helper()
	states, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("no states were returned, but %v", v)
	}
	found := map[string]map[string]any{}
	for key, state := range states {
		found[key] = asMap(state)
	}
	return found
}

const motdKey = "file_|-/etc/motd_|-/etc/motd_|-managed"

func TestATestRunTellsADriftAndARealRunRepairsIt(t *testing.T) {
	m := newMaster(t)
	s := one(t, m, swarm.Behaviour{})
	m.tell("1", "*", "state.apply", "motd", test)
	would := results(t, m.only("1", "m1"))[motdKey]
	diff, _ := would["changes"].(map[string]any)["diff"].(string)
	if would["result"] != nil || !strings.Contains(diff, "-changed by somebody") || would["__sls__"] != "motd" || would["name"] != "/etc/motd" {
		t.Errorf("in test mode the state says %v", would)
	}
	m.tell("2", "*", "state.apply", "motd")
	if did := results(t, m.only("2", "m1"))[motdKey]; did["result"] != true || len(asMap(did["changes"])) == 0 {
		t.Errorf("the repair says %v", did)
	}
	m.tell("3", "*", "state.sls", "mods=motd", "test=True")
	for key, state := range results(t, m.only("3", "m1")) {
		if state["result"] != true || len(asMap(state["changes"])) != 0 {
			t.Errorf("%s is not in order: %v", key, state)
		}
	}
	if err := s.Drift("m1", "nginx"); err != nil {
		t.Fatal(err)
	}
	m.tell("4", "*", "state.test", "motd")
	if got := results(t, m.only("4", "m1"))["service_|-nginx_|-nginx_|-running"]; got["result"] != nil || len(asMap(got["changes"])) != 0 {
		t.Errorf("the service says %v", got)
	}
	if err := s.Drift("m1", "no such"); err == nil {
		t.Error("a state that does not exist drifts")
	}
}

func TestAStateThatFailsTakesThoseThatRequireItWithIt(t *testing.T) {
	m := newMaster(t)
	start(t, m, swarm.Config{IDs: []string{"m1"}, Highstate: []string{"broken"}, States: map[string][]swarm.State{"broken": {
		{ID: "pkg", Function: "pkg.installed", Drifted: true, Fails: true},
		{ID: "svc", Function: "service.running", Requires: []string{"pkg"}},
		{ID: "cmd", Function: "cmd.run", Unsettled: true},
	}}})
	m.tell("1", "*", "state.highstate")
	load := m.load("1", "m1")
	states := results(t, load["return"])
	if load["retcode"] != int64(2) || load["success"] != false || states["pkg_|-pkg_|-pkg_|-installed"]["result"] != false {
		t.Errorf("the return is %v", load)
	}
	if svc := states["service_|-svc_|-svc_|-running"]; svc["result"] != false || svc["comment"] != "One or more requisite failed: broken.pkg" {
		t.Errorf("the service says %v", svc)
	}
	m.tell("2", "*", "state.apply", test)
	if cmd := results(t, m.only("2", "m1"))["cmd_|-cmd_|-cmd_|-run"]; cmd["result"] != nil {
		t.Errorf("the command would not run again: %v", cmd)
	}
}

func TestAnUnknownSLSAndAMissingTopFileAreToldAsSaltDoes(t *testing.T) {
	m := newMaster(t)
	one(t, m, swarm.Behaviour{})
	m.tell("1", "*", "state.apply", "nothing")
	load := m.load("1", "m1")
	if list, ok := load["return"].([]any); !ok || list[0] != "No matching sls found for 'nothing' in env 'base'" || load["retcode"] != int64(1) {
		t.Errorf("the return is %v", load)
	}
	m.tell("2", "*", "state.highstate")
	if load := m.load("2", "m1"); load["retcode"] != int64(2) || len(results(t, load["return"])) != 1 {
		t.Errorf("the return is %v", load)
	}
}

func TestStateRunsLockAMinion(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1"}, States: map[string][]swarm.State{
		"slow":  {{ID: "slow", Function: "file.managed", Drifted: true, Takes: swarm.Exactly(500 * time.Millisecond)}},
		"quick": {{ID: "quick", Function: "file.managed"}},
	}})
	m.tell("1", "*", "state.apply", "slow")
	eventually(t, "it runs", func() bool { return s.Trace("1")["m1"].Told == 1 && s.Busy("m1") == 1 })
	eventually(t, "it has the lock", func() bool { return s.Locked("m1") })
	m.tell("2", "*", "state.apply", "quick")
	m.tell("3", "*", "state.apply", "quick", map[string]any{"__kwarg__": true, "queue": true})
	if list, ok := m.only("2", "m1").([]any); !ok || !strings.Contains(asText(list[0]), `The function "state.apply" is running as PID `) || !strings.Contains(asText(list[0]), "with jid 1") {
		t.Errorf("the second run returns %v", m.only("2", "m1"))
	}
	results(t, m.only("3", "m1"))
	if len(m.returns("1")) == 0 && s.Trace("1")["m1"].Finished == 0 {
		t.Error("the third did not wait for the first")
	}
}

func TestAKilledStateRunRepairsNothingMoreAndGivesItsLockBack(t *testing.T) {
	m := newMaster(t)
	s := start(t, m, swarm.Config{IDs: []string{"m1"}, States: map[string][]swarm.State{
		"slow": {{ID: "slow", Function: "file.managed", Drifted: true, Takes: swarm.Exactly(time.Minute)}},
		"motd": {{ID: "motd", Function: "file.managed"}},
	}})
	m.tell("1", "*", "state.apply", "slow")
	eventually(t, "it has the lock", func() bool { return s.Locked("m1") })
	m.tell("2", "*", "saltutil.kill_job", "1")
	m.load("2", "m1")
	m.tell("3", "*", "state.apply", "motd", map[string]any{"__kwarg__": true, "queue": true})
	results(t, m.only("3", "m1"))
	if drifted, _ := s.Drifted("m1"); !slices.Equal(drifted, []string{"slow"}) {
		t.Errorf("the drift is %q", drifted)
	}
}
