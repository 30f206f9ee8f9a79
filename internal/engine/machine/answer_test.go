package machine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine/machine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// drive is a machine with what it gave out, for tests that say step by step what happens.
type drive struct {
	t       testing.TB
	m       *machine.Machine
	now     time.Time
	effects []machine.Effect
}

func newDrive(t testing.TB, function string) *drive {
	return driveRun(t, &gaea.Run{Function: function, Target: gaea.ListTarget([]string{"web1"})})
}

// driveRun begins a new run.
func driveRun(t testing.TB, run *gaea.Run) *drive {
	run.ID, run.Status, run.Created = "run-1", gaea.RunQueued, epoch
	if run.Call == nil {
		run.Call = &gaea.Call{Function: run.Function}
	}
	n := 0
	jids := func(time.Time) string {
		n++
		return fmt.Sprintf("2026112301450%07d", n)
	}
	d := &drive{t: t, now: epoch, m: machine.New(run, jids, func(string) time.Time { return time.Time{} })}
	d.step(machine.Begin{})
	return d
}

// restart goes on with the run as another process would, with job ids of its own.
func (d *drive) restart() {
	n := 0
	jids := func(time.Time) string {
		n++
		return fmt.Sprintf("2026112302450%07d", n)
	}
	d.m = machine.New(copyOf(d.m.Run()), jids, func(string) time.Time { return time.Time{} })
	d.effects = nil
	d.step(machine.Begin{})
}

func (d *drive) step(in machine.Input) {
	d.effects = append(d.effects, d.m.Step(in, d.now)...)
}

// until lets time pass until the machine gives out a certain effect, and returns it.
func until[E machine.Effect](d *drive) E {
	d.t.Helper()
	for range 1000 {
		for i, effect := range d.effects {
			if e, ok := effect.(E); ok {
				d.effects = d.effects[i+1:]
				return e
			}
		}
		d.effects = nil
		if wake := d.m.Wake(); wake.After(d.now) {
			d.now = wake
		}
		d.step(machine.Tick{})
	}
	d.t.Fatal("the effect does not come")
	panic("unreachable")
}

// probing is a machine that has asked web1 whether it runs the job.
func probing(t testing.TB, function string) (*drive, machine.Ask) {
	d := newDrive(t, function)
	if machine.Locks(d.m.Run()) {
		d.step(machine.Locked{Lock: until[machine.Lock](d).ID})
	}
	d.step(machine.Published{JID: until[machine.Publish](d).JID, Minions: []string{"web1"}})
	a := until[machine.Ask](d)
	d.step(machine.Asked{Ask: a.ID, Minions: []string{"web1"}})
	return d, a
}

func TestAnswersToAProbeAreReadAsSaltGivesThem(t *testing.T) {
	const (
		jid     = "20261123014500000001"
		running = "waits on: the minion runs the job"
		lost    = "reads the job cache: the return may be lost, or the job wait behind another"
		unclear = "waits on"
	)
	for _, tt := range []struct{ function, body, want string }{
		{"test.ping", `{"jid": "` + jid + `", "pid": 4711}`, running},
		{"test.ping", `{}`, lost},
		{"test.ping", `null`, lost},
		{"test.ping", `"'saltutil.find_job' is not available."`, unclear},
		{"test.ping", `["x"]`, unclear},
		{"state.apply", `[{"jid": "` + jid + `", "fun": "state.apply"}]`, running},
		{"state.apply", `[{"jid": "20261123000000000000", "fun": "state.highstate"}]`, lost},
		{"state.apply", `[]`, lost},
		{"state.apply", `"'saltutil.is_running' is not available."`, unclear},
	} {
		d, a := probing(t, tt.function)
		d.step(machine.Answered{Ask: a.ID, Minion: "web1", Body: json.RawMessage(tt.body)})
		got := unclear
		if d.m.Run().Minions["web1"].Message == "runs the job" {
			got = running
		}
		for _, effect := range d.effects {
			if _, ok := effect.(machine.LookUp); ok {
				got = lost
			}
		}
		if got != tt.want {
			t.Errorf("%s, answered %s: the machine %s; want: %s", tt.function, tt.body, got, tt.want)
		}
	}
}

func FuzzAnswersNeverEndARunByThemselves(f *testing.F) {
	f.Add("test.ping", []byte(`{}`))
	f.Add("test.ping", []byte(`{"jid": "x"}`))
	f.Add("state.apply", []byte(`[{"jid": 1}]`))
	f.Fuzz(func(t *testing.T, function string, body []byte) {
		if !strings.HasPrefix(function, "state.") {
			function = "test.ping"
		}
		d, a := probing(t, function)
		d.step(machine.Answered{Ask: a.ID, Minion: "web1", Body: body})
		if rm := d.m.Run().Minions["web1"]; rm.Outcome != gaea.OutcomePending {
			t.Errorf("one answer settles the minion as %s", rm.Outcome)
		}
	})
}
