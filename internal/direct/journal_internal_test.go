package direct

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/drift"
	"github.com/gaea-salt/terraform-provider-gaea/internal/feed"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

func TestAJobOfWhichReturnsWereLetGoIsNotWholeAgainWithALateReturn(t *testing.T) {
	j := &journal{
		master: master, hub: feed.NewHub(), fingerprint: drift.NewFingerprinter(newDigest()), evidence: newEvidence(),
		runOf: func(string) string { return "run" }, late: func(gaea.Return) {}, jobs: map[string]*jobReturns{},
	}
	body := append(append([]byte{'"'}, bytes.Repeat([]byte("x"), keptBytes/4)...), '"')
	for i := range 5 { // more than is kept: the first job is let go
		j.take(gaea.SourceBus, gaea.Return{JID: fmt.Sprintf("2026112611000000000%d", i), Minion: "web1", Function: "test.arg", Body: body})
	}
	const first = "20261126110000000000"
	j.take(gaea.SourceBus, gaea.Return{JID: first, Minion: "web2", Function: "test.arg", Body: []byte("1")})
	if returns, whole := j.kept(first); whole {
		t.Errorf("%d returns are said to be all", len(returns))
	}
	for i := range 100 { // the bound holds, whatever is let go and comes again
		j.take(gaea.SourceBus, gaea.Return{JID: fmt.Sprintf("2026112612000000%04d", i%2), Minion: fmt.Sprintf("web%d", i), Function: "test.arg", Body: body})
		sum := 0
		for _, jid := range j.order {
			sum += j.jobs[jid].bytes
		}
		if j.bytes > keptBytes || j.bytes != sum {
			t.Fatalf("%d bytes are counted, %d are kept", j.bytes, sum)
		}
	}
}
