package swarm

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
)

const (
	requestsAtOnce = 32 // requests of a swarm that are under way at once; a master has few workers, and others wait here
	bulkyAtOnce    = 2  // huge returns that are made at once
)

// Options say where a swarm goes and what it is.
type Options struct {
	Config

	// Master is where the master takes requests, host and port, such as 127.0.0.1:4506. The host must be this machine.
	Master string
	// KeyDir is the directory that keeps the minions' keys, one an id; empty: swarm-keys below GAEA_CACHE or in the user's cache
	// directory of Gaea. Processes may share it.
	KeyDir string
	// Functions are functions that all minions have, over those that they have anyway.
	Functions map[string]Function
	// Progress is given one line for a person at each step. May be nil.
	Progress func(line string)
	// Logger is given what helps to find out why a minion does not work. Nil: nothing is logged.
	Logger *slog.Logger
}

// Swarm is a number of simulated minions. Its methods may be called from several goroutines at once.
type Swarm struct {
	opts      Options
	functions map[string]function
	minions   []*minion
	byID      map[string]*minion
	journal   *journal
	stats     counters

	requests chan struct{} // a slot for each request under way
	large    chan struct{} // a slot for each large message that is read
	bulky    chan struct{} // a slot for each huge return that is made

	ctx    context.Context // ends with the swarm
	cancel context.CancelFunc
	lives  sync.WaitGroup

	mu         sync.Mutex
	master     *rsa.PublicKey // nil before the first sign-in
	masterText string
	huge       string
	stopped    bool
}

// Start reads or makes the keys, and starts the minions; [Swarm.Accepted] waits for them. ctx bounds the start alone. Everything
// that the swarm does ends with Stop.
func Start(ctx context.Context, opts Options) (*Swarm, error) {
	opts, ids, err := opts.complete()
	if err != nil {
		return nil, err
	}
	keys, err := identities(ctx, opts.KeyDir, ids, opts.Progress)
	if err != nil {
		return nil, err
	}
	s := &Swarm{
		opts: opts, functions: functions(opts.Functions), byID: map[string]*minion{}, journal: newJournal(len(ids)),
		requests: make(chan struct{}, requestsAtOnce), large: make(chan struct{}, largeAtOnce), bulky: make(chan struct{}, bulkyAtOnce),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for i, cast := range opts.cast(ids) {
		m := newMinion(s, i, ids[i], keys[i], cast)
		s.minions = append(s.minions, m)
		s.byID[m.id] = m
	}
	for _, m := range s.minions {
		s.lives.Go(func() { m.live(s.ctx) })
		m.plan(s.ctx)
	}
	return s, nil
}

// complete fills in defaults and checks.
func (o Options) complete() (Options, []string, error) {
	host, _, err := net.SplitHostPort(o.Master)
	if err != nil {
		return o, nil, fmt.Errorf("swarm: Options.Master is %q: it is a host and a port, such as 127.0.0.1:4506", o.Master)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return o, nil, fmt.Errorf("swarm: Options.Master is %q: simulated minions are for a master on this machine's loopback alone", o.Master)
	}
	if err := o.validate(); err != nil {
		return o, nil, err
	}
	ids, err := o.ids()
	if err != nil {
		return o, nil, err
	}
	if o.KeyDir == "" {
		if o.KeyDir, err = defaultKeyDir(); err != nil {
			return o, nil, err
		}
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, ids, nil
}

// Stop ends all minions and waits for what they do. It may be called more than once.
func (s *Swarm) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.cancel()
	s.lives.Wait()
	for _, m := range s.minions {
		m.endPlan()
	}
}

// Accepted waits until the master has accepted every minion, knows its grains, has its subscription and was told of its start;
// for one that is down, the first two. The error is ctx's with the minions that are missing, and what troubles one of them.
func (s *Swarm) Accepted(ctx context.Context) error {
	for _, m := range s.minions {
		select {
		case <-m.accepted:
		case <-ctx.Done():
			return s.notAccepted(ctx.Err())
		case <-s.ctx.Done():
			return errStopped
		}
	}
	return nil
}

var errStopped = errors.New("swarm: it is stopped")

func (s *Swarm) notAccepted(cause error) error {
	var missing []string
	var trouble error
	for _, m := range s.minions {
		select {
		case <-m.accepted:
		default:
			missing = append(missing, m.id)
			if trouble == nil {
				trouble = m.troubleNow()
			}
		}
	}
	const shown = 5
	names := strings.Join(missing[:min(shown, len(missing))], ", ")
	return fmt.Errorf("swarm: %d of %d minions are not accepted (%s): %w", len(missing), len(s.minions), names, errors.Join(cause, trouble))
}

// IDs are the ids of all minions.
func (s *Swarm) IDs() []string {
	ids := make([]string, len(s.minions))
	for i, m := range s.minions {
		ids[i] = m.id
	}
	return ids
}

// Stats counts what has happened.
func (s *Swarm) Stats() Stats {
	c := &s.stats
	return Stats{
		Minions: len(s.minions), Accepted: int(c.accepted.Load()), Connected: int(c.connected.Load()), SignIns: c.signIns.Load(),
		Jobs: c.jobs.Load(), JobsDropped: c.jobsDropped.Load(), Returns: c.returns.Load(), ReturnsLost: c.returnsLost.Load(),
		Refused: c.refusedToListen.Load(),
	}
}

// Trace tells what became of a job, by the minions that began it. It is empty for a job that is older than some hundred others.
func (s *Swarm) Trace(jid string) map[string]Trace {
	found := map[string]Trace{}
	for i, trace := range s.journal.read(jid) {
		if trace != (Trace{}) {
			found[s.minions[i].id] = trace
		}
	}
	return found
}

// minion finds one by its id.
func (s *Swarm) minion(id string) (*minion, error) {
	m, ok := s.byID[id]
	if !ok {
		return nil, fmt.Errorf("swarm: there is no minion %q", id)
	}
	return m, nil
}

// hugeText is a text of so many bytes, of which all minions share one.
func (s *Swarm) hugeText(size int) string {
	const line = "0123456789 the quick brown fox jumps over the lazy dog, again and again\n"
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.huge) < size {
		s.huge = strings.Repeat(line, size/len(line)+1)
	}
	return s.huge[:size]
}
