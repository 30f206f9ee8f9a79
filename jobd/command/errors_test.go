package command_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

func TestAnErrorOfJobdSaysWhatAndNotTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, _, errs := r.run("show", "run-1")
	if code != command.ExitFailed || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "run-1") {
		t.Errorf("exit code %d, printed:\n%s", code, errs)
	}
	r.assign("nginx")
	r.Enforcer.Panic = true
	code, _, errs = r.run("drift", "nginx")
	want(t, "a fault of jobd's", code, command.ExitFailed, errs, "under request")
}

func TestATokenThatJobdDoesNotKnowIsNamedAsThat(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.token = "gaea_wrong"
	code, _, errs := r.run("runs")
	want(t, "a wrong token", code, command.ExitFailed, errs, "does not know this token", "jobd token create")
	if strings.Contains(errs, "gaea_wrong") {
		t.Errorf("the token is printed:\n%s", errs)
	}
}

func TestAValueOfTheConfigFileIsNamedByItsLine(t *testing.T) {
	t.Parallel()
	for text, wants := range map[string][]string{
		"listen: 127.0.0.1:0\nretention: 90x\n":           {"line 2: retention", "90x", "36h"},
		"retention: {returns: 1d, evens: 2d}\n":           {"line 1", "retention_evens"},
		"retention:\n  events: soon\n":                    {"line 2: retention_events", "soon"},
		"retention: {max_size: 20GB}\n":                   {"line 1: retention_max_size", "20GiB"},
		"retention: {events: 1d}\nretention_events: 2d\n": {"retention_events is set twice"},
		"log_level: loud\n":                               {"line 1: log_level", "loud", "debug"},
		"max_frame: [1]\n":                                {"line 1", "max_frame"},
		"- a\n":                                           {"not a YAML map"},
		"listen: a\nlisten: b\n":                          {"already defined"},
		"queue: many\n":                                   {"line 1: queue", "many"},
	} {
		path := filepath.Join(t.TempDir(), "jobd.yaml")
		write(t, path, text)
		var out, errs bytes.Buffer
		code := command.Main(t.Context(), command.Process{Args: []string{"serve", "--config", path}, Stdout: &out, Stderr: &errs})
		want(t, text, code, command.ExitUsage, errs.String(), append(wants, path)...)
		if strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%s: more than a line:\n%s", text, errs.String())
		}
	}
}

func TestAFlagWinsOverTheConfigFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jobd.yaml")
	write(t, path, "retention: 1h\nlisten: 127.0.0.1:1\n")
	var out, errs bytes.Buffer
	code := command.Main(t.Context(), command.Process{Args: []string{"serve", "--config", path, "--retention", "x"}, Stdout: &out, Stderr: &errs})
	want(t, "the flag", code, command.ExitUsage, errs.String(), "--retention")
	if strings.Contains(errs.String(), "line 1") {
		t.Errorf("the file is blamed:\n%s", errs.String())
	}
}

func TestSizesAreChecked(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--queue", "0"}, {"--max-frame", "-1"}, {"--queue", "99999999999"}} {
		var out, errs bytes.Buffer
		args = append([]string{"serve", "--salt-config-dir", t.TempDir()}, strings.Join(args, "="))
		code := command.Main(t.Context(), command.Process{Args: args, Stdout: &out, Stderr: &errs})
		want(t, args[len(args)-1], code, command.ExitUsage, errs.String(), strings.Split(args[len(args)-1], "=")[0], "MiB")
	}
}

func TestEachCommandTeaches(t *testing.T) {
	t.Parallel()
	for line, wants := range map[string][]string{
		"serve": {"Examples:", "--tls-cert", "SIGTERM"}, "token create": {"Examples:", "sudo -u jobd"}, "token list": {"--database"}, "token revoke": {"token's id"},
		"run": {"Examples:", "NAME=VALUE", "first Ctrl-C cancels", "--on-interrupt detach", "4 not known", "--wait-between", "--canary-hold"}, "runs": {"--active", "Examples:", "pre_actions", "cut -f1"}, "show": {"--returns", "The exit", "Examples:"}, "cancel": {"exit code", "--grace", "--[no-]wait", "Examples:"},
		"pause": {"jobd show --watch", "Example:"}, "resume": {"canary", "Example:"}, "retry": {"--outcome", "Examples:", "Ctrl-C", "exit code"},
		"check": {"exit code", "Nothing is changed"}, "drift": {"No minion is asked"}, "version": {"version"},
	} {
		var out, errs bytes.Buffer
		code := command.Main(t.Context(), command.Process{Args: append(strings.Fields(line), "--help"), Stdout: &out, Stderr: &errs})
		want(t, line, code, command.ExitOK, out.String(), wants...)
	}
}
