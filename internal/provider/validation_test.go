package provider_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestEverythingThatCanBeWrongIsNamedAtValidation(t *testing.T) {
	const (
		group    = "target_group"
		template = "job_template"
		assigned = "state_assignment"
	)
	rows := []struct {
		kind, arguments string
		want            []string // in the message
	}{
		{group, `name = "a b"
match = "*"`, []string{`"a b" is not a name`, `"web-servers"`}},
		{group, `name = "g"`, []string{"Exactly one of these attributes must be configured: [match,minions]"}},
		{group, `name = "g"
match = "*"
minions = ["web1"]`, []string{"Exactly one of these attributes must be configured: [match,minions]"}},
		{group, `name = "g"
match = "G@role:web and ("`, []string{"Invalid match"}},
		{group, `name = "g"
match = "web["
match_type = "glob"`, []string{"Invalid match", "web["}},
		{group, `name = "g"
match = "*"
match_type = "regex"`, []string{`Attribute match_type value must be one of: ["compound"`}},
		{group, `name = "g"
match = "a,b"
match_type = "list"`, []string{`write minions = ["web1", "web2"] instead of match`}},
		{group, `name = "g"
minions = ["web1"]
match_type = "glob"`, []string{"leave match_type out"}},
		{group, `name = "g"
minions = ["web 1"]`, []string{`"web 1" is not a minion id`}},
		{group, `name = "g"
minions = []`, []string{"set must contain at least 1 elements"}},

		{template, `name = "t"
function = "ping"`, []string{`"ping" is not a function; write MODULE.FUNCTION, for example "test.ping"`}},
		{template, `name = "t"
args = ["x"]`, []string{`Attribute "function" must be specified when "args" is specified`}},
		{template, `name = "t"
function = "test.ping"
kwargs = "[1]"`, []string{"Invalid kwargs", `not a JSON object; write jsonencode({ key = "value" })`}},
		{template, `name = "t"
function = "test.ping"
kwargs = "{\"id\": 12345678901234567890}"`, []string{"the number 12345678901234567890 is too long to be carried exactly"}},
		{template, `name = "t"
batch = { size = "0%" }`, []string{"Invalid batch.size", `"0%" is neither a number of minions nor a share of them; write for example "5" or "10%"`}},
		{template, `name = "t"
timeouts = { job = "30 minutes" }`, []string{"Invalid timeouts.job", `"30 minutes" is not a duration`, `"1h30m"`}},
		{template, `name = "t"
timeouts = { gather = "0s" }`, []string{"Invalid timeouts.gather", `"0s" is no time at all`}},
		{template, `name = "t"
timeouts = { slice = "soon" }`, []string{"Invalid timeouts.slice", `"soon" is not a duration`}},
		{template, `name = "t"
batch = { size = 1, mode = "leaping" }`, []string{"Invalid batch.mode", `"leaping" is not a mode; write "stepped" or "rolling"`}},
		{template, `name = "t"
batch = { canary = 0 }`, []string{"Invalid batch.canary", `"0" is neither a number of minions nor a share of them`}},
		{template, `name = "t"
batch = { canary = 1, canary_hold = "for ever" }`, []string{"Invalid batch.canary_hold", `"for ever" is neither a duration nor "manual"`}},
		{template, `name = "t"
batch = { size = 1, canary_hold = "1m" }`, []string{"Invalid batch.canary_hold", "a hold after the canary needs a canary"}},
		{template, `name = "t"
batch = { size = 1, max_failures = "-1" }`, []string{"Invalid batch.max_failures", `"-1" is neither a number of minions nor a share of them; write for example "0"`}},
		{template, `name = "t"
batch = { size = 1, max_failures = 3, min_sample = 5 }`, []string{"Invalid batch.min_sample", `min_sample is for a share in max_failures, and max_failures is "3"`}},
		{template, `name = "t"
batch = { size = 1, max_failures = "5%", min_sample = 0 }`, []string{"Invalid batch.min_sample", `"0" is no sample; write 1 or more`}},
		{template, `name = "t"
batch = { size = 1, max_failures = "5%", min_sample = "many" }`, []string{"Invalid batch.min_sample", `"many" is not a whole number`}},
		{template, `name = "t"
batch = { wait = "30s" }`, []string{"Invalid batch.wait", "there is nothing to wait between: all minions are told at once"}},
		{template, `name = "t"
batch = { mode = "rolling" }`, []string{"Invalid batch.size", "no size is given"}},
		{template, `name = "t"
batch = { size = 1, order = "backwards" }`, []string{"Invalid batch.order", `"backwards" is not an order`}},
		{template, `name = "t"
concurrency = { lock = "deploy", policy = "push" }`, []string{"Invalid concurrency.policy", `"push" is none of "wait", "skip" and "refuse"`}},
		{template, `name = "t"
concurrency = { lock = "a b" }`, []string{"Invalid concurrency.lock", `"a b" is not a name`}},
		{template, `name = "t"
pre_actions = [{ name = "ok", function = "test.ping" }, { name = "a b", function = "test.ping" }]`, []string{"Invalid pre_actions[1].name", `"a b" is not a name`}},
		{template, `name = "t"
pre_actions = [{ name = "a", function = "test.ping" }, { name = "a", function = "test.ping" }]`, []string{"Invalid pre_actions[1].name", "give each its own"}},
		{template, `name = "t"
pre_actions = [{ name = "a", function = "test.ping", runner = "test.arg" }]`, []string{"Invalid pre_actions[0].function", "give one of function, runner and http"}},
		{template, `name = "t"
pre_actions = [{ name = "a", function = "ping" }]`, []string{"Invalid pre_actions[0].function", `"ping" is not a function`}},
		{template, `name = "t"
pre_actions = [{ name = "a", function = "test.ping", when = "always" }]`, []string{"Invalid pre_actions[0].when", "make it a post-action"}},
		{template, `name = "t"
post_actions = [{ name = "a", http = { url = "lb.example.com/drain" } }]`, []string{"Invalid post_actions[0].http.url", `"https://lb.example.com/drain"`}},
		{template, `name = "t"
post_actions = [{ name = "a", http = { url = "http://lb", method = "post" } }]`, []string{"Invalid post_actions[0].http.method", `"post" is not a method`}},
		{template, `name = "t"
post_actions = [{ name = "a", runner = "test.arg", target_group = "lb" }]`, []string{"Invalid post_actions[0].target_group", "only a function is done on minions"}},
		{template, `name = "t"
post_actions = [{ name = "a", function = "test.ping", target_group = "no group" }]`, []string{"Invalid post_actions[0].target_group", `"no group" names no definition`}},
		{template, `name = "t"
post_actions = [{ name = "a", function = "test.ping", kwargs = "[]" }]`, []string{"Invalid post_actions[0].kwargs", "not a JSON object"}},
		{template, `name = "t"
post_actions = [{ name = "a", function = "test.ping", expect = "ret.status = 200" }]`, []string{"Invalid post_actions[0].expect", "line 1, column 12"}},
		{template, `name = "t"
post_actions = [{ name = "a", function = "test.ping", expect = "status == 200" }]`, []string{"Invalid post_actions[0].expect", "line 1, column 1", "status"}},
		{template, `name = "t"
post_actions = [{ name = "a", function = "test.ping", retries = 1001 }]`, []string{"Invalid post_actions[0].retries", "1001 is not possible; use 0 to 1000"}},
		{template, `name = "t"
post_actions = [{ name = "a", function = "test.ping", retries = "often" }]`, []string{"Invalid post_actions[0].retries", `"often" is not a whole number`}},
		{template, `name = "t"
post_actions = [{ name = "a", function = "test.ping", interval = "5s" }]`, []string{"Invalid post_actions[0].interval", "set retries, or leave interval out"}},
		{template, `name = "t"
post_actions = [{ name = "a", function = "test.ping", timeout = "0s" }]`, []string{"Invalid post_actions[0].timeout", `"0s" is no time at all`}},
		{template, `name = "t"
post_actions = [{ name = "a", function = "test.ping", on_failure = "weep" }]`, []string{"Invalid post_actions[0].on_failure", `"weep" is neither "abort" nor "continue"`}},
		{template, `name = "t"
batch = { size = 1, mode = "rolling" }
post_actions = [{ name = "a", function = "test.ping", scope = "slice" }]`, []string{"Invalid post_actions[0].scope", `in mode "rolling" no slice ends as a whole`}},
		{template, `name = "t"
post_actions = [null]`, []string{"This attribute contains a null value"}},

		{assigned, `name = "a"
target_group = "no group"
states = ["x"]`, []string{"Invalid target_group", `"no group" names no definition`}},
		{assigned, `name = "a"
target_group = "g"
job_template = "t@123"
states = ["x"]`, []string{"Invalid job_template", `"t@123" names no definition`}},
		{assigned, `name = "a"
target_group = "g"`, []string{"Nothing to apply", `states = ["nginx"]`}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
highstate = true`, []string{"states and highstate exclude each other"}},
		{assigned, `name = "a"
target_group = "g"
states = ["nginx/init.sls"]`, []string{`"nginx/init.sls" is not the name of an SLS`, `"web.vhosts"`}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
pillar = "nginx"`, []string{"Invalid JSON String Value"}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
pillar_wo = jsonencode({ a = 1 })`, []string{`Attribute "pillar_wo_version" must be specified when "pillar_wo" is specified`}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
pillar_wo_version = "1"
pillar_wo = join("", ["hun", "ter2"])`, []string{"Invalid pillar_wo", "not a JSON object whose numbers can be carried exactly"}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
on_unreachable = "ignore"`, []string{`Attribute on_unreachable value must be one of: ["error" "warn"]`}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
drift_check = { mode = "always" }`, []string{`Attribute drift_check.mode value must be one of: ["archive" "live" "off"]`}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
drift_check = { max_age = "1 day" }`, []string{"Invalid drift_check.max_age", `"1 day" is not a duration`}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
drift_check = { interval = "5s" }`, []string{"Invalid drift_check.interval", `"5s" is too often; the shortest interval is 10s`}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
drift_check = { detail = "all" }`, []string{`Attribute drift_check.detail value must be one of: ["diff" "names"]`}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
drift_check = { ignore = ["cmd.run"] }`, []string{`"cmd.run" is not a rule; write MODULE.FUNCTION:ID-glob, for example "cmd.run:*"`}},
		{assigned, `name = "a"
target_group = "g"
states = ["x"]
timeouts = { create = "soon" }`, []string{"Invalid timeouts.create", `"soon" is not a duration`}},
	}
	var config strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&config, "resource \"gaea_%s\" \"x%d\" {\n%s\n}\n", row.kind, i, row.arguments)
	}
	config.WriteString(`
data "gaea_job_result" "a" { jid = "yesterday" }
data "gaea_job_result" "b" {
  jid    = "20260102150405123456"
  run_id = "run-1"
}
data "gaea_job_result" "c" {
  jid     = "20260102150405123456"
  timeout = "1m"
}
`)
	tf := newTerraform(t)
	tf.write(config.String())
	out := tf.must(1, "validate", "-no-color")
	parts := strings.Split(out, "Error: ")
	for i, row := range rows {
		where := fmt.Sprintf("with gaea_%s.x%d,", row.kind, i)
		var mine string
		errors := 0
		for _, p := range parts {
			if strings.Contains(p, where) {
				mine += p
				errors++
			}
		}
		if errors > 1 && row.kind == template {
			t.Errorf("one mistake gives %d errors:\n%s", errors, mine)
		}
		if mine == "" {
			t.Errorf("no error for gaea_%s:\n%s", row.kind, row.arguments)
			continue
		}
		wantText(t, mine, row.want...)
	}
	wantText(t, out, `"yesterday" is not a Salt job id`, "Exactly one of these attributes must be configured: [jid,run_id]",
		`Attribute "wait" must be specified when "timeout" is specified`)
	if strings.Contains(out, "hunter2") {
		t.Error("a secret is quoted")
	}
}

func TestAWrongProviderBlockIsNamedAtValidation(t *testing.T) {
	tf := newTerraform(t)
	tf.write(`provider "gaea" {
  endpoint        = "salt.example.com"
  request_timeout = "fast"
}` + motd)
	out := tf.must(1, "validate", "-no-color")
	wantText(t, out, "Invalid endpoint", `"http://127.0.0.1:7780"`, "Invalid request_timeout", `"fast" is not a duration`)
}
