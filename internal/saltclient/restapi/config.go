package restapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/httpclient"
)

// The defaults of [Config].
const (
	DefaultTimeout       = 30 * time.Second
	DefaultRunnerTimeout = 60 * time.Second
	DefaultRunners       = 2
	DefaultUserRunners   = 20
	DefaultMaxAnswer     = 128 << 20
	DefaultMaxEvent      = 32 << 20
)

// Config says which salt-api to talk to, as whom, and within which bounds.
type Config struct {
	// URL is salt-api's base URL, for example https://salt.example.com:8000.
	URL string
	// Username, Password and Eauth are for the login. Eauth is any name that the master's external_auth has: pam, ldap, file,
	// sharedsecret, auto; salt-api decides.
	Username, Password, Eauth string
	// CAFile is a file of PEM certificates that are trusted beside the system's own; may be empty.
	CAFile string
	// Timeout bounds one call with its repetitions and a login, where its context does not end earlier. RunnerTimeout bounds a
	// runner whose context has no deadline, and the runners that Gaea itself needs. 0 means DefaultTimeout and DefaultRunnerTimeout.
	Timeout, RunnerTimeout time.Duration
	// Runners is how many runners are asked for at a time: each is a process on the master. 0 means DefaultRunners.
	Runners int
	// UserRunners is the same for the runners that users ask for, which may take long. 0 means DefaultUserRunners.
	UserRunners int
	// MaxAnswer is the size in bytes of the largest answer that is taken, MaxEvent that of the largest event; larger events are
	// passed over. 0 means DefaultMaxAnswer and DefaultMaxEvent.
	MaxAnswer, MaxEvent int
	// Zone is the zone of the times that job ids name, the master's. Nil: this machine's.
	Zone *time.Location
	// UserAgent names the caller in logs; "gaea" when empty.
	UserAgent string
	// Logger is given what cannot be told in an error, and at level debug what is repeated and why. Nil: nothing is logged.
	Logger *slog.Logger
	// Transport replaces the network; CAFile is not read then. For tests.
	Transport http.RoundTripper
	// Now tells the time; nil means time.Now.
	Now gaea.Clock
}

// Client is one salt-api. Its methods may be used from several goroutines; it has no goroutines between calls.
type Client struct {
	cfg         Config
	base        string // scheme, host and path prefix without a slash at the end
	logger      *slog.Logger
	http        *http.Client
	retry       *retryablehttp.Client
	runners     chan struct{} // a slot for each runner that may run
	userRunners chan struct{} // and for each that users asked for
	session     session
	pace        pace
}

var (
	_ gaea.Publisher = (*Client)(nil)
	_ gaea.JobCache  = (*Client)(nil)
	_ gaea.Bus       = (*Client)(nil)
	_ gaea.Runner    = (*Client)(nil)
)

// New makes a client. It sends nothing yet: see [Client.Login]. Errors are CodeInvalid and name the field as users write it:
// salt_api.url, salt_api.username, salt_api.password, salt_api.eauth, salt_api.ca_file, salt_api.timeout.
func New(cfg Config) (*Client, error) {
	base, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	for _, f := range []struct{ name, value, env string }{
		{"username", cfg.Username, "SALTAPI_USER"}, {"password", cfg.Password, "SALTAPI_PASS"}, {"eauth", cfg.Eauth, "SALTAPI_EAUTH"},
	} {
		if f.value == "" {
			return nil, gaea.Invalid("salt_api."+f.name, "no %s is given; set it, or the environment's %s", f.name, f.env)
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"timeout", cfg.Timeout}, {"runner_timeout", cfg.RunnerTimeout}} {
		if f.value < 0 {
			return nil, gaea.Invalid("salt_api."+f.name, "%s is not a timeout; give a positive duration, for example \"30s\"", f.value)
		}
	}
	if base.Scheme == "http" && !httpclient.IsLoopback(base.Hostname()) {
		return nil, gaea.Invalid("salt_api.url", "%s would send the password in clear over the network; use https:// (rest_cherrypy's ssl_crt and ssl_key), or a tunnel to 127.0.0.1", base)
	}
	cfg = cfg.withDefaults()
	transport := cfg.Transport
	if transport == nil {
		if transport, err = httpclient.NewTransport(cfg.CAFile, "salt_api.ca_file", "salt-api's"); err != nil {
			return nil, err
		}
	}
	c := &Client{
		cfg: cfg, base: strings.TrimSuffix(base.String(), "/"), logger: cfg.Logger,
		http:    &http.Client{Transport: transport, CheckRedirect: httpclient.SameOrigin},
		runners: make(chan struct{}, cfg.Runners), userRunners: make(chan struct{}, cfg.UserRunners), pace: defaultPace,
	}
	c.retry = &retryablehttp.Client{
		HTTPClient: c.http,
		Logger:     httpclient.RetryLog{Logger: cfg.Logger, About: "salt-api", Secrets: c.secrets},
		RetryMax:   4, RetryWaitMin: 200 * time.Millisecond, RetryWaitMax: 2 * time.Second,
		CheckRetry: mayRepeat, Backoff: retryablehttp.DefaultBackoff, ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return c, nil
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{{&c.Timeout, DefaultTimeout}, {&c.RunnerTimeout, DefaultRunnerTimeout}} {
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	for _, n := range []struct {
		value *int
		or    int
	}{{&c.Runners, DefaultRunners}, {&c.UserRunners, DefaultUserRunners}, {&c.MaxAnswer, DefaultMaxAnswer}, {&c.MaxEvent, DefaultMaxEvent}} {
		if *n.value <= 0 {
			*n.value = n.or
		}
	}
	if c.Zone == nil {
		c.Zone = time.Local
	}
	if c.UserAgent == "" {
		c.UserAgent = "gaea"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func parseURL(s string) (*url.URL, error) {
	const field = "salt_api.url"
	if s == "" {
		return nil, gaea.Invalid(field, "no salt-api is named; set it, or the environment's SALTAPI_URL, for example \"https://salt.example.com:8000\"")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Hostname() == "":
		return nil, gaea.Invalid(field, "%q is not the address of a salt-api; write for example \"https://salt.example.com:8000\"", withoutUser(s))
	case u.User != nil:
		return nil, gaea.Invalid(field, "the address holds a user or a password; give them as salt_api.username and salt_api.password")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, gaea.Invalid(field, "%q has a query or a fragment; give the address alone, for example \"https://salt.example.com:8000\"", s)
	}
	return u, nil
}

// withoutUser hides what may be a password in an address that cannot be parsed.
func withoutUser(s string) string {
	if i := strings.LastIndex(s, "@"); i >= 0 {
		return "…" + s[i:]
	}
	return s
}

// URL is salt-api's base URL as the client uses it.
func (c *Client) URL() string { return c.base }

// Close lets go of idle connections. What is under way goes on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// secrets is what no log may hold.
func (c *Client) secrets() []string { return []string{c.cfg.Password, c.session.current().token} }

// Login makes sure that there is a token, so that a wrong password is told early. Other calls log in by themselves.
// CodeUnauthenticated where salt-api does not let the user in; CodeUnavailable, CodeTimeout and CodeCancelled.
func (c *Client) Login(ctx context.Context) error {
	_, err := c.token(ctx, "")
	return err
}
