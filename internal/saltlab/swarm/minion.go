package swarm

import (
	"context"
	"crypto/sha1" //nolint:gosec // Salt's topic of a minion, with zmq_filtering
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// minion is one simulated minion. It has a power switch, and while that is on a network: without power it forgets what it runs,
// without network it only cannot be reached.
type minion struct {
	swarm *Swarm
	index int
	id    string
	who   *identity
	log   *slog.Logger

	power, network *toggle
	drift          *drift
	processes      processes
	states         chan *job  // the lock on state runs
	jobChance      *rand.Rand // for the reader of the link alone
	linkChance     *rand.Rand // for the life of the minion alone
	recent         recent     // for the reader of the link alone

	accepted chan struct{} // closed when the master has accepted it, and knows its grains
	admit    func()        // closes it, once
	work     sync.WaitGroup
	session  session

	planning sync.Mutex // guards what follows: what the behaviours do by themselves
	planned  context.CancelFunc
	plans    sync.WaitGroup

	mu         sync.Mutex // guards what follows
	grains     map[string]any
	pillar     map[string]any
	behaviours []Behaviour
	jobs       map[string]*job // those that run, by jid
	busy       int             // those and what is on its way
	trouble    error           // why it is not connected
}

func newMinion(s *Swarm, index int, id string, who *identity, cast casting) *minion {
	m := &minion{
		swarm: s, index: index, id: id, who: who, log: s.opts.Logger.With("minion", id),
		power: newToggle(true), network: newToggle(true), drift: newDrift(s.opts.States),
		states:     make(chan *job, 1),
		jobChance:  chance(s.opts.Seed, id, streamJobs),
		linkChance: chance(s.opts.Seed, id, streamLinks),
		accepted:   make(chan struct{}),
		grains:     cast.grains, behaviours: cast.behaviours, jobs: map[string]*job{},
	}
	m.session.turn = make(chan struct{}, 1)
	m.admit = sync.OnceFunc(func() {
		s.stats.accepted.Add(1)
		close(m.accepted)
	})
	return m
}

// live is the life of a minion, from power to power, until ctx ends. It leaves nothing running.
func (m *minion) live(ctx context.Context) {
	for {
		process, end, err := m.power.during(ctx)
		if err != nil {
			return
		}
		m.process(process)
		end()
		m.work.Wait()
		m.forget()
	}
}

// forget is what a loss of power does to what a minion had in mind. The state of its machine stays.
func (m *minion) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.jobs)
	m.busy = 0
	m.processes.clear()
	m.recent = recent{}
}

// process is a minion with power: it keeps a link to the master's publish port, and tries again where it breaks.
func (m *minion) process(ctx context.Context) {
	started := false
	for failures := 0; ctx.Err() == nil; failures++ {
		online, end, err := m.network.during(ctx)
		if err != nil {
			return
		}
		began := time.Now()
		err = m.online(online, ctx, &started)
		end()
		if ctx.Err() != nil {
			return
		}
		m.setTrouble(err)
		if time.Since(began) > time.Minute {
			failures = 0
		}
		m.log.Debug("the link to the master is down", "err", err)
		if pause(ctx, m.backoff(failures, err)) != nil {
			return
		}
	}
}

// backoff is how long to wait before the next try to connect.
func (m *minion) backoff(failures int, err error) time.Duration {
	const first, last = 200 * time.Millisecond, 4 * time.Second
	wait := min(first<<min(failures, 10), last)
	if errors.Is(err, errPending) || errors.Is(err, errRefused) {
		wait = max(wait, time.Second)
	}
	return wait/2 + time.Duration(m.linkChance.Int64N(int64(wait)))
}

// online signs in, tells the master its grains where the minion has just started, and hears what is published until the link
// breaks. ctx ends with the network, power with the minion.
func (m *minion) online(ctx, power context.Context, started *bool) error {
	m.session.forget(nil)
	in, err := m.signedIn(ctx)
	if err != nil {
		return err
	}
	if !*started {
		if err := m.askPillar(ctx); err != nil {
			return err
		}
	}
	if m.goAway() {
		m.admit()
		return nil
	}
	host, _, _ := net.SplitHostPort(m.swarm.opts.Master) // checked at the start
	conn, err := m.swarm.dial(ctx, net.JoinHostPort(host, strconv.Itoa(in.publishPort)))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	l, err := newLink(conn, "SUB", m.swarm.large)
	if err != nil {
		return err
	}
	heard := false
	l.pong = func() {
		if !heard {
			heard = true
			m.swarm.stats.connected.Add(1)
			m.setTrouble(nil)
			m.sayStarted(power, started)
		}
	}
	defer func() {
		if heard {
			m.swarm.stats.connected.Add(-1)
		}
	}()
	// The answer to the ping comes when the master has the subscription.
	if err := errors.Join(l.subscribe(""), l.ping()); err != nil {
		return err
	}
	for {
		if err := l.receive(func(frames [][]byte) error { return m.receive(ctx, power, frames) }); err != nil {
			return err
		}
	}
}

