package gaea

import (
	"slices"
	"strings"
)

// TargetType is how Salt reads a target expression: the tgt_type of a publish request.
type TargetType string

// Salt's target types.
const (
	TargetGlob        TargetType = "glob"
	TargetPCRE        TargetType = "pcre"
	TargetList        TargetType = "list"
	TargetGrain       TargetType = "grain"
	TargetGrainPCRE   TargetType = "grain_pcre"
	TargetPillar      TargetType = "pillar"
	TargetPillarPCRE  TargetType = "pillar_pcre"
	TargetPillarExact TargetType = "pillar_exact"
	TargetNodegroup   TargetType = "nodegroup"
	TargetRange       TargetType = "range"
	TargetCompound    TargetType = "compound"
	TargetIPCIDR      TargetType = "ipcidr"
)

// TargetTypes lists every target type that a target group may use, in the order that the documentation shows.
func TargetTypes() []TargetType {
	return []TargetType{
		TargetCompound, TargetGlob, TargetList, TargetPCRE, TargetGrain, TargetGrainPCRE, TargetPillar, TargetPillarPCRE,
		TargetPillarExact, TargetNodegroup, TargetRange, TargetIPCIDR,
	}
}

// Target names minions: an expression in one of Salt's target types, or for [TargetList] the ids themselves.
type Target struct {
	Type    TargetType `json:"type" doc:"Salt's target type" enum:"compound,glob,list,pcre,grain,grain_pcre,pillar,pillar_pcre,pillar_exact,nodegroup,range,ipcidr"`
	Expr    string     `json:"expr,omitempty" doc:"the target expression; empty for a list"`
	Minions []string   `json:"minions,omitempty" doc:"minion ids, for a list" maxItems:"100000"`
}

// ListTarget is the target of just these minions, sorted and each once.
func ListTarget(minions []string) Target {
	m := slices.Clone(minions)
	slices.Sort(m)
	return Target{Type: TargetList, Minions: slices.Compact(m)}
}

// IsZero says whether there is no target.
func (t Target) IsZero() bool { return t.Type == "" && t.Expr == "" && t.Minions == nil }

// String writes the target as one text: the expression, or the ids with commas between.
func (t Target) String() string {
	if t.Type == TargetList {
		return strings.Join(t.Minions, ",")
	}
	return t.Expr
}

// OfIDs says whether minion ids alone tell who is meant, so that the master, which knows them all, and the minions agree. Of
// compound targets that is so where they have no other matchers than globs, E@ and L@.
func (t Target) OfIDs() bool {
	switch t.Type {
	case TargetGlob, TargetList, TargetPCRE:
		return true
	case TargetCompound:
		for word := range strings.FieldsSeq(t.Expr) {
			if kind, _, found := strings.Cut(strings.TrimLeft(word, "("), "@"); found && kind != "E" && kind != "L" {
				return false
			}
		}
		return true
	default:
		return false
	}
}

// Validate checks what can be told without a parser: a known type, and an expression or minions but not both. The syntax
// of expressions is checked by package target.
func (t Target) Validate() error {
	if !slices.Contains(TargetTypes(), t.Type) {
		return Invalid("target.type", "%q is not one of Salt's target types; \"compound\" and \"glob\" are the usual ones", t.Type)
	}
	if t.Type == TargetList {
		if t.Expr != "" {
			return Invalid("target.expr", "a list target takes minion ids, not the expression %q", t.Expr)
		}
		if len(t.Minions) == 0 {
			return Invalid("target.minions", "the list of minions is empty; name at least one minion id")
		}
		for _, m := range t.Minions {
			if err := ValidateMinionID(m); err != nil {
				return err
			}
		}
		return nil
	}
	if len(t.Minions) > 0 {
		return Invalid("target.minions", "minion ids go with the type \"list\" only, not with %q", t.Type)
	}
	if strings.TrimSpace(t.Expr) == "" {
		return Invalid("target.expr", "the target expression is empty; \"*\" means every minion")
	}
	return nil
}

// ValidateMinionID refuses ids that Salt itself would not accept as a key's name, so that a bad one is named early.
func ValidateMinionID(id string) error {
	if id == "" || len(id) > 255 || strings.ContainsAny(id, "/\\\x00\n,* ") {
		return Invalid("minions", "%q is not a minion id; an id has no spaces, commas, slashes or wildcards", id)
	}
	return nil
}
