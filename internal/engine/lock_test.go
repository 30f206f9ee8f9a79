package engine

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
)

// A run that waits is granted as soon as nobody holds what it wants and no earlier one wants any of it; never before.
func TestLocksAreExclusiveAndGrantedInOrderOfArrival(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(t *rapid.T) {
		table := newLockTable()
		type want struct {
			run     string
			minions []string
			has     bool
		}
		var wants []*want // in order of arrival
		shares := func(x, y []string) bool {
			return slices.ContainsFunc(x, func(name string) bool { return slices.Contains(y, name) })
		}
		next := 'A'
		t.Repeat(map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) {
				w := &want{run: string(next), minions: rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID[string]).Draw(t, "minions")}
				next++
				wants = append(wants, w)
				table.acquire(w.run, w.minions, func() { w.has = true })
			},
			"release": func(t *rapid.T) {
				if len(wants) == 0 {
					return
				}
				i := rapid.IntRange(0, len(wants)-1).Draw(t, "who")
				table.release(wants[i].run)
				wants = slices.Delete(wants, i, i+1)
			},
			"free": func(t *rapid.T) {
				if len(wants) == 0 {
					return
				}
				i := rapid.IntRange(0, len(wants)-1).Draw(t, "who")
				w := wants[i]
				if !w.has {
					return
				}
				back := rapid.SampledFrom(append(w.minions, "nobody's")).Draw(t, "minion")
				w.minions = slices.DeleteFunc(slices.Clone(w.minions), func(name string) bool { return name == back })
				table.free(w.run, []string{back})
				if len(w.minions) == 0 {
					wants = slices.Delete(wants, i, i+1)
				}
			},
			"everything": func(t *rapid.T) {
				if got := table.acquireEvery("all"); got != (len(wants) == 0) {
					t.Fatalf("everything granted: %v, with %d others", got, len(wants))
				} else if got {
					table.narrow("all", names[:2])
					w := &want{run: "all", minions: names[:2], has: true}
					wants = append(wants, w)
				}
			},
			"": func(t *rapid.T) {
				for i, w := range wants {
					blocked := false
					for j, other := range wants {
						if j != i && shares(w.minions, other.minions) && (other.has || j < i) {
							blocked = true
						}
					}
					if w.has == blocked {
						t.Fatalf("%s, for %v, has them: %v; held or wanted before: %v", w.run, w.minions, w.has, blocked)
					}
				}
			},
		})
	})
}

func TestTheAnswerToALockThatWasWithdrawnHoldsUpNobody(t *testing.T) {
	table, r := newLockTable(), &runner{locks: make(chan machine.Input, 1)}
	for id := 1; id <= 2; id++ { // the first is granted and withdrawn before the run has taken the answer
		table.release("run-1")
		table.acquire("run-1", []string{"web1"}, func() { r.answerLock(machine.Locked{Lock: id}) })
	}
	if in := <-r.locks; in != (machine.Locked{Lock: 2}) {
		t.Errorf("%+v", in)
	}
}
