package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"math/big"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// A token is the prefix, 43 digits to base 62 that hold 32 random bytes, and 6 digits to base 62 that hold the CRC-32 of
// what is before them. The prefix lets secret scanners find a token; the checksum tells a mistyped one without the database.
const (
	prefix      = "gaea_"
	secretBytes = 32
	secretLen   = 43
	checkLen    = 6
)

// NewToken makes a token: its text, which nobody can find out again, and what jobd keeps of it. A ttl of 0 means for ever.
// Errors are CodeInvalid with the field name, role or ttl.
func NewToken(name string, role gaea.Role, ttl time.Duration) (plain string, t gaea.Token, err error) {
	if err := gaea.ValidateName(name); err != nil {
		return "", gaea.Token{}, err
	}
	if _, err := gaea.ParseRole(string(role)); err != nil {
		return "", gaea.Token{}, err
	}
	if ttl < 0 {
		return "", gaea.Token{}, gaea.Invalid("ttl", "%s is not a time to live; give a positive duration such as \"720h\", or none for a token that does not expire", ttl)
	}
	secret := make([]byte, secretBytes)
	rand.Read(secret)
	id := make([]byte, 6)
	rand.Read(id)
	plain = prefix + base62(secret, secretLen)
	plain += checksum(plain)
	now := time.Now().UTC().Truncate(time.Microsecond)
	t = gaea.Token{ID: "tok-" + hex.EncodeToString(id), Name: name, Role: role, Hash: hash(plain), Created: now}
	if ttl > 0 {
		t.Expires = now.Add(ttl)
	}
	return plain, t, nil
}

// wellFormed says whether a text can be a token at all.
func wellFormed(plain string) bool {
	if len(plain) != len(prefix)+secretLen+checkLen || !strings.HasPrefix(plain, prefix) {
		return false
	}
	body := plain[:len(plain)-checkLen]
	return checksum(body) == plain[len(body):]
}

func hash(plain string) []byte {
	sum := sha256.Sum256([]byte(plain))
	return sum[:]
}

func checksum(s string) string {
	sum := crc32.ChecksumIEEE([]byte(s))
	return base62([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}, checkLen)
}

// base62 writes b as a number in digits and letters, with zeros before it up to the length.
func base62(b []byte, length int) string {
	s := new(big.Int).SetBytes(b).Text(62)
	return strings.Repeat("0", length-len(s)) + s
}
