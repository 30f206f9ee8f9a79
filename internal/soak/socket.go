package soak

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
)

// eventSocket is the name of the master's event socket.
const eventSocket = "master_event_pub.ipc"

// wire stands between a jobd and the master's event socket, and is cut when told.
type wire struct {
	listener net.Listener
	master   string

	mu    sync.Mutex
	conns map[net.Conn]bool
	ended sync.WaitGroup
}

func newWire(ctx context.Context, path, master string) (*wire, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	w := &wire{listener: l, master: master, conns: map[net.Conn]bool{}}
	w.ended.Go(func() { w.serve(ctx) })
	return w, nil
}

// serve takes connections until the wire is closed.
func (w *wire) serve(ctx context.Context) {
	for {
		conn, err := w.listener.Accept()
		if err != nil {
			return
		}
		up, err := (&net.Dialer{}).DialContext(ctx, "unix", w.master)
		if err != nil {
			_ = conn.Close() // as a master that is away
			continue
		}
		w.mu.Lock()
		w.conns[conn], w.conns[up] = true, true
		w.mu.Unlock()
		w.ended.Go(func() {
			_, _ = io.Copy(conn, up) // the socket only tells; it ends with either of them
			w.drop(conn, up)
		})
	}
}

func (w *wire) drop(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(w.conns, c)
	}
}

// cut breaks all connections. What was on its way is gone.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.Close()
	}
}

func (w *wire) close() error {
	err := w.listener.Close()
	w.cut()
	w.ended.Wait()
	return err
}

// wired is a copy of the master's configuration in which the event socket is one of our own.
func (s *stage) wired(ctx context.Context) (configDir string, w *wire, err error) {
	if configDir, err = os.MkdirTemp("", "gaea-soak-etc-"); err != nil {
		return "", nil, err
	}
	sockets := filepath.Join(filepath.Dir(s.Lab.SockDir()), "cut") // below the root_dir, as all that the master has
	if err = errors.Join(os.CopyFS(configDir, os.DirFS(s.Lab.ConfigDir())), os.MkdirAll(sockets, 0o700), os.RemoveAll(filepath.Join(sockets, eventSocket))); err == nil {
		err = appendTo(filepath.Join(configDir, "master"), "\nsock_dir: /var/run/salt/cut\n")
	}
	if err == nil {
		w, err = newWire(ctx, filepath.Join(sockets, eventSocket), filepath.Join(s.Lab.SockDir(), eventSocket))
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(configDir))
	}
	return configDir, w, nil
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// playSocket cuts the event socket again and again while jobs return.
func playSocket(ctx context.Context, s *stage) (err error) {
	configDir, w, err := s.wired(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(), os.RemoveAll(configDir)) }()
	cuts, between := 5, 300*time.Millisecond
	if s.long() {
		cuts, between = 60, time.Second
	}
	return s.troubled(ctx, jobdlab.Config{SaltConfigDir: configDir}, func(ctx context.Context, s *stage) error {
		t, err := s.newTraffic()
		if err != nil {
			return err
		}
		cutting, stop := context.WithCancel(ctx)
		defer stop()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range cuts {
				if pause(cutting, between) != nil {
					return
				}
				w.cut()
			}
		}()
		err = s.tellFor(ctx, t, time.Duration(cuts)*between, nil)
		stop()
		<-done
		if err != nil {
			return err
		}
		s.saw("the event socket was cut %d times in %d jobs", cuts, len(t.jids))
		t.events = nil // what is in no cache and falls into a cut is gone
		return s.intact(ctx, t)
	})
}
