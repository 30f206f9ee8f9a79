package archive

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Sealer keeps secrets unreadable in the database, and tells whether two are equal without storing them.
type Sealer interface {
	// Seal encrypts and authenticates; sealing the same twice gives different bytes.
	Seal(plain []byte) ([]byte, error)
	// Open returns what was sealed. CodeUnavailable where it was sealed with another key, or was altered.
	Open(sealed []byte) ([]byte, error)
	// Digest is a keyed digest in hex: equal for equal parts, and worth nothing to somebody without the key. The borders
	// between the parts count.
	Digest(parts ...[]byte) string
}

// KeySize is the length of the secret that keys are derived from, in bytes.
const KeySize = 32

// sealVersion is the first byte of everything sealed: AES-256-GCM with a random nonce before the ciphertext.
const sealVersion = 1

// Each use has a key of its own, so that what is learnt from one says nothing about the other.
const (
	sealInfo   = "gaea archive seal v1"
	digestInfo = "gaea archive digest v1"
)

// keys implements [Sealer] with keys derived from one secret by HKDF-SHA256.
type keys struct {
	aead   cipher.AEAD
	digest []byte
	origin string // where the secret is kept, for messages
}

func newKeys(secret []byte, origin string) (*keys, error) {
	sealKey, err := hkdf.Key(sha256.New, secret, nil, sealInfo, KeySize)
	if err != nil {
		return nil, err
	}
	digestKey, err := hkdf.Key(sha256.New, secret, nil, digestInfo, KeySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &keys{aead: aead, digest: digestKey, origin: origin}, nil
}

// Seal implements [Sealer].
func (k *keys) Seal(plain []byte) ([]byte, error) {
	return k.aead.Seal([]byte{sealVersion}, nil, plain, []byte{sealVersion}), nil
}

// Open implements [Sealer].
func (k *keys) Open(sealed []byte) ([]byte, error) {
	err := errors.New("unknown form")
	if len(sealed) > 0 && sealed[0] == sealVersion {
		var plain []byte
		if plain, err = k.aead.Open(nil, nil, sealed[1:], sealed[:1]); err == nil {
			return plain, nil
		}
	}
	return nil, gaea.Wrap(err, gaea.CodeUnavailable,
		"a secret in the database was sealed with another key than the one in %s; put the key file back that belongs to this database", k.origin)
}

// Digest implements [Sealer].
func (k *keys) Digest(parts ...[]byte) string {
	mac := hmac.New(sha256.New, k.digest)
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		mac.Write(size[:])
		mac.Write(p)
	}
	return hex.EncodeToString(mac.Sum(nil))
}
