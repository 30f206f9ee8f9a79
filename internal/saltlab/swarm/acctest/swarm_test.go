// Package acctest_test tries a swarm on the master of a real Salt, which is the judge of whether it speaks the protocol.
package acctest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// minions is how many the tests here run.
const minions = 30

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(suite{saltlab.NewSuite(m, saltlab.Config{
		MinionIDs: []string{}, NoAPI: true,
		// How long the salt command waits for minions that are silent or down: 15 s by default.
		MasterConfig: map[string]any{"timeout": 2, "gather_job_timeout": 2},
	})}, goleak.Cleanup(os.Exit))
}

// suite ends the swarm that the tests share.
type suite struct{ *saltlab.Suite }

func (s suite) Run() int {
	code := s.Suite.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.swarm != nil {
		shared.swarm.Stop()
	}
	return code
}

var shared struct {
	sync.Mutex
	swarm *swarm.Swarm
}

// get returns the lab and the swarm that the tests share, with minions that answer everything at once.
func get(t *testing.T) (*saltlab.Lab, *swarm.Swarm) {
	t.Helper()
	lab := saltlab.Get(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.swarm == nil {
		s, err := swarm.Start(t.Context(), swarm.Options{Master: fmt.Sprintf("127.0.0.1:%d", lab.RequestPort()), Config: swarm.Config{
			Minions: minions, Seed: 1, Highstate: []string{"motd"},
			States: map[string][]swarm.State{"motd": {{ID: "/etc/motd", Function: "file.managed"}}},
			Groups: []swarm.Group{{Match: "sim-000?", Grains: map[string]any{"role": "web", "app": map[string]any{"tier": "front"}}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		shared.swarm = s
		accepted(t, s)
	}
	return lab, shared.swarm
}

func accepted(t *testing.T, s *swarm.Swarm) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := s.Accepted(ctx); err != nil {
		t.Fatal(err)
	}
}

// salt runs the salt command and returns what each minion answered.
func salt(t *testing.T, lab *saltlab.Lab, args ...string) map[string]any {
	t.Helper()
	out, err := lab.Salt(t.Context(), append(args, "--out=json", "--static")...)
	var exit *saltlab.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	_, object, _ := bytes.Cut(out, []byte("{")) // 3006 complains before it of one that answers twice
	answers := map[string]any{}
	if err := json.Unmarshal(append([]byte("{"), object...), &answers); err != nil {
		t.Fatalf("salt %q printed %q: %v", args, out, err)
	}
	return answers
}

// all fails the test unless so many minions answered, each with want.
func all(t *testing.T, answers map[string]any, count int, want any) {
	t.Helper()
	wrong := 0
	for _, got := range answers {
		if got != want {
			wrong++
		}
	}
	if len(answers) != count || wrong > 0 {
		t.Errorf("%d of %d minions answered, %d of them wrong: %.500v", len(answers), count, wrong, answers)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestAMasterTakesASwarmForMinions(t *testing.T) {
	lab, s := get(t)
	all(t, salt(t, lab, "*", "test.ping"), minions, true)
	all(t, salt(t, lab, "-G", "role:web", "test.echo", "grüße"), 9, "grüße")
	all(t, salt(t, lab, "-C", "G@app:tier:fr* and not sim-0001 or L@sim-0029", "test.ping"), 9, true)
	all(t, salt(t, lab, "-E", "sim-00[12].", "test.ping"), 20, true)
	all(t, salt(t, lab, "-L", "sim-0003,sim-0004", "test.ping"), 2, true)

	for id, grains := range salt(t, lab, "sim-0005", "grains.items") {
		if g := asMap(grains); g["id"] != id || g["role"] != "web" {
			t.Errorf("the grains of %s are %v", id, g)
		}
	}
	if stats := s.Stats(); stats.Refused != 0 || stats.ReturnsLost != 0 {
		t.Errorf("the swarm says %+v", stats)
	}
}

func TestStatesDriftAndAreRepaired(t *testing.T) {
	lab, s := get(t)
	states := func(args ...string) (would, did, fine int) {
		for id, answer := range salt(t, lab, append([]string{"*"}, args...)...) {
			state := asMap(asMap(answer)["file_|-/etc/motd_|-/etc/motd_|-managed"])
			switch changes := len(asMap(state["changes"])); {
			case state["result"] == nil && changes > 0:
				would++
			case state["result"] == true && changes > 0:
				did++
			case state["result"] == true:
				fine++
			default:
				t.Errorf("%s says %v", id, state)
			}
		}
		return would, did, fine
	}
	for _, id := range s.IDs() {
		if err := s.Drift(id, "/etc/motd"); err != nil {
			t.Fatal(err)
		}
	}
	if would, did, fine := states("state.apply", "motd", "test=True"); would != minions {
		t.Errorf("in test mode %d would change, %d changed, %d are in order", would, did, fine)
	}
	if _, did, fine := states("state.apply"); did != minions {
		t.Errorf("the highstate changed %d, and %d are in order", did, fine)
	}
	if err := s.Drift("sim-0007", "/etc/motd"); err != nil {
		t.Fatal(err)
	}
	if would, _, fine := states("state.highstate", "test=True"); would != 1 || fine != minions-1 {
		t.Errorf("after a drift %d would change, %d are in order", would, fine)
	}
}

func TestJobsAreFoundAndKilled(t *testing.T) {
	lab, s := get(t)
	out, err := lab.Salt(t.Context(), "sim-0001", "test.sleep", "120", "--async", "--out=txt")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(out))
	jid := words[len(words)-1]
	eventually(t, "the minion runs "+jid, func() bool { return s.Trace(jid)["sim-0001"].Told == 1 })
	found := asMap(salt(t, lab, "sim-0001", "saltutil.find_job", jid)["sim-0001"])
	if found["fun"] != "test.sleep" || found["jid"] != jid {
		t.Errorf("find_job says %v", found)
	}
	if said := asText(salt(t, lab, "sim-0001", "saltutil.kill_job", jid)["sim-0001"]); !strings.HasPrefix(said, "Signal 9 sent to job "+jid) {
		t.Errorf("kill_job says %q", said)
	}
	if trace := s.Trace(jid)["sim-0001"]; trace != (swarm.Trace{Told: 1, Killed: 1}) {
		t.Errorf("the job's trace is %+v", trace)
	}
}

func TestEventsBeaconsAndCallsReachTheBus(t *testing.T) {
	lab, s := get(t)
	bus := listen(t, lab)
	jid, err := s.Call(t.Context(), "sim-0002", "test.echo", "by itself")
	if err := errors.Join(err, s.Beacon(t.Context(), "sim-0002", "load", map[string]any{"1m": 2.5}),
		s.Fire(t.Context(), "sim-0002", "my/tag", map[string]any{"k": 1}), s.Down("sim-0002")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is down", func() bool { return s.Stats().Connected == minions-1 })
	if err := s.Up("sim-0002"); err != nil {
		t.Fatal(err)
	}
	ret := "salt/job/" + jid + "/ret/sim-0002"
	for _, tag := range []string{ret, "salt/beacon/sim-0002/load/", "my/tag", "salt/minion/sim-0002/start"} {
		eventually(t, "the bus carries "+tag, func() bool { return len(bus.with(tag)) == 1 })
	}
	call := bus.with(ret)[0]
	if _, said := call["success"]; said || call["return"] != "by itself" || call["id"] != "sim-0002" || call["fun"] != "test.echo" || call["tgt_type"] != "glob" {
		t.Errorf("the call is told as %v", call)
	}
	if published := bus.with("salt/job/" + jid + "/new"); len(published) > 0 {
		t.Errorf("a call is published by nobody, and the bus has %v", published)
	}
	if beacon := bus.with("salt/beacon/sim-0002/load/")[0]; beacon["id"] != "sim-0002" || beacon["1m"] != 2.5 {
		t.Errorf("the beacon is %v", beacon)
	}
	if event := bus.with("my/tag")[0]; event["id"] != "sim-0002" || asMap(event["data"])["k"] != 1.0 {
		t.Errorf("the event is %v", event)
	}
	out, err := lab.SaltRun(t.Context(), "jobs.lookup_jid", jid, "--out=json")
	if err != nil || !strings.Contains(string(out), "by itself") {
		t.Errorf("the job cache says %q of the call, %v", out, err)
	}
}

func TestOddMinionsAreOddInTheWayThatIsSaid(t *testing.T) {
	lab, s := get(t)
	for id, odd := range map[string]swarm.Behaviour{
		"sim-0011": {Down: true}, "sim-0012": {Silent: true}, "sim-0013": {Twice: true}, "sim-0014": {Hostile: swarm.HostileMarkup},
		"sim-0015": {Clock: -2 * time.Hour}, "sim-0016": {Huge: 300_000},
	} {
		if err := s.Behave(id, odd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(s.Behave(id), s.Up(id)); err != nil {
				t.Error(err)
			}
		})
	}
	answers := salt(t, lab, "sim-001?", "test.ping")
	for _, id := range []string{"sim-0011", "sim-0012"} {
		if answers[id] == true {
			t.Errorf("%s answers", id)
		}
	}
	for _, id := range []string{"sim-0010", "sim-0013", "sim-0015", "sim-0017"} {
		if answers[id] != true {
			t.Errorf("%s answers %v", id, answers[id])
		}
	}
	if text, _ := answers["sim-0014"].(string); !strings.HasPrefix(text, "<script>") {
		t.Errorf("the hostile return is %q", text)
	}
	if text, _ := answers["sim-0016"].(string); len(text) != 300_000 {
		t.Errorf("the huge return has %d bytes", len(text))
	}
	if err := s.Up("sim-0011"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is up", func() bool { return s.Stats().Connected == minions })
	all(t, salt(t, lab, "sim-0011", "test.ping"), 1, true)
}

// A master that starts again makes new keys in 3006 and keeps them in 3008.
func TestASwarmOutlivesItsMasterAndFollowsItsKeys(t *testing.T) {
	lab, s := get(t)
	all(t, salt(t, lab, "*", "test.ping"), minions, true)
	before := s.Stats().SignIns
	if err := lab.RestartMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are back", func() bool { return s.Stats().Connected == minions && s.Stats().SignIns >= before+minions })
	all(t, salt(t, lab, "*", "test.ping"), minions, true)
}
