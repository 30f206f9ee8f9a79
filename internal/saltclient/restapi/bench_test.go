package restapi_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/restapi"
)

// BenchmarkCachedJobOfManyMinions reads a job of 10,000 minions with returns of 2 kB out of the job cache. live-MiB is what it holds
// then, B/op all that was taken for it on the way, the fake salt-api's share included.
func BenchmarkCachedJobOfManyMinions(b *testing.B) {
	const minions = 10_000
	var text strings.Builder
	text.WriteString(`{"return": [{"tag": "salt/run/20260131120000000009/ret", "data": {"success": true, "return": {"jid": "` + jid + `", "Function": "cmd.run", "Target": "*", "Target-type": "glob", "Minions": ["m"], "Result": {`)
	body := strings.Repeat("0123456789abcdef", 128)
	for i := range minions {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(`"minion` + string(rune('a'+i%26)) + strings.Repeat("x", i/26%40) + strings.Repeat("y", i/1040) + `": {"return": "` + body + `", "retcode": 0, "success": true}`)
	}
	text.WriteString(`}}}}]}`)
	said := text.String()
	f := newFake(b)
	f.low = func(w http.ResponseWriter, _ int, _ map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(said))
	}
	c := f.client(b, func(cfg *restapi.Config) {})
	b.ReportAllocs()
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		job, err := c.CachedJob(b.Context(), jid)
		if err != nil || len(job.Returns) != minions {
			b.Fatalf("%d returns, %v", len(job.Returns), err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "live-MiB")
		runtime.KeepAlive(job)
	}
}
