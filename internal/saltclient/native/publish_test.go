package native_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

const jid = "20260102030405000000"

// published is a master's answer to a publication that it took.
func published(load map[string]any) any {
	return map[string]any{"enc": "clear", "load": map[string]any{"jid": load["jid"], "minions": []any{"web2", "web1"}, "missing": []any{}}}
}

func refused(name, message string) func(map[string]any) any {
	return func(map[string]any) any {
		return map[string]any{"error": map[string]any{"name": name, "message": message}}
	}
}

var ping = gaea.Publication{JID: jid, Function: "test.ping", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}}

func TestAPublicationThatIsNotAllowedAnyMoreDoesNotLeave(t *testing.T) {
	f := newFake(t, "")
	f.answers(published)
	p := ping
	lost := gaea.Errorf(gaea.CodeUnavailable, "the lease is lost")
	p.Allowed = func() error { return lost }
	if _, err := f.client(native.Options{}).Publish(t.Context(), p); !errors.Is(err, lost) || gaea.MessageOf(err) != "the lease is lost" {
		t.Errorf("the error is %v", err)
	}
	p.Allowed = func() error { return nil }
	if _, err := f.client(native.Options{}).Publish(t.Context(), p); err != nil {
		t.Error(err)
	}
	if sent := len(f.asked()); sent != 1 {
		t.Errorf("the master was asked %d times", sent)
	}
}

