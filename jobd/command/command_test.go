package command_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

// jobd runs the command line and returns what it prints.
func jobd(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = command.Main(t.Context(), command.Process{Version: "1.2.3", Args: args, Stdout: &out, Stderr: &errs})
	return code, out.String(), errs.String()
}

func TestWithoutACommandItTeaches(t *testing.T) {
	code, out, _ := jobd(t)
	if code != command.ExitOK || !strings.Contains(out, "Exit codes") || !strings.Contains(out, "drift") {
		t.Errorf("exit code %d, printed:\n%s", code, out)
	}
}

func TestVersionIsTheBuilds(t *testing.T) {
	if code, out, _ := jobd(t, "version"); code != command.ExitOK || out != "jobd 1.2.3\n" {
		t.Errorf("exit code %d, printed %q", code, out)
	}
}

func TestAWrongCommandLineSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown flag", []string{"serve", "--lisen", "x"}, "--lisen"},
		{"a role that is none", []string{"token", "create", "--role", "boss"}, "boss"},
		{"an amount that is none", []string{"run", "test.ping", "-t", "*", "--batch", "10 %%"}, "10 %%"},
		{"a duration that is none", []string{"run", "test.ping", "-t", "*", "--timeout", "5"}, "30s"},
		{"no target", []string{"run", "test.ping"}, "--target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, errs := jobd(t, c.args...)
			if code != command.ExitUsage || !strings.Contains(errs, c.want) {
				t.Errorf("exit code %d, printed:\n%s", code, errs)
			}
		})
	}
}

func TestWithoutATokenAClientCommandSaysHowToGetOne(t *testing.T) {
	t.Setenv("GAEA_TOKEN", "")
	code, _, errs := jobd(t, "runs")
	if code != command.ExitFailed || !strings.Contains(errs, "jobd token create") {
		t.Errorf("exit code %d, printed:\n%s", code, errs)
	}
}

func TestAConfigKeyThatIsNoSettingIsRefusedWithItsLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobd.yaml")
	write(t, path, "listen: 127.0.0.1:7781\nretension: 1h\n")
	code, _, errs := jobd(t, "serve", "--config", path)
	if code != command.ExitUsage || !strings.Contains(errs, "line 2") || !strings.Contains(errs, "retension") {
		t.Errorf("exit code %d, printed:\n%s", code, errs)
	}
}

func TestTheSampleConfigIsTakenWhole(t *testing.T) {
	sample, err := os.ReadFile(filepath.Join("..", "..", "dist", "jobd.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// With every commented setting on, too: the sample documents them all. The directories are the test's own.
	dir := t.TempDir()
	text := strings.NewReplacer("# tls_", "tls_", "# salt_user", "salt_user", "# master_name", "master_name", "# key_file", "key_file",
		"/var/lib/jobd", dir, "/etc/salt", filepath.Join(dir, "no-salt")).Replace(string(sample))
	path := filepath.Join(dir, "jobd.yaml")
	write(t, path, text)
	code, _, errs := jobd(t, "serve", "--config", path)
	if code != command.ExitFailed || !strings.Contains(errs, "/etc/jobd/tls.crt") {
		t.Errorf("the sample should fail for its certificate alone; exit code %d, printed:\n%s", code, errs)
	}
}

func TestTheSampleConfigNamesEverySetting(t *testing.T) {
	sample, err := os.ReadFile(filepath.Join("..", "..", "dist", "jobd.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, help, _ := jobd(t, "serve", "--help")
	for _, flag := range regexp.MustCompile(`(?m)^ +(?:-h, +)?--([a-z-]+)`).FindAllStringSubmatch(help, -1) {
		key := strings.ReplaceAll(flag[1], "-", "_")
		if key == "help" || key == "config" {
			continue
		}
		setting := regexp.MustCompile(`(?m)^(# )?` + key + `: `)
		if kind, of := strings.CutPrefix(key, "retention_"); of {
			setting = regexp.MustCompile(`(?m)^# retention: \{.*\b` + kind + `: `)
		}
		if !setting.Match(sample) {
			t.Errorf("dist/jobd.yaml does not name %s", key)
		}
	}
}

func TestAListenerThatIsNotLoopbackNeedsTLS(t *testing.T) {
	code, _, errs := jobd(t, "serve", "--listen", "0.0.0.0:7780", "--salt-config-dir", t.TempDir())
	if code != command.ExitFailed || !strings.Contains(errs, "--tls-cert") {
		t.Errorf("exit code %d, printed:\n%s", code, errs)
	}
}

func TestAMasterThatIsNotThereIsNamedByItsPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nowhere")
	code, _, errs := jobd(t, "serve", "--listen", "127.0.0.1:0", "--salt-config-dir", dir, "--database", "sqlite://"+filepath.Join(t.TempDir(), "jobd.db"))
	if code != command.ExitFailed || !strings.Contains(errs, dir) {
		t.Errorf("exit code %d, printed:\n%s", code, errs)
	}
}

func TestADatabaseThatJobdDoesNotKnowIsRefused(t *testing.T) {
	for database, want := range map[string]string{
		"postgres://127.0.0.1:1/jobd": "does not answer", "jobd.db": "sqlite:///", "sqlite://jobd.db": "three slashes", "mysql://x/y": "mysql",
	} {
		code, _, errs := jobd(t, "token", "list", "--database", database)
		if code != command.ExitFailed || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, printed:\n%s", database, code, errs)
		}
	}
}

func TestATokenIsMadeShownOnceListedAndRevoked(t *testing.T) {
	database := "sqlite://" + filepath.Join(t.TempDir(), "new", "jobd.db")
	code, _, errs := jobd(t, "token", "list", "--database", database)
	want(t, "a database that is not there", code, command.ExitFailed, errs, "new/jobd.db", "--config")
	code, token, errs := jobd(t, "token", "create", "--role", "plan", "--name", "ci", "--database", database)
	if code != command.ExitOK || strings.TrimSpace(token) == "" || !strings.Contains(errs, "it was made now") {
		t.Fatalf("exit code %d, printed:\n%s", code, errs)
	}
	_, list, _ := jobd(t, "token", "list", "--database", database, "-o", "tsv")
	lines := strings.Split(strings.TrimSpace(list), "\n")
	if len(lines) != 2 || strings.Contains(list, strings.TrimSpace(token)) {
		t.Fatalf("listed:\n%s", list)
	}
	cells := strings.Split(lines[1], "\t")
	if cells[1] != "ci" || cells[2] != "plan" || cells[4] != "never" {
		t.Errorf("listed %q", cells)
	}
	if code, _, errs := jobd(t, "token", "revoke", cells[0], "--database", database); code != command.ExitOK {
		t.Errorf("revoke: exit code %d, printed:\n%s", code, errs)
	}
	if _, list, _ = jobd(t, "token", "list", "--database", database, "-o", "tsv"); strings.Contains(list, "plan") {
		t.Errorf("after the revocation:\n%s", list)
	}
}

func TestTheEndOfTheContextIsNoPanic(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.Setenv("GAEA_TOKEN", "gaea_x")
	var out, errs bytes.Buffer
	if code := command.Main(ctx, command.Process{Args: []string{"runs", "--endpoint", "http://127.0.0.1:1"}, Stdout: &out, Stderr: &errs}); code != command.ExitFailed {
		t.Errorf("exit code %d", code)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
