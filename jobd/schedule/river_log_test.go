package schedule_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

// page is what was logged.
type page struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *page) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Split(strings.TrimSpace(p.b.String()), "\n")
}

func TestWhatRiverSaysOverAndOverIsSaidOnceAMinuteAndWhatIsOfNoInterestNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &page{}
		log := slog.New(schedule.RiverLog(slog.NewTextHandler(p, nil))).With("client_id", "c").WithGroup("g")
		for range 90 {
			log.Error("error fetching jobs", "err", "the disk is gone")
			log.Info("job errored; retrying")
			<-time.After(time.Second)
		}
		log.Error("error keeping leadership", "err", context.Canceled.Error())
		lines := p.lines()
		if len(lines) != 2 || !strings.Contains(lines[1], "queue: error fetching jobs") || !strings.Contains(lines[1], "client_id=c") || !strings.Contains(lines[1], "g.err=") {
			t.Errorf("%s", strings.Join(lines, "\n"))
		}
	})
}

func TestAQueueThatHasNothingToDoLogsNothing(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		out := &page{}
		o := p.options(w, "a")
		o.Logger = slog.New(slog.NewTextHandler(out, nil))
		w.watch("web", "web@1", time.Hour)
		_, stop := p.start(o)
		eventually(t, "it works", func() bool { return len(w.lookedAt("web")) == 1 })
		pass(t, 12*time.Second) // longer than all that River does again and again
		stop()
		if lines := out.lines(); len(lines) != 1 || lines[0] != "" {
			t.Errorf("%s", strings.Join(lines, "\n"))
		}
	})
}
