package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

const (
	// DefaultBeat is how often a jobd says that it lives.
	DefaultBeat = 3 * time.Second
	// DefaultLease is for how long that holds: another may lead its master then.
	DefaultLease = 10 * time.Second
	// leaseMargin is the part of its lease for which a leader does not believe in it any more, so that it has stopped before the
	// next one begins.
	leaseMargin = 5
	// beatTimeout bounds one heartbeat, and the pause after one that failed.
	beatTimeout = 2 * time.Second
	beatPause   = 200 * time.Millisecond
	// sweepEvery is after how many heartbeats what nobody asks for any more is deleted, and keepGone how long that is kept.
	sweepEvery = 100
	keepGone   = 24 * time.Hour
)

// SeatOptions say who takes a seat.
type SeatOptions struct {
	Master string    // the master's name in the archive
	Jobd   gaea.Jobd // ID, Started and what is told of heartbeats are not looked at
	// Place is what no other process that lives at the same time has, and the next one after a restart has again: who leads at
	// this place is known to be gone, unless it says before that it gives the place up (see LeavePlace). Empty where there is no
	// such thing.
	Place       string
	Beat, Lease time.Duration // 0: DefaultBeat, DefaultLease
}

// Seat is a jobd's place among those that use one database. It has a session of its own, which is made again when it breaks:
// there it says that it lives, takes and keeps its master's lease, and hears what others have for it.
type Seat struct {
	s       *Store
	o       SeatOptions
	config  *pgx.ConnConfig
	leads   chan *Lease
	work    chan struct{}
	ended   sync.WaitGroup
	cancel  context.CancelFunc
	lease   *Lease        // that this jobd has; the goroutine's own
	retry   time.Duration // when to look at another's lease again; the goroutine's own
	beats   int
	mu      sync.Mutex
	answers map[int64]chan struct{} // who waits for an answer, by order
	fault   error                   // of the last heartbeat
}

// TakeSeat takes a seat, with the master's lease where nobody has that, and keeps both until Leave. Where the database was not reached
// yet, or may be away and is, the seat is taken when it is there. Errors are the database's.
func (s *Store) TakeSeat(ctx context.Context, o SeatOptions) (*Seat, error) {
	if o.Beat == 0 {
		o.Beat = DefaultBeat
	}
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	t := &Seat{s: s, o: o, config: s.pool.Config().ConnConfig, leads: make(chan *Lease, 1), work: make(chan struct{}, 1), answers: map[int64]chan struct{}{}}
	conn, err := t.beat(ctx, nil)
	if s.mayBeAway && Away(err) {
		t.fault, err = err, nil
	}
	if err != nil {
		return nil, s.told(err)
	}
	keeping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	t.ended.Go(func() { t.keep(keeping, conn) })
	return t, nil
}

// ID is this jobd's among those of the database.
func (t *Seat) ID() string { return t.s.id }

// Leads delivers a lease each time this jobd has come to lead its master.
func (t *Seat) Leads() <-chan *Lease { return t.leads }

// Work is signalled (it holds one value) when others have something for the master's leader, and at each heartbeat that reaches the
// database.
func (t *Seat) Work() <-chan struct{} { return t.work }

// Now is the time by the database's clock, which is the same for all of its jobds.
func (t *Seat) Now(ctx context.Context) (time.Time, error) {
	var micros int64
	err := t.s.pool.QueryRow(ctx, `SELECT `+now).Scan(&micros)
	return timeOf(micros), t.s.told(err)
}

// Fault is why the last heartbeat did not reach the database; nil where it did.
func (t *Seat) Fault() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.s.told(t.fault)
}

// LeavePlace gives up the place, and nothing else: from here on another process may have it while this one still ends what it has
// begun as its master's leader. A nil seat has none. Where the database cannot be told, the next heartbeat tries again.
func (t *Seat) LeavePlace(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	t.o.Place = ""
	t.mu.Unlock()
	if t.s.absent.Load() != nil { // nothing was taken
		return nil
	}
	_, err := t.s.pool.Exec(ctx, `UPDATE leases SET place = '' WHERE master = $1 AND jobd = $2`, written(t.o.Master), t.s.id)
	return t.s.told(err)
}

func (t *Seat) place() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.o.Place
}

// Leave gives up the seat, and the lease at once for another to take. A nil seat is none.
func (t *Seat) Leave() error {
	if t == nil {
		return nil
	}
	t.cancel()
	t.ended.Wait()
	return nil
}

// keep lives in the seat until ctx ends.
func (t *Seat) keep(ctx context.Context, conn *pgx.Conn) {
	for {
		pause := min(t.o.Beat, t.retry)
		t.mu.Lock()
		if t.fault != nil {
			pause = beatPause
		}
		t.mu.Unlock()
		conn = t.hear(ctx, conn, pause)
		if ctx.Err() != nil {
			t.rise(ctx, conn)
			return
		}
		var err error
		conn, err = t.beat(ctx, conn)
		t.mu.Lock()
		t.fault = err
		t.mu.Unlock()
		if err == nil { // while the database is away there is nothing to be seen there
			t.signal()
		}
	}
}

