package enginetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Salt is a master with its minions, its job cache, its event bus and an archive of the returns. It implements
// [gaea.Publisher], [gaea.JobCache], [gaea.Feed] and [gaea.ReturnStore].
type Salt struct {
	master string

	mu        sync.Mutex
	minions   map[string]*minion
	cache     map[string]*gaea.CachedJob
	archive   map[string]map[string]gaea.Return // by jid and minion
	subs      map[string][]*subscription
	published []gaea.Publication
	onStore   func(gaea.Return)
	fail      func(gaea.Publication) (before, after error)
	cacheFail error
	latency   time.Duration
	channel   int
	timers    map[*time.Timer]struct{}
	closed    bool
}

// New returns a master of the given name that has no minions.
func New(master string) *Salt {
	return &Salt{
		master: master, minions: map[string]*minion{}, cache: map[string]*gaea.CachedJob{},
		archive: map[string]map[string]gaea.Return{}, subs: map[string][]*subscription{}, channel: 64,
		timers: map[*time.Timer]struct{}{},
	}
}

// Set adds a minion, or gives it another behaviour from now on.
func (s *Salt) Set(name string, behaviour Minion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.minions[name]
	if m == nil {
		m = &minion{name: name, known: map[string]bool{}, jobs: map[string]*job{}, processes: map[int]process{}}
		s.minions[name] = m
	}
	m.Minion, m.busy = behaviour, behaviour.Busy
}

// Remove takes a minion away from the master: its key is deleted.
func (s *Salt) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.minions, name)
}

// FailPublish decides for each publication whether it fails before the master takes it, or after. Nil: none fails.
func (s *Salt) FailPublish(f func(gaea.Publication) (before, after error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// FailCache makes look-ups in the job cache fail. Nil: they work.
func (s *Salt) FailCache(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cacheFail = err
}

// Latency is how long the master takes to answer a publish or a look-up.
func (s *Salt) Latency(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency = d
}

// ChannelSize is how many returns fit into a subscription; 64 unless set.
func (s *Salt) ChannelSize(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channel = n
}

// OnStore is called with each return that is stored for the first time.
func (s *Salt) OnStore(f func(gaea.Return)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onStore = f
}

// Published lists what was published, in order; of one function where it is not empty.
func (s *Salt) Published(function string) []gaea.Publication {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []gaea.Publication
	for _, p := range s.published {
		if function == "" || p.Function == function {
			found = append(found, p)
		}
	}
	return found
}

// Ran lists the job ids that a minion ran, in order. Questions and refusals are not among them.
func (s *Salt) Ran(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.minions[name]; m != nil {
		return slices.Clone(m.ran)
	}
	return nil
}

// MostStates is the most state runs that were going on at once on any minion.
func (s *Salt) MostStates() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := 0
	for _, m := range s.minions {
		most = max(most, m.most)
	}
	return most
}

// Running says whether a minion runs anything.
func (s *Salt) Running(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.minions[name]
	return m != nil && len(m.jobs) > 0
}

// ForgetMinions takes out of the job cache whom its jobs were published to, and keeps the jobs.
func (s *Salt) ForgetMinions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cache {
		c.Job.Minions = nil
	}
}

// Inject stores a return as if a minion had sent it.
func (s *Salt) Inject(ret gaea.Return) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ret.Master = s.master
	s.store(ret)
}

// Close stops everything that is still to happen.
func (s *Salt) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for timer := range s.timers {
		timer.Stop()
	}
	clear(s.timers)
}

// Publish implements [gaea.Publisher].
func (s *Salt) Publish(ctx context.Context, p gaea.Publication) (gaea.Published, error) {
	s.mu.Lock()
	latency, fail := s.latency, s.fail
	s.mu.Unlock()
	if err := pause(ctx, latency); err != nil {
		return gaea.Published{}, gaea.Wrap(err, gaea.CodeTimeout, "the master did not answer in time")
	}
	var before, after error
	if fail != nil {
		before, after = fail(p)
	}
	if before != nil {
		return gaea.Published{}, before
	}
	answer, err := s.publish(p)
	if err == nil && after != nil {
		return gaea.Published{}, after
	}
	return answer, err
}

