package saltlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// Suite runs a package's tests with one lab for all of them. It is what Main runs; a package that looks for leaked
// goroutines gives it to goleak in place of its *testing.M: goleak.VerifyTestMain(saltlab.NewSuite(m, cfg)).
type Suite struct {
	tests  interface{ Run() int }
	cfg    Config
	ctx    context.Context // ended by an interrupt, so that a start is given up; the tests have no context of their own
	cancel context.CancelFunc

	mu  sync.Mutex // held while the lab is being started or stopped
	lab *Lab
	err error // why there is no lab
}

// current is the suite of this program, if it has one. A test program has one TestMain.
var current struct {
	sync.Mutex
	suite *Suite
}

// Main runs the tests of a package, which share one lab, and returns the code for os.Exit. Get starts the lab; when no
// test asks for it, none is started. The lab is stopped after the last test, after SIGINT and SIGTERM, and, by its own
// means, when the tests panic or are killed.
func Main(m *testing.M, cfg Config) int { return NewSuite(m, cfg).Run() }

// NewSuite returns the suite that Main runs. tests is a *testing.M.
func NewSuite(tests interface{ Run() int }, cfg Config) *Suite {
	s := &Suite{tests: tests, cfg: cfg}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	// A test may change the working directory before the first one that asks for the lab.
	for _, dir := range []*string{&s.cfg.States, &s.cfg.Pillar} {
		if abs, err := filepath.Abs(*dir); *dir != "" && err == nil {
			*dir = abs
		}
	}
	return s
}

// Run runs the tests, stops the lab and returns the code for os.Exit.
func (s *Suite) Run() int {
	current.Lock()
	current.suite = s
	current.Unlock()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-signals:
			fmt.Fprintln(os.Stderr, "saltlab: interrupted, stopping the lab")
			if err := s.stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			os.Exit(130)
		case <-over:
		}
	})
	code := s.tests.Run()
	signal.Stop(signals)
	close(over)
	watch.Wait()
	if err := s.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

var errSuiteOver = errors.New("saltlab: the tests are over")

func (s *Suite) stop() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	lab := s.lab
	s.lab, s.err = nil, errSuiteOver
	if lab == nil {
		return nil
	}
	return lab.Stop()
}

// Get returns the lab that the tests of this package share, and starts it where this is the first test to ask. Where
// the lab cannot be started, the test fails. When the test fails later, it logs what the lab's daemons said last.
func Get(t testing.TB) *Lab {
	t.Helper()
	current.Lock()
	s := current.suite
	current.Unlock()
	if s == nil {
		t.Fatal("saltlab: call saltlab.Main from this package's TestMain")
	}
	lab, err := s.get(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(lab.Logs())
		}
	})
	return lab
}

func (s *Suite) get(t testing.TB) (*Lab, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lab != nil {
		return s.lab, nil
	}
	if s.err != nil {
		return nil, s.err
	}
	cfg := s.cfg
	var started atomic.Bool
	if cfg.Progress == nil {
		cfg.Progress = func(line string) {
			if !started.Load() { // later, this test may be over
				t.Log(line)
			}
		}
	}
	lab, err := Start(s.ctx, cfg)
	started.Store(true)
	if err != nil {
		s.err = errors.New("saltlab: the lab did not start, as the first test that asked for it shows")
		return nil, err
	}
	s.lab = lab
	return lab, nil
}
