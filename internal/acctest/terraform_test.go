package acctest

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
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
	f := r.newTerraformIn(t.TempDir(), role)
	f.write(t, config)
	f.must(t, 0, "init")
	return f
}

// newTerraformIn is Terraform in a directory that has a configuration, and is not initialized yet.
func (r *rig) newTerraformIn(dir, role string) *tf {
	f := &tf{dir: dir, env: append(os.Environ(),
		"TF_CLI_CONFIG_FILE="+shared.tfrc, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1")}
	f.connect(r, role, r.direct)
	return f
}

// connect has what is run from now on talk to the test's jobd, with a role's token, or directly to the lab's salt-api.
func (f *tf) connect(r *rig, role string, direct bool) {
	if direct {
		f.setenv("GAEA_ENDPOINT", "")
		f.setenv("GAEA_TOKEN", "")
		f.setenv("SALTAPI_URL", r.lab.APIURL())
		f.setenv("SALTAPI_USER", r.lab.APIUser())
		f.setenv("SALTAPI_PASS", r.lab.APIPassword())
		f.setenv("SALTAPI_EAUTH", r.lab.APIEauth())
		return
	}
	f.setenv("SALTAPI_URL", "")
	f.setenv("GAEA_ENDPOINT", r.jobd.Endpoint)
	f.setenv("GAEA_TOKEN", r.tokens[role])
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

// text is a text attribute of a resource in the state.
func (f *tf) text(t *testing.T, address, attribute string) string {
	t.Helper()
	s, ok := f.attributes(t, address)[attribute].(string)
	if !ok {
		t.Fatalf("%s has no text %s", address, attribute)
	}
	return s
}

// driftIn is a resource's drift in the state.
func (f *tf) driftIn(t *testing.T, address string) driftOf {
	t.Helper()
	return readDrift(f.attributes(t, address)["drift"])
}

// setenv sets a variable for what is run from now on.
func (f *tf) setenv(name, value string) { f.env = append(f.env, name+"="+value) }

// as has what is run from now on use a role's token.
func (f *tf) as(r *rig, role string) { f.setenv("GAEA_TOKEN", r.tokens[role]) }

// background runs Terraform meanwhile. The process is killed at the test's end where it still runs then.
func (f *tf) background(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{ended: make(chan struct{})}
	p.cmd = exec.Command("terraform", append(args, "-no-color")...)
	p.cmd.Dir, p.cmd.Env = f.dir, f.env
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	// A group of its own, so that a kill reaches the provider too.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code is read from the process's state
	}()
	t.Cleanup(p.kill)
	return p
}

// process is a Terraform that runs meanwhile.
type process struct {
	cmd   *exec.Cmd
	out   printed // complete when ended is closed
	ended chan struct{}
}

// printed is what a process has printed so far.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// String is what was printed.
func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// wait returns the exit code and all that was printed, as [tf.run] does.
func (p *process) wait(t *testing.T) (code int, out string) {
	t.Helper()
	select {
	case <-p.ended:
	case <-t.Context().Done():
		t.Fatal("terraform did not end")
	}
	return p.cmd.ProcessState.ExitCode(), p.out.String()
}

// kill ends Terraform and the provider as a loss of power would.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// stateFile is Terraform's state, to the byte.
func (f *tf) stateFile(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, "terraform.tfstate"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// has says whether a text is in what Terraform printed, which wraps error texts: the frame and line ends do not count.
func has(out, text string) bool {
	flat := strings.Join(strings.Fields(strings.NewReplacer("│", " ", "╵", " ", "╷", " ").Replace(out)), " ")
	return strings.Contains(out, text) || strings.Contains(flat, strings.Join(strings.Fields(text), " "))
}

// wants fails the test for each text that is not in what Terraform printed.
func wants(t *testing.T, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !has(out, text) {
			t.Errorf("%q is not in:\n%s", text, out)
		}
	}
}

// wantsNot fails the test for each text that is in what Terraform printed.
func wantsNot(t *testing.T, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if has(out, text) {
			t.Errorf("%q is in:\n%s", text, out)
		}
	}
}
