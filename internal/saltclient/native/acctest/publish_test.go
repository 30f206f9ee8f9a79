package acctest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

func TestTheMastersConfigurationTellsWhereItIs(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	config := c.Config()
	if config.SockDir != lab.SockDir() || config.CacheDir != lab.CacheDir() || config.RetPort != lab.RequestPort() || config.PublishPort != lab.PublishPort() {
		t.Errorf("got %+v", config)
	}
	out, err := lab.SaltRun(t.Context(), "config.get", "id", "--out=json")
	if err != nil {
		t.Fatal(err)
	}
	var id string
	unmarshal(t, out, &id)
	if c.Master() != id {
		t.Errorf("the master is called %q, it calls itself %q", c.Master(), id)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEveryTargetTypeReachesItsMinions(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	b := listen(t, c)
	all, web := []string{"db1", "web1", "web2"}, []string{"web1", "web2"}
	for _, row := range []struct {
		target gaea.Target
		want   []string
	}{
		{gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, all},
		{gaea.Target{Type: gaea.TargetGlob, Expr: "web*"}, web},
		{gaea.Target{Type: gaea.TargetList, Minions: []string{"db1", "web2"}}, []string{"db1", "web2"}},
		{gaea.Target{Type: gaea.TargetPCRE, Expr: "web[12]"}, web},
		{gaea.Target{Type: gaea.TargetCompound, Expr: "G@role:web and not E@.*2"}, []string{"web1"}},
		{gaea.Target{Type: gaea.TargetGrain, Expr: "role:db"}, []string{"db1"}},
		{gaea.Target{Type: gaea.TargetGrainPCRE, Expr: "role:(web|db)"}, all},
		{gaea.Target{Type: gaea.TargetPillar, Expr: "tier:fr*"}, web},
		{gaea.Target{Type: gaea.TargetPillarPCRE, Expr: "tier:f.*t"}, web},
		{gaea.Target{Type: gaea.TargetPillarExact, Expr: "tier:front"}, web},
		{gaea.Target{Type: gaea.TargetIPCIDR, Expr: "127.0.0.0/8"}, all},
		{gaea.Target{Type: gaea.TargetNodegroup, Expr: "front"}, web},
		{gaea.Target{Type: gaea.TargetNodegroup, Expr: "all"}, all},
		{gaea.Target{Type: gaea.TargetNodegroup, Expr: "back"}, []string{"db1"}},
	} {
		t.Run(string(row.target.Type)+" "+row.target.String(), func(t *testing.T) {
			p := publish(t, c, gaea.Publication{Function: "test.ping", Target: row.target})
			for _, id := range row.want {
				if r := b.ret(p.JID, id); r.Outcome != gaea.OutcomeSucceeded || string(r.Body) != "true" {
					t.Errorf("%s returned %s", id, r.Body)
				}
			}
			// The master may expect more than there are, of what it only knows from its cache.
			for _, id := range row.want {
				if !slices.Contains(p.Minions, id) {
					t.Errorf("the master expects %q", p.Minions)
				}
			}
			job := b.decoded("the job", func(d saltclient.Decoded) bool { return d.Job != nil && d.Job.JID == p.JID }).Job
			if !slices.Equal(job.Minions, p.Minions) || job.Function != "test.ping" || job.User != "root" {
				t.Errorf("the job is %+v", job)
			}
			if row.target.Type != gaea.TargetNodegroup && !reflect.DeepEqual(job.Target, row.target) {
				t.Errorf("the job's target is %+v", job.Target)
			}
		})
	}
}

func TestListedMinionsThatTheMasterDoesNotKnowAreMissing(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	b := listen(t, c)
	p := publish(t, c, gaea.Publication{Function: "test.ping", Target: gaea.ListTarget([]string{"web1", "nobody9"})})
	if !slices.Equal(p.Minions, []string{"web1"}) || !slices.Equal(p.Missing, []string{"nobody9"}) {
		t.Errorf("got %+v", p)
	}
	job := b.decoded("the job", func(d saltclient.Decoded) bool { return d.Job != nil && d.Job.JID == p.JID }).Job
	if !slices.Equal(job.Missing, []string{"nobody9"}) {
		t.Errorf("the job is %+v", job)
	}
}

func TestMetadataComesBackInEveryReturn(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	b := listen(t, c)
	p := publish(t, c, gaea.Publication{Function: "test.ping", Metadata: map[string]any{gaea.MetadataRun: "run-1", "note": "ä"}})
	for _, id := range p.Minions {
		r := b.ret(p.JID, id)
		var metadata map[string]any
		unmarshal(t, r.Metadata, &metadata)
		if r.RunID != "run-1" || metadata["note"] != "ä" {
			t.Errorf("%s returned metadata %s", id, r.Metadata)
		}
	}
	if strings.HasPrefix(lab.Version(), "3006") {
		return // it has no publish event
	}
	again := b.decoded("the publication", func(d saltclient.Decoded) bool { return d.Publication != nil && d.Publication.JID == p.JID }).Publication
	if again.RunID != "run-1" {
		t.Errorf("the publication is %+v", again)
	}
}

func TestArgumentsArriveAsWhatTheyAre(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	b := listen(t, c)
	p := publish(t, c, gaea.Publication{
		Function: "test.arg_type", Target: gaea.ListTarget([]string{"web1"}),
		Args:   []any{"text", "7", 1.0, 1.5, true, nil, json.Number("3"), json.Number("3.0"), []any{1.0}, map[string]any{"a": 1.0}},
		Kwargs: map[string]any{"n": 2.0, "big": json.Number("9007199254740993"), "s": "x", "f": 0.5, "deep": map[string]any{"l": []any{"é"}}},
	})
	var types struct {
		Args   []string
		Kwargs map[string]string
	}
	unmarshal(t, b.ret(p.JID, "web1").Body, &types)
	for i, name := range types.Args {
		types.Args[i] = strings.TrimSuffix(strings.TrimPrefix(name, "<class '"), "'>")
	}
	if want := []string{"str", "str", "int", "float", "bool", "NoneType", "int", "float", "list", "dict"}; !slices.Equal(types.Args, want) {
		t.Errorf("the arguments arrived as %q", types.Args)
	}
	for name, want := range map[string]string{"n": "int", "big": "int", "s": "str", "f": "float", "deep": "dict"} {
		if got := types.Kwargs[name]; !strings.Contains(got, want) {
			t.Errorf("%s arrived as %s", name, got)
		}
	}
}

func TestStateRunsEndAsTheyDo(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	b := listen(t, c)
	motd := filepath.Join(lab.MinionRoot("web1"), "motd")
	if err := os.WriteFile(motd, []byte("tampered\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	apply := func(sls string, kwargs map[string]any) *gaea.Return {
		t.Helper()
		p := publish(t, c, gaea.Publication{Function: "state.apply", Args: []any{sls}, Kwargs: kwargs, Target: gaea.ListTarget([]string{"web1"})})
		return b.ret(p.JID, "web1")
	}
	quiet := map[string]any{"queue": true}
	test := map[string]any{"queue": true, "test": true}
	for _, step := range []struct {
		what, sls string
		kwargs    map[string]any
		want      gaea.Outcome
		words     string
	}{
		{"a test run", "motd", test, gaea.OutcomeWouldChange, ""},
		{"a real run", "motd", quiet, gaea.OutcomeChanged, ""},
		{"a test run after it", "motd", test, gaea.OutcomeInSync, ""},
		{"a run that fails", "fails", quiet, gaea.OutcomeFailed, "cmd.run fails: Command \"echo it cannot be; exit 4\" run"},
		{"a missing SLS", "nosuch", test, gaea.OutcomeCouldNotRun, "No matching sls found for 'nosuch' in env 'base'"},
		{"broken Jinja", "broken", test, gaea.OutcomeCouldNotRun, "Jinja syntax error"},
	} {
		r := apply(step.sls, step.kwargs)
		if r.Outcome != step.want || !strings.Contains(r.Message, step.words) || r.Test != (step.kwargs["test"] != nil) {
			t.Errorf("%s: got %s %q, test %t", step.what, r.Outcome, r.Message, r.Test)
		}
		if step.sls != "motd" {
			continue
		}
		if len(r.States) != 2 || r.States[0].ID != `motd _|- "quoted" ${x} <b> é` || r.States[0].Name != motd || r.States[0].Function != "managed" || r.States[1].Outcome != gaea.OutcomeInSync {
			t.Errorf("%s: the states are %+v", step.what, r.States)
		}
		if (r.States[0].Diff != "") != (step.want != gaea.OutcomeInSync) || (r.States[0].Diff != "" && !strings.Contains(r.States[0].Diff, "-tampered")) {
			t.Errorf("%s: the diff is %q", step.what, r.States[0].Diff)
		}
	}
}

func TestAMinionThatRunsStatesIsBusy(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	b := listen(t, c)
	only := gaea.ListTarget([]string{"db1"})
	slow := publish(t, c, gaea.Publication{Function: "state.apply", Args: []any{"slow"}, Target: only})
	running := func() bool {
		p := publish(t, c, gaea.Publication{Function: "saltutil.is_running", Args: []any{"state.apply"}, Target: only})
		return string(b.ret(p.JID, "db1").Body) != "[]"
	}
	for !running() {
		if t.Context().Err() != nil {
			t.Fatal("the test is over")
		}
	}
	p := publish(t, c, gaea.Publication{Function: "state.apply", Args: []any{"motd"}, Target: only})
	if r := b.ret(p.JID, "db1"); !r.Busy() {
		t.Errorf("got %s %q", r.Outcome, r.Message)
	}
	kill := publish(t, c, gaea.Publication{Function: "saltutil.kill_job", Args: []any{slow.JID}, Target: only})
	if r := b.ret(kill.JID, "db1"); r.Outcome != gaea.OutcomeSucceeded {
		t.Errorf("got %s %q", r.Outcome, r.Message)
	}
}

func TestAnUnknownFunctionAndAnExceptionAreTold(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	b := listen(t, c)
	only := gaea.ListTarget([]string{"web1"})
	p := publish(t, c, gaea.Publication{Function: "no.such", Target: only})
	if r := b.ret(p.JID, "web1"); r.Outcome != gaea.OutcomeCouldNotRun || r.Message != "'no.such' is not available." {
		t.Errorf("got %s %q", r.Outcome, r.Message)
	}
	p = publish(t, c, gaea.Publication{Function: "test.exception", Args: []any{"boom"}, Target: only})
	if r := b.ret(p.JID, "web1"); r.Outcome != gaea.OutcomeFailed || !strings.Contains(r.Message, "boom") {
		t.Errorf("got %s %q", r.Outcome, r.Message)
	}
	p = publish(t, c, gaea.Publication{Function: "test.arg", Kwargs: map[string]any{"fun": 1.0}, Target: only})
	if r := b.ret(p.JID, "web1"); r.Outcome != gaea.OutcomeSucceeded {
		t.Errorf("got %s %q", r.Outcome, r.Message)
	}
	p = publish(t, c, gaea.Publication{Function: "test.sleep", Target: only})
	if r := b.ret(p.JID, "web1"); r.Outcome == gaea.OutcomeSucceeded {
		t.Errorf("a call without its argument: got %s %q, body %s", r.Outcome, r.Message, r.Body)
	}
}

func TestATargetThatMatchesNothingIsEmpty(t *testing.T) {
	lab := saltlab.Get(t)
	for _, target := range []gaea.Target{{Type: gaea.TargetGlob, Expr: "nobody*"}, {Type: gaea.TargetGrain, Expr: "role:none"}, gaea.ListTarget([]string{"nobody9"})} {
		_, err := client(t, lab, native.Options{}).Publish(t.Context(), gaea.Publication{Function: "test.ping", Target: target})
		if gaea.CodeOf(err) != gaea.CodeEmptyTarget {
			t.Errorf("%s: got %v", target, err)
		}
	}
}

func TestAUserOfThePublisherACLPublishes(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{User: publisher})
	b := listen(t, c)
	p := publish(t, c, gaea.Publication{Function: "test.ping"})
	if r := b.ret(p.JID, "web1"); string(r.Body) != "true" {
		t.Errorf("got %s", r.Body)
	}
	job := b.decoded("the job", func(d saltclient.Decoded) bool { return d.Job != nil && d.Job.JID == p.JID }).Job
	if job.User != publisher {
		t.Errorf("the job is %s's", job.User)
	}
	if _, err := native.New(native.Options{ConfigDir: lab.ConfigDir(), User: "games"}); gaea.CodeOf(err) != gaea.CodeForbidden {
		t.Errorf("a user without a key: got %v", err)
	}
}

func TestAWrongKeyIsForbidden(t *testing.T) {
	lab := saltlab.Get(t)
	wrong := filepath.Join(lab.CacheDir(), ".games_key")
	if err := os.WriteFile(wrong, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(wrong)
	c := client(t, lab, native.Options{User: "games"})
	if _, err := c.Publish(t.Context(), gaea.Publication{Function: "test.ping", Target: gaea.ListTarget([]string{"web1"})}); gaea.CodeOf(err) != gaea.CodeForbidden || !strings.Contains(err.Error(), "publisher_acl") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Runner(t.Context(), "manage.up", nil, nil); gaea.CodeOf(err) != gaea.CodeForbidden {
		t.Errorf("a runner: got %v", err)
	}
}

func TestAUserOfExternalAuthPublishesWithAToken(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	if err := c.Login(t.Context(), lab.APIEauth(), lab.APIUser(), "wrong"); gaea.CodeOf(err) != gaea.CodeUnauthenticated {
		t.Errorf("with a wrong password: got %v", err)
	}
	if err := c.Login(t.Context(), lab.APIEauth(), lab.APIUser(), lab.APIPassword()); err != nil {
		t.Fatal(err)
	}
	b := listen(t, c)
	p := publish(t, c, gaea.Publication{Function: "test.ping", Metadata: map[string]any{gaea.MetadataRun: "run-2"}})
	if r := b.ret(p.JID, "db1"); string(r.Body) != "true" || r.RunID != "run-2" {
		t.Errorf("got %+v", r)
	}
	job := b.decoded("the job", func(d saltclient.Decoded) bool { return d.Job != nil && d.Job.JID == p.JID }).Job
	if job.User != lab.APIUser() {
		t.Errorf("the job is %s's", job.User)
	}
	up, err := c.Runner(t.Context(), "manage.up", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	unmarshal(t, up, &ids)
	if slices.Sort(ids); !slices.Equal(ids, []string{"db1", "web1", "web2"}) {
		t.Errorf("the runner returned %s", up)
	}
	// A token that vanished is made anew.
	tokens, err := filepath.Glob(filepath.Join(lab.CacheDir(), "tokens", "*"))
	if err != nil || len(tokens) == 0 {
		t.Fatalf("tokens %q, error %v", tokens, err)
	}
	for _, path := range tokens {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, c, gaea.Publication{Function: "test.ping"})
}
