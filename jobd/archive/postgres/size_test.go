package postgres_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

func TestWhatWentFromATableIsNotInUseThoughTheTableIsNoSmaller(t *testing.T) {
	s := open(t, address(t))
	at := time.Now().Add(-72 * time.Hour)
	used := func() (in, disk int64) {
		t.Helper()
		u, err := s.Usage(t.Context())
		check(t, err)
		return u.UsedBytes, u.DiskBytes
	}
	const batches, returns = 20, 200
	for n := range batches {
		var b archive.Batch
		for i := range returns {
			body, err := json.Marshal(rand.Text() + string(noise(3000)))
			check(t, err)
			b.Returns = append(b.Returns, gaea.Return{
				JID: at.UTC().Format("20060102150405") + fmt.Sprintf("%06d", n), Minion: fmt.Sprintf("web%d", i), Function: "cmd.run",
				Outcome: gaea.OutcomeSucceeded, Body: body, Stamp: at, Source: gaea.SourceBus,
			})
		}
		check(t, s.WriteBatch(t.Context(), "salt", b))
	}
	full, disk := used()
	if disk < 16<<20 || full < disk*3/5 || full > disk {
		t.Errorf("%d of %d bytes are in use where nothing went", full, disk)
	}
	for n := 1; n > 0; {
		var err error
		n, err = s.Prune(t.Context(), gaea.ExpireAll(time.Now().UTC().Truncate(24*time.Hour)), 500)
		check(t, err)
	}
	empty, disk := used()
	if empty > full/4 || disk < full/2 {
		t.Errorf("%d of %d bytes are in use after all went, %d were", empty, disk, full)
	}
}

// noise are printable bytes that do not pack well.
func noise(n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		b = append(b, rand.Text()...)
	}
	return b
}
