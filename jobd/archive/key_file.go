package archive

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// KeyFile is a [Sealer] whose secret is a file of [KeySize] random bytes that only its owner may read. Whoever has the
// database and not this file reads no secret; whoever loses it has to set the secrets again.
type KeyFile struct {
	*keys
	path string
}

// Path is where the secret is kept.
func (k *KeyFile) Path() string { return k.path }

// OpenKeyFile reads the key file, and makes it (0600) where there is none; its directory must exist. Of several processes
// that make it at once one wins and all get the same key. CodeUnavailable, with the path and what it needs, where it cannot
// be read or made, has another length, or may be read by others.
func OpenKeyFile(path string) (*KeyFile, error) {
	secret, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(path); err == nil || errors.Is(err, fs.ErrExist) {
			secret, err = readKey(path)
		}
	}
	if err != nil {
		if told, ok := errors.AsType[*gaea.Error](err); ok {
			return nil, told
		}
		return nil, gaea.Wrap(err, gaea.CodeUnavailable, "the key file %s cannot be read or made; it must be a file that jobd's user owns, in a directory it may write", path)
	}
	k, err := newKeys(secret, path)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeInternal, "no keys can be derived from %s", path)
	}
	return &KeyFile{keys: k, path: path}, nil
}

func readKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, gaea.Errorf(gaea.CodeUnavailable, "the key file %s may be read by others (mode %04o); run: chmod 600 %s", path, mode, path)
	}
	if info.Size() != KeySize {
		return nil, gaea.Errorf(gaea.CodeUnavailable, "the key file %s has %d bytes, not %d; put the right one back, or move it away to start with a new key (stored secrets are lost then)", path, info.Size(), KeySize)
	}
	return os.ReadFile(path)
}

// makeKey writes the secret aside and links it into place, so that no reader sees half a key and nobody overwrites one.
func makeKey(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // the link is what counts
	secret := make([]byte, KeySize)
	rand.Read(secret) // never fails
	_, err = f.Write(secret)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
