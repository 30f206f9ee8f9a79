package swarm

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Bounds on what a minion remembers and runs.
const (
	rememberedJobs = 100 // Salt's minion_jid_queue_hwm: a jid that comes again within so many others is not run again
	maxJobs        = 64  // jobs of a minion at once, with those whose returns are on their way; more are let go
	bulkyReturn    = 256 << 10
)

// job is a job that a minion runs.
type job struct {
	told   told
	fate   fate
	began  time.Time // by the minion's clock
	pid    int
	kid    int // a process that the job has started
	chance *rand.Rand
	cancel context.CancelFunc
}

// child is the process that the job has started.
func (j *job) child() int { return j.kid }

// spend lets the time pass that something takes. The error is ctx's.
func (j *job) spend(ctx context.Context, span Span) error { return pause(ctx, span.draw(j.chance)) }

// describe is a job as saltutil.find_job shows it: the publication, and the process.
func (j *job) describe() map[string]any {
	return map[string]any{
		"jid": j.told.jid, "fun": j.told.fun, "arg": j.told.args, "tgt": j.told.target, "tgt_type": j.told.kind,
		"ret": "", "user": j.told.user, "pid": j.pid,
	}
}

// recent remembers the latest job ids, by a hash: two of a hundred that collide are not seen in a lifetime.
type recent struct {
	seed   maphash.Seed
	hashes []uint64
	next   int
}

// add says whether a job id is new, and remembers it.
func (r *recent) add(jid string) bool {
	if r.hashes == nil {
		r.seed = maphash.MakeSeed()
	}
	hash := maphash.String(r.seed, jid)
	switch {
	case slices.Contains(r.hashes, hash):
		return false
	case len(r.hashes) < rememberedJobs:
		r.hashes = append(r.hashes, hash)
	default:
		r.hashes[r.next] = hash
		r.next = (r.next + 1) % rememberedJobs
	}
	return true
}

// hear takes a publication that was opened: it starts the job where it means this minion and is new. Only the reader of the
// minion's link calls it, so that what is drawn follows the order of the jobs.
func (m *minion) hear(ctx context.Context, t told) {
	me := self{id: m.id, grains: m.grainsNow(), pillar: m.pillarNow()}
	if !me.meant(t.kind, t.target) || !m.recent.add(t.jid) {
		return
	}
	m.mu.Lock()
	behaviours := m.behaviours
	m.mu.Unlock()
	j := &job{told: t, fate: drawFate(behaviours, t.fun, m.jobChance), began: m.clock()}
	j.chance = rand.New(rand.NewPCG(m.jobChance.Uint64(), m.jobChance.Uint64())) //nolint:gosec // a choice that can be repeated is the point
	m.swarm.journal.note(t.jid, m.index, func(tr *Trace) { tr.Told++ })
	inner, cancel := context.WithCancel(ctx)
	j.cancel = cancel
	if !m.enter(j) {
		cancel()
		m.swarm.stats.jobsDropped.Add(1)
		m.log.Warn("a job is let go: the minion runs too many", "jid", t.jid, "jobs", maxJobs)
		return
	}
	m.work.Go(func() {
		defer cancel()
		m.runJob(ctx, inner, j)
	})
}

// enter puts a job among those that run, where there is room.
func (m *minion) enter(j *job) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy >= maxJobs {
		return false
	}
	m.busy++
	j.pid, j.kid = m.processes.start(j.told.jid, j.fate.ignoresKill)
	m.jobs[j.told.jid] = j
	return true
}

// runJob runs a job to its return. ctx ends with the minion, inner also with the job.
func (m *minion) runJob(ctx, inner context.Context, j *job) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.busy--
	}()
	m.swarm.stats.jobs.Add(1)
	if j.fate.dies {
		if pause(inner, j.fate.diesAfter) == nil {
			m.log.Info("dies in the middle of a job", "jid", j.told.jid)
			m.power.switchOff(j.fate.away)
		}
		return
	}
	if pause(inner, j.fate.slow) != nil {
		return
	}
	answer := m.call(inner, j, j.told.fun, j.told.args)
	if ctx.Err() != nil || !m.leave(j) {
		return // the minion has lost its power, or the job was killed: it did not come to its end, and sends no return
	}
	m.swarm.journal.note(j.told.jid, m.index, func(tr *Trace) { tr.Finished++ })
	if j.fate.silent || pause(ctx, j.fate.late) != nil {
		return
	}
	m.sendReturn(ctx, j, answer)
}

