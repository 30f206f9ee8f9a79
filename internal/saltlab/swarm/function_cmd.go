package swarm

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// shell is what a command line did.
type shell struct {
	output string
	code   int
	pid    int
}

func cmdRun(ctx context.Context, m *minion, j *job, c Call) Answer {
	line := c.text(0, "cmd", "")
	if line == "" {
		return missing(c, "cmd")
	}
	did := m.execute(ctx, j, line)
	return Answer{Return: did.output, Code: c.code(did)}
}

func cmdRunAll(ctx context.Context, m *minion, j *job, c Call) Answer {
	line := c.text(0, "cmd", "")
	if line == "" {
		return missing(c, "cmd")
	}
	did := m.execute(ctx, j, line)
	return Answer{Code: c.code(did), Return: map[string]any{"pid": did.pid, "retcode": did.code, "stdout": did.output, "stderr": ""}}
}

func cmdRetcode(ctx context.Context, m *minion, j *job, c Call) Answer {
	line := c.text(0, "cmd", "")
	if line == "" {
		return missing(c, "cmd")
	}
	did := m.execute(ctx, j, line)
	return Answer{Return: did.code, Code: c.code(did)}
}

// code is the exit code of the job that ran a command.
func (c Call) code(did shell) int {
	if c.flag("ignore_retcode") {
		return 0
	}
	return did.code
}

// execute says what a command line would do: one of the configuration's, a question for processes as Gaea puts it, or one of
// the few that every swarm knows. Nothing is executed.
func (m *minion) execute(ctx context.Context, j *job, line string) shell {
	if command, ok := m.swarm.opts.Commands[line]; ok {
		_ = j.spend(ctx, command.Takes) // where it was killed nobody is answered
		return shell{output: command.Output, code: command.Code, pid: j.child()}
	}
	if asked, ok := parseInspection(line); ok {
		return shell{output: m.inspect(asked, j), pid: j.child()}
	}
	did := shell{pid: j.child()}
	name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch name {
	case "true", ":":
	case "false":
		did.code = 1
	case "echo":
		did.output = strings.Trim(strings.TrimSpace(rest), `'"`)
	case "exit":
		did.code, _ = strconv.Atoi(strings.TrimSpace(rest)) // a shell would take what is no number for an error, too
	case "sleep":
		seconds, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
		if err != nil {
			return shell{output: "sleep: invalid time interval '" + rest + "'", code: 1, pid: did.pid}
		}
		_ = pause(ctx, time.Duration(seconds*float64(time.Second))) // where it was killed nobody is answered
	default:
		did.output, did.code = "/bin/sh: 1: "+name+": not found", 127
	}
	return did
}
