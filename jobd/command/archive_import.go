package command

import (
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

type importCommand struct {
	keeper
	format
	Dir           string `arg:"" optional:"" type:"path" help:"A master's cachedir, the directory jobs in it, or a copy of either. That of this machine's master when absent."`
	Master        string `help:"The master's name in the archive; needed with DIR. As jobd serve has it when absent." placeholder:"NAME"`
	MasterName    string `hidden:""` // of jobd serve's config file: that is this machine's master
	SaltConfigDir string `help:"The Salt master's config directory, which says where its job cache is." default:"/etc/salt" type:"path" placeholder:"DIR"`
	TimeZone      string `help:"Zone of the times in job ids: the master's, as Europe/Berlin, or UTC where it has utc_jid. This machine's when absent." placeholder:"ZONE"`
}

// Help is printed above the list of arguments.
func (*importCommand) Help() string {
	return `For the history from before jobd, and for masters that are gone: every job and return that a local job cache has is
stored as if jobd had fetched it, with secrets redacted, and marked as the job cache's. What the archive has already
stays as it is, so it may be repeated, also after it was ended half-way, and changes nothing then.

No jobd may use an archive in SQLite meanwhile; in PostgreSQL jobds may go on. Of the job cache of the master that it serves,
a running jobd stores what is missing by itself; to have it look at once: jobd archive verify --fix

Copy a job cache with its times (cp -a, rsync -a, tar): when a return came is the time of its file. jobd's next retention
removes what is older than jobd serve --retention says: raise that first where older jobs are to stay.

It needs the database and the key file, and so jobd's user. Exit codes: 0 all is in the archive; 1 something could not be
read, which is named, and everything else is in.

Examples:
  sudo -u jobd jobd archive import
  sudo -u jobd jobd archive import /srv/old-master/jobs --master salt-eu --time-zone UTC
  sudo -u jobd jobd archive import /srv/old-master --master salt-eu --config /etc/jobd/jobd.yaml`
}

// sayProgress is how often a person is told how far the import is.
const sayProgress = 2 * time.Second

// Run imports, and prints what was new and what could not be read.
func (c *importCommand) Run(w *world) error {
	o := app.ImportOptions{Database: c.Database, KeyFile: c.KeyFile, SaltConfigDir: c.SaltConfigDir, Dir: c.Dir, Master: c.Master}
	if c.Dir == "" && c.Master == "" {
		o.Master = c.MasterName
	}
	if c.TimeZone != "" {
		zone, err := time.LoadLocation(c.TimeZone)
		if err != nil {
			return usageError("--time-zone: " + c.TimeZone + " is no time zone; write for example Europe/Berlin, or UTC")
		}
		o.Zone = zone
	}
	if w.OnTerminal && c.Output == "table" {
		said := time.Now()
		o.Progress = func(done, all int) {
			if now := time.Now(); now.Sub(said) >= sayProgress {
				said = now
				w.note("%d of %d jobs read …\n", done, all)
			}
		}
	}
	report, err := app.Import(w.ctx, o)
	if err != nil {
		if report != nil && report.Jobs > 0 {
			w.note("%d jobs were read, and up to %d returns of them were new; repeat it to go on.\n", report.Jobs, report.NewReturns)
		}
		return err
	}
	return c.show(w, report)
}

// show prints the report.
func (c *importCommand) show(w *world, report *gaea.ImportReport) error {
	switch c.Output {
	case "table":
		for _, u := range report.Unread {
			w.printf("not read: %s: %s\n", harmless(u.Path), harmless(u.Reason))
		}
		if more := report.UnreadCount - len(report.Unread); more > 0 {
			w.printf("not read: %d more\n", more)
		}
		w.printf("%d jobs and %d returns of %s read for the master %s: %d jobs and %d returns were new and are stored now.\n",
			report.Jobs, report.Returns, report.Path, harmless(report.Master), report.NewJobs, report.NewReturns)
	default:
		rows := make([][]string, len(report.Unread))
		for i, u := range report.Unread {
			rows[i] = []string{u.Path, u.Reason}
		}
		if err := c.rows(w.Stdout, report, []string{"path", "reason"}, rows); err != nil {
			return err
		}
	}
	if report.UnreadCount > 0 {
		return exitError(ExitFailed)
	}
	return nil
}
