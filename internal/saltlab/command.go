package saltlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ExitError says that one of Salt's commands ended with an exit code other than 0. Salt's commands do so, too, where a
// minion did not answer or a function failed there; what was printed is then returned beside the error.
type ExitError struct {
	Command string // as it was called, such as "salt web1 test.ping"
	Code    int    // the exit code; 128 + n for signal n
	Stderr  string // its last lines
}

func (e *ExitError) Error() string {
	text := fmt.Sprintf("saltlab: %s ended with exit code %d", e.Command, e.Code)
	if e.Stderr != "" {
		text += ": " + e.Stderr
	}
	return text
}

// Salt runs the salt command against this lab's master and returns what it prints on standard output:
// lab.Salt(ctx, "web*", "test.ping", "--out=json"). The error is an *ExitError where the command's exit code is not 0.
func (l *Lab) Salt(ctx context.Context, args ...string) ([]byte, error) {
	return l.command(ctx, "salt", l.ConfigDir(), args)
}

// SaltRun runs salt-run, as Salt does for salt.
func (l *Lab) SaltRun(ctx context.Context, args ...string) ([]byte, error) {
	return l.command(ctx, "salt-run", l.ConfigDir(), args)
}

// SaltKey runs salt-key, as Salt does for salt: lab.SaltKey(ctx, "-d", "web1", "-y").
func (l *Lab) SaltKey(ctx context.Context, args ...string) ([]byte, error) {
	return l.command(ctx, "salt-key", l.ConfigDir(), args)
}

// SaltCall runs salt-call on a minion, as Salt does for salt. The minion need not be running.
func (l *Lab) SaltCall(ctx context.Context, minion string, args ...string) ([]byte, error) {
	if err := l.known(minion); err != nil {
		return nil, err
	}
	return l.command(ctx, "salt-call", l.layout.minionConfig(minion), args)
}

// command runs one of Salt's programs to its end. When ctx ends first, the program and all it started are killed.
func (l *Lab) command(ctx context.Context, name, config string, args []string) ([]byte, error) {
	p, err := l.launch(name, append(l.argv(name, config), args...))
	if err != nil {
		return nil, err
	}
	defer func() { _ = errors.Join(os.Remove(p.stdout), os.Remove(p.stderr)) }()
	select {
	case <-p.ended:
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("saltlab: %s was ended: %w", name, ctx.Err()), l.keeper.kill(p))
	}
	out, err := os.ReadFile(p.stdout)
	if err != nil {
		return nil, fmt.Errorf("saltlab: the output of %s is gone: %w", name, err)
	}
	if p.code != 0 {
		return out, &ExitError{Command: strings.Join(append([]string{name}, args...), " "), Code: p.code, Stderr: tailOf(p.stderr)}
	}
	return out, nil
}

// argv is how one of Salt's programs is called. The interpreter is named because a path in a script's first line is
// limited in length.
func (l *Lab) argv(name, config string) []string {
	return []string{l.python(), filepath.Join(l.venv, "bin", name), "-c", config}
}

// Interpreter is the Python that this lab's Salt runs on: for programs that use Salt's own modules.
func (l *Lab) Interpreter() string { return l.python() }

func (l *Lab) python() string { return filepath.Join(l.venv, "bin", "python") }

// launch starts a command with files of its own for what it says.
func (l *Lab) launch(name string, argv []string) (*program, error) {
	l.mu.Lock()
	l.launched++
	name = fmt.Sprintf("%s-%d", name, l.launched)
	l.mu.Unlock()
	return l.keeper.start(name, argv, nil, l.layout.output(name+".out"), l.layout.output(name+".err"))
}

// SaltCommand is the salt command against this lab's master as a person would type it, up to the target. The words are
// quoted for a shell where that is needed.
func (l *Lab) SaltCommand() string {
	words := []string{filepath.Join(l.venv, "bin", "salt"), "-c", l.ConfigDir()}
	for i, word := range words {
		if strings.ContainsAny(word, " '\"$`\\&;()<>|*?[]#~!") {
			words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}