func TestAPublicationIsToldAsSaltsOwnClientTellsIt(t *testing.T) {
	f := newFake(t, "")
	f.answers(published)
	p, err := f.client(native.Options{}).Publish(t.Context(), gaea.Publication{
		JID: jid, Function: "state.apply", Args: []any{"motd", 1.0, 1.5, true, nil, json.Number("7"), json.Number("7.0"), int64(8), uint8(9), []string{"x"}},
		Kwargs:   map[string]any{"test": true, "pillar": map[string]any{"n": float64(4), "big": json.Number("18446744073709551615")}},
		Target:   gaea.Target{Type: gaea.TargetCompound, Expr: "G@role:web"},
		Metadata: map[string]any{"gaea_run": "run-1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := (gaea.Published{JID: jid, Minions: []string{"web1", "web2"}, Missing: []string{}}); !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v", p)
	}
	load := f.asked()[0]
	for key, want := range map[string]any{
		"cmd": "publish", "fun": "state.apply", "tgt": "G@role:web", "tgt_type": "compound", "jid": jid, "ret": "", "user": "root", "key": "secret-key",
		"kwargs": map[string]any{"metadata": map[string]any{"gaea_run": "run-1"}},
	} {
		if !reflect.DeepEqual(load[key], want) {
			t.Errorf("%s is %v, want %v", key, load[key], want)
		}
	}
	arg, err := json.Marshal(load["arg"])
	if err != nil {
		t.Fatal(err)
	}
	if want := `["motd",1,1.5,true,null,7,7,8,9,["x"],{"__kwarg__":true,"pillar":{"big":18446744073709552000,"n":4},"test":true}]`; string(arg) != want {
		t.Errorf("arg is %s", arg)
	}
}

func TestArgumentsArePackedAsTheNumbersTheyAre(t *testing.T) {
	for name, row := range map[string]struct {
		v    any
		want string
	}{
		"a whole float64":       {float64(3), "\x03"},
		"a float64":             {1.5, "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"},
		"a huge whole float64":  {1e18, "\xcb\x43\xab\xc1\x6d\x67\x4e\xc8\x00"},
		"an integer":            {json.Number("-1"), "\xff"},
		"an integer with point": {json.Number("1.0"), "\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"},
		"a large integer":       {json.Number("18446744073709551615"), "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"},
		"raw JSON":              {json.RawMessage(`{"a":[1]}`), "\x81\xa1a\x91\x01"},
		"sorted keys":           {map[string]any{"b": nil, "a": true}, "\x82\xa1a\xc3\xa1b\xc0"},
		"a text type":           {gaea.TargetGlob, "\xa4glob"},
		"a map of one type":     {map[string]int{"a": 1}, "\x81\xa1a\x01"},
	} {
		if got, err := native.AppendValue(row.v); err != nil || string(got) != row.want {
			t.Errorf("%s: got %q, error %v", name, got, err)
		}
	}
}

func TestArgumentsThatSaltCannotBeToldAreInvalid(t *testing.T) {
	circle := []any{nil}
	circle[0] = circle
	for name, v := range map[string]any{
		"a channel": make(chan int), "a function": func() {}, "broken JSON": json.RawMessage(`{`), "no number": json.Number("x"), "a circle": circle,
		"deep inside": map[string]any{"a": []any{make(chan int)}}, "channels": []chan int{nil},
	} {
		if _, err := native.AppendValue(v); gaea.CodeOf(err) != gaea.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTargetsAreToldAsMastersTakeThem(t *testing.T) {
	f := newFake(t, "nodegroups:\n  edge: 'G@role:web and not L@web9'\n  all: [N@edge, or, N@dbs]\n  dbs: [db1, db2]\n  odd: 'db[12]'\n  me: N@me\n  lost: N@gone")
	f.answers(published)
	c := f.client(native.Options{})
	for _, row := range []struct {
		target gaea.Target
		typ    string
		tgt    any
	}{
		{gaea.Target{Type: "glob", Expr: "web*"}, "glob", "web*"},
		{gaea.Target{Type: "list", Minions: []string{"web1", "db1"}}, "list", []any{"web1", "db1"}},
		{gaea.Target{Type: "pcre", Expr: "web[12]"}, "pcre", "web[12]"},
		{gaea.Target{Type: "grain", Expr: "os:Debian"}, "grain", "os:Debian"},
		{gaea.Target{Type: "grain_pcre", Expr: "os:Deb.*"}, "grain_pcre", "os:Deb.*"},
		{gaea.Target{Type: "pillar", Expr: "a:b"}, "pillar", "a:b"},
		{gaea.Target{Type: "pillar_pcre", Expr: "a:b.*"}, "pillar_pcre", "a:b.*"},
		{gaea.Target{Type: "pillar_exact", Expr: "a:b"}, "pillar_exact", "a:b"},
		{gaea.Target{Type: "ipcidr", Expr: "10.0.0.0/8"}, "ipcidr", "10.0.0.0/8"},
		{gaea.Target{Type: "nodegroup", Expr: "edge"}, "compound", []any{"G@role:web", "and", "not", "L@web9"}},
		{gaea.Target{Type: "nodegroup", Expr: "dbs"}, "compound", []any{"L@db1,db2"}},
		{gaea.Target{Type: "nodegroup", Expr: "odd"}, "compound", []any{"E@db[12]"}},
		{gaea.Target{Type: "nodegroup", Expr: "all"}, "compound", []any{"(", "(", "G@role:web", "and", "not", "L@web9", ")", "or", "L@db1,db2", ")"}},
	} {
		p := ping
		p.Target = row.target
		if _, err := c.Publish(t.Context(), p); err != nil {
			t.Errorf("%v: %v", row.target, err)
			continue
		}
		loads := f.asked()
		load := loads[len(loads)-1]
		if load["tgt_type"] != row.typ || !reflect.DeepEqual(load["tgt"], row.tgt) {
			t.Errorf("%v: told as %v %v", row.target, load["tgt_type"], load["tgt"])
		}
	}
	for group, words := range map[string]string{"none": "all, dbs, edge, lost, me, odd", "me": "me > me", "lost": "gone"} {
		p := ping
		p.Target = gaea.Target{Type: "nodegroup", Expr: group}
		if _, err := c.Publish(t.Context(), p); gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(err.Error(), words) {
			t.Errorf("nodegroup %s: got %v", group, err)
		}
	}
}

func TestARangeIsResolvedByTheRangeServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.RawQuery {
		case "%25web":
			_, _ = w.Write([]byte("web1\nweb2\n"))
		default:
			w.Header().Set("RangeException", "NOCLUSTER")
		}
	}))
	defer server.Close()
	f := newFake(t, "range_server: "+strings.TrimPrefix(server.URL, "http://"))
	f.answers(published)
	c := f.client(native.Options{})
	p := ping
	p.Target = gaea.Target{Type: "range", Expr: "%web"}
	if _, err := c.Publish(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if load := f.asked()[0]; load["tgt_type"] != "list" || !reflect.DeepEqual(load["tgt"], []any{"web1", "web2"}) {
		t.Errorf("told as %v %v", load["tgt_type"], load["tgt"])
	}
	p.Target.Expr = "%nosuch"
	if _, err := c.Publish(t.Context(), p); gaea.CodeOf(err) != gaea.CodeInvalid || !strings.Contains(err.Error(), "NOCLUSTER") {
		t.Errorf("got %v", err)
	}
	server.Close()
	if _, err := c.Publish(t.Context(), p); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestWhatAMasterRefusesIsSaidWithWhatToDo(t *testing.T) {
	answer := func(v any) func(map[string]any) any { return func(map[string]any) any { return v } }
	for name, row := range map[string]struct {
		answer func(map[string]any) any
		code   gaea.Code
		words  []string
	}{
		"the key":             {refused("AuthenticationError", "Authentication error occurred."), gaea.CodeForbidden, []string{".root_key", "publisher_acl: {root: ['.*']}", "Authentication error occurred."}},
		"the function":        {refused("AuthorizationError", "Authorization error occurred."), gaea.CodeForbidden, []string{"test.ping", "publisher_acl"}},
		"another error":       {refused("SaltInvocationError", "no"), gaea.CodeSalt, []string{"SaltInvocationError", "no"}},
		"a bare text":         {answer("bad load"), gaea.CodeSalt, []string{"bad load"}},
		"a text for an error": {answer(map[string]any{"error": "Master failed to assign jid"}), gaea.CodeSalt, []string{"Master failed to assign jid"}},
		"an empty target": {answer(map[string]any{"enc": "clear", "load": map[string]any{"jid": nil, "minions": []any{}, "error": "Master could not resolve minions for target x"}}),
			gaea.CodeEmptyTarget, []string{"\"*\" (glob)"}},
		"no jid all the same":  {answer(map[string]any{"enc": "clear", "load": map[string]any{"jid": nil, "minions": []any{"a"}, "error": "strange"}}), gaea.CodeSalt, []string{"strange"}},
		"another form":         {answer([]any{1, 2}), gaea.CodeSalt, []string{"a form that Gaea does not know"}},
		"another form of load": {answer(map[string]any{"enc": "clear", "load": "x"}), gaea.CodeSalt, []string{"a form that Gaea does not know"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "")
			f.answers(row.answer)
			_, err := f.client(native.Options{}).Publish(t.Context(), ping)
			if gaea.CodeOf(err) != row.code {
				t.Fatalf("got %v, want code %s", err, row.code)
			}
			for _, words := range row.words {
				if !strings.Contains(gaea.MessageOf(err), words) {
					t.Errorf("%q is not in %q", words, gaea.MessageOf(err))
				}
			}
			if strings.Contains(err.Error(), "secret-key") {
				t.Error("the key is in the error")
			}
		})
	}
}

