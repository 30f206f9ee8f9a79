package acctest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

// shared is what the tests of this package share. It is started by the first test that asks for it.
var shared struct {
	dir    string // binaries, the mirror, jobd's files; removed at the end
	states string // the lab's file roots

	once sync.Once
	err  error
	jobd *jobdlab.Jobd
	// tokens by role
	tokens map[string]string
	tfrc   string // a Terraform CLI configuration with the filesystem mirror
}

type suite struct{ m *testing.M }

func (s suite) Run() int {
	code := s.m.Run()
	if shared.jobd != nil {
		if err := shared.jobd.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	return code
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gaea-acc-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.dir, shared.states = dir, filepath.Join(dir, "states")
	if err := os.Mkdir(shared.states, 0o755); err != nil { //nolint:gosec // minions read it
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := saltlab.NewSuite(suite{m}, saltlab.Config{States: shared.states}).Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// rig is what a test works with.
type rig struct {
	lab    *saltlab.Lab
	jobd   *jobdlab.Jobd
	client *jobdclient.Client // with the role apply
	name   string             // a name of the test's own, for definitions and states
}

// newRig returns the shared lab and jobd, and a name that no other test uses.
func newRig(t *testing.T) *rig {
	t.Helper()
	lab := saltlab.Get(t)
	shared.once.Do(func() { shared.err = startShared(lab) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("jobd's log ends in:\n" + shared.jobd.Log(40))
		}
	})
	name := strings.ToLower(strings.NewReplacer("TestAcc", "", "/", "-", "_", "-").Replace(t.Name()))
	return &rig{lab: lab, jobd: shared.jobd, client: dial(t, "apply"), name: name}
}

func startShared(lab *saltlab.Lab) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	binary, err := jobdlab.Build(ctx, shared.dir)
	if err != nil {
		return err
	}
	if shared.tfrc, err = buildMirror(ctx, shared.dir); err != nil {
		return err
	}
	shared.jobd, err = jobdlab.Start(ctx, jobdlab.Config{Binary: binary, SaltConfigDir: lab.ConfigDir(), Dir: shared.dir, Args: []string{"--log-level", "debug"}})
	if err != nil {
		return err
	}
	shared.tokens = map[string]string{}
	for _, role := range []string{"read", "plan", "apply"} {
		if shared.tokens[role], err = shared.jobd.Token(ctx, role, role); err != nil {
			return err
		}
	}
	return nil
}

// buildMirror builds the provider and lays it out as a filesystem mirror for terraform init.
func buildMirror(ctx context.Context, dir string) (tfrc string, err error) {
	mirror := filepath.Join(dir, "mirror")
	goos, err1 := exec.CommandContext(ctx, "go", "env", "GOOS").Output()
	arch, err2 := exec.CommandContext(ctx, "go", "env", "GOARCH").Output()
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	place := filepath.Join(mirror, "registry.terraform.io", "gaea-salt", "gaea", "0.0.1", strings.TrimSpace(string(goos))+"_"+strings.TrimSpace(string(arch)))
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(place, "terraform-provider-gaea_v0.0.1"), "github.com/gaea-salt/terraform-provider-gaea") //nolint:gosec // no input
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the provider: %w\n%s", err, out)
	}
	tfrc = filepath.Join(dir, "cli.tfrc")
	config := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	return tfrc, os.WriteFile(tfrc, []byte(config), 0o600)
}

// dial returns a client with a role's token.
func dial(t *testing.T, role string) *jobdclient.Client {
	t.Helper()
	c, err := jobdclient.New(jobdclient.Config{Endpoint: shared.jobd.Endpoint, Token: shared.tokens[role]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// sls writes a state file under the test's own name and returns that name.
func (r *rig) sls(t *testing.T, text string) string {
	t.Helper()
	name := strings.ReplaceAll(r.name, "-", "_")
	if err := os.WriteFile(filepath.Join(shared.states, name+".sls"), []byte(text), 0o644); err != nil { //nolint:gosec // minions read it
		t.Fatal(err)
	}
	return name
}

// path is a file that states of this test make on a minion; in an SLS it is {{ grains.lab_root }}/FILE.
func (r *rig) path(minion, file string) string { return filepath.Join(r.lab.MinionRoot(minion), file) }

// write changes a file on a minion behind everybody's back.
func (r *rig) write(t *testing.T, minion, file, text string) {
	t.Helper()
	if err := os.WriteFile(r.path(minion, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// content is a file on a minion.
func (r *rig) content(t *testing.T, minion, file string) string {
	t.Helper()
	text, err := os.ReadFile(r.path(minion, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// check has jobd make a test run, as an operator would.
func (r *rig) check(t *testing.T, assignment string) {
	t.Helper()
	out, err := r.jobd.Command(t.Context(), shared.tokens["plan"], "check", assignment).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 3) {
		t.Fatalf("jobd check: %v\n%s", err, out)
	}
}

// eventually waits until ok says so, for at most a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
