package command

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

// serveFlags are the settings of jobd serve. Each is also a key of the config file, with "_" for "-".
type serveFlags struct {
	Config           configFile    `help:"YAML file with the same keys as these flags; flags win." placeholder:"FILE"`
	Listen           string        `help:"Where to listen; anything but loopback needs TLS." default:"127.0.0.1:7780" placeholder:"HOST:PORT"`
	TLSCert          string        `help:"Certificate, PEM." type:"path" placeholder:"FILE"`
	TLSKey           string        `help:"Its private key, PEM." type:"path" placeholder:"FILE"`
	SaltConfigDir    string        `help:"The Salt master's config directory." default:"/etc/salt" type:"path" placeholder:"DIR"`
	SaltUser         string        `help:"Whose key publishes: a user of publisher_acl. Root's key where it is readable, else the own user's, when absent." placeholder:"USER"`
	MasterName       string        `help:"The master's name in the archive; its id when absent." placeholder:"NAME"`
	Database         string        `help:"Where the archive is: sqlite:///PATH or postgres://USER@HOST/DATABASE." default:"sqlite:///var/lib/jobd/jobd.db" placeholder:"URL"`
	QueueDatabase    string        `help:"Where what is done by the clock is queued: sqlite:///PATH or postgres://…. A file beside the archive, or the same PostgreSQL, when absent." placeholder:"URL"`
	KeyFile          string        `help:"What seals secrets in the database; made when missing. jobd.key beside the database, or in /var/lib/jobd for PostgreSQL, when absent." type:"path" placeholder:"FILE"`
	Retention        gaea.Age      `help:"How long jobs with their returns, events, and runs that have ended are kept (90d, 1y, 36h); 0 keeps them for ever." default:"90d" placeholder:"AGE"`
	RetentionReturns *gaea.Age     `help:"The same for jobs with their returns alone; --retention when absent." placeholder:"AGE"`
	RetentionEvents  *gaea.Age     `help:"For events." placeholder:"AGE"`
	RetentionRuns    *gaea.Age     `help:"For run records: who ran what, and how each minion ended." placeholder:"AGE"`
	RetentionMaxSize gaea.Size     `help:"How much of the database may be in use (20GiB): while it is more the oldest goes, however short its age; 0 for any size." default:"0" placeholder:"SIZE"`
	MaxFrame         int           `help:"Largest message of the event bus that is read whole, in MiB." default:"64" placeholder:"MIB"`
	MaxReturnSize    int           `help:"Largest return that is kept whole, in MiB. Of a larger one its beginning is kept, its outcome, and the size and SHA-256 of the whole." default:"16" placeholder:"MIB"`
	Queue            int           `help:"How much may wait for the database in memory, in MiB." default:"64" placeholder:"MIB"`
	SpillMax         int           `help:"How much may wait on disk while the database is away or slow, in MiB; 0 keeps nothing there. A quarter is for what is in no job cache: beacons and custom events." default:"1024" placeholder:"MIB"`
	SpillDir         string        `help:"Directory for that, on a disk of this machine. The database's, or for PostgreSQL systemd's state directory or else the key file's, when absent." type:"path" placeholder:"DIR"`
	TakeoverWait     time.Duration `help:"With several jobds on one database: how long a request for a master that none leads at the moment waits for one; then it fails, and nothing is done later." default:"1m" placeholder:"DURATION"`
	LogFormat        string        `help:"text or json." enum:"text,json" default:"text"`
	LogLevel         string        `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
}

// memoryBesides is how much memory, in MiB, jobd should do with beside its queue. It is no bound: where more is needed it is
// taken, and collecting garbage takes more of the processor's time.
const memoryBesides = 256

// maxMiB bounds sizes: 64 GiB.
const maxMiB = 64 << 10

// minSpill is the least that a spill may hold, in MiB: a quarter of it is to hold more than one message of the bus (1 MiB by default).
const minSpill = 8

type serveCommand struct{ serveFlags }

// Help is printed above the list of arguments.
func (*serveCommand) Help() string {
	return `Everything else is found in the master's own configuration. jobd waits for a master that is away. Run it as a user of
its own that the master's publisher_acl names and that may read the master's event socket (group of the master's user).

In PostgreSQL jobd's user owns the database, and jobd makes its tables there. Give the password in ~/.pgpass, in PGPASSWORD or
in the address, which is never logged. Several jobds may use one database with the same key file: one or two beside each master,
of which one leads it and another takes over within 15 s where that is gone; see jobd masters. Two on one machine need a --listen
and a --spill-dir each. Give masters of equal ids names of their own with --master-name.

Examples:
  jobd serve --config /etc/jobd/jobd.yaml
  jobd serve --salt-config-dir /etc/salt --database sqlite:///var/lib/jobd/jobd.db
  jobd serve --database postgres://jobd@db.example.com/jobd?sslmode=verify-full --key-file /etc/jobd/jobd.key
  jobd serve --listen 0.0.0.0:7780 --tls-cert /etc/jobd/tls.crt --tls-key /etc/jobd/tls.key

While the database is away or slow, what the bus tells waits on disk (--spill-max, --spill-dir) and is forwarded in order when it
is back; /readyz says how much. When that is full, too, returns are left to be fetched from the master's job cache. A PostgreSQL that
cannot be reached when jobd starts is waited for the same way; one that refuses jobd's user, lacks the database or has the tables
of a newer jobd ends it.

Retention deletes in small steps, every hour. What a kind has of its own wins over --retention, and max_size over every age;
what is held (jobd archive hold) and what is in use stays. In the config file:
  retention: {returns: 90d, events: 14d, runs: 1y, max_size: 20GiB}

Minions are not trusted: what they return is bound in size and depth, whatever it is, and jobd's memory with it. It takes up to
some 256 MiB beside the queue before it collects garbage more eagerly; the environment variable GOMEMLIMIT sets another goal.

SIGTERM stops it in order: what was read is stored first. A second signal ends it at once.`
}

// retention is what is kept: what is said of a kind, or else of all.
func (f *serveFlags) retention() gaea.Retention {
	of := func(kind *gaea.Age) time.Duration {
		if kind == nil {
			kind = &f.Retention
		}
		return time.Duration(*kind)
	}
	return gaea.Retention{Returns: of(f.RetentionReturns), Events: of(f.RetentionEvents), Runs: of(f.RetentionRuns), MaxSize: int64(f.RetentionMaxSize)}
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
	for name, mib := range map[string]int{"--max-frame": c.MaxFrame, "--max-return-size": c.MaxReturnSize, "--queue": c.Queue} {
		if mib < 1 || mib > maxMiB {
			return usageError(fmt.Sprintf("%s: %d is not a size in MiB; give a number from 1 to %d", name, mib, maxMiB))
		}
	}
	if c.SpillMax != 0 && (c.SpillMax < minSpill || c.SpillMax > maxMiB) {
		return usageError(fmt.Sprintf("--spill-max: %d is not a size in MiB; give a number from %d to %d, or 0 to keep nothing on disk", c.SpillMax, minSpill, maxMiB))
	}
	if c.TakeoverWait < app.MinTakeoverWait || c.TakeoverWait > app.MaxTakeoverWait {
		return usageError(fmt.Sprintf("--takeover-wait: %s is not possible; give %s to %s, for example 1m", c.TakeoverWait, app.MinTakeoverWait, app.MaxTakeoverWait))
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(c.Queue+memoryBesides) << 20)
	}
	jobd, err := app.New(w.ctx, app.Options{
		Listen: c.Listen, SaltConfigDir: c.SaltConfigDir, SaltUser: c.SaltUser, MasterName: c.MasterName,
		Database: c.Database, QueueDatabase: c.QueueDatabase, KeyFile: c.KeyFile, TLSCert: c.TLSCert, TLSKey: c.TLSKey,
		Retention: c.retention(), MaxFrame: c.MaxFrame << 20, MaxReturn: c.MaxReturnSize << 20, QueueBytes: c.Queue << 20,
		SpillBytes: int64(c.SpillMax) << 20, SpillDir: c.SpillDir, TakeoverWait: c.TakeoverWait,
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
