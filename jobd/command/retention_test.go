package command_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/authn"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/command"
)

// asAdmin gives the rig a token of the role admin.
func asAdmin(t *testing.T, r *rig) {
	t.Helper()
	token, err := authn.New(r.World, nil).Create(t.Context(), gaea.TokenRequest{Name: "root", Role: gaea.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	r.token = token.Secret
}

func TestARunOrAJobIsHeldListedAndReleased(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const jid = "20260301120000000001"
	r.AddJob(gaea.Job{JID: jid, Function: "test.ping", Known: true})
	code, out, errs := r.run("archive", "hold", jid, "--reason", "case 1")
	want(t, "as ann", code, command.ExitFailed, out+errs, "needs the role admin")
	asAdmin(t, r)
	code, out, errs = r.run("archive", "hold", jid, "--reason", "case 1")
	want(t, "a job", code, command.ExitOK, out+errs, "hold-1\n", "held by root", "jobd archive release hold-1")
	code, out, errs = r.run("archive", "hold", "run-20260301T120000-abc123", "--reason", "case 2")
	want(t, "a run", code, command.ExitOK, out+errs, "hold-2")
	code, out, errs = r.run("archive", "hold", "20260301120000000009", "--reason", "case 3")
	want(t, "no job", code, command.ExitFailed, out+errs, "there is no job 20260301120000000009")
	code, out, errs = r.run("archive", "hold", jid)
	want(t, "no reason", code, command.ExitUsage, out+errs, "--reason")
	code, out, errs = r.run("archive", "holds")
	want(t, "the holds", code, command.ExitOK, out+errs, "HOLD", jid, "run-20260301T120000-abc123", "case 2", "root")
	code, out, errs = r.run("archive", "release", jid, "--reason", "closed")
	want(t, "by its job", code, command.ExitOK, out+errs, "hold-1")
	code, out, errs = r.run("archive", "hold", jid, "--reason", "case 4")
	want(t, "again", code, command.ExitOK, out+errs, "hold-3")
	code, out, errs = r.run("archive", "hold", jid, "--reason", "case 5")
	want(t, "and again", code, command.ExitOK, out+errs, "hold-4")
	code, out, errs = r.run("archive", "release", jid, "--reason", "closed")
	want(t, "one of two", code, command.ExitUsage, out+errs, "has several holds", "hold-3", "hold-4")
	code, out, errs = r.run("archive", "release", "hold-3", "--reason", "closed")
	want(t, "by its id", code, command.ExitOK, out+errs, "hold-3")
	code, out, errs = r.run("archive", "holds", "--all", "-o", "tsv")
	want(t, "all holds", code, command.ExitOK, out+errs, "hold\trun\tjid\tsince\tby\treason\treleased\treleased_by\trelease_reason", "hold-1\t\t"+jid, "\tclosed\n")
	code, out, errs = r.run("archive", "release", "hold-9", "--reason", "closed")
	want(t, "no hold", code, command.ExitFailed, out+errs, "hold-9")
}

func TestStatsShowWhatIsStoredForPeopleAndForScripts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.PutStats(gaea.ArchiveStats{
		Database: "sqlite", DiskBytes: 3 << 30, UsedBytes: 2 << 30, MaxBytes: 20 << 30, RawBytes: 30 << 30, Ratio: 15.26, Measured: time.Now().Add(-3 * time.Hour),
		Kinds: []gaea.KindStats{
			{Kind: gaea.KindJobs, Rows: 12, Bytes: 1 << 20, Oldest: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), RowsPerDay: 1.6, BytesPerDay: 2048},
			{Kind: gaea.KindContents, Rows: 7, Bytes: 512},
		},
	})
	code, out, errs := r.run("archive", "stats")
	want(t, "for people", code, command.ExitOK, out+errs, "2.0 GiB in use of 3.0 GiB on disk (sqlite, max_size 20.0 GiB)", "30.0 GiB of returns came, stored at a ratio of 15.3 to 1", "0 holds",
		"were measured at", "ROWS/DAY", "1.0 MiB", "2.0 KiB")
	code, out, errs = r.run("archive", "stats", "-o", "tsv")
	want(t, "for scripts", code, command.ExitOK, out+errs, "jobs\t12\t1048576\t2026-03-01T12:00:00Z\t2\t2048\n", "contents\t7\t512\t\t0\t0\n")
	code, out, errs = r.run("archive", "stats", "-o", "json")
	want(t, "as JSON", code, command.ExitOK, out+errs, `"max_bytes": 21474836480`, `"rows_per_day": 1.6`)
}

func TestABackupIsRefusedForPostgreSQLWithWhatToUse(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "copy.db")
	for database, wants := range map[string][]string{
		"postgres://u:s3cret@db.example.com/jobd": {"pg_dump", "db.example.com:5432/jobd", "key file"},
		"sqlite:///nowhere/jobd.db":               {"/nowhere/jobd.db", "--database"},
	} {
		var out, errs bytes.Buffer
		code := command.Main(t.Context(), command.Process{Args: []string{"archive", "backup", "--database", database, file}, Stdout: &out, Stderr: &errs})
		want(t, database, code, command.ExitFailed, errs.String(), wants...)
		if strings.Contains(errs.String(), "s3cret") {
			t.Errorf("the password is told: %s", errs.String())
		}
	}
}
