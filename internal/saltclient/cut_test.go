package saltclient_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

const cutTag = "salt/job/20260102030405000000/ret/web1"

// returnOf is the body of a return's event.
func returnOf(fun string, packed []byte) []byte {
	b := msgp.AppendMapHeader([]byte(cutTag+"\n\n"), 6)
	for _, pair := range [][2]string{{"cmd", "_return"}, {"id", "web1"}, {"fun", fun}, {"_stamp", "2026-01-02T03:04:05.000006"}} {
		b = msgp.AppendString(msgp.AppendString(b, pair[0]), pair[1])
	}
	b = append(msgp.AppendString(b, "return"), packed...)
	return msgp.AppendInt(msgp.AppendString(b, "retcode"), 0)
}

// parsed is what a body means to a parser with a bound on returns.
func parsed(t *testing.T, body []byte, maxReturn int) *gaea.Return {
	t.Helper()
	p := saltclient.EventParser{MaxReturn: maxReturn}
	ev, err := p.Parse(body, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(ev.Data) || !utf8.Valid(ev.Data) || ev.Stamp != time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC) {
		t.Fatalf("the event is no JSON, or has the stamp %s: %.200q", ev.Stamp, ev.Data)
	}
	r := saltclient.Decode(ev).Return
	if r == nil {
		t.Fatalf("it is no return: %.200q", ev.Data)
	}
	return r
}

func digestOf(packed []byte) string {
	sum := sha256.Sum256(packed)
	return hex.EncodeToString(sum[:])
}

func TestAReturnOverTheBoundKeepsItsBeginningItsOutcomeAndTheDigestOfTheWhole(t *testing.T) {
	million := msgp.AppendMapHeader(nil, 1_000_000)
	for i := range 1_000_000 {
		million = msgp.AppendInt(msgp.AppendString(million, fmt.Sprint("key", i)), i)
	}
	deep := append(bytes.Repeat([]byte{0x91}, 10_000), 0xc0)
	deepMaps := bytes.Repeat([]byte{0x81, 0xa1, 'k'}, 10_000)
	for name, c := range map[string]struct {
		packed []byte
		keeps  string
	}{
		"a large text":            {msgp.AppendString(nil, strings.Repeat("ä", 1<<20)), `"ääää`},
		"bytes that are no text":  {msgp.AppendBytes(nil, bytes.Repeat([]byte{0xff, 0}, 1<<20)), `"` + "\uFFFD" + `\u0000`},
		"a million keys":          {million, `{"key0":0,"key1":1,`},
		"lists 10,000 deep":       {deep, "[[[["},
		"maps 10,000 deep":        {append(deepMaps, 0xc0), `{"k":{"k":`},
		"keys that are lists":     {append(bytes.Repeat([]byte{0x81}, 10_000), bytes.Repeat([]byte{0xc0}, 10_001)...), "{"},
		"numbers that JSON grows": {append(msgp.AppendArrayHeader(nil, 1<<20), bytes.Repeat([]byte{0xe0}, 1<<20)...), "[-32,-32,"},
	} {
		t.Run(name, func(t *testing.T) {
			r := parsed(t, returnOf("test.echo", c.packed), 1<<20)
			if r.Truncated == nil || r.Truncated.Size != int64(len(c.packed)) || r.Truncated.SHA256 != digestOf(c.packed) {
				t.Errorf("told is %+v, want %d bytes with the digest %s", r.Truncated, len(c.packed), digestOf(c.packed))
			}
			if !bytes.HasPrefix(r.Body, []byte(c.keeps)) || len(r.Body) > 1<<20 {
				t.Errorf("kept are %d bytes: %.60q", len(r.Body), r.Body)
			}
			if r.Outcome != gaea.OutcomeSucceeded || r.Retcode == nil || r.Function != "test.echo" {
				t.Errorf("it is %+v", r)
			}
		})
	}
}