// sayStarted fires the event of a minion's start, where it has not been fired since it has power. It is accepted then.
func (m *minion) sayStarted(ctx context.Context, started *bool) {
	if *started {
		m.admit()
		return
	}
	*started = true
	m.work.Go(func() {
		defer m.admit()
		data := "Minion " + m.id + " started at " + m.clock().Format(time.ANSIC)
		if err := m.fire(ctx, "salt/minion/"+m.id+"/start", data); err != nil {
			m.log.Debug("the start event is lost", "err", err)
		}
	})
}

// topic is what a master with zmq_filtering sends a minion's publications under.
func topic(id string) string {
	sum := sha1.Sum([]byte(id)) //nolint:gosec // see above
	return hex.EncodeToString(sum[:])
}

// receive takes one message of the publish port. What does not verify is passed over.
func (m *minion) receive(ctx, power context.Context, frames [][]byte) error {
	if len(frames) == 2 && string(frames[0]) != "broadcast" && string(frames[0]) != topic(m.id) {
		return nil // for another minion: with filtering each has a message of its own
	}
	p, err := readPublication(frames, m.swarm.masterKey())
	if err == nil {
		err = m.open(ctx, power, p)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.swarm.stats.refusedToListen.Add(1)
		m.log.Warn("a publication is passed over", "err", err)
	}
	return nil
}

// open opens a publication and starts its job. A master that has another key by now is signed in to again.
func (m *minion) open(ctx, power context.Context, p publication) error {
	in, err := m.signedIn(ctx)
	if err != nil {
		return err
	}
	t, err := p.open(in.shared)
	if errors.Is(err, errNotAuthentic) {
		m.session.forget(in)
		if in, err = m.signedIn(ctx); err != nil {
			return err
		}
		t, err = p.open(in.shared)
	}
	if err != nil {
		return err
	}
	if !m.session.inOrder(in, t.serial) {
		return errors.New("its serial number is not above that of the one before it")
	}
	m.hear(power, t)
	return nil
}

func (m *minion) grainsNow() map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.grains
}

func (m *minion) pillarNow() map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pillar == nil {
		return map[string]any{}
	}
	return m.pillar
}

// setGrains changes grains. What is nil is taken away.
func (m *minion) setGrains(change map[string]any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	grains := maps.Clone(m.grains) // others are reading the old ones
	maps.Copy(grains, change)
	maps.DeleteFunc(grains, func(_ string, v any) bool { return v == nil })
	m.grains = grains
}

func (m *minion) setTrouble(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trouble = err
}

func (m *minion) troubleNow() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.trouble
}

// any says whether one of the minion's behaviours is so.
func (m *minion) any(is func(b *Behaviour) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.behaviours {
		if is(&m.behaviours[i]) {
			return true
		}
	}
	return false
}

// goAway takes the minion's power where it is to be down, and says whether it is.
func (m *minion) goAway() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	down := slices.ContainsFunc(m.behaviours, func(b Behaviour) bool { return b.Down })
	if down {
		m.power.switchOff(0)
	}
	return down
}

// comeBack gives it power, whatever its behaviour was.
func (m *minion) comeBack() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.behaviours = slices.Clone(m.behaviours)
	for i := range m.behaviours {
		m.behaviours[i].Down = false
	}
	m.power.switchOn()
}

// cannotLook says whether commands cannot look at processes.
func (m *minion) cannotLook() bool { return m.any(func(b *Behaviour) bool { return b.NoProc }) }

// clock is what the minion takes for the time.
func (m *minion) clock() time.Time {
	now := time.Now().UTC()
	m.any(func(b *Behaviour) bool {
		now = now.Add(b.Clock)
		return false
	})
	return now
}
