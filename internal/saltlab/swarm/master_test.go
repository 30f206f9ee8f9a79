package swarm_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

// master is a small Salt master: it accepts every minion, checks what a real one checks, and publishes to all.
type master struct {
	t       *testing.T
	key     *rsa.PrivateKey
	request net.Listener
	publish net.Listener
	work    sync.WaitGroup

	mu      sync.Mutex
	shared  string // base64
	session map[string]string
	keys    map[string]*rsa.PublicKey
	grains  map[string]map[string]any
	subs    map[net.Conn]bool
	conns   map[net.Conn]bool
	loads   []map[string]any // what minions asked and sent, but sign-ins and pillars
	signIns map[string]int
	pending bool // it has accepted nobody yet
	unsign  bool // its publications are signed by somebody else
	serial  int
	pongs   int
	closed  bool
}

var masterKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newMaster(t *testing.T) *master {
	t.Helper()
	m := &master{
		t: t, key: masterKey(), shared: newKey(), session: map[string]string{}, keys: map[string]*rsa.PublicKey{},
		grains: map[string]map[string]any{}, subs: map[net.Conn]bool{}, conns: map[net.Conn]bool{}, signIns: map[string]int{},
	}
	m.request, m.publish = listen(t), listen(t)
	m.work.Go(func() { m.accept(m.request, m.serveRequest) })
	m.work.Go(func() { m.accept(m.publish, m.serveSubscriber) })
	t.Cleanup(m.close)
	return m
}

func newKey() string {
	raw := make([]byte, 24+32)
	_, _ = rand.Read(raw)
	return base64.StdEncoding.EncodeToString(raw)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (m *master) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.request.Close()
	m.publish.Close()
	m.drop()
	m.work.Wait()
}

// drop cuts all links, as a restart does.
func (m *master) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for conn := range m.conns {
		conn.Close()
	}
}

func (m *master) accept(l net.Listener, serve func(net.Conn) error) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		m.conns[conn] = true
		closed := m.closed
		m.mu.Unlock()
		m.work.Go(func() {
			defer func() {
				conn.Close()
				m.mu.Lock()
				defer m.mu.Unlock()
				delete(m.conns, conn)
				delete(m.subs, conn)
			}()
			if closed {
				return
			}
			if err := serve(conn); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrUnexpectedEOF) && !isReset(err) {
				m.t.Errorf("the master: %v", err)
			}
		})
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// shake is the handshake of a socket of this type, with the frames that libzmq sends.
func shake(conn net.Conn, socket string) error {
	hello := make([]byte, 64)
	hello[0], hello[9], hello[10], hello[11] = 0xff, 0x7f, 3, 1
	copy(hello[12:], "NULL")
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, hello); err != nil {
		return err
	}
	if hello[10] != 3 || string(hello[12:16]) != "NULL" {
		return fmt.Errorf("a minion greets with %x", hello)
	}
	ready := []byte("\x05READY\x0bSocket-Type\x00\x00\x00")
	ready = append(append(ready, byte(len(socket))), socket...)
	if err := writeFrame(conn, 4, ready); err != nil {
		return err
	}
	flags, body, err := readFrame(conn)
	if err == nil && (flags != 4 || !bytes.HasPrefix(body, []byte("\x05READY"))) {
		err = fmt.Errorf("a minion is ready with %q", body)
	}
	return err
}

func writeFrame(conn net.Conn, flags byte, body []byte) error {
	head := []byte{flags, byte(len(body))}
	if len(body) > 255 {
		head = binary.BigEndian.AppendUint64([]byte{flags | 2}, uint64(len(body)))
	}
	_, err := conn.Write(append(head, body...))
	return err
}

