package acctest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tf is Terraform itself in a directory of the test's own, with the provider from a filesystem mirror.
type tf struct {
	dir string
	env []string
}

// newTerraform writes the configuration, with the provider's blocks before it, and runs terraform init.
func (r *rig) newTerraform(t *testing.T, role, config string) *tf {
	t.Helper()
	f := &tf{dir: t.TempDir()}
	f.env = append(os.Environ(),
		"TF_CLI_CONFIG_FILE="+shared.tfrc, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1",
		"GAEA_ENDPOINT="+r.jobd.Endpoint, "GAEA_TOKEN="+shared.tokens[role])
	f.write(t, config)
	if code, out := f.run(t, "init"); code != 0 {
		t.Fatalf("terraform init ended with %d:\n%s", code, out)
	}
	return f
}

const providerBlock = `
terraform {
  required_providers {
    gaea = { source = "gaea-salt/gaea" }
  }
}
provider "gaea" {}
`

func (f *tf) write(t *testing.T, config string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, "main.tf"), []byte(providerBlock+config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs Terraform and returns its exit code and all that it printed, without colours.
func (f *tf) run(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	args = append(args, "-no-color")
	cmd := exec.CommandContext(t.Context(), "terraform", args...)
	cmd.Dir, cmd.Env = f.dir, f.env
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return code, string(b)
}

// must runs Terraform and fails the test unless it ends with the code.
func (f *tf) must(t *testing.T, code int, args ...string) string {
	t.Helper()
	got, out := f.run(t, args...)
	if got != code {
		t.Fatalf("terraform %s ended with %d, not %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

func (f *tf) apply(t *testing.T) string {
	t.Helper()
	return f.must(t, 0, "apply", "-auto-approve")
}

// Exit codes of terraform plan -detailed-exitcode.
const (
	planEmpty   = 0
	planFails   = 1
	planChanges = 2
)

// plan wants a plan to be empty, to have changes or to fail, and returns what it prints.
func (f *tf) plan(t *testing.T, code int, args ...string) string {
	t.Helper()
	return f.must(t, code, append([]string{"plan", "-detailed-exitcode"}, args...)...)
}

// attributes are a resource's attributes in the state.
func (f *tf) attributes(t *testing.T, address string) map[string]any {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "terraform", "show", "-json")
	cmd.Dir, cmd.Env = f.dir, f.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("terraform show: %v\n%s", err, stderr.String())
	}
	var state struct {
		Values struct {
			Root struct {
				Resources []struct {
					Address string         `json:"address"`
					Tainted bool           `json:"tainted"`
					Values  map[string]any `json:"values"`
				} `json:"resources"`
			} `json:"root_module"`
		} `json:"values"`
	}
	if err := json.Unmarshal(out, &state); err != nil {
		t.Fatal(err)
	}
	for _, r := range state.Values.Root.Resources {
		if r.Address == address {
			r.Values["tainted"] = r.Tainted
			return r.Values
		}
	}
	t.Fatalf("%s is not in the state:\n%s", address, out)
	return nil
}

// wants fails the test for each text that is not in what Terraform printed.
func wants(t *testing.T, out string, texts ...string) {
	t.Helper()
	// Terraform wraps error texts; compare without its frame and line ends.
	flat := strings.Join(strings.Fields(strings.NewReplacer("│", " ", "╵", " ", "╷", " ").Replace(out)), " ")
	for _, text := range texts {
		if !strings.Contains(out, text) && !strings.Contains(flat, strings.Join(strings.Fields(text), " ")) {
			t.Errorf("%q is not in:\n%s", text, out)
		}
	}
}
