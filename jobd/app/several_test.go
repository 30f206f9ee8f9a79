package app_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

func TestAllJobdsOfAMasterArchiveItAndTheNextLeadsWhereOneStops(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	s.openBus()
	o := postgresOptions(t, s)
	first := run(t, o)
	s.accept()
	conns := []net.Conn{s.conn}
	second := run(t, o)
	s.accept()
	conns = append(conns, s.conn)
	if first.metric("gaea_leads") != 1 || second.metric("gaea_leads") != 0 {
		t.Errorf("the first leads: %v; the second: %v", first.metric("gaea_leads"), second.metric("gaea_leads"))
	}
	const count = 300
	for n := range count {
		for _, s.conn = range conns {
			s.sendReturn(n, "web1", nil)
		}
	}
	for _, j := range []*jobd{first, second} {
		eventually(t, "both have stored all", func() bool { return j.metric("gaea_ingest_returns_stored_total") >= count })
	}
	if status, body := second.get("/readyz"); status != http.StatusOK {
		t.Errorf("the one that stands by is not ready: %s", body)
	}
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	eventually(t, "the second leads", func() bool { return second.metric("gaea_leads") == 1 })
	for n := count; n < 2*count; n++ {
		s.sendReturn(n, "web1", nil)
	}
	eventually(t, "the second has stored the rest", func() bool { return second.metric("gaea_ingest_returns_stored_total") >= 2*count })
	if err := second.stop(); err != nil {
		t.Error(err)
	}
	if stats, err := inspect(t, o).Stats(t.Context()); err != nil || stats.Returns != 2*count || stats.Jobs != 2*count {
		t.Errorf("stored are %+v (%v)", stats, err)
	}
}

func TestAJobdWhoseLeaseWasTakenStandsByAndLeadsAgain(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	s.openBus()
	o := postgresOptions(t, s)
	j := run(t, o)
	s.accept()
	change := func(text string) {
		if rows, err := pglab.Execute(t.Context(), o.Database, text); err != nil || rows != 1 {
			t.Fatalf("%d rows: %v", rows, err)
		}
	}
	change(`UPDATE leases SET jobd = 'another', place = '', fence = fence + 1, expires = expires + 3600000000 WHERE master = 'm1'`)
	eventually(t, "it stands by", func() bool { return j.metric("gaea_leads") == 0 })
	s.sendReturn(1, "web1", nil)
	eventually(t, "it archives all the same", func() bool { return j.metric("gaea_ingest_returns_stored_total") == 1 })
	change(`UPDATE leases SET expires = 0 WHERE master = 'm1'`)
	eventually(t, "it leads again", func() bool { return j.metric("gaea_leads") == 1 })
	if err := j.stop(); err != nil {
		t.Error(err)
	}
}

func TestALateReturnThatComesBetweenTwoLeadersIsNotedByTheNext(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	s.openBus()
	o := postgresOptions(t, s)
	j := run(t, o)
	s.accept()
	change := func(text string) {
		if rows, err := pglab.Execute(t.Context(), o.Database, text); err != nil || rows != 1 {
			t.Fatalf("%d rows: %v", rows, err)
		}
	}
	change(`UPDATE leases SET jobd = 'another', place = '', fence = fence + 1, expires = expires + 3600000000 WHERE master = 'm1'`)
	eventually(t, "it stands by", func() bool { return j.metric("gaea_leads") == 0 })
	store, ended := inspect(t, o), time.Now()
	over := &gaea.Run{
		ID: "run-1", Master: "m1", Kind: gaea.RunJob, Function: "test.ping", Target: gaea.ListTarget([]string{"web1"}), Timeouts: gaea.Timeouts{}.WithDefaults(),
		Status: gaea.RunFailed, Created: ended, Started: ended, Ended: ended,
		Slices:  []gaea.Slice{{JID: jid(1), Minions: []string{"web1"}, Started: ended, Ended: ended}},
		Minions: map[string]gaea.RunMinion{"web1": {Outcome: gaea.OutcomeNoReturn, JID: jid(1), At: ended}},
	}
	if _, _, err := store.CreateRun(t.Context(), over, "", ""); err != nil {
		t.Fatal(err)
	}
	s.sendReturn(1, "web1", map[string]any{gaea.MetadataRun: "run-1"})
	eventually(t, "it is stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") == 1 })
	change(`UPDATE leases SET expires = 0 WHERE master = 'm1'`)
	eventually(t, "the run has it", func() bool {
		run, err := store.GetRun(t.Context(), "run-1")
		return err == nil && run.Minions["web1"].Late
	})
	if err := j.stop(); err != nil {
		t.Error(err)
	}
}

