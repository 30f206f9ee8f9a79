package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// quick are the times of a seat whose lease is soon another's. A machine that is slow must not lose a lease by that.
const (
	quickBeat  = 100 * time.Millisecond
	quickLease = 2 * time.Second
)

func sit(t *testing.T, s *postgres.Store, master, place string) *postgres.Seat {
	t.Helper()
	seat, err := s.TakeSeat(t.Context(), postgres.SeatOptions{
		Master: master, Place: place, Jobd: gaea.Jobd{Host: "h", Address: "127.0.0.1:1", PID: 7, Version: "1.2.3"}, Beat: quickBeat, Lease: quickLease,
	})
	check(t, err)
	t.Cleanup(func() { check(t, seat.Leave()) })
	return seat
}

// led waits until a seat has the lease.
func led(t *testing.T, seat *postgres.Seat) *postgres.Lease {
	t.Helper()
	select {
	case l := <-seat.Leads():
		return l
	case <-time.After(30 * time.Second):
		t.Fatal("it does not come to lead")
		return nil
	}
}

func leadsNot(t *testing.T, seat *postgres.Seat) {
	t.Helper()
	select {
	case <-seat.Leads():
		t.Fatal("two lead one master")
	default:
	}
}

func TestOneOfAMastersJobdsLeadsIt(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	first := sit(t, one, "salt", "")
	lease := led(t, first)
	second := sit(t, two, "salt", "")
	leadsNot(t, second)
	other := led(t, sit(t, two, "other", ""))
	if lease.Fence() != 1 || other.Fence() != 1 || !lease.Held() {
		t.Errorf("the fences are %d and %d", lease.Fence(), other.Fence())
	}
	list, err := two.Jobds(t.Context(), quickLease)
	check(t, err)
	m := list["salt"]
	if len(m.Jobds) != 2 || !m.Led || m.Jobds[0].ID != first.ID() || !m.Jobds[0].Leads || m.Jobds[1].Leads || !m.Jobds[1].Alive || m.Jobds[1].Version != "1.2.3" || m.Fence != 1 {
		t.Errorf("who serves it is told as %+v", m)
	}
	began := time.Now()
	check(t, first.Leave())
	next := led(t, second)
	if took := time.Since(began); next.Fence() != 2 || took > quickLease {
		t.Errorf("after one that left, the next leads with fence %d after %s", next.Fence(), took)
	}
	select {
	case <-lease.Lost():
	default:
		t.Error("who left still has its lease")
	}
}

func TestALeaseThatIsNotRenewedIsTaken(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	lease := led(t, freeze(t, one))
	next := led(t, sit(t, two, "salt", ""))
	if lease.Held() || next.Fence() != lease.Fence()+1 {
		t.Errorf("the fences are %d and %d; the first believes in its own: %t", lease.Fence(), next.Fence(), lease.Held())
	}
	r := archivetest.SecretRun()
	_, _, err := two.CreateRun(t.Context(), r, "", "")
	check(t, err)
	if err := lease.Runs().SaveRun(t.Context(), r); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("the one before writes a run: %v", err)
	}
	another := archivetest.SecretRun()
	another.ID += "-2"
	if _, _, err := lease.Runs().CreateRun(t.Context(), another, "", ""); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("the one before makes a run: %v", err)
	}
	r.Message = "the next one's"
	check(t, next.Runs().SaveRun(t.Context(), r))
	if got, err := one.GetRun(t.Context(), r.ID); err != nil || got.Message != r.Message {
		t.Errorf("the run says %q (%v)", got.Message, err)
	}
}

// freeze takes the seat of a jobd that leads and is not heard of any more.
func freeze(t *testing.T, s *postgres.Store) *postgres.Seat {
	t.Helper()
	seat, err := s.TakeSeat(t.Context(), postgres.SeatOptions{Master: "salt", Beat: time.Hour, Lease: quickLease})
	check(t, err)
	t.Cleanup(func() { check(t, seat.Leave()) })
	return seat
}

func TestALeaseIsNotBelievedInForAsLongAsItLasts(t *testing.T) {
	lease := led(t, sit(t, open(t, address(t)), "salt", ""))
	if left := time.Until(lease.Until()); left > quickLease-quickLease/5 || left <= 0 {
		t.Errorf("it is believed in for %s", left)
	}
}

func TestTheNextProcessOfAPlaceDoesNotWaitForTheLease(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	before := led(t, sit(t, one, "salt", "boot/net/127.0.0.1:7780"))
	next := sit(t, two, "salt", "boot/net/127.0.0.1:7780")
	select {
	case lease := <-next.Leads():
		if lease.Fence() != before.Fence()+1 {
			t.Errorf("its fence is %d", lease.Fence())
		}
	default:
		t.Error("it waits")
	}
	<-before.Lost()
	if before.Held() {
		t.Error("the one before believes in its lease, which it knows to be another's")
	}
}

