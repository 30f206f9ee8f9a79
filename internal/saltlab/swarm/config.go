package swarm

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxMinions bounds a swarm.
const MaxMinions = 5000

// Config says what a swarm is made of. The zero value of a field means its default; it can be read from YAML with [ParseConfig].
type Config struct {
	// Minions is how many there are; 0: as many as IDs names, or 10.
	Minions int `yaml:"minions"`
	// ID is the pattern of their ids, with one verb for their number from 1 on; empty: "sim-%04d".
	ID string `yaml:"id"`
	// IDs names the first of them instead.
	IDs []string `yaml:"ids"`
	// Seed is where each choice comes from: the same seed makes the same ones.
	Seed uint64 `yaml:"seed"`
	// Grains are grains of all minions, over those that each has: id, os, os_family, kernel, saltversion, nodename, swarm: true
	// and some more.
	Grains map[string]any `yaml:"grains"`
	// Groups change some of the minions. One minion may be in several; later ones win for grains, behaviours add up.
	Groups []Group `yaml:"groups"`
	// States are the SLS files that the minions know, by name.
	States map[string][]State `yaml:"states"`
	// Highstate are the names of the SLS that the highstate consists of; none: there is no top file.
	Highstate []string `yaml:"highstate"`
	// Commands are command lines that cmd.run and its kin know, beyond echo, true, false, sleep and exit.
	Commands map[string]Command `yaml:"commands"`
}

// Group is a part of a swarm that is not like the rest.
type Group struct {
	Match     string         `yaml:"match"` // a glob of ids; empty: all
	Share     Share          `yaml:"share"` // how many of those; drawn from the seed
	Grains    map[string]any `yaml:"grains"`
	Behaviour Behaviour      `yaml:"behaviour"`
}

// Command is what a command line does on a minion.
type Command struct {
	Output string `yaml:"output"`
	Code   int    `yaml:"code"`  // its exit code
	Takes  Span   `yaml:"takes"` // how long it runs
}

// ParseConfig reads a configuration. A key that does not exist is an error that names its line.
func ParseConfig(text []byte) (Config, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var cfg Config
	if err := decoder.Decode(&cfg); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("swarm: the configuration cannot be read: %w", err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("swarm: the configuration has more than one document")
	}
	if _, err := cfg.ids(); err != nil {
		return Config{}, err
	}
	return cfg, cfg.validate()
}

// validID is an id that Salt takes and that is safe as a file's name.
var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// ids returns the ids of all minions.
func (c Config) ids() ([]string, error) {
	count := c.Minions
	switch {
	case count == 0 && len(c.IDs) > 0:
		count = len(c.IDs)
	case count == 0:
		count = 10
	case count < len(c.IDs):
		return nil, fmt.Errorf("swarm: minions is %d but ids names %d", count, len(c.IDs))
	}
	if count < 0 || count > MaxMinions {
		return nil, fmt.Errorf("swarm: minions is %d: a swarm has 1 to %d", c.Minions, MaxMinions)
	}
	pattern := c.ID
	if pattern == "" {
		pattern = "sim-%04d"
	}
	ids := slices.Clone(c.IDs)
	for n := len(ids) + 1; n <= count; n++ {
		ids = append(ids, fmt.Sprintf(pattern, n))
	}
	seen := map[string]bool{}
	for _, id := range ids {
		if !validID.MatchString(id) {
			return nil, fmt.Errorf("swarm: %q is no id of letters, digits, dots, dashes and underscores (id is %q: it needs one verb, such as %%d)", id, pattern)
		}
		if seen[id] {
			return nil, fmt.Errorf("swarm: two minions are called %q", id)
		}
		seen[id] = true
	}
	return ids, nil
}

