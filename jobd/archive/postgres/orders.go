package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/tables"
)

// What jobds say to each other, and what follows it.
const (
	sayWork   = "work "   // a master's name: its leader has something to do
	sayFree   = "free "   // a master's name: its lease may be taken
	sayAnswer = "answer " // the number of an order
)

// lookAgain is how often an answer is looked for that nobody told of.
const lookAgain = time.Second

// Order is what a jobd asks of the one that leads a master.
type Order struct {
	ID   int64
	Kind string
	Body json.RawMessage // no secrets
	User string          // who asks
	// Again says that a leader has taken it before, and was gone before it had answered: it may be done already.
	Again bool
}

// Answer is what became of an order.
type Answer struct {
	Run     string          `json:"run,omitempty"`  // the run that came of it, or is meant; may be empty
	Body    json.RawMessage `json:"body,omitempty"` // what else there is to tell; no secrets
	Code    gaea.Code       `json:"code,omitempty"`
	Field   string          `json:"field,omitempty"`
	Message string          `json:"message,omitempty"`
}

// Err is the error that was answered; nil where none was.
func (a Answer) Err() error {
	if a.Code == "" {
		return nil
	}
	return &gaea.Error{Code: a.Code, Field: a.Field, Message: a.Message}
}

// AnswerOf is an answer of a run's id and an error, of which users may read what is kept.
func AnswerOf(run string, err error) Answer {
	a := Answer{Run: run, Code: gaea.CodeOf(err)}
	told, ok := errors.AsType[*gaea.Error](err)
	switch {
	case ok:
		a.Field, a.Message = told.Field, told.Message
	case err != nil:
		a.Message = gaea.MessageOf(err)
	}
	return a
}

// What becomes of an order that is not answered while somebody waits.
var (
	// ErrNotTaken says that nobody took it, and nobody will.
	ErrNotTaken = errors.New("nobody has taken the order, which is withdrawn")
	// ErrNotAnswered says that a leader took it, or may have: it may be done or not. None takes it from now on.
	ErrNotAnswered = errors.New("the order may have been taken and was not answered")
)

// Ask gives an order to the jobd that leads a master, or the one that leads it next, and waits for the answer until ctx ends. It
// is done once where its kind can be done twice without a difference, or where Order.Again is heeded. When ctx has ended it is
// withdrawn: the error is ErrNotTaken or ErrNotAnswered then. Other errors are the database's, and say where the order may have been
// stored all the same.
func (t *Seat) Ask(ctx context.Context, master string, o Order) (Answer, error) {
	id, heard, err := t.give(ctx, master, o)
	if err != nil {
		return t.withdrawn(ctx, id, master, err)
	}
	defer func() {
		t.mu.Lock()
		delete(t.answers, id)
		t.mu.Unlock()
	}()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		select {
		case <-heard:
		case <-again.C:
		case <-ctx.Done():
			return t.withdrawn(ctx, id, master, nil)
		}
		a, answered, err := t.answer(ctx, id)
		switch {
		case err != nil && ctx.Err() == nil && !errors.Is(err, pgx.ErrNoRows): // the database is back in a moment
		case err != nil:
			return t.withdrawn(ctx, id, master, nil)
		case answered:
			return a, nil
		}
	}
}

// give stores an order and tells of it, both or neither. The number is 0 where it is not known to the database.
func (t *Seat) give(ctx context.Context, master string, o Order) (id int64, heard chan struct{}, err error) {
	limit := time.Minute
	if until, ok := ctx.Deadline(); ok {
		limit = time.Until(until)
	}
	// The number and the end are known before the order is stored: so it can be withdrawn where it is not known whether that worked,
	// and one that waits in the server for a lock is over when it comes to be stored.
	var expires int64
	if err := t.s.pool.QueryRow(ctx, `SELECT nextval(pg_get_serial_sequence('orders', 'id')), `+now+` + $1`, limit.Microseconds()).Scan(&id, &expires); err != nil {
		return 0, nil, err
	}
	heard = make(chan struct{}, 1)
	t.mu.Lock()
	t.answers[id] = heard
	t.mu.Unlock()
	_, err = t.s.pool.Exec(ctx, `WITH given AS (INSERT INTO orders (id, master, kind, body, "user", expires) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6) RETURNING id)
		SELECT pg_notify($7, $8) FROM given`, id, written(master), o.Kind, written(string(o.Body)), written(o.User), expires, t.s.channel, sayWork+written(master))
	if err != nil {
		t.mu.Lock()
		delete(t.answers, id)
		t.mu.Unlock()
	}
	return id, heard, err
}

