package redact_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
)

func TestKeysThatNameASecret(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"password": true, "db_password": true, "dbPassword": true, "PASSWD": true, "client.secret": true, "authToken": true,
		"api_key": true, "apikey": true, "private-key": true, "accessKey": true, "X-Auth-Token": true,
		"key": false, "monkey": false, "passed": false, "path": false, "keyboard": false, "compass": false, "tokenizer": false,
		"public_key": false, "/etc/secret": false, "file_|-/etc/token_|-/etc/token_|-managed": false, "": false,
	} {
		if got := redact.Secret(key); got != want {
			t.Errorf("Secret(%q) = %v, want %v", key, got, want)
		}
	}
}

func TestArgumentsLoseThePillarAndNamedSecretsAndKeepTheRest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"pillar of a state run", `["nginx",{"__kwarg__":true,"pillar":{"a":"s3cret"},"test":true}]`,
			`["nginx",{"__kwarg__":true,"pillar":"[redacted]","test":true}]`},
		{"a keyword argument", `["bob",{"__kwarg__":true,"password":"s3cret"}]`, `["bob",{"__kwarg__":true,"password":"[redacted]"}]`},
		{"the command line's form", `["password=s3cret","pillar={a: s3cret}","test=True"]`,
			`["password=[redacted]","pillar=[redacted]","test=True"]`},
		{"nested", `[{"db":[{"token":"s3cret","n":12345678901234567890}]}]`, `[{"db":[{"token":"[redacted]","n":12345678901234567890}]}]`},
		{"whatever the secret is", `[{"password":{"a":["}",1]} , "token": -1.5e3,"api_key" :null}, {"secret":[]}]`,
			`[{"password":"[redacted]" , "token": "[redacted]","api_key" :"[redacted]"}, {"secret":"[redacted]"}]`},
		{"a key twice", `[{"password":"s3cret","password":"s3cret"}]`, `[{"password":"[redacted]","password":"[redacted]"}]`},
		{"a text with a quote", `["password=\"s3cret\"", "a\\", {"b":"\\\"password=x"}]`, `["password=[redacted]", "a\\", {"b":"\\\"password=x"}]`},
		{"nothing to hide stays to the byte", `[ "a" ,  {"b": 1.0}]`, `[ "a" ,  {"b": 1.0}]`},
	} {
		if got := string(redact.Args(json.RawMessage(c.in))); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAReturnLosesNamedSecretsInItsBodyAndItsStates(t *testing.T) {
	t.Parallel()
	r := gaea.Return{
		Function: "state.apply",
		Body:     json.RawMessage(`{"user_|-bob_|-bob_|-present":{"changes":{"passwd":"s3cret"}},"file_|-/etc/token_|-/etc/token_|-managed":{"changes":{"diff":"kept"}}}`),
		States:   []gaea.StateResult{{Changes: json.RawMessage(`{"passwd":"s3cret"}`)}},
	}
	redact.Return(&r)
	all := string(r.Body) + string(r.States[0].Changes)
	if strings.Contains(all, "s3cret") || !strings.Contains(all, "kept") {
		t.Errorf("got %s", all)
	}
}

func TestWhatThePillarModuleReturnsIsNotKept(t *testing.T) {
	t.Parallel()
	r := gaea.Return{Function: "pillar.items", Body: json.RawMessage(`{"plain":"s3cret"}`)}
	redact.Return(&r)
	if strings.Contains(string(r.Body), "s3cret") {
		t.Errorf("got %s", r.Body)
	}
}

func TestWhatAMinionTellsOfTheJobsItRunsLosesTheirPillar(t *testing.T) {
	t.Parallel()
	job := `{"fun":"state.apply","arg":["site",{"__kwarg__":true,"pillar":{"k":"s3cret"},"queue":true}],"jid":"20261123035903722001","keep":"me"}`
	text := `{"fun":"state.apply","arg":["site","pillar={k: s3cret}"],"jid":"20261123035903722001","keep":"me"}`
	for _, c := range []struct{ function, body string }{
		{"saltutil.find_job", job}, {"saltutil.find_job", text}, {"saltutil.running", "[" + job + "," + text + "]"},
		{"publish.publish", `{"web1":` + job + `}`},
	} {
		r := gaea.Return{Function: c.function, Body: json.RawMessage(c.body)}
		redact.Return(&r)
		if got := string(r.Body); strings.Contains(got, "s3cret") || !strings.Contains(got, `"keep":"me"`) {
			t.Errorf("%s: got %s", c.function, got)
		}
	}
}

func TestAMessageThatQuotesPillarIsNotKept(t *testing.T) {
	t.Parallel()
	r := gaea.Return{
		Function: "pillar.get", Outcome: gaea.OutcomeFailed, Message: "return code 1: s3cret", Body: json.RawMessage(`"s3cret"`),
	}
	redact.Return(&r)
	if strings.Contains(r.Message, "s3cret") {
		t.Errorf("got %s", r.Message)
	}
	r = gaea.Return{
		Function: "pillar.gte", Outcome: gaea.OutcomeCouldNotRun, Message: "'pillar.gte' is not available.", Body: json.RawMessage(`"'pillar.gte' is not available."`),
	}
	redact.Return(&r)
	if !strings.Contains(r.Message, "not available") {
		t.Errorf("why it could not run is gone: %s", r.Message)
	}
}

func TestWhatRunnersAreToldAndTellOfPillarIsNotKept(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		`{"fun":"runner.state.orch","fun_args":["deploy",{"pillar":{"k":"s3cret"}}],"keep":"me"}`,
		`{"type":"state","name":"apply","args":{"arg":["motd"],"kwarg":{"pillar":{"k":"s3cret"}}},"keep":"me"}`,
		`{"fun":"runner.state.orch","fun_args":["deploy","pillar={k: s3cret}"],"keep":"me"}`,
		`{"fun":"runner.pillar.show_pillar","fun_args":["web1"],"return":{"k":"s3cret"},"keep":"me"}`,
		`{"fun":"wheel.key.gen","return":{"pub":"p","priv":"s3cret"},"keep":"me"}`,
	} {
		e := gaea.Event{Data: json.RawMessage(data)}
		redact.Event(&e)
		if got := string(e.Data); strings.Contains(got, "s3cret") || !strings.Contains(got, `"keep":"me"`) || !json.Valid(e.Data) {
			t.Errorf("%s became %s", data, got)
		}
	}
}

