package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
)

//go:embed event_return.py
var eventReturn []byte

// pgjsonbTables are what salt.returners.pgjsonb says to make, but for the table of jids, which event_return does not use.
const pgjsonbTables = `
CREATE SEQUENCE seq_salt_events_id;
CREATE TABLE salt_events (
	id BIGINT NOT NULL UNIQUE DEFAULT nextval('seq_salt_events_id'),
	tag varchar(255) NOT NULL,
	data jsonb NOT NULL,
	alter_time TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
	master_id varchar(255) NOT NULL);
CREATE INDEX idx_salt_events_tag on salt_events (tag);
CREATE INDEX idx_salt_events_data ON salt_events USING gin (data) with (fastupdate=on);`

// measurePgjsonb has Salt's event_return and jobd store what one generator sends, in one PostgreSQL, in turn. The generator
// waits for its reader, and so neither loses anything.
func measurePgjsonb(ctx context.Context, b *bench) (figures []figure, err error) {
	server, err := pglab.Start(ctx, pglab.Durable()...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	var queued, plain []float64
	for i := range 3 {
		for _, of := range []struct {
			queue, count int
			rates        *[]float64
		}{{500, 8000, &queued}, {0, 600, &plain}} {
			rate, err := b.pgjsonbRate(ctx, server, fmt.Sprintf("pgjsonb%d-%d", i, of.queue), of.queue, of.count)
			if err != nil {
				return nil, err
			}
			*of.rates = append(*of.rates, rate)
		}
	}
	own, err := archived(ctx, b, "pgjsonb-jobd", server.Database)
	if err != nil {
		return nil, err
	}
	ratio := own.median / medianOf(queued)
	return []figure{{
		"returns stored a second in PostgreSQL, a generator that waits for nobody but its reader, against Salt's event_return: pgjsonb on the same server with event_return_queue: 500",
		"at least 3 ×, none lost",
		fmt.Sprintf("%.1f × (%s, against %.0f/s (%.0f to %.0f); with event_return_queue: 0, as Salt has it by default, %.0f/s (%.0f to %.0f))",
			ratio, own.got, medianOf(queued), minOf(queued), maxOf(queued), medianOf(plain), minOf(plain), maxOf(plain)),
		own.ok && ratio >= 3,
	}}, nil
}

// pgjsonbRate is how many returns event_return stores a second of so many that a generator sends.
func (b *bench) pgjsonbRate(ctx context.Context, server *pglab.Server, name string, queue, count int) (rate float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	dir, err := b.dir(name)
	if err != nil {
		return 0, err
	}
	bus, err := newBus(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, bus.close()) }()
	p, err := b.startPgjsonb(ctx, server, dir, bus.configDir, queue)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	// What fills a last queue is sent as well: it is stored when the next one comes.
	go func() { _ = bus.send(ctx, count+2*max(queue, 1), 0) }()
	first, err := p.wait(ctx, 1)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	last, err := p.wait(ctx, count)
	return float64(last-first) / time.Since(began).Seconds(), err
}

// pgjsonb is a running event_return with its database.
type pgjsonb struct {
	cmd *exec.Cmd
	db  *pgx.Conn
	log *bytes.Buffer
}

// startPgjsonb runs event_return in a process of its own, as a master does, on the bus of a configuration.
func (b *bench) startPgjsonb(ctx context.Context, server *pglab.Server, dir, configDir string, queue int) (*pgjsonb, error) {
	database, err := server.Database(ctx)
	if err != nil {
		return nil, err
	}
	db, err := pgx.Connect(ctx, database)
	if err != nil {
		return nil, err
	}
	if _, err := db.Exec(ctx, pgjsonbTables); err != nil {
		return nil, errors.Join(err, db.Close(ctx))
	}
	venv, err := printed(ctx, "tools/salt-venv.sh", saltVersion())
	if err != nil {
		return nil, err
	}
	psycopg2, err := printed(ctx, "tools/psycopg2.sh", venv)
	if err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "event_return.py")
	if err := os.WriteFile(script, eventReturn, 0o600); err != nil {
		return nil, err
	}
	c := db.Config()
	p := &pgjsonb{cmd: exec.CommandContext(ctx, filepath.Join(venv, "bin", "python"), script, configDir, strconv.Itoa(queue)), db: db, log: &bytes.Buffer{}}
	p.cmd.Env = append(os.Environ(), "PYTHONPATH="+psycopg2, "PGHOST="+c.Host, "PGPORT="+strconv.Itoa(int(c.Port)), "PGUSER="+c.User, "PGPASSWORD="+c.Password, "PGDATABASE="+c.Database)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	return p, p.cmd.Start()
}

// printed is what a script prints.
func printed(ctx context.Context, script string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, script, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// wait waits until so many events are stored, and returns how many are.
func (p *pgjsonb) wait(ctx context.Context, count int) (stored int, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := p.db.QueryRow(ctx, `SELECT count(*) FROM salt_events`).Scan(&stored); err != nil {
			return stored, fmt.Errorf("%w; event_return says:\n%s", err, p.log)
		}
		if stored >= count {
			return stored, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return stored, fmt.Errorf("%d of %d stored: %w", stored, count, ctx.Err())
		}
	}
}

func (p *pgjsonb) stop() error {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
	return p.db.Close(context.Background())
}
