package swarm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// State is one state of an SLS: what it is called, and what it says where the minion is as it describes and where it is not.
type State struct {
	// ID is the state's id in the SLS; all states of a configuration have different ones.
	ID string `yaml:"id"`
	// Function is the state module's, such as file.managed.
	Function string `yaml:"function"`
	// Name is the state's name; empty: its ID.
	Name string `yaml:"name"`
	// Drifted: minions are not as the state says when they begin.
	Drifted bool `yaml:"drifted"`
	// Fails: a real run does not repair the drift, and says so.
	Fails bool `yaml:"fails"`
	// Unsettled: each run says that it would change, or has changed, something, as a bare cmd.run does.
	Unsettled bool `yaml:"unsettled"`
	// Changes is what a repair reports; none: what the state module of this name reports.
	Changes map[string]any `yaml:"changes"`
	// Takes is how long a repair takes. What is in order takes no time, nor does a test run.
	Takes Span `yaml:"takes"`
	// Requires are ids of states that must not have failed; they stand before it in the same SLS or in one that runs before.
	Requires []string `yaml:"requires"`
}

func (s State) name() string {
	if s.Name == "" {
		return s.ID
	}
	return s.Name
}

func validateStates(sls string, states []State) error {
	if sls == "" || strings.ContainsAny(sls, ", ") {
		return fmt.Errorf("swarm: states: %q is no name of an SLS", sls)
	}
	for i, state := range states {
		field := fmt.Sprintf("states[%q][%d]", sls, i)
		module, function, ok := strings.Cut(state.Function, ".")
		switch {
		case state.ID == "":
			return fmt.Errorf("swarm: %s has no id", field)
		case !ok || module == "" || function == "":
			return fmt.Errorf("swarm: %s.function is %q: it is a module and a function, such as file.managed", field, state.Function)
		}
		if err := state.Takes.validate(field + ".takes"); err != nil {
			return err
		}
		if _, err := pack(state.Changes); err != nil {
			return fmt.Errorf("swarm: %s.changes: %w", field, err)
		}
	}
	return nil
}

// key is what a state's result is filed under (salt/state.py, _gen_tag).
func (s State) key() string {
	module, function, _ := strings.Cut(s.Function, ".")
	return strings.Join([]string{module, s.ID, s.name(), function}, "_|-")
}

// drift is which states of a minion are not as they should be.
type drift struct {
	mu  sync.Mutex
	out map[string]bool
}

func newDrift(states map[string][]State) *drift {
	d := &drift{out: map[string]bool{}}
	for _, sls := range states {
		for _, state := range sls {
			if state.Drifted {
				d.out[state.ID] = true
			}
		}
	}
	return d
}

func (d *drift) is(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out[id]
}

func (d *drift) add(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out[id] = true
}

func (d *drift) repair(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.out, id)
}

func (d *drift) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.out))
}

// stateRun is one run of states on a minion.
type stateRun struct {
	drift *drift
	test  bool
	now   func() time.Time
	wait  func(context.Context, Span) error
	pid   int

	results map[string]any
	failed  map[string]string // sls.id of what failed, by id
}

// run runs the states of some SLS in their order and returns what Salt returns of them. The error is ctx's: the run was killed.
func (r *stateRun) run(ctx context.Context, files []string, states map[string][]State) (map[string]any, error) {
	r.results, r.failed = map[string]any{}, map[string]string{}
	for _, sls := range files {
		for _, state := range states[sls] {
			if _, done := r.results[state.key()]; done {
				continue // an SLS that was named twice
			}
			if err := r.one(ctx, sls, state); err != nil {
				return nil, err
			}
		}
	}
	return r.results, nil
}

func (r *stateRun) one(ctx context.Context, sls string, state State) error {
	began := r.now()
	result, comment, changes := r.requisites(state)
	if comment == "" {
		var err error
		if result, comment, changes, err = r.apply(ctx, state); err != nil {
			return err
		}
	}
	if result == false {
		r.failed[state.ID] = sls + "." + state.ID
	}
	r.results[state.key()] = map[string]any{
		"__id__": state.ID, "__sls__": sls, "__run_num__": len(r.results), "name": state.name(),
		"result": result, "comment": comment, "changes": changes,
		"start_time": began.Format("15:04:05.000000"),
		"duration":   float64(r.now().Sub(began).Microseconds()) / 1000,
	}
	return nil
}

