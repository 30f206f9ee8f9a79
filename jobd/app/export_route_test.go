package app_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

func TestAnExportWhileReturnsComeHasEachOnceAndAllFromBeforeIt(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, options optionsOf) {
		const before, meanwhile = 2000, 2000
		s := newSalt(t)
		s.openBus()
		o := options(t, s)
		j := run(t, o)
		s.accept()
		for n := range before {
			s.sendReturn(n, "web1", nil)
		}
		eventually(t, "all is stored", func() bool { return j.metric("gaea_ingest_returns_stored_total") >= before })
		tokens, err := app.OpenTokens(t.Context(), o.Database, o.KeyFile, false)
		if err != nil {
			t.Fatal(err)
		}
		token, err := tokens.Create(t.Context(), "reader", gaea.RoleRead, 0)
		if err == nil {
			err = tokens.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		c, err := jobdclient.New(jobdclient.Config{Endpoint: j.url, Token: token.Secret})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()

		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for n := range meanwhile {
				s.sendReturn(before+n, "web1", nil)
			}
		}()
		var lines bytes.Buffer
		end, err := c.ExportArchive(t.Context(), gaea.ExportRequest{Kinds: []gaea.ExportKind{gaea.ExportReturns}}, &lines)
		<-sent
		if err != nil {
			t.Fatal(err)
		}
		times := map[string]int{}
		for scanner := bufio.NewScanner(&lines); scanner.Scan(); {
			var line gaea.ExportLine[gaea.Return]
			if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
				t.Fatal(err)
			}
			if line.Type == gaea.LineReturn {
				times[line.Data.JID]++
			}
		}
		if end.Returns != len(times) {
			t.Errorf("%d returns are exported as %d lines", len(times), end.Returns)
		}
		for n := range before {
			if times[jid(n)] != 1 {
				t.Fatalf("the %d-th return is exported %d times", n, times[jid(n)])
			}
		}
	})
}
