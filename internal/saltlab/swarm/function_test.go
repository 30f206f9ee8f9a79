package swarm_test

import (
	"context"
	"slices"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

func TestFunctionsReturnWhatSaltsDo(t *testing.T) {
	m := newMaster(t)
	start(t, m, swarm.Config{
		IDs: []string{"m1"}, Grains: map[string]any{"role": "web", "deep": map[string]any{"er": 1}},
		Commands: map[string]swarm.Command{"lb-drain": {Output: "drained", Code: 3}},
	})
	kw := func(name string, value any) map[string]any { return map[string]any{"__kwarg__": true, name: value} }
	for i, row := range []struct {
		fun  string
		args []any
		code int64
		want any
	}{
		{fun: "test.version", want: "3008.3"},
		{fun: "test.false", code: 1, want: false},
		{fun: "test.sleep", args: []any{0.01}, want: true},
		{fun: "test.echo", args: []any{kw("text", "named")}, want: "named"},
		{fun: "test.echo", code: 1, want: "ERROR executing 'test.echo': missing 1 required positional argument: 'text'"},
		{fun: "no.such", code: 1, want: "'no.such' is not available."},
		{fun: "grains.get", args: []any{"deep:er"}, want: int64(1)},
		{fun: "grains.get", args: []any{"none", "otherwise"}, want: "otherwise"},
		{fun: "pillar.get", args: []any{"tier"}, want: "gold"},
		{fun: "cmd.run", args: []any{"lb-drain"}, code: 3, want: "drained"},
		{fun: "cmd.run", args: []any{"lb-drain", kw("ignore_retcode", true)}, want: "drained"},
		{fun: "cmd.retcode", args: []any{"false"}, code: 1, want: int64(1)},
		{fun: "cmd.shell", args: []any{"echo 'a b'"}, want: "a b"},
		{fun: "cmd.run", args: []any{"sleep 0.01"}, want: ""},
		{fun: "cmd.run", args: []any{"exit 4"}, code: 4, want: ""},
		{fun: "cmd.run", args: []any{"rm -rf /"}, code: 127, want: "/bin/sh: 1: rm: not found"},
		{fun: "saltutil.refresh_pillar", want: true},
		{fun: "saltutil.find_job", args: []any{"20260101000000000000"}, want: nil},
	} {
		jid := string(rune('A' + i))
		m.tell(jid, "*", row.fun, row.args...)
		load := m.load(jid, "m1")
		got := load["return"]
		if empty, ok := got.(map[string]any); ok && len(empty) == 0 {
			got = nil
		}
		if got != row.want || load["retcode"] != row.code || load["success"] != (row.code == 0) {
			t.Errorf("%s %v returns %v with %v", row.fun, row.args, load["return"], load["retcode"])
		}
	}
}

func TestFunctionsSayWhatTheyTake(t *testing.T) {
	m := newMaster(t)
	start(t, m, swarm.Config{IDs: []string{"m1"}})
	m.tell("1", "*", "sys.argspec", "state.sls")
	spec := asMap(asMap(m.only("1", "m1"))["state.sls"])
	if args := asList(spec["args"]); args[0] != "mods" || len(args) != len(asList(spec["defaults"]))+1 || spec["kwargs"] != true || spec["varargs"] != nil {
		t.Errorf("state.sls takes %v", spec)
	}
	m.tell("2", "*", "sys.list_functions", "test")
	if list := asList(m.only("2", "m1")); !slices.Contains(list, any("test.ping")) || slices.Contains(list, any("state.apply")) {
		t.Errorf("test has %v", list)
	}
	m.tell("3", "*", "sys.list_functions", "nosuch")
	if list := asList(m.only("3", "m1")); len(list) != 0 {
		t.Errorf("nosuch has %v", list)
	}
}

func TestATestMayAddAFunction(t *testing.T) {
	m := newMaster(t)
	s := begin(t, m, swarm.Options{Config: swarm.Config{IDs: []string{"m1"}}, Functions: map[string]swarm.Function{
		"app.version": func(_ context.Context, c swarm.Call) swarm.Answer {
			return swarm.Answer{Return: map[string]any{"of": c.Minion, "args": c.Args, "verbose": c.Kwargs["verbose"]}, Code: 5}
		},
	}})
	accepted(t, s)
	m.tell("1", "*", "app.version", "x", "verbose=True")
	load := m.load("1", "m1")
	got := asMap(load["return"])
	if got["of"] != "m1" || got["verbose"] != true || len(asList(got["args"])) != 1 || load["retcode"] != int64(5) {
		t.Errorf("it returns %v", load)
	}
}