// requisites says of a state whose requisites failed what Salt says; the comment is empty where none has.
func (r *stateRun) requisites(state State) (result any, comment string, changes map[string]any) {
	var failed []string
	for _, id := range state.Requires {
		if name := r.failed[id]; name != "" {
			failed = append(failed, name)
		}
	}
	if len(failed) == 0 {
		return nil, "", nil
	}
	return false, "One or more requisite failed: " + strings.Join(failed, ", "), map[string]any{}
}

// apply runs a state, or says what a run would do.
func (r *stateRun) apply(ctx context.Context, state State) (result any, comment string, changes map[string]any, err error) {
	drifted := r.drift.is(state.ID)
	if !drifted && !state.Unsettled {
		return true, inOrder(state), map[string]any{}, nil
	}
	if r.test {
		return nil, wouldChange(state), state.changes(true, r.pid), nil
	}
	if err := r.wait(ctx, state.Takes); err != nil {
		return nil, "", nil, err
	}
	if state.Fails {
		return false, failedToChange(state), map[string]any{}, nil
	}
	r.drift.repair(state.ID)
	return true, changed(state), state.changes(false, r.pid), nil
}

// changes is what a repair reports, or what a test run says of it, in the form of Salt's own state modules.
func (s State) changes(test bool, pid int) map[string]any {
	if s.Changes != nil {
		return s.Changes
	}
	module, _, _ := strings.Cut(s.Function, ".")
	switch {
	case module == "file":
		return map[string]any{"diff": "--- \n+++ \n@@ -1 +1 @@\n-changed by somebody\n+as the state says\n"}
	case module == "pkg" && test:
		return map[string]any{s.name(): map[string]any{"new": "installed", "old": ""}}
	case module == "pkg":
		return map[string]any{s.name(): map[string]any{"new": "1.0-1", "old": ""}}
	case test: // most modules say in words alone what they would do
		return map[string]any{}
	case module == "service":
		return map[string]any{s.name(): true}
	case module == "cmd":
		return map[string]any{"pid": pid, "retcode": 0, "stdout": "", "stderr": ""}
	default:
		return map[string]any{"old": "changed by somebody", "new": "as the state says"}
	}
}

func inOrder(s State) string {
	switch {
	case strings.HasPrefix(s.Function, "file."):
		return "File " + s.name() + " is in the correct state"
	case strings.HasPrefix(s.Function, "pkg."):
		return "All specified packages are already installed"
	case strings.HasPrefix(s.Function, "service."):
		return "The service " + s.name() + " is already running"
	default:
		return s.name() + " is in the correct state"
	}
}

func wouldChange(s State) string {
	switch {
	case strings.HasPrefix(s.Function, "file."):
		return "The file " + s.name() + " is set to be changed\nNote: No changes made, actual changes may\nbe different due to other states."
	case strings.HasPrefix(s.Function, "pkg."):
		return "The following packages would be installed/updated: " + s.name()
	case strings.HasPrefix(s.Function, "service."):
		return "Service " + s.name() + " is set to start"
	case strings.HasPrefix(s.Function, "cmd."):
		return `Command "` + s.name() + `" would have been executed`
	default:
		return s.name() + " would be changed"
	}
}

func changed(s State) string {
	switch {
	case strings.HasPrefix(s.Function, "file."):
		return "File " + s.name() + " updated"
	case strings.HasPrefix(s.Function, "pkg."):
		return "The following packages were installed/updated: " + s.name()
	case strings.HasPrefix(s.Function, "service."):
		return "Service " + s.name() + " is running"
	case strings.HasPrefix(s.Function, "cmd."):
		return `Command "` + s.name() + `" run`
	default:
		return s.name() + " was changed"
	}
}

func failedToChange(s State) string { return "Failed to bring " + s.name() + " into its state" }
