package gaea_test

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestTheMasterKnowsWhomATargetOfIDsMeans(t *testing.T) {
	for expr, want := range map[string]bool{
		"web*":                               true,
		"web* and not E@canary.*":            true,
		"( L@web1,web2 or db* ) and not db3": true,
		"(E@web\\d+ or db*)":                 true,
		"web* and G@role:web":                false,
		"not P@os:Debian":                    false,
		"N@group1":                           false,
		"web* or (I@role:web)":               false,
		"S@10.0.0.0/8 or web1":               false,
	} {
		if got := (gaea.Target{Type: gaea.TargetCompound, Expr: expr}).OfIDs(); got != want {
			t.Errorf("%q: %t", expr, got)
		}
	}
	for kind, want := range map[gaea.TargetType]bool{gaea.TargetGlob: true, gaea.TargetList: true, gaea.TargetPCRE: true, gaea.TargetGrain: false} {
		if got := (gaea.Target{Type: kind, Expr: "web1"}).OfIDs(); got != want {
			t.Errorf("%s: %t", kind, got)
		}
	}
}
