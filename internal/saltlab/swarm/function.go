package swarm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Call is one call of a function on a minion.
type Call struct {
	Minion   string
	JID      string
	Function string
	Args     []any          // as they were published, without the keyword arguments; maps are map[string]any, whole numbers int64
	Kwargs   map[string]any // the keyword arguments
	Grains   map[string]any // the minion's; not to be changed
}

// Answer is what a function returns.
type Answer struct {
	Return any    // made of nil, bool, int, int64, float64, string, []byte, []any, []string and maps by string
	Code   int    // the exit code; a job succeeded where it is 0
	Out    string // the outputter that Salt's commands show it with; may be empty
}

// Function is what a minion does for a call. It must return when ctx ends, which is when the job is killed; what it returns is
// then let go. It is called by many minions at once.
type Function func(ctx context.Context, call Call) Answer

// function is one that minions have.
type function struct {
	run    func(ctx context.Context, m *minion, j *job, c Call) Answer
	params []string // names; one that may be left out has "=" and its default behind it
	more   bool     // takes any more arguments
	named  bool     // takes any keyword arguments
}

// functions are those that every minion has, with what a test has added.
func functions(added map[string]Function) map[string]function {
	all := map[string]function{
		"test.ping":    {run: returns(true)},
		"test.true":    {run: returns(true)},
		"test.version": {run: returns(simulatedVersion)},
		"test.false":   {run: func(context.Context, *minion, *job, Call) Answer { return Answer{Return: false, Code: 1} }},
		"test.echo":    {run: echo, params: []string{"text"}},
		"test.arg":     {run: echoArguments, more: true, named: true},
		"test.sleep":   {run: sleep, params: []string{"length"}},
		"test.exception": {run: func(_ context.Context, _ *minion, _ *job, c Call) Answer {
			return exception(c.text(0, "message", "Test Exception"))
		}, params: []string{"message=Test Exception"}},

		"grains.items":  {run: grainsItems, params: []string{"sanitize=false"}},
		"grains.item":   {run: grainsItem, more: true, named: true},
		"grains.get":    {run: grainsGet, params: []string{"key", "default=", "delimiter=:"}},
		"pillar.items":  {run: pillarItems, more: true, named: true},
		"pillar.get":    {run: pillarGet, params: []string{"key", "default=", "delimiter=:"}},
		"sys.argspec":   {run: sysArgspec, params: []string{"module="}},
		"sys.doc":       {run: sysDoc, more: true},
		"state.apply":   {run: stateApply, params: []string{"mods="}, more: true, named: true},
		"state.sls":     {run: stateApply, params: []string{"mods", "test=", "exclude=", "queue=", "sync_mods="}, named: true},
		"state.test":    {run: stateTest, more: true, named: true},
		"state.running": {run: stateRunning, params: []string{"concurrent=false"}},
		"cmd.run":       {run: cmdRun, params: []string{"cmd", "cwd=", "stdin=", "runas="}, named: true},
		"cmd.shell":     {run: cmdRun, params: []string{"cmd", "cwd=", "stdin=", "runas="}, named: true},
		"cmd.run_all":   {run: cmdRunAll, params: []string{"cmd", "cwd=", "stdin=", "runas="}, named: true},
		"cmd.retcode":   {run: cmdRetcode, params: []string{"cmd", "cwd=", "stdin=", "runas="}, named: true},

		"state.highstate":          {run: highstate, params: []string{"test=", "queue="}, more: true, named: true},
		"sys.list_functions":       {run: sysListFunctions, more: true, named: true},
		"sys.list_modules":         {run: sysListModules, more: true},
		"saltutil.find_job":        {run: findJob, params: []string{"jid"}},
		"saltutil.running":         {run: running},
		"saltutil.is_running":      {run: isRunning, params: []string{"fun"}},
		"saltutil.kill_job":        {run: killJob, params: []string{"jid"}},
		"saltutil.term_job":        {run: termJob, params: []string{"jid"}},
		"saltutil.refresh_pillar":  {run: refresh(true), named: true},
		"saltutil.refresh_grains":  {run: refresh(true), named: true},
		"saltutil.sync_all":        {run: refresh(map[string]any{}), named: true},
		"saltutil.sync_grains":     {run: refresh([]any{}), named: true},
		"saltutil.refresh_modules": {run: returns(true), named: true},
	}
	for name, run := range added {
		all[name] = function{more: true, named: true, run: func(ctx context.Context, _ *minion, _ *job, c Call) Answer { return run(ctx, c) }}
	}
	return all
}

