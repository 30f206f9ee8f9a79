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
		for _, p := range parts {
			if strings.Contains(p, where) {
				mine += p
			}
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
