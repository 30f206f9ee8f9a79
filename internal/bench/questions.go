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
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/sqlite"
)

// measureQuestions fills an archive in each database, and asks jobd over its API what people ask, from its command line's first
// page (20 items) on.
func measureQuestions(ctx context.Context, b *bench) (figures []figure, err error) {
	server, err := pglab.Start(ctx, "shared_buffers=256MB", "max_wal_size=4GB", "maintenance_work_mem=256MB")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	where, err := server.Database(ctx)
	if err != nil {
		return nil, err
	}
	for _, kind := range []struct {
		name, driver, where string
		returns             int
	}{{"SQLite", "sqlite", "", b.returns / 5}, {"PostgreSQL", "pgx", where, b.returns}} {
		name := "questions-" + kind.driver
		dir, err := b.dir(name)
		if err != nil {
			return nil, err
		}
		if kind.where == "" {
			kind.where = filepath.Join(dir, "jobd.db")
		}
		stats, err := fill(ctx, dir, kind.driver, kind.where, kind.returns)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
		database := kind.where
		if kind.driver == "sqlite" {
			database = ""
		}
		err = b.withBus(ctx, name, database, nil, func(ctx context.Context, bus *bus, j *jobdlab.Jobd) error {
			some, err := askAll(ctx, bus, j, fmt.Sprintf("%.1f M returns in %s (%.1f GB)", float64(stats.Returns)/1e6, kind.name, float64(stats.Bytes)/1e9))
			figures = append(figures, some...)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	return figures, nil
}

// fill makes an archive of a fleet: one day as jobd stores it, yesterday, and copies of it until there are enough returns.
func fill(ctx context.Context, dir, driver, where string, returns int) (stats archive.Stats, err error) {
	key, err := archive.OpenKeyFile(filepath.Join(dir, "jobd.key"))
	if err != nil {
		return stats, err
	}
	var s archive.Store
	if driver == "pgx" {
		s, err = postgres.Open(ctx, where, key, postgres.Options{})
	} else {
		s, err = sqlite.Open(ctx, where, key, sqlite.Options{})
	}
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	yesterday := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	say("storing a day in " + driver)
	day := &fleetDay{
		rand: rand.New(rand.NewPCG(1, 2)), states: fleetStates(), start: yesterday, //nolint:gosec // the same rows each time
		write: func(b archive.Batch) error { return s.WriteBatch(ctx, "salt", b) },
	}
	if err := day.all(); err != nil {
		return stats, err
	}
	if stats, err = s.Stats(ctx); err != nil {
		return stats, err
	}
	days := max(1, returns/int(stats.Returns))
	if driver == "pgx" { // which has partitions by the day
		var b archive.Batch
		for back := 1; back < days; back++ {
			at := yesterday.AddDate(0, 0, -back)
			b.Jobs = append(b.Jobs, gaea.Job{JID: at.Format("20060102150405") + "999999", Function: "test.version", Started: at, Source: gaea.SourceBus, Known: true})
		}
		if err := s.WriteBatch(ctx, "salt", b); err != nil {
			return stats, err
		}
	}
	say(fmt.Sprintf("copying a day of %d returns to %d days", stats.Returns, days))
	began := time.Now()
	a, err := openDays(driver, where, yesterday)
	if err != nil {
		return stats, err
	}
	if err := errors.Join(a.copyTo(ctx, days), a.db.Close()); err != nil {
		return stats, err
	}
	say(fmt.Sprintf("copied in %s", time.Since(began).Round(time.Second)))
	return s.Stats(ctx)
}

// askAll asks each question 200 times.
func askAll(ctx context.Context, bus *bus, j *jobdlab.Jobd, of string) ([]figure, error) {
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
	q := &asker{ctx: ctx, c: c, rand: rand.New(rand.NewPCG(3, 4)), now: time.Now()} //nolint:gosec // the same questions each time
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
