package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/agext/levenshtein"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	knownMost       = 10_000 // functions that are remembered
	purposeFunction = "function"
	nearMost        = 3               // functions that a refusal suggests
	nearLimit       = 5 * time.Second // for what there is to be suggested
)

// always are functions that every minion has, of those that are asked for most.
var always = []string{
	"test.ping", "test.version", "test.echo", "test.sleep", "cmd.run", "cmd.run_all", "cmd.shell", "cmd.retcode", "cmd.script",
	"grains.items", "grains.item", "grains.get", "pillar.items", "pillar.get", "saltutil.sync_all", "saltutil.refresh_pillar",
	"saltutil.find_job", "saltutil.running", "saltutil.kill_job", "saltutil.term_job", "saltutil.is_running", "sys.list_functions",
}

// functions remembers which execution functions minions are known to have, so that one that nobody has is refused before a
// run is made of it, and the others are not asked about twice.
type functions struct {
	mu    sync.Mutex
	known map[string]struct{}
}

func newFunctions() *functions {
	f := &functions{known: map[string]struct{}{}}
	for _, name := range always {
		f.known[name] = struct{}{}
	}
	for name := range queued {
		f.known[name] = struct{}{}
	}
	return f
}

func (f *functions) has(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.known[name]
	return ok
}

func (f *functions) learn(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range names {
		if len(f.known) < knownMost {
			f.known[name] = struct{}{}
		}
	}
}

// checkFunction asks the target's minions whether one of them has the function, unless that is known. It returns
// CodeInvalid where those that answer agree that they have none such. Silence decides nothing: the run will tell.
func (e *Engine) checkFunction(ctx context.Context, req Request) error {
	name := req.Call.Function
	if e.functions.has(name) || e.deps.Salt == nil {
		return nil
	}
	// A look into the minion's functions by Jinja loads the one module. Salt's sys functions load all of them, which takes
	// seconds.
	look := map[string]any{"string": "{{ '" + name + "' in salt }}", "default_renderer": "jinja"}
	p := gaea.Publication{Function: "slsutil.renderer", Kwargs: look, Target: req.Target}
	var without string // a minion that does not have it
	asked, err := e.askAbout(ctx, p, req.Timeouts.WithDefaults().Gather.Std(), func(ret *gaea.Return) bool {
		var said string
		known := json.Unmarshal(ret.Body, &said) != nil || said != "False" // what cannot tell decides nothing
		if known {
			without = ""
			if said == "True" {
				e.functions.learn(name)
			}
			return false
		}
		without = ret.Minion
		return true
	})
	if err != nil || !asked || without == "" {
		return err
	}
	return gaea.Invalid("function", "no minion that answers has the function %q; %s", name, e.near(ctx, name, without))
}

// askAbout publishes a small job and hands on the answers until take has enough, every minion has answered or the limit has
// passed. Asked is false where the master did not take it: the run meets the same trouble, and tells it. The error is ctx's.
func (e *Engine) askAbout(ctx context.Context, p gaea.Publication, limit time.Duration, take func(*gaea.Return) bool) (asked bool, err error) {
	p.JID = e.deps.JIDs.Next(e.now())
	p.Metadata = map[string]any{MetadataPurpose: purposeFunction}
	sub := e.deps.Feed.Follow(p.JID)
	defer sub.Close()
	answer, err := e.publish(ctx, p)
	if err != nil {
		e.deps.Logger.Debug("question about a function not published", "function", p.Function, "err", err)
		return false, ctx.Err()
	}
	silent := make(map[string]struct{}, len(answer.Minions))
	for _, minion := range answer.Minions {
		silent[minion] = struct{}{}
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for len(silent) > 0 {
		select {
		case ret, ok := <-sub.Returns():
			if !ok || !take(&ret) {
				return ok, nil
			}
			delete(silent, ret.Minion)
		case <-sub.Lost(): // what was lost may have been the one that has it
			return false, nil
		case <-timer.C:
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}

// near says which functions of a minion are written much like one that it does not have.
func (e *Engine) near(ctx context.Context, name, minion string) string {
	module, _, _ := strings.Cut(name, ".")
	p := gaea.Publication{Function: "sys.list_functions", Args: []any{module + ".*"}, Target: gaea.ListTarget([]string{minion})}
	var list []string
	asked, err := e.askAbout(ctx, p, nearLimit, func(ret *gaea.Return) bool {
		return json.Unmarshal(ret.Body, &list) != nil
	})
	if err != nil || !asked {
		list = nil
	}
	return suggest(name, list)
}

// suggest names functions that are written much like one that does not exist.
func suggest(name string, among []string) string {
	if len(among) == 0 {
		return "correct it, or bring the module that has it to the minions (saltutil.sync_modules)"
	}
	slices.SortStableFunc(among, func(a, b string) int {
		return cmp.Or(levenshtein.Distance(name, a, nil)-levenshtein.Distance(name, b, nil), strings.Compare(a, b))
	})
	return fmt.Sprintf("near to it are %s", strings.Join(among[:min(nearMost, len(among))], ", "))
}
