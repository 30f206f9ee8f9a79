package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
)

// measureStart times jobd from its start to its first yes on /readyz, each time with an empty archive.
func measureStart(ctx context.Context, b *bench) ([]figure, error) {
	var times series
	for i := range b.rounds {
		err := b.withBus(ctx, fmt.Sprintf("start%d", i), "", nil, func(ctx context.Context, bus *bus, j *jobdlab.Jobd) error {
			go func() { _ = bus.send(ctx, 0, 0) }() // a master that says nothing
			began := time.Now()
			if err := j.Launch(ctx); err != nil {
				return err
			}
			if err := j.Ready(ctx); err != nil {
				return err
			}
			times = append(times, time.Since(began))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return []figure{{
		what: "jobd start to ready, empty archive", wanted: "under 300 ms",
		got: times.String(), ok: times.median() < 300*time.Millisecond,
	}}, nil
}

// measureLag has a bus send 1,000 state returns a second, and asks jobd's own metrics how long each took to be stored.
func measureLag(ctx context.Context, b *bench) ([]figure, error) {
	const perSecond, seconds = 1000, 30
	var figures []figure
	err := b.withBus(ctx, "lag", "", nil, func(ctx context.Context, bus *bus, j *jobdlab.Jobd) error {
		sent := make(chan error, 1)
		if err := j.Launch(ctx); err != nil {
			return err
		}
		go func() { sent <- bus.send(ctx, perSecond*seconds, perSecond) }()
		if err := j.Ready(ctx); err != nil {
			return err
		}
		before, err := scrape(ctx, j)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := stored(ctx, j, perSecond*seconds, sent); err != nil {
			return err
		}
		wall := time.Since(began)
		after, err := scrape(ctx, j)
		if err != nil {
			return err
		}
		p99 := after.quantile("gaea_ingest_lag_seconds", 0.99)
		cpu := (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / wall.Seconds()
		memory := after["process_resident_memory_bytes"] / (1 << 20)
		figures = []figure{
			{"lag from a return's stamp to stored, 1,000 returns/s of 1.5 kB, p99", "under 250 ms", short(p99), p99 < 250*time.Millisecond},
			{"jobd's CPU meanwhile", "under 25% of a core", fmt.Sprintf("%.0f%%", cpu*100), cpu < 0.25},
			{"jobd's memory meanwhile", "under 120 MiB", fmt.Sprintf("%.0f MiB", memory), memory < 120},
		}
		return nil
	})
	return figures, err
}

// measureRate has a bus send without a pause, and counts what the archive has at the end.
func measureRate(ctx context.Context, b *bench) ([]figure, error) {
	rate, err := archived(ctx, b, "rate", func(context.Context) (string, error) { return "", nil })
	if err != nil {
		return nil, err
	}
	rate.what, rate.ok = "returns archived a second, a bus that never pauses, 1.5 kB state returns", rate.ok && rate.median >= 6000
	rate.wanted = "at least 6,000, none lost"
	share, err := bulkShare(ctx, "sqlite", "share of a raw bulk insert of the same rows into the same schema, the store alone")
	return []figure{rate.figure, share}, err
}

// measurePostgres measures the same with the archive in PostgreSQL, which takes part of the two cores.
func measurePostgres(ctx context.Context, b *bench) (figures []figure, err error) {
	server, err := pglab.Start(ctx, pglab.Durable()...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	rate, err := archived(ctx, b, "postgres", server.Database)
	if err != nil {
		return nil, err
	}
	rate.what, rate.ok = "the same, in PostgreSQL on the same machine", rate.ok && rate.median >= 8000
	rate.wanted = "at least 8,000, none lost"
	share, err := bulkShare(ctx, "postgres", "share of a raw COPY of the same rows into the same schema, the store alone, PostgreSQL's time included")
	return []figure{rate.figure, share}, err
}

// rateFigure is the figure of a rate, which is all right so far where nothing is lost.
type rateFigure struct {
	figure
	median float64
}

// archived sends three times to a new archive, in a database that is made for it or in a file.
func archived(ctx context.Context, b *bench, name string, makeDatabase func(context.Context) (string, error)) (rateFigure, error) {
	const count = 60_000
	var rates []float64
	lost := 0
	for i := range 3 {
		database, err := makeDatabase(ctx)
		if err != nil {
			return rateFigure{}, err
		}
		// The queue holds what comes faster than it can be stored, as the bus never waits.
		err = b.withBus(ctx, fmt.Sprintf("%s%d", name, i), database, []string{"--queue", "512"}, func(ctx context.Context, bus *bus, j *jobdlab.Jobd) error {
			sent := make(chan error, 1)
			if err := j.Launch(ctx); err != nil {
				return err
			}
			began := time.Now()
			go func() { sent <- bus.send(ctx, count, 0) }()
			if err := stored(ctx, j, count, sent); err != nil {
				return err
			}
			rates = append(rates, count/time.Since(began).Seconds())
			m, err := scrape(ctx, j)
			lost += count - int(m[`gaea_archive_rows{kind="returns"}`])
			return err
		})
		if err != nil {
			return rateFigure{}, err
		}
	}
	rate := medianOf(rates)
	return rateFigure{figure{got: fmt.Sprintf("%.0f/s (%.0f to %.0f), %d lost", rate, minOf(rates), maxOf(rates), lost), ok: lost == 0}, rate}, nil
}

var benchLine = regexp.MustCompile(`(?m)^(Benchmark\S+).*?\s([0-9.]+) returns/cpu-s`)

// leastShare is which share of a raw bulk insert a store must reach.
const leastShare = 0.6

// shareRounds is how often a store and its peer are run, in turn.
const shareRounds = 5

// bulkShare runs the store's own benchmark, and the one that inserts raw what a store has written of the same batches, as the limit:
// all rows of all tables that the store fills, with all columns, in the order of their keys, in transactions of the same size. The raw
// rows are ready: to take bodies apart, hash and pack them, to look up what they name and to count is the store's share alone. Of
// several ways to insert the fastest counts.
func bulkShare(ctx context.Context, store, what string) (figure, error) {
	var own, raw, shares []float64
	for range shareRounds {
		out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(WriteBatch|RawInsert)$", "-benchtime", "100x", "./jobd/archive/"+store).CombinedOutput()
		if err != nil {
			return figure{}, fmt.Errorf("the store's benchmark: %w\n%s", err, out)
		}
		var mine, limit float64
		for _, m := range benchLine.FindAllStringSubmatch(string(out), -1) {
			v, _ := strconv.ParseFloat(m[2], 64)
			switch {
			case strings.HasPrefix(m[1], "BenchmarkRawInsert"): // one, or one for each number of rows a statement
				limit = max(limit, v)
			case strings.HasPrefix(m[1], "BenchmarkWriteBatch/fresh"): // the raw rows are all fresh, too
				mine = v
			}
		}
		if mine == 0 || limit == 0 {
			return figure{}, fmt.Errorf("the store's benchmark prints no returns/cpu-s:\n%s", out)
		}
		own, raw, shares = append(own, mine), append(raw, limit), append(shares, mine/limit)
	}
	share := medianOf(shares)
	return figure{
		what, "at least 0.6",
		fmt.Sprintf("%.2f (%.2f to %.2f; %.0f (%.0f to %.0f) of %.0f (%.0f to %.0f) a CPU second)",
			share, minOf(shares), maxOf(shares), medianOf(own), minOf(own), maxOf(own), medianOf(raw), minOf(raw), maxOf(raw)),
		share >= leastShare,
	}, nil
}

// withBus runs f, in a database or, where that is empty, in a file, with a bus and a jobd that is not launched yet, and ends both.
func (b *bench) withBus(ctx context.Context, name, database string, args []string, f func(context.Context, *bus, *jobdlab.Jobd) error) error {
	dir, err := b.dir(name)
	if err != nil {
		return err
	}
	return b.withBusIn(ctx, dir, database, args, f)
}

// withBusIn is withBus in a directory that is there.
func (b *bench) withBusIn(ctx context.Context, dir, database string, args []string, f func(context.Context, *bus, *jobdlab.Jobd) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	bus, err := newBus(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bus.close()) }()
	j, err := jobdlab.New(ctx, jobdlab.Config{Binary: b.jobd, SaltConfigDir: bus.configDir, Dir: dir, Database: database, Args: append([]string{"--retention", "0"}, args...)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Stop()) }()
	return f(ctx, bus, j)
}

// stored waits until jobd has handed that many returns to its archive. It asks the seldomer the longer that will take: to tell its
// metrics costs jobd some milliseconds.
func stored(ctx context.Context, j *jobdlab.Jobd, count int, sent <-chan error) error {
	const soonest, latest = 20 * time.Millisecond, time.Second
	began, pause := time.Now(), latest/10
	for {
		if m, err := scrape(ctx, j); err == nil {
			have := int(m["gaea_ingest_returns_stored_total"])
			if have >= count {
				return nil
			}
			left := time.Since(began) * time.Duration(count-have) / time.Duration(max(have, 1))
			pause = min(max(left/2, soonest), latest)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case err := <-sent:
			return fmt.Errorf("the bus ended: %w; jobd's log:\n%s", err, j.Log(20))
		case <-ctx.Done():
			return fmt.Errorf("not stored in time: %w; jobd's log:\n%s", ctx.Err(), j.Log(20))
		}
	}
}

// samples are metrics by their name and labels as they are printed.
type samples map[string]float64

func scrape(ctx context.Context, j *jobdlab.Jobd) (samples, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.Endpoint+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	s := samples{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(name, "#") {
			s[name] = v
		}
	}
	return s, lines.Err()
}

var client = &http.Client{Timeout: 10 * time.Second}

var bucket = regexp.MustCompile(`^(\w+)_bucket\{le="([^"]+)"\}$`)

// quantile is the upper end of the bucket that holds it: the true value is not larger.
func (s samples) quantile(histogram string, q float64) time.Duration {
	want := q * s[histogram+"_count"]
	best := -1.0
	for name, count := range s {
		m := bucket.FindStringSubmatch(name)
		if m == nil || m[1] != histogram || count < want {
			continue
		}
		if le, err := strconv.ParseFloat(m[2], 64); err == nil && (best < 0 || le < best) {
			best = le
		}
	}
	return time.Duration(best * float64(time.Second))
}
