package saltclient_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

func TestCapturedEventsAreWhatSaltItselfReadsOfThem(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			events, want := captured(t, version), toldBySalt(t, version)
			if len(events) != len(want) {
				t.Fatalf("%d events, want %d", len(events), len(want))
			}
			for i, ev := range events {
				var data map[string]any
				if err := json.Unmarshal(ev.Data, &data); err != nil {
					t.Fatalf("%s: %v", ev.Tag, err)
				}
				if whole, ok := want[i].Data["return"].(string); ok && strings.Contains(whole, " characters, cut here") {
					delete(want[i].Data, "return")
					delete(data, "return")
				}
				if ev.Tag != want[i].Tag || !reflect.DeepEqual(data, want[i].Data) {
					t.Errorf("event %d: got %s %s, want %s %v", i, ev.Tag, ev.Data, want[i].Tag, want[i].Data)
				}
			}
		})
	}
}

func TestStampsAreReadAsUTCWithOrWithoutAnOffset(t *testing.T) {
	want := time.Date(2026, 11, 22, 23, 12, 45, 877039000, time.UTC)
	for _, s := range []string{"2026-11-22T23:12:45.877039+00:00", "2026-11-22T23:12:45.877039", "2026-11-23T00:12:45.877039+01:00"} {
		if got := saltclient.ParseStamp(s); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s was read as %s", s, got)
		}
	}
	if got := saltclient.ParseStamp("2026-11-22T23:12:45"); !got.Equal(want.Truncate(time.Second)) {
		t.Errorf("a stamp without a fraction was read as %s", got)
	}
	if got := saltclient.ParseStamp("yesterday"); !got.IsZero() {
		t.Errorf("what is no stamp was read as %s", got)
	}
}

func TestAnEventHasItsStampOrElseTheTimeOfReading(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	stamped := time.Date(2026, 11, 22, 23, 12, 45, 0, time.UTC)
	for name, row := range map[string]struct {
		data map[string]any
		want time.Time
	}{
		"a stamp":          {map[string]any{"_stamp": "2026-11-22T23:12:45"}, stamped},
		"no stamp":         {map[string]any{"a": "b"}, now},
		"a broken stamp":   {map[string]any{"_stamp": "soon"}, now},
		"a number":         {map[string]any{"_stamp": 7}, now},
		"one deeper":       {map[string]any{"data": map[string]any{"_stamp": "2026-11-22T23:12:45"}}, now},
		"nothing in there": {map[string]any{}, now},
	} {
		t.Run(name, func(t *testing.T) {
			ev, err := new(saltclient.EventParser).Parse(pack([]byte("tag\n\n"), row.data), now)
			if err != nil || !ev.Stamp.Equal(row.want) || ev.Stamp.Location() != time.UTC {
				t.Errorf("got %s, error %v", ev.Stamp, err)
			}
		})
	}
}

func TestBodiesThatAreNoEventsAreRefused(t *testing.T) {
	good := string(pack(nil, map[string]any{}))
	for name, row := range map[string]struct {
		body string
		want gaea.Code
	}{
		"nothing":              {"", gaea.CodeSalt},
		"no line feeds":        {"tag" + good, gaea.CodeSalt},
		"no tag":               {"\n\n" + good, gaea.CodeSalt},
		"no data":              {"tag\n\n", gaea.CodeSalt},
		"data that is no map":  {"tag\n\n\x93\x01\x02\x03", gaea.CodeSalt},
		"data that is cut off": {"tag\n\n\x81\xa1k", gaea.CodeSalt},
		"an endless tag":       {strings.Repeat("t", saltclient.MaxTag+1) + "\n\n" + good, gaea.CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if ev, err := new(saltclient.EventParser).Parse([]byte(row.body), time.Time{}); gaea.CodeOf(err) != row.want {
				t.Errorf("got %v and error %v, want code %s", ev, err, row.want)
			}
		})
	}
}

func TestAnEventKeepsNothingOfTheBufferItWasReadFrom(t *testing.T) {
	var parser saltclient.EventParser
	body := pack([]byte("one\n\n"), map[string]any{"a": "b"})
	first, err := parser.Parse(body, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	clear(body)
	if _, err := parser.Parse(pack([]byte("two\n\n"), map[string]any{"c": "d"}), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if first.Tag != "one" || string(first.Data) != `{"a":"b"}` {
		t.Errorf("the first event became %s %s", first.Tag, first.Data)
	}
}

func TestATagThatIsNoUTF8IsMadeSuch(t *testing.T) {
	ev, err := new(saltclient.EventParser).Parse(pack([]byte("my/\xff\n\n"), map[string]any{}), time.Time{})
	if err != nil || ev.Tag != "my/\uFFFD" {
		t.Errorf("got %q, error %v", ev.Tag, err)
	}
}
