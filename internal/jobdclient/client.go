// Package jobdclient is the Go client of jobd's HTTP API, used by the Terraform provider and by jobd's own command line.
// It repeats what is safe to repeat, bounds every call in time, and turns every failure into a [gaea.Error] that says what to do.
package jobdclient

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

// DefaultTimeout bounds a call whose [Config] gives no timeout.
const DefaultTimeout = 30 * time.Second

// Config says which jobd to talk to and as whom.
type Config struct {
	// Endpoint is jobd's base URL, for example http://127.0.0.1:7780. http is for this machine only: a token is not sent in
	// clear to another one.
	Endpoint string
	// Token is the bearer token; empty for the routes that need none.
	Token string
	// CAFile is a file of PEM certificates that are trusted beside the system's own; may be empty.
	CAFile string
	// Timeout bounds one call with its repetitions, without the time that a long poll is meant to wait. [DefaultTimeout] when zero.
	Timeout time.Duration
	// UserAgent names the caller in jobd's log; "gaea" when empty.
	UserAgent string
	// Logger gets what is repeated and why, at level debug. Nothing is logged when nil.
	Logger *slog.Logger
	// Transport replaces the network; CAFile is not read then. For tests.
	Transport http.RoundTripper
}

// Client talks to one jobd. It may be used from several goroutines.
type Client struct {
	endpoint  string // scheme, host and path prefix without a slash at the end
	token     string
	userAgent string
	timeout   time.Duration
	maxAnswer int64 // bytes
	http      *http.Client
	retry     *retryablehttp.Client
}

// New makes a client. It sends nothing yet. Errors are CodeInvalid and name the field as users write it: endpoint, token,
// ca_file or request_timeout.
func New(cfg Config) (*Client, error) {
	base, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(cfg.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, gaea.Invalid("token", "the token holds a space, a line break or a character that no token has; copy it again as \"jobd token create\" printed it")
	}
	if cfg.Token != "" && base.Scheme == "http" && !httpclient.IsLoopback(base.Hostname()) {
		return nil, gaea.Invalid("endpoint", "%s would send the token in clear over the network; use https:// (jobd serve --tls-cert, --tls-key), or a tunnel to 127.0.0.1", base)
	}
	if cfg.Timeout < 0 {
		return nil, gaea.Invalid("request_timeout", "%s is not a timeout; give a positive duration, for example \"30s\"", cfg.Timeout)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "gaea"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	transport := cfg.Transport
	if transport == nil {
		if transport, err = httpclient.NewTransport(cfg.CAFile, "ca_file", "jobd's"); err != nil {
			return nil, err
		}
	}
	c := &Client{
		endpoint:  strings.TrimSuffix(base.String(), "/"),
		token:     cfg.Token,
		userAgent: cfg.UserAgent,
		timeout:   cfg.Timeout,
		maxAnswer: maxAnswer,
		http:      &http.Client{Transport: transport, CheckRedirect: httpclient.SameOrigin},
	}
	c.retry = &retryablehttp.Client{
		HTTPClient:   c.http,
		Logger:       httpclient.RetryLog{Logger: cfg.Logger, About: "jobd", Secrets: func() []string { return []string{cfg.Token} }},
		RetryWaitMin: 200 * time.Millisecond,
		RetryWaitMax: 2 * time.Second,
		RetryMax:     4,
		CheckRetry:   mayRepeat,
		Backoff:      retryablehttp.DefaultBackoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return c, nil
}

// Endpoint is jobd's base URL as the client uses it.
func (c *Client) Endpoint() string { return c.endpoint }

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func parseEndpoint(s string) (*url.URL, error) {
	if s == "" {
		return nil, gaea.Invalid("endpoint", "no jobd is named; set endpoint or GAEA_ENDPOINT, for example \"http://127.0.0.1:7780\"")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Hostname() == "":
		return nil, gaea.Invalid("endpoint", "%q is not the address of a jobd; write for example \"http://127.0.0.1:7780\" or \"https://salt.example.com:7780\"", withoutUser(s))
	case u.User != nil:
		return nil, gaea.Invalid("endpoint", "the address holds a user or a password; jobd takes a token: set token or GAEA_TOKEN")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, gaea.Invalid("endpoint", "%q has a query or a fragment; give the address alone, for example \"https://salt.example.com:7780\"", s)
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

// WhoAmI returns who the token is and what it may do.
func (c *Client) WhoAmI(ctx context.Context) (*gaea.Principal, error) {
	return get[gaea.Principal](ctx, c, "/v1/whoami", nil)
}

// Status returns how jobd stands: version, master, database.
func (c *Client) Status(ctx context.Context) (*gaea.ServerStatus, error) {
	return get[gaea.ServerStatus](ctx, c, "/v1/status", nil)
}
