package swarm

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what Salt's default algorithms are made of
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// The algorithms that a minion names to its master, Salt's defaults (salt/crypt.py, OAEP_SHA1 and PKCS1v15_SHA1).
const (
	encryptionAlgorithm = "OAEP-SHA1"
	signingAlgorithm    = "PKCS1v15-SHA1"
)

// What a symmetric key and a message under it are made of (salt/crypt.py, class Crypticle).
const (
	aesKeySize  = 24
	macKeySize  = sha256.Size
	nonceSize   = 32
	picklePad   = "pickle::"
	smallestBox = 2*aes.BlockSize + sha256.Size // an initialization vector, a block, a MAC
)

// errNotAuthentic says that a message was not made with the key that it was opened with. Minions sign in again then.
var errNotAuthentic = errors.New("the message does not verify under this key")

// crypticle is a symmetric key of Salt's: AES-192-CBC, and HMAC-SHA256 over the vector and the ciphertext.
type crypticle struct {
	block  cipher.Block
	mac    []byte
	random io.Reader
}

// parseCrypticle reads a key as masters send it: base64 of the AES key and the MAC's.
func parseCrypticle(text []byte) (*crypticle, error) {
	key, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return nil, fmt.Errorf("a key is not base64: %w", err)
	}
	if len(key) != aesKeySize+macKeySize {
		return nil, fmt.Errorf("a key has %d bytes instead of %d", len(key), aesKeySize+macKeySize)
	}
	block, err := aes.NewCipher(key[:aesKeySize])
	if err != nil {
		return nil, err
	}
	return &crypticle{block: block, mac: key[aesKeySize:], random: rand.Reader}, nil
}

// seal encrypts packed msgpack. The nonce is empty, or 32 characters that an answer repeats before its content.
func (c *crypticle) seal(nonce string, packed []byte) ([]byte, error) {
	size := len(picklePad) + len(nonce) + len(packed)
	padding := aes.BlockSize - size%aes.BlockSize
	box := make([]byte, aes.BlockSize, aes.BlockSize+size+padding+sha256.Size)
	if _, err := io.ReadFull(c.random, box); err != nil {
		return nil, fmt.Errorf("no random bytes for a message: %w", err)
	}
	box = append(append(append(box, picklePad...), nonce...), packed...)
	for range padding {
		box = append(box, byte(padding))
	}
	body := box[aes.BlockSize:]
	cipher.NewCBCEncrypter(c.block, box[:aes.BlockSize]).CryptBlocks(body, body)
	return c.sum(box, box), nil
}

// open verifies and decrypts a message in place and returns the msgpack in it. Where nonce is not empty the message must
// repeat it. The error is errNotAuthentic where the key is another one.
func (c *crypticle) open(nonce string, box []byte) ([]byte, error) {
	if len(box) < smallestBox || len(box)%aes.BlockSize != 0 {
		return nil, errNotAuthentic
	}
	split := len(box) - sha256.Size
	signed, mac := box[:split], box[split:]
	if !hmac.Equal(mac, c.sum(nil, signed)) {
		return nil, errNotAuthentic
	}
	body := signed[aes.BlockSize:]
	cipher.NewCBCDecrypter(c.block, signed[:aes.BlockSize]).CryptBlocks(body, body)
	padding := int(body[len(body)-1])
	if padding == 0 || padding > aes.BlockSize || padding > len(body) {
		return nil, errors.New("a message has a padding that no block has")
	}
	body = body[:len(body)-padding]
	if len(body) < len(picklePad) || string(body[:len(picklePad)]) != picklePad {
		return nil, errors.New("a message does not begin as Salt's do")
	}
	body = body[len(picklePad):]
	if nonce == "" {
		return body, nil
	}
	if len(body) < len(nonce) || string(body[:len(nonce)]) != nonce {
		return nil, errors.New("an answer belongs to another request: its nonce differs")
	}
	return body[len(nonce):], nil
}

// sum appends the MAC of a message to dst.
func (c *crypticle) sum(dst, message []byte) []byte {
	h := hmac.New(sha256.New, c.mac)
	h.Write(message)
	return h.Sum(dst)
}

// newNonce is a fresh one: 32 hexadecimal digits.
func newNonce() (string, error) {
	var raw [nonceSize / 2]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("no random bytes for a nonce: %w", err)
	}
	return fmt.Sprintf("%x", raw), nil
}

// decryptOAEP opens what a master encrypted to a minion's key.
func decryptOAEP(key *rsa.PrivateKey, box []byte) ([]byte, error) {
	plain, err := rsa.DecryptOAEP(sha1.New(), nil, key, box, nil) //nolint:gosec // OAEP-SHA1 is Salt's default
	if err != nil {
		return nil, fmt.Errorf("what the master encrypted to this minion does not open: %w", err)
	}
	return plain, nil
}

// verify checks a master's signature. The algorithm is one of Salt's names; an empty one is Salt's default.
func verify(key *rsa.PublicKey, algorithm string, message, signature []byte) error {
	var digest []byte
	var hash crypto.Hash
	switch algorithm {
	case signingAlgorithm, "":
		sum := sha1.Sum(message) //nolint:gosec // PKCS1v15-SHA1 is Salt's default
		hash, digest = crypto.SHA1, sum[:]
	case "PKCS1v15-SHA224":
		sum := sha256.Sum224(message)
		hash, digest = crypto.SHA224, sum[:]
	default:
		return fmt.Errorf("the master signs with %q, which a swarm does not know", algorithm)
	}
	if err := rsa.VerifyPKCS1v15(key, hash, digest, signature); err != nil {
		return fmt.Errorf("the master's signature does not verify: %w", err)
	}
	return nil
}

// parsePublicKey reads a master's public key, in either of the forms that Salt writes.
func parsePublicKey(text []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the master's public key is no PEM")
	}
	if key, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the master's public key cannot be read: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the master's public key is none of RSA")
	}
	return key, nil
}

// token is what proves to a master that a request comes from the owner of a key: the private-key operation on the word
// "salt" in the padding of ANSI X9.31, as OpenSSL's RSA_private_encrypt makes it (salt/utils/rsax931.py). It is the same each
// time, and a raw operation that leaks through its time: nothing for a key that matters.
func token(key *rsa.PrivateKey) []byte {
	const word = "salt"
	size := key.Size()
	padded := make([]byte, size)
	for i := range padded {
		padded[i] = 0xbb
	}
	padded[0] = 0x6b
	copy(padded[size-len(word)-1:], word)
	padded[size-len(word)-2] = 0xba
	padded[size-1] = 0xcc
	signed := privateOperation(key, new(big.Int).SetBytes(padded))
	// Of the two roots X9.31 takes the smaller one.
	if other := new(big.Int).Sub(key.N, signed); other.Cmp(signed) < 0 {
		signed = other
	}
	return signed.FillBytes(make([]byte, size))
}

// privateOperation raises to the private exponent, by way of the two primes, which is four times as fast.
func privateOperation(key *rsa.PrivateKey, m *big.Int) *big.Int {
	p, q := key.Primes[0], key.Primes[1]
	one := big.NewInt(1)
	dp := new(big.Int).Mod(key.D, new(big.Int).Sub(p, one))
	dq := new(big.Int).Mod(key.D, new(big.Int).Sub(q, one))
	mp := new(big.Int).Exp(m, dp, p)
	mq := new(big.Int).Exp(m, dq, q)
	h := new(big.Int).Sub(mp, mq)
	h.Mul(h, new(big.Int).ModInverse(q, p)).Mod(h, p)
	return h.Mul(h, q).Add(h, mq)
}
