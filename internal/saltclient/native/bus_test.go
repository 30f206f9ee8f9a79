package native_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

// reading starts to read the bus and returns what it tells, until the test ends.
func reading(t *testing.T, c *native.Client) <-chan gaea.BusMessage {
	t.Helper()
	told := make(chan gaea.BusMessage, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := c.Read(ctx, func(m gaea.BusMessage) { told <- m }); err != nil {
			t.Errorf("reading ended with %v", err)
		}
	})
	t.Cleanup(func() { cancel(); done.Wait() })
	return told
}

// next is the next thing that the bus tells.
func next(t *testing.T, told <-chan gaea.BusMessage) gaea.BusMessage {
	t.Helper()
	select {
	case m := <-told:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("the bus tells nothing")
		return gaea.BusMessage{}
	}
}

// describe writes a message of the bus in short.
func describe(m gaea.BusMessage) string {
	switch {
	case m.Event != nil:
		return m.Event.Tag
	case m.Connected:
		return "connected"
	case m.PassedOver:
		return "passed over"
	default:
		return string(gaea.CodeOf(m.Err))
	}
}

func expect(t *testing.T, told <-chan gaea.BusMessage, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := describe(next(t, told)); got != w {
			t.Fatalf("the bus tells %q, want %q", got, w)
		}
	}
}

func send(t *testing.T, conn net.Conn, messages ...[]byte) {
	t.Helper()
	for _, m := range messages {
		if _, err := conn.Write(m); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEventsComeInTheOrderOfTheBusInBothFramings(t *testing.T) {
	for name, framed := range map[string]func([]byte) []byte{"back to back": func(b []byte) []byte { return b }, "with lengths before": prefixed} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "")
			c := f.client(native.Options{})
			told := reading(t, c)
			expect(t, told, "connected")
			conn := f.reader()
			for i := range 500 {
				send(t, conn, framed(busEvent(t, fmt.Sprintf("my/%d", i), map[string]any{"n": i})))
			}
			for i := range 500 {
				expect(t, told, fmt.Sprintf("my/%d", i))
			}
			if s := c.Stats(); !s.Connected || s.Events != 500 || s.Connections != 1 || s.BadEvents != 0 || s.LastEvent.IsZero() || s.Bytes == 0 {
				t.Errorf("the counts are %+v", s)
			}
		})
	}
}

func TestEveryCapturedEventComesThroughTheSocket(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			f := newFake(t, "")
			told := reading(t, f.client(native.Options{}))
			expect(t, told, "connected")
			bodies, _, _ := read(bytes.NewReader(capture(t, version)), native.DefaultMaxFrame)
			send(t, f.reader(), capture(t, version))
			for _, body := range bodies {
				tag, _, _ := strings.Cut(body, "\n\n")
				expect(t, told, tag)
			}
		})
	}
}

func TestALostLinkIsToldOnceAndMadeAgain(t *testing.T) {
	f := newFake(t, "")
	c := f.client(native.Options{})
	told := reading(t, c)
	expect(t, told, "connected")
	conn := f.reader()
	send(t, conn, busEvent(t, "one", nil))
	expect(t, told, "one")
	f.closeBus()
	conn.Close()
	lost := next(t, told)
	if gaea.CodeOf(lost.Err) != gaea.CodeUnavailable || !strings.Contains(lost.Err.Error(), "job cache") {
		t.Fatalf("the bus tells %+v", lost)
	}
	down := next(t, told)
	if gaea.CodeOf(down.Err) != gaea.CodeUnavailable || !strings.Contains(gaea.MessageOf(down.Err), "master_event_pub.ipc") || !strings.Contains(gaea.MessageOf(down.Err), "start salt-master") {
		t.Fatalf("the bus tells %+v", down)
	}
	if c.Stats().Connected {
		t.Error("the counts say that it is connected")
	}
	f.openBus()
	expect(t, told, "connected") // and nothing in between, however often it was tried
	send(t, f.reader(), busEvent(t, "two", nil))
	expect(t, told, "two")
	if s := c.Stats(); s.Connections != 2 || !s.Connected {
		t.Errorf("the counts are %+v", s)
	}
}

