package saltlab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// installer is the script that makes the environments, seen from the module's root.
const installer = "tools/salt-venv.sh"

// environment returns the directory of the virtual environment with this Salt, which is made where it is not there yet.
func environment(ctx context.Context, version string, progress func(string)) (string, error) {
	script, err := findInstaller()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, script, version) //nolint:gosec // the project's own script
	var path bytes.Buffer
	cmd.Stdout = &path
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return "", fmt.Errorf("saltlab: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("saltlab: cannot run %s: %w", script, err)
	}
	var said []string
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		line := strings.TrimPrefix(lines.Text(), "salt-venv: ")
		said = append(said, line)
		progress(line)
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("saltlab: cannot install Salt %s: %w\n%s", version, errors.Join(err, ctx.Err()), strings.Join(said, "\n"))
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
