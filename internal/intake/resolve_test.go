package intake_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/intake"
)

// definitions has the latest version of one definition, and knows no other.
type definitions[T gaea.Definition] struct {
	gaea.DefinitionStore[T]
	name string
	have T
}

func (d definitions[T]) Get(_ context.Context, ref gaea.Ref) (gaea.Version[T], error) {
	if ref.Name != d.name || ref.Digest != "" {
		return gaea.Version[T]{}, gaea.Errorf(gaea.CodeNotFound, "no such definition")
	}
	return gaea.Version[T]{Definition: d.have}, nil
}

func resolver() intake.Resolver {
	return intake.Resolver{
		Groups: definitions[gaea.TargetGroup]{name: "web", have: gaea.TargetGroup{Name: "web", Target: gaea.Target{Type: gaea.TargetGlob, Expr: "web*"}}},
		Templates: definitions[gaea.JobTemplate]{name: "restart", have: gaea.JobTemplate{
			Name: "restart", Function: "service.restart", Args: []any{"nginx"}, Kwargs: map[string]any{"no_block": true},
		}},
	}
}

var all = gaea.Target{Type: gaea.TargetGlob, Expr: "*"}

func TestARequestTakesFromItsTemplateWhatItDoesNotSay(t *testing.T) {
	for name, c := range map[string]struct {
		req      gaea.RunRequest
		function string
		arg      any
	}{
		"everything":       {gaea.RunRequest{JobTemplate: "restart", TargetGroup: "web"}, "service.restart", "nginx"},
		"other arguments":  {gaea.RunRequest{JobTemplate: "restart", TargetGroup: "web", Args: []any{"redis"}}, "service.restart", "redis"},
		"another function": {gaea.RunRequest{JobTemplate: "restart", TargetGroup: "web", Function: "service.stop", Args: []any{"a"}}, "service.stop", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := resolver().Resolve(t.Context(), c.req)
			if err != nil {
				t.Fatal(err)
			}
			if got.Call.Function != c.function || got.Call.Args[0] != c.arg || got.Target.Expr != "web*" {
				t.Errorf("got %+v on %s", got.Call, got.Target.Expr)
			}
			if own := got.Call.Kwargs["no_block"] == true; own != (c.function == "service.restart") {
				t.Errorf("the keyword arguments are %v", got.Call.Kwargs)
			}
		})
	}
}

func TestAWrongRequestNamesItsField(t *testing.T) {
	for name, c := range map[string]struct {
		req   gaea.RunRequest
		field string
	}{
		"no function":               {gaea.RunRequest{Target: all}, "function"},
		"a function with markup":    {gaea.RunRequest{Target: all, Function: "<script>"}, "function"},
		"a function with a zero":    {gaea.RunRequest{Target: all, Function: "test.ping\x00"}, "function"},
		"no minions":                {gaea.RunRequest{Function: "test.ping"}, "target"},
		"a target and a group":      {gaea.RunRequest{Function: "test.ping", Target: all, TargetGroup: "web"}, "target_group"},
		"a group that is not there": {gaea.RunRequest{Function: "test.ping", TargetGroup: "db"}, "target_group"},
		"a version that is not":     {gaea.RunRequest{Function: "test.ping", TargetGroup: "web@" + strings.Repeat("0", 64)}, "target_group"},
		"a group that is no name":   {gaea.RunRequest{Function: "test.ping", TargetGroup: "'; DROP TABLE runs; --"}, "target_group"},
		"a template that is not":    {gaea.RunRequest{JobTemplate: "stop", Target: all}, "job_template"},
		"a broken expression":       {gaea.RunRequest{Function: "test.ping", Target: gaea.Target{Type: gaea.TargetCompound, Expr: "G@os:Debian and ("}}, "target.expr"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := resolver().Resolve(t.Context(), c.req)
			wrong, ok := errors.AsType[*gaea.Error](err)
			if !ok || wrong.Code != gaea.CodeInvalid || wrong.Field != c.field {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAWrongTemplateNamesTheActionAndItsField(t *testing.T) {
	compile := func(expr string) error {
		if expr == "wrong" {
			return gaea.Invalid("expr", "wrong")
		}
		return nil
	}
	action := func(change func(*gaea.JobAction)) gaea.JobTemplate {
		a := gaea.JobAction{Name: "drain", Function: "test.ping"}
		change(&a)
		return gaea.JobTemplate{Name: "t", Function: "test.ping", PreActions: []gaea.JobAction{a}}
	}
	for name, c := range map[string]struct {
		template gaea.JobTemplate
		field    string
	}{
		"right":                  {action(func(*gaea.JobAction) {}), ""},
		"an expectation":         {action(func(a *gaea.JobAction) { a.Expect = "wrong" }), "pre_actions[0].expect"},
		"a group that is none":   {action(func(a *gaea.JobAction) { a.TargetGroup = "a b" }), "pre_actions[0].target_group"},
		"an argument of Salt's":  {action(func(a *gaea.JobAction) { a.Kwargs = map[string]any{"__kwarg__": true} }), "pre_actions[0].kwargs"},
		"a broken target for it": {action(func(a *gaea.JobAction) { a.Target = gaea.Target{Type: gaea.TargetCompound, Expr: "("} }), "pre_actions[0].target.expr"},
	} {
		t.Run(name, func(t *testing.T) {
			err := intake.Template(c.template, compile)
			wrong, _ := errors.AsType[*gaea.Error](err)
			if (err == nil) != (c.field == "") || (wrong != nil && wrong.Field != c.field) {
				t.Errorf("got %v", err)
			}
		})
	}
}
