package gaea_test

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestTheAccountsOfABatchMakeTheSameInWhateverOrderAndHoweverOftenTheyCome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// The driver counts up, and each account is from a time of its own; the last ends the batch.
		n := rapid.IntRange(1, 6).Draw(t, "accounts")
		var accounts []*gaea.JobBatch
		for i := range n {
			b := &gaea.JobBatch{Status: gaea.JobBatchRunning, Minions: n, Done: i, Waiting: n - i, Stamp: time.Unix(int64(i), 0).UTC()}
			if rapid.Bool().Draw(t, "cut short") {
				b.Minions, b.Done, b.Waiting = 0, 0, 0
			}
			if rapid.Bool().Draw(t, "complete head") {
				b.Size, b.Driver, b.Target = 2, "cli", gaea.Target{Type: gaea.TargetGlob, Expr: "*"}
			}
			accounts = append(accounts, b)
		}
		if last := accounts[n-1]; rapid.Bool().Draw(t, "ended") {
			last.Status, last.Reason = gaea.JobBatchHalted, "stop"
		}
		var inOrder, shuffled *gaea.JobBatch
		for _, b := range accounts {
			inOrder = inOrder.Merge(b)
		}
		for _, b := range rapid.Permutation(append(accounts, accounts...)).Draw(t, "order") {
			shuffled = shuffled.Merge(b)
		}
		if inOrder.Status != shuffled.Status || inOrder.Reason != shuffled.Reason || !inOrder.Stamp.Equal(shuffled.Stamp) ||
			inOrder.Size != shuffled.Size || inOrder.Driver != shuffled.Driver || !reflect.DeepEqual(inOrder.Target, shuffled.Target) {
			t.Fatalf("in order it is %+v, in another %+v", inOrder, shuffled)
		}
		if accounts[n-1].Minions != 0 && inOrder.Done != shuffled.Done { // of cut ones the last whole one may come too late
			t.Fatalf("in order %d are done, in another %d", inOrder.Done, shuffled.Done)
		}
	})
}

func TestAnAccountThatIsMergedChangesNeitherOfTheTwo(t *testing.T) {
	older := &gaea.JobBatch{Status: gaea.JobBatchRunning, Minions: 3, Size: 1, Stamp: time.Unix(1, 0)}
	newer := &gaea.JobBatch{Status: gaea.JobBatchComplete, Minions: 3, Done: 3, Stamp: time.Unix(2, 0)}
	merged := older.Merge(newer)
	if merged.Size != 1 || merged.Done != 3 || newer.Size != 0 || older.Done != 0 {
		t.Errorf("merged %+v of %+v and %+v", merged, older, newer)
	}
	var none *gaea.JobBatch
	if none.Merge(newer) != newer || newer.Merge(nil) != newer || none.Merge(nil) != nil {
		t.Error("merged with nothing an account is not itself")
	}
}
