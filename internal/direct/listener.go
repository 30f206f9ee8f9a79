package direct

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// How often the job cache is asked for the returns of a job while the event stream is away: soon at first, then less and less,
// for each question is a process on the master.
const (
	pollFirst = time.Second
	pollMost  = 10 * time.Second
)

// listener brings returns to the journal: from the event stream, and from the job cache where that is away or refused.
type listener struct {
	bus     gaea.Bus
	journal *journal
	log     *slog.Logger

	first chan struct{} // closed when the stream has said its first word
	said  sync.Once
	wake  chan struct{} // holds one value when the jobs that are followed are to be looked at once

	mu        sync.Mutex
	connected bool
}

func newListener(bus gaea.Bus, j *journal, log *slog.Logger) *listener {
	return &listener{bus: bus, journal: j, log: log, first: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// ready waits until the stream is there or is known not to be: what is published before that would go by unheard.
func (l *listener) ready(ctx context.Context) error {
	select {
	case <-l.first:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listen reads the stream until ctx ends.
func (l *listener) listen(ctx context.Context) {
	err := l.bus.Read(ctx, func(m gaea.BusMessage) {
		switch {
		case m.Event != nil:
			l.event(*m.Event)
			return
		case m.Connected:
			l.turn(true)
			l.log.Debug("connected to the master's event stream")
			if len(l.journal.hub.Jobs()) > 0 {
				l.look() // what came while it was away
			}
		case m.Err != nil:
			if l.turn(false) {
				l.log.Warn("the master's event stream is away; asking its job cache meanwhile", "err", m.Err)
			}
			l.look()
		}
		l.said.Do(func() { close(l.first) })
	})
	if ctx.Err() == nil {
		l.log.Warn("there is no event stream; asking the master's job cache", "err", err)
		l.turn(false)
		l.look()
	}
	l.said.Do(func() { close(l.first) })
}

// event takes what is a return of a job that somebody waits for. Nothing of the others is even decoded.
func (l *listener) event(ev gaea.Event) {
	rest, ok := strings.CutPrefix(ev.Tag, "salt/job/")
	if !ok {
		return
	}
	jid, rest, _ := strings.Cut(rest, "/")
	if !strings.HasPrefix(rest, "ret/") || (l.journal.runOf(jid) == "" && !l.journal.hub.Followed(jid)) {
		return
	}
	d := saltclient.Decode(ev)
	switch {
	case d.Return == nil:
	case d.Trimmed: // the job cache has it whole, in a moment; the engine asks there for whoever stays silent
		l.look()
	default:
		l.journal.take(gaea.SourceBus, *d.Return)
	}
}

// turn notes whether the stream is there, and says whether that is new.
func (l *listener) turn(connected bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	fresh := l.connected != connected
	l.connected = connected
	return fresh
}

func (l *listener) away() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.connected
}

func (l *listener) look() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// poll asks the job cache after the jobs that are followed, once when it is woken and again and again while the stream is away,
// until ctx ends.
func (l *listener) poll(ctx context.Context) {
	asked := map[string]time.Duration{} // by jid: the pause before the next question
	due := map[string]time.Time{}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		again := time.Hour
		if l.away() {
			again = pollFirst / 4
		}
		timer.Reset(again)
		once := false
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			once = true
		case <-timer.C:
		}
		followed := l.journal.hub.Jobs()
		for _, jid := range followed {
			now := time.Now()
			if _, known := due[jid]; !known {
				due[jid], asked[jid] = now.Add(pollFirst), pollFirst
			}
			if !once && now.Before(due[jid]) {
				continue
			}
			if _, err := l.journal.CachedJob(ctx, jid); err != nil && ctx.Err() == nil && gaea.CodeOf(err) != gaea.CodeNotFound {
				l.log.Warn("the job cache could not be asked", "jid", jid, "err", err)
			}
			asked[jid] = min(2*asked[jid], pollMost)
			due[jid] = time.Now().Add(asked[jid])
		}
		forget(due, asked, followed)
	}
}

// forget lets go of the jobs that nobody follows any more.
func forget(due map[string]time.Time, asked map[string]time.Duration, followed []string) {
	live := make(map[string]bool, len(followed))
	for _, jid := range followed {
		live[jid] = true
	}
	for jid := range due {
		if !live[jid] {
			delete(due, jid)
			delete(asked, jid)
		}
	}
}
