package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// A fleet as the archive's questions are measured on: what its minions have and what is run on them in a day.
const (
	fleetMinions = 2000
	fleetDown    = 10 // minions that never answer
	fleetSLS     = 12
	fleetRole    = 200 // minions of one role
)

// The day of a fleet: how often what is run.
const (
	highstates = 12   // on all
	pings      = 36   // on all
	roleRuns   = 24   // state.apply of one SLS file, on one role
	tests      = 4    // of the highstate, on one role
	commands   = 800  // on one minion each
	scheduled  = 6000 // by minions' own schedules
)

func fleetMinion(i int) string { return fmt.Sprintf("web%04d.example.org", i) }

func fleetSLSName(i int) string {
	return [fleetSLS]string{"base", "users", "ssh", "ntp", "dns", "nginx", "postgres", "app", "monitoring", "backup", "firewall", "tls"}[i]
}

func fleetUser(i int) string {
	return [...]string{"root", "ann", "bob", "carol", "jenkins", "saltapi"}[i%6]
}

func fleetFunction(i int) string {
	return [...]string{"cmd.run", "pkg.version", "service.status", "disk.usage", "network.interfaces", "grains.items", "file.read", "user.info", "saltutil.refresh_pillar", "test.version"}[i%10]
}

// fleetState is one state of the fleet, its SLS file and how long it takes, typically.
type fleetState struct {
	module, function, id, name string
	sls                        int
	typical                    float64 // milliseconds
}

// fleetStates are three to four states for each SLS file: files, and of each third a package and a service.
func fleetStates() (list []fleetState) {
	for sls := range fleetSLS {
		name := fleetSLSName(sls)
		for i := range 2 {
			path := fmt.Sprintf("/etc/%s/part-%d.conf", name, i)
			list = append(list, fleetState{"file", "managed", fmt.Sprintf("%s-part-%d", name, i), path, sls, 15})
		}
		list = append(list, fleetState{"pkg", "installed", name, name, sls, 90}, fleetState{"service", "running", name + "-service", name, sls, 40})
	}
	return list
}

// fleetDay makes the jobs and returns of one day, the same for the same seed.
type fleetDay struct {
	rand   *rand.Rand
	states []fleetState
	start  time.Time
	job    int
	batch  archive.Batch // what is not written yet
	write  func(archive.Batch) error
}

// returned adds a return to the batch, and writes one that is as large as ingest makes them.
func (d *fleetDay) returned(r gaea.Return) error {
	saltclient.ReturnOutcome(&r)
	d.batch.Returns = append(d.batch.Returns, r)
	if len(d.batch.Returns) < 500 {
		return nil
	}
	return d.flush()
}

// flush writes what is left of the batch.
func (d *fleetDay) flush() error {
	b := d.batch
	d.batch = archive.Batch{}
	if b.Len() == 0 {
		return nil
	}
	return d.write(b)
}

// published makes a job of the day, at a moment.
func (d *fleetDay) published(function, args, user string, at time.Time, target gaea.Target, minions []string) gaea.Job {
	d.job++
	return gaea.Job{
		JID: at.UTC().Format("20060102150405") + fmt.Sprintf("%06d", d.job), Function: function, Args: json.RawMessage(args), Target: target, User: user, Minions: minions,
		Started: at, Source: gaea.SourceBus, Known: true, Origin: gaea.OriginPublish,
	}
}

// run writes a job with its returns. One in a thousand minions, and those that are down, do not return.
func (d *fleetDay) run(j gaea.Job, body func(minion int) (json.RawMessage, int), numbers []int) error {
	d.batch.Jobs = append(d.batch.Jobs, j)
	for k, minion := range numbers {
		if minion < fleetDown || len(numbers) > 1 && d.rand.IntN(1000) == 0 {
			continue
		}
		value, retcode := body(minion)
		at := j.Started.Add(time.Second + time.Duration(k)*5*time.Millisecond)
		r := gaea.Return{
			JID: j.JID, Minion: fleetMinion(minion), Function: j.Function, Args: j.Args, Body: value, Retcode: &retcode, Success: new(retcode == 0), Stamp: at,
			Source: gaea.SourceBus,
		}
		if err := d.returned(r); err != nil {
			return err
		}
	}
	return d.flush()
}

