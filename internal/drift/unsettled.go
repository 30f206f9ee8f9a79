package drift

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Unsettled returns the states that never settle: those that an enforcing run applied without an error (or found in sync)
// and that the test run right after it says would change. Both lists hold one return a minion, with all their states;
// minions that are not in both, or of which one could not run, say nothing. Sorted by minion and label.
func Unsettled(enforced, checked []gaea.Return) []gaea.UnsettledState {
	applied := make(map[string]map[string]bool, len(enforced))
	for i := range enforced {
		good := map[string]bool{}
		for k := range enforced[i].States {
			s := &enforced[i].States[k]
			if s.Outcome == gaea.OutcomeChanged || s.Outcome == gaea.OutcomeInSync {
				good[steady(s.Key)] = true
			}
		}
		applied[enforced[i].Minion] = good
	}
	var unsettled []gaea.UnsettledState
	for i := range checked {
		r := &checked[i]
		for k, label := range Labels(r.States) {
			s := &r.States[k]
			if s.Outcome == gaea.OutcomeWouldChange && applied[r.Minion][steady(s.Key)] {
				unsettled = append(unsettled, gaea.UnsettledState{Minion: r.Minion, Label: label, Digest: Digest(s)})
			}
		}
	}
	slices.SortFunc(unsettled, func(a, b gaea.UnsettledState) int {
		if c := strings.Compare(a.Minion, b.Minion); c != 0 {
			return c
		}
		return strings.Compare(a.Label, b.Label)
	})
	return unsettled
}

// Digest is of what a state says that it would change, without what differs from run to run: times, process ids, job ids,
// durations, run numbers, names of temporary files and addresses in memory. Hex.
func Digest(s *gaea.StateResult) string {
	changes, err := decode(s.Changes)
	if err != nil {
		changes = string(s.Changes)
	}
	diff := s.Diff
	if m, ok := changes.(map[string]any); ok {
		if d, ok := m["diff"].(string); ok {
			diff = d
			delete(m, "diff")
		}
	}
	whole := []any{steady(s.Key), steady(diff), steadyValue(changes), measures.ReplaceAllString(steady(s.Comment), "<measure>")}
	sum := sha256.Sum256(canonical(whole))
	return hex.EncodeToString(sum[:16])
}

// volatileKeys are keys of changes whose plain value differs in every run.
var volatileKeys = []string{"pid", "jid", "duration", "start_time", "__run_num__", "__jid__"}

// steadyValue is v without what differs from run to run. An empty map is the same as nothing.
func steadyValue(v any) any {
	switch v := v.(type) {
	case string:
		return steady(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = steadyValue(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if flat(e) && slices.Contains(volatileKeys, k) {
				continue
			}
			out[steady(k)] = steadyValue(e)
		}
		if len(out) == 0 {
			return nil
		}
		return out
	default:
		return v
	}
}

const (
	weekday = `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*`
	month   = `(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*`
)

// stamps are the texts that differ from run to run wherever they stand.
var stamps = regexp.MustCompile(strings.Join([]string{
	`\b\d{20}\b`, // a job id
	`\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?(?:Z\b| ?[+-]\d{2}:?\d{2}\b)?`,        // 2026-11-22 23:13:25.358345+00:00
	`\b` + weekday + `,? +(?:` + month + ` +\d{1,2}(?:,? +\d{4})?|\d{1,2} +` + month + `(?: +\d{4})?)\b`, // Sun Nov 22; Sun, 22 Nov 2026
	`\b\d{4}, ` + month + ` \d{1,2}\b`, // 2026, Nov 22
	`\b\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?(?: (?:AM|PM))?(?: [A-Z]{3,4}(?: \d{4})?\b| ?[+-]\d{2}:?\d{2})?`, // 23:13:25 UTC 2026
	`\b1[5-9]\d{8}(?:\.\d+)?\b`,    // seconds since 1970
	`\b0x[0-9a-fA-F]{6,}\b`,        // an address in memory
	`__salt\.tmp\.\w+|/tmp/tmp\w+`, // temporary files
	`(?i:\bpid)(?:[ :=#]|\bis\b)*\d+\b`,
}, "|"))

// measures are how long something took; only comments tell that.
var measures = regexp.MustCompile(`\b\d+(?:\.\d+)? ?(?:ms|milliseconds?|s|secs?|seconds?|minutes?)\b`)

func steady(s string) string { return stamps.ReplaceAllString(s, "<volatile>") }
