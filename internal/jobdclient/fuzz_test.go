package jobdclient_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// An export is whole where its last line says so, and what was copied of any other is what came, line by line.
func FuzzExport(f *testing.F) {
	const header = `{"type":"header","data":{"schema":1}}` + "\n"
	f.Add([]byte(header + `{"type":"job","data":{"jid":"1"}}` + "\n" + `{"type":"end","data":{}}` + "\n"))
	f.Add([]byte(header + `{"type":"error","data":{"code":"unavailable","detail":"gone"}}` + "\n"))
	f.Add([]byte(header + strings.Repeat("x", 70_000)))
	f.Fuzz(func(t *testing.T, sent []byte) {
		var copied bytes.Buffer
		end, err := jobdclient.CopyExport(bytes.NewReader(sent), &copied)
		if !bytes.HasPrefix(sent, copied.Bytes()) {
			t.Errorf("copied is %q of %q", copied.Bytes(), sent)
		}
		lines := bytes.Split(bytes.TrimSuffix(copied.Bytes(), []byte("\n")), []byte("\n"))
		if last := lines[len(lines)-1]; err == nil && (end == nil || len(lines) < 2 || !bytes.HasPrefix(last, []byte(`{"type":"end",`))) {
			t.Errorf("it is whole with the last line %q", last)
		}
	})
}
