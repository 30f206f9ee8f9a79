package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
)

// measureQuestions asks jobd over its API what people ask, from its command line's first page (20 items) on, of an archive in
// each database.
func measureQuestions(ctx context.Context, b *bench) (figures []figure, err error) {
	for _, kind := range []struct {
		name, driver string
		returns      int
	}{{"SQLite", "sqlite", b.returns / 5}, {"PostgreSQL", "pgx", b.returns}} {
		some, err := questionsOf(ctx, b, kind.name, kind.driver, kind.returns)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
		figures = append(figures, some...)
	}
	return figures, nil
}

func questionsOf(ctx context.Context, b *bench, name, driver string, returns int) (figures []figure, err error) {
	dir, err := b.archiveDir(fmt.Sprintf("questions-%s-%d", driver, returns))
	if err != nil {
		return nil, err
	}
	where, database := filepath.Join(dir, "jobd.db"), ""
	if driver == "pgx" {
		server, err := b.server(ctx, filepath.Join(dir, "postgres"), "shared_buffers=256MB", "max_wal_size=4GB", "maintenance_work_mem=256MB")
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, server.Stop()) }()
		where = server.Default()
		database = where
	}
	stats, last, err := filled(ctx, dir, driver, where, returns)
	if err != nil {
		return nil, err
	}
	err = b.withBusIn(ctx, dir, database, nil, func(ctx context.Context, bus *bus, j *jobdlab.Jobd) error {
		figures, err = askAll(ctx, bus, j, fmt.Sprintf("%.1f M returns in %s (%.1f GB)", float64(stats.Returns)/1e6, name, float64(stats.Bytes)/1e9), last)
		return err
	})
	return figures, err
}

// askAll asks each question 200 times, as one who asks at a time.
func askAll(ctx context.Context, bus *bus, j *jobdlab.Jobd, of string, now time.Time) ([]figure, error) {
	go func() { _ = bus.send(ctx, 0, 0) }() // a master that says nothing
	if err := j.Launch(ctx); err != nil {
		return nil, err
	}
	if err := j.Ready(ctx); err != nil {
		return nil, err
	}
	token, err := j.Token(ctx, "read", "bench")
	if err != nil {
		return nil, err
	}
	c, err := jobdclient.New(jobdclient.Config{Endpoint: j.Endpoint, Token: token})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	q := &asker{ctx: ctx, c: c, rand: rand.New(rand.NewPCG(3, 4)), now: now} //nolint:gosec // the same questions each time
	const asks = 200
	var figures []figure
	for _, question := range []struct {
		what string
		ask  func() (string, int, error)
	}{
		{"what ran on a minion in the last week", q.history}, {"who ran a function", q.function}, {"which minions failed an SLS file in the last days", q.failures},
		{"what changed a file", q.changes}, {"what changed a file on a minion", q.changesOfMinion}, {"the last result of each state of a minion", q.statesOfMinion},
		{"the last result of each state of an SLS file", q.statesOfSLS}, {"jobs that run now", q.running}, {"the slowest states of some days", q.slowest},
		{"how long a highstate takes over time", q.durations},
	} {
		var times series
		cursor, found := "", 0
		for i := range asks {
			q.cursor = ""
			if i%4 == 3 { // somebody turns the page
				q.cursor = cursor
			}
			began := time.Now()
			next, n, err := question.ask()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", question.what, err)
			}
			times = append(times, time.Since(began))
			cursor, found = next, found+n
		}
		p95 := times.quantile(0.95)
		figures = append(figures, figure{
			fmt.Sprintf("%s, %s", question.what, of), "p95 under 100 ms",
			fmt.Sprintf("p95 %s, median %s, longest %s; %.1f rows an answer", short(p95), short(times.median()), short(times.quantile(1)), float64(found)/asks), p95 < 100*time.Millisecond,
		})
	}
	return figures, nil
}

// asker asks questions with varied arguments. A page that was turned to is asked for with those of the page before.
type asker struct {
	ctx    context.Context
	c      *jobdclient.Client
	rand   *rand.Rand
	now    time.Time
	cursor string

	pick [3]int // what was chosen last
}

