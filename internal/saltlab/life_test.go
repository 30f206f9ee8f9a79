package saltlab_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

func TestTwoLabsWorkAtOnceAndLeaveNothing(t *testing.T) {
	var labs [2]*saltlab.Lab
	var errs [2]error
	var wait sync.WaitGroup
	for i := range labs {
		wait.Go(func() {
			labs[i], errs[i] = saltlab.Start(t.Context(), saltlab.Config{MinionIDs: []string{"only"}, NoAPI: true})
		})
	}
	wait.Wait()
	for i, lab := range labs {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		t.Cleanup(func() { _ = lab.Stop() })
	}
	for _, lab := range labs {
		got := salt(t, lab, "*", "grains.get", "lab_root")
		if len(got) != 1 || got["only"] != lab.MinionRoot("only") {
			t.Errorf("the lab in %s answers %v", lab.Dir(), got)
		}
	}
	for range 2 {
		for _, lab := range labs {
			if err := lab.Stop(); err != nil {
				t.Fatal(err)
			}
			nothingLeft(t, lab.Dir())
		}
	}
	if _, err := labs[0].Salt(t.Context(), "*", "test.ping"); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("a command after the stop: %v", err)
	}
}

func TestAGivenDirectoryIsKeptAndUsedOnce(t *testing.T) {
	dir := shortDir(t)
	cfg := saltlab.Config{Dir: dir, MinionIDs: []string{}, NoAPI: true, PublisherACL: []string{"nobody"}}
	lab, err := saltlab.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(lab.CacheDir(), ".nobody_key")); err != nil {
		t.Errorf("the master has made no key for the user of publisher_acl: %v", err)
	}
	if err := lab.Stop(); err != nil {
		t.Fatal(err)
	}
	if left := processesOf(t, dir, ""); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if !strings.Contains(lab.Logs(), "the end of master.log") {
		t.Error("the logs are gone")
	}
	if _, err := saltlab.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "holds a lab already") {
		t.Errorf("a second lab in the same directory: %v", err)
	}
}

func TestAStartThatFailsShowsTheLogAndLeavesNothing(t *testing.T) {
	rows := map[string]struct {
		cfg  saltlab.Config
		want []string
	}{
		"a master that ends": {
			cfg:  saltlab.Config{MinionIDs: []string{}, NoAPI: true, MasterConfig: map[string]any{"user": "gaea-has-no-such-user"}},
			want: []string{"master ended with exit code", "the end of master.log", "gaea-has-no-such-user"},
		},
		"a minion that never answers": {
			cfg:  saltlab.Config{MinionIDs: []string{"lost"}, NoAPI: true, MinionConfig: map[string]any{"master_port": 1}},
			want: []string{"no answer from lost", "the end of master.log", "the end of minion-lost.log"},
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			t.Setenv("TMPDIR", dir)
			// The second row is given up when there is something to show.
			ctx, cancel := context.WithCancel(t.Context())
			var watch sync.WaitGroup
			watch.Go(func() { cancelWhenLogged(ctx, cancel, dir, "master.log", "minion-lost.log") })
			_, err := saltlab.Start(ctx, row.cfg)
			cancel()
			watch.Wait()
			if err == nil {
				t.Fatal("the lab has started")
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
			if left := processesOf(t, dir, ""); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("files are left: %v, %v", entries, err)
			}
		})
	}
}

