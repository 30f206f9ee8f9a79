// Package suite_test is a package of tests that share a lab. The tests of saltlab run it to see what becomes of the lab.
package suite_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
)

func TestMain(m *testing.M) {
	os.Exit(saltlab.Main(m, saltlab.Config{Minions: 1, NoAPI: true}))
}

// say tells the test outside which lab this is.
func say(lab *saltlab.Lab) { fmt.Println("lab", lab.Dir()) }

func TestNeedsNoLab(*testing.T) {}

func TestFails(t *testing.T) {
	say(saltlab.Get(t))
	t.Error("this test fails")
}

func TestPanics(t *testing.T) {
	say(saltlab.Get(t))
	panic("this test panics")
}

func TestWaits(t *testing.T) {
	say(saltlab.Get(t))
	<-t.Context().Done()
}
