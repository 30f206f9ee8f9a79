package native

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/noise"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// The defaults of [Options].
const (
	DefaultRequestTimeout = 10 * time.Second
	DefaultRunnerTimeout  = 60 * time.Second
	DefaultRunners        = 2
	DefaultUserRunners    = 20
)

// Options say which master a [Client] speaks to and within which bounds. The zero value is the master of this machine.
type Options struct {
	// ConfigDir is the directory with the master's configuration; empty means /etc/salt.
	ConfigDir string
	// User publishes with the key that the master keeps for that user (.USER_key in its cachedir). Empty: the user that the
	// master runs as, where its key may be read, else the user of this process.
	User string
	// MaxFrame is the size in bytes of the largest message that is taken whole from the master; 0 means DefaultMaxFrame.
	MaxFrame int
	// MaxReturn is the size in bytes of the largest return, or other event of a minion, that is kept whole; 0 means
	// [saltclient.DefaultMaxReturn].
	MaxReturn int
	// Limits bound what is made of one message. The zero value means the defaults.
	Limits saltclient.Limits
	// RequestTimeout is how long the master may take to answer a request whose context does not end earlier, and
	// RunnerTimeout how long a runner may take; 0 means DefaultRequestTimeout and DefaultRunnerTimeout.
	RequestTimeout, RunnerTimeout time.Duration
	// Runners is how many runners are asked for at a time: each is a process on the master. 0 means DefaultRunners.
	Runners int
	// UserRunners is the same for the runners that users ask for, which may take long. 0 means DefaultUserRunners.
	UserRunners int
	// Logger is given what cannot be told in an error. Nil: nothing is logged.
	Logger *slog.Logger
	// Now tells the time; nil means time.Now.
	Now gaea.Clock
}

// Client is one Salt master. Its methods may be used from several goroutines; it has no goroutines of its own and holds no
// connection between calls, so there is nothing to close.
type Client struct {
	opts        Options
	logger      *slog.Logger
	runners     chan struct{} // a slot for each runner that may run
	userRunners chan struct{} // and for each that users asked for

	mu     sync.Mutex // guards what follows
	config MasterConfig
	auth   credentials
	login  *login // nil unless Login was called

	stats counters
	noise noise.Gate // about bad messages
	stale noise.Gate // about a configuration that cannot be read again
}

var (
	_ gaea.Publisher = (*Client)(nil)
	_ gaea.JobCache  = (*Client)(nil)
	_ gaea.Bus       = (*Client)(nil)
	_ gaea.Runner    = (*Client)(nil)
)

// New reads the master's configuration and the key to publish with. It does not need the master to run, but to have run once.
//
// The error names the path that is missing or may not be read, what is needed there, and how to grant it: CodeNotFound,
// CodeForbidden or CodeInvalid.
func New(opts Options) (*Client, error) {
	c, err := newClient(opts)
	if err != nil {
		return nil, err
	}
	if _, err := c.credentials(); err != nil {
		return nil, err
	}
	return c, nil
}

// newClient is New without a look at the key.
func newClient(opts Options) (*Client, error) {
	if opts.ConfigDir == "" {
		opts.ConfigDir = DefaultConfigDir
	}
	if opts.MaxFrame <= 0 {
		opts.MaxFrame = DefaultMaxFrame
	}
	if opts.MaxReturn <= 0 {
		opts.MaxReturn = saltclient.DefaultMaxReturn
	}
	if opts.RequestTimeout <= 0 {
		opts.RequestTimeout = DefaultRequestTimeout
	}
	if opts.RunnerTimeout <= 0 {
		opts.RunnerTimeout = DefaultRunnerTimeout
	}
	if opts.Runners <= 0 {
		opts.Runners = DefaultRunners
	}
	if opts.UserRunners <= 0 {
		opts.UserRunners = DefaultUserRunners
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	config, err := ReadMasterConfig(opts.ConfigDir)
	if err != nil {
		return nil, err
	}
	if config.Transport != "zeromq" {
		return nil, gaea.Invalid("transport", "the Salt master in %s uses the transport %q and Gaea speaks \"zeromq\" only; set transport: zeromq there", opts.ConfigDir, config.Transport)
	}
	return &Client{
		opts: opts, logger: opts.Logger, runners: make(chan struct{}, opts.Runners),
		userRunners: make(chan struct{}, opts.UserRunners), config: config,
	}, nil
}

// Config returns the master's configuration as it was read last.
func (c *Client) Config() MasterConfig {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config
}

// Master returns the master's name: its configured id, or what Salt makes of the host's name.
func (c *Client) Master() string { return c.Config().ID }

// reload reads the master's configuration again, which may have changed when the master was started anew. A configuration
// that cannot be read now leaves the one that was read before.
func (c *Client) reload() {
	config, err := ReadMasterConfig(c.opts.ConfigDir)
	if err != nil {
		if ok, _ := c.stale.Pass(c.opts.Now()); ok {
			c.logger.Warn("the master's configuration cannot be read again", "dir", c.opts.ConfigDir, "error", err)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = config
}

// Ping asks the master for a sign of life. CodeUnavailable where it does not answer.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.request(ctx, map[string]any{"cmd": "ping"}, "a ping", nil)
	return err
}
