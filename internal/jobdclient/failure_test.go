package jobdclient_test

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

func TestAWrongConfigurationIsRefusedWithItsField(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, field string
		cfg         jobdclient.Config
	}{
		{"no endpoint", "endpoint", jobdclient.Config{}},
		{"no scheme", "endpoint", jobdclient.Config{Endpoint: "127.0.0.1:7780"}},
		{"another scheme", "endpoint", jobdclient.Config{Endpoint: "ftp://127.0.0.1"}},
		{"no host", "endpoint", jobdclient.Config{Endpoint: "http://:7780"}},
		{"a password", "endpoint", jobdclient.Config{Endpoint: "http://u:s3cr3t@127.0.0.1:7780"}},
		{"a password in what is no address", "endpoint", jobdclient.Config{Endpoint: "http//u:s3cr3t@127.0.0.1:7780"}},
		{"a query", "endpoint", jobdclient.Config{Endpoint: "http://127.0.0.1:7780/?a=b"}},
		{"a token in clear over the network", "endpoint", jobdclient.Config{Endpoint: "http://salt.example.com:7780", Token: "gaea_s3cr3t"}},
		{"a line break in the token", "token", jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Token: "gaea_s3cr3t\n"}},
		{"no such file", "ca_file", jobdclient.Config{Endpoint: "https://127.0.0.1:7780", CAFile: notPEM + ".missing"}},
		{"no certificate", "ca_file", jobdclient.Config{Endpoint: "https://127.0.0.1:7780", CAFile: notPEM}},
		{"a negative timeout", "request_timeout", jobdclient.Config{Endpoint: "http://127.0.0.1:7780", Timeout: -time.Second}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := jobdclient.New(row.cfg)
			e := errorOf(t, err, gaea.CodeInvalid)
			if e.Field != row.field || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("got %v, want the field %s", err, row.field)
			}
		})
	}
}

func TestJobdBehindAPathPrefixIsReached(t *testing.T) {
	j := newJobd(t)
	c := dial(t, jobdclient.Config{Endpoint: serve(t, http.StripPrefix("/salt/jobd", j)) + "/salt/jobd/", Token: j.plan})
	if _, err := c.WhoAmI(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestATokenThatIsMissingOrUnknownSaysWhereItIsSet(t *testing.T) {
	j := newJobd(t)
	url := serve(t, j)
	_, err := dial(t, jobdclient.Config{Endpoint: url}).WhoAmI(t.Context())
	wantError(t, err, gaea.CodeUnauthenticated, "none is set", "GAEA_TOKEN", "jobd token create")
	_, err = dial(t, jobdclient.Config{Endpoint: url, Token: "gaea_old"}).WhoAmI(t.Context())
	wantError(t, err, gaea.CodeUnauthenticated, "does not know this token", "GAEA_TOKEN", "jobd token create")
}

func TestAPortWhereNobodyListensSaysHowToStartJobd(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	_, err = dial(t, jobdclient.Config{Endpoint: url}).WhoAmI(t.Context())
	wantError(t, err, gaea.CodeUnavailable, url, "connection refused", `"jobd serve"`, "GAEA_ENDPOINT")
}

func TestWhatIsNotJobdIsNamedAsSuch(t *testing.T) {
	answer := func(status int, kind, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	for name, row := range map[string]struct {
		handler http.Handler
		says    string
	}{
		"a login page":    {answer(http.StatusOK, "text/html; charset=utf-8", "<html>login</html>"), "text/html"},
		"another service": {answer(http.StatusNotFound, "application/json", `{"error":"nope"}`), "404"},
		"no type at all":  {answer(http.StatusForbidden, "", "no"), "403"},
		"broken JSON":     {answer(http.StatusOK, "application/json", `{"name":`), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := dial(t, jobdclient.Config{Endpoint: serve(t, row.handler)}).WhoAmI(t.Context())
			e := errorOf(t, err, gaea.CodeUnavailable, row.says)
			if strings.Contains(e.Message, "login") {
				t.Errorf("the page is in the message: %q", e.Message)
			}
		})
	}
}

func TestTLSIsTrustedThroughTheCAFile(t *testing.T) {
	j := newJobd(t)
	s := httptest.NewTLSServer(j)
	s.Config.ErrorLog = nil
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := dial(t, jobdclient.Config{Endpoint: s.URL, Token: j.plan, CAFile: ca})
	if _, err := c.WhoAmI(t.Context()); err != nil {
		t.Error(err)
	}
	started := time.Now()
	_, err := dial(t, jobdclient.Config{Endpoint: s.URL, Token: j.plan}).WhoAmI(t.Context())
	wantError(t, err, gaea.CodeUnavailable, "not trusted", "ca_file")
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("a certificate was asked for again for %s", took)
	}
	_, err = dial(t, jobdclient.Config{Endpoint: strings.Replace(s.URL, "https:", "http:", 1)}).WhoAmI(t.Context())
	wantError(t, err, gaea.CodeUnavailable, "speaks TLS", "https://")
}

func TestAJobdWithoutTLSSaysSo(t *testing.T) {
	url := serve(t, newJobd(t))
	_, err := dial(t, jobdclient.Config{Endpoint: strings.Replace(url, "http:", "https:", 1)}).WhoAmI(t.Context())
	wantError(t, err, gaea.CodeUnavailable, "does not speak TLS", "http://")
}

func TestATokenGoesToNoOtherHost(t *testing.T) {
	reached := false
	elsewhere := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	c := dial(t, jobdclient.Config{Endpoint: url, Token: "gaea_s3cr3t"})
	_, err := c.WhoAmI(t.Context())
	wantError(t, err, gaea.CodeUnavailable, elsewhere, "the token is not sent")
	_, err = c.PutTargetGroup(t.Context(), group("web"))
	wantError(t, err, gaea.CodeUnavailable, elsewhere)
	if reached {
		t.Error("the other host was asked")
	}
}

func TestAChangeIsNotRedirectedIntoALook(t *testing.T) {
	looked := false
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			looked = true
		}
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	_, err := dial(t, jobdclient.Config{Endpoint: url}).PutTargetGroup(t.Context(), group("web"))
	wantError(t, err, gaea.CodeUnavailable)
	if looked {
		t.Error("a PUT became a GET")
	}
}
