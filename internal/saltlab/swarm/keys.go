package swarm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
)

// keyBits is the size of a minion's key, Salt's default.
const keyBits = 2048

// identity is the key of a minion, and what follows from it.
type identity struct {
	key    *rsa.PrivateKey
	public []byte // PEM as the sign-in carries it
	token  []byte
}

// defaultKeyDir is where keys are kept that nobody named a place for: below GAEA_CACHE, or the user's cache directory.
func defaultKeyDir() (string, error) {
	if dir := os.Getenv("GAEA_CACHE"); dir != "" {
		return filepath.Join(dir, "swarm-keys"), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("swarm: Options.KeyDir is empty and this user has no cache directory: %w", err)
	}
	return filepath.Join(dir, "gaea", "swarm-keys"), nil
}

// identities reads the keys of ids from dir and makes those that are missing, on all processors; that takes 60 ms a key.
// Keys are kept, one an id, because a master refuses an id that comes with another key than it has accepted.
func identities(ctx context.Context, dir string, ids []string, progress func(string)) ([]*identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("swarm: the directory for keys cannot be made: %w", err)
	}
	found := make([]*identity, len(ids))
	var missing []int
	for i, id := range ids {
		key, err := readKey(filepath.Join(dir, id+".pem"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, i)
		case err != nil:
			return nil, err
		default:
			if found[i], err = newIdentity(key); err != nil {
				return nil, err
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	progress(fmt.Sprintf("making %d keys in %s", len(missing), dir))
	if err := makeKeys(ctx, dir, ids, missing, found); err != nil {
		return nil, err
	}
	return found, nil
}

func makeKeys(ctx context.Context, dir string, ids []string, missing []int, found []*identity) error {
	var next atomic.Int64
	var workers sync.WaitGroup
	errs := make([]error, runtime.GOMAXPROCS(0))
	for worker := range len(errs) {
		workers.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(missing) {
					return
				}
				i := missing[n]
				if found[i], errs[worker] = makeKey(filepath.Join(dir, ids[i]+".pem")); errs[worker] != nil {
					return
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(errors.Join(errs...), ctx.Err())
}

func readKey(path string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := parsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("swarm: %s holds no key: remove it, and a new one is made: %w", path, err)
	}
	return key, nil
}

func parsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is no PEM")
	}
	return x509.ParsePKCS1PrivateKey(block.Bytes)
}

// makeKey makes a key and its file. Where another process has made the file meanwhile, that one counts.
func makeKey(path string) (*identity, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("swarm: no key could be made: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	partial, err := os.CreateTemp(filepath.Dir(path), ".partial-*")
	if err != nil {
		return nil, fmt.Errorf("swarm: a key cannot be kept: %w", err)
	}
	defer func() { _ = os.Remove(partial.Name()) }()
	_, err = partial.Write(text)
	if err = errors.Join(err, partial.Close()); err != nil {
		return nil, fmt.Errorf("swarm: a key cannot be kept: %w", err)
	}
	if err := os.Link(partial.Name(), path); errors.Is(err, fs.ErrExist) {
		if key, err = readKey(path); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, fmt.Errorf("swarm: a key cannot be kept: %w", err)
	}
	return newIdentity(key)
}

func newIdentity(key *rsa.PrivateKey) (*identity, error) {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("swarm: a public key cannot be written: %w", err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return &identity{key: key, public: bytes.TrimSpace(public), token: token(key)}, nil
}