func (s *Salt) publish(p gaea.Publication) (gaea.Published, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := gaea.Published{JID: p.JID}
	told := map[string]*minion{} // who takes it for himself
	if p.Target.Type == gaea.TargetList {
		for _, name := range p.Target.Minions {
			if m := s.minions[name]; m != nil {
				answer.Minions = append(answer.Minions, name)
				told[name] = m
			} else {
				answer.Missing = append(answer.Missing, name)
			}
		}
	} else {
		for name, m := range s.minions {
			means, believed := matches(p.Target, m)
			if believed {
				answer.Minions = append(answer.Minions, name)
			}
			if means {
				told[name] = m
			}
		}
	}
	slices.Sort(answer.Minions)
	if len(answer.Minions) == 0 {
		return gaea.Published{}, gaea.Errorf(gaea.CodeEmptyTarget, "the target %q matches no minion", p.Target.String())
	}
	s.published = append(s.published, p)
	if s.cache[p.JID] == nil {
		s.cache[p.JID] = &gaea.CachedJob{Job: gaea.Job{
			Master: s.master, JID: p.JID, Function: p.Function, Target: p.Target, Minions: answer.Minions, Started: time.Now(), Known: true,
		}}
	}
	for _, name := range slices.Sorted(mapKeys(told)) {
		s.receive(told[name], p)
	}
	return answer, nil
}

// matches says whether a target that is no list means a minion, and whether the master believes so.
func matches(t gaea.Target, m *minion) (means, believed bool) {
	switch t.Type {
	case gaea.TargetGrain:
		return m.Grain == t.Expr, m.Grain == t.Expr || m.Guessed == t.Expr
	case gaea.TargetCompound: // only what the engine makes of a grain target: G@EXPR and L@NAME,NAME
		grain, list, narrowed := strings.Cut(t.Expr, " and L@")
		grain = strings.TrimPrefix(grain, "G@")
		listed := !narrowed || slices.Contains(strings.Split(list, ","), m.name)
		return listed && m.Grain == grain, listed && (m.Grain == grain || m.Guessed == grain)
	default:
		ok := t.Expr == "*" || (strings.HasSuffix(t.Expr, "*") && strings.HasPrefix(m.name, strings.TrimSuffix(t.Expr, "*"))) || t.Expr == m.name
		return ok, ok
	}
}

// CachedJob implements [gaea.JobCache].
func (s *Salt) CachedJob(ctx context.Context, jid string) (*gaea.CachedJob, error) {
	s.mu.Lock()
	latency := s.latency
	s.mu.Unlock()
	if err := pause(ctx, latency); err != nil {
		return nil, gaea.Wrap(err, gaea.CodeTimeout, "the job cache did not answer in time")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cacheFail != nil {
		return nil, s.cacheFail
	}
	c := s.cache[jid]
	if c == nil {
		return nil, gaea.Errorf(gaea.CodeNotFound, "the job cache has no job %s", jid)
	}
	return &gaea.CachedJob{Job: c.Job, Returns: slices.Clone(c.Returns)}, nil
}

// CachedJobParts implements [gaea.JobCache].
func (s *Salt) CachedJobParts(ctx context.Context, jid string, part func(*gaea.CachedJob) error) error {
	return gaea.InOnePart(ctx, s, jid, part)
}

// CachedJIDs implements [gaea.JobCache].
func (s *Salt) CachedJIDs(_ context.Context, since time.Time) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var jids []string
	for jid, c := range s.cache {
		if !c.Job.Started.Before(since) {
			jids = append(jids, jid)
		}
	}
	slices.Sort(jids)
	return jids, nil
}

// after does something later, with the lock held. The lock is held now.
func (s *Salt) after(d time.Duration, f func()) {
	if d <= 0 {
		f()
		return
	}
	if s.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.timers, timer)
		if !s.closed {
			f()
		}
	})
	s.timers[timer] = struct{}{}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func isState(function string) bool { return strings.HasPrefix(function, "state.") }
