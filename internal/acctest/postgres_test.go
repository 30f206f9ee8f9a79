package acctest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/pglab"
)

// One life of a jobd whose archive is in PostgreSQL: a run, Terraform, a kill in the middle of a run, the database away.
func TestAccTheArchiveMayBeInPostgreSQL(t *testing.T) {
	t.Parallel()
	server, err := pglab.Start(t.Context(), pglab.Durable()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	database, err := server.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := newRigIn(t, database)
	if status, err := r.client.Status(t.Context()); err != nil || status.Database != "postgres" {
		t.Errorf("the status is %+v (%v)", status, err)
	}

	r.sls(t, motd)
	f := r.newTerraform(t, "apply", r.assignment("", "db1"))
	f.apply(t)
	f.plan(t, planEmpty)

	run := r.startCommand(t, "web2", "echo $$ >> started; while [ ! -e go ]; do sleep 0.1; done; echo over", 0)
	eventually(t, "the command runs", func() bool { return r.exists("web2", "started") })
	r.jobd.Kill()
	r.restart(t)
	if err := server.Halt(); err != nil {
		t.Fatal(err)
	}
	if _, body := r.get(t, "/readyz"); !strings.Contains(body, "does not answer") {
		t.Errorf("without the database /readyz says %s", body)
	}
	r.write(t, "web2", "go", "") // the return comes while the database is away
	if err := server.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the run has ended", func() bool {
		now, err := r.client.GetRun(t.Context(), run.ID)
		return err == nil && now.Status == gaea.RunSucceeded
	})
	if got := strings.Count(r.content(t, "web2", "started"), "\n"); got != 1 {
		t.Errorf("the command was run %d times", got)
	}
	f.plan(t, planEmpty)

	ended := r.run(t, run.ID)
	ret, err := r.client.Return(t.Context(), ended.Minions["web2"].JID, "web2")
	if err != nil || !strings.Contains(string(ret.Body), "over") {
		t.Errorf("the return is %+v (%v)", ret, err)
	}
	history, err := r.client.Returns(t.Context(), gaea.JobFilter{RunID: run.ID}, gaea.PageRequest{})
	if err != nil || len(history.Items) != 1 {
		t.Errorf("the run's returns are %+v (%v)", history.Items, err)
	}
	if log := fmt.Sprint(r.jobd.Log(10_000)); strings.Contains(log, database) {
		t.Error("the log has the address of the database, with its password")
	}
}
