package swarm_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

func TestAConfigurationIsReadFromYAML(t *testing.T) {
	text, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := swarm.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	slow := cfg.Groups[1]
	if cfg.Minions != 500 || slow.Share != swarm.Percent(10) || slow.Behaviour.Slow != swarm.Between(2*time.Second, 5*time.Second) || cfg.Groups[2].Share != swarm.Count(3) {
		t.Errorf("it reads %+v", cfg)
	}
	if cfg.States["motd"][0].Function != "file.managed" || cfg.Groups[4].Behaviour.Clock != -time.Hour || cfg.Groups[3].Behaviour.Dies.For != swarm.Exactly(20*time.Second) {
		t.Errorf("it reads %+v", cfg)
	}
}

func TestAMistakeInAConfigurationIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"minons: 5":                                        "minons",
		"minions: 100000":                                  "1 to 5000",
		"id: same":                                         `"same"`,
		"ids: [a/b]":                                       `"a/b"`,
		"ids: [a, a]":                                      "two minions",
		"groups: [{share: some}]":                          "no share",
		"groups: [{share: 120%}]":                          "groups[0].share",
		"highstate: [x]":                                   `"x"`,
		"states: {x: [{id: a}]}":                           "file.managed",
		"a: 1\n---\nb: 2":                                  "a",
		"minions: 1\n---\nminions: 2":                      "more than one document",
		"groups: [{behaviour: {slow: 3}}]":                 "no time",
		"groups: [{behaviour: {slow: 3s..1s}}]":            "groups[0].behaviour.slow",
		"groups: [{behaviour: {chance: 2}}]":               "chance",
		"groups: [{behaviour: {huge: 99999999}}]":          "huge",
		"groups: [{behaviour: {hostile: very}}]":           "hostile",
		"groups: [{behaviour: {fail: 256}}]":               "fail",
		"groups: [{behaviour: {flaps: {up: 1s}}}]":         "flaps",
		"groups: [{behaviour: {drifts: [{states: [x]}]}}]": `"x"`,
		"commands: {x: {takes: -1s}}":                      "takes",
	} {
		if _, err := swarm.ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q fails with %v, which does not name %s", text, err, want)
		}
	}
}

func TestAShareIsDrawnFromTheSeed(t *testing.T) {
	members := func(seed uint64) (ids string) {
		m := newMaster(t)
		s := start(t, m, swarm.Config{Minions: 8, ID: "m%d", Seed: seed, Groups: []swarm.Group{{Share: swarm.Percent(40), Grains: map[string]any{"chosen": true}}}})
		defer s.Stop()
		count := 0
		m.with(func() {
			for _, id := range s.IDs() {
				if m.grains[id]["chosen"] == true {
					ids += id + " "
					count++
				}
			}
		})
		if count != 4 {
			t.Errorf("40%% of 8 are %d", count)
		}
		return ids
	}
	if first, again := members(1), members(1); first != again {
		t.Errorf("seed 1 chooses %s, then %s", first, again)
	}
	if members(1) == members(3) {
		t.Error("seed 3 chooses the same")
	}
}
