package killtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	endLimit  = 2 * time.Minute        // for a run to end when jobd is there again
	seenLimit = time.Minute            // for a run to come to a moment
	poll      = 2 * time.Millisecond   // between looks at a run on its way to a moment: a publish takes some more
	calmPoll  = 100 * time.Millisecond // between looks at what nobody waits for
)

// round is one round: some runs, one kill or two, and what became of them.
type round struct {
	*session
	number int
	plan   plan
	jobs   []*job
	kills  []time.Time
	down   bool           // jobd does not run
	jids   map[string]int // the jobs of all runs, with their returns
	traced map[string]int // how many marks each file had in the end
}

// job is a run of a round.
type job struct {
	work
	id        string // empty: not accepted yet, for all that is known
	key       string
	cancelled time.Time // when jobd was asked to cancel it
	paused    time.Time // when jobd had taken that it is to pause
	run       *gaea.Run // as it ended
	children  []*gaea.Run
}

// play makes the runs, kills jobd, starts it again and waits for the end of the runs.
func (r *round) play(ctx context.Context) error {
	for i, w := range r.plan.works {
		if _, err := r.cfg.Client.PutJobTemplate(ctx, w.template); err != nil {
			return err
		}
		r.jobs = append(r.jobs, &job{work: w, key: fmt.Sprintf("%s-%d-%d", r.name, r.number, i)})
	}
	if err := r.until(ctx); err != nil {
		return err
	}
	r.kill()
	if err := r.restart(ctx); err != nil {
		return err
	}
	for _, j := range r.jobs {
		if err := r.again(ctx, j); err != nil {
			return err
		}
	}
	for _, j := range r.jobs {
		if err := r.stands(ctx, j); err != nil {
			return err
		}
	}
	for _, j := range r.jobs {
		if err := r.finish(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

// until makes the runs and returns at the moment of the kill.
func (r *round) until(ctx context.Context) error {
	m := r.plan.moment
	last := len(r.jobs) - 1
	for i, j := range r.jobs {
		if j.later {
			if err := r.watch(ctx, r.jobs[0], claimed); err != nil {
				return err
			}
		}
		if i == last && m.seen == nil {
			return r.createAndGo(ctx, j, m.after)
		}
		if err := r.create(ctx, j); err != nil {
			return err
		}
	}
	if err := r.control(ctx, r.jobs[0]); err != nil {
		return err
	}
	if err := r.watch(ctx, r.jobs[0], m.seen); err != nil {
		return err
	}
	return pause(ctx, m.after)
}

func (r *round) create(ctx context.Context, j *job) error {
	run, err := r.cfg.Client.CreateRun(ctx, gaea.RunRequest{JobTemplate: j.template.Name, Target: j.target}, j.key)
	if err != nil {
		return err
	}
	if j.id != "" && j.id != run.ID {
		return violation("the key of run %s gave another one, %s", j.id, run.ID)
	}
	j.id = run.ID
	return nil
}

// createAndGo asks for a run and returns a while after the request was begun, wherever it has come to.
func (r *round) createAndGo(ctx context.Context, j *job, after time.Duration) error {
	asking, giveUp := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.create(asking, j) // it may get lost: that is the point
	}()
	err := pause(ctx, after)
	r.kill() // here, because what waits for an answer would ask the next jobd
	giveUp()
	<-done
	return err
}

// control pauses or cancels a run when its first slice is out.
func (r *round) control(ctx context.Context, j *job) error {
	if j.control == leaveAlone {
		return nil
	}
	if err := r.watch(ctx, j, slicePublished(1)); err != nil {
		return err
	}
	var err error
	if j.control == pauseIt {
		if _, err = r.cfg.Client.PauseRun(ctx, j.id); err == nil {
			j.paused = time.Now()
		}
	} else {
		j.cancelled = time.Now()
		_, err = r.cfg.Client.CancelRun(ctx, j.id, gaea.CancelRequest{Grace: j.grace})
	}
	if gaea.CodeOf(err) == gaea.CodeConflict {
		return nil // it was quicker
	}
	return err
}

// watch looks at a run until it has come to something, or will not: it has ended before, or is paused.
func (r *round) watch(ctx context.Context, j *job, seen func(*gaea.Run) bool) error {
	ctx, cancel := context.WithTimeout(ctx, seenLimit)
	defer cancel()
	for {
		run, err := r.cfg.Client.GetRun(ctx, j.id)
		if err != nil || seen(run) || run.Status.Final() || run.Status == gaea.RunPaused {
			return err
		}
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
}

// kill ends jobd, unless that is done.
func (r *round) kill() {
	if r.down {
		return
	}
	r.down = true
	r.kills = append(r.kills, time.Now())
	r.cfg.Jobd.Kill()
	r.cfg.Client.Close() // its connections lead nowhere now
}

// restart starts jobd, in some rounds a second time after it was killed while it started.
func (r *round) restart(ctx context.Context) error {
	if r.plan.twice {
		if err := r.launch(ctx); err != nil {
			return err
		}
		err := pause(ctx, r.plan.second)
		r.kill()
		if err != nil {
			return err
		}
	}
	began := time.Now()
	if err := r.launch(ctx); err != nil {
		return err
	}
	if err := r.cfg.Jobd.Ready(ctx); err != nil {
		return err
	}
	r.summary.Restart = max(r.summary.Restart, time.Since(began))
	return nil
}

func (r *round) launch(ctx context.Context) error {
	if err := r.cfg.Jobd.Launch(ctx); err != nil {
		return err
	}
	r.down = false
	return nil
}

// again asks for a run with its key once more: it is the same run, and one that was never accepted is made now.
func (r *round) again(ctx context.Context, j *job) error { return r.create(ctx, j) }

// stands checks that what jobd had taken before it was killed still holds.
func (r *round) stands(ctx context.Context, j *job) error {
	run, err := r.cfg.Client.GetRun(ctx, j.id)
	switch {
	case err != nil:
		return err
	case !j.paused.IsZero() && run.Pause == nil && run.Verdict == "":
		return violation("run %s was told to pause, and has forgotten it", j.id)
	case !j.cancelled.IsZero() && run.Verdict != gaea.RunCancelled:
		return violation("run %s was cancelled, and has forgotten it", j.id)
	default:
		return nil
	}
}

// finish waits for the end of a run, and has it go on where it is paused.
func (r *round) finish(ctx context.Context, j *job) error {
	limited, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	run, err := r.cfg.Client.FollowRun(limited, j.id, func(run *gaea.Run) error {
		if run.Status != gaea.RunPaused {
			return nil
		}
		if _, err := r.cfg.Client.ResumeRun(limited, j.id); err != nil && gaea.CodeOf(err) != gaea.CodeConflict {
			return err
		}
		return nil
	})
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		j.run = run
		return violation("run %s has not ended %s after jobd was started again", j.id, endLimit)
	}
	if err != nil {
		return err
	}
	if j.run, err = r.cfg.Client.GetRun(ctx, j.id); err != nil {
		return err
	}
	return r.again(ctx, j)
}

// ends says how the runs ended.
func (r *round) ends() string {
	var words []string
	for _, j := range r.jobs {
		words = append(words, string(j.run.Status))
	}
	return strings.Join(words, ", ")
}

// describe tells the plan.
func (r *round) describe() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, killed %s", r.plan.shape, r.plan.moment)
	if r.plan.twice {
		fmt.Fprintf(&text, ", and again %v after the start", r.plan.second)
	}
	return text.String()
}

// facts are the runs as they are known, what is on the minions, and the end of jobd's log.
func (r *round) facts() string {
	var text strings.Builder
	for i, kill := range r.kills {
		fmt.Fprintf(&text, "kill %d: %s\n", i+1, kill.UTC().Format(time.RFC3339Nano))
	}
	for _, j := range r.jobs {
		fmt.Fprintf(&text, "run %s (%s):\n", j.letter, j.id)
		for _, run := range append([]*gaea.Run{j.run}, j.children...) {
			if b, err := json.MarshalIndent(run, "  ", "  "); err == nil && run != nil {
				fmt.Fprintf(&text, "  %s\n", b)
			}
		}
	}
	for _, minion := range r.cfg.Lab.Minions() {
		found, err := lines(r.traces.minion(r.number, minion))
		fmt.Fprintf(&text, "trace of %s: %q", minion, found)
		if err != nil {
			fmt.Fprintf(&text, " (%v)", err)
		}
		text.WriteByte('\n')
	}
	fmt.Fprintf(&text, "jobd's log ends in:\n%s\n", r.log())
	return text.String()
}

// log is the end of jobd's log, without what it says of requests: most of them are this package's looks at runs.
func (r *round) log() string {
	const all, shown = 20_000, 150
	lines := slices.DeleteFunc(strings.Split(r.cfg.Jobd.Log(all), "\n"), func(line string) bool { return strings.Contains(line, "msg=request ") })
	return strings.Join(lines[max(len(lines)-shown, 0):], "\n")
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
