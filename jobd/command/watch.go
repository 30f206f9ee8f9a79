package command

import (
	"fmt"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// watch stays until the run has ended and shows it then. A caller who leaves before is told how to come back.
func watch(w *world, client *jobdclient.Client, run *gaea.Run, f format, returns bool) error {
	w.note("%s\n", run.ID)
	status := newStatus(w)
	ended, err := client.WaitRun(w.ctx, run.ID, status.show)
	status.end()
	if err != nil {
		if w.ctx.Err() != nil {
			w.note("The run goes on. Watch it with: jobd show --watch %[1]s\nStop it with: jobd cancel %[1]s\n", run.ID)
			return exitError(ExitFailed)
		}
		return err
	}
	return showRun(w, client, ended, f, returns)
}

// status shows how a run goes, beside the output proper: on a terminal as one line that is written over and goes away at the
// end, elsewhere as a line for each change.
type status struct {
	w    *world
	stop chan struct{}
	done sync.WaitGroup

	mu    sync.Mutex
	line  string // as it stands
	since time.Time
	drawn bool
}

// newStatus must be ended.
func newStatus(w *world) *status {
	s := &status{w: w, stop: make(chan struct{})}
	if w.tty {
		s.done.Go(func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					s.draw()
				case <-s.stop:
					return
				}
			}
		})
	}
	return s
}

// show takes in how the run stands.
func (s *status) show(r *gaea.Run) {
	c := counts(r.Tally())
	line := words(r.Status) + "  " + c
	switch {
	case r.Status.Final() && r.CheckState == gaea.CheckPending:
		line = "checking what is left  " + c
	case c == "-":
		line = words(r.Status)
	}
	s.mu.Lock()
	changed := line != s.line
	s.line, s.since = line, r.Created
	s.mu.Unlock()
	switch {
	case s.w.tty:
		s.draw()
	case changed && c != "-" && !r.Complete(): // how it ended is printed anyway
		s.w.note("%s\n", line)
	}
}

// say shows a line of another kind, since now. It is for terminals: elsewhere nothing is said.
func (s *status) say(line string) {
	s.mu.Lock()
	s.line, s.since = line, time.Now()
	s.mu.Unlock()
	if s.w.tty {
		s.draw()
	}
}

func (s *status) draw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line == "" {
		return
	}
	s.drawn = true
	s.w.note("\r\x1b[K%s  %s", s.line, max(time.Since(s.since), 0).Round(time.Second))
}

// end takes the line away.
func (s *status) end() {
	close(s.stop)
	s.done.Wait()
	if s.drawn {
		s.w.note("\r\x1b[K")
	}
}

// age is how long a run took, or takes so far.
func age(r *gaea.Run) string {
	end := r.Ended
	if end.IsZero() {
		end = time.Now()
	}
	return fmt.Sprint(max(end.Sub(r.Created), 0).Round(100 * time.Millisecond))
}