// stateBody is what a minion returns for states: one in a hundred failed, three changed something.
func (d *fleetDay) stateBody(states []fleetState, test bool) json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	odd := d.rand.IntN(100)
	at := d.rand.IntN(len(states))
	for i, s := range states {
		result, changes, comment := "true", "{}", "The state is as it should be."
		switch {
		case i != at || odd > 3:
		case odd == 0:
			result, comment = "false", "It could not be done: the disk is full."
		case test:
			result, comment = "null", "It would be changed."
		default:
			changes, comment = `{"diff": "--- \n+++ \n@@ -1 +1 @@\n-old\n+new\n"}`, "It was changed."
		}
		if i > 0 {
			b.WriteString(", ")
		}
		took := s.typical * math.Exp(d.rand.NormFloat64()*0.8)
		fmt.Fprintf(&b, `"%s_|-%s_|-%s_|-%s": {"changes": %s, "comment": "%s", "name": "%s", "result": %s, "__sls__": "%s", "__run_num__": %d, "start_time": "12:00:%02d.%06d", "duration": %.3f, "__id__": "%s"}`,
			s.module, s.id, s.name, s.function, changes, comment, s.name, result, fleetSLSName(s.sls), i, i%60, d.rand.IntN(1_000_000), took, s.id)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// numbered are the minions from one number on.
func numbered(from, count int) (numbers []int, names []string) {
	for i := from; i < from+count; i++ {
		numbers, names = append(numbers, i), append(names, fleetMinion(i))
	}
	return numbers, names
}

// all makes the day.
func (d *fleetDay) all() error {
	everyone, names := numbered(0, fleetMinions)
	star := gaea.Target{Type: gaea.TargetGlob, Expr: "*"}
	moment := func(i, n int) time.Time { return d.start.Add(time.Duration(i) * 24 * time.Hour / time.Duration(n)) }
	states := func(test bool, list []fleetState) func(int) (json.RawMessage, int) {
		return func(int) (json.RawMessage, int) { return d.stateBody(list, test), 0 }
	}
	for i := range highstates {
		j := d.published("state.highstate", `[]`, fleetUser(i), moment(i, highstates), star, names)
		if err := d.run(j, states(false, d.states), everyone); err != nil {
			return err
		}
	}
	for i := range pings {
		j := d.published("test.ping", `[]`, "root", moment(i, pings).Add(time.Minute), star, names)
		if err := d.run(j, func(int) (json.RawMessage, int) { return json.RawMessage(`true`), 0 }, everyone); err != nil {
			return err
		}
	}
	for i := range roleRuns + tests {
		role, roleNames := numbered(i%(fleetMinions/fleetRole)*fleetRole, fleetRole)
		sls, function, args, test := i%fleetSLS, "state.apply", fmt.Sprintf(`["%s"]`, fleetSLSName(i%fleetSLS)), i >= roleRuns
		list := d.states[4*sls : 4*sls+4]
		if test {
			function, args, list = "state.highstate", `[{"__kwarg__": true, "test": true}]`, d.states
		}
		j := d.published(function, args, fleetUser(i), moment(i, roleRuns+tests).Add(2*time.Minute), gaea.ListTarget(roleNames), roleNames)
		if err := d.run(j, states(test, list), role); err != nil {
			return err
		}
	}
	return d.small(moment)
}

// small makes the jobs of one minion each.
func (d *fleetDay) small(moment func(i, n int) time.Time) error {
	for i := range commands + scheduled {
		minion := fleetDown + d.rand.IntN(fleetMinions-fleetDown)
		name := fleetMinion(minion)
		at := moment(i, commands+scheduled)
		retcode := 0
		if d.rand.IntN(50) == 0 {
			retcode = 1
		}
		j := d.published(fleetFunction(i), fmt.Sprintf(`["argument %d"]`, i%97), fleetUser(i), at, gaea.Target{Type: gaea.TargetGlob, Expr: name}, []string{name})
		if i >= commands {
			j = d.published("status.all_status", `[]`, "", at, gaea.Target{}, nil)
			j.Known, j.Origin = false, gaea.OriginSchedule
		}
		r := gaea.Return{
			JID: j.JID, Minion: name, Function: j.Function, Args: j.Args, Body: json.RawMessage(fmt.Sprintf(`"line %d"`, i%500)), Retcode: &retcode, Success: new(retcode == 0),
			Stamp: at.Add(time.Second), Source: gaea.SourceBus,
		}
		if j.Known {
			d.batch.Jobs = append(d.batch.Jobs, j)
		}
		if err := d.returned(r); err != nil {
			return err
		}
	}
	return d.flush()
}
