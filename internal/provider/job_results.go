package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
)

const (
	maxResultMinions = 100         // minions whose returns a job shows
	resultsTime      = time.Minute // bounds the reading of returns, which goes on when Terraform is being stopped
)

// countValues are counts by outcome as an attribute has them.
func countValues(counts map[gaea.Outcome]int) types.Map {
	values := make(map[string]attr.Value, len(counts))
	for outcome, n := range counts {
		values[string(outcome)] = types.StringValue(strconv.Itoa(n))
	}
	return types.MapValueMust(types.StringType, values)
}

func noTexts() types.Map { return types.MapValueMust(types.StringType, map[string]attr.Value{}) }

// results are what the first minions of a run returned, each as JSON, within the bounds.
func (s *session) results(ctx context.Context, run *gaea.Run) (types.Map, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resultsTime)
	defer cancel()
	wanted := map[string]map[string]bool{} // by job
	n := 0
	for _, minion := range slices.Sorted(maps.Keys(run.Minions)) {
		if m := run.Minions[minion]; m.Outcome.Heard() && m.JID != "" && n < maxResultMinions {
			if wanted[m.JID] == nil {
				wanted[m.JID] = map[string]bool{}
			}
			wanted[m.JID][minion] = true
			n++
		}
	}
	bodies := map[string]json.RawMessage{}
	for jid, minions := range wanted {
		if err := s.addBodies(ctx, jid, minions, bodies); err != nil {
			return noTexts(), fmt.Errorf("the returns of job %s: %w", jid, err)
		}
	}
	values, left := make(map[string]attr.Value, len(bodies)), maxReturnsTotal
	for _, minion := range slices.Sorted(maps.Keys(bodies)) {
		text := boundedJSON(bodies[minion], min(maxReturn, left))
		left -= min(left, len(text))
		values[valid(minion)] = types.StringValue(text)
	}
	return types.MapValueMust(types.StringType, values), nil
}

// addBodies takes the returns of some minions of a job, which come sorted by minion: beyond the last one it does not ask.
func (s *session) addBodies(ctx context.Context, jid string, minions map[string]bool, bodies map[string]json.RawMessage) error {
	left := len(minions)
	list := func(p gaea.PageRequest) (gaea.Page[gaea.Return], error) {
		p.Limit = returnsPage
		return s.backend.JobReturns(ctx, jid, p)
	}
	for ret, err := range jobdclient.All(list) {
		if err != nil {
			return err
		}
		if !minions[ret.Minion] {
			continue
		}
		if len(ret.Body) > 0 {
			bodies[ret.Minion] = ret.Body
		}
		if left--; left == 0 {
			return nil
		}
	}
	return nil
}

// boundedJSON is a JSON value, or where it is longer than the limit a JSON text that says so after the value's beginning.
func boundedJSON(body json.RawMessage, limit int) string {
	if len(body) <= limit {
		return valid(string(body))
	}
	for room := limit / 2; room > 0; room /= 2 {
		text, err := json.Marshal(cut(valid(string(body[:min(len(body), room+1)])), room))
		if err == nil && len(text) <= limit {
			return string(text)
		}
	}
	return `"(cut)"`
}
