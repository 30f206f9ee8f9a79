package saltlab_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

func TestEveryMinionAnswersAndHasItsRole(t *testing.T) {
	lab := saltlab.Get(t)
	want := map[string]any{"web1": "web", "web2": "web", "db1": "db"}
	if got := salt(t, lab, "*", "grains.get", "role"); !maps.Equal(got, want) {
		t.Errorf("roles are %v, want %v", got, want)
	}
}

func TestTheVersionIsTheOneAskedFor(t *testing.T) {
	lab := saltlab.Get(t)
	want := os.Getenv("SALT_VERSION")
	if want == "" {
		want = saltlab.DefaultVersion
	}
	if got := salt(t, lab, "web1", "test.version")["web1"]; got != want || lab.Version() != want {
		t.Errorf("the minion has version %v and the lab says %s, want %s", got, lab.Version(), want)
	}
}

func TestStatesAndPillarAreServedInPlace(t *testing.T) {
	lab := saltlab.Get(t)
	write(t, "greeting: hello\n", lab.PillarDir(), "greeting.sls")
	write(t, "base:\n  '*':\n    - greeting\n", lab.PillarDir(), "top.sls")
	write(t, `
motd:
  file.managed:
    - name: {{ grains.lab_root }}/motd
    - contents: {{ pillar.greeting }} from {{ grains.id }}
stamp:
  cmd.run:
    - name: echo ran > {{ grains.lab_root }}/stamp
`, lab.StatesDir(), "motd.sls")

	salt(t, lab, "web*", "state.apply", "motd")
	for _, id := range []string{"web1", "web2"} {
		if got, want := read(t, lab.MinionRoot(id), "motd"), "hello from "+id+"\n"; got != want {
			t.Errorf("%s has motd %q, want %q", id, got, want)
		}
		if got := read(t, lab.MinionRoot(id), "stamp"); got != "ran\n" {
			t.Errorf("%s has stamp %q", id, got)
		}
	}
	if _, err := os.Stat(filepath.Join(lab.MinionRoot("db1"), "motd")); err == nil {
		t.Error("db1 was not a target and has a motd")
	}

	// Both a changed file and a new one are used in the next moment.
	write(t, "farewell:\n  file.managed:\n    - name: {{ grains.lab_root }}/farewell\n    - source: salt://files/farewell\n", lab.StatesDir(), "motd.sls")
	write(t, "goodbye\n", lab.StatesDir(), "files", "farewell")
	salt(t, lab, "web1", "state.apply", "motd")
	if got := read(t, lab.MinionRoot("web1"), "farewell"); got != "goodbye\n" {
		t.Errorf("web1 has farewell %q", got)
	}
	write(t, "so long\n", lab.StatesDir(), "files", "farewell")
	salt(t, lab, "web1", "state.apply", "motd")
	if got := read(t, lab.MinionRoot("web1"), "farewell"); got != "so long\n" {
		t.Errorf("web1 has farewell %q", got)
	}
}

