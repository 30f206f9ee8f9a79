package acctest_test

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/restapi"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

func publication(fun string, target gaea.Target) gaea.Publication {
	return gaea.Publication{JID: jids.Next(time.Now()), Function: fun, Target: target, Metadata: map[string]any{gaea.MetadataRun: "run-1"}}
}

var all = gaea.Target{Type: gaea.TargetGlob, Expr: "*"}

// cached waits until the job cache has a job with so many returns.
func cached(t *testing.T, c *restapi.Client, jid string, returns int) *gaea.CachedJob {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		job, err := c.CachedJob(ctx, jid)
		if err != nil {
			t.Fatal(err)
		}
		if len(job.Returns) >= returns {
			return job
		}
	}
}

func TestAJobIsPublishedFollowedAndFoundInTheJobCache(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, nil)
	b := listen(t, c)
	before := time.Now()
	p := publication("test.arg", gaea.Target{Type: gaea.TargetCompound, Expr: "G@role:web or nobody"})
	p.Args, p.Kwargs = []any{"a", map[string]any{"b": []any{1, nil}}}, map[string]any{"c": "ä=1"}
	for range 2 { // the same job again: minions do it once
		got, err := c.Publish(t.Context(), p)
		if err != nil || got.JID != p.JID || !slices.Equal(got.Minions, []string{"web1", "web2"}) {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	b.returned(p.JID, "web1", "web2")
	job := cached(t, c, p.JID, 2)
	if job.Job.Function != "test.arg" || job.Job.RunID != "run-1" || !slices.Equal(job.Job.Minions, []string{"web1", "web2"}) {
		t.Errorf("job %+v", job.Job)
	}
	for _, r := range job.Returns {
		if r.Outcome != gaea.OutcomeSucceeded || r.Retcode == nil || *r.Retcode != 0 || !strings.Contains(string(r.Body), `"c":"\u00e4=1"`) && !strings.Contains(string(r.Body), `"c":"ä=1"`) {
			t.Errorf("return %+v", r)
		}
	}
	for name, meta := range map[string]map[string]any{"all": nil, "by metadata": {gaea.MetadataRun: "run-1"}} {
		if found, err := c.FindJIDs(t.Context(), meta, before.Add(-time.Second)); err != nil || !slices.Contains(found, p.JID) {
			t.Errorf("%s: %q, %v", name, found, err)
		}
	}
	if found, err := c.FindJIDs(t.Context(), map[string]any{gaea.MetadataRun: "none"}, before); err != nil || len(found) > 0 {
		t.Errorf("%q, %v", found, err)
	}
	last, err := c.LastJob(t.Context(), map[string]any{gaea.MetadataRun: "run-1"})
	if err != nil || last.Job.JID != p.JID || last.Job.RunID != "run-1" || last.Job.Target.Expr != p.Target.Expr || len(last.Returns) != 2 {
		t.Errorf("the last job is %+v, %v", last, err)
	}
	if _, err := c.LastJob(t.Context(), map[string]any{gaea.MetadataRun: "none"}); gaea.CodeOf(err) != gaea.CodeNotFound {
		t.Errorf("got %v", err)
	}
	if _, err := c.CachedJob(t.Context(), "20200131120000000001"); gaea.CodeOf(err) != gaea.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotBePublishedIsNamed(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, nil)
	narrow := client(t, lab, func(cfg *restapi.Config) { cfg.Username = "narrow" })
	for name, row := range map[string]struct {
		client *restapi.Client
		p      gaea.Publication
		code   gaea.Code
		words  string
	}{
		"nothing matched":     {c, publication("test.ping", gaea.Target{Type: gaea.TargetGlob, Expr: "none*"}), gaea.CodeEmptyTarget, `"none*" (glob)`},
		"only unknown ids":    {c, publication("test.ping", gaea.ListTarget([]string{"none"})), gaea.CodeEmptyTarget, `"none" (list)`},
		"an unknown group":    {c, publication("test.ping", gaea.Target{Type: gaea.TargetNodegroup, Expr: "none"}), gaea.CodeSalt, "on none (nodegroup)"},
		"a function too many": {narrow, publication("cmd.run", gaea.ListTarget([]string{"web1"})), gaea.CodeForbidden, `"narrow" (eauth sharedsecret) job cmd.run`},
	} {
		_, err := row.client.Publish(t.Context(), row.p)
		if gaea.CodeOf(err) != row.code || !strings.Contains(gaea.MessageOf(err), row.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := narrow.Publish(t.Context(), publication("test.ping", gaea.ListTarget([]string{"web1"}))); err != nil || len(got.Minions) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := narrow.CachedJIDs(t.Context(), time.Now()); gaea.CodeOf(err) != gaea.CodeForbidden || !strings.Contains(err.Error(), "test.ping") {
		t.Errorf("got %v", err)
	}
	if got, err := c.Publish(t.Context(), publication("test.ping", gaea.ListTarget([]string{"web1", "none"}))); err != nil || !slices.Equal(got.Missing, []string{"none"}) {
		t.Errorf("%+v, %v", got, err)
	}
	unknown := publication("no.such", gaea.ListTarget([]string{"web1"}))
	if _, err := c.Publish(t.Context(), unknown); err != nil {
		t.Fatal(err)
	}
	if job := cached(t, c, unknown.JID, 1); job.Returns[0].Outcome != gaea.OutcomeCouldNotRun {
		t.Errorf("return %+v", job.Returns[0])
	}
}

func TestRunnersEnd(t *testing.T) {
	c := client(t, saltlab.Get(t), nil)
	got, err := c.Run(t.Context(), "test.arg", []any{"a"}, map[string]any{"b": 1})
	if err != nil || !got.Success || !gaea.ValidJID(got.JID) || string(got.Return) != `{"args":["a"],"kwargs":{"b":1}}` {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := c.Run(t.Context(), "state.orchestrate", []any{"none"}, nil); err != nil || got.Success && !strings.Contains(string(got.Return), "none") {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.Run(t.Context(), "no.such", nil, nil); gaea.CodeOf(err) != gaea.CodeSalt || !strings.Contains(err.Error(), "is there a runner of that name") {
		t.Errorf("got %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := c.Run(short, "test.sleep", []any{20}, nil); gaea.CodeOf(err) != gaea.CodeTimeout {
		t.Errorf("got %v", err)
	}
}

func TestEachKindOfExternalAuthenticationLetsIn(t *testing.T) {
	lab := saltlab.Get(t)
	for _, row := range []struct{ eauth, user, password string }{
		{"sharedsecret", "gaea", lab.APIPassword()}, {"auto", "automatic", "anything"}, {"file", "filed", filePassword},
	} {
		c := client(t, lab, func(cfg *restapi.Config) { cfg.Eauth, cfg.Username, cfg.Password = row.eauth, row.user, row.password })
		if got, err := c.Publish(t.Context(), publication("test.ping", all)); err != nil || len(got.Minions) != 2 {
			t.Errorf("%s: %+v, %v", row.eauth, got, err)
		}
	}
	for _, row := range []struct{ eauth, user string }{{"sharedsecret", "gaea"}, {"file", "filed"}, {"pam", "nobody-here"}, {"none-such", "gaea"}} {
		c := client(t, lab, func(cfg *restapi.Config) { cfg.Eauth, cfg.Username, cfg.Password = row.eauth, row.user, "wrong" })
		if err := c.Login(t.Context()); gaea.CodeOf(err) != gaea.CodeUnauthenticated || !strings.Contains(err.Error(), row.eauth) {
			t.Errorf("%s: %v", row.eauth, err)
		}
	}
}

func TestATokenThatHasGoneIsMadeAnew(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, nil)
	b := listen(t, c)
	for range 2 {
		dropTokens(t, lab)
		p := publication("test.ping", all)
		if _, err := c.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		cached(t, c, p.JID, 2)
	}
	dropTokens(t, lab)
	if _, err := c.CachedJIDs(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	// salt-api has ended the stream with the next event, and the client has opened another.
	b.until("the link is up again", func(told []gaea.BusMessage) bool {
		up := 0
		for _, m := range told {
			if m.Connected {
				up++
			}
		}
		return up > 1
	})
	p := publication("test.ping", all)
	if _, err := c.Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	b.returned(p.JID, "web1", "web2")
}

func TestASaltAPIThatWasStoppedIsReachedAgain(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, func(cfg *restapi.Config) { cfg.Timeout = 5 * time.Second })
	b := listen(t, c)
	if err := lab.StopAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.until("the link is gone", func(told []gaea.BusMessage) bool { return told[len(told)-1].Err != nil })
	if _, err := c.Publish(t.Context(), publication("test.ping", all)); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("got %v", err)
	}
	if err := lab.StartAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := publication("test.ping", all)
	b.until("the link is up", func(told []gaea.BusMessage) bool {
		return slices.ContainsFunc(told[1:], func(m gaea.BusMessage) bool { return m.Connected })
	})
	if _, err := c.Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	b.returned(p.JID, "web1", "web2")
}

func TestSaltAPIBehindAProxyWithACertificateOfItsOwn(t *testing.T) {
	lab := saltlab.Get(t)
	to, err := url.Parse(lab.APIURL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }})
	t.Cleanup(proxy.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := client(t, lab, func(cfg *restapi.Config) { cfg.URL = proxy.URL }).Login(t.Context()); !strings.Contains(gaea.MessageOf(err), "salt_api.ca_file") {
		t.Errorf("got %v", err)
	}
	c := client(t, lab, func(cfg *restapi.Config) { cfg.URL, cfg.CAFile = proxy.URL, ca })
	b := listen(t, c)
	p := publication("test.ping", all)
	if _, err := c.Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	b.returned(p.JID, "web1", "web2")
}

func TestTheJobCacheHasAJobWhereTheEventStreamIsRefused(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, func(cfg *restapi.Config) {
		cfg.Transport = refuseEvents{&http.Transport{DisableKeepAlives: true}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	refused := make(chan error, 1)
	reading, stop := context.WithCancel(ctx)
	go func() {
		_ = c.Read(reading, func(m gaea.BusMessage) { refused <- m.Err })
		close(refused)
	}()
	if err := <-refused; !restapi.EventsRefused(err) {
		t.Errorf("got %v", err)
	}
	stop()
	for range refused { // until Read has returned
	}
	p := publication("test.ping", all)
	if _, err := c.Publish(ctx, p); err != nil {
		t.Fatal(err)
	}
	for {
		job, err := c.CachedJob(ctx, p.JID)
		if err == nil && len(job.Returns) == 2 {
			return
		}
		if err != nil && gaea.CodeOf(err) != gaea.CodeNotFound {
			t.Fatal(err)
		}
	}
}
