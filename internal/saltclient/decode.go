package saltclient

import (
	"bytes"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Decoded is what one event means. At most one of Job, Publication, Return and Other is set; none is for an event that tells
// nothing that another one does not tell better (see [Decode]).
type Decoded struct {
	Tag    string
	Minion string // the minion that the event is about; empty where there is none or more than one

	// Job is a publication, or a runner that the master began, or what is known of a job beside that (see gaea.Job): how a
	// batch stands. Master is left to the caller, and so are the Target and Minions of a runner (see [IsMasterFunction]);
	// Minions and Missing are sorted.
	Job *gaea.Job
	// Publication is the same job as the master tells it once more while it sends it out. It has the metadata, and so the
	// RunID, which Job has not; it does not have the minions. Salt before 3007 does not send it.
	Publication *gaea.Job
	// Return is what a minion sent back, or what a runner came to. Master is left to the caller, and so is the Minion of a
	// runner where it is empty: it is the master's own id. Its Body and Args are parts of the event's Data.
	Return *gaea.Return
	// Other says that the event is worth keeping as it is: a beacon, a start, presence, a key, a step of a runner, a custom one.
	Other bool
	// Suspect says why the event is not what its tag says: a minion made it up. It is Other then.
	Suspect string

	// Trimmed says that VALUE_TRIMMED stands in the place of at least one value, because the event was larger than
	// max_event_size (1 MiB by default). Where the master put it there, its job cache on disk has the whole return; where the
	// minion did, by a setting of its own, nobody has.
	Trimmed bool
}

// Trimmed is the text with which a master replaces values of an event that is larger than max_event_size
// (salt.utils.dicttrim).
const Trimmed = "VALUE_TRIMMED"

// isTrimmed says whether a value was, or holds one that was, replaced.
func isTrimmed(val []byte) bool {
	// Quotes are everywhere and this word is rare: to look for it without them first is much faster.
	return bytes.Contains(val, []byte(Trimmed)) && bytes.Contains(val, []byte(`"`+Trimmed+`"`))
}

// noCache stands for the job id where the return of a minion's schedule is not to be kept in the job cache. All such returns
// have it, so they are no job.
const noCache = "nocache"

// Decode tells what an event means. It never fails: an event that looks like a job or a return and lacks what makes it one is
// Other. The events that come to nothing are the ones that repeat others: the bare job id with minions that Salt 3006 sends
// before a job's new event, minion_start, the refreshes of the master's caches, and the answers of runners that read the job
// cache.
func Decode(ev gaea.Event) Decoded {
	d := Decoded{Tag: ev.Tag, Trimmed: isTrimmed(ev.Data)}
	parts, n := splitTag(ev.Tag)
	if n >= 4 && parts[0] == "salt" {
		decodeSalt(ev, parts, n, &d)
	}
	if d.Job != nil || d.Publication != nil || d.Return != nil {
		return d
	}
	d.Other = d.Suspect != "" || !redundant(ev, parts, n)
	if d.Other {
		d.Minion = eventMinion(ev, parts, n)
	}
	return d
}

// decodeSalt reads the events of jobs, batches and runners: salt/KIND/JID/WHAT, and for a return the minion besides. It leaves
// d as it is where the event is none of them.
func decodeSalt(ev gaea.Event, parts [5]string, n int, d *Decoded) {
	jid, what := parts[2], parts[3]
	switch subject := parts[1]; {
	case n == 4 && (subject == "job" || subject == "batch" || subject == "run") && isOwnEvent(ev.Data):
		d.Suspect = "it has a tag of the master's own, and is an event that a minion made up"
	case subject == "job":
		decodeOfJob(ev, parts, n, d)
	case subject == "batch" && n == 4:
		d.Job = decodeBatch(ev, jid, what)
	case subject == "run" && n == 4 && !redundant(ev, parts, n):
		decodeRunner(ev, jid, what, d)
	}
}

// decodeOfJob reads salt/job/JID/new, publish and ret/MINION.
func decodeOfJob(ev gaea.Event, parts [5]string, n int, d *Decoded) {
	jid, what, minion := parts[2], parts[3], parts[4]
	switch {
	case n == 4 && what == "new":
		d.Job = decodeJob(ev, jid)
	case n == 4 && what == "publish":
		d.Publication = decodeJob(ev, jid)
	case n == 5 && what == "ret" && minion != "" && jid != noCache:
		if d.Return, d.Suspect = decodeReturn(ev, jid, minion); d.Return != nil {
			d.Minion = d.Return.Minion
		}
	}
}

// splitTag cuts a tag at its first four slashes; n is the number of parts.
func splitTag(tag string) (parts [5]string, n int) {
	rest := tag
	for n = 0; n < len(parts)-1; n++ {
		head, tail, found := strings.Cut(rest, "/")
		if !found {
			break
		}
		parts[n], rest = head, tail
	}
	parts[n] = rest
	return parts, n + 1
}

// redundant says whether an event repeats what another one tells.
func redundant(ev gaea.Event, parts [5]string, n int) bool {
	switch {
	case n == 1:
		return ev.Tag == "minion_start" || gaea.ValidJID(ev.Tag)
	case n == 3 && parts[1] == "refresh" && (parts[0] == "minion" || parts[0] == "resource"):
		return true
	case n == 4 && parts[0] == "salt" && parts[1] == "run":
		for key, val := range members(ev.Data) {
			if string(key) == "fun" {
				return isCacheRunner(functionName(val))
			}
		}
	}
	return false
}

// isCacheRunner says whether a function is a runner that reads the job cache, as Gaea's own ones are.
func isCacheRunner(fun string) bool {
	return strings.HasPrefix(fun, "runner.jobs.") || strings.HasPrefix(fun, "jobs.")
}

// eventMinion is the minion that an event names: its id, or what stands in its tag for one.
func eventMinion(ev gaea.Event, parts [5]string, n int) string {
	for key, val := range members(ev.Data) {
		if string(key) == "id" && kind(val) == '"' {
			return text(val)
		}
	}
	if n > 3 && parts[0] == "salt" && (parts[1] == "minion" || parts[1] == "beacon") {
		return parts[2]
	}
	return ""
}