// stateOf is one state of a state run's return, with a comment of a length.
func stateOf(b []byte, n, comment int) []byte {
	b = msgp.AppendString(b, fmt.Sprintf("cmd_|-id%d_|-id%d_|-run", n, n))
	b = msgp.AppendMapHeader(b, 4)
	b = msgp.AppendBool(msgp.AppendString(b, "result"), true)
	b = msgp.AppendMapHeader(msgp.AppendString(b, "changes"), 0)
	b = msgp.AppendInt(msgp.AppendString(b, "__run_num__"), n)
	return msgp.AppendString(msgp.AppendString(b, "comment"), strings.Repeat("x", comment))
}

func TestALargeStateRunKeepsAllItsStatesWhereOnlyTextsAreLong(t *testing.T) {
	packed := msgp.AppendMapHeader(nil, 20)
	for i := range 20 {
		packed = stateOf(packed, i, 1<<20)
	}
	r := parsed(t, returnOf("state.apply", packed), 4<<20)
	if r.Truncated == nil || r.Truncated.Dropped != 0 || len(r.States) != 20 || r.Outcome != gaea.OutcomeInSync || len(r.Body) > 1<<20 {
		t.Errorf("%d states are kept in %d bytes, the outcome is %s, and told is %+v", len(r.States), len(r.Body), r.Outcome, r.Truncated)
	}
	if s := r.States[19]; s.Outcome != gaea.OutcomeInSync || !strings.HasSuffix(s.Comment, "x…") {
		t.Errorf("the last state is %.200v", s)
	}
}

func TestAStateRunOfWhichStatesWereLeftOutIsNotInSync(t *testing.T) {
	const count = 40_000
	packed := msgp.AppendMapHeader(nil, count)
	for i := range count {
		packed = stateOf(packed, i, 500)
	}
	r := parsed(t, returnOf("state.apply", packed), 4<<20)
	if r.Truncated == nil || len(r.States) == 0 || r.Truncated.Dropped != count-len(r.States) {
		t.Fatalf("%d states are kept, and told is %+v", len(r.States), r.Truncated)
	}
	for _, s := range r.States {
		if s.Outcome != gaea.OutcomeInSync {
			t.Fatalf("half a state is kept: %+v", s)
		}
	}
	if r.Outcome != gaea.OutcomeFailed || !strings.Contains(r.Message, "not kept") {
		t.Errorf("the outcome is %s: %s", r.Outcome, r.Message)
	}
}

func TestAReturnWithinTheBoundIsWhole(t *testing.T) {
	r := parsed(t, returnOf("test.echo", msgp.AppendString(nil, strings.Repeat("x", 1<<20))), 2<<20)
	if r.Truncated != nil || len(r.Body) != 1<<20+2 {
		t.Errorf("%d bytes are kept, and told is %+v", len(r.Body), r.Truncated)
	}
}

func TestATagThatSaysMoreThanItsReturnIsSuspect(t *testing.T) {
	const tag = "salt/job/20260102030405000000/ret/web2"
	for name, c := range map[string]struct{ tag, data, says string }{
		"another minion's name": {tag, `{"cmd":"_return","id":"web1","jid":"20260102030405000000","fun":"test.ping","return":true}`, `"web2" returned, and its data that "web1" did`},
		"another job's id":      {tag, `{"cmd":"_return","id":"web2","jid":"20260102030405000009","fun":"test.ping","return":true}`, `20260102030405000009`},
		"an event of its own":   {tag, `{"cmd":"_minion_event","id":"web2","tag":"x","fun":"test.ping","return":true}`, `made up`},
		"a job that nobody published": {"salt/job/20260102030405000000/new",
			`{"cmd":"_minion_event","id":"web1","jid":"20260102030405000000","fun":"test.ping","minions":["web1"]}`, `made up`},
		"a batch that nobody began": {"salt/batch/20260102030405000000/complete", `{"cmd":"_minion_event","id":"web1"}`, `made up`},
	} {
		t.Run(name, func(t *testing.T) {
			d := saltclient.Decode(gaea.Event{Tag: c.tag, Data: json.RawMessage(c.data)})
			if d.Return != nil || d.Job != nil || d.Publication != nil || !d.Other || !strings.Contains(d.Suspect, c.says) {
				t.Errorf("it is taken for %+v", d)
			}
		})
	}
}

