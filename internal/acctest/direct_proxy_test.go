package acctest

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

// waiting is a state that runs on a minion until the test lets it end.
const waiting = `
slow:
  cmd.run:
    - name: mkdir -p {{ dir }}; echo run >> {{ dir }}/started; while [ ! -e {{ dir }}/go ]; do sleep 0.1; done
    - creates: {{ dir }}/go
`

// proxy stands between Terraform and the lab's salt-api, with TLS and a certificate of its own.
type proxy struct {
	*httptest.Server
	ca    string                           // a file
	fault atomic.Pointer[http.HandlerFunc] // what answers in the place of salt-api; nil: salt-api does
}

func newProxy(t *testing.T, r *rig) *proxy {
	t.Helper()
	to, err := url.Parse(r.lab.APIURL())
	if err != nil {
		t.Fatal(err)
	}
	through := &httputil.ReverseProxy{Rewrite: func(req *httputil.ProxyRequest) { req.SetURL(to) }, FlushInterval: -1}
	p := &proxy{ca: filepath.Join(t.TempDir(), "ca.pem")}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if fault := p.fault.Load(); fault != nil {
			(*fault)(w, req)
			return
		}
		through.ServeHTTP(w, req)
	}))
	t.Cleanup(p.Close)
	t.Cleanup(p.CloseClientConnections)
	if err := os.WriteFile(p.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// through has Terraform reach salt-api by the proxy.
func (f *tf) through(t *testing.T, p *proxy, config string) {
	t.Helper()
	f.setenv("SALTAPI_URL", p.URL)
	text := strings.Replace(providerBlock, `provider "gaea" {}`, fmt.Sprintf("provider \"gaea\" {\n  salt_api = { ca_file = %q }\n}", p.ca), 1)
	if err := os.WriteFile(filepath.Join(f.dir, "main.tf"), []byte(text+config), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAccWithoutAJobdSaltAPIIsReachedByAProxyWhoseCertificateIsTrusted(t *testing.T) {
	r := newDirect(t)
	r.sls(t, motd)
	p := newProxy(t, r)
	f := r.newTerraform(t, "apply", r.assignment(lookLive, "web1"))
	f.setenv("SALTAPI_URL", p.URL)
	wants(t, f.must(t, 1, "plan"), "salt-api does not answer", "certificate that is not trusted", "ca_file")
	f.through(t, p, r.assignment(lookLive, "web1"))
	f.apply(t)
	f.plan(t, planEmpty)
}

func TestAccWithoutAJobdWhatIsNotSaltAPIsAnswerChangesNothingAndIsNamed(t *testing.T) {
	r := newDirect(t)
	r.sls(t, motd)
	p := newProxy(t, r)
	config := r.assignment(lookLive, "web1")
	f := r.newTerraform(t, "apply", config)
	f.through(t, p, config)
	f.apply(t)
	r.write(t, "web1", "motd", "tampered\n")
	before := f.stateFile(t)
	page := func(status int, kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}
	}
	for name, c := range map[string]struct {
		fault http.HandlerFunc
		wants []string
	}{
		"a fault of salt-api":     {page(http.StatusInternalServerError, "text/html", "<html><p>The server encountered an unexpected condition</p>Powered by CherryPy</html>"), []string{"failed at a login", "its log has the reason"}},
		"a page of something":     {page(http.StatusOK, "text/html", "<html>Welcome</html>"), []string{"is not salt-api", "look at salt_api.url"}},
		"nothing":                 {page(http.StatusOK, "", ""), []string{"is not salt-api"}},
		"half an answer":          {page(http.StatusOK, "application/json", `{"return": [{"tok`), []string{"JSON that is cut off"}},
		"a broken connection":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []string{"salt-api does not answer"}},
		"a proxy without its end": {page(http.StatusBadGateway, "text/html", "<html>nginx</html>"), []string{"a proxy before salt-api"}},
	} {
		p.fault.Store(&c.fault)
		wants(t, f.must(t, 1, "apply", "-auto-approve"), append(c.wants, "Nothing was changed")...)
		if f.stateFile(t) != before {
			t.Errorf("%s: the state has changed", name)
		}
	}
	p.fault.Store(nil)
	f.apply(t)
	if got := r.content(t, "web1", "motd"); got != "hello from gaea\n" {
		t.Errorf("web1 has %q", got)
	}
}

func TestAccWithoutAJobdARunIsFollowedWhileSaltAPIIsAway(t *testing.T) {
	r := newDirect(t)
	r.sls(t, waiting)
	t.Cleanup(func() { r.write(t, "web1", "go", "") })
	p := newProxy(t, r)
	config := r.assignment(lookLive, "web1")
	f := r.newTerraform(t, "apply", config)
	f.through(t, p, config)
	apply := f.background(t, "apply", "-auto-approve")
	eventually(t, "the state runs", func() bool { return r.exists("web1", "started") })
	away := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusServiceUnavailable) })
	p.fault.Store(&away)
	p.CloseClientConnections()
	r.write(t, "web1", "go", "")
	eventually(t, "the job has returned to the master", func() bool {
		jobs := r.publishedBy(t, "state.apply")
		if len(jobs) == 0 {
			return false
		}
		job, err := r.client.Job(t.Context(), jobs[0].JID)
		return err == nil && job.Returns["web1"].Outcome.Final()
	})
	p.fault.Store(nil)
	if code, out := apply.wait(t); code != 0 {
		t.Fatalf("the apply ended with %d:\n%s", code, out)
	}
	if got := r.content(t, "web1", "started"); got != "run\n" {
		t.Errorf("the state ran %q", got)
	}
	f.plan(t, planEmpty)
}

