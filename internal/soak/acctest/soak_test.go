// Package acctest_test plays the quick scenarios on the master of a real Salt, with few minions. make soak plays them all, with many.
package acctest_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab"
	"github.com/gaea-salt/terraform-provider-gaea/internal/soak"
)

// minions is how many are simulated.
const minions = 40

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(saltlab.NewSuite(m, saltlab.Config{MinionIDs: []string{}, NoAPI: true}), goleak.Cleanup(os.Exit))
}

func TestEachQuickScenarioHolds(t *testing.T) {
	cfg := newConfig(t)
	for _, scenario := range soak.Scenarios() {
		if !scenario.Quick {
			continue
		}
		t.Run(scenario.Name, func(t *testing.T) {
			seen, err := soak.Play(t.Context(), cfg, scenario)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(seen)
		})
	}
}

// newConfig starts a jobd beside the lab.
func newConfig(t *testing.T) soak.Config {
	t.Helper()
	lab, dir := saltlab.Get(t), t.TempDir()
	binary, err := jobdlab.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	jobd, err := jobdlab.Start(t.Context(), jobdlab.Config{Binary: binary, SaltConfigDir: lab.ConfigDir(), Dir: dir, Args: []string{"--log-level", "debug"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := jobd.Stop(); err != nil {
			t.Error(err)
		}
	})
	token, err := jobd.Token(t.Context(), "apply", "soak")
	if err != nil {
		t.Fatal(err)
	}
	client, err := jobdclient.New(jobdclient.Config{Endpoint: jobd.Endpoint, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return soak.Config{Lab: lab, Jobd: jobd, Client: client, Minions: minions, Seed: 1}
}