// cancelWhenLogged cancels when each of these logs of the lab below a directory has text.
func cancelWhenLogged(ctx context.Context, cancel context.CancelFunc, dir string, names ...string) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		full := 0
		for _, name := range names {
			logs, _ := filepath.Glob(filepath.Join(dir, "gsl-*", "logs", name)) // the pattern is a right one
			for _, log := range logs {
				if info, err := os.Stat(log); err == nil && info.Size() > 0 {
					full++
				}
			}
		}
		if full == len(names) {
			cancel()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func TestALongTemporaryDirectoryIsNotUsedAndALongDirIsRefused(t *testing.T) {
	long := filepath.Join(shortDir(t), strings.Repeat("long", 20))
	if err := os.Mkdir(long, 0o750); err != nil {
		t.Fatal(err)
	}
	_, err := saltlab.Start(t.Context(), saltlab.Config{Dir: long})
	if err == nil || !strings.Contains(err.Error(), "too long") || !strings.Contains(err.Error(), long) {
		t.Errorf("the error for a long directory is %v", err)
	}
	t.Setenv("TMPDIR", long)
	lab, err := saltlab.Start(t.Context(), saltlab.Config{MinionIDs: []string{}, NoAPI: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Stop(); err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(lab.Dir(), long) {
		t.Errorf("the lab was in %s", lab.Dir())
	}
}

func TestAWrongConfigurationIsRefusedByName(t *testing.T) {
	rows := []struct {
		cfg  saltlab.Config
		want string
	}{
		{saltlab.Config{Minions: -1}, "Config.Minions is -1"},
		{saltlab.Config{Minions: 2, MinionIDs: []string{"a"}}, "Config.Minions is 2 but MinionIDs names 1"},
		{saltlab.Config{MinionIDs: []string{"a/b"}}, `"a/b"`},
		{saltlab.Config{MinionIDs: []string{"a", "a"}}, `names "a" twice`},
		{saltlab.Config{States: "testdata/nowhere"}, "Config.States"},
		{saltlab.Config{Pillar: "doc.go"}, "not a directory"},
		{saltlab.Config{Version: "3008.3; true"}, "is not a Salt version"},
		{saltlab.Config{MinionIDs: []string{strings.Repeat("long", 30)}}, "an id is too long"},
	}
	for _, row := range rows {
		if _, err := saltlab.Start(t.Context(), row.cfg); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: the error is %v, which lacks %q", row.cfg, err, row.want)
		}
	}
}

func TestTheCommandTellsHowToReachTheLabAndStopsItOnSIGTERM(t *testing.T) {
	command := start(t, build(t, "./cmd/saltlab"), "--minions=1", "--json="+filepath.Join(t.TempDir(), "facts"))
	facts := command.facts(t)
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", facts.Salt+" web1 test.ping --out=txt").Output(); err != nil || string(out) != "web1: True\n" {
		t.Errorf("%s says %q, %v", facts.Salt, out, err)
	}
	command.signal(t, syscall.SIGTERM)
	if code := command.end(t); code != 0 {
		t.Errorf("the command's exit code is %d:\n%s", code, command.said())
	}
	for _, want := range []string{facts.Salt, facts.ConfigDir, facts.APIURL, facts.APIPassword, "stopping Salt"} {
		if !strings.Contains(command.said(), want) {
			t.Errorf("the command did not print %q", want)
		}
	}
	if left := processesOf(t, facts.Dir, ""); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	nothingLeft(t, facts.Dir)
}

func TestNothingIsLeftWhenTheOwnerIsKilled(t *testing.T) {
	command := start(t, build(t, "./cmd/saltlab"), "--minions=1", "--json="+filepath.Join(t.TempDir(), "facts"))
	facts := command.facts(t)
	if _, err := exec.CommandContext(t.Context(), "sh", "-c", facts.Salt+" web1 cmd.run 'sleep 3141' --async").Output(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "the minion sleeps", func() bool { return sleeping(t, facts.Dir) })
	command.signal(t, syscall.SIGKILL)
	command.end(t)
	nothingLeft(t, facts.Dir)
}

func TestNothingIsLeftWhenTheOwnerIsKilledDuringTheStart(t *testing.T) {
	binary := build(t, "./cmd/saltlab")
	dir := shortDir(t)
	t.Setenv("TMPDIR", dir)
	command := start(t, binary)
	eventually(t, 30*time.Second, "a minion runs", func() bool { return len(processesOf(t, dir, "salt-minion")) > 0 })
	command.signal(t, syscall.SIGKILL)
	command.end(t)
	eventually(t, 30*time.Second, "everything has ended", func() bool {
		labs, err := filepath.Glob(filepath.Join(dir, "gsl-*"))
		return err == nil && len(labs) == 0 && len(processesOf(t, dir, "")) == 0
	})
}

func TestASuiteStopsItsLab(t *testing.T) {
	suite := build(t, "./testdata/suite")
	t.Run("after a test that fails, whose log shows the daemons'", func(t *testing.T) {
		command := start(t, suite, "-test.v", "-test.run=^TestFails$")
		if code := command.end(t); code != 1 {
			t.Errorf("the exit code is %d", code)
		}
		for _, want := range []string{"this test fails", "Salt is ready", "the end of master.log", "the end of minion-web1.log"} {
			if !strings.Contains(command.said(), want) {
				t.Errorf("the tests did not print %q:\n%s", want, command.said())
			}
		}
		nothingLeft(t, command.lab(t))
	})
	t.Run("after a test that panics", func(t *testing.T) {
		command := start(t, suite, "-test.v", "-test.run=^TestPanics$")
		if code := command.end(t); code != 2 {
			t.Errorf("the exit code is %d", code)
		}
		nothingLeft(t, command.lab(t))
	})
	t.Run("on SIGINT", func(t *testing.T) {
		command := start(t, suite, "-test.v", "-test.run=^TestWaits$")
		dir := command.lab(t)
		command.signal(t, syscall.SIGINT)
		if code := command.end(t); code != 130 {
			t.Errorf("the exit code is %d", code)
		}
		nothingLeft(t, dir)
	})
	t.Run("which no test asked for, so there is none", func(t *testing.T) {
		dir := shortDir(t)
		t.Setenv("TMPDIR", dir)
		command := start(t, suite, "-test.v", "-test.run=^TestNeedsNoLab$")
		if code := command.end(t); code != 0 || strings.Contains(command.said(), "Salt") {
			t.Errorf("exit code %d:\n%s", code, command.said())
		}
	})
}

func TestNothingIsLeftWhenTheKeeperIsKilled(t *testing.T) {
	lab, err := saltlab.Start(t.Context(), saltlab.Config{MinionIDs: []string{}, NoAPI: true})
	if err != nil {
		t.Fatal(err)
	}
	for pid := range processesOf(t, lab.Dir(), "keeper.py") {
		if parentOf(t, pid) == os.Getpid() {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, 30*time.Second, "the master has ended", func() bool { return len(processesOf(t, lab.Dir(), "")) == 0 })
	if err := lab.Stop(); err != nil {
		t.Error(err)
	}
	nothingLeft(t, lab.Dir())
}