// call has the minion do what a function does.
func (m *minion) call(ctx context.Context, j *job, fun string, args []any) Answer {
	f, ok := m.swarm.functions[fun]
	if !ok {
		return notAvailable(fun)
	}
	answer := f.run(ctx, m, j, newCall(m, j.told.jid, fun, args))
	switch {
	case j.fate.fail > 0:
		answer = exception("a scripted failure")
		answer.Code = j.fate.fail
	case j.fate.hostile != HostileNone:
		answer.Return = j.fate.hostile.value()
	case j.fate.huge > 0:
		answer.Return = m.swarm.hugeText(j.fate.huge)
	}
	return answer
}

// leave takes a job from those that run, with its processes. It says whether the job was still there.
func (m *minion) leave(j *job) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.jobs[j.told.jid] != j {
		return false
	}
	delete(m.jobs, j.told.jid)
	m.processes.end(j.told.jid, j.pid, true)
	return true
}

// signal does to a job what a signal to its processes does.
func (m *minion) signal(j *job, signal int) {
	if j.fate.ignoresKill {
		return
	}
	m.mu.Lock()
	if m.jobs[j.told.jid] == j {
		delete(m.jobs, j.told.jid)
		m.processes.end(j.told.jid, j.pid, signal == sigKill || !j.fate.ignoresTerm)
	}
	m.mu.Unlock()
	m.killed(j)
}

// gone ends a job whose process was killed by another than Salt.
func (m *minion) gone(j *job) {
	if m.leave(j) {
		m.killed(j)
	}
}

func (m *minion) killed(j *job) {
	m.swarm.journal.note(j.told.jid, m.index, func(tr *Trace) { tr.Killed++ })
	j.cancel()
}

// running is the job of this id that runs; nil where none does.
func (m *minion) running(jid string) *job {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.jobs[jid]
}

// runningJobs are the jobs that run, in the order of their processes.
func (m *minion) runningJobs() []*job {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*job
	for _, j := range m.jobs {
		list = append(list, j)
	}
	slices.SortFunc(list, func(a, b *job) int { return a.pid - b.pid })
	return list
}

// sendReturn sends what a job returned, as often as its fate says.
func (m *minion) sendReturn(ctx context.Context, j *job, answer Answer) {
	jid := j.told.jid
	if j.fate.wrongJID {
		jid = wrongJID(jid)
	}
	load := map[string]any{
		"cmd": "_return", "id": m.id, "jid": jid, "fun": j.told.fun, "fun_args": j.told.args, "user": j.told.user,
		"return": answer.Return, "retcode": answer.Code, "success": answer.Code == 0,
	}
	if answer.Out != "" {
		load["out"] = answer.Out
	}
	if j.told.metadata != nil {
		load["metadata"] = j.told.metadata
	}
	times := 1
	if j.fate.twice {
		times = 2
	}
	for range times {
		if err := m.sendLoad(ctx, load, j.fate.huge); err != nil {
			m.swarm.stats.returnsLost.Add(1)
			m.log.Warn("a return is lost", "jid", jid, "err", err)
			continue
		}
		m.swarm.stats.returns.Add(1)
		m.swarm.journal.note(j.told.jid, m.index, func(tr *Trace) { tr.Returned++ })
	}
}

// sendLoad sends a load; of large ones only a few at once, because each is held several times while it is made.
func (m *minion) sendLoad(ctx context.Context, load map[string]any, size int) error {
	if size > bulkyReturn {
		select {
		case m.swarm.bulky <- struct{}{}:
			defer func() { <-m.swarm.bulky }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err := m.ask(ctx, load)
	return err
}

// wrongJID is another id than this, for the same moment: its last digit differs.
func wrongJID(jid string) string {
	if jid == "" {
		return "0"
	}
	other := "0"
	if strings.HasSuffix(jid, "0") {
		other = "1"
	}
	return jid[:len(jid)-1] + other
}