func (c Config) validate() error {
	for i, group := range c.Groups {
		field := fmt.Sprintf("groups[%d]", i)
		if err := errors.Join(group.Share.validate(field+".share"), group.Behaviour.validate(field+".behaviour")); err != nil {
			return err
		}
		if _, err := pack(group.Grains); err != nil {
			return fmt.Errorf("swarm: %s.grains: %w", field, err)
		}
	}
	if _, err := pack(c.Grains); err != nil {
		return fmt.Errorf("swarm: grains: %w", err)
	}
	for _, sls := range slices.Sorted(maps.Keys(c.States)) {
		if err := validateStates(sls, c.States[sls]); err != nil {
			return err
		}
	}
	for _, sls := range c.Highstate {
		if _, ok := c.States[sls]; !ok {
			return fmt.Errorf("swarm: highstate names %q, which is not among states", sls)
		}
	}
	for line, command := range c.Commands {
		if err := command.Takes.validate(fmt.Sprintf("commands[%q].takes", line)); err != nil {
			return err
		}
	}
	return c.driftsExist()
}

// driftsExist checks that states that shall drift are there.
func (c Config) driftsExist() error {
	known := map[string]bool{}
	for _, states := range c.States {
		for _, state := range states {
			known[state.ID] = true
		}
	}
	for i, group := range c.Groups {
		for _, drifts := range group.Behaviour.Drifts {
			for _, id := range drifts.States {
				if !known[id] {
					return fmt.Errorf("swarm: groups[%d].behaviour.drifts names the state %q, which is not among states", i, id)
				}
			}
			if len(known) == 0 {
				return fmt.Errorf("swarm: groups[%d].behaviour.drifts has no state that could drift: there are no states", i)
			}
		}
	}
	return nil
}

// casting is what a configuration makes of one minion.
type casting struct {
	grains     map[string]any
	behaviours []Behaviour
}

// cast gives each minion its grains and behaviours.
func (c Config) cast(ids []string) []casting {
	cast := make([]casting, len(ids))
	for i, id := range ids {
		cast[i].grains = ownGrains(id, i+1)
		maps.Copy(cast[i].grains, c.Grains)
	}
	for g, group := range c.Groups {
		var members []int
		for i, id := range ids {
			if group.Match == "" || glob(group.Match, id) {
				members = append(members, i)
			}
		}
		draw := rand.New(rand.NewPCG(c.Seed, uint64(g))) //nolint:gosec // a choice that can be repeated is the point
		draw.Shuffle(len(members), func(a, b int) { members[a], members[b] = members[b], members[a] })
		for _, i := range members[:group.Share.of(len(members))] {
			maps.Copy(cast[i].grains, group.Grains)
			cast[i].behaviours = append(cast[i].behaviours, group.Behaviour)
		}
	}
	for i, id := range ids {
		cast[i].grains["id"] = id // a master sets it, too
	}
	return cast
}

// simulatedVersion is the Salt that simulated minions say they are.
const simulatedVersion = "3008.3"

// ownGrains are the grains of a minion that nothing was said about.
func ownGrains(id string, number int) map[string]any {
	host, _, _ := strings.Cut(id, ".")
	return map[string]any{
		"id": id, "nodename": id, "host": host, "localhost": id, "fqdn": id,
		"os": "Debian", "os_family": "Debian", "osfullname": "Debian GNU/Linux", "osrelease": "12", "osmajorrelease": 12,
		"oscodename": "bookworm", "kernel": "Linux", "cpuarch": "x86_64", "osarch": "amd64", "init": "systemd",
		"num_cpus": 2, "mem_total": 2048, "virtual": "physical", "saltversion": simulatedVersion, "master": "127.0.0.1",
		"ipv4": []any{"127.0.0.1"}, "swarm": true, "swarm_number": number,
	}
}

// The streams of chance that a minion has, so that one does not disturb another.
const (
	streamJobs uint64 = iota
	streamLinks
	streamDrifts
	streamFlaps
	streamCalls
)

// chance is a minion's source of one stream of choices.
func chance(seed uint64, id string, stream uint64) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	return rand.New(rand.NewPCG(seed, h.Sum64()+stream)) //nolint:gosec // a choice that can be repeated is the point
}