func TestATargetThatIsNoneIsNotPublished(t *testing.T) {
	f := newFake(t, "")
	f.answers(published)
	_, err := f.client(native.Options{}).Publish(t.Context(), gaea.Publication{JID: jid, Function: "test.ping", Target: gaea.Target{Type: "nosuch", Expr: "*"}})
	if gaea.CodeOf(err) != gaea.CodeInvalid || len(f.asked()) != 0 {
		t.Errorf("got %v after %d requests", err, len(f.asked()))
	}
}

func TestAKeyThatTheMasterMadeAnewIsReadAgain(t *testing.T) {
	f := newFake(t, "")
	f.answers(func(load map[string]any) any {
		if load["key"] != "new-key" {
			return refused("AuthenticationError", "no")(load)
		}
		return published(load)
	})
	c := f.client(native.Options{})
	f.write("var/cache/salt/master/.root_key", "new-key")
	for range 2 {
		if _, err := c.Publish(t.Context(), ping); err != nil {
			t.Fatal(err)
		}
	}
	var keys []any
	for _, load := range f.asked() {
		keys = append(keys, load["key"])
	}
	if !slices.Equal(keys, []any{"secret-key", "new-key", "new-key"}) {
		t.Errorf("asked with %v", keys)
	}
}

func TestAKeyThatIsTheSameIsNotTriedTwice(t *testing.T) {
	f := newFake(t, "")
	f.answers(refused("AuthenticationError", "no"))
	if _, err := f.client(native.Options{}).Publish(t.Context(), ping); gaea.CodeOf(err) != gaea.CodeForbidden {
		t.Errorf("got %v", err)
	}
	if n := len(f.asked()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestAMasterThatIsDownIsNamed(t *testing.T) {
	f := newFake(t, "")
	c := f.client(native.Options{})
	addr := f.requests.Addr().String()
	f.requests.Close()
	_, err := c.Publish(t.Context(), ping)
	if gaea.CodeOf(err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(err), addr) || !strings.Contains(gaea.MessageOf(err), f.dir()) {
		t.Errorf("got %v", err)
	}
	if err := c.Ping(t.Context()); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestSomethingElseOnThePortIsAMasterThatIsDown(t *testing.T) {
	f := newFake(t, "")
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	f.write("etc/salt/master.d/port.conf", "ret_port: "+web.URL[strings.LastIndexByte(web.URL, ':')+1:])
	if err := f.client(native.Options{RequestTimeout: time.Second}).Ping(t.Context()); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}

// Whether the job runs cannot be told then, and so it must not be published again just like that.
func TestALostAnswerIsATimeout(t *testing.T) {
	for name, answer := range map[string]func(map[string]any) any{
		"the master hangs up":   nil,
		"the master is cut off": func(map[string]any) any { return []byte{0x01, 0x00, 0x02} },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "")
			f.answers(answer)
			_, err := f.client(native.Options{}).Publish(t.Context(), ping)
			if gaea.CodeOf(err) != gaea.CodeTimeout || !strings.Contains(gaea.MessageOf(err), jid) {
				t.Errorf("got %v", err)
			}
			if n := len(f.asked()); n != 1 {
				t.Errorf("it was published %d times", n)
			}
		})
	}
}

