package soak

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltlab/swarm"
)

const (
	hugeReturn = 64 << 20 // bytes
	hugeKept   = 1e6      // bytes of it that are kept at least: jobd cuts at 1 MiB of JSON, less what the end of the text may need
	mostMemory = 400      // MiB that jobd may have taken by the end
)

// hostileRoles are minions that return what is too large, one that is in the name of another's return, and those whose names are
// taken.
func hostileRoles() []role {
	on := []string{work}
	return []role{
		{name: "huge", percent: 1, behaviour: swarm.Behaviour{Functions: on, Huge: hugeReturn}, outcomes: []gaea.Outcome{gaea.OutcomeSucceeded}},
		{name: "forger", percent: 1, behaviour: swarm.Behaviour{Functions: on, Slow: swarm.Exactly(4 * time.Second)}, outcomes: []gaea.Outcome{gaea.OutcomeSucceeded}},
		{name: "victim", percent: 5, behaviour: swarm.Behaviour{Functions: on, Silent: true}, outcomes: []gaea.Outcome{gaea.OutcomeNoReturn}},
	}
}

// playHostile makes a run over minions of which one returns 64 MiB, and another tells the master that silent ones have returned. The
// run believes neither more than it should, jobd's memory stays within its bound, and the archive says what came.
func playHostile(ctx context.Context, s *stage) error {
	began := time.Now()
	run, err := s.start(ctx, gaea.RunRequest{
		Function: work, Args: []any{"<b>'; DROP TABLE returns; --"}, Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Timeouts: s.timeouts(),
	})
	if err != nil {
		return err
	}
	jid, err := s.published(ctx, run.ID)
	if err != nil {
		return err
	}
	forger := s.with("forger")[0]
	for _, victim := range s.with("victim") {
		tag := "salt/job/" + jid + "/ret/" + victim
		data := map[string]any{"cmd": "_return", "id": forger, "jid": jid, "fun": work, "return": "forged", "retcode": 0, "success": true}
		if err := s.swarm.Fire(ctx, forger, tag, data); err != nil {
			return err
		}
		if err := s.swarm.FireMany(ctx, forger, tag, data); err != nil {
			return err
		}
	}
	if run, err = s.end(ctx, run.ID); err != nil {
		return err
	}
	if run, err = s.judged(ctx, run.ID, s.ids); err != nil {
		return err
	}
	for _, check := range []func() error{
		func() error { return s.forgeriesAreEvents(ctx, began) },
		func() error { return s.hugeIsTruncated(ctx, run) },
	} {
		if err := s.settles(ctx, check); err != nil {
			return err
		}
	}
	peak, err := peakMemory(s.Jobd.PID())
	if err != nil {
		return err
	}
	s.saw("jobd has taken %.0f MiB of memory at most", peak)
	if peak > mostMemory {
		return violation("jobd has taken %.0f MiB of memory, and %d MiB are the bound", peak, mostMemory)
	}
	return nil
}

// published waits until a run is published, and returns the job.
func (s *stage) published(ctx context.Context, id string) (jid string, err error) {
	err = s.settles(ctx, func() error {
		run, err := s.Client.GetRun(ctx, id)
		if err != nil {
			return err
		}
		if len(run.Slices) == 0 || run.Slices[0].JID == "" {
			return violation("run %s is not published", id)
		}
		jid = run.Slices[0].JID
		return nil
	})
	return jid, err
}

// forgeriesAreEvents looks for what the forger sent: events that are marked as suspect, two for each victim, and no returns.
func (s *stage) forgeriesAreEvents(ctx context.Context, since time.Time) error {
	page, err := s.Client.Events(ctx, gaea.EventFilter{Suspect: true, Since: since.Add(-time.Minute)}, gaea.PageRequest{})
	if err != nil {
		return err
	}
	found := map[string]int{}
	for _, ev := range page.Items {
		found[ev.Tag[strings.LastIndexByte(ev.Tag, '/')+1:]]++
	}
	for _, victim := range s.with("victim") {
		if found[victim] != 2 {
			return violation("%d suspect events in the name of %s are in the archive, not 2", found[victim], victim)
		}
	}
	return nil
}

// hugeIsTruncated looks for the return that is too large: its beginning, with the size and the digest of the whole.
func (s *stage) hugeIsTruncated(ctx context.Context, run *gaea.Run) error {
	for _, name := range s.with("huge") {
		ret, err := s.Client.Return(ctx, run.Minions[name].JID, name)
		if err != nil {
			return err
		}
		packed := append(binary.BigEndian.AppendUint32([]byte{0xdb}, hugeReturn), s.swarm.HugeText(hugeReturn)...) // as Salt packs a text
		sum := sha256.Sum256(packed)
		if t := ret.Truncated; t == nil || t.Size != int64(len(packed)) || t.SHA256 != hex.EncodeToString(sum[:]) || len(ret.Body) < hugeKept {
			return violation("of the %d bytes that %s returned %d are kept, and told is %+v", len(packed), name, len(ret.Body), t)
		}
		s.saw("of 64 MiB of %s %d kB are kept, with the digest of all", name, len(ret.Body)/1000)
	}
	return nil
}

// peakMemory is the most resident memory that a process has had, in MiB.
func peakMemory(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	words := strings.Fields(rest)
	if len(words) == 0 {
		return 0, violation("the system does not tell how much memory jobd has taken")
	}
	kib, err := strconv.ParseFloat(words[0], 64)
	return kib / 1024, err
}