func TestAnOrderThatWaitsForTheDatabaseDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	o := postgresOptions(t, newSalt(t))
	j := run(t, o)
	release, err := pglab.Lock(t.Context(), o.Database, "definitions")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ordered := `INSERT INTO orders (master, kind, body, "user", expires) VALUES ('m1', 'check', '{"assignment": "web", "check": {}}', 'ann', 9e18)`
	if _, err := pglab.Execute(t.Context(), o.Database, ordered); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the order is taken", func() bool {
		rows, err := pglab.Execute(t.Context(), o.Database, `UPDATE orders SET kind = kind WHERE fence > 0`)
		return err == nil && rows == 1
	})
	began := time.Now()
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the end took %s", took)
	}
	if rows, err := pglab.Execute(t.Context(), o.Database, `UPDATE orders SET kind = kind WHERE answer IS NULL`); err != nil || rows != 1 {
		t.Errorf("the order is answered, though the next leader could carry it out (%v)", err)
	}
}

// counting is a master and a server that count what they are sent.
type counting struct {
	sent int
	last gaea.Publication
}

func (c *counting) Publish(ctx context.Context, p gaea.Publication) (gaea.Published, error) {
	c.sent, c.last = c.sent+1, p
	if _, ok := ctx.Deadline(); !ok {
		return gaea.Published{}, gaea.Errorf(gaea.CodeInternal, "it may be sent when the lease is over")
	}
	return gaea.Published{JID: p.JID}, nil
}

