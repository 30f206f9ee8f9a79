package acctest

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	states string // the lab's file roots for the environment base
	other  string // and for the environment other

	once   sync.Once
	err    error
	binary string // jobd
	tfrc   string // a Terraform CLI configuration with the filesystem mirror
	jobd   *jobdlab.Jobd
	tokens map[string]string // by role
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
	// A user's own settings are not the tests'.
	for _, name := range []string{"GAEA_ENDPOINT", "GAEA_TOKEN", "GAEA_CA_FILE", "GAEA_REQUEST_TIMEOUT", "TF_CLI_ARGS", "TF_CLI_CONFIG_FILE",
		"SALTAPI_URL", "SALTAPI_USER", "SALTAPI_PASS", "SALTAPI_EAUTH"} {
		if err := os.Unsetenv(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	dir, err := os.MkdirTemp("", "gaea-acc-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.dir, shared.states, shared.other = dir, filepath.Join(dir, "states"), filepath.Join(dir, "other")
	if err := errors.Join(os.Mkdir(shared.states, 0o755), os.Mkdir(shared.other, 0o755)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := saltlab.NewSuite(suite{m}, saltlab.Config{
		States: shared.states,
		MasterConfig: map[string]any{
			"file_roots": map[string]any{"base": []string{shared.states}, "other": []string{shared.other}},
		},
	}).Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func startShared(lab *saltlab.Lab) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if shared.binary, err = jobdlab.Build(ctx, shared.dir); err != nil {
		return err
	}
	if shared.tfrc, err = jobdlab.Mirror(ctx, shared.dir); err != nil {
		return err
	}
	shared.jobd, err = jobdlab.Start(ctx, jobdlab.Config{
		Binary: shared.binary, SaltConfigDir: lab.ConfigDir(), Dir: shared.dir, Args: []string{"--log-level", "debug"},
	})
	if err != nil {
		return err
	}
	shared.tokens, err = makeTokens(ctx, shared.jobd)
	return err
}

// makeTokens makes a token of each role, under the role's name.
func makeTokens(ctx context.Context, j *jobdlab.Jobd) (map[string]string, error) {
	tokens := map[string]string{}
	for _, role := range []string{"read", "plan", "apply", "admin"} {
		token, err := j.Token(ctx, role, role)
		if err != nil {
			return nil, err
		}
		tokens[role] = token
	}
	return tokens, nil
}

// rig is what a test works with.
type rig struct {
	lab    *saltlab.Lab
	jobd   *jobdlab.Jobd
	tokens map[string]string  // by role
	client *jobdclient.Client // with the role apply
	name   string             // a name of the test's own, for definitions, states and files
	direct bool               // Terraform talks to the lab's salt-api, and to no jobd
}

// newRig returns the shared lab and jobd, and a name that no other test uses. A test that disturbs what is shared does not
// run in parallel, and undoes it.
func newRig(t *testing.T) *rig {
	t.Helper()
	lab := saltlab.Get(t)
	shared.once.Do(func() { shared.err = startShared(lab) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return newRigOn(t, lab, shared.jobd, shared.tokens)
}

// newRigAlone returns the shared lab with a jobd of the test's own, which the test may stop and kill.
func newRigAlone(t *testing.T, args ...string) *rig {
	t.Helper()
	return newRigIn(t, "", args...)
}

// newRigIn is newRigAlone with the archive in a database.
func newRigIn(t *testing.T, database string, args ...string) *rig {
	t.Helper()
	newRig(t)
	lab := saltlab.Get(t)
	j, err := jobdlab.Start(t.Context(), jobdlab.Config{
		Binary: shared.binary, SaltConfigDir: lab.ConfigDir(), Dir: t.TempDir(), Database: database, Args: append([]string{"--log-level", "debug"}, args...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Stop(); err != nil {
			t.Error(err)
		}
	})
	tokens, err := makeTokens(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	return newRigOn(t, lab, j, tokens)
}

func newRigOn(t *testing.T, lab *saltlab.Lab, j *jobdlab.Jobd, tokens map[string]string) *rig {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("TestAcc", "", "/", "-", "_", "-").Replace(t.Name()))
	r := &rig{lab: lab, jobd: j, tokens: tokens, name: name}
	r.client = r.dial(t, "apply")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("jobd's log ends in:\n" + j.Log(60))
		}
		for _, minion := range lab.Minions() {
			if err := os.RemoveAll(r.dir(minion)); err != nil {
				t.Error(err)
			}
		}
	})
	return r
}

// dial returns a client with a role's token.
func (r *rig) dial(t *testing.T, role string) *jobdclient.Client {
	t.Helper()
	c, err := jobdclient.New(jobdclient.Config{Endpoint: r.jobd.Endpoint, Token: r.tokens[role]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// eventually waits until ok says so, for at most a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
