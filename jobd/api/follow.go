package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// keepAlive is how often a stream that has nothing to say gives a sign of life.
	keepAlive = 15 * time.Second
	// writeTimeout is how long a client may take to read one event.
	writeTimeout = 15 * time.Second
	// maxStream is how long a stream lives; clients come back.
	maxStream = time.Hour
	// maxLosses is how often a stream may be behind the feed before the client counts as slow.
	maxLosses = 8
)

// Why a stream ended.
const (
	endComplete = "complete"
	endSlow     = "slow"
	endLimit    = "limit"
	endShutdown = "shutdown"
)

// streamEnd is the last event of a stream.
type streamEnd struct {
	Reason string `json:"reason"`
}

// follower is one stream of a job's returns.
type follower struct {
	api    *API
	master string
	jid    string
	sub    gaea.Subscription
	out    *eventWriter
	sent   map[string]bool // minions whose return the client has
	job    *gaea.JobDetail
	losses int
}

func (a *API) followJob(ctx context.Context, in *JobInput) (*huma.StreamResponse, error) {
	leave, err := a.enter()
	if err != nil {
		return nil, err
	}
	// Follow before looking: what is stored in between comes twice and is sent once.
	f := &follower{api: a, master: in.Master, jid: in.JID, sub: a.deps.Feed.Follow(in.JID), sent: map[string]bool{}}
	if f.job, err = a.deps.Archive.Job(ctx, in.Master, in.JID); err != nil {
		f.sub.Close()
		leave()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer leave()
		defer f.sub.Close()
		_, w := humago.Unwrap(hc)
		f.out = newEventWriter(w)
		if reason := f.stream(hc.Context()); reason != "" {
			_ = f.out.send("end", "", streamEnd{reason}) // a client that has left needs no last word
		}
	}}, nil
}

// stream returns why the stream ended, or nothing where the client is gone.
func (f *follower) stream(ctx context.Context) string {
	if err := f.out.send("job", "", f.job); err != nil {
		return ""
	}
	if err := f.stored(ctx); err != nil {
		return f.failed(ctx, err)
	}
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	limit := time.NewTimer(maxStream)
	defer limit.Stop()
	for !f.complete() {
		var err error
		select {
		case <-ctx.Done():
			return ""
		case <-f.api.stopped:
			return endShutdown
		case <-limit.C:
			return endLimit
		case ret, ok := <-f.sub.Returns():
			if !ok {
				return endShutdown
			}
			err = f.send(&ret)
		case <-f.sub.Lost():
			if f.losses++; f.losses > maxLosses {
				return endSlow
			}
			err = f.catchUp(ctx)
		case <-alive.C:
			// Looking again also finds minions that a second publication under this id has added.
			if err = f.out.comment("alive"); err == nil {
				err = f.catchUp(ctx)
			}
		}
		if err != nil {
			return f.failed(ctx, err)
		}
	}
	return endComplete
}

// failed tells a client that has left from an archive that does not answer; the client comes back after the latter.
func (f *follower) failed(ctx context.Context, err error) string {
	if f.out.err != nil || ctx.Err() != nil {
		return ""
	}
	in := inquiryOf(ctx)
	in.report(ctx, problemOf(err), []error{err})
	return string(gaea.CodeOf(err))
}

// complete says whether every expected minion's return was sent.
func (f *follower) complete() bool {
	for _, minion := range f.job.Minions {
		if !f.sent[minion] {
			return false
		}
	}
	return true
}

func (f *follower) catchUp(ctx context.Context) error {
	job, err := f.api.deps.Archive.Job(ctx, f.master, f.jid)
	if err != nil {
		return err
	}
	f.job = job
	return f.stored(ctx)
}

// stored sends the returns that the archive has and the client has not, one at a time.
func (f *follower) stored(ctx context.Context) error {
	for _, minion := range returned(f.job) {
		if f.sent[minion] {
			continue
		}
		ret, err := f.api.deps.Archive.Return(ctx, f.job.Master, f.jid, minion)
		if gaea.CodeOf(err) == gaea.CodeNotFound { // retention took it meanwhile
			f.sent[minion] = true
			continue
		}
		if err != nil {
			return err
		}
		if err := f.send(ret); err != nil {
			return err
		}
		select {
		case <-f.api.stopped:
			return nil // the loop says why
		default:
		}
	}
	return nil
}

func (f *follower) send(ret *gaea.Return) error {
	if f.sent[ret.Minion] || f.master != "" && ret.Master != f.master {
		return nil
	}
	f.sent[ret.Minion] = true
	return f.out.send("return", ret.Minion, ret)
}

// eventWriter writes server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type eventWriter struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	buf bytes.Buffer
	err error
}

func newEventWriter(w http.ResponseWriter) *eventWriter {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not gather events
	w.WriteHeader(http.StatusOK)
	return &eventWriter{w: w, rc: http.NewResponseController(w)}
}

// maxKept is how many bytes of room a stream keeps from one event to the next. The first event may be a run with all its
// minions, and what follows is small for as long as the stream lives.
const maxKept = 64 << 10

func (e *eventWriter) send(name, id string, data any) error {
	e.buf.Reset()
	e.buf.WriteString("event: " + name + "\n")
	if id != "" && !strings.ContainsAny(id, "\r\n\x00") {
		e.buf.WriteString("id: " + id + "\n")
	}
	e.buf.WriteString("data: ")
	enc := json.NewEncoder(&e.buf) // one line: JSON has no bare line breaks when it is compact, and Encode ends the line
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return err
	}
	e.buf.WriteByte('\n')
	return e.flush()
}

func (e *eventWriter) comment(text string) error {
	e.buf.Reset()
	e.buf.WriteString(": " + text + "\n\n")
	return e.flush()
}

func (e *eventWriter) flush() error {
	if e.err != nil {
		return e.err
	}
	_ = e.rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // not every writer has deadlines
	if _, e.err = e.w.Write(e.buf.Bytes()); e.err == nil {
		e.err = e.rc.Flush()
	}
	if e.buf.Cap() > maxKept {
		e.buf = bytes.Buffer{}
	}
	return e.err
}