func TestWhatARunnerReturnsLosesThePillar(t *testing.T) {
	shown := gaea.Return{Function: "runner.pillar.show_pillar", Outcome: gaea.OutcomeSucceeded, Body: json.RawMessage(`{"db": "hunter2"}`)}
	steps := gaea.Return{
		Function: "runner.state.orchestrate", Outcome: gaea.OutcomeChanged, Args: json.RawMessage(`["deploy",{"pillar":{"db":"hunter2"}}]`),
		Body:   json.RawMessage(`{"data":{"m":{"salt_|-a_|-a_|-state":{"changes":{"kwarg":{"pillar":{"db":"hunter2"}}}}}}}`),
		States: []gaea.StateResult{{Changes: json.RawMessage(`{"kwarg":{"pillar":{"db":"hunter2"}}}`)}},
	}
	for _, r := range []*gaea.Return{&shown, &steps} {
		redact.Return(r)
		b, err := json.Marshal(r)
		if err != nil || strings.Contains(string(b), "hunter2") {
			t.Errorf("kept is %s (%v)", b, err)
		}
	}
}

func TestWhatIsNotJSONIsNotKept(t *testing.T) {
	t.Parallel()
	if got := string(redact.JSON(json.RawMessage(`{"password": "s3cret`))); got != `"`+redact.Mark+`"` {
		t.Errorf("got %s", got)
	}
}

func TestACallIsShownAsSaltWritesIt(t *testing.T) {
	t.Parallel()
	got := string(redact.Call([]any{"nginx"}, map[string]any{"test": true, "pillar": map[string]any{"a": 1}}))
	if want := `["nginx",{"__kwarg__":true,"pillar":"[redacted]","test":true}]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := redact.Call(nil, nil); got != nil {
		t.Errorf("no arguments: got %s", got)
	}
}

func TestMillionsOfValuesBesideASecretTakeNoMoreThanTheirText(t *testing.T) {
	raw := json.RawMessage(`{"a":[` + strings.Repeat("0,", 4<<20) + `0],"b":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"password":"s3cret"}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out := redact.JSON(raw)
	runtime.ReadMemStats(&after)
	if strings.Contains(string(out), "s3cret") || len(out) < len(raw) {
		t.Error("the secret is still there, or more is gone")
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > uint64(2*len(raw)) {
		t.Errorf("%d bytes were allocated for a text of %d", taken, len(raw))
	}
}

func FuzzJSONKeepsValidJSONValid(f *testing.F) {
	f.Add([]byte(`{"password":"x","a":[1,{"token":null}]}`))
	f.Add([]byte(`{"a":"\"password\":"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		out := redact.JSON(in)
		if json.Valid(in) && len(in) > 0 && (!json.Valid(out) || !json.Valid(redact.Args(in))) {
			t.Errorf("%s became %s, and %s", in, out, redact.Args(in))
		}
	})
}

func BenchmarkNothingToRedact(b *testing.B) {
	raw := json.RawMessage(`{` + strings.Repeat(`"file_|-/srv/x_|-/srv/x_|-managed":{"changes":{},"comment":"in the correct state","result":true},`, 12) + `"z":1}`)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		redact.JSON(raw)
	}
}
