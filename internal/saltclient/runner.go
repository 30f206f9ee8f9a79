package saltclient

import (
	"encoding/json"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// runnerPrefix is before the name of a runner in Salt's events and in its job cache.
const runnerPrefix = "runner."

// orchestrations are the runners that answer with the steps that they took, as states.
var orchestrations = map[string]bool{
	"runner.state.orch": true, "runner.state.orchestrate": true, "runner.state.sls": true,
}

// ranOn is what a master tells of a runner, in its events and in its job cache (salt.client.mixins).
type ranOn struct {
	jid, function, user, parent string
	args                        []byte
	ret                         gaea.Return
	returned                    bool
}

// parseRunner reads what a master tells of a runner. False where it names none, or where a minion made it up.
func parseRunner(data []byte) (ranOn, bool) {
	var r ranOn
	for key, val := range members(data) {
		switch string(key) {
		case "cmd":
			return r, false // only what minions send has one
		case "jid":
			r.jid = scalar(val)
		case "fun":
			r.function = functionName(val)
		case "fun_args":
			r.args = val
		case "user":
			r.user = scalar(val)
		case "return":
			r.ret.Body, r.returned = val, true
		case "retcode":
			r.ret.Retcode = retcode(val)
		case "success":
			r.ret.Success = success(val)
		}
	}
	if r.function == "" {
		return r, false
	}
	if !strings.HasPrefix(r.function, runnerPrefix) { // a master leaves it out where it has no such runner
		r.function = runnerPrefix + r.function
	}
	if orchestrations[r.function] {
		r.parent = orchestrationJID(r.args)
	}
	return r, true
}

// orchestrationJID is the job id of the orchestration that an orchestration is told to run under: its own, or that of the one
// of which it is a step.
func orchestrationJID(args []byte) string {
	jid := ""
	for arg := range elements(args) {
		for key, val := range members(arg) {
			if string(key) == "orchestration_jid" {
				jid = scalar(val)
			}
		}
	}
	return jid
}

// origin is how a runner is called that is shown among jobs.
func (r *ranOn) origin() gaea.Origin {
	if orchestrations[r.function] {
		return gaea.OriginOrchestration
	}
	return gaea.OriginRunner
}

// parentOf is the orchestration that the job with this id is a step of.
func (r *ranOn) parentOf(jid string) string {
	if r.parent == jid {
		return ""
	}
	return r.parent
}

// job is the runner as a job. Who ran it, the master, is the caller's to set.
func (r *ranOn) job(jid string) *gaea.Job {
	return &gaea.Job{
		JID: jid, Function: r.function, Args: r.args, User: r.user, Known: true, Origin: r.origin(), Parent: r.parentOf(jid),
		Test: orchestrations[r.function] && orchestrationTest(r.args),
	}
}

// result is what the runner returned, as a return. Its minion, the master, is the caller's to set where the return does not
// name it.
func (r *ranOn) result(jid string) gaea.Return {
	ret := r.ret
	ret.JID, ret.Function, ret.Args, ret.Origin = jid, r.function, r.args, r.origin()
	if orchestrations[ret.Function] {
		ret.Minion, _ = orchestrated(ret.Body)
	}
	ReturnOutcome(&ret)
	return ret
}

// decodeRunner reads the new and ret events of a runner.
func decodeRunner(ev gaea.Event, jid, what string, d *Decoded) {
	r, ok := parseRunner(ev.Data)
	switch {
	case !ok:
	case what == "new":
		d.Job = r.job(jid)
		d.Job.Started, d.Job.Source = ev.Stamp, gaea.SourceBus
	case what == "ret" && r.returned:
		ret := r.result(jid)
		ret.Stamp, ret.Source = ev.Stamp, gaea.SourceBus
		d.Return, d.Minion = &ret, ret.Minion
	}
}

// orchestrated takes the steps out of what an orchestration returned, {"data": {MASTER: steps}}, with the name of the master.
func orchestrated(body []byte) (master string, steps []byte) {
	for key, val := range members(body) {
		if string(key) != "data" {
			continue
		}
		for id, found := range members(val) {
			return string(id), found
		}
	}
	return "", nil
}

// orchestrationTest says whether the arguments of an orchestration ask for a test run (salt.runners.state.orchestrate).
func orchestrationTest(args []byte) bool {
	const place = 2
	test, n := false, 0
	for arg := range elements(args) {
		if kind(arg) == '{' {
			for key, val := range members(arg) {
				if string(key) == "test" {
					test = isTrue(val)
				}
			}
			continue
		}
		if n == place {
			test = isTrue(arg)
		}
		n++
	}
	return test
}

// Children are the ids of the jobs that an orchestration started, as its return names them. It names the one job of each
// step that called a function, applied states or ran a runner; of a step with a batch Salt names none, or where each slice is
// a job of its own (before Salt 3008) the first.
func Children(r *gaea.Return) []string {
	if !orchestrations[r.Function] {
		return nil
	}
	var jids []string
	_, steps := orchestrated(r.Body)
	for _, step := range members(steps) {
		for key, val := range members(step) {
			if string(key) == "__jid__" && gaea.ValidJID(scalar(val)) {
				jids = append(jids, scalar(val))
			}
		}
	}
	return jids
}

// parseCachedRunner reads a runner in the master's job cache: below "return" in its load, and in the entry of the master among
// its returns, is what the master told on its bus when it ended. Nil where entry is not of that form.
func parseCachedRunner(jid string, entry json.RawMessage) *ranOn {
	for key, val := range members(entry) {
		if string(key) != "return" || kind(val) != '{' {
			continue
		}
		if r, ok := parseRunner(val); ok && r.returned {
			r.jid = jid
			return &r
		}
	}
	return nil
}
