package api

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

type followRunInput struct {
	RunInput
	LastEventID string `header:"Last-Event-ID" maxLength:"64" doc:"the id of the last event that came: only what has changed since is sent. Browsers send it by themselves"`
}

// since is the run's Seq that the client has seen; ok is false where it has seen none.
func (in *followRunInput) since() (seq int64, ok bool) {
	seq, err := strconv.ParseInt(in.LastEventID, 10, 64)
	return seq, err == nil && seq >= 0
}

func (a *API) runEvents() {
	route(a, operation{
		id: "follow-run", method: http.MethodGet, path: "/v1/runs/{id}/events", tag: "runs", action: gaea.ActionRead, stream: true,
		summary: "One run as it goes on",
		about: "Server-sent events, each with the run's seq as id: `run` at first, with the whole run as GET /v1/runs/{id} has it; `change` when it has changed, " +
			"at most ten times a second, with the run in which minions and slices hold only those that have changed, without args and the minions of a " +
			"target of type list, which never change, and beside it removed (minions that turned out to be no part of the run), minion_count and " +
			"slice_count. Lay the minions by name and the slices by index over what came before, " +
			"cut the slices to slice_count; where the counts do not agree then, something was missed: ask again without Last-Event-ID. With Last-Event-ID " +
			"the first event is a `change` since that id. `end` comes at last, without an id, with {\"reason\"}: complete (the run and the check after it " +
			"have ended), limit (an hour has passed), shutdown (jobd stops) or the code of the problem for which the run could not be read. After any but " +
			"complete, ask again.",
	}, a.followRun)
}

// runFollower is one stream of a run's changes.
type runFollower struct {
	watch *runWatch
	out   *eventWriter
	sent  *gaea.Run // as the client has it
}

func (a *API) followRun(ctx context.Context, in *followRunInput) (*huma.StreamResponse, error) {
	leave, err := a.enter()
	if err != nil {
		return nil, err
	}
	watch, err := a.watchRun(ctx, in.ID)
	if err != nil {
		leave()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer leave()
		defer watch.close()
		_, w := humago.Unwrap(hc)
		f := &runFollower{watch: watch, out: newEventWriter(w)}
		if reason := f.stream(hc.Context(), in); reason != "" {
			_ = f.out.send("end", "", streamEnd{reason}) // a client that has left needs no last word
		}
	}}, nil
}

// stream returns why the stream ended, or nothing where the client is gone.
func (f *runFollower) stream(ctx context.Context, in *followRunInput) string {
	started := time.Now()
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	err := f.begin(in)
	for err == nil && !f.watch.run.Complete() {
		var seen sight
		if seen, err = f.watch.next(ctx, alive.C); err != nil {
			break
		}
		switch {
		case seen == sightStop:
			return endShutdown
		case seen == sightChange:
			err = f.change()
		case time.Since(started) >= maxStream:
			return endLimit
		default:
			err = f.out.comment("alive")
		}
	}
	switch {
	case err == nil:
		return endComplete
	case f.out.err != nil || ctx.Err() != nil:
		return ""
	default: // the client comes back when the archive answers again
		inquiryOf(ctx).report(ctx, problemOf(err), []error{err})
		return string(gaea.CodeOf(err))
	}
}

// begin sends how the run stands: whole, or what is new to a client that has seen it before. An id that the run has not
// reached is of a time that an archive from a backup does not know.
func (f *runFollower) begin(in *followRunInput) error {
	run := f.watch.run
	f.sent = run
	if seq, ok := in.since(); ok && seq <= run.Seq {
		return f.send("change", run.ChangesSince(seq))
	}
	return f.send("run", run)
}

// change sends what the client does not have yet, if there is anything.
func (f *runFollower) change() error {
	run := f.watch.run
	c := run.ChangesFrom(f.sent)
	if len(c.Minions)+len(c.Slices)+len(c.Removed) == 0 && sameHead(run, f.sent) {
		return nil
	}
	f.sent = run
	return f.send("change", c)
}

func (f *runFollower) send(name string, data any) error {
	return f.out.send(name, strconv.FormatInt(f.sent.Seq, 10), data)
}

// sameHead says whether two snapshots of a run agree in all but minions and slices.
func sameHead(a, b *gaea.Run) bool {
	x, y := *a, *b
	x.Minions, x.Slices, x.Call = nil, nil, nil
	y.Minions, y.Slices, y.Call = nil, nil, nil
	return reflect.DeepEqual(x, y)
}
