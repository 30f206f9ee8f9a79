package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// exported are the lines of an export by their types, and the types in order.
func (h *harness) exported(query string) (lines map[string][]json.RawMessage, order []string) {
	h.t.Helper()
	r := h.do(request{method: http.MethodGet, path: "/v1/archive/export" + query, role: gaea.RoleRead}).want(http.StatusOK)
	if got := r.header.Get("Content-Type"); got != "application/x-ndjson" {
		h.t.Errorf("the content type is %s", got)
	}
	lines = map[string][]json.RawMessage{}
	s := bufio.NewScanner(bytes.NewReader(r.body))
	for s.Scan() {
		var line gaea.ExportLine[json.RawMessage]
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			h.t.Fatalf("%s: %v", s.Text(), err)
		}
		lines[line.Type] = append(lines[line.Type], line.Data)
		order = append(order, line.Type)
	}
	return lines, order
}

func parsedAs[T any](t *testing.T, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAnExportHasWhatTheAPIHasAndSaysThatItIsWhole(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1", "web2"))
	h.AddReturn(ret("web1"))
	h.AddReturn(ret("web2"))
	h.AddEvent(gaea.Event{Master: "salt", Tag: "my/event", Stamp: time.Unix(7, 0).UTC(), Data: []byte(`{"a":"<b>"}`)})
	run := h.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "test.ping", Minions: map[string]gaea.RunMinion{"web1": {Outcome: gaea.OutcomePending}}})
	lines, order := h.exported("")
	if want := []string{"header", "job", "return", "return", "event", "run", "end"}; !slices.Equal(order, want) {
		t.Fatalf("the lines are %q, want %q", order, want)
	}
	if header := parsedAs[gaea.ExportHeader](t, lines["header"][0]); header.Schema != 1 || header.Until.IsZero() || !slices.Equal(header.Kinds, gaea.ExportKinds()) {
		t.Errorf("the header is %+v", header)
	}
	for _, line := range lines["return"] {
		got := parsedAs[gaea.Return](t, line)
		want := parsedAs[gaea.Return](t, h.get("/v1/jobs/"+got.JID+"/returns/"+got.Minion).body)
		if !reflect.DeepEqual(got, want) || len(got.Body) == 0 {
			t.Errorf("the return is %+v, the API has %+v", got, want)
		}
	}
	if got := parsedAs[gaea.Event](t, lines["event"][0]); got.Master != "salt" || string(got.Data) != `{"a":"<b>"}` {
		t.Errorf("the event is %+v", got)
	}
	if got := parsedAs[gaea.Run](t, lines["run"][0]); got.ID != run.ID || len(got.Minions) != 1 {
		t.Errorf("the run is %+v", got)
	}
	if end := parsedAs[gaea.ExportEnd](t, lines["end"][0]); end != (gaea.ExportEnd{Jobs: 1, Returns: 2, Events: 1, Runs: 1}) {
		t.Errorf("the end is %+v", end)
	}
	if _, order := h.exported("?kind=events,runs&since=2026-01-01T00:00:00Z"); !slices.Equal(order, []string{"header", "event", "run", "end"}) {
		t.Errorf("of events and runs the lines are %q", order)
	}
	h.get("/v1/archive/export?kind=pillar").problem(http.StatusBadRequest, gaea.CodeInvalid, "kind[0]")
}

func TestAnExportThatCannotGoOnSaysSoAndHasNoEnd(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1"))
	h.Fail(gaea.Errorf(gaea.CodeUnavailable, "the database is away"))
	lines, order := h.exported("")
	if !slices.Equal(order, []string{"header", "error"}) {
		t.Fatalf("the lines are %q", order)
	}
	if e := parsedAs[gaea.ExportError](t, lines["error"][0]); e.Code != gaea.CodeUnavailable || e.Detail != "the database is away" {
		t.Errorf("the error is %+v", e)
	}
}

// exportFields is what readers of an export rely on: within a schema a field is never renamed or taken away, and new ones may come.
var exportFields = map[string]string{
	"header": "exported kinds master schema since until",
	"job":    "args batch counts function jid known master metadata minions missing origin parent run_id schedule source started target test user",
	"return": "args body function jid master message metadata minion outcome retcode run_id source stamp states success test",
	"event":  "data master stamp tag",
	"run": "actions args assignment batch blocked canary_done check_run check_state claimed concurrency counts created ended function grace hurried id job_template kind " +
		"master message minions parent pause paused_for reason resolved retry_of revision seed seq slices started status target timeouts user verdict",
	"end": "events jobs returns runs",
}

func TestTheFieldsOfAnExportStay(t *testing.T) {
	for kind, of := range map[string]reflect.Type{
		"header": reflect.TypeFor[gaea.ExportHeader](), "job": reflect.TypeFor[gaea.Job](), "return": reflect.TypeFor[gaea.Return](),
		"event": reflect.TypeFor[gaea.Event](), "run": reflect.TypeFor[gaea.Run](), "end": reflect.TypeFor[gaea.ExportEnd](),
	} {
		var names []string
		for field := range of.Fields() {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "-" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for want := range strings.FieldsSeq(exportFields[kind]) {
			if !slices.Contains(names, want) {
				t.Errorf("%s has no field %q any more; it has %s", kind, want, strings.Join(names, " "))
			}
		}
	}
}
