package restapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/restapi"
)

const (
	password = "s3cret-passw0rd"
	jid      = "20260131120000000001"
)

// fake is a salt-api that fails in ways that the real one does not on demand. What a handler is not set for, it refuses.
type fake struct {
	*httptest.Server
	mu     sync.Mutex
	logins int
	tokens map[string]bool
	chunks []map[string]any // the low data that it was sent with a good token
	bodies []string

	login  func(w http.ResponseWriter) bool                           // true: it has answered
	low    func(w http.ResponseWriter, n int, chunk map[string]any)   // n: from 1
	events func(w http.ResponseWriter, r *http.Request, token string) // with a good token
}

func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{tokens: map[string]bool{}}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	token := r.Header.Get("X-Auth-Token")
	f.mu.Lock()
	known := f.tokens[token]
	f.mu.Unlock()
	switch {
	case r.URL.Path == "/login":
		f.mu.Lock()
		f.logins++
		token = fmt.Sprintf("70ce%04d", f.logins)
		f.tokens[token] = true
		f.mu.Unlock()
		if f.login == nil || !f.login(w) {
			answer(w, map[string]any{"token": token, "start": 1e9, "expire": 1e9 + 43200, "user": "ops", "eauth": "pam", "perms": []any{".*", "@runner", map[string]any{"web*": []string{"test.*"}}}})
		}
	case !known:
		page(w, http.StatusUnauthorized, "No permission -- see authorization schemes")
	case r.URL.Path == "/events" && f.events != nil:
		f.events(w, r, token)
	case r.URL.Path == "/" && f.low != nil:
		var low []map[string]any
		_ = json.Unmarshal(body, &low)
		f.mu.Lock()
		f.bodies = append(f.bodies, string(body))
		f.chunks = append(f.chunks, low...)
		n := len(f.chunks)
		f.mu.Unlock()
		f.low(w, n, low[0])
	default:
		page(w, http.StatusNotFound, "The path was not found.")
	}
}

// forget makes all tokens unknown, as salt-api does when it is started anew.
func (f *fake) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.tokens)
}

// seen is how many logins and how much low data came.
func (f *fake) seen() (logins, chunks int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logins, len(f.chunks)
}

// answer is salt-api's answer to one chunk of low data.
func answer(w http.ResponseWriter, ret any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"return": []any{ret}})
}

// page is an error as CherryPy shows it.
func page(w http.ResponseWriter, status int, words string) {
	w.Header().Set("Content-Type", "text/html;charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<html><head><title>%d</title></head><body><h2>%d</h2>\n  <p>%s</p>\nPowered by CherryPy</body></html>", status, status, words)
}

// ran is the answer of a runner.
func ran(w http.ResponseWriter, ret any) {
	answer(w, map[string]any{"tag": "salt/run/20260131120000000009/ret", "data": map[string]any{"jid": "20260131120000000009", "success": true, "return": ret}})
}

func (f *fake) client(t testing.TB, change func(*restapi.Config)) *restapi.Client {
	t.Helper()
	cfg := restapi.Config{URL: f.URL, Username: "ops", Password: password, Eauth: "pam", Timeout: 10 * time.Second}
	if change != nil {
		change(&cfg)
	}
	c, err := restapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
