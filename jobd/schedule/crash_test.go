package schedule_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/schedule"
)

// crashIn names the queue that this program, started anew, is to be killed in.
const crashIn = "GAEA_TEST_CRASH_IN"

// beforeTheCrash works on a queue until a look is under way, says so, and waits to be killed.
func beforeTheCrash() {
	w := newWorld()
	w.hold()
	w.watch("web", "web@1", time.Hour)
	q, err := schedule.Open(context.Background(), schedule.Options{
		Address: os.Getenv(crashIn), Master: "salt.example.org", Seat: "a", Runs: w, Checks: w, Store: w.shelf, Logger: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		err = q.Start(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	for len(w.lookedAt("web")) == 0 {
		<-tick.C
	}
	fmt.Fprintln(os.Stdout, "under way")
	select {}
}

// crash has another process killed while it looks at "web".
func crash(t *testing.T, p place) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), crashIn+"="+p.address)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "under way\n" {
		t.Fatalf("%q %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

func TestAJobThatWasUnderWayWhenItsProcessWasKilledIsDoneSoonAfterTheNextStart(t *testing.T) {
	onEach(t, func(t *testing.T, p place, w *world) {
		crash(t, p)
		w.watch("web", "web@1", time.Hour)
		q, _ := p.start(p.options(w, "a"))
		started := time.Now()
		eventually(t, "it is looked at", func() bool { return len(w.lookedAt("web")) > 0 })
		if took := time.Since(started); took > 5*time.Second {
			t.Errorf("%s after the start", took)
		}
		if n := rows(t, q, "drift_check"); n != 1 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestAJobThatIsUnderWayInAnotherPlaceIsLeftToIt(t *testing.T) {
	t.Parallel()
	address, err := postgres.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, w := place{t, address}, newWorld()
	release := w.hold()
	w.watch("web", "web@1", time.Hour)
	p.start(p.options(w, "a"))
	eventually(t, "one looks", func() bool { return len(w.lookedAt("web")) == 1 })
	p.start(p.options(w, "b"))
	pass(t, 3*time.Second) // longer than a poll
	if n := len(w.lookedAt("web")); n != 1 {
		t.Errorf("%d looks", n)
	}
	release()
}