func TestAMasterThatWasMovedIsFoundAgain(t *testing.T) {
	f := newFake(t, "")
	told := reading(t, f.client(native.Options{}))
	expect(t, told, "connected")
	conn := f.reader()
	f.closeBus()
	f.write("etc/salt/master.d/moved.conf", "sock_dir: /s")
	f.write("s/.keep", "")
	f.events = f.listen("unix", f.root+"/s/master_event_pub.ipc")
	f.serve(f.events, func(c net.Conn) { f.readers <- c })
	conn.Close()
	expect(t, told, "unavailable")
	for m := next(t, told); !m.Connected; m = next(t, told) {
		if m.Event != nil {
			t.Fatalf("the bus tells %+v", m)
		}
	}
}

func TestAStreamThatLostItsBordersIsALostLink(t *testing.T) {
	f := newFake(t, "")
	told := reading(t, f.client(native.Options{}))
	expect(t, told, "connected")
	send(t, f.reader(), slices.Concat(busEvent(t, "one", nil), []byte{0xc1}, busEvent(t, "two", nil)))
	expect(t, told, "one", "unavailable", "connected")
	send(t, f.reader(), busEvent(t, "three", nil))
	expect(t, told, "three")
}

func TestABadEventIsCountedLoggedOnceAMinuteAndPassedOver(t *testing.T) {
	f := newFake(t, "")
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	c := f.client(native.Options{
		MaxFrame: 4096,
		Logger:   slog.New(slog.NewTextHandler(&log, nil)),
		Now:      func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
	})
	told := reading(t, c)
	expect(t, told, "connected")
	conn := f.reader()
	bad := prefixed(message("my/bad\n\n\x81\xa1k"))
	send(t, conn, prefixed(busEvent(t, "one", nil)), bad, bad, prefixed(make([]byte, 5000)), prefixed([]byte{0x90}), prefixed(busEvent(t, "two", nil)))
	expect(t, told, "one", "passed over", "passed over", "two")
	mu.Lock()
	now = now.Add(61 * time.Second)
	mu.Unlock()
	send(t, conn, bad, prefixed(busEvent(t, "three", nil)))
	expect(t, told, "three")
	if s := c.Stats(); s.BadEvents != 3 || s.BadFrames != 2 || s.Events != 3 {
		t.Errorf("the counts are %+v", s)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "tag=my/bad") || !strings.Contains(lines[1], "others_since_last_log=3") {
		t.Errorf("the log is %q", lines)
	}
}

func TestReadingEndsWithItsContextWhateverTheSocketDoes(t *testing.T) {
	f := newFake(t, "")
	c := f.client(native.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.Read(ctx, func(m gaea.BusMessage) {
			if m.Connected {
				cancel()
			}
		})
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
	f.closeBus()
	if err := c.Read(ctx, func(m gaea.BusMessage) { t.Errorf("the bus tells %+v", m) }); err != nil {
		t.Error(err)
	}
}

func TestAnEventSocketOnAPortIsReadToo(t *testing.T) {
	f := newFake(t, "ipc_mode: tcp")
	l := f.listen("tcp", "127.0.0.1:0")
	defer l.Close()
	f.write("etc/salt/master.d/port.conf", fmt.Sprintf("tcp_master_pub_port: %d", port(l)))
	f.serve(l, func(c net.Conn) { f.readers <- c })
	told := reading(t, f.client(native.Options{}))
	expect(t, told, "connected")
	send(t, f.reader(), busEvent(t, "one", nil))
	expect(t, told, "one")
}

func TestAnEventSocketThatMayNotBeReadSaysHowToGrantIt(t *testing.T) {
	f := newFake(t, "")
	c := f.client(native.Options{})
	asNobody(t, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var told []gaea.BusMessage
		if err := c.Read(ctx, func(m gaea.BusMessage) { told = append(told, m); cancel() }); err != nil {
			t.Error(err)
		}
		if len(told) == 0 || gaea.CodeOf(told[0].Err) != gaea.CodeForbidden {
			t.Fatalf("the bus tells %+v", told)
		}
		for _, words := range []string{"master_event_pub.ipc", "group", "setfacl"} {
			if !strings.Contains(gaea.MessageOf(told[0].Err), words) {
				t.Errorf("%q is not in %q", words, gaea.MessageOf(told[0].Err))
			}
		}
	})
}

