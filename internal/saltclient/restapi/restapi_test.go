package restapi_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/restapi"
)

func ping(minions ...string) gaea.Publication {
	return gaea.Publication{JID: jid, Function: "test.ping", Target: gaea.ListTarget(minions), Metadata: map[string]any{gaea.MetadataRun: "r1"}}
}

func published(w http.ResponseWriter, _ int, _ map[string]any) {
	answer(w, map[string]any{"jid": jid, "minions": []string{"web2", "web1"}})
}

func TestAPublicationCarriesItsIDAndTellsWhoIsMissing(t *testing.T) {
	f := newFake(t)
	f.low = published
	p := ping("web1", "web2", "gone")
	p.Args, p.Kwargs = []any{"a", 1}, map[string]any{"b": nil}
	got, err := f.client(t, nil).Publish(t.Context(), p)
	if err != nil || got.JID != jid || !slices.Equal(got.Minions, []string{"web1", "web2"}) || !slices.Equal(got.Missing, []string{"gone"}) {
		t.Errorf("%+v, %v", got, err)
	}
	want := `[{"arg":["a",1],"client":"local_async","fun":"test.ping","jid":"` + jid + `","kwarg":{"b":null},"metadata":{"gaea_run":"r1"},"tgt":["gone","web1","web2"],"tgt_type":"list"}]`
	if f.bodies[0] != want {
		t.Errorf("sent %s", f.bodies[0])
	}
}

