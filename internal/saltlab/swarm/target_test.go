package swarm_test

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

func TestAMinionDecidesAsSaltDoesWhetherItIsMeant(t *testing.T) {
	grains := map[string]any{
		"os": "Debian", "role": []any{"web", "cache"}, "num_cpus": 4, "virtual": true,
		"locale": map[string]any{"lang": "de_DE", "zone": "Europe:Berlin"}, "disks": []any{map[string]any{"name": "sda"}},
	}
	pillar := map[string]any{"tier": "gold"}
	for _, row := range []struct {
		kind string
		tgt  any
		want bool
	}{
		{"glob", "*", true}, {"glob", "web?", true}, {"glob", "web[!1-3]", true}, {"glob", "web[1-3]", false}, {"glob", "db*", false},
		{"", "web4", true}, {"glob", []any{"web4"}, false},
		{"list", []any{"db1", "web4"}, true}, {"list", "db1,web4", true}, {"list", "db1,web", false}, {"list", 4, false},
		{"pcre", "web[0-9]", true}, {"pcre", "eb4", false}, {"pcre", "(", false},
		{"grain", "os:deb*", true}, {"grain", "os:RedHat", false}, {"grain", "role:web", true}, {"grain", "num_cpus:4", true},
		{"grain", "virtual:true", true}, {"grain", "locale:lang:de*", true}, {"grain", "locale:zone:europe:berlin", true},
		{"grain", "locale:lang", true}, {"grain", "disks:name:sda", true}, {"grain", "os", false}, {"grain", "none:*", false},
		{"grain_pcre", "os:(debian|ubuntu)", true}, {"grain_pcre", "os:bian", false},
		{"pillar", "tier:g*", true}, {"pillar_exact", "tier:g*", false}, {"pillar_exact", "tier:gold", true}, {"pillar_pcre", "tier:g.ld", true},
		{"compound", "G@os:Debian and web*", true}, {"compound", "G@os:Debian and not web*", false}, {"compound", "db* or web*", true},
		{"compound", "not db*", true}, {"compound", "( db* or L@web4,web5 ) and E@web.", true}, {"compound", "db* or web* and G@os:RedHat", false},
		{"compound", []any{"G@os:Debian", "and", "(", "web*", ")"}, true}, {"compound", "web* not db*", true},
		{"compound", "I@tier:gold and J@tier:go.*", true}, {"compound", "P;@os;deb.*", true},
		{"compound", "web* web*", false}, {"compound", "and web*", false}, {"compound", "( web*", false}, {"compound", "web* )", false},
		{"compound", "", false}, {"compound", "S@10.0.0.0/8", false}, {"compound", 4, false},
		{"nodegroup", "web", false}, {"range", "%web", false},
	} {
		if got := swarm.Meant("web4", grains, pillar, row.kind, row.tgt); got != row.want {
			t.Errorf("%s %v means web4: %t", row.kind, row.tgt, got)
		}
	}
}
