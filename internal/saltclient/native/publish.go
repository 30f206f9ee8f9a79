package native

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Publish implements [gaea.Publisher] over the request port. Where p has no JID the master chooses one.
//
// CodeUnavailable says that nothing was published. CodeTimeout says that the request has left and no answer came: the job may
// run, so look for its id in the job cache before it is published again. CodeInvalid names an argument that Salt cannot be
// told, or a nodegroup that the master does not have.
func (c *Client) Publish(ctx context.Context, p gaea.Publication) (gaea.Published, error) {
	if err := p.Target.Validate(); err != nil {
		return gaea.Published{}, err
	}
	kindOf, tgt, err := c.wireTarget(ctx, p.Target)
	if err != nil {
		return gaea.Published{}, err
	}
	arg := slices.Clone(p.Args)
	if arg == nil {
		arg = []any{}
	}
	if len(p.Kwargs) > 0 {
		kwargs := map[string]any{}
		maps.Copy(kwargs, p.Kwargs)
		kwargs["__kwarg__"] = true
		arg = append(arg, kwargs)
	}
	what := "job " + p.Function
	if p.JID != "" {
		what += " (" + p.JID + ")"
	}
	var user string
	answer, err := c.authorized(ctx, what, p.Allowed, func(auth credentials, token string) map[string]any {
		user = auth.user
		extra := map[string]any{}
		if len(p.Metadata) > 0 {
			extra["metadata"] = p.Metadata
		}
		if token != "" {
			extra["token"] = token
		}
		return map[string]any{
			"cmd": "publish", "fun": p.Function, "arg": arg, "tgt": tgt, "tgt_type": kindOf, "jid": p.JID, "ret": "",
			"user": auth.user, "key": auth.key, "kwargs": extra,
		}
	})
	if err != nil {
		return gaea.Published{}, err
	}
	return c.published(answer, p, what, user)
}

// published reads the answer to a publication: {"enc": "clear", "load": {"jid", "minions", "missing", "error"}}.
func (c *Client) published(answer json.RawMessage, p gaea.Publication, what, user string) (gaea.Published, error) {
	if r, refused := parseRefusal(answer); refused {
		return gaea.Published{}, c.refusalError(r, what, user)
	}
	var wrapped struct {
		Load *struct {
			JID     *string         `json:"jid"`
			Minions []string        `json:"minions"`
			Missing []string        `json:"missing"`
			Error   json.RawMessage `json:"error"`
		} `json:"load"`
	}
	if err := json.Unmarshal(answer, &wrapped); err != nil || wrapped.Load == nil {
		return gaea.Published{}, unexpected(what, answer)
	}
	load := wrapped.Load
	switch {
	case load.JID == nil && len(load.Minions) == 0:
		return gaea.Published{}, gaea.Errorf(gaea.CodeEmptyTarget, "the target %q (%s) matches no minion that the Salt master knows", p.Target, p.Target.Type)
	case load.JID == nil:
		r, _ := parseRefusal(answer)
		return gaea.Published{}, c.refusalError(refusal{Message: r.Message + string(load.Error)}, what, user)
	}
	slices.Sort(load.Minions)
	slices.Sort(load.Missing)
	return gaea.Published{JID: *load.JID, Minions: load.Minions, Missing: load.Missing}, nil
}

// wireTarget is how a target is told to a master. Nodegroups and ranges are resolved by who publishes: minions know neither.
func (c *Client) wireTarget(ctx context.Context, t gaea.Target) (kindOf string, tgt any, err error) {
	switch t.Type {
	case gaea.TargetList:
		ids := make([]any, len(t.Minions))
		for i, id := range t.Minions {
			ids[i] = id
		}
		return string(t.Type), ids, nil
	case gaea.TargetNodegroup:
		words, err := expandNodegroup(t.Expr, c.Config().Nodegroups)
		if err != nil {
			return "", nil, err
		}
		return string(gaea.TargetCompound), words, nil
	case gaea.TargetRange:
		ids, err := c.expandRange(ctx, t.Expr)
		return string(gaea.TargetList), ids, err
	default:
		return string(t.Type), t.Expr, nil
	}
}
