package drift_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func keyedDigest(parts ...[]byte) string {
	mac := hmac.New(sha256.New, []byte("a key for tests"))
	for _, p := range parts {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(p)))
		mac.Write(p)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

func fingerprinter() *drift.Fingerprinter { return drift.NewFingerprinter(keyedDigest) }

func assignment(pillar string, states ...string) gaea.Assignment {
	return gaea.Assignment{Name: "a", TargetGroup: "g", States: states, Pillar: json.RawMessage(pillar), Highstate: len(states) == 0}
}

func TestARunOfTheSameStatesPillarAndEnvironmentIsEvidence(t *testing.T) {
	const workers = `{"nginx":{"workers":4}}`
	inDev := assignment("", "nginx")
	inDev.SaltEnv = "dev"
	highDev := assignment("")
	highDev.SaltEnv = "dev"
	for _, c := range []struct {
		name       string
		assignment gaea.Assignment
		fun, args  string
		test       bool
	}{
		{"salt state.apply", assignment("", "nginx"), "state.apply", `["nginx"]`, false},
		{"salt state.apply test=True", assignment("", "nginx"), "state.apply", `["nginx",{"__kwarg__":true,"test":true}]`, true},
		{"test as a text", assignment("", "nginx"), "state.apply", `["nginx",{"__kwarg__":true,"test":"True"}]`, true},
		{"test as a text that says no, which Salt takes for yes", assignment("", "nginx"), "state.apply", `["nginx",{"__kwarg__":true,"test":"False"}]`, true},
		{"test in capitals", assignment("", "nginx"), "state.apply", `["nginx",{"__kwarg__":true,"TEST":true}]`, true},
		{"test null", assignment("", "nginx"), "state.apply", `["nginx",{"__kwarg__":true,"test":null}]`, false},
		{"state.test", assignment("", "nginx"), "state.test", `["nginx"]`, true},
		{"state.sls", assignment("", "nginx"), "state.sls", `["nginx",{"__kwarg__":true,"test":false,"queue":true,"concurrent":false}]`, false},
		{"state.sls with test in its place", assignment("", "nginx"), "state.sls", `["nginx",true]`, true},
		{"mods by name", assignment("", "nginx"), "state.apply", `[{"__kwarg__":true,"mods":"nginx"}]`, false},
		{"several with commas", assignment("", "nginx", "web.vhosts"), "state.apply", `["nginx, web.vhosts"]`, false},
		{"several as a list", assignment("", "nginx", "web.vhosts"), "state.apply", `[["nginx","web.vhosts"]]`, false},
		{"one twice", assignment("", "nginx", "nginx"), "state.apply", `["nginx,nginx"]`, false},
		{"base by name", assignment("", "nginx"), "state.apply", `["nginx",{"__kwarg__":true,"saltenv":"base"}]`, false},
		{"no environment", assignment("", "nginx"), "state.apply", `["nginx",{"__kwarg__":true,"saltenv":null,"pillarenv":null,"exclude":[]}]`, false},
		{"another environment", inDev, "state.apply", `["nginx",{"__kwarg__":true,"saltenv":"dev"}]`, false},
		{"pillar", assignment(workers, "nginx"), "state.apply", `["nginx",{"__kwarg__":true,"pillar":{"nginx":{"workers":4}}}]`, false},
		{"a float that is whole", assignment(workers, "nginx"), "state.apply", `["nginx",{"__kwarg__":true,"pillar":{"nginx":{"workers":4.0}}}]`, false},
		{"an empty pillar", assignment(`{}`, "nginx"), "state.apply", `["nginx"]`, false},
		{"what jobd publishes", assignment(workers, "nginx"), "state.apply", `["nginx",{"__kwarg__":true,"pillar":{"nginx":{"workers":4}},"queue":true,"test":true}]`, true},
		{"orchestration", assignment("", "nginx"), "state.sls", `["nginx",{"__kwarg__":true,"test":true,"queue":false,"concurrent":false,"__pub_jid":"1","orchestration_jid":"2"}]`, true},
		{"salt-call", assignment("", "nginx"), "state.apply", `["nginx","test=True"]`, true},
		{"salt-call for real", assignment("", "nginx"), "state.apply", `["nginx","test=False","queue=5"]`, false},
		{"salt-call with pillar", assignment(workers, "nginx"), "state.apply", `["nginx","pillar={\"nginx\": {\"workers\": 4}}"]`, false},
		{"highstate", assignment(""), "state.highstate", `[]`, false},
		{"highstate without arguments", assignment(""), "state.highstate", ``, false},
		{"highstate test", assignment(""), "state.highstate", `[{"__kwarg__":true,"test":true}]`, true},
		{"highstate with test in its place", assignment(""), "state.highstate", `[true]`, true},
		{"apply without states", assignment(""), "state.apply", `[{"__kwarg__":true,"test":true}]`, true},
		{"apply with empty mods", assignment(""), "state.apply", `[{"__kwarg__":true,"mods":null}]`, false},
		{"highstate in an environment", highDev, "state.highstate", `[{"__kwarg__":true,"saltenv":"dev"}]`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, test := fingerprinter().Job(c.fun, json.RawMessage(c.args))
			if key == "" || key != fingerprinter().Assignment(c.assignment, nil) {
				t.Errorf("%s %s is not evidence", c.fun, c.args)
			}
			if test != c.test {
				t.Errorf("test mode %v, want %v", test, c.test)
			}
		})
	}
}

