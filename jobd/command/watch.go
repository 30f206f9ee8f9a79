package command

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// onInterrupt says what Ctrl-C, or SIGTERM, does to a run that somebody watches.
type onInterrupt string

// What it does.
const (
	interruptCancels  onInterrupt = "cancel" // the first cancels the run, the second leaves
	interruptDetaches onInterrupt = "detach" // the first leaves, and the run goes on
	interruptLeaves   onInterrupt = "leave"  // as detach, where the run is being cancelled already
)

// staying are the flags of commands that may stay until a run has ended.
type staying struct {
	Watch       bool        `short:"w" aliases:"wait" help:"Stay until the run ends, and show how it goes."`
	Returns     bool        `short:"r" help:"Stay until the run ends, and print what each minion returned."`
	OnInterrupt onInterrupt `help:"What Ctrl-C does while this stays: cancel the run, and stay until every kill is verified; or detach, and let the run go on." enum:"cancel,detach" default:"cancel"`
}

// stayHelp is the part of the help about them.
const stayHelp = `With --watch or --returns the first Ctrl-C cancels the run and stays until every kill is verified, and the second
leaves at once; with --on-interrupt detach the first leaves, and the run goes on. The exit code then says how the run
ended: 0 succeeded, 1 failed, halted or timed out, 3 cancelled, 4 not known, because jobd could not be reached or this
left before the end. With -o json each change is an object on a line of its own, and the last line is the run.`

// accepted tells of a run that jobd has taken, and stays with it where that is wanted.
func (s *staying) accepted(w *world, client *jobdclient.Client, run *gaea.Run, f format) error {
	if s.Watch || s.Returns {
		v := watch{w: w, client: client, format: f, returns: s.Returns, events: s.Watch && f.Output == "json", policy: s.OnInterrupt}
		return v.show(run)
	}
	if f.Output == "json" {
		return printJSON(w.Stdout, run)
	}
	w.printf("%s\n", run.ID)
	w.note("Watch it with: jobd show --watch %s\n", run.ID)
	return nil
}

// watch is somebody who stays with a run until it has ended.
type watch struct {
	w       *world
	client  *jobdclient.Client
	format  format
	returns bool
	all     bool // name every minion
	events  bool // tell changes as JSON
	policy  onInterrupt
}

// show stays until the run has ended and prints it then.
func (v *watch) show(run *gaea.Run) error {
	if !v.events {
		v.w.note("%s\n", run.ID)
	}
	ended, err := v.stay(run)
	if err != nil {
		return err
	}
	return v.print(ended)
}

// print prints a run that was stayed with: as one line where the lines before it are JSON.
func (v *watch) print(run *gaea.Run) error {
	f := v.format
	f.line = v.events
	ctx := v.w.ctx
	if ctx.Err() != nil && v.policy == interruptCancels { // who cancelled the run and stayed wants to see how it ended
		ctx = context.WithoutCancel(ctx)
	}
	return showRun(ctx, v.w, v.client, run, f, v.returns, v.all)
}

