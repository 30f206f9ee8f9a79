package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// bus is an event socket that speaks as a 3008 master does and sends state returns as fast as it is read, or at a rate. The
// configuration beside it is all that jobd needs of a master to archive.
type bus struct {
	configDir string
	listener  net.Listener
	template  []byte // one message, as a real master framed it
}

// newBus makes a master's directories below dir, without a master.
func newBus(ctx context.Context, dir string) (*bus, error) {
	config, sock, cache := filepath.Join(dir, "etc"), filepath.Join(dir, "run"), filepath.Join(dir, "cache")
	for _, d := range []string{config, sock, filepath.Join(cache, "jobs")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	text := fmt.Sprintf("id: bench_master\nsock_dir: %s\ncachedir: %s\nret_port: 1\npublish_port: 2\n", sock, cache)
	if err := errors.Join(
		os.WriteFile(filepath.Join(config, "master"), []byte(text), 0o600),
		os.WriteFile(filepath.Join(cache, ".root_key"), []byte("unused"), 0o600),
	); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", filepath.Join(sock, "master_event_pub.ipc"))
	if err != nil {
		return nil, err
	}
	return &bus{configDir: config, listener: l, template: stateReturn()}, nil
}

func (b *bus) close() error { return b.listener.Close() }

// send waits for a reader and sends count returns, perSecond of them (0: without a pause). It returns when all are written.
func (b *bus) send(ctx context.Context, count, perSecond int) error {
	conn, err := b.listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := b.write(ctx, conn, count, perSecond); err != nil {
		return err
	}
	// Stay connected until the caller has what it wants.
	<-ctx.Done()
	return nil
}

// write sends count returns to a reader, perSecond of them (0: without a pause).
func (b *bus) write(ctx context.Context, conn net.Conn, count, perSecond int) error {
	start := time.Now()
	const chunk = 10
	var out bytes.Buffer
	for sent := 0; sent < count; sent += chunk {
		if perSecond > 0 {
			due := start.Add(time.Duration(sent) * time.Second / time.Duration(perSecond))
			if err := wait(ctx, time.Until(due)); err != nil {
				return err
			}
		}
		out.Reset()
		for i := range min(chunk, count-sent) {
			b.append(&out, sent+i)
		}
		if _, err := conn.Write(out.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Each message is the template with another job id, minion, stamp and serial number of the same lengths in it. The number
// stands in a state's comment, so that no two returns have the same content: an archive that stores equal content once has
// nothing to save.
const (
	placeJID    = "20000101000000000000"
	placeMinion = "minion0000"
	placeStamp  = "2000-01-01T00:00:00.000000+00:00"
	placeSerial = "serial-000000000000"
	perJob      = 50 // minions a job
)

func (b *bus) append(out *bytes.Buffer, n int) {
	m := bytes.Clone(b.template)
	now := time.Now().UTC()
	m = bytes.ReplaceAll(m, []byte(placeJID), fmt.Appendf(nil, "20260101%012d", n/perJob))
	m = bytes.ReplaceAll(m, []byte(placeMinion), fmt.Appendf(nil, "minion%04d", n%perJob))
	m = bytes.ReplaceAll(m, []byte(placeStamp), []byte(now.Format("2006-01-02T15:04:05.000000")+"+00:00"))
	m = bytes.ReplaceAll(m, []byte(placeSerial), fmt.Appendf(nil, "serial-%012d", n))
	out.Write(m)
}

// stateReturn is a return of a state run of six states, all in the correct state, about 1.5 kB, framed.
func stateReturn() []byte {
	var states packer
	const count = 6
	states.mapOf(count)
	for i := range count {
		path := fmt.Sprintf("/srv/app/conf.d/%02d-site.conf", i)
		states.text("file_|-" + path + "_|-" + path + "_|-managed")
		states.mapOf(7)
		states.pair("name", path)
		states.text("changes")
		states.mapOf(0)
		states.text("result")
		states.raw(0xc3) // true
		states.pair("comment", "The file "+path+" is in the correct state, "+placeSerial)
		states.pair("__sls__", "app.sites")
		states.text("__run_num__")
		states.raw(byte(i))
		states.pair("__id__", path)
	}
	return frameReturn(placeJID, placeMinion, "state.apply", placeStamp, states.b, "app.sites")
}

// frameReturn is a return of a function with string arguments, whose value is packed already, as a 3008 master frames it: the
// msgpack map {"head": {}, "body": TAG + "\n\n" + msgpack map}.
func frameReturn(jid, minion, function, stamp string, packed []byte, args ...string) []byte {
	var body packer
	body.raw([]byte("salt/job/" + jid + "/ret/" + minion + "\n\n")...)
	body.mapOf(9)
	body.pair("cmd", "_return")
	body.pair("id", minion)
	body.pair("jid", jid)
	body.pair("fun", function)
	body.text("fun_args")
	body.raw(0x90 | byte(len(args))) // a list of up to 15
	for _, arg := range args {
		body.text(arg)
	}
	body.text("retcode")
	body.raw(0)
	body.text("success")
	body.raw(0xc3)
	body.pair("_stamp", stamp)
	body.text("return")
	body.raw(packed...)
	var frame packer
	frame.mapOf(2)
	frame.text("head")
	frame.mapOf(0)
	frame.text("body")
	frame.bin(body.b)
	return frame.b
}

// packer writes the little msgpack that a message needs; the format is at https://msgpack.org.
type packer struct{ b []byte }

func (p *packer) raw(b ...byte) { p.b = append(p.b, b...) }
func (p *packer) mapOf(n byte)  { p.raw(0x80 | n) } // up to 15 keys

func (p *packer) text(s string) {
	if len(s) < 32 {
		p.raw(0xa0 | byte(len(s)))
	} else {
		p.raw(0xd9, byte(len(s))) // up to 255 bytes
	}
	p.raw([]byte(s)...)
}

func (p *packer) pair(key, value string) { p.text(key); p.text(value) }

func (p *packer) bin(b []byte) {
	if len(b) < 1<<16 {
		p.raw(0xc5, byte(len(b)>>8), byte(len(b)))
	} else {
		p.b = binary.BigEndian.AppendUint32(append(p.b, 0xc6), uint32(len(b)))
	}
	p.raw(b...)
}