func (c *counting) RoundTrip(*http.Request) (*http.Response, error) {
	c.sent++
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestALeaderThatCannotRenewItsLeaseSendsNothing(t *testing.T) {
	t.Parallel()
	database, err := server.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, err := archive.OpenKeyFile(filepath.Join(t.TempDir(), "jobd.key"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(t.Context(), database, key, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	seat, err := store.TakeSeat(t.Context(), postgres.SeatOptions{Master: "m1", Beat: time.Hour, Lease: 3 * time.Second}) // as if it were frozen
	if err != nil {
		t.Fatal(err)
	}
	lease := <-seat.Leads()
	c := &counting{}
	publisher, client := app.Leased(c, lease), &http.Client{Transport: app.LeasedTransport(c, lease)}
	if _, err := publisher.Publish(t.Context(), gaea.Publication{JID: "1"}); err != nil || c.sent != 1 {
		t.Errorf("with the lease: %v", err)
	}
	eventually(t, "the lease is over", func() bool { return !lease.Held() })
	if _, err := publisher.Publish(t.Context(), gaea.Publication{JID: "2"}); gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), "lease") {
		t.Errorf("without it: %v", err)
	}
	if err := c.last.Allowed(); gaea.CodeOf(err) != gaea.CodeUnavailable { // asked by who was suspended before it sent the first
		t.Errorf("what began with it may leave without it: %v", err)
	}
	waiting := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/", nil)
		if err == nil {
			var answer *http.Response
			if answer, err = client.Do(req); err == nil {
				err = answer.Body.Close()
			}
		}
		waiting <- err
	}()
	if err := seat.Leave(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; err == nil || c.sent != 1 {
		t.Errorf("a request is sent without the lease: %v", err)
	}
}

// ask makes a request with a token of the role apply.
func (j *jobd) ask(o app.Options, method, path, body string) (status int, text string) {
	j.t.Helper()
	tokens, err := app.OpenTokens(j.t.Context(), o.Database, o.KeyFile, false)
	if err != nil {
		j.t.Fatal(err)
	}
	defer tokens.Close()
	token, err := tokens.Create(j.t.Context(), "ann", gaea.RoleApply, 0)
	if err != nil {
		j.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(j.t.Context(), method, j.url+path, strings.NewReader(body))
	if err != nil {
		j.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Secret)
	req.Header.Set("Content-Type", "application/json")
	answer, err := j.client.Do(req)
	if err != nil {
		j.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		j.t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// ping asks for a run on the minions of a master.
func (j *jobd) ping(o app.Options, master string) (status int, text string) {
	j.t.Helper()
	return j.ask(o, http.MethodPost, "/v1/runs", `{"master": "`+master+`", "function": "test.ping", "target": {"type": "list", "minions": ["web1"]}}`)
}

func TestARunForAMasterThatNobodyEverServedIsRefused(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		o := options(t, newSalt(t))
		j := run(t, o)
		if status, text := j.ping(o, "mars"); status != http.StatusBadRequest || !strings.Contains(text, "mars") || !strings.Contains(text, `m1\"`) {
			t.Errorf("a master that there is not: %d %s", status, text)
		}
		if status, text := j.ask(o, http.MethodGet, "/v1/masters", ""); status != http.StatusOK || !strings.Contains(text, `"led":true`) || !strings.Contains(text, j.Addr()) {
			t.Errorf("the masters are %d %s", status, text)
		}
	})
}

func TestWhatIsAskedOfAnotherMasterIsAnsweredByItsOwnJobd(t *testing.T) {
	t.Parallel()
	o := postgresOptions(t, newSalt(t))
	j := run(t, o)
	there := o
	there.MasterName, there.SaltConfigDir = "m2", newSalt(t).config
	other := run(t, there)
	for _, call := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/v1/archive/verify", `{"master": "m2"}`, http.StatusOK, `"jobs":0`},
		{"/v1/archive/verify", `{"master": "mars"}`, http.StatusBadRequest, "jobd masters"},
		{"/v1/assignments/web/check", `{"master": "m2"}`, http.StatusNotFound, "web"},
		{"/v1/assignments/web/enforce", `{"master": "m2"}`, http.StatusNotFound, "web"},
		{"/v1/assignments/web/check", `{"master": "mars"}`, http.StatusBadRequest, "jobd masters"},
	} {
		if status, text := j.ask(o, http.MethodPost, call.path, call.body); status != call.status || !strings.Contains(text, call.says) {
			t.Errorf("%s %s: %d %s", call.path, call.body, status, text)
		}
	}
	for master, want := range map[string]int{"m2": http.StatusNotFound, "mars": http.StatusBadRequest} {
		if status, text := j.ask(o, http.MethodGet, "/v1/assignments/web/drift?master="+master, ""); status != want {
			t.Errorf("the drift there: %d %s", status, text)
		}
	}
	for _, j := range []*jobd{j, other} {
		if err := j.stop(); err != nil {
			t.Error(err)
		}
	}
	if rows, err := pglab.Execute(t.Context(), o.Database, `UPDATE orders SET kind = kind WHERE master = 'm2' AND fence > 0 AND answer IS NOT NULL`); err != nil || rows != 3 {
		t.Errorf("%d orders were answered by the other (%v)", rows, err)
	}
}

func TestWhatIsAskedOfAMasterThatNobodyLeadsIsNotDoneLater(t *testing.T) {
	t.Parallel()
	o := postgresOptions(t, newSalt(t))
	o.TakeoverWait = 300 * time.Millisecond
	gone := o
	gone.MasterName = "m2"
	last := run(t, gone)
	if err := last.stop(); err != nil {
		t.Fatal(err)
	}
	j := run(t, o)
	status, text := j.ask(o, http.MethodPost, "/v1/assignments/web/check", `{"master": "m2"}`)
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "nothing was done") || !strings.Contains(text, last.Addr()) || !strings.Contains(text, "start it there") {
		t.Errorf("the answer is %d %s", status, text)
	}
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	if rows, err := pglab.Execute(t.Context(), o.Database, `UPDATE orders SET kind = kind WHERE expires > 0`); err != nil || rows != 0 {
		t.Errorf("%d orders may be taken yet (%v)", rows, err)
	}
}

func TestWhatIsAskedOfAMasterWhoseJobdIsLongGoneIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	o, _, j := served(t)
	if _, err := pglab.Execute(t.Context(), o.Database, `UPDATE jobds SET heartbeat = heartbeat - 3600000000 WHERE master = 'm2'`); err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{"/v1/assignments/web/check": `{"master": "m2"}`, "/v1/archive/verify": `{"master": "m2"}`} {
		status, text := j.ask(o, http.MethodPost, path, body)
		if status != http.StatusServiceUnavailable || !strings.Contains(text, "no jobd serves the master") || !strings.Contains(text, "nothing was done") || !strings.Contains(text, "start it there") {
			t.Errorf("%s: the answer is %d %s", path, status, text)
		}
	}
	if rows, err := pglab.Execute(t.Context(), o.Database, `UPDATE orders SET kind = kind`); err != nil || rows != 0 {
		t.Errorf("%d orders were given (%v)", rows, err)
	}
}

