package restapi

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// refusalLasts is how long a refused login is not tried again: accounts are locked after a few wrong passwords.
const refusalLasts = 30 * time.Second

// earlyRenewal is how long before its end a token is not used any more.
const earlyRenewal = 30 * time.Second

// login is what salt-api gave for user and password. The token is a secret.
type login struct {
	token  string
	expire time.Time // zero where salt-api did not say
	perms  []string  // what external_auth lets the user do, as JSON
}

// session is the login in force, shared by all calls.
type session struct {
	turn chan struct{} // held while somebody logs in; made on first use
	once sync.Once

	mu      sync.Mutex // guards what follows
	login   login
	refused error     // why the last login was refused; nil after one that was not
	until   time.Time // when it is tried again
}

func (s *session) current() login {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.login
}

func (s *session) enter(ctx context.Context) error {
	s.once.Do(func() { s.turn = make(chan struct{}, 1) })
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// usable is the login in force, unless its token is bad or is about to expire; or why there can be none now.
func (s *session) usable(bad string, now time.Time) (login, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.login
	if l.token != "" && l.token != bad && (l.expire.IsZero() || now.Before(l.expire.Add(-earlyRenewal))) {
		return l, true, nil
	}
	if s.refused != nil && now.Before(s.until) {
		return login{}, false, s.refused
	}
	return login{}, false, nil
}

// Perms are what external_auth lets the user do, each as JSON, as the last login told. Nil before the first, and where
// salt-api does not tell.
func (c *Client) Perms() []string { return c.session.current().perms }

// token returns a token that is good as far as anybody knows. Where bad is the token's text, a new one is made, by one of the
// callers that ask for it at the same time.
func (c *Client) token(ctx context.Context, bad string) (string, error) {
	if l, ok, err := c.session.usable(bad, c.cfg.Now()); ok || err != nil {
		return l.token, err
	}
	if err := c.session.enter(ctx); err != nil {
		return "", c.ended(ctx, "a login")
	}
	defer func() { <-c.session.turn }()
	now := c.cfg.Now()
	if l, ok, err := c.session.usable(bad, now); ok || err != nil { // somebody else was quicker
		return l.token, err
	}
	l, err := c.logIn(ctx, now)
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	c.session.refused = nil
	if gaea.CodeOf(err) == gaea.CodeUnauthenticated {
		c.session.refused, c.session.until = err, now.Add(refusalLasts)
	}
	if err != nil {
		return "", err
	}
	c.session.login = l
	return l.token, nil
}

func (c *Client) logIn(ctx context.Context, now time.Time) (login, error) {
	credentials := map[string]string{"username": c.cfg.Username, "password": c.cfg.Password, "eauth": c.cfg.Eauth}
	if c.cfg.Eauth == "sharedsecret" {
		credentials["sharedsecret"] = c.cfg.Password // the name that older releases of Salt want
	}
	a, err := c.exchange(ctx, call{what: "a login", path: "/login", body: credentials, repeat: repeatAlways})
	if err != nil {
		return login{}, err
	}
	if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
		return login{}, c.loginRefused(a)
	}
	ret, err := c.returned(a, "a login")
	if err != nil {
		return login{}, err
	}
	var made struct {
		Token  string          `json:"token"`
		Start  float64         `json:"start"`  // seconds since 1970
		Expire float64         `json:"expire"` // seconds since 1970, by the master's clock
		Perms  json.RawMessage `json:"perms"`  // a list, or {} where there is none
	}
	if json.Unmarshal(ret, &made) != nil || made.Token == "" {
		return login{}, c.unexpected(a, "a login")
	}
	l := login{token: made.Token, perms: saltclient.JSONTexts(made.Perms)}
	if lasts := time.Duration((made.Expire - made.Start) * float64(time.Second)); lasts > 2*earlyRenewal {
		l.expire = now.Add(lasts)
	}
	c.logger.Debug("logged in to salt-api", "user", c.cfg.Username, "eauth", c.cfg.Eauth, "expire", l.expire)
	return l, nil
}

func (c *Client) loginRefused(a *answer) error {
	if a.status == http.StatusForbidden {
		return gaea.Wrap(a.cause(), gaea.CodeForbidden, "salt-api at %s does not let this machine in (%s); look at authorized_ips and api_acl below rest_cherrypy in the master's configuration, and for a proxy between", c.base, a.words())
	}
	return gaea.Wrap(a.cause(), gaea.CodeUnauthenticated, "salt-api at %s does not let user %q in by eauth %q; check salt_api.username, password and eauth, look into salt-master's log for what failed behind it (PAM, the LDAP server, a Python module that is missing), and see that the master's configuration has: %s", c.base, c.cfg.Username, c.cfg.Eauth, c.grant())
}
