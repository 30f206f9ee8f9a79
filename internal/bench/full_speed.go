package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

// fullSpeedReturns is how many returns go through a real master's bus.
const fullSpeedReturns = 30_000

// usualSpeed is about how many returns a second a master relays on two slower cores.
const usualSpeed = 2500

// measureFullSpeed writes returns into a real master's bus as fast as the master takes them, and asks how long each took until it
// was stored: by jobd, in a file and in PostgreSQL, and by Salt's event_return: pgjsonb.
func measureFullSpeed(ctx context.Context, b *bench) (figures []figure, err error) {
	server, err := pglab.Start(ctx, pglab.Durable()...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	peer, err := b.pgjsonbTail(ctx, server)
	if err != nil {
		return nil, err
	}
	for _, of := range []struct {
		what     string
		database func(context.Context) (string, error)
	}{
		{"in SQLite", func(context.Context) (string, error) { return "", nil }},
		{"in PostgreSQL", server.Database},
	} {
		var tails []tail
		for i := range 3 {
			database, err := of.database(ctx)
			if err != nil {
				return nil, err
			}
			t, err := b.jobdTail(ctx, fmt.Sprintf("full-speed%d %s", i, of.what), database)
			if err != nil {
				return nil, err
			}
			tails = append(tails, t)
		}
		figures = append(figures, tailFigures(of.what, peer, tails)...)
	}
	return figures, nil
}

// tail is how jobd kept up with a real master's full speed.
type tail struct {
	lag  time.Duration // p99
	rate float64       // returns a second
	cpu  float64       // of a core
	lost int
}

func tailFigures(what, peer string, tails []tail) []figure {
	var lags series
	var rates, cpus, usual []float64
	lost := 0
	for _, t := range tails {
		lags, rates, cpus, usual = append(lags, t.lag), append(rates, t.rate), append(cpus, t.cpu*100), append(usual, t.cpu*100*usualSpeed/t.rate)
		lost += t.lost
	}
	return []figure{
		{
			fmt.Sprintf("lag at a real master's full speed (%.0f returns/s (%.0f to %.0f)), %s, p99", medianOf(rates), minOf(rates), maxOf(rates), what), "under 500 ms, none lost",
			fmt.Sprintf("%s, %d lost (%s)", lags, lost, peer), lags.median() < 500*time.Millisecond && lost == 0,
		},
		{
			"jobd's CPU meanwhile, at that speed", "at most 50% of a core",
			fmt.Sprintf("%.0f%% (%.0f to %.0f), which is %.0f%% (%.0f to %.0f) for 2,500 returns/s", medianOf(cpus), minOf(cpus), maxOf(cpus), medianOf(usual), minOf(usual), maxOf(usual)),
			medianOf(cpus) <= 50,
		},
	}
}

// jobdTail has a jobd archive what goes through a real master's bus at full speed.
func (b *bench) jobdTail(ctx context.Context, name, database string) (t tail, err error) {
	lab, err := saltlab.Start(ctx, saltlab.Config{MinionIDs: []string{}, NoAPI: true})
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	dir, err := b.dir(name)
	if err != nil {
		return t, err
	}
	j, err := jobdlab.New(ctx, jobdlab.Config{Binary: b.jobd, SaltConfigDir: lab.ConfigDir(), Dir: dir, Database: database, Args: []string{"--retention", "0"}})
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, j.Stop()) }()
	syscall.Sync() // nobody's disk waits for what the run before has left to be written
	if err := j.Launch(ctx); err != nil {
		return t, err
	}
	if err := j.Ready(ctx); err != nil {
		return t, err
	}
	before, err := scrape(ctx, j)
	if err != nil {
		return t, err
	}
	began, sent := time.Now(), make(chan error, 1)
	go func() {
		if err := flood(ctx, lab.SockDir(), fullSpeedReturns); err != nil {
			sent <- err
		}
	}()
	if err := stored(ctx, j, fullSpeedReturns, sent); err != nil {
		return t, err
	}
	wall := time.Since(began).Seconds()
	after, err := scrape(ctx, j)
	if err != nil {
		return t, err
	}
	return tail{
		lag: after.quantile("gaea_ingest_lag_seconds", 0.99), rate: fullSpeedReturns / wall,
		cpu:  (after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]) / wall,
		lost: fullSpeedReturns - int(after[`gaea_archive_rows{kind="returns"}`]),
	}, nil
}

// pgjsonbTail says how long event_return took until all was stored that a real master's bus carried at full speed.
func (b *bench) pgjsonbTail(ctx context.Context, server *pglab.Server) (text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	lab, err := saltlab.Start(ctx, saltlab.Config{MinionIDs: []string{}, NoAPI: true})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	dir, err := b.dir("full-speed-pgjsonb")
	if err != nil {
		return "", err
	}
	p, err := b.startPgjsonb(ctx, server, dir, lab.ConfigDir(), 500)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.listening(ctx, lab.SockDir()); err != nil {
		return "", err
	}
	if err := flood(ctx, lab.SockDir(), fullSpeedReturns); err != nil {
		return "", err
	}
	stored, err := p.settled(ctx, fullSpeedReturns)
	if err != nil {
		return "", err
	}
	var p99 float64
	err = p.db.QueryRow(ctx, `SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM alter_time - (data ->> '_stamp')::timestamptz)) FROM salt_events
		WHERE data ->> 'jid' LIKE '20260101%'`).Scan(&p99)
	return fmt.Sprintf("event_return: pgjsonb on the same bus: %s, %d lost", short(time.Duration(p99*float64(time.Second))), fullSpeedReturns-stored), err
}

// listening waits until event_return stores what is on the bus.
func (p *pgjsonb) listening(ctx context.Context, sockDir string) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n == 0; {
		if err := flood(ctx, sockDir, 500); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := p.db.QueryRow(ctx, `SELECT count(*) FROM salt_events`).Scan(&n); err != nil {
			return err
		}
	}
	// What was sent until now may still be on its way.
	if _, err := p.settled(ctx, math.MaxInt); err != nil {
		return err
	}
	_, err := p.db.Exec(ctx, `TRUNCATE salt_events`)
	return err
}

// settled waits until so many events are stored, or no more come.
func (p *pgjsonb) settled(ctx context.Context, count int) (stored int, err error) {
	const quiet = 5 * time.Second
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for grown := time.Now(); time.Since(grown) < quiet && stored < count; {
		var n int
		if err := p.db.QueryRow(ctx, `SELECT count(*) FROM salt_events`).Scan(&n); err != nil {
			return stored, err
		}
		if n > stored {
			stored, grown = n, time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return stored, ctx.Err()
		}
	}
	return stored, nil
}

// flood writes returns to a master's event bus, each with its stamp, as fast as the master takes them. Each message has its
// length before it, which is what 3008 wants there.
func flood(ctx context.Context, sockDir string, count int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(sockDir, "master_event_pull.ipc"))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	b := &bus{template: stateReturn()}
	var out, message bytes.Buffer
	for n := range count {
		message.Reset()
		b.append(&message, n)
		out.Reset()
		out.Write(binary.BigEndian.AppendUint32(nil, uint32(message.Len())))
		out.Write(message.Bytes())
		if _, err := conn.Write(out.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
