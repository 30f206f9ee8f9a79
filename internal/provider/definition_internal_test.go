package provider

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/hashicorp/terraform-plugin-framework-jsontypes/jsontypes"
	"pgregory.net/rapid"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The digest of a definition is made here for the plan and by jobd for what it stores: these tests hold that they are equal
// for whatever a user can write, which a Terraform run a case would be too slow to show.

var (
	drawWord = rapid.StringMatching(`[a-z][a-z0-9-]{0,8}`)
	drawText = rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "<a & b>", "\u2028", "日本", `"\`}))
)

// drawJSON draws a JSON object in some spelling: spaces, order and escapes as they come.
func drawJSON(t *rapid.T, label string) string {
	var value func(depth int) string
	value = func(depth int) string {
		kind := rapid.IntRange(0, 6).Draw(t, label)
		if depth > 2 {
			kind %= 5
		}
		switch kind {
		case 0:
			return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, label)
		case 1:
			return rapid.SampledFrom([]string{"0", "-1", "1.0", "15e-1", "0.1", "1e21", "9007199254740992", "-0"}).Draw(t, label)
		case 2, 3, 4:
			b, err := json.Marshal(drawText.Draw(t, label))
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		case 5:
			parts := make([]string, rapid.IntRange(0, 3).Draw(t, label))
			for i := range parts {
				parts[i] = value(depth + 1)
			}
			return "[ " + strings.Join(parts, ",") + "]"
		default:
			var parts []string
			for _, k := range rapid.SliceOfNDistinct(drawWord, 0, 3, rapid.ID).Draw(t, label) {
				parts = append(parts, fmt.Sprintf("%q:  %s", k, value(depth+1)))
			}
			return "{" + strings.Join(parts, " ,\n") + "}"
		}
	}
	var parts []string
	for _, k := range rapid.SliceOfNDistinct(drawWord, 0, 4, rapid.ID).Draw(t, label) {
		parts = append(parts, fmt.Sprintf("%q: %s", k, value(0)))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func drawOptional(t *rapid.T, label string, g *rapid.Generator[string]) types.String {
	if rapid.Bool().Draw(t, label+" null") {
		return types.StringNull()
	}
	return types.StringValue(g.Draw(t, label))
}

func drawObject(t *rapid.T, label string) jsontypes.Normalized {
	if rapid.Bool().Draw(t, label+" null") {
		return jsontypes.NewNormalizedNull()
	}
	return jsontypes.NewNormalizedValue(drawJSON(t, label))
}

// overTheWire is a definition as jobd has it.
func overTheWire[T gaea.Definition](t *rapid.T, d T) T {
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var got T
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if gaea.RefOf(got) != gaea.RefOf(d) {
		t.Fatalf("planned as %s, stored as %s:\n%s", gaea.RefOf(d), gaea.RefOf(got), b)
	}
	return got
}

// drawTemplate draws a template as a user may write it; the parts need not go together.
func drawTemplate(t *rapid.T) jobTemplateModel {
	pick := func(label string, values ...string) types.String {
		return drawOptional(t, label, rapid.SampledFrom(values))
	}
	return jobTemplateModel{
		Name: types.StringValue("t"), Description: drawOptional(t, "description", drawText), Function: types.StringValue("test.ping"),
		Args:   textList(rapid.SliceOf(drawText).Draw(t, "args")),
		Kwargs: drawObject(t, "kwargs"),
		Batch: types.ObjectValueMust(batchTypes, map[string]attr.Value{
			"size": pick("size", "5", "10%", "010%"), "mode": pick("mode", "stepped", "rolling"), "wait": pick("wait", "60s", "1m"),
			"canary": pick("canary", "1", "01", "5%"), "canary_hold": pick("canary_hold", "manual", "0s", "600s"),
			"max_failures": pick("max_failures", "0", "00", "3", "5%"), "min_sample": pick("min_sample", "1", "020"),
			"order": pick("order", "sorted", "random"),
		}),
		Timeouts: types.ObjectValueMust(runTimeoutsTypes, map[string]attr.Value{
			"job": pick("job", "60m", "1h", "90s"), "slice": pick("slice", "300s"), "gather": pick("gather", "5s", "5000ms"),
		}),
		Concurrency: types.ObjectValueMust(concurrencyTypes, map[string]attr.Value{
			"lock": pick("lock", "deploy"), "policy": pick("policy", "wait", "skip"),
		}),
		PreActions: drawActions(t, "pre"), PostActions: drawActions(t, "post"),
	}
}

func drawActions(t *rapid.T, label string) types.List {
	actions := make([]attr.Value, rapid.IntRange(0, 3).Draw(t, label))
	for i := range actions {
		pick := func(name string, values ...string) types.String {
			return drawOptional(t, label+" "+name, rapid.SampledFrom(values))
		}
		http := types.ObjectNull(httpTypes)
		if rapid.Bool().Draw(t, label+" http") {
			headers := types.MapNull(types.StringType)
			if rapid.Bool().Draw(t, label+" headers") {
				headers = types.MapValueMust(types.StringType, map[string]attr.Value{"Authorization": types.StringValue(drawText.Draw(t, label+" header"))})
			}
			http = types.ObjectValueMust(httpTypes, map[string]attr.Value{
				"url": types.StringValue("https://lb/drain?a=1&b=<2>"), "method": pick("method", "POST"), "headers": headers,
				"body": drawOptional(t, label+" body", drawText),
			})
		}
		actions[i] = types.ObjectValueMust(jobActionTypes, map[string]attr.Value{
			"name": types.StringValue(fmt.Sprint("a", i)), "function": pick("function", "cmd.run"), "runner": pick("runner", "cache.grains"),
			"http": http, "args": textList(rapid.SliceOf(drawText).Draw(t, label+" args")), "kwargs": drawObject(t, label+" kwargs"),
			"target_group": pick("target_group", "lb", "lb@0123456789abcdef"), "scope": pick("scope", "once", "slice"),
			"when": pick("when", "success", "always"), "expect": pick("expect", "ret.status == 200", "ret < 3 && minion != \"a\""),
			"retries": pick("retries", "0", "3", "010"), "interval": pick("interval", "60s", "1m"), "timeout": pick("timeout", "300s"),
			"on_failure": pick("on_failure", "abort", "continue"),
		})
	}
	return types.ListValueMust(jobActionType, actions)
}

func TestATemplatesRefIsTheSameHereAndInJobd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawTemplate(t)
		planned, err := m.definition(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stored := overTheWire(t, planned)

		imported := jobTemplateModel{
			Name: m.Name, Args: types.ListNull(types.StringType), Batch: types.ObjectNull(batchTypes), Timeouts: types.ObjectNull(runTimeoutsTypes),
		}
		if err := imported.adopt(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		again, err := imported.definition(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if gaea.RefOf(again) != gaea.RefOf(planned) {
			t.Fatalf("imported as %+v, was %+v", again, planned)
		}

		// What means the same stays as the user wrote it.
		kept := m
		if err := kept.adopt(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		for _, pair := range [][2]attr.Value{
			{kept.Description, m.Description}, {kept.Args, m.Args}, {kept.Kwargs, m.Kwargs}, {kept.Batch, m.Batch}, {kept.Timeouts, m.Timeouts},
			{kept.Concurrency, m.Concurrency}, {kept.PreActions, m.PreActions}, {kept.PostActions, m.PostActions},
		} {
			if !pair[0].Equal(pair[1]) {
				t.Fatalf("kept as %s, was %s", pair[0], pair[1])
			}
		}
	})
}

func TestAnAssignmentsRefIsTheSameHereAndInJobd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := stateAssignmentModel{
			Name: types.StringValue("a"), Description: drawOptional(t, "description", drawText), TargetGroup: types.StringValue("g"),
			JobTemplate: drawOptional(t, "template", drawWord), States: textList(rapid.SliceOfN(drawWord, 1, 3).Draw(t, "states")),
			SaltEnv: drawOptional(t, "saltenv", drawWord), Pillar: drawObject(t, "pillar"), PillarWOVersion: drawOptional(t, "version", drawText),
			Remediate:     types.BoolValue(rapid.Bool().Draw(t, "remediate")),
			OnUnreachable: types.StringValue(rapid.SampledFrom([]string{"error", "warn"}).Draw(t, "on_unreachable")),
			DriftCheck: types.ObjectValueMust(driftCheckTypes, map[string]attr.Value{
				"mode": drawOptional(t, "mode", rapid.SampledFrom([]string{"archive", "live", "off"})), "detail": types.StringNull(),
				"max_age": drawOptional(t, "max_age", rapid.SampledFrom([]string{"60m", "1h"})), "interval": types.StringNull(),
				"ignore": textSet(rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"cmd.run:*", "file.*:/etc/*"}), 0, 2, rapid.ID).Draw(t, "ignore")),
			}),
		}
		planned, err := m.definition()
		if err != nil {
			t.Fatal(err)
		}
		stored := overTheWire(t, planned)

		imported := stateAssignmentModel{
			Name: m.Name, States: types.ListNull(types.StringType), DriftCheck: types.ObjectNull(driftCheckTypes),
		}
		imported.adopt(stored)
		again, err := imported.definition()
		if err != nil {
			t.Fatal(err)
		}
		if gaea.RefOf(again) != gaea.RefOf(planned) {
			t.Fatalf("imported as %+v, was %+v", again, planned)
		}

		// What means the same stays as the user wrote it.
		kept := m
		kept.adopt(stored)
		if !kept.Pillar.Equal(m.Pillar) || !kept.Description.Equal(m.Description) || !kept.States.Equal(m.States) ||
			!kept.OnUnreachable.Equal(m.OnUnreachable) || !kept.PillarWOVersion.Equal(m.PillarWOVersion) || !kept.DriftCheck.Equal(m.DriftCheck) {
			t.Fatalf("kept as %+v, was %+v", kept, m)
		}
	})
}

func TestAGroupsRefDoesNotDependOnTheOrderOfItsMinions(t *testing.T) {
	one := targetGroupModel{Name: types.StringValue("g"), Minions: textSet([]string{"b", "a"})}
	other := targetGroupModel{Name: types.StringValue("g"), Minions: textSet([]string{"a", "b"})}
	if gaea.RefOf(one.definition()) != gaea.RefOf(other.definition()) {
		t.Error("the refs differ")
	}
}

func TestDriftKeepsToItsBounds(t *testing.T) {
	entries := driftEntries{"web1": {"file.managed /etc/one": strings.Repeat("é", maxDriftText)}}
	for i := range 99 {
		entries[fmt.Sprintf("web2%02d", i)] = map[string]string{
			"file.managed /etc/one": strings.Repeat("x", maxDriftText), "file.managed /etc/two": strings.Repeat("y", maxDriftText),
		}
	}
	entries["web3"] = map[string]string{"broken \xff": "\xff"}
	shown, total := entriesIn(entries.value()), 0
	if len(shown) != maxDriftMinions || shown["web3"] != nil {
		t.Errorf("%d minions shown", len(shown))
	}
	for minion, states := range shown {
		for state, text := range states {
			total += len(text)
			if len(text) > maxDriftText || !utf8.ValidString(text) || text == "" {
				t.Errorf("%s %s: %d bytes", minion, state, len(text))
			}
		}
	}
	if total > maxDriftTogether+100*len(textLeftOut)*2 {
		t.Errorf("%d bytes together", total)
	}
	if !strings.HasSuffix(shown["web1"]["file.managed /etc/one"], cutMark) {
		t.Error("a text that is cut does not say so")
	}
	if shown["web298"]["file.managed /etc/two"] != textLeftOut {
		t.Error("what is left out does not say so")
	}
}

func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a": 1.0}`, `{"a": 12345678901234567890}`, `[1]`, `{"a":{"b":[null,1e400]}} {}`, `{"a":"\ud800"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		canonical, err := canonicalObject(s)
		if err != nil {
			return
		}
		again, err := canonicalObject(orElse(string(canonical), "{}"))
		if err != nil || string(again) != string(canonical) {
			t.Errorf("%q is %s, and that is %s (%v)", s, canonical, again, err)
		}
		if _, err := plainObject(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}
