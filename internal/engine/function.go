package engine

import (
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
	nearMost        = 3 // functions that a refusal suggests
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
	if e.functions.has(name) {
		return nil
	}
	module, _, _ := strings.Cut(name, ".")
	limit := req.Timeouts.WithDefaults().Gather.Std()
	ctx, cancel := context.WithTimeout(ctx, limit+publishTimeout)
	defer cancel()
	p := gaea.Publication{
		JID: e.deps.JIDs.Next(e.now()), Function: "sys.list_functions", Args: []any{module}, Target: req.Target,
		Metadata: map[string]any{MetadataPurpose: purposeFunction},
	}
	sub := e.deps.Feed.Follow(p.JID)
	defer sub.Close()
	answer, err := e.publish(ctx, p)
	if err != nil {
		e.deps.Logger.Debug("function not looked up", "function", name, "err", err)
		return nil // the run meets the same trouble, and tells it
	}
	silent := make(map[string]struct{}, len(answer.Minions))
	for _, minion := range answer.Minions {
		silent[minion] = struct{}{}
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var near []string
	heard := 0
	for len(silent) > 0 {
		select {
		case ret, ok := <-sub.Returns():
			if !ok {
				return nil
			}
			var list []string
			if json.Unmarshal(ret.Body, &list) != nil {
				return nil // no list: it cannot tell
			}
			e.functions.learn(list...)
			if slices.Contains(list, name) {
				return nil
			}
			heard++
			near = append(near, list...)
			delete(silent, ret.Minion)
		case <-sub.Lost():
			return nil
		case <-timer.C:
			clear(silent)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if heard == 0 {
		return nil
	}
	return gaea.Invalid("function", "no minion that answers has the function %q; %s", name, suggest(name, near))
}

// suggest names functions that are written much like one that does not exist.
func suggest(name string, among []string) string {
	slices.Sort(among)
	among = slices.Compact(among)
	if len(among) == 0 {
		module, _, _ := strings.Cut(name, ".")
		return fmt.Sprintf("they have no module %q either; correct it, or install what it needs on the minions (saltutil.sync_modules)", module)
	}
	slices.SortStableFunc(among, func(a, b string) int { return levenshtein.Distance(name, a, nil) - levenshtein.Distance(name, b, nil) })
	return fmt.Sprintf("near to it are %s", strings.Join(among[:min(nearMost, len(among))], ", "))
}
