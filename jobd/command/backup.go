package command

import (
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

type backupCommand struct {
	Config   configFile `help:"jobd's config file, for the database and the key file." placeholder:"FILE"`
	Database string     `help:"Where the archive is, as for jobd serve." default:"sqlite:///var/lib/jobd/jobd.db" placeholder:"URL"`
	KeyFile  string     `help:"As for jobd serve." type:"path" placeholder:"FILE"`
	File     string     `arg:"" help:"The copy to make; it must not be there yet." type:"path"`
}

// Help is printed above the list of arguments.
func (*backupCommand) Help() string {
	return `The copy is the archive as it was when the copy began, whole and without what is free in the file; jobd goes on writing meanwhile. It
needs the database, and so jobd's user: sudo -u jobd jobd archive backup …

Keep the key file with it, in another place: secrets in the archive are sealed with it. The queue (jobd-queue.db) needs no backup: jobd
makes it anew. To restore: stop jobd, put the copy where the database was, delete the files FILE-wal and FILE-shm of the old one, give it to jobd's
user, put the key file back, and start jobd. It fetches what came since from the master's job cache.

An archive in PostgreSQL is copied with pg_dump, or a base backup.

Examples:
  sudo -u jobd jobd archive backup /var/backups/jobd-$(date +%F).db
  sudo -u jobd jobd archive backup --config /etc/jobd/jobd.yaml /var/backups/jobd.db`
}

// Run makes the copy.
func (c *backupCommand) Run(w *world) error {
	began := time.Now()
	b, err := app.BackUp(w.ctx, c.Database, c.KeyFile, c.File)
	if err != nil {
		return err
	}
	w.printf("%s\n", c.File)
	w.note("%s in %s. Keep the key file %s as well, in another place.\n", gaea.Size(b.Bytes), gaea.Duration(time.Since(began).Round(time.Millisecond)), b.KeyFile)
	return nil
}
