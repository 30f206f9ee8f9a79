package ingest_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// cutShort is a return as the bus has it where the master has cut it.
func cutShort(r gaea.Return) gaea.Return {
	r.Body = json.RawMessage(`"VALUE_TRIMMED"`)
	return r
}

func TestAReturnThatTheMasterCutShortIsStoredWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		whole := ret(5)
		whole.Body = json.RawMessage(`"all of it"`)
		r := start(t, newCache(whole), nil)
		r.send(cutShort(whole))
		gone := ret(6) // in no cache: kept as it came
		r.send(cutShort(gone))
		elapse(time.Minute)
		r.stop(t)
		if got, _ := r.store.stored(whole); string(got.Body) != `"all of it"` {
			t.Errorf("stored %s", got.Body)
		}
		if got, _ := r.store.stored(gone); string(got.Body) != `"VALUE_TRIMMED"` {
			t.Errorf("stored %s", got.Body)
		}
	})
}

func TestManyCutReturnsOfOneJobAreFetchedTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := start(t, c, nil)
		const minions = 1000
		for n := range minions {
			x := ret(1)
			x.Minion, x.Body = fmt.Sprintf("web%d", n), json.RawMessage(`"all of it"`)
			c.add(x)
			r.send(cutShort(x))
		}
		jid := ret(1).JID
		elapse(time.Minute)
		r.stop(t)
		if n, _ := r.store.count(); n != minions {
			t.Errorf("stored %d of %d", n, minions)
		}
		for _, x := range r.store.returns {
			if string(x.Body) != `"all of it"` {
				t.Fatalf("%s is stored as %s", x.Minion, x.Body)
			}
		}
		if n := c.count(jid); n > 5 {
			t.Errorf("the whole job was read from the cache %d times", n)
		}
	})
}

func TestACutReturnThatIsMissingHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		whole := ret(50)
		whole.Body = json.RawMessage(`"all of it"`)
		r := start(t, newCache(whole), nil)
		for n := range 20 {
			r.send(cutShort(ret(n))) // in no cache
		}
		r.send(cutShort(whole))
		elapse(time.Second)
		if _, ok := r.store.stored(whole); !ok {
			t.Error("it waits behind those that are in no cache")
		}
		elapse(time.Minute)
		r.stop(t)
	})
}

func TestMoreCutReturnsThanMayWaitAreLeftToTheJobCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		r := start(t, c, nil)
		r.connect()
		elapse(time.Minute)
		const count = 40
		filler := `["` + fmt.Sprintf("%01000000d", 7) + `", "VALUE_TRIMMED"]` // 1 MB each
		var sent []gaea.Return
		for n := range count {
			x := ret(n)
			x.Body = json.RawMessage(`"all of it"`)
			c.add(x)
			sent = append(sent, x)
			x.Body = json.RawMessage(filler)
			r.send(x)
		}
		elapse(time.Minute)
		r.stop(t)
		for _, x := range sent {
			if got, _ := r.store.stored(x); string(got.Body) != `"all of it"` {
				t.Fatalf("stored %.30s…", got.Body)
			}
		}
	})
}