func (t *Seat) signal() {
	select {
	case t.work <- struct{}{}:
	default:
	}
}

// now is the server's clock in a query.
const now = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

// beat says that this jobd lives, and renews its lease or takes the one that is free. The session is nil where it broke.
func (t *Seat) beat(ctx context.Context, conn *pgx.Conn) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	began := time.Now() // before the server's clock is read: it must not run out there before it does here
	conn, err := t.say(ctx, conn)
	if err == nil {
		err = t.hold(ctx, conn, began)
	}
	if err != nil {
		closeSession(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// say writes the heartbeat, in a session that listens.
func (t *Seat) say(ctx context.Context, conn *pgx.Conn) (*pgx.Conn, error) {
	if err := t.s.Absent(); err != nil {
		return conn, err
	}
	if conn == nil || conn.IsClosed() {
		var err error
		if conn, err = pgx.ConnectConfig(ctx, t.config.Copy()); err != nil {
			return nil, err
		}
		if _, err := conn.Exec(ctx, `LISTEN `+t.s.channel); err != nil {
			return conn, err
		}
	}
	j := &t.o.Jobd
	_, err := conn.Exec(ctx, `INSERT INTO jobds (id, master, host, address, pid, version, started, heartbeat) VALUES ($1, $2, $3, $4, $5, $6, `+now+`, `+now+`)
		ON CONFLICT (id) DO UPDATE SET heartbeat = excluded.heartbeat`,
		t.s.id, written(t.o.Master), written(j.Host), written(j.Address), j.PID, written(j.Version))
	if t.beats++; err == nil && t.beats%sweepEvery == 1 {
		_, err = conn.Exec(ctx, `DELETE FROM jobds j WHERE heartbeat < `+now+` - $1 AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.jobd = j.id)`, keepGone.Microseconds())
		if err == nil {
			_, err = conn.Exec(ctx, `DELETE FROM orders WHERE expires < `+now+` - $1`, keepGone.Microseconds())
		}
	}
	return conn, err
}

// hold renews the lease, or tries to take it.
func (t *Seat) hold(ctx context.Context, conn *pgx.Conn, began time.Time) error {
	t.retry = t.o.Beat
	if t.lease != nil {
		tag, err := conn.Exec(ctx, `UPDATE leases SET expires = `+now+` + $4, place = CASE place WHEN '' THEN '' ELSE $5 END WHERE master = $1 AND jobd = $2 AND fence = $3`,
			written(t.o.Master), t.s.id, t.lease.fence, t.o.Lease.Microseconds(), t.place())
		switch {
		case err != nil:
			return err
		case tag.RowsAffected() > 0:
			t.lease.renew(began.Add(t.believed()))
			return t.cutOff(ctx, conn)
		}
		t.lease.end()
		t.lease = nil
	}
	fence, wait, err := t.take(ctx, conn)
	switch {
	case err != nil:
		return err
	case fence == 0:
		t.retry = max(wait, 0) + 50*time.Millisecond
		return nil
	}
	t.s.names.forgetRuns() // what another wrote since is not known here
	t.lease = &Lease{s: t.s, master: t.o.Master, fence: fence, lost: make(chan struct{})}
	t.lease.renew(began.Add(t.believed()))
	select {
	case <-t.leads: // one that was lost before anybody took it
	default:
	}
	t.leads <- t.lease
	return nil
}

// believed is how long a lease is believed in after a heartbeat.
func (t *Seat) believed() time.Duration { return t.o.Lease - t.o.Lease/leaseMargin }

// take takes the lease where it is free, and returns its fence; 0 where it is another's, with how long that has it.
func (t *Seat) take(ctx context.Context, conn *pgx.Conn) (fence int64, wait time.Duration, err error) {
	if _, wait, err = t.free(ctx, conn, ``); err != nil || wait > 0 {
		return 0, wait, err
	}
	// Who had it may be frozen in the middle of a transaction, which would hold up everybody.
	if err := t.cutOff(ctx, conn); err != nil {
		return 0, 0, err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var was int64
		if was, wait, err = t.free(ctx, tx, ` FOR UPDATE`); err != nil || wait > 0 {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO leases (master, jobd, place, fence, since, expires) VALUES ($1, $2, $3, $4, `+now+`, `+now+` + $5)
			ON CONFLICT (master) DO UPDATE SET jobd = excluded.jobd, place = excluded.place, fence = excluded.fence, since = excluded.since, expires = excluded.expires
			WHERE leases.fence = $6`, written(t.o.Master), t.s.id, t.place(), was+1, t.o.Lease.Microseconds(), was)
		if err == nil && tag.RowsAffected() > 0 {
			fence = was + 1
		}
		return err
	})
	if err != nil {
		fence = 0
	}
	return fence, wait, err
}

// querier is a session or a transaction.
type querier interface {
	QueryRow(ctx context.Context, text string, args ...any) pgx.Row
}

// free reads the fence of the lease, and how long it is another's still.
func (t *Seat) free(ctx context.Context, q querier, lock string) (fence int64, wait time.Duration, err error) {
	var place string
	var left int64
	err = q.QueryRow(ctx, `SELECT fence, place, expires - `+now+` FROM leases WHERE master = $1`+lock, written(t.o.Master)).Scan(&fence, &place, &left)
	switch {
	case err == pgx.ErrNoRows: //nolint:errorlint // Scan returns it as it is
		return 0, 0, nil
	case err != nil:
		return 0, 0, err
	case place != "" && place == t.place(): // it was the process before this one
		return fence, 0, nil
	}
	return fence, time.Duration(left) * time.Microsecond, nil
}

// cutOff ends the sessions of the master's other jobds that have not given a sign of life for the length of a lease: they may
// be frozen with locks that others wait for. One that has left its seat, or cannot renew it, may store what it has read still: a
// session is ended only where it has been at the same thing for half of that time.
func (t *Seat) cutOff(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(a.pid) FROM jobds j JOIN pg_stat_activity a ON a.application_name = $1 || j.id
		WHERE j.master = $2 AND j.id <> $3 AND j.heartbeat < `+now+` - $4 AND a.datname = current_database() AND a.state <> 'idle' AND a.usename = current_user
			AND a.state_change < clock_timestamp() - $5 * interval '1 microsecond'`,
		applicationName, written(t.o.Master), t.s.id, t.o.Lease.Microseconds(), (t.o.Lease / 2).Microseconds())
	return err
}

// hear waits for what others have to say, for as long as a pause.
func (t *Seat) hear(ctx context.Context, conn *pgx.Conn, pause time.Duration) *pgx.Conn {
	waiting, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	for conn != nil {
		n, err := conn.WaitForNotification(waiting)
		if err != nil {
			if waiting.Err() == nil {
				closeSession(ctx, conn)
				conn = nil
			}
			break
		}
		if t.heard(n.Payload) {
			return conn
		}
	}
	<-waiting.Done()
	return conn
}

// rise gives up what this jobd has.
func (t *Seat) rise(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
	defer cancel()
	if t.lease != nil {
		t.lease.end() // before another may take it
	}
	if conn != nil && t.lease != nil {
		_, _ = conn.Exec(ctx, `UPDATE leases SET expires = 0 WHERE master = $1 AND jobd = $2 AND fence = $3`, written(t.o.Master), t.s.id, t.lease.fence)
	}
	if conn != nil { // who cannot say so is found gone by its heartbeat
		_, _ = conn.Exec(ctx, `UPDATE jobds SET heartbeat = least(heartbeat, `+now+` - $2) WHERE id = $1`, t.s.id, t.o.Lease.Microseconds())
		_, _ = conn.Exec(ctx, `SELECT pg_notify($1, $2)`, t.s.channel, sayFree+written(t.o.Master))
	}
	closeSession(ctx, conn)
	t.lease = nil
}

// closeSession ends a session; nil is none.
func closeSession(ctx context.Context, conn *pgx.Conn) {
	if conn == nil {
		return
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
	defer cancel()
	_ = conn.Close(closing)
}

// Jobds adds to masters the jobds that serve them, or did lately, and masters that only jobds are known of.
func (s *Store) Jobds(ctx context.Context, lease time.Duration) (map[string]gaea.MasterStatus, error) {
	if lease == 0 {
		lease = DefaultLease
	}
	list := map[string]gaea.MasterStatus{}
	rows, err := s.pool.Query(ctx, `SELECT coalesce(j.master, l.master), coalesce(j.id, ''), coalesce(j.host, ''), coalesce(j.address, ''), coalesce(j.pid, 0), coalesce(j.version, ''),
			coalesce(j.started, 0), coalesce(j.heartbeat, 0), coalesce(j.heartbeat > `+now+` - $1, false), coalesce(l.jobd = j.id, false),
			coalesce(l.fence, 0), coalesce(l.since, 0), coalesce(l.expires > `+now+`, false)
		FROM jobds j FULL JOIN leases l ON l.master = j.master
		ORDER BY 1, coalesce(l.jobd = j.id, false) DESC, j.host, j.address, j.id`, lease.Microseconds())
	if err != nil {
		return nil, s.told(err)
	}
	defer rows.Close()
	for rows.Next() {
		var master string
		var j gaea.Jobd
		var started, seen, fence, since int64
		var led bool
		if err := rows.Scan(&master, &j.ID, &j.Host, &j.Address, &j.PID, &j.Version, &started, &seen, &j.Alive, &j.Leads, &fence, &since, &led); err != nil {
			return nil, s.told(err)
		}
		master, j.Host, j.Address, j.Version = read(master), read(j.Host), read(j.Address), read(j.Version)
		j.Started, j.Seen = timeOf(started), timeOf(seen)
		m := list[master]
		m.Master, m.Fence, m.LedSince = master, fence, timeOf(since)
		m.Led = m.Led || led && j.Leads && j.Alive
		if j.ID != "" {
			m.Jobds = append(m.Jobds, j)
		}
		list[master] = m
	}
	return list, s.told(rows.Err())
}

func channelOf(l locks) string { return fmt.Sprintf("gaea_%016x", uint64(l.of("channel", ""))) }
