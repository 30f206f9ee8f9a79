package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

var pause = postgres.Order{Kind: "pause", Body: json.RawMessage(`{"run":"run-1"}`), User: "ann"}

// none fails the test where a leader finds orders.
func none(t *testing.T, l *postgres.Lease) {
	t.Helper()
	if orders, err := l.Orders(t.Context()); err != nil || len(orders) > 0 {
		t.Errorf("the orders are %+v (%v)", orders, err)
	}
}

func TestAnOrderThatNobodyTakesInTimeIsWithdrawn(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	asking, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if _, err := sit(t, one, "other", "").Ask(asking, "salt", pause); !errors.Is(err, postgres.ErrNotTaken) {
		t.Errorf("the error is %v", err)
	}
	none(t, led(t, sit(t, two, "salt", "")))
}

func TestOfAnOrderThatWasTakenAndNotAnsweredItIsSaidSo(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	leader := sit(t, two, "salt", "")
	lease := led(t, leader)
	asking, stop := context.WithCancel(t.Context())
	answers := make(chan error, 1)
	seat := sit(t, one, "other", "")
	go func() {
		_, err := seat.Ask(asking, "salt", pause)
		answers <- err
	}()
	<-leader.Work()
	for {
		orders, err := lease.Orders(t.Context())
		check(t, err)
		if len(orders) > 0 {
			break
		}
	}
	stop()
	if err := <-answers; !errors.Is(err, postgres.ErrNotAnswered) {
		t.Errorf("the error is %v", err)
	}
	check(t, leader.Leave())
	none(t, led(t, sit(t, one, "salt", "")))
}

func TestAnOrderThatCouldNotBeStoredInTimeIsNotStoredLater(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	lease, seat := led(t, sit(t, two, "salt", "")), sit(t, one, "other", "")
	release, err := pglab.Lock(t.Context(), where, "orders")
	check(t, err)
	asking, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	if _, err := seat.Ask(asking, "salt", pause); err == nil || errors.Is(err, postgres.ErrNotTaken) {
		t.Errorf("the error is %v", err)
	}
	release()
	for { // both sessions that waited for the lock have had it
		waiting, err := pglab.Execute(t.Context(), where, `SELECT 1 FROM pg_stat_activity WHERE query ILIKE '%INSERT INTO orders%' AND state = 'active' AND pid <> pg_backend_pid()`)
		check(t, err)
		if waiting == 0 {
			break
		}
	}
	none(t, lease)
}
