package archivetest

import (
	"bytes"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// packedReturns is how many returns WritePacked stores: more than are unpacked at once.
const packedReturns = 250

// WritePacked stores returns whose bodies, and what was cut out of them, are packed, beside some that are too small for that.
func WritePacked(t *testing.T, s archive.Store) {
	t.Helper()
	var batch archive.Batch
	for n := range packedReturns {
		batch.Returns = append(batch.Returns, StateReturn(jid(n), "web1", 40, 1000+n, n, at(n)), newReturn(n, "web2"))
	}
	if err := s.WriteBatch(t.Context(), salt, batch); err != nil {
		t.Fatal(err)
	}
}

// ReadPacked says whether what WritePacked stored is still there.
func ReadPacked(t *testing.T, s archive.Store) {
	t.Helper()
	for n := range packedReturns {
		for _, want := range []gaea.Return{StateReturn(jid(n), "web1", 40, 1000+n, n, at(n)), newReturn(n, "web2")} {
			got, err := s.Return(t.Context(), salt, jid(n), want.Minion)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Body, want.Body) || len(got.States) != len(want.States) {
				t.Fatalf("the body of %s on %s is %s, want %s", want.JID, want.Minion, got.Body, want.Body)
			}
		}
	}
}
