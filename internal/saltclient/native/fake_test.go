package native_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
)

// fake is a master that answers requests as a test says and sends events when told. Its configuration, key and sockets lie
// where a master's would.
type fake struct {
	tb   testing.TB
	root string

	mu     sync.Mutex
	answer func(load map[string]any) any // nil hangs up
	loads  []map[string]any

	requests net.Listener
	events   net.Listener
	readers  chan net.Conn // those who connected to the event socket
	work     sync.WaitGroup
}

// newFake starts one whose configuration is the given lines beside root_dir and ret_port.
func newFake(tb testing.TB, config string) *fake {
	tb.Helper()
	root, err := os.MkdirTemp("", "gaea-native-") // short: there is a socket in it
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(root) })
	f := &fake{tb: tb, root: root, readers: make(chan net.Conn, 16)}
	f.requests = f.listen("tcp", "127.0.0.1:0")
	f.write("etc/salt/master", fmt.Sprintf("root_dir: %s\nret_port: %d\n%s\n", root, port(f.requests), config))
	f.write("var/cache/salt/master/.root_key", "secret-key\n")
	f.openBus()
	f.serve(f.requests, f.serveRequest)
	tb.Cleanup(func() {
		f.requests.Close()
		f.closeBus()
		f.work.Wait()
	})
	return f
}

func (f *fake) listen(network, addr string) net.Listener {
	f.tb.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		f.tb.Fatal(err)
	}
	return l
}

// port is the port that a listener on loopback listens on.
func port(l net.Listener) int {
	if addr, ok := l.Addr().(*net.TCPAddr); ok {
		return addr.Port
	}
	return 0
}

func (f *fake) serve(l net.Listener, handle func(net.Conn)) {
	f.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.work.Go(func() { handle(conn) })
		}
	})
}

func (f *fake) openBus() {
	f.tb.Helper()
	f.write("var/run/salt/master/.keep", "")
	f.events = f.listen("unix", filepath.Join(f.root, "var/run/salt/master/master_event_pub.ipc"))
	f.serve(f.events, func(c net.Conn) { f.readers <- c })
}

func (f *fake) closeBus() {
	f.events.Close()
	for {
		select {
		case c := <-f.readers:
			c.Close()
		default:
			return
		}
	}
}

// reader is the next one who has connected to the event socket.
func (f *fake) reader() net.Conn {
	f.tb.Helper()
	select {
	case c := <-f.readers:
		f.tb.Cleanup(func() { c.Close() })
		return c
	case <-time.After(10 * time.Second):
		f.tb.Fatal("nobody connected to the event socket")
		return nil
	}
}

func (f *fake) serveRequest(conn net.Conn) {
	defer conn.Close()
	link, err := zmq4.Open(conn, null.Security(), zmq4.Rep, nil, true, nil)
	if err != nil {
		return
	}
	msg, err := link.RecvMsg()
	if err != nil {
		return
	}
	var request struct {
		Enc     string
		Version int
		Load    map[string]any
	}
	packed, _, err := saltclient.AppendJSON(nil, msg.Frames[len(msg.Frames)-1], saltclient.Limits{})
	if err == nil {
		err = json.Unmarshal(packed, &request)
	}
	if err != nil || request.Enc != "clear" || request.Version != 3 {
		f.tb.Errorf("the request %s is none, error %v", packed, err)
		return
	}
	f.mu.Lock()
	f.loads = append(f.loads, request.Load)
	answer := f.answer
	f.mu.Unlock()
	if answer == nil {
		return
	}
	reply := answer(request.Load)
	if reply == nil {
		return
	}
	if b, ok := reply.([]byte); ok { // to be sent as it is
		_, _ = conn.Write(b)
		return
	}
	_ = link.SendCmd("PING", []byte{0, 0}) // masters do, when they feel like it
	b, err := native.AppendValue(reply)
	if err != nil {
		f.tb.Error(err)
		return
	}
	_ = link.SendMsg(zmq4.NewMsgFrom(nil, b))
	_, _ = link.RecvMsg() // until the client hangs up, or its PONG
}

// answers makes the fake answer every request like that.
func (f *fake) answers(answer func(load map[string]any) any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// asked returns the loads of all requests.
func (f *fake) asked() []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.loads
}

// write puts a file below the fake's root.
func (f *fake) write(path, content string) {
	f.tb.Helper()
	full := filepath.Join(f.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		f.tb.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
		f.tb.Fatal(err)
	}
}

// dir is the directory with the fake's configuration.
func (f *fake) dir() string { return filepath.Join(f.root, "etc/salt") }

// client makes a client of the fake.
func (f *fake) client(opts native.Options) *native.Client {
	f.tb.Helper()
	opts.ConfigDir = f.dir()
	c, err := native.New(opts)
	if err != nil {
		f.tb.Fatal(err)
	}
	return c
}

// event is a message of the event socket.
func busEvent(tb testing.TB, tag string, data map[string]any) []byte {
	tb.Helper()
	b, err := native.AppendValue(data)
	if err != nil {
		tb.Fatal(err)
	}
	return message(tag + "\n\n" + string(b))
}

// asNobody runs do as a user who may read nothing that is not everybody's.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		do()
		return
	}
	// Of this thread alone, which goes back to being root's afterwards.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody, keep = 65534, ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, nobody, keep); errno != 0 {
		t.Fatal(errno)
	}
	defer func() {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, 0, keep); errno != 0 {
			panic("the thread stays nobody's: " + errno.Error())
		}
	}()
	do()
}

// open lets everybody read a path below the fake's root.
func (f *fake) open(path string) { f.mode(path, 0o755) }

func (f *fake) mode(path string, mode os.FileMode) {
	f.tb.Helper()
	if err := os.Chmod(filepath.Join(f.root, path), mode); err != nil {
		f.tb.Fatal(err)
	}
}
