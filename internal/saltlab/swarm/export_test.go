package swarm

import (
	"crypto/rsa"
	"net"
)

// What the tests of this package look at beyond its face: they play the master, which needs the other half of each codec.

// Box is a symmetric key of Salt's.
type Box = crypticle

// ParseBox reads one.
func ParseBox(text []byte) (*Box, error) { return parseCrypticle(text) }

// Seal encrypts packed msgpack.
func (c *crypticle) Seal(nonce string, packed []byte) ([]byte, error) { return c.seal(nonce, packed) }

// Open is its other half.
func (c *crypticle) Open(nonce string, box []byte) ([]byte, error) { return c.open(nonce, box) }

// ErrNotAuthentic is what a message under another key fails with.
var ErrNotAuthentic = errNotAuthentic

// Pack, Unpack and Token are the codec's parts.
var (
	Pack     = pack
	Unpack   = unpack
	Token    = token
	Glob     = glob
	WrongJID = wrongJID
)

// Meant says whether a target means a minion.
func Meant(id string, grains, pillar map[string]any, kind string, tgt any) bool {
	return self{id: id, grains: grains, pillar: pillar}.meant(kind, tgt)
}

// ReadPublication reads and opens a publication.
func ReadPublication(frames [][]byte, master *rsa.PublicKey, shared *Box) (jid, fun string, err error) {
	p, err := readPublication(frames, master)
	if err != nil {
		return "", "", err
	}
	t, err := p.open(shared)
	return t.jid, t.fun, err
}

// ReadTold reads the plain text of a publication.
func ReadTold(plain []byte) error {
	_, err := readTold(plain)
	return err
}

// ReadAnswers reads an answer as one to each kind of request, and trusts whatever key it brings.
func ReadAnswers(answer []byte, key *rsa.PrivateKey, session *Box, nonce string) {
	who := &identity{key: key}
	_, _ = readSignIn(answer, who, nonce, func(text string) (*rsa.PublicKey, error) { return parsePublicKey([]byte(text)) })
	_, _ = openAnswer(session, nonce, answer)
	_, _ = openPillar(answer, who, &key.PublicKey, nonce)
}

// ReadFrames shakes hands as a SUB socket and reads messages until the connection ends.
func ReadFrames(conn net.Conn) (messages int, err error) {
	l, err := newLink(conn, "SUB", nil)
	for err == nil {
		err = l.receive(func([][]byte) error {
			messages++
			return nil
		})
	}
	return messages, err
}

// Inspect reads a script as a question for processes.
func Inspect(script string) (jid string, sweep, kill bool, noted map[string][]string, ok bool) {
	asked, ok := parseInspection(script)
	return asked.jid, asked.sweep, asked.kill, asked.noted, ok
}

// Busy is how many jobs a minion runs, with those whose returns are on their way.
func (s *Swarm) Busy(id string) int {
	m := s.byID[id]
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.busy
}

// Locked says whether a state run has a minion's lock.
func (s *Swarm) Locked(id string) bool { return len(s.byID[id].states) > 0 }
