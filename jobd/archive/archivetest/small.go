package archivetest

import (
	"encoding/json"
	"fmt"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

var smallTests = map[string]func(*bench){
	"tokens are found by their hash until they are deleted": func(b *bench) {
		one := gaea.Token{ID: "t1", Name: "ci", Role: gaea.RolePlan, Hash: []byte{0, 1, 2}, Created: at(1)}
		two := gaea.Token{ID: "t2", Name: "ci", Role: gaea.RoleAdmin, Hash: []byte{3}, Created: at(2), Expires: at(9)}
		zed := gaea.Token{ID: "t0", Name: "ann", Role: gaea.RoleRead, Hash: []byte{4}, Created: at(3)}
		for _, t := range []gaea.Token{two, one, zed} {
			b.ok(b.store.CreateToken(b.ctx(), t))
		}
		got, err := b.store.TokenByHash(b.ctx(), one.Hash)
		b.ok(err)
		same(b, "the token", got, one)
		list, err := b.store.Tokens(b.ctx())
		b.ok(err)
		same(b, "the tokens", list, []gaea.Token{zed, one, two})
		b.code(b.store.CreateToken(b.ctx(), gaea.Token{ID: "t1", Hash: []byte{9}}), gaea.CodeConflict)
		b.code(b.store.CreateToken(b.ctx(), gaea.Token{ID: "t9", Hash: one.Hash}), gaea.CodeConflict)
		b.code(b.store.CreateToken(b.ctx(), gaea.Token{ID: "t9"}), gaea.CodeInvalid)
		b.code(b.store.CreateToken(b.ctx(), gaea.Token{Hash: []byte{9}}), gaea.CodeInvalid)
		b.ok(b.store.DeleteToken(b.ctx(), "t1"))
		b.code(b.store.DeleteToken(b.ctx(), "t1"), gaea.CodeNotFound)
		_, err = b.store.TokenByHash(b.ctx(), one.Hash)
		b.code(err, gaea.CodeNotFound)
	},
	"secret pillars are kept for each version": func(b *bench) {
		get := func(assignment, version string) string {
			b.Helper()
			p, err := b.store.SecretPillar(b.ctx(), assignment, version)
			b.ok(err)
			return string(p)
		}
		one, two := json.RawMessage(`{"password":"`+Secret+`"}`), json.RawMessage(`{}`)
		b.ok(b.store.PutSecretPillar(b.ctx(), "nginx", "1", json.RawMessage(`{"old":true}`)))
		b.ok(b.store.PutSecretPillar(b.ctx(), "nginx", "1", one))
		b.ok(b.store.PutSecretPillar(b.ctx(), "nginx", "2", two))
		same(b, "version 1", get("nginx", "1"), string(one))
		same(b, "version 2", get("nginx", "2"), string(two))
		same(b, "no version", get("nginx", "3"), "")
		same(b, "another assignment", get("motd", "1"), "")
		b.ok(b.store.PutSecretPillar(b.ctx(), "nginx", "1", nil))
		b.ok(b.store.PutSecretPillar(b.ctx(), "nginx", "1", nil))
		same(b, "version 1 after it was removed", get("nginx", "1"), "")
	},
	"gaps are open until they are closed": func(b *bench) {
		open := func(master string) []archive.Gap {
			b.Helper()
			list, err := b.store.OpenGaps(b.ctx(), master)
			b.ok(err)
			return list
		}
		late, err := b.store.OpenGap(b.ctx(), salt, at(5))
		b.ok(err)
		early, err := b.store.OpenGap(b.ctx(), salt, at(1))
		b.ok(err)
		_, err = b.store.OpenGap(b.ctx(), "other", at(2))
		b.ok(err)
		same(b, "the gaps", open(salt), []archive.Gap{{ID: early, Master: salt, From: at(1)}, {ID: late, Master: salt, From: at(5)}})
		b.ok(b.store.CloseGap(b.ctx(), early, at(9), 7))
		b.ok(b.store.CloseGap(b.ctx(), early, at(10), 8))
		same(b, "the gaps after one is closed", open(salt), []archive.Gap{{ID: late, Master: salt, From: at(5)}})
		same(b, "the gaps of no master", open("none"), []archive.Gap{})
		b.code(b.store.CloseGap(b.ctx(), late+100, at(9), 0), gaea.CodeNotFound)
		_, err = b.store.OpenGap(b.ctx(), "", at(1))
		b.code(err, gaea.CodeInvalid)
	},
	"a closed archive says so": func(b *bench) {
		b.ok(b.store.Close())
		b.ok(b.store.Close())
		_, err := b.store.Job(b.ctx(), salt, jid(1))
		b.code(err, gaea.CodeUnavailable)
		b.code(b.store.WriteBatch(b.ctx(), salt, archive.Batch{Returns: []gaea.Return{newReturn(1, "web1")}}), gaea.CodeUnavailable)
		b.code(b.store.Check(b.ctx()), gaea.CodeUnavailable)
	},
	"hostile names find nothing that is not theirs": func(b *bench) {
		b.write(archive.Batch{Jobs: []gaea.Job{newJob(1, "web1")}, Returns: []gaea.Return{newReturn(1, "web1")}})
		for _, s := range HostileTexts() {
			same(b, fmt.Sprintf("what the function %.20q finds", s), b.jids(gaea.JobFilter{Function: s}), []string{})
			same(b, fmt.Sprintf("what the target %.20q finds", s), b.jids(gaea.JobFilter{Target: s}), []string{})
			_, err := b.store.Return(b.ctx(), salt, s, s)
			b.code(err, gaea.CodeNotFound)
			_, err = b.store.TargetGroups().Get(b.ctx(), gaea.Ref{Name: s})
			b.code(err, gaea.CodeNotFound)
			_, err = b.store.GetRun(b.ctx(), s)
			b.code(err, gaea.CodeNotFound)
		}
	},
}
