package enginetest

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Minion says how a scripted minion behaves. The zero Minion returns at once and answers every question.
type Minion struct {
	Takes   time.Duration // from the publish of a job to its return
	Answers time.Duration // from a question (find_job, test.ping, kill_job) to the answer
	Down    bool          // hears nothing: neither jobs nor questions
	Hangs   bool          // jobs run for ever

	Grain   string // a grain target with this text matches the minion
	Guessed string // the master believes that a grain target with this text matches it; it does not

	Outcome gaea.Outcome // of its returns; where empty: succeeded, or in_sync for state functions
	Message string       // of its returns
	Body    string       // of its returns, as JSON; true where empty
	Retcode *int         // of its returns

	Functions []string // what it says that it has, of whatever module; nil: such a question is a job as any other

	Busy        int           // so many jobs are refused, because another state run holds the minion
	Queues      time.Duration // a state run of others goes on so long, and a job that says queue=True waits for it unseen
	Dies        bool          // the job's process ends without a return
	Loses       bool          // its returns do not come by the bus; the job cache has them
	Vanishes    bool          // its returns come by no way at all
	Twice       bool          // each return comes twice
	Late        time.Duration // its returns need so much longer, while it says that it runs nothing
	Deaf        bool          // answers no question, but runs jobs
	Unstoppable bool          // a kill has no effect

	Children []Child // that each job starts
	Blind    string  // what it says in the place of the processes of a job
	Threads  bool    // jobs run inside the minion's daemon
}

// job is a job on a minion.
type job struct {
	publication gaea.Publication
	killed      bool
	pid         int
}

// minion is a scripted minion with what goes on there.
type minion struct {
	Minion
	name    string
	busy    int             // refusals left
	known   map[string]bool // jids it has seen: a real minion remembers the last hundred
	jobs    map[string]*job // that run now
	ran     []string        // jids that it ran, in order
	current int             // state runs going on
	most    int             // the most there were at once

	processes map[int]process // of its jobs, by pid
	forks     int
}

// receive is a publication that reached the minion. The master's lock is held.
func (s *Salt) receive(m *minion, p gaea.Publication) {
	if m.Down || m.known[p.JID] {
		return
	}
	m.known[p.JID] = true
	switch p.Function {
	case "test.ping":
		if p.Metadata["gaea_purpose"] != nil { // a question of the engine's
			s.answer(m, p, true)
			return
		}
	case "saltutil.find_job":
		s.answer(m, p, m.findJob(p.Args[0]))
		return
	case "saltutil.is_running":
		s.answer(m, p, m.runningJobs())
		return
	case "cmd.run":
		if p.Metadata["gaea_purpose"] != nil {
			s.answer(m, p, s.look(m, p))
			return
		}
	case "saltutil.term_job":
		s.answer(m, p, s.term(m, p.Args[0]))
		return
	case "slsutil.renderer", "sys.list_functions":
		if m.Functions != nil {
			s.answer(m, p, m.functions(p))
			return
		}
	case "saltutil.kill_job":
		s.answer(m, p, s.kill(m, p.Args[0]))
		return
	}
	s.run(m, p)
}

// functions is what the minion says of the functions that it has: a list, or whether the one that the template names is one.
func (m *minion) functions(p gaea.Publication) any {
	if p.Function == "sys.list_functions" {
		return m.Functions
	}
	for _, name := range m.Functions {
		if p.Kwargs["string"] == "{{ '"+name+"' in salt }}" {
			return "True"
		}
	}
	return "False"
}

// findJob is what saltutil.find_job says.
func (m *minion) findJob(jid any) any {
	for id, j := range m.jobs {
		if id == jid {
			return map[string]any{"jid": id, "pid": j.pid}
		}
	}
	return map[string]any{}
}

// runningJobs is what saltutil.is_running state.* says.
func (m *minion) runningJobs() any {
	jobs := []any{}
	for id, j := range m.jobs {
		if isState(j.publication.Function) {
			jobs = append(jobs, map[string]any{"jid": id, "pid": 4711, "fun": j.publication.Function})
		}
	}
	return jobs
}

func (s *Salt) answer(m *minion, p gaea.Publication, body any) {
	if m.Deaf {
		return
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	s.after(m.Answers, func() {
		s.store(gaea.Return{
			Master: s.master, JID: p.JID, Minion: m.name, Function: p.Function, Outcome: gaea.OutcomeSucceeded, Body: b,
			Stamp: time.Now(), Source: gaea.SourceBus,
		})
	})
}

// run is a job that begins on the minion.
func (s *Salt) run(m *minion, p gaea.Publication) {
	ret := gaea.Return{
		Master: s.master, JID: p.JID, Minion: m.name, Function: p.Function, Outcome: m.Outcome, Message: m.Message,
		Source: gaea.SourceBus, Body: json.RawMessage(cmp.Or(m.Body, "true")), Retcode: m.Retcode,
	}
	if id, ok := p.Metadata[gaea.MetadataRun].(string); ok {
		ret.RunID = id
	}
	if ret.Outcome == "" {
		ret.Outcome = gaea.OutcomeSucceeded
		if isState(p.Function) {
			ret.Outcome = gaea.OutcomeInSync
		}
	}
	if isState(p.Function) && (m.busy > 0 || (m.current > 0 && p.Kwargs["queue"] != true)) {
		m.busy = max(m.busy-1, 0)
		ret.Outcome = gaea.OutcomeCouldNotRun
		ret.Message = `The function "state.apply" is running as PID 4711 and was started at 2026, Nov 23 01:45:01.000000 with jid 20261123014501000000`
		s.after(m.Takes, func() { s.deliver(m, ret) })
		return
	}
	if isState(p.Function) && m.Queues > 0 && p.Kwargs["queue"] == true {
		other := p
		other.JID, other.Function = "20261123000000000000", "state.highstate"
		m.jobs[other.JID] = &job{publication: other}
		wait := m.Queues
		m.Queues = 0
		s.after(wait, func() {
			delete(m.jobs, other.JID)
			s.run(m, p)
		})
		return
	}
	m.ran = append(m.ran, p.JID)
	j := &job{publication: p}
	m.jobs[p.JID] = j
	m.spawn(p.JID)
	if isState(p.Function) {
		m.current++
		m.most = max(m.most, m.current)
	}
	if m.Hangs {
		return
	}
	s.after(m.Takes, func() {
		if j.killed {
			return
		}
		m.exited(p.JID, j.pid)
		s.end(m, p.JID)
		if !m.Dies {
			s.after(m.Late, func() { s.deliver(m, ret) })
		}
	})
}

func (s *Salt) end(m *minion, jid string) {
	j := m.jobs[jid]
	if j == nil {
		return
	}
	delete(m.jobs, jid)
	if isState(j.publication.Function) {
		m.current--
	}
}

// deliver sends a return to the master.
func (s *Salt) deliver(m *minion, ret gaea.Return) {
	if m.Vanishes {
		return
	}
	ret.Stamp = time.Now()
	if c := s.cache[ret.JID]; c != nil {
		c.Returns = append(c.Returns, ret)
	}
	if m.Loses {
		return
	}
	s.store(ret)
	if m.Twice {
		s.store(ret)
	}
}
