package command

import (
	"reflect"
	"testing"
)

// Salt's own rules (salt.utils.args.yamlify_arg) give what stands here.
func TestArgumentsAreReadAsTheSaltCommandReadsThem(t *testing.T) {
	t.Parallel()
	args, kwargs := parseArguments([]string{
		"nginx", "5", "1.5", "True", "2026-11-23", "1_000", "a#b", "[a, b]", "{a: 1}", "", "it: s: broken", "/etc/x=y",
		"test=True", "name=web", "pillar={a: {b: c}}", "empty=",
	})
	wantArgs := []any{
		"nginx", 5, 1.5, true, "2026-11-23", "1_000", "a#b", []any{"a", "b"}, map[string]any{"a": 1}, "", "it: s: broken", "/etc/x=y",
	}
	wantKwargs := map[string]any{
		"test": true, "name": "web", "pillar": map[string]any{"a": map[string]any{"b": "c"}}, "empty": "",
	}
	if !reflect.DeepEqual(args, wantArgs) {
		t.Errorf("arguments: got  %#v\nwant %#v", args, wantArgs)
	}
	if !reflect.DeepEqual(kwargs, wantKwargs) {
		t.Errorf("keywords: got  %#v\nwant %#v", kwargs, wantKwargs)
	}
}
