package swarm

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"net"
	"time"
)

// wireVersion is the version of requests that today's masters want; to others they answer "bad load".
const wireVersion = 3

const (
	requestTimeout = 30 * time.Second // for the master's answer to a request
	requestTries   = 3
)

var (
	// errRefused says that the master answers with a word instead of doing what it was asked; signing in again may help.
	errRefused = errors.New("the master refuses the request")
	// errPending says that the master has the key and has not accepted it.
	errPending = errors.New("the master has not accepted this minion's key yet")
)

// exchange sends one message to the request port and returns the answer. Each request has a link of its own, as the jobs of a
// Salt 3006 minion have; so none is idle when a master goes away or pings.
func (s *Swarm) exchange(ctx context.Context, message []byte) (answer []byte, err error) {
	select {
	case s.requests <- struct{}{}:
		defer func() { <-s.requests }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conn, err := s.dial(ctx, s.opts.Master)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	l, err := newLink(conn, "REQ", s.large)
	if err == nil {
		err = l.request(message)
	}
	if err == nil {
		err = l.receive(func(frames [][]byte) error {
			answer = frames[len(frames)-1]
			return nil
		})
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // closed is what the link says of it
	}
	return answer, err
}

func (s *Swarm) dial(ctx context.Context, address string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", address)
}

// signIn is what a master answers to a sign-in.
type signIn struct {
	shared      *crypticle // what it publishes is under this key
	session     *crypticle // requests of this minion are under this one
	publishPort int
}

// signInRequest is a sign-in (salt/crypt.py, minion_sign_in_payload).
func signInRequest(id string, who *identity, nonce string) ([]byte, error) {
	return pack(map[string]any{
		"enc": "clear", "version": wireVersion,
		"load": map[string]any{
			"cmd": "_auth", "id": id, "nonce": nonce, "pub": string(who.public),
			"enc_algo": encryptionAlgorithm, "sig_algo": signingAlgorithm,
		},
	})
}

// readSignIn reads the answer to a sign-in. The answer is signed with the master's key, which it holds itself; trust is asked
// whether that key is the master's.
func readSignIn(answer []byte, who *identity, nonce string, trust func(pem string) (*rsa.PublicKey, error)) (*signIn, error) {
	wrapped, err := unpackAnswer(answer)
	if err != nil {
		return nil, err
	}
	if refused, ok := wrapped["load"].(map[string]any); ok {
		return nil, fmt.Errorf("%w: %v", errRefused, refused["ret"])
	}
	signed := []byte(text(wrapped, "load"))
	load, err := unpackMap(signed)
	if err != nil {
		return nil, fmt.Errorf("the answer to a sign-in: %w", err)
	}
	if pem := text(load, "pub_key"); pem != "" { // a refusal is signed, too, but brings no key to check that with
		key, err := trust(pem)
		if err != nil {
			return nil, err
		}
		if err := verify(key, text(wrapped, "sig_algo"), signed, []byte(text(wrapped, "sig"))); err != nil {
			return nil, err
		}
	}
	if text(load, "nonce") != nonce {
		return nil, errors.New("the answer to a sign-in belongs to another one: its nonce differs")
	}
	if ret, refused := load["ret"]; refused {
		if ret == true {
			return nil, errPending
		}
		return nil, fmt.Errorf("%w: %v (false: its key is rejected, or is not the one that was accepted for this id)", errRefused, ret)
	}
	return readKeys(load, who)
}

func readKeys(load map[string]any, who *identity) (*signIn, error) {
	port, _ := load["publish_port"].(int64)
	if port < 1 || port > 65535 {
		return nil, fmt.Errorf("the master names %v as its publish port", load["publish_port"])
	}
	in := &signIn{publishPort: int(port)}
	for field, into := range map[string]**crypticle{"aes": &in.shared, "session": &in.session} {
		plain, err := decryptOAEP(who.key, []byte(text(load, field)))
		if err != nil {
			return nil, err
		}
		if *into, err = parseCrypticle(plain); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// unpackAnswer reads what is not under a key: a map, or a word such as "bad load".
func unpackAnswer(answer []byte) (map[string]any, error) {
	v, err := unpack(answer)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case map[string]any:
		return v, nil
	case string:
		const shown = 100
		return nil, fmt.Errorf("%w: %.*q", errRefused, shown, v)
	default:
		return nil, errFormat
	}
}

// sealRequest makes a request of a load under a minion's session key (salt/channel/client.py, _package_load).
func sealRequest(session *crypticle, id string, who *identity, nonce string, now time.Time, load map[string]any) ([]byte, error) {
	full := maps.Clone(load)
	full["id"], full["nonce"], full["ts"], full["tok"] = id, nonce, now.Unix(), who.token
	plain, err := pack(full)
	if err != nil {
		return nil, err
	}
	box, err := session.seal("", plain)
	if err != nil {
		return nil, err
	}
	return pack(map[string]any{
		"enc": "aes", "id": id, "version": wireVersion, "load": box,
		"enc_algo": encryptionAlgorithm, "sig_algo": signingAlgorithm,
	})
}

// openAnswer opens the answer to a request: under the session key where all is well, a word in clear where it is not.
func openAnswer(session *crypticle, nonce string, answer []byte) (any, error) {
	v, err := unpack(answer)
	if err != nil {
		return nil, err
	}
	box, ok := v.(string)
	if !ok {
		return nil, errFormat
	}
	plain, err := session.open(nonce, []byte(box))
	if errors.Is(err, errNotAuthentic) {
		const shown = 100
		return nil, fmt.Errorf("%w: %.*q", errRefused, shown, box)
	}
	if err != nil {
		return nil, err
	}
	return unpack(plain)
}

// openPillar opens the answer to a request for a pillar, which is encrypted to the minion's own key and signed
// (salt/channel/client.py, crypted_transfer_decode_dictentry).
func openPillar(answer []byte, who *identity, master *rsa.PublicKey, nonce string) (map[string]any, error) {
	wrapped, err := unpackAnswer(answer)
	if err != nil {
		return nil, err
	}
	sealedKey := text(wrapped, "key")
	if sealedKey == "" {
		return nil, fmt.Errorf("%w: a pillar without a key", errRefused)
	}
	plainKey, err := decryptOAEP(who.key, []byte(sealedKey))
	if err != nil {
		return nil, err
	}
	key, err := parseCrypticle(plainKey)
	if err != nil {
		return nil, err
	}
	plain, err := key.open("", []byte(text(wrapped, "pillar")))
	if err != nil {
		return nil, err
	}
	signed, err := unpackMap(plain)
	if err != nil {
		return nil, err
	}
	data := []byte(text(signed, "data"))
	if err := verify(master, signingAlgorithm, data, []byte(text(signed, "sig"))); err != nil {
		return nil, err
	}
	content, err := unpackMap(data)
	if err != nil {
		return nil, err
	}
	if text(content, "nonce") != nonce || text(content, "key") != sealedKey {
		return nil, errors.New("a pillar belongs to another request: its nonce or key differs")
	}
	pillar, _ := content["pillar"].(map[string]any)
	return pillar, nil
}

// publication is one message of the publish socket, verified, and not yet opened.
type publication struct{ box []byte }

// readPublication takes a message of the publish socket apart and verifies it. With filtering (zmq_filtering) a topic stands
// before it.
func readPublication(frames [][]byte, master *rsa.PublicKey) (publication, error) {
	if len(frames) == 0 || len(frames) > 2 {
		return publication{}, errFormat
	}
	wrapped, err := unpackMap(frames[len(frames)-1])
	if err != nil {
		return publication{}, err
	}
	if enc := text(wrapped, "enc"); enc != "aes" {
		return publication{}, fmt.Errorf("a publication is %q instead of encrypted", enc)
	}
	box := []byte(text(wrapped, "load"))
	if err := verify(master, text(wrapped, "sig_algo"), box, []byte(text(wrapped, "sig"))); err != nil {
		return publication{}, err
	}
	return publication{box: box}, nil
}

// told is what a publication says: a job, and for whom.
type told struct {
	jid, fun, user string
	args           []any
	kind           string // of the target
	target         any
	metadata       any
	serial         int64
}

// open decrypts a publication. The error is errNotAuthentic where the master has another key by now.
func (p publication) open(shared *crypticle) (told, error) {
	plain, err := shared.open("", p.box)
	if err != nil {
		return told{}, err
	}
	return readTold(plain)
}

func readTold(plain []byte) (told, error) {
	load, err := unpackMap(plain)
	if err != nil {
		return told{}, err
	}
	t := told{
		jid: text(load, "jid"), fun: text(load, "fun"), user: text(load, "user"),
		kind: text(load, "tgt_type"), target: load["tgt"], metadata: load["metadata"],
	}
	t.serial, _ = load["serial"].(int64)
	args, ok := load["arg"].([]any)
	if !ok || t.jid == "" || t.fun == "" || t.target == nil {
		return told{}, errors.New("a publication is no job of one function: it lacks jid, fun, arg or tgt")
	}
	t.args = args
	return t, nil
}