// stay shows how the run goes until it has ended. A caller who leaves before is told how to come back.
func (v *watch) stay(run *gaea.Run) (*gaea.Run, error) {
	var again <-chan struct{}
	if v.policy == interruptCancels && v.w.Again != nil {
		again = v.w.Again()
	}
	d := newDisplay(v.w, v.events)
	defer d.end() // also when this panics: the terminal gets its cursor back
	ctx, stop := context.WithCancel(context.WithoutCancel(v.w.ctx))
	var asking sync.WaitGroup
	defer asking.Wait()
	defer stop()

	id := run.ID
	seen := make(chan *gaea.Run, 1)
	ended := make(chan answer, 1)
	asking.Go(func() {
		last, err := v.client.WaitRun(ctx, id, func(r *gaea.Run) { latest(seen, r) })
		ended <- answer{last, err}
	})
	cancelled := make(chan answer, 1)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	interrupted, accepted := v.w.ctx.Done(), false
	d.hint(v.keys())
	d.see(run)
	look := func(r *gaea.Run) {
		if r.Seq >= run.Seq { // the answer to a cancellation may be older
			run = r
			accepted = accepted || r.Status == gaea.RunCancelling || r.Verdict == gaea.RunCancelled
			d.see(r)
		}
	}
	for {
		select {
		case r := <-seen:
			look(r)
		case <-tick.C:
			d.tick()
		case a := <-ended:
			if a.err != nil {
				return nil, v.lost(id, a.err)
			}
			d.see(a.run)
			return a.run, nil
		case <-interrupted:
			interrupted = nil
			if v.policy != interruptCancels {
				d.end()
				return nil, v.detach(id)
			}
			d.say("Ctrl-C: the run is being cancelled; Ctrl-C again leaves it to jobd")
			asking.Go(func() {
				r, err := v.client.CancelRun(ctx, id, gaea.CancelRequest{})
				cancelled <- answer{r, err}
			})
		case a := <-cancelled:
			if a.err != nil {
				d.end()
				v.w.note("The run could not be cancelled, and goes on. Stop it with: jobd cancel %s\n", id)
				return nil, a.err
			}
			accepted = true
			look(a.run)
		case <-again:
			d.end()
			return nil, v.abandon(id, accepted)
		}
	}
}

// answer is what a question for a run gave.
type answer struct {
	run *gaea.Run
	err error
}

// latest puts a snapshot in the place of one that was not taken.
func latest(c chan *gaea.Run, r *gaea.Run) {
	for {
		select {
		case c <- r:
			return
		default:
		}
		select {
		case <-c:
		default:
		}
	}
}

// keys says what Ctrl-C does.
func (v *watch) keys() string {
	switch v.policy {
	case interruptCancels:
		return "Ctrl-C cancels the run"
	default:
		return "Ctrl-C leaves; the run goes on"
	}
}

// detach tells who leaves a run how to come back to it.
func (v *watch) detach(id string) error {
	if v.policy == interruptLeaves {
		v.w.note("The run %[1]s goes on being cancelled. See how it ends with: jobd show --watch %[1]s\n", id)
	} else {
		v.w.note("The run %[1]s goes on. Watch it with: jobd show --watch %[1]s\nStop it with: jobd cancel %[1]s\n", id)
	}
	return exitError(ExitAway)
}

// abandon tells the same who does not wait for the end of a cancellation.
func (v *watch) abandon(id string, accepted bool) error {
	if accepted {
		v.w.note("The run %[1]s goes on being cancelled. See how it ends with: jobd show --watch %[1]s\n", id)
	} else {
		v.w.note("jobd has not said yet that the run %[1]s is being cancelled. Look with: jobd show %[1]s\nStop it with: jobd cancel %[1]s\n", id)
	}
	return exitError(ExitAway)
}

// lost adds to an error that the run does not mind it.
func (v *watch) lost(id string, err error) error {
	e, ok := errors.AsType[*gaea.Error](err)
	if !ok || e.Code != gaea.CodeUnavailable && e.Code != gaea.CodeTimeout {
		return err
	}
	return gaea.Wrap(e.Err, e.Code, "%s\n  how the run %[2]s ends is not known here; when jobd answers again, look with: jobd show --watch %[2]s", gaea.MessageOf(e), id)
}

// waiting is a line on a terminal that says what is waited for, until it is ended; elsewhere nothing is said.
type waiting struct {
	stop chan struct{}
	done sync.WaitGroup
}

func newWaiting(w *world, what string) *waiting {
	s := &waiting{stop: make(chan struct{})}
	if w.Screen == nil {
		return s
	}
	s.done.Go(func() {
		block := screen{w: w.Stderr, size: w.Screen}
		defer block.end()
		since := time.Now()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			block.draw([]string{fmt.Sprintf("%s  %s", what, rounded(time.Since(since)))})
			select {
			case <-tick.C:
			case <-s.stop:
				return
			}
		}
	})
	return s
}

func (s *waiting) end() {
	close(s.stop)
	s.done.Wait()
}
