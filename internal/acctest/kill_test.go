package acctest

import (
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/killtest"
)

// This test keeps the minions busy, so it does not run in parallel with others. make kill plays it for longer.
func TestAccRunsGoOnWhereTheyWereThoughJobdIsKilledAtRandomMoments(t *testing.T) {
	r := newRigAlone(t)
	began := time.Now()
	const kills = 6 // with this seed: actions, a pause, a cancel, slices with actions, two runs with one lock
	summary, err := killtest.Play(t.Context(), killtest.Config{
		Lab: r.lab, Jobd: r.jobd, Client: r.client, Kills: kills, Seed: 1, Say: func(line string) { t.Log(line) },
	})
	t.Log(summary)
	if err != nil {
		t.Fatal(err)
	}
	r.wantVerified(t, began)
}
