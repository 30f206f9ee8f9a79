package command_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

// asJobd in the environment makes the test binary be jobd, for tests that send signals.
const asJobd = "GAEA_TEST_AS_JOBD"

func TestMain(m *testing.M) {
	if os.Getenv(asJobd) != "" {
		ctx, interrupts := command.NotifyInterrupts(context.Background())
		code := command.Main(ctx, command.ThisProcess("1.2.3", interrupts))
		interrupts.Stop()
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

// signalled is a jobd in a process of its own.
type signalled struct {
	*exec.Cmd
	t         *testing.T
	out, errs printed
}

func (r *rig) spawn(args ...string) *signalled {
	r.t.Helper()
	s := &signalled{Cmd: exec.CommandContext(r.t.Context(), os.Args[0], args...), t: r.t}
	s.Env = append(os.Environ(), asJobd+"=1", "GAEA_ENDPOINT="+r.url, "GAEA_TOKEN="+r.token)
	s.Stdout, s.Stderr = &s.out, &s.errs
	if err := s.Start(); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (s *signalled) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *signalled) code() int {
	_ = s.Wait() // its code is what counts
	return s.ProcessState.ExitCode()
}

func TestTwoRealSignalsCancelARunAndThenLeaveIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.spawn("run", "test.ping", "-t", "*", "--watch")
	r.watched("run-000001")
	s.signal(os.Interrupt)
	eventually(t, "it is told that the run is being cancelled", func() bool { return strings.Contains(s.errs.String(), " cancelling\n") })
	r.stands("run-000001", gaea.RunCancelling)
	s.signal(syscall.SIGTERM)
	want(t, "two signals", s.code(), command.ExitAway, s.errs.String(), "goes on being cancelled", "jobd show --watch run-000001")
}

func TestARealSignalLeavesARunThatIsOnlyLookedAt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.Runs.Start(gaea.Run{Kind: gaea.RunJob, Function: "test.ping"}).ID
	s := r.spawn("show", id, "--watch")
	r.watched(id)
	s.signal(os.Interrupt)
	want(t, "a signal", s.code(), command.ExitAway, s.errs.String(), "goes on", "jobd cancel "+id)
	if run, err := r.Runs.Get(t.Context(), id); err != nil || run.Status != gaea.RunRunning {
		t.Errorf("the run is %v (%v)", run, err)
	}
}

func TestInterruptsCanBeStoppedTwiceAndTellNothingThen(t *testing.T) {
	t.Parallel()
	ctx, interrupts := command.NotifyInterrupts(t.Context())
	interrupts.Stop()
	interrupts.Stop()
	if ctx.Err() == nil {
		t.Error("the context outlives the interrupts")
	}
	select {
	case <-interrupts.Claim():
		t.Error("a second signal is told, and there was none")
	default:
	}
}
