package acctest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	statesInExample  = regexp.MustCompile(`(?m)^\s*states\s*=\s*\[(.*)\]`)
	quotedInExample  = regexp.MustCompile(`"([^"]+)"`)
	importsInExample = regexp.MustCompile(`(?m)^terraform import (\S+) (\S+)$`)
)

// The examples of the documentation run as they stand; only the SLS files that they name are the test's.
func TestAccEachExampleAppliesAndIsThenInSync(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	root := filepath.Join("..", "..", "examples")
	dirs := exampleDirs(t, root)
	if len(dirs) < 6 {
		t.Errorf("there are only the examples %q", dirs)
	}
	// One after the other: they share names, as examples do.
	for _, dir := range dirs {
		t.Run(strings.ReplaceAll(dir, string(filepath.Separator), "-"), func(t *testing.T) {
			work := t.TempDir()
			config := copyExample(t, filepath.Join(root, dir), work)
			for _, states := range statesInExample.FindAllStringSubmatch(config, -1) {
				for _, sls := range quotedInExample.FindAllStringSubmatch(states[1], -1) {
					r.slsNamed(t, sls[1], strings.ReplaceAll(motd, "motd", sls[1]))
				}
			}
			f := r.newTerraformIn(work, "apply")
			f.setenv("TF_VAR_session_key", "a-key-of-this-test")
			f.setenv("TF_VAR_balancer_token", "a-token-of-this-test")
			f.must(t, 0, "init")
			f.must(t, 0, "fmt", "-check", "-diff")
			f.apply(t)
			f.plan(t, planEmpty)
			f.imports(t, r, filepath.Join(root, dir))
			f.must(t, 0, "destroy", "-auto-approve")
		})
	}
}

// imports runs the commands of an example's import.sh in a fresh state, and wants nothing to be planned for what was imported.
func (f *tf) imports(t *testing.T, r *rig, example string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(example, "import.sh"))
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	commands := importsInExample.FindAllStringSubmatch(string(script), -1)
	if len(commands) == 0 {
		t.Errorf("no terraform import is in:\n%s", script)
	}
	work := t.TempDir()
	copyExample(t, example, work)
	fresh := r.newTerraformIn(work, "apply")
	fresh.must(t, 0, "init")
	for _, c := range commands {
		fresh.must(t, 0, "import", c[1], c[2])
		wantsNot(t, fresh.must(t, 0, "plan"), "# "+c[1]+" will be")
	}
}

// exampleDirs are the directories below root with a configuration.
func exampleDirs(t *testing.T, root string) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".tf" {
			dir, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			dirs = append(dirs, dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// copyExample copies an example's configuration and returns its text.
func copyExample(t *testing.T, from, to string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(from, "*.tf"))
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		config.Write(text)
		if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config.String()
}