func TestAConfigurationThatCannotBeReadAgainLeavesTheOldOne(t *testing.T) {
	f := newFake(t, "")
	var log bytes.Buffer
	c := f.client(native.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	told := reading(t, c)
	expect(t, told, "connected")
	f.write("etc/salt/master.d/broken.conf", "a: [b")
	f.reader().Close()
	expect(t, told, "unavailable", "connected")
	if c.Config().RetPort != port(f.requests) {
		t.Errorf("the configuration is %+v", c.Config())
	}
	if !strings.Contains(log.String(), "broken.conf") {
		t.Errorf("the log is %q", log.String())
	}
}

func TestAReturnOfAnySizeIsReadInLittleMemoryAndWhatFollowsItToo(t *testing.T) {
	packed := msgp.AppendString(nil, strings.Repeat("x", 100<<20))
	tag := "salt/job/20260102030405000000/ret/web1"
	huge := msgp.AppendMapHeader([]byte(tag+"\n\n"), 4)
	huge = append(msgp.AppendString(huge, "return"), packed...)
	for _, pair := range [][2]string{{"id", "web1"}, {"jid", "20260102030405000000"}, {"fun", "cmd.run"}} {
		huge = msgp.AppendString(msgp.AppendString(huge, pair[0]), pair[1])
	}
	sum := sha256.Sum256(packed)
	frame := message(string(huge))
	for name, stream := range map[string][][]byte{
		"back to back":        {busEvent(t, "one", nil), frame, busEvent(t, "two", nil)},
		"with lengths before": {prefixed(busEvent(t, "one", nil)), prefixed(frame), prefixed(busEvent(t, "two", nil))},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "")
			told := reading(t, f.client(native.Options{}))
			expect(t, told, "connected")
			conn := f.reader()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			send(t, conn, stream...)
			expect(t, told, "one")
			m := next(t, told)
			runtime.ReadMemStats(&after)
			expect(t, told, "two")
			if taken := after.TotalAlloc - before.TotalAlloc; taken > 16<<20 {
				t.Errorf("%d bytes were allocated for a return of %d", taken, len(packed))
			}
			if m.Event == nil || m.Event.Tag != tag || m.Event.Truncated == nil {
				t.Fatalf("the bus tells %+v", m)
			}
			want := gaea.Truncation{Size: int64(len(packed)), SHA256: hex.EncodeToString(sum[:])}
			if *m.Event.Truncated != want || len(m.Event.Data) < 1000<<10 || len(m.Event.Data) > 2<<20 || !json.Valid(m.Event.Data) {
				t.Errorf("%d bytes are kept, and told is %+v, want %+v", len(m.Event.Data), *m.Event.Truncated, want)
			}
		})
	}
}

func TestAJobsEventIsReadWholeAlsoWhereItIsLargerThanAReturnMayBe(t *testing.T) {
	minions := make([]any, 1000)
	for i := range minions {
		minions[i] = fmt.Sprintf("minion%06d", i)
	}
	data := map[string]any{"fun": "test.ping", "jid": "20260102030405000000", "minions": minions}
	f := newFake(t, "")
	told := reading(t, f.client(native.Options{MaxReturn: 4096}))
	expect(t, told, "connected")
	send(t, f.reader(), busEvent(t, "salt/job/20260102030405000000/new", data), busEvent(t, "a/custom/one", data))
	job, custom := next(t, told).Event, next(t, told).Event
	if job == nil || job.Truncated != nil || !strings.Contains(string(job.Data), "minion000999") {
		t.Errorf("the job is %+v", job)
	}
	if custom == nil || custom.Truncated == nil || len(custom.Data) > 8192 || custom.Truncated.SHA256 == "" {
		t.Errorf("the custom event is %+v", custom)
	}
}

func TestAJobsEventOverTheBoundOnFramesIsToldAsPassedOver(t *testing.T) {
	f := newFake(t, "")
	told := reading(t, f.client(native.Options{MaxFrame: 4096, MaxReturn: 4096}))
	expect(t, told, "connected")
	data := map[string]any{"fun": "test.ping", "arg": strings.Repeat("x", 9000)}
	send(t, f.reader(), busEvent(t, "salt/job/20260102030405000000/new", data), busEvent(t, "two", nil))
	expect(t, told, "passed over", "two")
}
