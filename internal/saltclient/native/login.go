package native

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// login is a user of the master's external authentication, with the token that it gave. Password and token are secrets.
type login struct {
	eauth, user, password string
	token                 string
	expire                time.Time
}

// earlyRenewal is how long before its end a token is not used any more.
const earlyRenewal = 30 * time.Second

// Login publishes from now on as a user of the master's external authentication (external_auth) instead of with a local key.
// The token is made anew when it has expired or vanished, so the password is kept in memory. CodeUnauthenticated where the
// master does not take user and password.
func (c *Client) Login(ctx context.Context, eauth, user, password string) error {
	l, err := c.makeToken(ctx, login{eauth: eauth, user: user, password: password})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.login = &l
	return nil
}

// makeToken asks the master for a token (cmd: mk_token).
func (c *Client) makeToken(ctx context.Context, l login) (login, error) {
	answer, err := c.request(ctx, map[string]any{
		"cmd": "mk_token", "eauth": l.eauth, "username": l.user, "password": l.password,
	}, "a login", nil)
	if err != nil {
		return login{}, err
	}
	var made struct {
		Token  string  `json:"token"`
		Expire float64 `json:"expire"` // seconds since 1970
	}
	if json.Unmarshal(answer, &made) != nil || made.Token == "" {
		return login{}, gaea.Errorf(gaea.CodeUnauthenticated, "the Salt master does not let user %q in by eauth %q; check user and password, and external_auth in %s", l.user, l.eauth, c.Config().Dir)
	}
	l.token = made.Token
	l.expire = time.UnixMilli(int64(made.Expire * 1000))
	return l, nil
}

// token returns the login in force with a token that is good, or nil where Login was not called. Where bad is the token's
// text, a new one is made.
func (c *Client) token(ctx context.Context, bad string) (*login, error) {
	c.mu.Lock()
	l := c.login
	c.mu.Unlock()
	if l == nil || (l.token != bad && c.opts.Now().Before(l.expire.Add(-earlyRenewal))) {
		return l, nil
	}
	made, err := c.makeToken(ctx, *l)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.login = &made
	return &made, nil
}
