// Command swarm keeps a master of a real Salt and hundreds of simulated minions in the foreground, on loopback and without root.
// It prints how to reach each part and ends all of it on Ctrl-C and SIGTERM. It is test code: never point it at a real fleet.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

type options struct {
	SaltVersion string   `env:"SALT_VERSION" default:"${version}" help:"Version of Salt, which is installed where it is not there yet."`
	Minions     int      `help:"How many simulated minions; 10, or what --config says, where nothing is named."`
	Real        int      `help:"How many real minions besides."`
	Seed        uint64   `help:"Where each choice comes from; what --config says where it is 0."`
	Config      string   `type:"existingfile" placeholder:"FILE" help:"YAML that says what the minions are and how they behave."`
	Master      string   `placeholder:"HOST:PORT" help:"Request port of a master on this machine; a lab is started where none is named."`
	KeyDir      string   `type:"path" help:"Directory that keeps the minions' keys; the user's cache where none is named."`
	ACL         []string `name:"acl" placeholder:"USER" help:"User for whom the lab's master writes a key to publish with (publisher_acl). May be repeated."`
	JSON        string   `name:"json" type:"path" placeholder:"FILE" help:"File that is given the facts as JSON when everything is ready."`
	Verbose     bool     `short:"v" help:"Say what each minion has trouble with."`
}

// facts is how to reach each part, for scripts.
type facts struct {
	PID         int      `json:"pid"` // of this program: SIGTERM ends everything
	Version     string   `json:"version,omitempty"`
	ConfigDir   string   `json:"config_dir,omitempty"`
	SockDir     string   `json:"sock_dir,omitempty"`
	CacheDir    string   `json:"cache_dir,omitempty"`
	Salt        string   `json:"salt,omitempty"` // command line, up to the target
	RequestPort int      `json:"request_port,omitempty"`
	PublishPort int      `json:"publish_port,omitempty"`
	Master      string   `json:"master"`
	Minions     []string `json:"minions"`
}

func main() {
	var opts options
	kong.Parse(&opts,
		kong.Name("swarm"),
		kong.Description("Keeps a master of a real Salt and hundreds of simulated minions in the foreground, on loopback."),
		kong.Vars{"version": saltlab.DefaultVersion},
	)
	if err := run(opts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(opts options) (err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	cfg, err := opts.config()
	if err != nil {
		return err
	}
	f := facts{PID: os.Getpid(), Master: opts.Master}
	if opts.Master == "" {
		lab, err := startLab(ctx, opts)
		if err != nil {
			return err
		}
		defer func() {
			fmt.Println("stopping Salt")
			err = errors.Join(err, lab.Stop())
		}()
		f.ofLab(lab)
	}
	log := slog.DiscardHandler
	if opts.Verbose {
		log = slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	began := time.Now()
	s, err := swarm.Start(ctx, swarm.Options{
		Config: cfg, Master: f.Master, KeyDir: opts.KeyDir, Logger: slog.New(log), Progress: func(line string) { fmt.Println(line) },
	})
	if err != nil {
		return err
	}
	defer func() {
		s.Stop()
		fmt.Printf("the swarm is stopped: %s\n", summary(s.Stats()))
	}()
	f.Minions = s.IDs()
	fmt.Printf("starting %d simulated minions\n", len(f.Minions))
	if err := s.Accepted(ctx); err != nil {
		return err
	}
	if err := f.print(time.Since(began)); err != nil {
		return err
	}
	if opts.JSON != "" {
		if err := saltlab.WriteFacts(opts.JSON, f); err != nil {
			return fmt.Errorf("swarm: %w", err)
		}
		defer func() { _ = os.Remove(opts.JSON) }() // what it says is no longer so
	}
	<-ctx.Done()
	cancel() // a second Ctrl-C ends this program at once, and the lab with it
	return nil
}

func (o options) config() (swarm.Config, error) {
	var cfg swarm.Config
	if o.Config != "" {
		text, err := os.ReadFile(o.Config)
		if err != nil {
			return cfg, err
		}
		if cfg, err = swarm.ParseConfig(text); err != nil {
			return cfg, fmt.Errorf("%s: %w", o.Config, err)
		}
	}
	if o.Minions != 0 {
		cfg.Minions = o.Minions
	}
	if o.Seed != 0 {
		cfg.Seed = o.Seed
	}
	return cfg, nil
}

func startLab(ctx context.Context, opts options) (*saltlab.Lab, error) {
	ids := []string{} // none, rather than the default
	for n := range opts.Real {
		ids = append(ids, fmt.Sprintf("real-%d", n+1))
	}
	return saltlab.Start(ctx, saltlab.Config{
		Version: opts.SaltVersion, MinionIDs: ids, NoAPI: true, PublisherACL: opts.ACL,
		Progress: func(line string) { fmt.Println(line) },
	})
}

func (f *facts) ofLab(lab *saltlab.Lab) {
	f.Version, f.ConfigDir, f.SockDir, f.CacheDir = lab.Version(), lab.ConfigDir(), lab.SockDir(), lab.CacheDir()
	f.Salt, f.RequestPort, f.PublishPort = lab.SaltCommand(), lab.RequestPort(), lab.PublishPort()
	f.Master = fmt.Sprintf("127.0.0.1:%d", lab.RequestPort())
}

func (f *facts) print(took time.Duration) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\n%d simulated minions are accepted after %.1f s. Ctrl-C stops them.\n\n", len(f.Minions), took.Seconds())
	if f.Salt != "" {
		fmt.Fprintf(out, "Salt\t%s\n", f.Version)
		fmt.Fprintf(out, "salt command\t%s '*' test.ping\n", f.Salt)
		fmt.Fprintf(out, "config dir\t%s\n", f.ConfigDir)
		fmt.Fprintf(out, "jobd\t--salt-config-dir %s\n", f.ConfigDir)
	}
	fmt.Fprintf(out, "master\t%s\n", f.Master)
	fmt.Fprintf(out, "minions\t%s to %s\n", f.Minions[0], f.Minions[len(f.Minions)-1])
	if kib, ok := residentMemory(); ok {
		fmt.Fprintf(out, "memory\t%.1f MB of this process, pid %d\n", float64(kib)/1024, f.PID)
	}
	fmt.Fprintf(out, "\nready at %s\n", time.Now().Format(time.TimeOnly))
	return out.Flush()
}

// residentMemory is what this process has in memory, in KiB, where the system tells.
func residentMemory() (kib int, ok bool) {
	file, err := os.Open("/proc/self/status")
	if err != nil {
		return 0, false
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), "VmRSS:"); found {
			_, err := fmt.Sscan(value, &kib)
			return kib, err == nil
		}
	}
	return 0, false
}

func summary(stats swarm.Stats) string {
	return fmt.Sprintf("%d jobs begun, %d returns taken, %d lost, %d sign-ins, %d publications refused",
		stats.Jobs, stats.Returns, stats.ReturnsLost, stats.SignIns, stats.Refused)
}
