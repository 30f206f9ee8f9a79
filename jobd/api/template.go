package api

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/gaea-salt/terraform-provider-gaea/internal/engine"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// validTemplate checks of a job template what its own Validate leaves to others: its limits and arguments, the targets of
// its actions and what they expect. Whether a target group is there is looked at when a run is made, as with runs that name one.
func (a *API) validTemplate(t gaea.JobTemplate) error {
	for _, list := range []struct {
		path    string
		actions []gaea.JobAction
	}{{"pre_actions", t.PreActions}, {"post_actions", t.PostActions}} {
		for i := range list.actions {
			if err := a.validAction(fmt.Sprintf("%s[%d]", list.path, i), &list.actions[i]); err != nil {
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

func (a *API) validAction(at string, action *gaea.JobAction) error {
	if action.TargetGroup != "" {
		if _, err := gaea.ParseRef(action.TargetGroup); err != nil {
			return gaea.Invalid(at+".target_group", "%q is neither a name nor a ref; write NAME for the latest version or NAME@DIGEST for one", action.TargetGroup)
		}
	}
	if !action.Target.IsZero() {
		if err := validTarget(action.Target); err != nil {
			return placed(at+"."+fieldOf(err), err)
		}
	}
	for name := range action.Kwargs {
		if name == "" || strings.HasPrefix(name, "__") {
			return gaea.Invalid(at+".kwargs", "%q is not the name of an argument; names that begin with two underscores are Salt's own", name)
		}
	}
	if action.Expect != "" {
		return placed(at+".expect", a.deps.CompileExpect(action.Expect))
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
