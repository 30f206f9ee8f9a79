package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/ingest"
)

// refusing is an archive that does not take what evil returns.
type refusing struct{ *store }

func (s refusing) Write(ctx context.Context, jobs []gaea.Job, returns []gaea.Return, events []gaea.Event) error {
	if slices.ContainsFunc(returns, func(r gaea.Return) bool { return r.Minion == "evil" }) {
		return gaea.Wrap(errors.New("the index row is too large"), gaea.CodeTooLarge, "it is too large")
	}
	return s.store.Write(ctx, jobs, returns, events)
}

func TestAnImportNamesWhatTheArchiveRefusesWithItsCauseAndStoresTheRest(t *testing.T) {
	t.Parallel()
	s := newStore()
	report := &gaea.ImportReport{}
	importer := ingest.NewImporter("m1", refusing{s}, func(string, json.RawMessage) (string, bool) { return "", false }, report)
	bad, good := ret(1), ret(2)
	bad.Minion = "evil"
	for _, r := range []gaea.Return{bad, good} {
		if err := importer.Add(t.Context(), &gaea.CachedJob{Job: gaea.Job{JID: r.JID, Function: r.Function, Known: true, Started: r.Stamp}, Returns: []gaea.Return{r}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := importer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.stored(good); !ok || report.NewReturns != 1 || len(report.Unread) != 1 {
		t.Fatalf("stored %v, and the report is %+v", ok, report)
	}
	if u := report.Unread[0]; !strings.Contains(u.Path, "evil") || !strings.Contains(u.Reason, "it is too large: the index row is too large") {
		t.Errorf("what was refused is told as %+v", u)
	}
}
