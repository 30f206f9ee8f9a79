package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
)

const mib = 1 << 20

// measureHostile measures how much memory jobd has taken at most: at a steady rate of usual returns, and with returns in flight
// that are as large as hostile minions make them. Each goes through the bus's own framing to an empty archive.
func measureHostile(ctx context.Context, b *bench) (figures []figure, err error) {
	server, err := pglab.Start(ctx, pglab.Durable()...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	for _, store := range []string{"SQLite", "PostgreSQL"} {
		for _, load := range []struct {
			what  string
			most  float64 // MiB
			count int
			send  func(ctx context.Context, bus *bus, conn net.Conn) error
		}{
			{"at 1,000 returns/s of 1.5 kB for 20 s", 120, 20_000, steady},
			{"with a return of 64 MiB in flight, five times", 400, 5, func(_ context.Context, _ *bus, conn net.Conn) error { return large(conn, 5, 64*mib) }},
			{"with 60 returns of 15 MiB at once, which are kept whole", 400, 0, func(_ context.Context, _ *bus, conn net.Conn) error { return large(conn, 60, 15*mib) }},
			{"with 60 returns of 15 MiB of the smallest values at once", 400, 0, func(_ context.Context, _ *bus, conn net.Conn) error { return values(conn, 60, 7*mib) }},
		} {
			database := ""
			if store == "PostgreSQL" {
				if database, err = server.Database(ctx); err != nil {
					return nil, err
				}
			}
			var peak float64
			name := fmt.Sprintf("hostile%d", len(figures))
			err := b.withBus(ctx, name, database, nil, func(ctx context.Context, bus *bus, j *jobdlab.Jobd) (err error) {
				peak, err = peakOf(ctx, bus, j, load.count, load.send)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", load.what, store, err)
			}
			figures = append(figures, figure{
				fmt.Sprintf("jobd's peak of resident memory %s, %s", load.what, store), fmt.Sprintf("under %.0f MiB", load.most),
				fmt.Sprintf("%.0f MiB", peak), peak < load.most,
			})
		}
	}
	return figures, nil
}

// peakOf has a jobd read what send sends, and returns the most that it has taken, in MiB. It waits until count returns are stored,
// or where that is 0 until nothing is left to store: what does not fit into the queue is let go.
func peakOf(ctx context.Context, bus *bus, j *jobdlab.Jobd, count int, send func(context.Context, *bus, net.Conn) error) (float64, error) {
	if err := j.Launch(ctx); err != nil {
		return 0, err
	}
	conn, err := bus.listener.Accept()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := j.Ready(ctx); err != nil {
		return 0, err
	}
	sent := make(chan error, 1)
	go func() { sent <- send(ctx, bus, conn) }()
	if err := <-sent; err != nil {
		return 0, err
	}
	if count > 0 {
		err = stored(ctx, j, count, make(chan error))
	} else {
		err = drained(ctx, j)
	}
	if err != nil {
		return 0, err
	}
	return highWater(j.PID())
}

// drained waits until nothing waits to be stored.
func drained(ctx context.Context, j *jobdlab.Jobd) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if m, err := scrape(ctx, j); err == nil && m["gaea_ingest_returns_stored_total"] > 0 && m["gaea_ingest_queue_events"] == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// highWater is the most resident memory that a process has had, in MiB.
func highWater(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("the system does not tell the peak of memory")
}

func steady(ctx context.Context, bus *bus, conn net.Conn) error {
	return bus.write(ctx, conn, 20_000, 1000)
}

// large sends returns of one text of so many bytes, each another.
func large(conn net.Conn, count, size int) error {
	text := []byte(strings.Repeat("x", size))
	for n := range count {
		copy(text, fmt.Sprint("serial ", n))
		if err := sendReturn(conn, n, append(binary.BigEndian.AppendUint32([]byte{0xdb}, uint32(size)), text...)); err != nil {
			return err
		}
	}
	return nil
}

// values sends returns of so many whole numbers, each another.
func values(conn net.Conn, count, size int) error {
	list := append(binary.BigEndian.AppendUint32([]byte{0xdd}, uint32(size)), make([]byte, size)...)
	for n := range count {
		list[len(list)-1] = byte(n)
		if err := sendReturn(conn, n, list); err != nil {
			return err
		}
	}
	return nil
}

// sendReturn sends one return of a function, packed.
func sendReturn(conn net.Conn, n int, packed []byte) error {
	stamp := time.Now().UTC().Format("2006-01-02T15:04:05.000000") + "+00:00"
	_, err := conn.Write(frameReturn(fmt.Sprintf("20260102%012d", n), fmt.Sprintf("minion%04d", n), "cmd.run", stamp, packed))
	return err
}
