package soak

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"
)

// firingScript fires events on the bus of a master; its first lines say what and how.
//
//go:embed fire.py
var firingScript string

// firing is a program that fires events on the master's bus. It ends with close.
type firing struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	facts *json.Decoder
	said  *bytes.Buffer // its standard error; read when it has ended
}

// fact is what it says.
type fact struct {
	Ready  bool     `json:"ready"`
	Fired  int      `json:"fired"`  // events; of a flood returns
	Cached int      `json:"cached"` // returns
	Jobs   []string `json:"jobs"`
}

// fires starts such a program and returns when it is ready.
func (s *stage) fires(ctx context.Context, what string, numbers ...uint64) (*firing, error) {
	args := []string{"-c", firingScript, s.Lab.ConfigDir(), what}
	for _, n := range numbers {
		args = append(args, strconv.FormatUint(n, 10))
	}
	f := &firing{cmd: exec.CommandContext(ctx, s.Lab.Interpreter(), args...), said: &bytes.Buffer{}}
	f.cmd.Stderr = f.said
	f.cmd.WaitDelay = time.Second
	var err error
	if f.in, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	f.facts = json.NewDecoder(out)
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := f.next(); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// say gives it a line.
func (f *firing) say(words any) error {
	line, err := json.Marshal(words)
	if err != nil {
		return err
	}
	_, err = f.in.Write(append(line, '\n'))
	return err
}

// next waits for what it says next.
func (f *firing) next() (fact, error) {
	var got fact
	err := f.facts.Decode(&got)
	if errors.Is(err, io.EOF) {
		err = errors.New("what fires events has ended too early")
	}
	return got, err
}

// ask gives it a line and waits for the answer.
func (f *firing) ask(words any) (fact, error) {
	if err := f.say(words); err != nil {
		return fact{}, err
	}
	return f.next()
}

// close ends it, and says why where it had failed.
func (f *firing) close() error {
	_ = f.in.Close()                               // the end of its input is the order to end
	_, _ = io.Copy(io.Discard, f.facts.Buffered()) // what was said and nobody waited for
	if err := f.cmd.Wait(); err != nil {
		return fmt.Errorf("what fires events on the master's bus: %w\n%s", err, f.said)
	}
	return nil
}
