package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// claimant is a run that claims minions, with what it was told last.
type claimant struct {
	run      string
	minions  []string
	has      []string
	waits    bool
	last     machine.Input
	tellings int
}

func (c *claimant) claim(table *claimTable, lock string, policy gaea.LockPolicy, created time.Time) {
	table.request(lock, &claim{run: c.run, created: created, minions: c.minions, policy: policy, tell: func(in machine.Input) {
		c.last = in
		c.tellings++
		if in, ok := in.(machine.Claimed); ok {
			c.waits = false
			c.has = slices.DeleteFunc(slices.Clone(c.minions), func(name string) bool { return in.Busy[name] != "" })
		}
	}})
}

func TestAClaimThatWaitsIsToldForWhomAndAgainWhenThatChanges(t *testing.T) {
	table, now := newClaimTable(), time.Now()
	first := &claimant{run: "1", minions: []string{"a", "b"}}
	second := &claimant{run: "2", minions: []string{"b", "c"}}
	third := &claimant{run: "3", minions: []string{"c", "d"}}
	other := &claimant{run: "4", minions: []string{"a", "b", "c"}}
	first.claim(table, "deploy", gaea.LockWait, now)
	second.claim(table, "deploy", gaea.LockWait, now.Add(1))
	third.claim(table, "deploy", gaea.LockWait, now.Add(2))
	other.claim(table, "backup", gaea.LockWait, now.Add(3))
	if first.has == nil || other.has == nil {
		t.Fatalf("%v, %v", first.last, other.last)
	}
	if got := fmt.Sprint(second.last); got != "{[1] [b]}" {
		t.Errorf("the second waits for %s", got)
	}
	if got := fmt.Sprint(third.last); got != "{[2] [c]}" || third.has != nil {
		t.Errorf("the third, which came after one that wants a minion in common, waits for %s", got)
	}
	table.release("1")
	if second.has == nil || third.has != nil || third.tellings != 1 {
		t.Errorf("%v, %v, told %d times", second.last, third.last, third.tellings)
	}
	table.release("2")
	if third.has == nil {
		t.Errorf("the third: %v", third.last)
	}
	table.release("3")
	table.release("4")
	if len(table.locks) != 0 || len(table.under) != 0 {
		t.Errorf("kept: %v %v", table.locks, table.under)
	}
}

func TestAClaimThatSkipsGetsWhatIsFree(t *testing.T) {
	table, now := newClaimTable(), time.Now()
	(&claimant{run: "1", minions: []string{"a"}}).claim(table, "deploy", gaea.LockWait, now)
	(&claimant{run: "2", minions: []string{"a", "b"}}).claim(table, "deploy", gaea.LockWait, now)
	skips := &claimant{run: "3", minions: []string{"a", "b", "c"}}
	skips.claim(table, "deploy", gaea.LockSkip, now)
	if got := fmt.Sprint(skips.last); got != "{map[a:1 b:2]}" || !slices.Equal(skips.has, []string{"c"}) {
		t.Errorf("told %s, has %v", got, skips.has)
	}
}

func TestAClaimThatIsRefusedHoldsNothing(t *testing.T) {
	table, now := newClaimTable(), time.Now()
	(&claimant{run: "1", minions: []string{"a"}}).claim(table, "deploy", gaea.LockWait, now)
	refused := &claimant{run: "2", minions: []string{"a", "b"}}
	refused.claim(table, "deploy", gaea.LockRefuse, now)
	if got := fmt.Sprintf("%T%v", refused.last, refused.last); got != "machine.ClaimRefused{[1] [a]}" {
		t.Errorf("told %s", got)
	}
	after := &claimant{run: "3", minions: []string{"b"}}
	after.claim(table, "deploy", gaea.LockRefuse, now)
	if after.has == nil {
		t.Errorf("the minion that the refused run asked for is busy: %v", after.last)
	}
}

func TestWhatWasHeldBeforeARestartIsHeldAfterIt(t *testing.T) {
	table := newClaimTable()
	table.force("deploy", "1", []string{"a"})
	waits := &claimant{run: "2", minions: []string{"a"}}
	waits.claim(table, "deploy", gaea.LockWait, time.Now())
	if got := fmt.Sprint(waits.last); got != "{[1] [a]}" {
		t.Errorf("waits for %s", got)
	}
	table.release("1")
	if waits.has == nil {
		t.Errorf("%v", waits.last)
	}
}

// A run has minions of a lock that no other has; one waits exactly while another holds, or an older one wants, one of its own.
func TestClaimsAreExclusiveAndGrantedInTheOrderOfTheRuns(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(t *rapid.T) {
		table := newClaimTable()
		var all []*claimant // oldest first
		now, next := time.Now(), 0
		shares := func(x, y []string) bool {
			return slices.ContainsFunc(x, func(name string) bool { return slices.Contains(y, name) })
		}
		t.Repeat(map[string]func(*rapid.T){
			"claim": func(t *rapid.T) {
				next++
				c := &claimant{
					run: fmt.Sprintf("%04d", next), waits: true,
					minions: rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID[string]).Draw(t, "minions"),
				}
				policy := rapid.SampledFrom([]gaea.LockPolicy{gaea.LockWait, gaea.LockSkip, gaea.LockRefuse}).Draw(t, "policy")
				c.claim(table, "deploy", policy, now.Add(time.Duration(next)))
				if _, refused := c.last.(machine.ClaimRefused); refused {
					table.release(c.run)
					return
				}
				if policy != gaea.LockWait && c.waits {
					t.Fatalf("%s with the policy %s waits", c.run, policy)
				}
				all = append(all, c)
			},
			"release": func(t *rapid.T) {
				if len(all) == 0 {
					return
				}
				i := rapid.IntRange(0, len(all)-1).Draw(t, "who")
				table.release(all[i].run)
				all = slices.Delete(all, i, i+1)
			},
			"": func(t *rapid.T) {
				for i, c := range all {
					blocked := false
					for j, other := range all {
						switch {
						case j == i:
						case shares(c.has, other.has):
							t.Fatalf("%s and %s have a minion in common", c.run, other.run)
						case shares(c.minions, other.has), j < i && other.waits && shares(c.minions, other.minions):
							blocked = true
						}
					}
					if c.waits != (blocked && c.has == nil) {
						t.Fatalf("%s, for %v, waits: %v; held or wanted before: %v", c.run, c.minions, c.waits, blocked)
					}
				}
			},
		})
	})
}