// silent is an answer that does not come until the test is over.
func silent(t *testing.T) func(map[string]any) any {
	return func(map[string]any) any {
		<-t.Context().Done()
		return nil
	}
}

func TestAMasterThatIsSilentIsATimeout(t *testing.T) {
	f := newFake(t, "")
	f.answers(silent(t))
	if _, err := f.client(native.Options{RequestTimeout: time.Second}).Publish(t.Context(), ping); gaea.CodeOf(err) != gaea.CodeTimeout {
		t.Errorf("got %v", err)
	}
}

func TestAContextThatEndsEndsTheWait(t *testing.T) {
	f := newFake(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	hang := silent(t)
	f.answers(func(load map[string]any) any {
		cancel()
		return hang(load)
	})
	if _, err := f.client(native.Options{}).Publish(ctx, ping); gaea.CodeOf(err) != gaea.CodeTimeout {
		t.Errorf("after it was sent: got %v", err)
	}
	if _, err := f.client(native.Options{}).Publish(ctx, ping); gaea.CodeOf(err) != gaea.CodeCancelled {
		t.Errorf("before it was sent: got %v", err)
	}
}

func TestAnAnswerOverTheBoundIsRefusedBeforeItIsRead(t *testing.T) {
	for name, frame := range map[string][]byte{
		"a long frame":        {0x02, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"frame after frame":   append(append([]byte{0x03, 0, 0, 0, 0, 0, 0, 3, 0xe8}, make([]byte, 1000)...), 0x02, 0, 0, 0, 0, 0, 0, 0, 100),
		"a length below zero": {0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "")
			f.answers(func(map[string]any) any { return frame })
			_, err := f.client(native.Options{MaxFrame: 1024}).Publish(t.Context(), ping)
			if gaea.CodeOf(err) != gaea.CodeTooLarge {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAPingAsksTheMaster(t *testing.T) {
	f := newFake(t, "")
	f.answers(func(load map[string]any) any { return load })
	if err := f.client(native.Options{}).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if load := f.asked()[0]; !reflect.DeepEqual(load, map[string]any{"cmd": "ping"}) {
		t.Errorf("asked %v", load)
	}
}

func TestALoginPublishesWithItsToken(t *testing.T) {
	f := newFake(t, "")
	made, now := 0, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	good := "token-1"
	f.answers(func(load map[string]any) any {
		if load["cmd"] == "mk_token" {
			if load["password"] != "pass word" {
				return ""
			}
			made++
			return map[string]any{"token": "token-" + string(rune('0'+made)), "start": 1.0, "expire": float64(now.Add(time.Hour).Unix()) + 0.5, "name": "ops", "eauth": "pam"}
		}
		extra, ok := load["kwargs"].(map[string]any)
		if !ok || extra["token"] != good || load["user"] != "ops" || load["key"] != "" {
			return refused("TokenAuthenticationError", "no")(load)
		}
		return published(load)
	})
	c := f.client(native.Options{Now: func() time.Time { return now }})
	if err := c.Login(t.Context(), "pam", "ops", "wrong"); gaea.CodeOf(err) != gaea.CodeUnauthenticated || strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %v", err)
	}
	if err := c.Login(t.Context(), "pam", "ops", "pass word"); err != nil {
		t.Fatal(err)
	}
	publish := func(when string) {
		t.Helper()
		if _, err := c.Publish(t.Context(), ping); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	publish("with the first token")
	now, good = now.Add(2*time.Hour), "token-2"
	publish("after the first has expired")
	good = "token-3"
	publish("after the second has vanished")
	if made != 3 {
		t.Errorf("%d tokens were made", made)
	}
	good = "none"
	if _, err := c.Publish(t.Context(), ping); gaea.CodeOf(err) != gaea.CodeForbidden || !strings.Contains(err.Error(), "external_auth") {
		t.Errorf("got %v", err)
	}
}
