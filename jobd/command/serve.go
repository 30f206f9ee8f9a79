package command

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

// serveFlags are the settings of jobd serve. Each is also a key of the config file, with "_" for "-".
type serveFlags struct {
	Config        configFile    `help:"YAML file with the same keys as these flags; flags win." placeholder:"FILE"`
	Listen        string        `help:"Where to listen; anything but loopback needs TLS." default:"127.0.0.1:7780" placeholder:"HOST:PORT"`
	TLSCert       string        `help:"Certificate, PEM." type:"path" placeholder:"FILE"`
	TLSKey        string        `help:"Its private key, PEM." type:"path" placeholder:"FILE"`
	SaltConfigDir string        `help:"The Salt master's config directory." default:"/etc/salt" type:"path" placeholder:"DIR"`
	SaltUser      string        `help:"Whose key publishes: a user of publisher_acl. Root's key where it is readable, else the own user's, when absent." placeholder:"USER"`
	MasterName    string        `help:"The master's name in the archive; its id when absent." placeholder:"NAME"`
	Database      string        `help:"Where the archive is: sqlite:///PATH or postgres://USER@HOST/DATABASE." default:"sqlite:///var/lib/jobd/jobd.db" placeholder:"URL"`
	QueueDatabase string        `help:"Where what is done by the clock is queued: sqlite:///PATH or postgres://…. A file beside the archive, or the same PostgreSQL, when absent." placeholder:"URL"`
	KeyFile       string        `help:"What seals secrets in the database; made when missing. jobd.key beside the database, or in /var/lib/jobd for PostgreSQL, when absent." type:"path" placeholder:"FILE"`
	Retention     gaea.Duration `help:"How long jobs, returns and events are kept; 0 keeps them for ever. 2160h is 90 days." default:"2160h" placeholder:"DURATION"`
	MaxFrame      int           `help:"Largest message of the event bus, in MiB." default:"64" placeholder:"MIB"`
	Queue         int           `help:"How much may wait for the database, in MiB." default:"64" placeholder:"MIB"`
	LogFormat     string        `help:"text or json." enum:"text,json" default:"text"`
	LogLevel      string        `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
}

// maxMiB bounds sizes: 64 GiB.
const maxMiB = 64 << 10

type serveCommand struct{ serveFlags }

// Help is printed above the list of arguments.
func (*serveCommand) Help() string {
	return `Everything else is found in the master's own configuration. jobd waits for a master that is away. Run it as a user of
its own that the master's publisher_acl names and that may read the master's event socket (group of the master's user).

In PostgreSQL jobd's user owns the database, and jobd makes its tables there. Give the password in ~/.pgpass, in PGPASSWORD or
in the address, which is never logged. Several jobds may use one database with the same key file: one or two beside each master,
of which one leads it and another takes over within 15 s where that is gone; see jobd masters. Give masters of equal ids names
of their own with --master-name.

Examples:
  jobd serve --config /etc/jobd/jobd.yaml
  jobd serve --salt-config-dir /etc/salt --database sqlite:///var/lib/jobd/jobd.db
  jobd serve --database postgres://jobd@db.example.com/jobd?sslmode=verify-full --key-file /etc/jobd/jobd.key
  jobd serve --listen 0.0.0.0:7780 --tls-cert /etc/jobd/tls.crt --tls-key /etc/jobd/tls.key

SIGTERM stops it in order: what was read is stored first. A second signal ends it at once.`
}

// Run serves until the context ends, then stores what was read and stops.
func (c *serveCommand) Run(w *world) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return gaea.Invalid("log_level", "%q is none of debug, info, warn and error", c.LogLevel)
	}
	var handler slog.Handler = slog.NewTextHandler(w.Stderr, &slog.HandlerOptions{Level: level})
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(w.Stderr, &slog.HandlerOptions{Level: level})
	}
	for name, mib := range map[string]int{"--max-frame": c.MaxFrame, "--queue": c.Queue} {
		if mib < 1 || mib > maxMiB {
			return usageError(fmt.Sprintf("%s: %d is not a size in MiB; give a number from 1 to %d", name, mib, maxMiB))
		}
	}
	jobd, err := app.New(w.ctx, app.Options{
		Listen: c.Listen, SaltConfigDir: c.SaltConfigDir, SaltUser: c.SaltUser, MasterName: c.MasterName,
		Database: c.Database, QueueDatabase: c.QueueDatabase, KeyFile: c.KeyFile, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		Retention: time.Duration(c.Retention), MaxFrame: c.MaxFrame << 20, QueueBytes: c.Queue << 20,
		Version: w.Version, Logger: slog.New(handler),
	})
	if w.ctx.Err() != nil && jobd == nil {
		return nil // told to stop while it started: that is no failure
	}
	if err != nil {
		return err
	}
	return jobd.Run(w.ctx)
}
