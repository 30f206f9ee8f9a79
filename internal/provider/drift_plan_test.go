package provider_test

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/provider"
)

const motd = `
resource "gaea_target_group" "all" {
  name  = "all"
  match = "*"
}

resource "gaea_state_assignment" "motd" {
  name         = "motd"
  target_group = gaea_target_group.all.ref
  states       = ["motd"]
}
`

const motdAddress = "gaea_state_assignment.motd"

const motdDiff = "--- \n+++ \n@@ -1 +1 @@\n-tampered\n+hello from gaea\n"

func TestAPlanShowsDriftWithItsDiffAndAnApplyRepairsIt(t *testing.T) {
	f := newFakeJobd("web1", "web2")
	tf := newTerraform(t, provider.WithBackend(f))
	tf.write(motd)
	if ok, out := tf.apply(); !ok {
		t.Fatal(out)
	}
	t.Log(f.asked())
	for range 2 {
		if code, out := tf.plan(); code != 0 {
			t.Fatal(out)
		}
	}
	f.tamper("motd", "web1", "file.managed /etc/motd", motdDiff)
	code, out := tf.plan()
	t.Log(code, out)
	code, out = tf.plan("-refresh-only")
	t.Log(code, out)
	_, out = tf.apply()
	t.Log(out)
	t.Log(f.asked())
	t.Log(tf.plan())
	t.Log(tf.plan("-refresh-only"))
	t.Log(tf.state(motdAddress))
}