// newCall splits the arguments of a publication.
func newCall(m *minion, jid, fun string, args []any) Call {
	c := Call{Minion: m.id, JID: jid, Function: fun, Kwargs: map[string]any{}, Grains: m.grainsNow()}
	for _, arg := range args {
		if named, ok := arg.(map[string]any); ok && named["__kwarg__"] == true {
			maps.Copy(c.Kwargs, named)
			delete(c.Kwargs, "__kwarg__")
			continue
		}
		if word, ok := arg.(string); ok { // the salt command leaves it to minions to parse NAME=VALUE
			if name, value, ok := cutKeyword(word); ok {
				c.Kwargs[name] = value
				continue
			}
		}
		c.Args = append(c.Args, arg)
	}
	return c
}

// cutKeyword splits NAME=VALUE. Of YAML, values know what a command line is likely to hold.
func cutKeyword(word string) (name string, value any, ok bool) {
	name, rest, ok := strings.Cut(word, "=")
	if !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) || name[0] >= '0' && name[0] <= '9' {
		return "", nil, false
	}
	switch strings.ToLower(rest) {
	case "true":
		return name, true, true
	case "false":
		return name, false, true
	case "none", "null", "~":
		return name, nil, true
	}
	if n, err := strconv.ParseInt(rest, 10, 64); err == nil {
		return name, n, true
	}
	return name, rest, true
}

// argument is the i-th argument, or the keyword argument of this name; a negative i means the latter alone.
func (c Call) argument(i int, name string) (any, bool) {
	if i >= 0 && i < len(c.Args) {
		return c.Args[i], true
	}
	v, ok := c.Kwargs[name]
	return v, ok
}

// text is an argument that is text, or what it is otherwise.
func (c Call) text(i int, name, otherwise string) string {
	v, ok := c.argument(i, name)
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return otherwise
	default:
		if !ok {
			return otherwise
		}
		return pythonText(v)
	}
}

// flag is a keyword argument that is true.
func (c Call) flag(name string) bool {
	switch v := c.Kwargs[name].(type) {
	case bool:
		return v
	case int64:
		return v != 0
	default:
		return false
	}
}

// notAvailable is what a minion says of a function that it has not.
func notAvailable(fun string) Answer {
	return Answer{Return: fmt.Sprintf("'%s' is not available.", fun), Code: 1, Out: "nested"}
}

// exception is what a minion says of a function that raised an error.
func exception(message string) Answer {
	return Answer{Return: "The minion function caused an exception: Traceback (most recent call last):\n" +
		"  File \"salt/minion.py\", line 3199, in _thread_return\nException: " + message + "\n", Code: 1}
}

// missing is what a minion says of a call without an argument that is needed.
func missing(c Call, name string) Answer {
	return Answer{Return: fmt.Sprintf("ERROR executing '%s': missing 1 required positional argument: '%s'", c.Function, name), Code: 1}
}

func returns(v any) func(context.Context, *minion, *job, Call) Answer {
	return func(context.Context, *minion, *job, Call) Answer { return Answer{Return: v} }
}

func echo(_ context.Context, _ *minion, _ *job, c Call) Answer {
	v, ok := c.argument(0, "text")
	if !ok {
		return missing(c, "text")
	}
	return Answer{Return: v}
}

func echoArguments(_ context.Context, _ *minion, _ *job, c Call) Answer {
	args := c.Args
	if args == nil {
		args = []any{}
	}
	return Answer{Return: map[string]any{"args": args, "kwargs": c.Kwargs}}
}

