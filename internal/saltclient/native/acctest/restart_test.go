package acctest_test

import (
	"os"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient/native"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

func TestAfterTheMastersRestartTheSocketAndTheKeyAreReadAgain(t *testing.T) {
	lab := saltlab.Get(t)
	c := client(t, lab, native.Options{})
	b := listen(t, c)
	p := publish(t, c, gaea.Publication{Function: "test.ping"})
	b.ret(p.JID, "web1")
	if err := lab.StopMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost := b.wait("that the link is lost", 0, func(m gaea.BusMessage) bool { return m.Err != nil })
	if _, err := c.Publish(t.Context(), gaea.Publication{Function: "test.ping", Target: gaea.ListTarget([]string{"web1"})}); gaea.CodeOf(err) != gaea.CodeUnavailable {
		t.Errorf("without a master: got %v", err)
	}
	// 3008 keeps a key that it finds, 3006 makes a new one; here both have to.
	if err := os.Remove(c.Config().KeyFile("root")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := lab.StartMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.wait("that the link is there again", lost, func(m gaea.BusMessage) bool { return m.Connected })
	p = publish(t, c, gaea.Publication{Function: "test.ping"})
	for _, id := range lab.Minions() {
		if r := b.ret(p.JID, id); string(r.Body) != "true" {
			t.Errorf("%s returned %s", id, r.Body)
		}
	}
	if s := c.Stats(); s.Connections < 2 || !s.Connected || s.BadEvents != 0 || s.BadFrames != 0 {
		t.Errorf("the counts are %+v", s)
	}
}

func TestWhatTheSaltCommandDoesIsOnTheBus(t *testing.T) {
	lab := saltlab.Get(t)
	b := listen(t, client(t, lab, native.Options{}))
	if _, err := lab.Salt(t.Context(), "-L", "web1,web2", "grains.item", "role"); err != nil {
		t.Fatal(err)
	}
	job := b.decoded("the job of the salt command", func(d saltclient.Decoded) bool { return d.Job != nil && d.Job.Function == "grains.item" }).Job
	if job.Target.Type != gaea.TargetList || len(job.Target.Minions) != 2 || string(job.Args) != `["role"]` {
		t.Errorf("got %+v", job)
	}
	if r := b.ret(job.JID, "web2"); string(r.Body) != `{"role":"web"}` {
		t.Errorf("got %s", r.Body)
	}
}
