package schedule_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

// world is what a queue works for: assignments, runs and an archive.
type world struct {
	mu      sync.Mutex
	watched map[string]string
	again   map[string]func() time.Time // by assignment: what Look says
	looks   map[string][]time.Time
	looking map[string]int
	atOnce  int // the most looks at one assignment at the same time
	held    chan struct{}
	runs    map[string]bool // by run: it has ended
	ensured map[string]int
	shelf   *shelf
}

func newWorld() *world {
	return &world{
		watched: map[string]string{}, again: map[string]func() time.Time{}, looks: map[string][]time.Time{}, looking: map[string]int{},
		runs: map[string]bool{}, ensured: map[string]int{}, shelf: &shelf{},
	}
}

// watch has an assignment checked each so often, from now on.
func (w *world) watch(name, ref string, every time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watched[name] = ref
	w.again[name] = func() time.Time { return time.Now().Add(every) }
}

func (w *world) forget(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watched, name)
	delete(w.again, name)
}

// hold keeps every look from ending until the result is called.
func (w *world) hold() (release func()) {
	held := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = held
	return sync.OnceFunc(func() {
		w.mu.Lock()
		w.held = nil
		w.mu.Unlock()
		close(held)
	})
}

func (w *world) lookedAt(name string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looks[name]
}

func (w *world) Watched(context.Context) (map[string]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.watched), nil
}

func (w *world) Look(ctx context.Context, name string) (time.Time, error) {
	w.mu.Lock()
	w.looks[name] = append(w.looks[name], time.Now())
	w.looking[name]++
	w.atOnce = max(w.atOnce, w.looking[name])
	held, again := w.held, w.again[name]
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.looking[name]--
		w.mu.Unlock()
	}()
	if held != nil {
		select {
		case <-held:
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
	if again == nil {
		return time.Time{}, nil
	}
	return again(), nil
}

func (w *world) Ensure(_ context.Context, id string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ensured[id]++
	ended, ok := w.runs[id]
	if !ok {
		return false, gaea.Errorf(gaea.CodeNotFound, "there is no run %s", id)
	}
	return ended, nil
}

// place is where queues are opened: a database of one test's own.
type place struct {
	t       *testing.T
	address string
}

func (p place) options(w *world, seat string) schedule.Options {
	return schedule.Options{
		Address: p.address, Master: "salt.example.org", Seat: seat, Runs: w, Checks: w, Store: w.shelf, Logger: slog.New(slog.DiscardHandler),
	}
}

func (p place) open(o schedule.Options) *schedule.Queue {
	p.t.Helper()
	q, err := schedule.Open(p.t.Context(), o)
	if err != nil {
		p.t.Fatal(err)
	}
	return q
}

// start starts a queue, which the result stops.
func (p place) start(o schedule.Options) (*schedule.Queue, func()) {
	p.t.Helper()
	q := p.open(o)
	if err := q.Start(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := q.Stop(ctx); err != nil {
			p.t.Errorf("the queue does not stop: %v", err)
		}
		_ = q.Close()
	})
	p.t.Cleanup(stop)
	return q, stop
}

// onEach runs a test on every database that a queue can be in.
func onEach(t *testing.T, test func(t *testing.T, p place, w *world)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, place{t, "sqlite://" + filepath.Join(t.TempDir(), "queue.db")}, newWorld())
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		address, err := postgres.Database(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		test(t, place{t, address}, newWorld())
	})
}

func rows(t *testing.T, q *schedule.Queue, kind string) int {
	t.Helper()
	jobs, err := q.Rows(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	return len(jobs)
}

func TestAnAssignmentIsLookedAtWhenItSaysSo(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		w.watch("web", "web@1", 2*time.Second)
		p.start(p.options(w, "a"))
		eventually(t, "three looks", func() bool { return len(w.lookedAt("web")) >= 3 })
		looks := w.lookedAt("web")
		for i := range looks[1:] {
			if pause := looks[i+1].Sub(looks[i]); pause < 1900*time.Millisecond || pause > 5*time.Second {
				t.Errorf("a pause of %s, not of 2 s and what River's poll takes", pause)
			}
		}
	})
}

func TestAChangedAssignmentIsLookedAtAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		w.watch("web", "web@1", time.Hour)
		q, _ := p.start(p.options(w, "a"))
		eventually(t, "the first look", func() bool { return len(w.lookedAt("web")) == 1 })
		w.watch("web", "web@2", time.Minute)
		changed := time.Now()
		q.Changed()
		eventually(t, "a look at the change", func() bool { return len(w.lookedAt("web")) == 2 })
		if took := time.Since(changed); took > 5*time.Second {
			t.Errorf("noticed after %s", took)
		}
	})
}

func TestTheJobOfADeletedAssignmentGoesAway(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		w.watch("web", "web@1", time.Hour)
		w.watch("db", "db@1", time.Hour)
		q, _ := p.start(p.options(w, "a"))
		eventually(t, "both looks", func() bool { return len(w.lookedAt("web")) == 1 && len(w.lookedAt("db")) == 1 })
		w.forget("web")
		q.Changed()
		eventually(t, "one job is left", func() bool { return rows(t, q, "drift_check") == 1 })
		w.watch("web", "web@1", time.Hour)
		q.Changed()
		eventually(t, "it is looked at when it is there again", func() bool { return len(w.lookedAt("web")) == 2 })
	})
}

func TestAChangeWhileTheJobIsUnderWayIsNotMissed(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		release := w.hold()
		w.watch("web", "web@1", time.Hour)
		q, _ := p.start(p.options(w, "a"))
		eventually(t, "the look begins", func() bool { return len(w.lookedAt("web")) == 1 })
		w.watch("web", "web@2", time.Hour)
		q.Changed()
		release()
		eventually(t, "a look at the change", func() bool { return len(w.lookedAt("web")) == 2 })
	})
}