func readFrame(conn net.Conn) (flags byte, body []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(conn, head[:2]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1])
	if head[0]&2 != 0 {
		if _, err := io.ReadFull(conn, head[2:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(head[1:])
	}
	body = make([]byte, size)
	_, err = io.ReadFull(conn, body)
	return head[0] &^ 2, body, err
}

func (m *master) serveSubscriber(conn net.Conn) error {
	if err := shake(conn, "PUB"); err != nil {
		return err
	}
	for {
		flags, body, err := readFrame(conn)
		if err != nil {
			return err
		}
		switch {
		case flags == 0 && string(body) == "\x01":
			m.mu.Lock()
			m.subs[conn] = true
			m.mu.Unlock()
		case flags == 4 && bytes.HasPrefix(body, []byte("\x04PING")):
			if err := writeFrame(conn, 4, append([]byte("\x04PONG"), body[7:]...)); err != nil {
				return err
			}
		case flags == 4 && string(body) == "\x04PONGctx":
			m.mu.Lock()
			m.pongs++
			m.mu.Unlock()
		default:
			return fmt.Errorf("a subscriber says %d %q", flags, body)
		}
	}
}

// toSubscribers sends a frame to all subscribers.
func (m *master) toSubscribers(flags byte, frames ...[]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for conn := range m.subs {
		for i, frame := range frames {
			more := flags
			if i < len(frames)-1 {
				more |= 1
			}
			_ = writeFrame(conn, more, frame) // one that has gone
		}
	}
}

func (m *master) serveRequest(conn net.Conn) error {
	if err := shake(conn, "ROUTER"); err != nil {
		return err
	}
	flags, body, err := readFrame(conn)
	if err != nil {
		return err
	}
	if flags != 1 || len(body) != 0 {
		return fmt.Errorf("a request begins with %d %q", flags, body)
	}
	if _, body, err = readFrame(conn); err != nil {
		return err
	}
	answer, err := m.answer(body)
	if err != nil {
		return err
	}
	if err := writeFrame(conn, 1, nil); err != nil {
		return err
	}
	if err := writeFrame(conn, 0, answer); err != nil {
		return err
	}
	_, _, err = readFrame(conn) // until the minion closes
	return err
}

func (m *master) answer(body []byte) ([]byte, error) {
	v, err := swarm.Unpack(body)
	if err != nil {
		return nil, err
	}
	envelope := asMap(v)
	if envelope["version"] != int64(3) {
		return swarm.Pack("bad load")
	}
	if envelope["enc"] == "clear" {
		return m.signIn(asMap(envelope["load"]))
	}
	return m.sealed(envelope)
}

func (m *master) signIn(load map[string]any) ([]byte, error) {
	id := asText(load["id"])
	reply := map[string]any{"nonce": load["nonce"]}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pending {
		reply["ret"] = true
		return m.signed(reply)
	}
	block, _ := pem.Decode([]byte(asText(load["pub"])))
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("minion %s brings a key of type %T", id, parsed)
	}
	m.keys[id] = key
	if m.session[id] == "" {
		m.session[id] = newKey()
	}
	m.signIns[id]++
	_, name, err := net.SplitHostPort(m.publish.Addr().String())
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(name)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&m.key.PublicKey)
	if err != nil {
		return nil, err
	}
	reply["enc"], reply["publish_port"] = "pub", port
	reply["pub_key"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if reply["aes"], err = oaep(m.keys[id], m.shared); err == nil {
		reply["session"], err = oaep(m.keys[id], m.session[id])
	}
	if err != nil {
		return nil, err
	}
	return m.signed(reply)
}

func oaep(key *rsa.PublicKey, text string) ([]byte, error) {
	return rsa.EncryptOAEP(sha1.New(), rand.Reader, key, []byte(text), nil)
}

func (m *master) sign(key *rsa.PrivateKey, message []byte) ([]byte, error) {
	sum := sha1.Sum(message)
	return rsa.SignPKCS1v15(nil, key, crypto.SHA1, sum[:])
}

func (m *master) signed(load map[string]any) ([]byte, error) {
	packed, err := swarm.Pack(load)
	if err != nil {
		return nil, err
	}
	sig, err := m.sign(m.key, packed)
	if err != nil {
		return nil, err
	}
	return swarm.Pack(map[string]any{"enc": "clear", "load": packed, "sig": sig})
}

// sealed answers a request under a session key, as far as it proves who sends it.
func (m *master) sealed(envelope map[string]any) ([]byte, error) {
	id := asText(envelope["id"])
	m.mu.Lock()
	defer m.mu.Unlock()
	box, err := swarm.ParseBox([]byte(m.session[id]))
	if err != nil {
		return swarm.Pack("bad load")
	}
	plain, err := box.Open("", []byte(asText(envelope["load"])))
	if err != nil {
		return swarm.Pack("bad load")
	}
	v, err := swarm.Unpack(plain)
	if err != nil {
		return nil, err
	}
	load := asMap(v)
	if load["id"] != id || !ownsKey(m.keys[id], []byte(asText(load["tok"]))) {
		return nil, fmt.Errorf("minion %s does not prove that it is: %v", id, load)
	}
	nonce := asText(load["nonce"])
	if load["cmd"] == "_pillar" {
		m.grains[id] = asMap(load["grains"])
		return m.pillar(id, nonce)
	}
	m.loads = append(m.loads, load)
	nothing, err := swarm.Pack(nil)
	if err != nil {
		return nil, err
	}
	answer, err := box.Seal(nonce, nothing)
	if err != nil {
		return nil, err
	}
	return swarm.Pack(answer)
}

