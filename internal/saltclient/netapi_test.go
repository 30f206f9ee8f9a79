package saltclient_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

func pythonJSON(r io.Reader, limit int) (json.RawMessage, error) {
	text := saltclient.PythonJSON{Limit: limit}
	if _, err := io.Copy(&text, r); err != nil {
		return nil, err
	}
	return text.JSON()
}

func TestWhatPythonWritesBecomesJSON(t *testing.T) {
	for in, want := range map[string]string{
		`{"a": [1, 2.50, -3e4], "b": {}}`:           `{"a":[1,2.50,-3e4],"b":{}}`,
		`[NaN, Infinity, -Infinity, "NaN, a: \" "]`: `["NaN","Infinity","-Infinity","NaN, a: \" "]`,
		"{\"k\"\n:\r\ttrue , \"n\": null}":          `{"k":true,"n":null}`,
		` NaN `:                                     `"NaN" `,
		`"\ud800 \\"`:                               `"\ud800 \\"`,
		"\"a\xffb\"":                                "\"a\uFFFDb\"",
		`{"NaN": NaN}`:                              `{"NaN":"NaN"}`,
	} {
		for _, r := range []io.Reader{bytes.NewReader([]byte(in)), iotest.OneByteReader(bytes.NewReader([]byte(in)))} {
			if got, err := pythonJSON(r, 0); err != nil || string(got) != want {
				t.Errorf("%s: got %s, %v", in, got, err)
			}
		}
	}
	for _, in := range []string{"", "{", `{"a": 1`, "1 2", "nan", "[1 2]", `"a`, "NaNs", "tr ue"} {
		if got, err := pythonJSON(bytes.NewReader([]byte(in)), 0); gaea.CodeOf(err) != gaea.CodeSalt {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
	if _, err := pythonJSON(bytes.NewReader(bytes.Repeat([]byte("[1,"), 1000)), 100); !errors.Is(err, saltclient.ErrOutput) {
		t.Errorf("got %v", err)
	}
}

// FuzzNetapi reads any answer and any event of salt-api: what comes out is valid JSON and the same however it was cut.
func FuzzNetapi(f *testing.F) {
	for _, seed := range []string{
		`{"return": [{"jid": "20260131120000000001", "minions": ["web1"]}]}`, `{"return": [{}]}`, `{"status": 500, "return": "An unexpected error occurred"}`,
		`{"return": [{"tag": "salt/run/1/ret", "data": {"return": {"jid": "1", "Function": "test.ping", "Result": {"web1": {"return": NaN}}}, "success": false}}]}`,
		`{"tag": "salt/job/1/ret/web1", "data": {"_stamp": "2026-01-31T12:00:00", "fun": "test.ping", "return": Infinity}}`, `[ "a" , { "b" : -Infinity } ]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := pythonJSON(bytes.NewReader(b), 1<<20)
		again, errAgain := pythonJSON(iotest.OneByteReader(bytes.NewReader(b)), 1<<20)
		if (err == nil) != (errAgain == nil) || !bytes.Equal(text, again) {
			t.Fatalf("at once %s (%v), byte by byte %s (%v)", text, err, again, errAgain)
		}
		if err != nil {
			return
		}
		if json.Valid(b) && utf8.Valid(b) {
			var want bytes.Buffer
			_ = json.Compact(&want, b)
			if !bytes.Equal(bytes.TrimSpace(text), want.Bytes()) {
				t.Fatalf("valid JSON %s became %s", want.Bytes(), text)
			}
		}
		_ = saltclient.NetapiWords(text)
		_ = saltclient.JSONTexts(text)
		for _, ret := range []json.RawMessage{text, func() json.RawMessage { ret, _ := saltclient.NetapiReturn(text); return ret }()} {
			if ev, err := saltclient.ParseNetapiEvent(ret, time.Now()); err == nil {
				if !json.Valid(ev.Data) || ev.Tag == "" {
					t.Fatalf("event %+v", ev)
				}
				saltclient.Decode(ev)
			}
			if p, ok := saltclient.ParseNetapiPublished(ret); ok && p.JID == "" {
				t.Fatal("published without an id")
			}
			if r, ok := saltclient.ParseNetapiRunner(ret); ok {
				if !json.Valid(r.Return) {
					t.Fatalf("returned %s", r.Return)
				}
				saltclient.ParseListedJob(r.Return)
				saltclient.ParseListedJIDs(r.Return)
				saltclient.ParseLastJob(r.Return)
			}
		}
	})
}