func TestTwoProcessesOfOneQueueNeverLookAtAnAssignmentTwiceAtOnce(t *testing.T) {
	t.Parallel()
	address, err := postgres.Database(t.Context()) // a file has one process
	if err != nil {
		t.Fatal(err)
	}
	p, w := place{t, address}, newWorld()
	for i := range 5 {
		w.watch(fmt.Sprintf("a%d", i), "1", time.Second)
	}
	a, _ := p.start(p.options(w, "a"))
	p.start(p.options(w, "b"))
	eventually(t, "each has been looked at three times", func() bool {
		for i := range 5 {
			if len(w.lookedAt(fmt.Sprintf("a%d", i))) < 3 {
				return false
			}
		}
		return true
	})
	if n := rows(t, a, "drift_check"); n != 5 {
		t.Errorf("%d jobs for 5 assignments", n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.atOnce != 1 {
		t.Errorf("%d looks at one assignment at once", w.atOnce)
	}
}

func TestTheJobsOfTwoMastersAreKeptApart(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		other := newWorld()
		w.watch("web", "web@1", time.Hour)
		other.watch("web", "web@1", time.Hour)
		o := p.options(other, "a")
		o.Master = "elsewhere"
		if strings.HasPrefix(p.address, "sqlite:") {
			o.Address = "sqlite://" + filepath.Join(t.TempDir(), "other.db")
		}
		p.start(p.options(w, "a"))
		q, _ := p.start(o)
		eventually(t, "each looks at its own", func() bool { return len(w.lookedAt("web")) == 1 && len(other.lookedAt("web")) == 1 })
		other.forget("web")
		q.Changed()
		eventually(t, "the other's job is gone", func() bool { return rows(t, q, "drift_check") == 0 })
		if len(w.lookedAt("web")) != 1 {
			t.Error("the other's change woke this one's job")
		}
	})
}

func TestAnAcceptedRunHasOneJobThatLooksAfterIt(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		q, _ := p.start(p.options(w, "a"))
		for i := range 250 {
			q.Accepted(fmt.Sprintf("run-%d", i))
		}
		q.Accepted("run-0")
		eventually(t, "each run has one job", func() bool { return rows(t, q, "run") == 250 })
		jobs, err := q.Rows(t.Context(), "run")
		if err != nil {
			t.Fatal(err)
		}
		for _, job := range jobs[:3] {
			if sleeps := time.Until(job.ScheduledAt); sleeps < 15*time.Second || sleeps > 31*time.Second {
				t.Errorf("looked after in %s: most runs have not ended, or too long nobody looks", sleeps)
			}
		}
	})
}

func TestOldThingsAreDeletedWhenJobdStartsAndNotWithoutARetention(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		w.shelf = minutes(1200)
		o := p.options(w, "a")
		q, stop := p.start(o)
		w.watch("web", "web@1", time.Hour)
		q.Changed()
		eventually(t, "the queue works", func() bool { return len(w.lookedAt("web")) == 1 })
		if w.shelf.left() != 1200 || rows(t, q, "retention") != 0 {
			t.Errorf("%d things are left without a retention", w.shelf.left())
		}
		stop()
		for _, keep := range []time.Duration{10 * time.Hour, 5 * time.Hour} {
			o.Keep = gaea.Retention{Returns: keep}
			q, stop = p.start(o)
			eventually(t, "only what is younger is left", func() bool { return w.shelf.left() == int(keep.Minutes())+1 || w.shelf.left() == int(keep.Minutes()) })
			if n := rows(t, q, "retention"); n != 1 {
				t.Errorf("%d jobs", n)
			}
			stop()
		}
	})
}

func TestAQueueThatIsGoneIsAProblemInWords(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		q := p.open(p.options(w, "a"))
		if problems := q.Problems(t.Context()); len(problems) != 0 {
			t.Errorf("%v", problems)
		}
		if err := q.Break(); err != nil {
			t.Fatal(err)
		}
		if problems := q.Problems(t.Context()); len(problems) != 1 || !strings.Contains(problems[0], "queue's database") {
			t.Errorf("%v", problems)
		}
	})
}

func TestStopEndsALookThatDoesNotEndByItself(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		release := w.hold()
		defer release()
		w.watch("web", "web@1", time.Hour)
		_, stop := p.start(p.options(w, "a"))
		eventually(t, "the look begins", func() bool { return len(w.lookedAt("web")) == 1 })
		began := time.Now()
		stop()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("stopped after %s", took)
		}
		release()
		p.start(p.options(w, "a"))
		eventually(t, "the next start looks again", func() bool { return len(w.lookedAt("web")) >= 2 })
	})
}

func TestAnAddressThatIsNoneIsRefusedWithoutItsPassword(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "queue.db", "sqlite://queue.db", "mysql://u:secret@h/d", "postgres://u:secret@h:x/d", "postgres://u:secret@h/d?sslmode=never"} {
		_, err := schedule.Open(t.Context(), place{t, address}.options(newWorld(), "a"))
		if gaea.CodeOf(err) != gaea.CodeInvalid || strings.Contains(gaea.MessageOf(err), "secret") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestADatabaseThatDoesNotAnswerIsSaidAtTheStart(t *testing.T) {
	t.Parallel()
	_, err := schedule.Open(t.Context(), place{t, "postgres://u:secret@127.0.0.1:1/d"}.options(newWorld(), "a"))
	if gaea.CodeOf(err) != gaea.CodeUnavailable || strings.Contains(fmt.Sprint(err), "secret") {
		t.Errorf("%v", err)
	}
}