func TestARunOfSomethingElseIsNoEvidence(t *testing.T) {
	a := assignment(`{"nginx":{"workers":4}}`, "nginx", "web")
	const pillar = `"pillar":{"nginx":{"workers":4}}`
	for _, c := range []struct{ name, fun, args string }{
		{"other states", "state.apply", `["nginx",{"__kwarg__":true,` + pillar + `}]`},
		{"another order", "state.apply", `["web,nginx",{"__kwarg__":true,` + pillar + `}]`},
		{"no pillar", "state.apply", `["nginx,web"]`},
		{"other pillar", "state.apply", `["nginx,web",{"__kwarg__":true,"pillar":{"nginx":{"workers":5}}}]`},
		{"a text for a number", "state.apply", `["nginx,web",{"__kwarg__":true,"pillar":{"nginx":{"workers":"4"}}}]`},
		{"more pillar", "state.apply", `["nginx,web",{"__kwarg__":true,"pillar":{"nginx":{"workers":4},"x":null}}]`},
		{"encrypted pillar", "state.apply", `["nginx,web",{"__kwarg__":true,` + pillar + `,"pillar_enc":"gpg"}]`},
		{"pillar as a text", "state.apply", `["nginx,web",{"__kwarg__":true,"pillar":"x"}]`},
		{"another environment", "state.apply", `["nginx,web",{"__kwarg__":true,` + pillar + `,"saltenv":"dev"}]`},
		{"a pillar environment", "state.apply", `["nginx,web",{"__kwarg__":true,` + pillar + `,"pillarenv":"dev"}]`},
		{"something left out", "state.apply", `["nginx,web",{"__kwarg__":true,` + pillar + `,"exclude":"x"}]`},
		{"a mock run", "state.apply", `["nginx,web",{"__kwarg__":true,` + pillar + `,"mock":true}]`},
		{"another minion config", "state.apply", `["nginx,web",{"__kwarg__":true,` + pillar + `,"localconfig":"/x"}]`},
		{"an argument nobody knows", "state.apply", `["nginx,web",{"__kwarg__":true,` + pillar + `,"what":1}]`},
		{"too many arguments", "state.apply", `["nginx,web","x",{"__kwarg__":true,` + pillar + `}]`},
		{"an argument twice", "state.apply", `["nginx,web",{"__kwarg__":true,` + pillar + `,"mods":"nginx,web"}]`},
		{"pillar in YAML's own style", "state.apply", `["nginx,web","pillar={nginx: {workers: 4}}"]`},
		{"highstate", "state.highstate", `[{"__kwarg__":true,` + pillar + `}]`},
		{"sls without a name", "state.sls", `[{"__kwarg__":true,` + pillar + `}]`},
		{"one id", "state.sls_id", `["x","nginx,web",{"__kwarg__":true,` + pillar + `}]`},
		{"salt-ssh", "state.pkg", `["/tmp/x.tgz","abc","sha256","test=True"]`},
		{"no state run", "test.ping", `[]`},
		{"arguments that are no list", "state.apply", `{"mods":"nginx,web"}`},
		{"broken arguments", "state.apply", `["nginx,web"`},
		{"a map for states", "state.apply", `[{"nginx":1}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if key, _ := fingerprinter().Job(c.fun, json.RawMessage(c.args)); key == fingerprinter().Assignment(a, nil) {
				t.Errorf("%s %s counts as evidence", c.fun, c.args)
			}
		})
	}
}

func TestAHighstateInAnEnvironmentIsNotTheWholeTopFile(t *testing.T) {
	base, _ := fingerprinter().Job("state.highstate", json.RawMessage(`[{"__kwarg__":true,"saltenv":"base"}]`))
	if all := fingerprinter().Assignment(assignment(""), nil); base == all {
		t.Error("a highstate of one environment counts for the whole top file")
	}
}

func TestTestModeIsToldForRunsThatAreNoEvidence(t *testing.T) {
	for fun, args := range map[string]string{
		"state.pkg":   `["/tmp/x.tgz","abc","sha256","test=True"]`,
		"state.sls":   `["nginx",{"__kwarg__":true,"test":true,"exclude":"x"}]`,
		"state.apply": `["nginx","pillar={a: 1}",{"__kwarg__":true,"test":true}]`,
	} {
		if key, test := fingerprinter().Job(fun, json.RawMessage(args)); key != "" || !test {
			t.Errorf("%s %s: key %q, test %v", fun, args, key, test)
		}
	}
}

func TestTheSecretPillarCountsWhereverItIsGiven(t *testing.T) {
	a := assignment(`{"db":{"host":"h","port":1},"list":[1,2]}`, "app")
	secret := json.RawMessage(`{"db":{"password":"p"},"list":[3]}`)
	key, _ := fingerprinter().Job("state.apply", json.RawMessage(`["app",{"__kwarg__":true,"pillar":{"list":[3],"db":{"port":1,"password":"p","host":"h"}}}]`))
	if key != fingerprinter().Assignment(a, secret) {
		t.Error("a run with the merged pillar is no evidence")
	}
	if key == fingerprinter().Assignment(a, nil) || key == fingerprinter().Assignment(a, json.RawMessage(`{"db":{"password":"q"},"list":[3]}`)) {
		t.Error("another secret gives the same key")
	}
}

func TestTheRevisionChangesWithEachPart(t *testing.T) {
	f := fingerprinter()
	seen := map[string]bool{}
	for _, r := range []string{
		f.Revision("a@1", "g@1", "t@1", nil), f.Revision("a@2", "g@1", "t@1", nil), f.Revision("a@1", "g@2", "t@1", nil),
		f.Revision("a@1", "g@1", "", nil), f.Revision("a@1", "g@1", "t@1", json.RawMessage(`{"p":1}`)), f.Revision("a@1", "g@1", "t@1", json.RawMessage(`{"p":2}`)),
	} {
		seen[r] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d revisions of 6", len(seen))
	}
	if f.Revision("a", "g", "", json.RawMessage(`{"a":1,"b":2}`)) != f.Revision("a", "g", "", json.RawMessage(` {"b":2.0,"a":1}`)) {
		t.Error("the same secret in another spelling is another revision")
	}
}

func TestTheKeyDoesNotDependOnSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pillar := jsonValue(3).Draw(t, "pillar")
		if _, ok := pillar.(map[string]any); !ok {
			pillar = map[string]any{"v": pillar}
		}
		plain, err := json.Marshal(pillar)
		if err != nil {
			t.Fatal(err)
		}
		spaced, err := json.MarshalIndent(pillar, " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		args := fmt.Sprintf(`["nginx",{"__kwarg__":true,"pillar":%s}]`, spaced)
		key, _ := fingerprinter().Job("state.apply", json.RawMessage(args))
		if want := fingerprinter().Assignment(assignment(string(plain), "nginx"), nil); key != want {
			t.Errorf("%s and %s have different keys", plain, spaced)
		}
	})
}

func jsonValue(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Int64().AsAny(),
		rapid.Float64().Filter(func(f float64) bool { return f-f == 0 }).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	return rapid.OneOf(append(leaves,
		rapid.Map(rapid.SliceOfN(jsonValue(depth-1), 0, 4), func(s []any) any { return s }),
		rapid.Map(rapid.MapOfN(rapid.String(), jsonValue(depth-1), 0, 4), func(m map[string]any) any { return m }))...)
}

func FuzzJob(f *testing.F) {
	f.Add("state.apply", []byte(`["nginx",{"__kwarg__":true,"test":true,"pillar":{"a":1.0}}]`))
	f.Add("state.sls", []byte(`["nginx","test=True","pillar={\"a\": 1}"]`))
	f.Add("state.highstate", []byte(`[{"__kwarg__":true,"saltenv":7}]`))
	f.Add("state.apply", []byte(`["x","=","a==b","é=1"]`))
	f.Fuzz(func(t *testing.T, fun string, args []byte) {
		key, test := fingerprinter().Job(fun, args)
		again, testAgain := fingerprinter().Job(fun, args)
		if key != again || test != testAgain {
			t.Error("not the same twice")
		}
	})
}
