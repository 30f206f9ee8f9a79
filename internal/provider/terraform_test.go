package provider_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

func TestMain(m *testing.M) {
	// A user's own settings are not the tests'.
	for _, name := range []string{"TF_CLI_CONFIG_FILE", "TF_CLI_ARGS", provider.EnvEndpoint, provider.EnvToken, provider.EnvCAFile, provider.EnvRequestTimeout,
		provider.EnvSaltAPIURL, provider.EnvSaltAPIUser, provider.EnvSaltAPIPassword, provider.EnvSaltAPIEauth} {
		if err := os.Unsetenv(name); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m,
		// go-plugin's server reads two pipes of its own, and leaves closing them to the garbage collector.
		goleak.IgnoreAnyFunction("github.com/hashicorp/go-plugin.copyChan"),
	)
}

// unitTest runs steps on a real Terraform with the provider in this process, on a fake jobd.
func unitTest(t *testing.T, f *fakeJobd, steps ...resource.TestStep) {
	t.Helper()
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: map[string]func() (tfprotov6.ProviderServer, error){
			"gaea": providerserver.NewProtocol6WithError(provider.New("test", provider.WithBackend(f))()),
		},
		Steps: steps,
	})
}

// terraform is a Terraform working directory whose provider is served by this process, for what plugin-testing does not
// show: the text of plans, exit codes and commands such as untaint.
type terraform struct {
	t        *testing.T
	dir      string
	reattach string
}

func newTerraform(t *testing.T, options ...provider.Option) *terraform {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // ends in the cleanup, where t's own has ended
	config, closed, served := make(chan *plugin.ReattachConfig, 1), make(chan struct{}), make(chan error, 1)
	go func() {
		served <- tf6server.Serve(provider.Address, providerserver.NewProtocol6(provider.New("test", options...)()),
			tf6server.WithDebug(ctx, config, closed), tf6server.WithoutLogStderrOverride(),
			tf6server.WithGoPluginLogger(hclog.NewNullLogger()), tf6server.WithLoggingSink(t))
	}()
	t.Cleanup(func() {
		cancel()
		<-closed
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	c := <-config
	reattach, err := json.Marshal(map[string]any{provider.Address: map[string]any{
		"Protocol": c.Protocol, "ProtocolVersion": c.ProtocolVersion, "Pid": c.Pid, "Test": true,
		"Addr": map[string]string{"Network": c.Addr.Network(), "String": c.Addr.String()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &terraform{t: t, dir: t.TempDir(), reattach: string(reattach)}
}

// header names the provider in a configuration.
const header = `
terraform {
  required_providers {
    gaea = { source = "gaea-salt/gaea" }
  }
}
`

// write replaces the configuration.
func (tf *terraform) write(config string) {
	tf.t.Helper()
	if err := os.WriteFile(filepath.Join(tf.dir, "main.tf"), []byte(header+config), 0o600); err != nil {
		tf.t.Fatal(err)
	}
}

// command is a command that is not started yet, and where its output goes.
func (tf *terraform) command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd, out := exec.CommandContext(tf.t.Context(), "terraform", args...), &bytes.Buffer{}
	cmd.Dir = tf.dir
	cmd.Env = append(os.Environ(), "TF_REATTACH_PROVIDERS="+tf.reattach, "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1")
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// run runs a command and returns its exit code and what it printed.
func (tf *terraform) run(args ...string) (int, string) {
	tf.t.Helper()
	cmd, out := tf.command(args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		tf.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// must runs a command that has to end with an exit code, and returns what it printed.
func (tf *terraform) must(want int, args ...string) string {
	tf.t.Helper()
	code, out := tf.run(args...)
	if code != want {
		tf.t.Fatalf("terraform %s: exit %d, want %d\n%s", strings.Join(args, " "), code, want, out)
	}
	return out
}

// plan plans and returns the exit code of -detailed-exitcode, 0 without changes and 2 with, and the text.
func (tf *terraform) plan(args ...string) (int, string) {
	tf.t.Helper()
	code, out := tf.run(append([]string{"plan", "-no-color", "-input=false", "-detailed-exitcode"}, args...)...)
	if code == 1 {
		tf.t.Fatalf("terraform plan:\n%s", out)
	}
	return code, out
}

// apply applies and returns whether it was successful, and the text.
func (tf *terraform) apply(args ...string) (bool, string) {
	tf.t.Helper()
	code, out := tf.run(append([]string{"apply", "-no-color", "-input=false", "-auto-approve"}, args...)...)
	return code == 0, out
}

// state is the attributes of a resource in the state file.
func (tf *terraform) state(address string) (attributes map[string]any, tainted bool) {
	tf.t.Helper()
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
	if err := json.Unmarshal([]byte(tf.must(0, "show", "-json")), &state); err != nil {
		tf.t.Fatal(err)
	}
	for _, r := range state.Values.Root.Resources {
		if r.Address == address {
			return r.Values, r.Tainted
		}
	}
	return nil, false
}

// object is a value of a state that must be an object or a map; empty where it is none.
func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// wantText fails a test where a text does not hold a part, however its lines are broken and boxed.
func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(strings.NewReplacer("│", " ", "╷", " ", "╵", " ").Replace(text)), " ")
	for _, p := range parts {
		if !strings.Contains(flat, strings.Join(strings.Fields(p), " ")) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}

// replaced is a text with placeholders filled in.
func replaced(text string, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(text)
}
