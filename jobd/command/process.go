package command

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/term"
)

// Process is what a command has of the process that it runs in; tests set their own.
type Process struct {
	Version string
	Args    []string // without the program's name
	Stdout  io.Writer
	Stderr  io.Writer
	// OnTerminal says whether stdout is a terminal.
	OnTerminal bool
	// Screen gives columns and lines of the terminal that stderr is; nil where it is none.
	Screen func() (width, height int)
	// Color says whether what is written to the screen may be coloured.
	Color bool
	// Again claims the second order to stop, and is closed by it; the first ends the context. Nil: there is none.
	Again func() <-chan struct{}
}

// ThisProcess is the process that the operating system started: its arguments, its standard output and what they are
// connected to. NO_COLOR (https://no-color.org) keeps colours away, and TERM=dumb all that writes over itself.
func ThisProcess(version string, interrupts *Interrupts) Process {
	p := Process{
		Version: version, Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr,
		OnTerminal: term.IsTerminal(int(os.Stdout.Fd())), Again: interrupts.Claim,
	}
	if fd := int(os.Stderr.Fd()); term.IsTerminal(fd) && os.Getenv("TERM") != "dumb" {
		p.Screen = func() (int, int) {
			width, height, err := term.GetSize(fd)
			if err != nil || width < 1 || height < 1 {
				return 80, 24
			}
			return width, height
		}
		p.Color = os.Getenv("NO_COLOR") == ""
	}
	return p
}

// Interrupts are the orders to stop that SIGINT and SIGTERM give. The first ends a context. The second ends the process at
// once, as if nobody listened, unless a command has claimed it.
type Interrupts struct {
	claimed atomic.Bool
	again   chan struct{}
	stopped chan struct{}
	once    sync.Once
	done    sync.WaitGroup
}

// NotifyInterrupts returns a context that the first order ends. Stop must be called.
func NotifyInterrupts(parent context.Context) (context.Context, *Interrupts) {
	ctx, cancel := context.WithCancel(parent)
	i := &Interrupts{again: make(chan struct{}), stopped: make(chan struct{})}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	i.done.Go(func() {
		defer cancel()
		defer signal.Stop(signals)
		select {
		case <-signals:
			cancel()
		case <-i.stopped:
			return
		}
		if !i.claimed.Load() {
			return
		}
		select {
		case <-signals:
			close(i.again)
		case <-i.stopped:
		}
	})
	return ctx, i
}

// Claim returns a channel that the second order closes; from then on a third ends the process at once. It has an effect
// before the first order only.
func (i *Interrupts) Claim() <-chan struct{} {
	i.claimed.Store(true)
	return i.again
}

// Stop gives the signals back to the operating system.
func (i *Interrupts) Stop() {
	i.once.Do(func() { close(i.stopped) })
	i.done.Wait()
}