func TestManyCallsWithAnExpiredTokenLogInOnce(t *testing.T) {
	f := newFake(t)
	f.low = published
	c := f.client(t, nil)
	for want := 1; want <= 2; want++ {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := c.Publish(t.Context(), ping("web1")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if logins, _ := f.seen(); logins != want {
			t.Errorf("%d logins, want %d", logins, want)
		}
		f.forget()
	}
	if perms := c.Perms(); !slices.Equal(perms, []string{".*", "@runner", `{"web*":["test.*"]}`}) {
		t.Errorf("perms %q", perms)
	}
}

func TestAWrongPasswordIsToldAtOnceAndNotTriedAgain(t *testing.T) {
	f := newFake(t)
	f.login = func(w http.ResponseWriter) bool {
		page(w, http.StatusUnauthorized, "Could not authenticate using provided credentials")
		return true
	}
	c := f.client(t, nil)
	for range 3 {
		err := c.Login(t.Context())
		if gaea.CodeOf(err) != gaea.CodeUnauthenticated || !strings.Contains(gaea.MessageOf(err), "external_auth: {pam: {ops: ['.*', '@runner', '@jobs']}}") || !strings.Contains(gaea.MessageOf(err), "salt-master's log") || strings.Contains(err.Error(), password) {
			t.Errorf("got %v", err)
		}
	}
	if logins, _ := f.seen(); logins != 1 {
		t.Errorf("%d logins: that locks accounts", logins)
	}
}

func TestAnAnswerThatIsNoSuccessBecomesAnErrorThatSaysWhatToDo(t *testing.T) {
	for name, row := range map[string]struct {
		low   func(w http.ResponseWriter, n int, chunk map[string]any)
		code  gaea.Code
		words string
		asked int // how many chunks came in all
	}{
		"nothing matched": {func(w http.ResponseWriter, _ int, _ map[string]any) { answer(w, map[string]any{}) }, gaea.CodeEmptyTarget, `"web1" (list) matches no minion`, 1},
		"not allowed": {func(w http.ResponseWriter, _ int, _ map[string]any) {
			page(w, http.StatusUnauthorized, "Authorization error occurred.")
		}, gaea.CodeForbidden, `does not allow user "ops" (eauth pam) job test.ping (` + jid + `) on web1 (list) (Authorization error occurred.). Its configuration allows this user .*, @runner, {"web*":["test.*"]}, and has to have: external_auth: {pam: {ops: ['.*', '@runner', '@jobs']}}`, 1},
		"a token that never works": {func(w http.ResponseWriter, _ int, _ map[string]any) {
			page(w, http.StatusUnauthorized, "Authentication error occurred.")
		}, gaea.CodeForbidden, "Authentication error occurred.", 2},
		"a client that is off": {func(w http.ResponseWriter, _ int, _ map[string]any) {
			page(w, http.StatusBadRequest, "Client disabled: &#x27;local_async&#x27;. Add to &#x27;netapi_enable_clients&#x27; master config option to enable.")
		}, gaea.CodeForbidden, "add this line to the master's configuration and restart salt-master and salt-api: netapi_enable_clients: [local_async, runner]", 1},
		"the master is down": {func(w http.ResponseWriter, _ int, _ map[string]any) {
			page(w, http.StatusServiceUnavailable, "Salt Master is not available.")
		}, gaea.CodeUnavailable, "Salt Master is not available.", 5},
		"a proxy's page":  {func(w http.ResponseWriter, _ int, _ map[string]any) { page(w, http.StatusOK, "Welcome") }, gaea.CodeUnavailable, "is not salt-api (200 OK, text/html)", 1},
		"a proxy gave up": {func(w http.ResponseWriter, _ int, _ map[string]any) { page(w, http.StatusBadGateway, "nginx") }, gaea.CodeTimeout, "a proxy before salt-api", 1},
		"nothing":         {func(http.ResponseWriter, int, map[string]any) {}, gaea.CodeUnavailable, "an untyped answer", 1},
		"half an answer": {func(w http.ResponseWriter, _ int, _ map[string]any) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"return": [{"jid": "2026`))
		}, gaea.CodeUnavailable, "cut off", 1},
		"a connection that breaks": {func(http.ResponseWriter, int, map[string]any) { panic(http.ErrAbortHandler) }, gaea.CodeTimeout, "may have acted on job test.ping", 1},
		"too large a question": {func(w http.ResponseWriter, _ int, _ map[string]any) {
			page(w, http.StatusRequestEntityTooLarge, "The entity sent with the request exceeds the maximum allowed bytes.")
		}, gaea.CodeTooLarge, "raise max_request_body_size", 1},
		"too large an answer": {func(w http.ResponseWriter, _ int, _ map[string]any) { answer(w, strings.Repeat("x", 2<<20)) }, gaea.CodeTooLarge, "larger than 1 MiB", 1},
		"another place": {func(w http.ResponseWriter, _ int, _ map[string]any) {
			w.Header().Set("Location", "http://elsewhere.example/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, gaea.CodeUnavailable, "sends its callers on to http://elsewhere.example", 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.low = row.low
			c := f.client(t, func(cfg *restapi.Config) { cfg.MaxAnswer = 1 << 20 })
			_, err := c.Publish(t.Context(), ping("web1"))
			if gaea.CodeOf(err) != row.code || !strings.Contains(gaea.MessageOf(err), row.words) || strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "70ce") {
				t.Errorf("%s: %v", gaea.CodeOf(err), err)
			}
			if _, n := f.seen(); n != row.asked {
				t.Errorf("was asked %d times, want %d", n, row.asked)
			}
		})
	}
}

func TestAFaultOfSaltAPIIsSettledByTheJobCache(t *testing.T) {
	cached := map[string]any{"jid": jid, "Function": "test.ping", "Target": "*", "Target-type": "glob", "Minions": []string{"web1"}, "Result": map[string]any{}}
	none := map[string]any{"jid": jid, "Error": "Cannot contact returner or no job with this jid", "Result": map[string]any{}}
	fault := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"status": 500, "return": "An unexpected error occurred"}`))
	}
	for name, row := range map[string]struct {
		cache     any // nil: the cache cannot be read
		code      gaea.Code
		published int
	}{
		"the master has the job": {cached, "", 1},
		"it does not":            {none, gaea.CodeSalt, 2},
		"it does not say":        {nil, gaea.CodeTimeout, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.low = func(w http.ResponseWriter, _ int, chunk map[string]any) {
				if chunk["client"] == "runner" && row.cache != nil {
					ran(w, row.cache)
					return
				}
				fault(w)
			}
			got, err := f.client(t, nil).Publish(t.Context(), ping("web1"))
			if gaea.CodeOf(err) != row.code || (err == nil && !slices.Equal(got.Minions, []string{"web1"})) {
				t.Errorf("%+v, %v", got, err)
			}
			n := 0
			for _, chunk := range f.chunks {
				if chunk["client"] == "local_async" {
					n++
				}
			}
			if n != row.published {
				t.Errorf("published %d times", n)
			}
		})
	}
}

func TestWhatOnlyReadsIsRepeatedAfterABrokenConnectionAndARunnerOfUsersIsNot(t *testing.T) {
	f := newFake(t)
	f.low = func(w http.ResponseWriter, n int, _ map[string]any) {
		if n%2 == 1 {
			panic(http.ErrAbortHandler)
		}
		ran(w, map[string]any{"jid": jid, "Function": "test.ping", "Target": "*", "Target-type": "glob", "Minions": []string{"web1"}, "Metadata": map[string]any{gaea.MetadataRun: "r1"},
			"Result": map[string]any{"web1": map[string]any{"return": true, "retcode": 0, "success": true}}})
	}
	c := f.client(t, nil)
	job, err := c.CachedJob(t.Context(), jid)
	if err != nil || job.Job.RunID != "r1" || len(job.Returns) != 1 || job.Returns[0].Outcome != gaea.OutcomeSucceeded || job.Returns[0].Stamp.IsZero() {
		t.Errorf("%+v, %v", job, err)
	}
	if _, err := c.Run(t.Context(), "state.orchestrate", []any{"x"}, nil); gaea.CodeOf(err) != gaea.CodeTimeout {
		t.Errorf("got %v", err)
	}
	if _, n := f.seen(); n != 3 {
		t.Errorf("was asked %d times", n)
	}
}

func TestReturnsThatTheMasterCutAreNamed(t *testing.T) {
	f := newFake(t)
	f.low = func(w http.ResponseWriter, _ int, _ map[string]any) {
		ran(w, map[string]any{"jid": jid, "Function": "test.arg", "Target": "*", "Target-type": "glob", "Minions": []string{"web1", "web2"},
			"Result": map[string]any{"web1": map[string]any{"return": "VALUE_TRIMMED"}, "web2": map[string]any{"return": 1}}})
	}
	job, err := f.client(t, nil).CachedJob(t.Context(), jid)
	if gaea.CodeOf(err) != gaea.CodeTooLarge || !strings.Contains(err.Error(), "(web1); raise max_event_size") || len(job.Returns) != 1 || !slices.Equal(job.Cut, []string{"web1"}) {
		t.Errorf("%+v, %v", job, err)
	}
}

func TestRunnersWaitForEachOther(t *testing.T) {
	f := newFake(t)
	held := make(chan struct{})
	f.low = func(http.ResponseWriter, int, map[string]any) { <-held }
	defer close(held) // before the server waits for its handlers
	c := f.client(t, func(cfg *restapi.Config) { cfg.UserRunners = 1 })
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		_, err := c.Run(ctx, "test.sleep", []any{100}, nil)
		over <- err
	}()
	for _, n := f.seen(); n == 0; _, n = f.seen() {
		select {
		case err := <-over:
			t.Fatal(err)
		default:
		}
	}
	short, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err := c.Run(short, "test.arg", nil, nil); gaea.CodeOf(err) != gaea.CodeTimeout {
		t.Errorf("got %v", err)
	}
	if _, n := f.seen(); n != 1 {
		t.Errorf("%d runners were asked for at once", n)
	}
	cancel()
	if err := <-over; gaea.CodeOf(err) != gaea.CodeCancelled {
		t.Errorf("got %v", err)
	}
}

func TestNoSecretReachesTheLog(t *testing.T) {
	f := newFake(t)
	f.low = published
	var log bytes.Buffer
	c := f.client(t, func(cfg *restapi.Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	p := ping("web1")
	p.Kwargs = map[string]any{"pillar": map[string]any{"password": "p1llar"}}
	if _, err := c.Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if s := log.String(); !strings.Contains(s, "logged in") || strings.Contains(s, password) || strings.Contains(s, "70ce") || strings.Contains(s, "p1llar") {
		t.Errorf("log: %s", s)
	}
}

func TestACertificateOfAnUnknownAuthorityAsksForTheCAFile(t *testing.T) {
	f := newFake(t)
	f.Close()
	f.Server = httptest.NewTLSServer(http.HandlerFunc(f.serve))
	f.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	defer f.Close()
	err := f.client(t, nil).Login(t.Context())
	if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(err.Error(), "set salt_api.ca_file") {
		t.Errorf("got %v", err)
	}
	if logins, _ := f.seen(); logins != 0 {
		t.Error("the password was sent")
	}
}

func TestASaltAPIThatDoesNotRunIsUnavailable(t *testing.T) {
	f := newFake(t)
	f.Close()
	_, err := f.client(t, func(cfg *restapi.Config) { cfg.Timeout = time.Second }).Publish(t.Context(), ping("web1"))
	if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}