// served is a jobd of m1, and one of the master m2 that was there and has stopped.
func served(t *testing.T) (o, gone app.Options, j *jobd) {
	t.Helper()
	o = postgresOptions(t, newSalt(t))
	j = run(t, o)
	gone = o
	gone.MasterName = "m2"
	last := run(t, gone)
	if err := last.stop(); err != nil {
		t.Fatal(err)
	}
	return o, gone, j
}

// accepted is the run that was accepted.
func accepted(t *testing.T, status int, text string) string {
	t.Helper()
	var run gaea.Run
	if err := json.Unmarshal([]byte(text), &run); err != nil || status != http.StatusAccepted || run.Status != gaea.RunQueued || run.TakeBy.IsZero() {
		t.Fatalf("it is not accepted: %d %s", status, text)
	}
	return run.ID
}

func TestARunForAMasterWhoseJobdIsGoneIsTakenUpByTheNext(t *testing.T) {
	t.Parallel()
	o, gone, j := served(t)
	status, text := j.ping(o, "m2")
	id := accepted(t, status, text)
	next := run(t, gone)
	store := inspect(t, o)
	eventually(t, "the next has taken it up", func() bool {
		run, err := store.GetRun(t.Context(), id)
		return err == nil && run.TakeBy.IsZero() && !run.Status.Final()
	})
	if err := next.stop(); err != nil {
		t.Error(err)
	}
}

func TestARunThatNobodyTakesUpInTimeEndsAndIsNotBegunLater(t *testing.T) {
	t.Parallel()
	o, gone, j := served(t)
	store := inspect(t, o)
	overdue := func() string { // its time is over by the database's clock
		status, text := j.ping(o, "m2")
		id := accepted(t, status, text)
		rows, err := pglab.Execute(t.Context(), o.Database, `UPDATE runs SET head = regexp_replace(head, '"take_by":"[0-9]+', '"take_by":"2001') WHERE id = '`+id+`' AND head LIKE '%take_by%'`)
		if err != nil || rows != 1 {
			t.Fatalf("%d rows: %v", rows, err)
		}
		return id
	}
	ended := func(id string) func() bool {
		return func() bool {
			run, err := store.GetRun(t.Context(), id)
			return err == nil && run.Status == gaea.RunFailed && run.TakeBy.IsZero() && run.Started.IsZero() && strings.Contains(run.Message, "nothing was published")
		}
	}
	eventually(t, "another master's leader ends it", ended(overdue()))
	if err := j.stop(); err != nil {
		t.Error(err)
	}
	j = run(t, o)
	id := overdue()
	next := run(t, gone)
	eventually(t, "the next ends it", ended(id))
	for _, j := range []*jobd{j, next} {
		if err := j.stop(); err != nil {
			t.Error(err)
		}
	}
}
