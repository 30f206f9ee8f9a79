// Command saltlab keeps a real Salt in the foreground: a master, minions and salt-api on free loopback ports, without
// root. It prints how to reach each part and ends all of it on Ctrl-C, SIGTERM, and when it is killed itself.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

type options struct {
	SaltVersion string   `env:"SALT_VERSION" default:"${version}" help:"Version of Salt, which is installed where it is not there yet."`
	Minions     int      `default:"3" help:"How many minions."`
	States      string   `type:"existingdir" help:"Directory whose content is the file roots; an empty one is made where none is named."`
	Pillar      string   `type:"existingdir" help:"Directory whose content is the pillar roots; an empty one is made where none is named."`
	ACL         []string `name:"acl" placeholder:"USER" help:"User for whom the master writes a key to publish with (publisher_acl). May be repeated."`
	Dir         string   `type:"path" help:"Directory for all files, kept at the end. A temporary one is made where none is named, and removed."`
	JSON        string   `name:"json" type:"path" placeholder:"FILE" help:"File that is given the facts as JSON when everything is ready."`
}

// facts is how to reach each part, for scripts.
type facts struct {
	PID         int               `json:"pid"` // of this program: SIGTERM ends the lab
	Version     string            `json:"version"`
	Dir         string            `json:"dir"`
	ConfigDir   string            `json:"config_dir"`
	SockDir     string            `json:"sock_dir"`
	CacheDir    string            `json:"cache_dir"`
	StatesDir   string            `json:"states_dir"`
	PillarDir   string            `json:"pillar_dir"`
	Salt        string            `json:"salt"` // command line, up to the target
	PublishPort int               `json:"publish_port"`
	RequestPort int               `json:"request_port"`
	APIURL      string            `json:"api_url"`
	APIUser     string            `json:"api_user"`
	APIPassword string            `json:"api_password"`
	APIEauth    string            `json:"api_eauth"`
	Minions     []string          `json:"minions"`
	MinionRoots map[string]string `json:"minion_roots"` // by id: where its states may write, the grain lab_root
}

func main() {
	var opts options
	kong.Parse(&opts,
		kong.Name("saltlab"),
		kong.Description("Keeps a real Salt in the foreground: a master, minions and salt-api on loopback, without root."),
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
	ids := []string{} // none, rather than the default, for --minions 0
	if opts.Minions > 0 {
		ids = nil
	}
	lab, err := saltlab.Start(ctx, saltlab.Config{
		Version:      opts.SaltVersion,
		Minions:      opts.Minions,
		MinionIDs:    ids,
		Dir:          opts.Dir,
		States:       opts.States,
		Pillar:       opts.Pillar,
		PublisherACL: opts.ACL,
		Progress:     func(line string) { fmt.Println(line) },
	})
	if err != nil {
		return err
	}
	defer func() {
		fmt.Println("stopping Salt")
		if stopErr := lab.Stop(); err == nil {
			err = stopErr
		}
	}()
	f := factsOf(lab)
	if err := f.print(); err != nil {
		return err
	}
	if opts.JSON != "" {
		if err := saltlab.WriteFacts(opts.JSON, f); err != nil {
			return fmt.Errorf("saltlab: %w", err)
		}
		defer func() { _ = os.Remove(opts.JSON) }() // what it says is no longer so
	}
	<-ctx.Done()
	cancel() // a second Ctrl-C ends this program at once, and the lab with it
	return nil
}

func factsOf(lab *saltlab.Lab) facts {
	f := facts{
		PID:         os.Getpid(),
		Version:     lab.Version(),
		Dir:         lab.Dir(),
		ConfigDir:   lab.ConfigDir(),
		SockDir:     lab.SockDir(),
		CacheDir:    lab.CacheDir(),
		StatesDir:   lab.StatesDir(),
		PillarDir:   lab.PillarDir(),
		Salt:        lab.SaltCommand(),
		PublishPort: lab.PublishPort(),
		RequestPort: lab.RequestPort(),
		APIURL:      lab.APIURL(),
		APIUser:     lab.APIUser(),
		APIPassword: lab.APIPassword(),
		APIEauth:    lab.APIEauth(),
		Minions:     lab.Minions(),
		MinionRoots: map[string]string{},
	}
	for _, id := range f.Minions {
		f.MinionRoots[id] = lab.MinionRoot(id)
	}
	return f
}

func (f facts) print() error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\nSalt %s is up. Ctrl-C stops it.\n\n", f.Version)
	fmt.Fprintf(out, "salt command\t%s '*' test.ping\n", f.Salt)
	fmt.Fprintf(out, "config dir\t%s\n", f.ConfigDir)
	fmt.Fprintf(out, "states\t%s\n", f.StatesDir)
	fmt.Fprintf(out, "pillar\t%s\n", f.PillarDir)
	fmt.Fprintf(out, "salt-api\t%s\n", f.APIURL)
	fmt.Fprintf(out, "  user\t%s\n", f.APIUser)
	fmt.Fprintf(out, "  password\t%s\n", f.APIPassword)
	fmt.Fprintf(out, "  eauth\t%s\n", f.APIEauth)
	fmt.Fprintf(out, "master\t127.0.0.1, publishes on %d, takes requests on %d\n", f.PublishPort, f.RequestPort)
	fmt.Fprintf(out, "logs\t%s\n", filepath.Join(f.Dir, "logs"))
	for _, id := range f.Minions {
		fmt.Fprintf(out, "minion %s\tits states may write below %s\n", id, f.MinionRoots[id])
	}
	fmt.Fprintf(out, "\nready at %s\n", time.Now().Format(time.TimeOnly))
	return out.Flush()
}