// ownsKey checks a token as OpenSSL does: raised to the public exponent it is the word in X9.31's padding, or what is left of
// the modulus.
func ownsKey(key *rsa.PublicKey, token []byte) bool {
	plain := new(big.Int).Exp(new(big.Int).SetBytes(token), big.NewInt(int64(key.E)), key.N)
	if new(big.Int).And(plain, big.NewInt(0xf)).Int64() != 0xc {
		plain.Sub(key.N, plain)
	}
	padded := plain.FillBytes(make([]byte, key.Size()))
	return padded[0] == 0x6b && bytes.HasSuffix(padded, []byte("\xbb\xbasalt\xcc"))
}

func (m *master) pillar(id, nonce string) ([]byte, error) {
	key := newKey()
	sealedKey, err := oaep(m.keys[id], key)
	if err != nil {
		return nil, err
	}
	data, err := swarm.Pack(map[string]any{"key": sealedKey, "nonce": nonce, "pillar": map[string]any{"tier": "gold", "of": id}})
	if err != nil {
		return nil, err
	}
	sig, err := m.sign(m.key, data)
	if err != nil {
		return nil, err
	}
	plain, err := swarm.Pack(map[string]any{"data": data, "sig": sig})
	if err != nil {
		return nil, err
	}
	box, err := swarm.ParseBox([]byte(key))
	if err != nil {
		return nil, err
	}
	sealed, err := box.Seal("", plain)
	if err != nil {
		return nil, err
	}
	return swarm.Pack(map[string]any{"key": sealedKey, "pillar": sealed})
}

// tell publishes a job to a glob of minions.
func (m *master) tell(jid, glob, fun string, args ...any) {
	m.publishLoad(map[string]any{"tgt": glob, "tgt_type": "glob", "jid": jid, "fun": fun, "arg": append([]any{}, args...)})
}

func (m *master) publishLoad(load map[string]any) {
	m.t.Helper()
	m.mu.Lock()
	m.serial++
	full := map[string]any{"serial": m.serial, "user": "root", "ret": ""}
	maps.Copy(full, load)
	signer, shared := m.key, m.shared
	if m.unsign {
		signer = stranger()
	}
	m.mu.Unlock()
	plain, err := swarm.Pack(full)
	if err != nil {
		m.t.Fatal(err)
	}
	box, err := swarm.ParseBox([]byte(shared))
	if err != nil {
		m.t.Fatal(err)
	}
	sealed, err := box.Seal("", plain)
	if err != nil {
		m.t.Fatal(err)
	}
	sig, err := m.sign(signer, sealed)
	if err != nil {
		m.t.Fatal(err)
	}
	message, err := swarm.Pack(map[string]any{"enc": "aes", "load": sealed, "sig": sig, "sig_algo": "PKCS1v15-SHA1"})
	if err != nil {
		m.t.Fatal(err)
	}
	m.toSubscribers(0, message)
}

var stranger = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// rotate gives the master a new key to publish with.
func (m *master) rotate() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shared = newKey()
}

// forgetSessions gives it new session keys.
func (m *master) forgetSessions() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.session {
		m.session[id] = newKey()
	}
}

func (m *master) with(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do()
}

// returns are those that came for a job, by minion.
func (m *master) returns(jid string) map[string][]map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string][]map[string]any{}
	for _, load := range m.loads {
		if load["cmd"] == "_return" && load["jid"] == jid {
			id := asText(load["id"])
			found[id] = append(found[id], load)
		}
	}
	return found
}

// events are the tags of the events that minions fired.
func (m *master) events() (tags []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, load := range m.loads {
		if tag, ok := load["tag"].(string); ok {
			tags = append(tags, tag)
		}
		list, _ := load["events"].([]any)
		for _, event := range list {
			tags = append(tags, asText(asMap(event)["tag"]))
		}
	}
	return tags
}

// only is the return of the one minion that was asked.
func (m *master) only(jid, id string) any {
	m.t.Helper()
	return m.load(jid, id)["return"]
}

func (m *master) load(jid, id string) map[string]any {
	m.t.Helper()
	eventually(m.t, id+" returns job "+jid, func() bool { return len(m.returns(jid)[id]) > 0 })
	return m.returns(jid)[id][0]
}
