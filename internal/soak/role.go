package soak

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// work is the function of the runs in which odd minions are odd. What jobd asks them otherwise is another.
const work = "test.echo"

// role is a way to be odd, and what a run may say of a minion that is so.
type role struct {
	name      string
	percent   float64 // of all minions, at least one; 0: all that are nothing else
	behaviour swarm.Behaviour
	outcomes  []gaea.Outcome // of a run that it is told; the first is the usual one
	late      bool           // its return comes when silence has been settled
}

// plain is the role of who has none.
var plain = &role{name: "plain", outcomes: []gaea.Outcome{gaea.OutcomeSucceeded}}

// may says whether a run may end so on such a minion.
func (r *role) may(outcome gaea.Outcome) bool { return slices.Contains(r.outcomes, outcome) }

// cast draws who has which role: the same for the same seed.
func cast(seed uint64, ids []string, roles []role) map[string]*role {
	order := slices.Clone(ids)
	draw := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // a choice that can be repeated is the point
	draw.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
	given, rest := map[string]*role{}, plain
	for i := range roles {
		if roles[i].percent == 0 {
			rest = &roles[i]
			continue
		}
		n := max(1, int(roles[i].percent*float64(len(ids))/100))
		for _, id := range order[:n] {
			given[id] = &roles[i]
		}
		order = order[n:]
	}
	for _, id := range order {
		given[id] = rest
	}
	return given
}

// minionIDs are the ids of so many simulated minions.
func minionIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("sim-%04d", i+1)
	}
	return ids
}

// swarmOf is the swarm of a scenario.
func swarmOf(base swarm.Config, ids []string, seed uint64, roles map[string]*role) swarm.Config {
	base.IDs, base.Seed = ids, seed
	base.Groups = slices.Clone(base.Groups)
	for _, id := range ids {
		if r := roles[id]; r.name != plain.name {
			base.Groups = append(base.Groups, swarm.Group{Match: id, Behaviour: r.behaviour, Grains: map[string]any{"odd": r.name}})
		}
	}
	return base
}