func sleep(ctx context.Context, _ *minion, _ *job, c Call) Answer {
	length, err := strconv.ParseFloat(c.text(0, "length", ""), 64)
	if err != nil {
		return missing(c, "length")
	}
	_ = pause(ctx, time.Duration(length*float64(time.Second))) // where it was killed nobody is answered
	return Answer{Return: true}
}

func grainsItems(_ context.Context, _ *minion, _ *job, c Call) Answer {
	return Answer{Return: c.Grains, Out: "nested"}
}

func grainsItem(_ context.Context, _ *minion, _ *job, c Call) Answer {
	found := map[string]any{}
	for i := range c.Args {
		key := c.text(i, "", "")
		found[key] = c.Grains[key]
		if found[key] == nil {
			found[key] = ""
		}
	}
	return Answer{Return: found, Out: "nested"}
}

func grainsGet(_ context.Context, _ *minion, _ *job, c Call) Answer { return getPath(c, c.Grains) }

func pillarItems(_ context.Context, m *minion, _ *job, _ Call) Answer {
	return Answer{Return: m.pillarNow()}
}

func pillarGet(_ context.Context, m *minion, _ *job, c Call) Answer { return getPath(c, m.pillarNow()) }

func getPath(c Call, data map[string]any) Answer {
	key := c.text(0, "key", "")
	if key == "" {
		return missing(c, "key")
	}
	if v, ok := descend(data, strings.Split(key, c.text(2, "delimiter", ":"))); ok {
		return Answer{Return: v}
	}
	if v, ok := c.argument(1, "default"); ok {
		return Answer{Return: v}
	}
	return Answer{Return: ""}
}

// matching are the names of functions that are asked for: modules, functions, or globs of functions; all where none is.
func matching(m *minion, c Call) []string {
	names := slices.Sorted(maps.Keys(m.swarm.functions))
	if len(c.Args) == 0 {
		return names
	}
	return slices.DeleteFunc(names, func(name string) bool {
		for i := range c.Args {
			if pattern := c.text(i, "", ""); glob(pattern, name) || strings.HasPrefix(name, pattern+".") {
				return false
			}
		}
		return true
	})
}

func sysListFunctions(_ context.Context, m *minion, _ *job, c Call) Answer {
	names := matching(m, c)
	if names == nil {
		names = []string{}
	}
	return Answer{Return: names}
}

func sysListModules(_ context.Context, m *minion, _ *job, c Call) Answer {
	modules := []string{}
	for _, name := range matching(m, c) {
		module, _, _ := strings.Cut(name, ".")
		modules = append(modules, module)
	}
	return Answer{Return: slices.Compact(modules)}
}

func sysDoc(_ context.Context, m *minion, _ *job, c Call) Answer {
	docs := map[string]any{}
	for _, name := range matching(m, c) {
		docs[name] = "A simulated minion's " + name + "."
	}
	return Answer{Return: docs}
}

// sysArgspec says which arguments functions take (salt.utils.args.argspec_report).
func sysArgspec(_ context.Context, m *minion, _ *job, c Call) Answer {
	specs := map[string]any{}
	for _, name := range matching(m, c) {
		f := m.swarm.functions[name]
		args, defaults := []any{}, []any{}
		for _, param := range f.params {
			param, value, optional := strings.Cut(param, "=")
			args = append(args, param)
			switch {
			case !optional:
			case value == "":
				defaults = append(defaults, nil)
			case value == "false":
				defaults = append(defaults, false)
			default:
				defaults = append(defaults, value)
			}
		}
		spec := map[string]any{"args": args, "defaults": defaults, "varargs": nil, "kwargs": nil}
		if len(defaults) == 0 {
			spec["defaults"] = nil
		}
		if f.more {
			spec["varargs"] = true
		}
		if f.named {
			spec["kwargs"] = true
		}
		specs[name] = spec
	}
	return Answer{Return: specs}
}

// refresh has the minion tell the master its grains again, and returns v.
func refresh(v any) func(context.Context, *minion, *job, Call) Answer {
	return func(ctx context.Context, m *minion, _ *job, _ Call) Answer {
		if err := m.askPillar(ctx); err != nil {
			m.log.Debug("grains were not sent", "err", err)
		}
		return Answer{Return: v}
	}
}