func TestTheNextProcessOfAPlaceWaitsForOneThatHasLeftItAndStillLeads(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	ending := sit(t, one, "salt", "boot/net/127.0.0.1:7780")
	before := led(t, ending)
	check(t, ending.LeavePlace(t.Context()))
	next := sit(t, two, "salt", "boot/net/127.0.0.1:7780")
	leadsNot(t, next)
	if !before.Held() {
		t.Error("who ends has lost its lease already")
	}
	check(t, ending.Leave())
	led(t, next)
}

func TestAJobdThatHasLeftItsSeatStoresWhatItHasReadYet(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	leaving := sit(t, one, "salt", "")
	led(t, leaving)
	next := sit(t, two, "salt", "")
	conn, err := pgx.Connect(t.Context(), where+"&application_name=jobd%20"+leaving.ID()) // a session of the first
	check(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	storing := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), `SELECT pg_sleep(0.5)`)
		storing <- err
	}()
	check(t, leaving.Leave())
	led(t, next) // which has looked for sessions that are frozen
	check(t, <-storing)
}

func TestAJobdThatIsFrozenInATransactionHoldsUpNobody(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	frozen := freeze(t, one)
	first := led(t, frozen)
	// A session of the first that has read the lease to write a run, and is not heard of again.
	conn, err := pgx.Connect(t.Context(), where+"&application_name=jobd%20"+frozen.ID())
	check(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), `BEGIN; SELECT fence FROM leases WHERE master = 'salt' FOR KEY SHARE`)
	check(t, err)
	if next := led(t, sit(t, two, "salt", "")); next.Fence() <= first.Fence() {
		t.Errorf("the fence is %d", next.Fence())
	}
}

func TestAnOrderIsDoneByWhoeverLeadsTheMaster(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	lease := led(t, sit(t, one, "salt", ""))
	asking := sit(t, two, "other", "")
	type answered struct {
		a   postgres.Answer
		err error
	}
	answers := make(chan answered, 1)
	go func() {
		a, err := asking.Ask(t.Context(), "salt", postgres.Order{Kind: "cancel", Body: json.RawMessage(`{"run":"run-1"}`), User: "ann"})
		answers <- answered{a, err}
	}()
	var orders []postgres.Order
	for len(orders) == 0 {
		var err error
		orders, err = lease.Orders(t.Context())
		check(t, err)
	}
	if o := orders[0]; len(orders) != 1 || o.Kind != "cancel" || string(o.Body) != `{"run":"run-1"}` || o.User != "ann" || o.Again {
		t.Errorf("the orders are %+v", orders)
	}
	if more, err := lease.Orders(t.Context()); err != nil || len(more) != 0 {
		t.Errorf("it is taken twice: %+v (%v)", more, err)
	}
	check(t, lease.Answer(t.Context(), orders[0], postgres.AnswerOf("run-1", gaea.Invalid("grace", "too long"))))
	got := <-answers
	check(t, got.err)
	if told, ok := errors.AsType[*gaea.Error](got.a.Err()); !ok || told.Code != gaea.CodeInvalid || told.Field != "grace" || told.Message != "too long" || got.a.Run != "run-1" {
		t.Errorf("the answer is %+v", got.a)
	}
}

func TestAnOrderOutlivesTheLeaderThatTookIt(t *testing.T) {
	where := address(t)
	one, two := open(t, where), open(t, where)
	first := sit(t, one, "salt", "")
	lease := led(t, first)
	second := sit(t, two, "salt", "")
	asked, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	answers := make(chan postgres.Answer, 1)
	go func() {
		a, _ := second.Ask(asked, "salt", postgres.Order{Kind: "pause", Body: json.RawMessage(`{}`)})
		answers <- a
	}()
	for {
		orders, err := lease.Orders(t.Context())
		check(t, err)
		if len(orders) > 0 {
			break
		}
	}
	check(t, first.Leave()) // before it has answered
	next := led(t, second)
	orders, err := next.Orders(t.Context())
	check(t, err)
	if len(orders) != 1 || !orders[0].Again {
		t.Fatalf("the next leader finds %+v", orders)
	}
	check(t, next.Answer(t.Context(), orders[0], postgres.Answer{Run: "run-2"}))
	if a := <-answers; a.Run != "run-2" {
		t.Errorf("the answer is %+v", a)
	}
	if orders, err := lease.Orders(t.Context()); err != nil || len(orders) != 0 {
		t.Errorf("the leader before finds %+v (%v)", orders, err)
	}
}