// The test takes all tokens of salt-api away, so it does not run in parallel with others.
func TestAccWithoutAJobdATokenThatEndsInTheMiddleOfARunIsMadeAnew(t *testing.T) {
	r := newRig(t)
	r.direct = true
	r.sls(t, waiting)
	t.Cleanup(func() { r.write(t, "web1", "go", "") })
	f := r.newTerraform(t, "apply", r.assignment(lookLive, "web1"))
	apply := f.background(t, "apply", "-auto-approve")
	eventually(t, "the state runs", func() bool { return r.exists("web1", "started") })
	tokens, err := filepath.Glob(filepath.Join(r.lab.CacheDir(), "tokens", "*"))
	if err != nil || len(tokens) == 0 {
		t.Fatalf("no tokens: %v", err)
	}
	for _, token := range tokens {
		if err := os.Remove(token); err != nil {
			t.Fatal(err)
		}
	}
	r.write(t, "web1", "go", "")
	if code, out := apply.wait(t); code != 0 {
		t.Fatalf("the apply ended with %d:\n%s", code, out)
	}
	f.plan(t, planEmpty)
}

func TestAccWithoutAJobdReplacingAppliesAnewAndRunsAJobAnew(t *testing.T) {
	r := newDirect(t)
	r.sls(t, "counted:\n  cmd.run:\n    - name: mkdir -p {{ dir }}; echo run >> {{ dir }}/applied\n")
	f := r.newTerraform(t, "apply", r.assignment(lookLive, "web1")+fmt.Sprintf(`
resource "gaea_job" "it" {
  name         = %q
  target_group = gaea_target_group.it.ref
  function     = "cmd.run"
  args         = ["echo run >> %s/ran"]
  kwargs       = jsonencode({ python_shell = true })
  depends_on   = [gaea_state_assignment.it]
}
`, r.name, r.dir("web1")))
	f.apply(t)
	out := f.must(t, 0, "apply", "-auto-approve", "-replace="+it, "-replace=gaea_job.it")
	wants(t, out, "2 added, 0 changed, 2 destroyed")
	for _, file := range []string{"applied", "ran"} {
		if got := r.content(t, "web1", file); got != "run\nrun\n" {
			t.Errorf("%s has %q", file, got)
		}
	}
	f.plan(t, planEmpty)
}

// The master is one of the test's own, which does not let salt-api do what the provider needs.
func TestAccAMasterThatIsNotPreparedForDirectModeSaysWhichLinesItNeeds(t *testing.T) {
	r := newDirect(t)
	lab, err := saltlab.Start(t.Context(), saltlab.Config{Minions: 1, MasterConfig: map[string]any{
		"netapi_enable_clients": []any{"local"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Stop(); err != nil {
			t.Error(err)
		}
	})
	f := r.newTerraform(t, "apply", r.assignment(lookLive, "web1"))
	f.setenv("SALTAPI_URL", lab.APIURL())
	f.setenv("SALTAPI_PASS", lab.APIPassword())
	wants(t, f.must(t, 1, "apply", "-auto-approve"), "netapi_enable_clients: [local_async, runner]", "restart salt-master and salt-api")
	f.setenv("SALTAPI_EAUTH", "pam")
	wants(t, f.must(t, 1, "apply", "-auto-approve"), "external_auth: {pam: {gaea: ['.*', '@runner', '@jobs']}}")
}
