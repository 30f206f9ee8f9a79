package content_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/archivetest"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/content"
)

const mixed = `{"file_|-motd_|-/etc/motd_|-managed": {"changes": {"diff": "--- \n+++ \n@@ -1 +1 @@\n-a\n+b\n", "pid": 7},` +
	` "comment": "File \"motd\" <updated>", "name": "/etc/motd", "result": true, "__sls__": "motd", "__run_num__": 1,` +
	` "start_time": "23:13:05.485914", "duration": 16.152, "__id__": "motd"},` +
	`"test_|-a_|-b_|-c_|-nop":{"name":"b_|-c","changes":{},"result":null,"comment":"","__sls__":"x","__run_num__":0,"start_time":"1","duration":0.5,"__id__":"a"}}`

func TestWhatDiffersEachTimeIsLeftOut(t *testing.T) {
	var s content.Splitter
	b := s.Split([]byte(mixed))
	first := b.Digest()
	if got := string(b.Cuts); got != "7\n\"23:13:05.485914\"\n16.152\n\"1\"\n0.5" {
		t.Errorf("cut out: %q", got)
	}
	if !json.Valid(b.Same) {
		t.Errorf("what is the same is no JSON: %s", b.Same)
	}
	later := strings.NewReplacer("16.152", "3", "23:13:05.485914", "00:00", `"pid": 7`, `"pid": 123456`).Replace(mixed)
	if got := s.Split([]byte(later)).Digest(); got != first {
		t.Error("another duration, start time and pid make another digest")
	}
	other := strings.Replace(mixed, "updated", "created", 1)
	if s.Split([]byte(other)).Digest() == first {
		t.Error("another comment makes the same digest")
	}
}

func TestBodiesOfRealReturnsComeBackToTheByte(t *testing.T) {
	var s content.Splitter
	states, follow := 0, 0
	for _, version := range archivetest.SaltVersions() {
		for _, r := range archivetest.CapturedReturns(t, version) {
			b := s.Split(r.Body)
			if len(r.States) > 0 && r.Origin != gaea.OriginOrchestration { // whose states are deeper in its body
				states++
				if s.Follows(r.States) {
					follow++
				}
				if len(b.Cuts) == 0 {
					t.Errorf("nothing is cut out of %s", r.Body)
				}
			}
			got, err := content.Join(b)
			if err != nil || !bytes.Equal(got, r.Body) {
				t.Errorf("came back as %s (%v), was %s", got, err, r.Body)
			}
		}
	}
	if states == 0 || follow != states {
		t.Errorf("%d of %d lists of states follow from their bodies; all should", follow, states)
	}
}

func TestPartsOfManyBodiesStay(t *testing.T) {
	var s content.Splitter
	var bodies [][]byte
	var parts []content.Body
	for i := range 200 {
		bodies = append(bodies, archivetest.StateBody("web1", 1+i%50, i, i))
		parts = append(parts, s.Split(bodies[i]))
	}
	for i := range parts {
		if got, err := content.Join(parts[i]); err != nil || !bytes.Equal(got, bodies[i]) {
			t.Fatalf("body %d came back as %s (%v), was %s", i, got, err, bodies[i])
		}
	}
}

func TestStatesFollowFromTheirBody(t *testing.T) {
	ev := gaea.Event{
		Tag:  "salt/job/20261122231304714015/ret/m3",
		Data: json.RawMessage(`{"id": "m3", "jid": "20261122231304714015", "fun": "state.apply", "return": ` + mixed + `}`),
	}
	want := saltclient.Decode(ev).Return.States
	got, err := content.States([]byte(mixed))
	if err != nil || len(got) != len(want) {
		t.Fatalf("read %d states (%v), want %d", len(got), err, len(want))
	}
	for i := range got {
		got[i].Outcome = want[i].Outcome
		g, w := string(must(json.Marshal(got[i]))), string(must(json.Marshal(want[i])))
		if g != w {
			t.Errorf("state %d is %s, want %s", i, g, w)
		}
	}
	var s content.Splitter
	s.Split([]byte(mixed))
	if !s.Follows(want) {
		t.Error("the states do not follow from the body they were read from")
	}
	for name, change := range map[string]func(*gaea.StateResult){
		"key":      func(r *gaea.StateResult) { r.Key += "x" },
		"module":   func(r *gaea.StateResult) { r.Module = "x" },
		"function": func(r *gaea.StateResult) { r.Function = "x" },
		"id":       func(r *gaea.StateResult) { r.ID = "x" },
		"name":     func(r *gaea.StateResult) { r.Name = "x" },
		"sls":      func(r *gaea.StateResult) { r.SLS = "y" },
		"run":      func(r *gaea.StateResult) { r.RunNum = 9 },
		"result":   func(r *gaea.StateResult) { r.Result = new(false) },
		"comment":  func(r *gaea.StateResult) { r.Comment = "x" },
		"diff":     func(r *gaea.StateResult) { r.Diff = "x" },
		"changes":  func(r *gaea.StateResult) { r.Changes = json.RawMessage(`{"x":1}`) },
		"duration": func(r *gaea.StateResult) { r.Duration++ },
	} {
		for i := range want {
			changed := slices.Clone(want)
			change(&changed[i])
			if s.Follows(changed) {
				t.Errorf("state %d with another %s follows from the body", i, name)
			}
		}
	}
	if s.Follows(want[:1]) {
		t.Error("fewer states follow from the body")
	}
}

func TestAnyJSONComesBackToTheByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s content.Splitter
		body := []byte(state(t))
		b := s.Split(body)
		if !json.Valid(b.Same) {
			t.Fatalf("what is the same is no JSON: %s", b.Same)
		}
		got, err := content.Join(b)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("came back as %s (%v), was %s", got, err, body)
		}
	})
}

func state(t *rapid.T) string {
	values := rapid.SampledFrom([]string{
		`null`, `1`, `-1.5e+10`, `"a\"b"`, `"a\\"`, `"\\\"}"`, `""`, `"é\u0000"`, `{}`, `[]`, `{"pid": {"pid": 1}}`, `{"pid":3,"diff":"@@ -1"}`, `[{"duration":1}]`, `true`,
	})
	keys := rapid.SampledFrom([]string{`"duration"`, `"start_time"`, `"changes"`, `"result"`, `"__id__"`, `"name"`, `"x"`, `"dur\u0061tion"`})
	space := rapid.SampledFrom([]string{"", " ", "\n\t"})
	var b strings.Builder
	b.WriteString("{")
	for i := range rapid.IntRange(0, 3).Draw(t, "states") {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(rapid.SampledFrom([]string{`"a_|-b_|-c_|-d"`, `"plain"`, `"_|-"`}).Draw(t, "key") + space.Draw(t, "space") + ":{")
		for j := range rapid.IntRange(0, 6).Draw(t, "members") {
			if j > 0 {
				b.WriteString(",")
			}
			b.WriteString(space.Draw(t, "space") + keys.Draw(t, "member") + ":" + space.Draw(t, "space") + values.Draw(t, "value"))
		}
		b.WriteString("}")
	}
	b.WriteString("}")
	return b.String()
}

func TestPartsThatDoNotFitAreRefused(t *testing.T) {
	for name, b := range map[string]content.Body{
		"a hole past the end":      {Same: []byte(`{}`), Holes: []byte{9}, Cuts: []byte("1")},
		"a hole that is no null":   {Same: []byte(`{"a":1}`), Holes: []byte{1}, Cuts: []byte("1")},
		"fewer values than holes":  {Same: []byte(`[null,null]`), Holes: []byte{1, 1}, Cuts: []byte("1")},
		"more values than holes":   {Same: []byte(`[null]`), Holes: []byte{1}, Cuts: []byte("1\n2")},
		"a number that never ends": {Same: []byte(`[null]`), Holes: []byte{0x80}, Cuts: []byte("1")},
	} {
		if got, err := content.Join(b); err == nil {
			t.Errorf("%s: joined to %s", name, got)
		}
	}
	if _, err := content.States([]byte(`["no states"]`)); err == nil {
		t.Error("a list has states")
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte(mixed))
	f.Add([]byte(`{"a_|-b_|-c_|-d":{"duration":`))
	f.Add([]byte(`{"a_|-b":{"changes":{"pid":1,"pid":2}}}`))
	f.Add([]byte(`"\`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var s content.Splitter
		b := s.Split(body)
		got, err := content.Join(b)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("came back as %q (%v), was %q", got, err, body)
		}
		if json.Valid(body) && !json.Valid(b.Same) {
			t.Fatalf("what is the same is no JSON: %q", b.Same)
		}
		if states, err := content.States(body); err == nil {
			s.Split(body)
			if !s.Follows(states) {
				t.Fatalf("%q has states that do not follow from it", body)
			}
		}
	})
}

func FuzzJoin(f *testing.F) {
	f.Add([]byte(`[null,null]`), []byte{1, 1}, []byte("1\n2"))
	f.Fuzz(func(t *testing.T, same, holes, cuts []byte) {
		if got, err := content.Join(content.Body{Same: same, Holes: holes, Cuts: cuts}); err == nil && len(got) > len(same)+len(cuts) {
			t.Fatal("a body is longer than its parts")
		}
	})
}

func BenchmarkSplit(b *testing.B) {
	body := archivetest.StateBody("web1", 3, 1, 1)
	var s content.Splitter
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		_ = s.Split(body).Digest()
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