func TestTheAPITakesTheLabsUser(t *testing.T) {
	lab := saltlab.Get(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	form := url.Values{
		"username": {lab.APIUser()}, "password": {lab.APIPassword()}, "eauth": {lab.APIEauth()},
		"client": {"local"}, "tgt": {"web1"}, "fun": {"test.ping"},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, lab.APIURL()+"/run", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Return []map[string]any }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || len(answer.Return) != 1 || answer.Return[0]["web1"] != true {
		t.Errorf("salt-api answered %s %v", response.Status, answer)
	}
}

func TestRunnersAndSaltCallWork(t *testing.T) {
	lab := saltlab.Get(t)
	out, err := lab.SaltRun(t.Context(), "manage.up", "--out=json")
	if err != nil {
		t.Fatal(err)
	}
	var up []string
	if err := json.Unmarshal(out, &up); err != nil {
		t.Fatal(err)
	}
	slices.Sort(up)
	if want := []string{"db1", "web1", "web2"}; !slices.Equal(up, want) {
		t.Errorf("manage.up says %v, want %v", up, want)
	}
	if out, err = lab.SaltCall(t.Context(), "db1", "grains.get", "id", "--out=json"); err != nil {
		t.Fatal(err)
	}
	var called map[string]string
	if err := json.Unmarshal(out, &called); err != nil || called["local"] != "db1" {
		t.Errorf("salt-call on db1 says its id is %q", out)
	}
}

func TestAFailedCommandTellsItsExitCodeAndKeepsItsOutput(t *testing.T) {
	lab := saltlab.Get(t)
	out, err := lab.Salt(t.Context(), "nobody", "test.ping")
	var exit *saltlab.ExitError
	if !errors.As(err, &exit) || exit.Code == 0 || exit.Command != "salt nobody test.ping" {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(string(out), "No minions matched") {
		t.Errorf("the output is %q", out)
	}
}

func TestACommandEndsWithItsContext(t *testing.T) {
	lab := saltlab.Get(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := lab.Salt(ctx, "web1", "cmd.run", "sleep 3141", "--timeout=3141")
		ended <- err
	}()
	eventually(t, 30*time.Second, "the minion sleeps", func() bool { return sleeping(t, lab.Dir()) })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if left := processesOf(t, lab.Dir(), "--timeout=3141"); len(left) > 0 {
		t.Errorf("the command is still there: %v", left)
	}

	// The job goes on, as it does when a person ends the command. It ends with its minion: Salt has put it into a
	// session of its own, where no signal to the minion's group finds it.
	if !sleeping(t, lab.Dir()) {
		t.Error("the job has ended with the command")
	}
	if err := lab.StopMinion(t.Context(), "web1"); err != nil {
		t.Fatal(err)
	}
	if sleeping(t, lab.Dir()) {
		t.Error("the job has not ended with its minion")
	}
	if err := lab.StartMinion(t.Context(), "web1"); err != nil {
		t.Fatal(err)
	}
}

// sleeping says whether a minion of the lab in this directory runs the command that some tests give it.
func sleeping(t *testing.T, dir string) bool {
	t.Helper()
	for _, command := range processesOf(t, dir, "sleep 3141") {
		if strings.HasPrefix(command, "sleep 3141") {
			return true
		}
	}
	return false
}

func TestAMinionIsStoppedAndStarted(t *testing.T) {
	lab := saltlab.Get(t)
	ends := map[string]func(context.Context, string) error{"stopped": lab.StopMinion, "killed": lab.KillMinion}
	for how, end := range ends {
		if err := end(t.Context(), "db1"); err != nil {
			t.Fatal(err)
		}
		if left := processesOf(t, lab.Dir(), "minions/db1/"); len(left) > 0 {
			t.Errorf("db1 was %s and has processes: %v", how, left)
		}
		if got := salt(t, lab, "*", "test.ping"); got["db1"] == true || got["web1"] != true || got["web2"] != true {
			t.Errorf("db1 was %s and a ping says %v", how, got)
		}
		if err := lab.StartMinion(t.Context(), "db1"); err != nil {
			t.Fatal(err)
		}
		if got := salt(t, lab, "db1", "test.ping"); got["db1"] != true {
			t.Errorf("db1 was %s and started, and a ping says %v", how, got)
		}
	}
	if err := lab.StopMinion(t.Context(), "db9"); err == nil || !strings.Contains(err.Error(), `"db9"`) {
		t.Errorf("the error for a minion that is not there is %v", err)
	}
}

func TestAMasterIsRestartedAndFindsItsMinions(t *testing.T) {
	lab := saltlab.Get(t)
	before := processesOf(t, lab.Dir(), "salt-master")
	if err := lab.RestartMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	for pid, command := range processesOf(t, lab.Dir(), "salt-master") {
		if before[pid] != "" {
			t.Errorf("process %d is as old as the first master: %s", pid, command)
		}
	}
	if got := salt(t, lab, "*", "test.ping"); len(got) != 3 {
		t.Errorf("a ping after the restart says %v", got)
	}
	if err := lab.KillMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if connection, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(lab.RequestPort()))); err == nil {
		connection.Close()
		t.Error("the master was killed and its request port is open")
	}
	if err := lab.StartMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := salt(t, lab, "*", "test.ping"); len(got) != 3 {
		t.Errorf("a ping after the kill and start says %v", got)
	}
}

func TestTheAPIIsStoppedAndStarted(t *testing.T) {
	lab := saltlab.Get(t)
	if err := lab.StopAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(lab.APIURL(), "http://")
	if connection, err := net.Dial("tcp", address); err == nil {
		connection.Close()
		t.Error("salt-api was stopped and its port is open")
	}
	if err := lab.StartAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	connection.Close()
}

func TestLogsTellOfEachDaemon(t *testing.T) {
	logs := saltlab.Get(t).Logs()
	for _, name := range []string{"master.log", "api.log", "minion-web1.log", "minion-web2.log", "minion-db1.log"} {
		if !strings.Contains(logs, "the end of "+name) {
			t.Errorf("the logs lack %s", name)
		}
	}
}
