package schedule_test

import (
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
)

func TestAQueueWhosePostgresWasAwayGoesOnByItself(t *testing.T) {
	t.Parallel()
	server, err := pglab.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	address, err := server.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, w := place{t, address}, newWorld()
	w.watch("web", "web@1", time.Second)
	q, _ := p.start(p.options(w, "a"))
	eventually(t, "it works", func() bool { return len(w.lookedAt("web")) > 0 })
	if err := server.Halt(); err != nil {
		t.Fatal(err)
	}
	if problems := q.Problems(t.Context()); len(problems) != 1 {
		t.Errorf("%v", problems)
	}
	pass(t, 3*time.Second)
	if err := server.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no problem is left", func() bool { return len(q.Problems(t.Context())) == 0 })
	before := len(w.lookedAt("web"))
	eventually(t, "it looks again", func() bool { return len(w.lookedAt("web")) > before })
}
