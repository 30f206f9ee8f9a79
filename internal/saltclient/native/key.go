package native

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// credentials are the user and the key of a request. The key is a secret: it is in no error and no log.
type credentials struct {
	user, key string
}

// credentials returns the key that was read last, or reads it.
func (c *Client) credentials() (credentials, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.auth.key != "" {
		return c.auth, nil
	}
	auth, err := readKey(c.config, c.opts.User)
	if err != nil {
		return credentials{}, err
	}
	c.auth = auth
	return auth, nil
}

// renew reads the configuration and the key again after the master refused old; changed says whether the key is another one.
// A master makes its keys anew when it starts.
func (c *Client) renew(old credentials) (auth credentials, changed bool, err error) {
	c.reload()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.auth.key == "" || c.auth == old {
		if c.auth, err = readKey(c.config, c.opts.User); err != nil {
			c.auth = credentials{}
			return credentials{}, false, err
		}
	}
	return c.auth, c.auth != old, nil
}

// readKey reads the key of a user, or where none is named of the first one whose key may be read: the master's own user, root,
// the user of this process.
func readKey(config MasterConfig, user string) (credentials, error) {
	users := []string{user}
	if user == "" {
		users = []string{config.User, "root", currentUser()}
	}
	var last error
	for _, name := range users {
		if strings.ContainsAny(name, "/\x00") {
			return credentials{}, gaea.Invalid("salt-user", "%q is not the name of a user", name)
		}
		content, err := os.ReadFile(config.KeyFile(name))
		key := strings.TrimSpace(string(content))
		if err == nil && key != "" {
			return credentials{user: name, key: key}, nil
		}
		if err == nil {
			err = errors.New("the file is empty")
		}
		last = err
	}
	return credentials{}, keyError(config, users[len(users)-1], last)
}

// keyError says why there is no key for a user and what to do about it.
func keyError(config MasterConfig, user string, cause error) error {
	path := config.KeyFile(user)
	switch {
	case errors.Is(cause, fs.ErrNotExist):
		if _, err := os.Stat(config.CacheDir); errors.Is(err, fs.ErrNotExist) {
			return gaea.Wrap(cause, gaea.CodeNotFound, "the Salt master's cachedir %s does not exist; start the master once, or correct cachedir and root_dir in %s", config.CacheDir, config.Dir)
		}
		if config.HasACL(user) || user == config.User {
			return gaea.Wrap(cause, gaea.CodeNotFound, "the Salt master has made no key %s for user %s; restart the master (it makes keys when it starts, for users that the system knows)", path, user)
		}
		return gaea.Wrap(cause, gaea.CodeForbidden, "there is no key %s to publish with: the Salt master does not let user %s publish; %s", path, user, grant(config, user))
	case errors.Is(cause, fs.ErrPermission) && !reachable(path):
		return gaea.Wrap(cause, gaea.CodeForbidden, "user %s may not pass through %s to the key %s; let it with: setfacl -m u:%s:x %s (and publish as itself: %s)", currentUser(), config.CacheDir, path, currentUser(), config.CacheDir, grant(config, currentUser()))
	case errors.Is(cause, fs.ErrPermission):
		return gaea.Wrap(cause, gaea.CodeForbidden, "user %s may not read the key %s; run as user %s, or let %s publish: %s", currentUser(), path, user, currentUser(), grant(config, currentUser()))
	default:
		return gaea.Wrap(cause, gaea.CodeUnavailable, "the key %s, which is needed to publish as user %s, cannot be read", path, user)
	}
}

// reachable says whether the directories above a path may be passed through, whatever is at its end.
func reachable(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrPermission)
}

// grant says how a user is allowed to publish.
func grant(config MasterConfig, user string) string {
	return fmt.Sprintf("put \"publisher_acl: {%s: ['.*']}\" in %s and restart the master", user, filepath.Join(config.Dir, "master.d", "gaea.conf"))
}
