package archivetest

import (
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var masterTests = map[string]func(*bench){
	"masters are those with something stored or runs to do, each with its own": func(b *bench) {
		masters := func() []gaea.MasterStatus {
			list, err := b.store.Masters(b.ctx())
			b.ok(err)
			return list
		}
		same(b, "the masters of an empty archive", masters(), []gaea.MasterStatus{})
		ret := newReturn(1, "web1")
		b.write(archive.Batch{Returns: []gaea.Return{ret}})
		mine, another, ended := newRun(1), newRun(2), endedRun(3)
		another.Master, ended.Master = "another", "another"
		b.create(mine, "", "")
		b.create(another, "", "")
		b.create(ended, "", "")
		same(b, "the masters", masters(), []gaea.MasterStatus{{Master: "another", Runs: 1}, {Master: salt, Runs: 1, LastEvent: ret.Stamp}})
		same(b, "another's runs", b.runIDs(gaea.RunFilter{Master: "another"}), []string{ended.ID, another.ID})
		same(b, "those that go on", b.runIDs(gaea.RunFilter{Master: "another", Active: true}), []string{another.ID})
		another.Status, another.CheckState = gaea.RunFailed, gaea.CheckDone
		b.ok(b.store.SaveRun(b.ctx(), another))
		same(b, "those that go on after its end", b.runIDs(gaea.RunFilter{Master: "another", Active: true}), []string{})
	},
}
