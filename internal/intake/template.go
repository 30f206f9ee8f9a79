package intake

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Template checks a job template whole: besides what its own Validate looks at, its limits and arguments, the targets of
// its actions and what they expect. Whether a target group is there is looked at when a run is made, as with runs that name one.
// The function compile tries what an action expects.
func Template(t gaea.JobTemplate, compile func(expr string) error) error {
	if err := t.Validate(); err != nil {
		return err
	}
	for _, list := range []struct {
		path    string
		actions []gaea.JobAction
	}{{"pre_actions", t.PreActions}, {"post_actions", t.PostActions}} {
		for i := range list.actions {
			if err := validAction(fmt.Sprintf("%s[%d]", list.path, i), &list.actions[i], compile); err != nil {
				return err
			}
		}
	}
	// The limits and the arguments are those of a run, whatever it calls and wherever.
	probe := engine.Request{
		Call:   gaea.Call{Function: cmp.Or(t.Function, "test.ping"), Args: t.Args, Kwargs: t.Kwargs},
		Target: gaea.Target{Type: gaea.TargetGlob, Expr: "*"}, Timeouts: t.Timeouts,
	}
	return probe.Validate()
}

func validAction(at string, action *gaea.JobAction, compile func(expr string) error) error {
	if action.TargetGroup != "" {
		if _, err := gaea.ParseRef(action.TargetGroup); err != nil {
			return gaea.Invalid(at+".target_group", "%q is neither a name nor a ref; write NAME for the latest version or NAME@DIGEST for one", action.TargetGroup)
		}
	}
	if !action.Target.IsZero() {
		if err := Target(action.Target); err != nil {
			return placed(at+"."+fieldOf(err), err)
		}
	}
	for name := range action.Kwargs {
		if name == "" || strings.HasPrefix(name, "__") {
			return gaea.Invalid(at+".kwargs", "%q is not the name of an argument; names that begin with two underscores are Salt's own", name)
		}
	}
	if action.Expect != "" {
		return placed(at+".expect", compile(action.Expect))
	}
	return nil
}

// placed says of a wrong input where it stands.
func placed(field string, err error) error {
	wrong, ok := errors.AsType[*gaea.Error](err)
	if !ok {
		return err
	}
	return &gaea.Error{Code: wrong.Code, Field: field, Message: wrong.Message, Err: wrong.Err}
}

// fieldOf is the field that an error names.
func fieldOf(err error) string {
	if wrong, ok := errors.AsType[*gaea.Error](err); ok {
		return wrong.Field
	}
	return ""
}