// choose picks some of n things, for each place; not where a page is turned.
func (q *asker) choose(of ...int) [3]int {
	if q.cursor == "" {
		for i, n := range of {
			q.pick[i] = q.rand.IntN(n)
		}
	}
	return q.pick
}

func (q *asker) page() gaea.PageRequest { return gaea.PageRequest{Limit: 20, Cursor: q.cursor} }

// since is a time some days ago.
func (q *asker) since(days int) time.Time { return q.now.AddDate(0, 0, -days) }

func answered[T any](p gaea.Page[T], err error) (string, int, error) {
	return p.Next, len(p.Items), err
}

func (q *asker) history() (string, int, error) {
	p := q.choose(fleetMinions)
	return answered(q.c.History(q.ctx, gaea.HistoryFilter{Minion: fleetMinion(p[0]), Since: q.since(7)}, q.page()))
}

func (q *asker) function() (string, int, error) {
	p := q.choose(12)
	name := [...]string{"state.apply", "state.highstate"}[p[0]%2]
	if p[0] < 10 {
		name = fleetFunction(p[0])
	}
	return answered(q.c.Jobs(q.ctx, gaea.JobFilter{Function: name}, q.page()))
}

func (q *asker) failures() (string, int, error) {
	p := q.choose(fleetSLS, 7)
	return answered(q.c.FailedMinions(q.ctx, gaea.StateFilter{SLS: fleetSLSName(p[0]), Since: q.since(1 + p[1])}, q.page()))
}

func (q *asker) file(i int) string {
	return fmt.Sprintf("/etc/%s/part-%d.conf", fleetSLSName(i%fleetSLS), i/fleetSLS)
}

func (q *asker) changes() (string, int, error) {
	p := q.choose(2*fleetSLS, 30)
	return answered(q.c.Changes(q.ctx, gaea.StateFilter{State: q.file(p[0]), Since: q.since(1 + p[1])}, q.page()))
}

func (q *asker) changesOfMinion() (string, int, error) {
	p := q.choose(2*fleetSLS, 30, fleetMinions)
	return answered(q.c.Changes(q.ctx, gaea.StateFilter{State: q.file(p[0]), Since: q.since(1 + p[1]), Minion: fleetMinion(p[2])}, q.page()))
}

func (q *asker) statesOfMinion() (string, int, error) {
	p := q.choose(fleetMinions)
	return answered(q.c.States(q.ctx, gaea.StateFilter{Minion: fleetMinion(p[0])}, q.page()))
}

func (q *asker) statesOfSLS() (string, int, error) {
	p := q.choose(fleetSLS, 3)
	return answered(q.c.States(q.ctx, gaea.StateFilter{SLS: fleetSLSName(p[0]), Outcome: [...]gaea.Outcome{"", gaea.OutcomeFailed, gaea.OutcomeChanged}[p[1]]}, q.page()))
}

func (q *asker) running() (string, int, error) {
	p := q.choose(48)
	return answered(q.c.Jobs(q.ctx, gaea.JobFilter{Running: true, Since: q.now.Add(-time.Duration(1+p[0]) * time.Hour)}, q.page()))
}

func (q *asker) slowest() (string, int, error) {
	p := q.choose(fleetSLS+1, 30)
	f := gaea.SlowStateFilter{Since: q.since(1 + p[1])}
	if p[0] < fleetSLS {
		f.SLS = fleetSLSName(p[0])
	}
	m, err := q.c.SlowStates(q.ctx, f, q.page())
	return answered(m.Page, err)
}

func (q *asker) durations() (string, int, error) {
	p := q.choose(fleetSLS+1, 2)
	f := gaea.RunDurationFilter{Applied: "highstate", Test: p[1] == 1, Since: q.since(90)}
	if p[0] < fleetSLS && p[1] == 0 {
		f.Applied = fleetSLSName(p[0])
	}
	m, err := q.c.RunDurations(q.ctx, f, q.page())
	return answered(m.Page, err)
}
