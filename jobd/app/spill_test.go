package app_test

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

func TestTheSpillIsWhereJobdMayWrite(t *testing.T) {
	const of, beside = "jobd-spill-salt.db", "jobd-spill.db"
	for name, c := range map[string]struct {
		dir, key, database, state, want string
	}{
		"beside a database that is a file":         {database: "/data/jobd.db", state: "/var/lib/jobd", want: "/data/" + beside},
		"in the directory that is set":             {dir: "/spill", database: "/data/jobd.db", want: "/spill/" + beside},
		"for PostgreSQL, too":                      {dir: "/spill", key: "/etc/jobd/jobd.key", want: "/spill/" + of},
		"in systemd's state directory":             {key: "/etc/jobd/jobd.key", state: "/var/lib/jobd:/var/lib/other", want: "/var/lib/jobd/" + of},
		"beside the key":                           {key: "/srv/jobd/jobd.key", want: "/srv/jobd/" + of},
		"in jobd's directory where nothing is set": {want: "/var/lib/jobd/" + of},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", c.state)
			if got := app.SpillPath(c.dir, c.key, c.database, "salt"); got != c.want {
				t.Errorf("it is %s, not %s", got, c.want)
			}
		})
	}
}

func TestAMasterWhoseNameIsAPathHasItsSpillInTheDirectoryStill(t *testing.T) {
	if got := app.SpillPath("/spill", "", "", "../salt/a"); got != "/spill/jobd-spill-..%2Fsalt%2Fa.db" {
		t.Errorf("it is %s", got)
	}
}
