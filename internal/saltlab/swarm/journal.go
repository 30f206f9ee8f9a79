package swarm

import (
	"sync"
	"sync/atomic"
)

// journalJobs is how many jobs a swarm keeps a journal of; older ones are forgotten.
const journalJobs = 512

// Trace is what became of a job on a minion.
type Trace struct {
	Told     uint8 // times that the minion began it: more than one only where it came again after a hundred others
	Finished uint8 // times that it ran to its end
	Killed   uint8 // times that a signal ended it
	Returned uint8 // returns that the master took
}

// journal is what the minions of a swarm did, by job.
type journal struct {
	minions int

	mu    sync.Mutex
	jobs  map[string][]Trace // by the minion's index
	order []string           // the ring of those that are kept
	next  int
}

func newJournal(minions int) *journal {
	return &journal{minions: minions, jobs: map[string][]Trace{}}
}

func (j *journal) note(jid string, index int, change func(*Trace)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	traces, ok := j.jobs[jid]
	if !ok {
		traces = make([]Trace, j.minions)
		if len(j.order) < journalJobs {
			j.order = append(j.order, jid)
		} else {
			delete(j.jobs, j.order[j.next])
			j.order[j.next] = jid
			j.next = (j.next + 1) % journalJobs
		}
		j.jobs[jid] = traces
	}
	change(&traces[index])
}

func (j *journal) read(jid string) []Trace {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Trace(nil), j.jobs[jid]...)
}

// Stats are counts since a swarm was started.
type Stats struct {
	Minions     int
	Accepted    int   // minions that were accepted at least once
	Connected   int   // minions whose link to the publish port is up now
	SignIns     int64 // sign-ins that the master granted
	Jobs        int64 // jobs that minions began
	JobsDropped int64 // jobs over a minion's bound
	Returns     int64 // returns that the master took
	ReturnsLost int64 // returns that it did not take after several tries
	Refused     int64 // publications that did not verify, or could not be read
}

type counters struct {
	accepted, connected                                               atomic.Int64
	signIns, jobs, jobsDropped, returns, returnsLost, refusedToListen atomic.Int64
}
