package soak

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

func TestTheSameSeedGivesTheSameRoles(t *testing.T) {
	names := func(seed uint64) map[string]string {
		given := map[string]string{}
		for id, r := range cast(seed, minionIDs(100), oddRoles()) {
			given[id] = r.name
		}
		return given
	}
	if !maps.Equal(names(7), names(7)) || maps.Equal(names(7), names(8)) {
		t.Error("who has which role does not follow from the seed")
	}
}

func TestEachScenarioHasRoomForItsRolesAmongFewMinions(t *testing.T) {
	var names []string
	for _, scenario := range Scenarios() {
		names = append(names, scenario.Name)
		counts := map[string]int{}
		for _, r := range cast(1, minionIDs(MinMinions), scenario.roles) {
			counts[r.name]++
		}
		for _, r := range scenario.roles {
			if counts[r.name] == 0 {
				t.Errorf("in %s nobody is %s", scenario.Name, r.name)
			}
		}
		if counts[plain.name] == 0 {
			t.Errorf("in %s nobody answers at once", scenario.Name)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("two scenarios have one name: %q", names)
	}
}

func TestWhatAMinionDidIsComparedWithWhatTheRunSays(t *testing.T) {
	ok := []gaea.Outcome{gaea.OutcomeSucceeded, gaea.OutcomeNoReturn, gaea.OutcomeKilled}
	full := swarm.Trace{Told: 1, Finished: 1, Returned: 1}
	for name, c := range map[string]struct {
		role   role
		says   gaea.RunMinion
		did    swarm.Trace
		status gaea.RunStatus
		wrong  string // empty: nothing is
	}{
		"a return":                       {role{outcomes: ok}, gaea.RunMinion{Outcome: gaea.OutcomeSucceeded}, full, gaea.RunSucceeded, ""},
		"an invented return":             {role{outcomes: ok}, gaea.RunMinion{Outcome: gaea.OutcomeSucceeded}, swarm.Trace{Told: 1}, gaea.RunFailed, "it returned nothing"},
		"a lost return":                  {role{outcomes: ok}, gaea.RunMinion{Outcome: gaea.OutcomeNoReturn}, full, gaea.RunFailed, "it returned"},
		"a return under another id":      {role{outcomes: ok, behaviour: swarm.Behaviour{WrongJID: true}}, gaea.RunMinion{Outcome: gaea.OutcomeNoReturn}, full, gaea.RunFailed, ""},
		"no outcome":                     {role{outcomes: ok}, gaea.RunMinion{Outcome: gaea.OutcomePending}, full, gaea.RunFailed, "it has ended"},
		"told twice":                     {role{outcomes: ok}, gaea.RunMinion{Outcome: gaea.OutcomeSucceeded}, swarm.Trace{Told: 2, Finished: 2, Returned: 2}, gaea.RunSucceeded, "more than once"},
		"skipped and told":               {role{outcomes: ok}, gaea.RunMinion{Outcome: gaea.OutcomeSkipped}, swarm.Trace{Told: 1}, gaea.RunHalted, "it was told"},
		"skipped in a halt":              {role{outcomes: ok}, gaea.RunMinion{Outcome: gaea.OutcomeSkipped}, swarm.Trace{}, gaea.RunHalted, ""},
		"skipped and not halted":         {role{outcomes: ok}, gaea.RunMinion{Outcome: gaea.OutcomeSkipped}, swarm.Trace{}, gaea.RunFailed, "another outcome"},
		"said to be killed and finished": {role{outcomes: ok}, gaea.RunMinion{Outcome: gaea.OutcomeKilled}, swarm.Trace{Told: 1, Finished: 1}, gaea.RunCancelled, "came to its end"},
		"late and not marked":            {role{outcomes: ok, late: true}, gaea.RunMinion{Outcome: gaea.OutcomeSucceeded}, full, gaea.RunFailed, "was late"},
		"late and marked":                {role{outcomes: ok, late: true}, gaea.RunMinion{Outcome: gaea.OutcomeSucceeded, Late: true}, full, gaea.RunFailed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stage{roles: map[string]*role{"m": &c.role}}
			err := s.judgeMinion(&gaea.Run{Status: c.status, Minions: map[string]gaea.RunMinion{"m": c.says}}, "m", c.did)
			if c.wrong == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if v, ok := errors.AsType[violated](err); !ok || !strings.Contains(v.what, c.wrong) {
				t.Errorf("it is told to be: %v", err)
			}
		})
	}
}
