package jobdclient_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// exportConforms follows archiveConforms, whose job has two returns.
func exportConforms(t *testing.T, c *jobdclient.Client) {
	t.Helper()
	var whole bytes.Buffer
	end := must[*gaea.ExportEnd](t)(c.ExportArchive(t.Context(), gaea.ExportRequest{}, &whole))
	if end.Jobs != 1 || end.Returns != 2 || end.Events != 1 || strings.Count(whole.String(), "\n") != 2+end.Jobs+end.Returns+end.Events+end.Runs {
		t.Errorf("the end is %+v of\n%s", end, &whole)
	}
	var some bytes.Buffer
	req := gaea.ExportRequest{Kinds: []gaea.ExportKind{gaea.ExportEvents, gaea.ExportRuns}, Master: "salt", Since: time.Unix(1, 0), Until: time.Unix(2, 0)}
	must[*gaea.ExportEnd](t)(c.ExportArchive(t.Context(), req, &some))
	for _, want := range []string{`"kinds":["events","runs"]`, `"master":"salt"`, `"since":"1970-01-01T00:00:01Z"`, `"until":"1970-01-01T00:00:02Z"`} {
		if !strings.Contains(some.String(), want) {
			t.Errorf("%s is not in\n%s", want, &some)
		}
	}
	_, err := c.ExportArchive(t.Context(), gaea.ExportRequest{Kinds: []gaea.ExportKind{"pillar"}}, &some)
	wantError(t, err, gaea.CodeInvalid, "pillar")
}

const exportHead = `{"type":"header","data":{"schema":1}}` + "\n"

func TestAnExportThatIsNotWholeIsAnError(t *testing.T) {
	long := `{"type":"job","data":"` + strings.Repeat("x", 200_000) + `"}` + "\n"
	for name, row := range map[string]struct {
		body string
		code gaea.Code
		says string
	}{
		"it breaks off after a line":       {exportHead + long, gaea.CodeUnavailable, "jobd"},
		"it breaks off within a line":      {exportHead + long[:100_000], gaea.CodeUnavailable, "jobd"},
		"it breaks off within its end":     {exportHead + `{"type":"end","data":{"jobs":1`, gaea.CodeUnavailable, "jobd"},
		"jobd says why":                    {exportHead + `{"type":"error","data":{"code":"unavailable","detail":"the database is away"}}` + "\n", gaea.CodeUnavailable, "the database is away"},
		"it is of another schema":          {`{"type":"header","data":{"schema":2}}` + "\n", gaea.CodeUnavailable, "schema 2"},
		"it has no header":                 {long, gaea.CodeUnavailable, "cannot be read"},
		"an end in a job's text is no end": {exportHead + `{"type":"job","data":"{\"type\":\"end\","}` + "\n", gaea.CodeUnavailable, "jobd"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:1", Token: "t", Transport: transport(func(*http.Request) (*http.Response, error) {
				return reply(http.StatusOK, "application/x-ndjson", row.body), nil
			})})
			var got bytes.Buffer
			end, err := c.ExportArchive(t.Context(), gaea.ExportRequest{}, &got)
			if end != nil && err == nil {
				t.Fatalf("it counts as whole: %+v", end)
			}
			wantError(t, err, row.code, row.says)
		})
	}
}

// full is a writer that takes nothing more.
type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestAnExportThatCannotBeWrittenSaysWhy(t *testing.T) {
	c := dial(t, jobdclient.Config{Endpoint: "http://127.0.0.1:1", Token: "t", Transport: transport(func(*http.Request) (*http.Response, error) {
		return reply(http.StatusOK, "application/x-ndjson", exportHead+`{"type":"end","data":{}}`+"\n"), nil
	})})
	if _, err := c.ExportArchive(t.Context(), gaea.ExportRequest{}, full{}); !errors.Is(err, errFull) {
		t.Errorf("the error is %v", err)
	}
}
