// Package archivetest is the suite that every store of the archive passes: what archive.Store says of each method, and that
// it holds when batches come twice, in another order, and from several goroutines at once. It also makes jobs, returns and
// state runs for tests and benchmarks of stores.
package archivetest

import (
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// Run runs the suite. open returns an empty store that is closed when its test ends; it is called once for each test, and
// with the test that uses the store.
func Run(t *testing.T, open func(t *testing.T) archive.Store) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*bench)
	}{
		{"batches", batchTests},
		{"returns", returnTests},
		{"jobs", jobTests},
		{"what belongs to what", relationTests},
		{"the ledger", ledgerTests},
		{"what people ask", questionTests},
		{"what people ask over days", dayTests},
		{"events", eventTests},
		{"pages", pageTests},
		{"evidence", evidenceTests},
		{"runs", runTests},
		{"fields of runs", runFieldTests},
		{"runs of runs", runFamilyTests},
		{"masters", masterTests},
		{"definitions", definitionTests},
		{"tokens, secrets and gaps", smallTests},
		{"pruning", pruneTests},
		{"holds", holdTests},
		{"usage", usageTests},
		{"retention beside others", besideTests},
		{"everything at once", togetherTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) {
					test(&bench{T: t, store: open(t), open: open})
				})
			}
		})
	}
}
