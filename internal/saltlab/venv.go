package saltlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// installer is the script that makes the environments, seen from the module's root.
const installer = "tools/salt-venv.sh"

// environment returns the directory of the virtual environment with this Salt, which is made where it is not there yet.
func environment(ctx context.Context, version string, progress func(string)) (string, error) {
	script, err := findInstaller()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, script, version)
	cmd.WaitDelay = time.Second // pip may live on when the script is ended, and is left to itself
	var path bytes.Buffer
	said := &lineWriter{line: progress}
	cmd.Stdout, cmd.Stderr = &path, said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("saltlab: cannot install Salt %s: %w\n%s", version, errors.Join(err, ctx.Err()), said.all.String())
	}
	return strings.TrimSpace(path.String()), nil
}

// findInstaller looks upwards from the working directory, then from where this file was compiled.
func findInstaller() (string, error) {
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	for _, dir := range starts {
		for {
			if script := filepath.Join(dir, installer); isFile(script) {
				return script, nil
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", fmt.Errorf("saltlab: %s is not in any directory above %s: run this inside a checkout of the project", installer, strings.Join(starts, " or "))
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// lineWriter hands on whole lines, and keeps all that was written.
type lineWriter struct {
	line func(string)
	all  bytes.Buffer
	told int // how much of it was handed on
}

func (w *lineWriter) Write(text []byte) (int, error) {
	w.all.Write(text)
	for {
		line, _, whole := bytes.Cut(w.all.Bytes()[w.told:], []byte("\n"))
		if !whole {
			return len(text), nil
		}
		w.told += len(line) + 1
		w.line(strings.TrimPrefix(string(line), "salt-venv: "))
	}
}
