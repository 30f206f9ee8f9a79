package saltclient

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// decodeJob reads the data of a job's new or publish event, or nil where it has no function.
func decodeJob(ev gaea.Event, jid string) *gaea.Job {
	j := ParseLoad(ev.Data)
	if j == nil {
		return nil
	}
	if j.JID == "" {
		j.JID = jid
	}
	j.Started, j.Source = ev.Stamp, gaea.SourceBus
	return j
}

// ParseLoad reads what a master knows of a publication: the data of its new and publish events, and the load in its job cache
// (where the metadata is inside kwargs). Nil where there is no function. Started, Source and Master are the caller's to set.
func ParseLoad(load json.RawMessage) *gaea.Job {
	j := &gaea.Job{Known: true}
	var tgt, kwargs []byte
	for key, val := range members(load) {
		switch string(key) {
		case "jid":
			j.JID = scalar(val)
		case "fun":
			j.Function = functionName(val)
		case "arg":
			j.Args = val
		case "tgt":
			tgt = val
		case "tgt_type":
			j.Target.Type = gaea.TargetType(scalar(val))
		case "user":
			j.User = scalar(val)
		case "minions":
			j.Minions = sortedTexts(val)
		case "missing":
			j.Missing = sortedTexts(val)
		case "metadata":
			j.Metadata = metadata(val)
		case "kwargs":
			kwargs = val
		}
	}
	switch {
	case j.Function == "":
		return nil
	case strings.HasPrefix(j.Function, runnerPrefix):
		return runnerLoad(j, load)
	}
	loadOrigin(j, load)
	if j.Metadata == nil {
		for key, val := range members(kwargs) {
			if string(key) == "metadata" {
				j.Metadata = metadata(val)
			}
		}
	}
	j.RunID = runID(j.Metadata)
	j.Target = target(j.Target.Type, tgt)
	j.Test = isStateFunction(j.Function) && testMode(j.Function, j.Args)
	return j
}

// loadOrigin tells by a load how its job came to be, and fills in what only such a job's load has. In the job cache a publication
// has the command publish; what a minion did by itself is there as the minion returned it; and salt-ssh has neither. The events
// of a publication have no command, but minions, or a returner.
func loadOrigin(j *gaea.Job, load json.RawMessage) {
	cmd, told, own := "", false, false
	for key, val := range members(load) {
		switch string(key) {
		case "cmd":
			cmd = scalar(val)
		case "minions", "ret":
			told = true
		case "id":
			own = true
		case "schedule":
			j.Schedule = scalar(val)
		case "fun_args":
			if j.Args == nil {
				j.Args = val
			}
		}
	}
	switch {
	case j.Schedule != "":
		j.Origin = gaea.OriginSchedule
	case cmd == "_return" || own:
		j.Origin = gaea.OriginSaltCall
	case cmd == "publish" || told:
		j.Origin = gaea.OriginPublish
	default:
		j.Origin = gaea.OriginSaltSSH
	}
}

// runnerLoad is a runner's load: what is known of it stands below return, and who ran it is the master, its target.
func runnerLoad(j *gaea.Job, load json.RawMessage) *gaea.Job {
	ran := &gaea.Job{Known: true, Function: j.Function, Origin: gaea.OriginRunner, User: j.User}
	if r := parseCachedRunner(j.JID, load); r != nil {
		ran = r.job(j.JID)
	} else if orchestrations[j.Function] {
		ran.Origin = gaea.OriginOrchestration
	}
	ran.JID = j.JID
	for key, val := range members(load) {
		if string(key) == "id" || (string(key) == "tgt" && ran.Minions == nil) {
			ran.Minions = []string{scalar(val)}
		}
	}
	ran.Target = gaea.ListTarget(ran.Minions)
	return ran
}

// target reads a target expression. A list of ids may be an array or one text with commas, and so may a compound expression
// be an array of its words.
func target(kindOf gaea.TargetType, tgt []byte) gaea.Target {
	t := gaea.Target{Type: kindOf}
	if t.Type == "" {
		t.Type = gaea.TargetGlob
	}
	switch {
	case t.Type == gaea.TargetList && kind(tgt) == '[':
		t.Minions = sortedTexts(tgt)
	case t.Type == gaea.TargetList:
		for id := range strings.SplitSeq(scalar(tgt), ",") {
			if id = strings.TrimSpace(id); id != "" {
				t.Minions = append(t.Minions, id)
			}
		}
		slices.Sort(t.Minions)
	case kind(tgt) == '[':
		var words []string
		for word := range elements(tgt) {
			words = append(words, scalar(word))
		}
		t.Expr = strings.Join(words, " ")
	default:
		t.Expr = scalar(tgt)
	}
	return t
}

// scalar is the text of a string or a number, and empty for null.
func scalar(val []byte) string {
	if kind(val) == 'n' {
		return ""
	}
	return text(val)
}

// functionName reads fun, which is a list where several functions were called at once.
func functionName(val []byte) string {
	if kind(val) != '[' {
		return scalar(val)
	}
	var names []string
	for name := range elements(val) {
		names = append(names, scalar(name))
	}
	return strings.Join(names, ",")
}

// sortedTexts reads an array of texts; nil where val is none.
func sortedTexts(val []byte) []string {
	if kind(val) != '[' {
		return nil
	}
	var all []string
	for item := range elements(val) {
		all = append(all, scalar(item))
	}
	slices.Sort(all)
	return all
}

// metadata is what a publisher gave along, or nil where that is nothing.
func metadata(val []byte) json.RawMessage {
	if isEmpty(val) {
		return nil
	}
	return val
}

// runID is the Gaea run that metadata names.
func runID(meta json.RawMessage) string {
	for key, val := range members(meta) {
		if string(key) == gaea.MetadataRun {
			return scalar(val)
		}
	}
	return ""
}