// Whatever is cut is valid JSON within a bound, the same however the bytes come.
func FuzzCut(f *testing.F) {
	for _, version := range versions {
		for _, body := range bodies(f, version) {
			if len(body) < 10_000 {
				_, msg, _ := bytes.Cut(body, []byte("\n\n"))
				f.Add(msg, uint16(200))
			}
		}
	}
	f.Add(append(append([]byte{0x81, 0xa6}, "return"...), bytes.Repeat([]byte{0x91}, 40)...), uint16(10))
	f.Add([]byte{0x82, 0xa6, 'r', 'e', 't', 'u', 'r', 'n', 0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, 'a', 0xc0}, uint16(1))
	f.Fuzz(func(t *testing.T, msg []byte, most uint16) {
		p := saltclient.EventParser{MaxReturn: int(most) + 1, Limits: saltclient.Limits{Depth: 20}}
		ev, err := p.Cut([]byte(cutTag), bytes.NewReader(msg), time.Unix(0, 0))
		if err != nil {
			return
		}
		if !json.Valid(ev.Data) || !utf8.Valid(ev.Data) || len(ev.Data) > int(most)+cutOthers || ev.Truncated == nil {
			t.Fatalf("%d bytes of JSON: %.200q", len(ev.Data), ev.Data)
		}
		storable(t, saltclient.Decode(ev))
	})
}

// cutOthers is what an event that is cut may have beside what was returned.
const cutOthers = 400 << 10

func TestWhatIsKeptOfAnEventIsBoundedAsTheJSONThatIsStored(t *testing.T) {
	t.Parallel()
	zeros := func(n int) []byte { return msgp.AppendBytes(nil, make([]byte, n)) } // six bytes of JSON each
	quotes := msgp.AppendMapHeader(nil, 100_000)
	for i := range 100_000 {
		quotes = msgp.AppendString(msgp.AppendString(quotes, fmt.Sprintf("\x00\x01\x02%d", i)), "\x00")
	}
	many := msgp.AppendArrayHeader(nil, 1000)
	for range 1000 {
		many = append(many, zeros(10_000)...)
	}
	for name, packed := range map[string][]byte{"one text": zeros(4 << 20), "many texts": many, "keys": quotes} {
		for _, most := range []int{100_000, 1 << 20, 3 << 20} {
			if len(packed) <= most {
				most = len(packed) - 1
			}
			if r := parsed(t, returnOf("test.echo", packed), most); r.Truncated == nil || len(r.Body) > min(most, 1<<20) || len(r.Body) < min(most, 1<<20)/4 {
				t.Errorf("%s: of a bound of %d %d bytes are kept, and told is %+v", name, most, len(r.Body), r.Truncated)
			}
		}
	}
	again := msgp.AppendMapHeader([]byte(cutTag+"\n\n"), 30)
	for range 30 {
		again = append(msgp.AppendString(again, "return"), msgp.AppendString(nil, strings.Repeat("x", 1<<20))...)
	}
	p := saltclient.EventParser{MaxReturn: 2 << 20}
	ev, err := p.Parse(again, time.Unix(0, 0))
	if err != nil || len(ev.Data) > 1<<20+cutOthers {
		t.Errorf("of a return thirty times %d bytes are kept (%v)", len(ev.Data), err)
	}
	small := msgp.AppendMapHeader([]byte(cutTag+"\n\n"), 60_000)
	for i := range 60_000 {
		small = msgp.AppendBool(msgp.AppendString(small, fmt.Sprintf("%0100d", i)), true)
	}
	if ev, err = p.Parse(small, time.Unix(0, 0)); err != nil || len(ev.Data) > cutOthers {
		t.Errorf("of members with long names %d bytes are kept (%v)", len(ev.Data), err)
	}
}

// Python's empty tuple may be a key.
func TestALargeReturnWithAKeyThatIsAnEmptyListIsCutToo(t *testing.T) {
	t.Parallel()
	packed := append(msgp.AppendMapHeader(nil, 2), 0x90)
	packed = msgp.AppendString(packed, "no")
	packed = msgp.AppendString(msgp.AppendString(packed, "yes"), strings.Repeat("x", 5000))
	if r := parsed(t, returnOf("test.echo", packed), 2000); r.Truncated == nil || !strings.Contains(string(r.Body), "yes") {
		t.Errorf("the return is %+v", r)
	}
}
