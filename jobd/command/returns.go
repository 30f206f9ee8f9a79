package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

// runWithReturns is a run with what its minions sent back, for scripts.
type runWithReturns struct {
	Run     *gaea.Run     `json:"run"`
	Returns []gaea.Return `json:"returns"`
}

// returnsOf fetches what the run's minions sent back, by minion.
func returnsOf(ctx context.Context, client *jobdclient.Client, r *gaea.Run) ([]gaea.Return, error) {
	jids := map[string]bool{}
	for _, m := range r.Minions {
		if m.JID != "" && m.Outcome.Heard() {
			jids[m.JID] = true
		}
	}
	returns := []gaea.Return{}
	for _, jid := range slices.Sorted(maps.Keys(jids)) {
		for ret, err := range jobdclient.All(func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) { return client.JobReturns(ctx, jid, p) }) {
			if err != nil {
				return nil, err
			}
			if r.Minions[ret.Minion].JID == jid {
				returns = append(returns, ret)
			}
		}
	}
	slices.SortFunc(returns, func(a, b gaea.Return) int { return strings.Compare(a.Minion, b.Minion) })
	return returns, nil
}

// readable is a return as people want to read it: of a state run the states that are not in sync, of all else the value, a
// text as it is.
func readable(r *gaea.Return) string {
	text := readableBody(r)
	if t := r.Truncated; t != nil {
		text = strings.TrimRight(text, "\n") + "\n" + truncated(r.JID, t)
	}
	return text
}

// truncated says what is missing of a return, and where the whole is.
func truncated(jid string, t *gaea.Truncation) string {
	dropped := ""
	if t.Dropped > 0 {
		dropped = fmt.Sprintf(", %d states or other members left out", t.Dropped)
	}
	return fmt.Sprintf("(truncated%s: the minion returned %d bytes with the SHA-256 %s; on the master, while its job cache lasts: salt-run jobs.lookup_jid %s)",
		dropped, t.Size, t.SHA256, jid)
}

func readableBody(r *gaea.Return) string {
	if len(r.States) > 0 {
		return readableStates(r.States)
	}
	var text string
	if json.Unmarshal(r.Body, &text) == nil {
		return text
	}
	var lines []string
	if json.Unmarshal(r.Body, &lines) == nil {
		return strings.Join(lines, "\n")
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, r.Body, "", "  ") != nil {
		return string(r.Body)
	}
	return pretty.String()
}

func readableStates(states []gaea.StateResult) string {
	var b strings.Builder
	calm := 0
	for i := range states {
		s := &states[i]
		if s.Outcome == gaea.OutcomeInSync {
			calm++
			continue
		}
		fmt.Fprintf(&b, "%s: %s.%s %s\n", words(s.Outcome), s.Module, s.Function, s.ID)
		if s.Comment != "" {
			fmt.Fprintf(&b, "%s\n", indent(s.Comment, "    "))
		}
		switch {
		case s.Diff != "":
			fmt.Fprintf(&b, "%s\n", indent(s.Diff, "    "))
		case len(s.Changes) > 0:
			var pretty bytes.Buffer
			if json.Indent(&pretty, s.Changes, "", "  ") == nil {
				fmt.Fprintf(&b, "%s\n", indent(pretty.String(), "    "))
			}
		}
	}
	if calm > 0 {
		fmt.Fprintf(&b, "%d in sync\n", calm)
	}
	return b.String()
}