// answer looks for the answer to an order.
func (t *Seat) answer(ctx context.Context, id int64) (a Answer, answered bool, err error) {
	var text *string
	if err := t.s.pool.QueryRow(ctx, `SELECT answer FROM orders WHERE id = $1`, id).Scan(&text); err != nil || text == nil {
		return Answer{}, false, err
	}
	return a, true, json.Unmarshal([]byte(read(*text)), &a)
}

// withdrawn takes an order back that is not waited for any more, or that could not be stored (that is the failure then): nobody takes
// it after that. It returns the answer where that has come meanwhile.
func (t *Seat) withdrawn(ctx context.Context, id int64, master string, failure error) (Answer, error) {
	if id == 0 {
		return Answer{}, t.s.told(failure)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
	defer cancel()
	var fence int64
	// Where the order is not stored this takes its number, so that it cannot be stored any more.
	err := t.s.pool.QueryRow(ctx, `INSERT INTO orders (id, master, kind, body, "user", expires) OVERRIDING SYSTEM VALUE VALUES ($1, $2, '', '', '', 0)
		ON CONFLICT (id) DO UPDATE SET expires = 0 WHERE orders.answer IS NULL RETURNING fence`, id, written(master)).Scan(&fence)
	if errors.Is(err, pgx.ErrNoRows) {
		if a, answered, err := t.answer(ctx, id); answered && err == nil {
			return a, nil
		}
	}
	switch {
	case err == nil && fence == 0 && failure != nil:
		return Answer{}, t.s.told(failure)
	case err == nil && fence == 0:
		return Answer{}, ErrNotTaken
	default:
		return Answer{}, errors.Join(ErrNotAnswered, failure)
	}
}

// Say tells the leader of a master that there is something to do.
func (t *Seat) Say(ctx context.Context, master string) error {
	_, err := t.s.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, t.s.channel, sayWork+written(master))
	return t.s.told(err)
}

// heard takes in what somebody has said, and says whether the lease is to be looked at now.
func (t *Seat) heard(said string) (free bool) {
	switch {
	case said == sayWork+written(t.o.Master):
		t.signal()
	case said == sayFree+written(t.o.Master):
		return t.lease == nil
	case strings.HasPrefix(said, sayAnswer):
		id, err := strconv.ParseInt(said[len(sayAnswer):], 10, 64)
		if err != nil {
			return false
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		select {
		case t.answers[id] <- struct{}{}: // nobody waits at a nil channel
		default:
		}
	}
	return false
}

// ordersAtOnce is how many orders a leader takes together.
const ordersAtOnce = 64

// Orders takes what others have ordered of the master and nobody has answered, oldest first: what is new, and what a leader
// before this one took.
func (l *Lease) Orders(ctx context.Context) ([]Order, error) {
	rows, err := l.s.pool.Query(ctx, `WITH mine AS (SELECT id, fence FROM orders WHERE master = $1 AND answer IS NULL AND fence < $2 AND expires > `+now+`
			ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
		UPDATE orders o SET fence = $2 FROM mine WHERE o.id = mine.id AND EXISTS (SELECT 1 FROM leases WHERE master = $1 AND fence = $2)
		RETURNING o.id, o.kind, o.body, o."user", mine.fence > 0`, written(l.master), l.fence, ordersAtOnce)
	if err != nil {
		return nil, l.s.told(err)
	}
	defer rows.Close()
	var list []Order
	for rows.Next() {
		var o Order
		var body string
		if err := rows.Scan(&o.ID, &o.Kind, &body, &o.User, &o.Again); err != nil {
			return nil, l.s.told(err)
		}
		o.Body, o.User = json.RawMessage(read(body)), read(o.User)
		list = append(list, o)
	}
	return list, l.s.told(rows.Err())
}

// Answer answers an order, unless a leader after this one has taken it.
func (l *Lease) Answer(ctx context.Context, o Order, a Answer) error {
	text, err := json.Marshal(a)
	if err == nil {
		_, err = l.s.pool.Exec(ctx, `WITH done AS (UPDATE orders SET answer = $3 WHERE id = $1 AND fence = $2 AND answer IS NULL RETURNING id)
			SELECT pg_notify($4, $5 || id) FROM done`, o.ID, l.fence, written(string(text)), l.s.channel, sayAnswer)
	}
	return l.s.told(err)
}

func timeOf(micros int64) time.Time { return tables.TimeOf(micros) }
