package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// wireVersion is the version of the request's form; without it masters answer "bad load".
const wireVersion = 3

// request sends one load to the request port and returns the answer as JSON. what names it for errors: "a ping".
//
// CodeUnavailable: the master was not reached and has seen nothing. CodeTimeout: the request has left and no answer came, so
// the master may have acted on it. CodeCancelled: ctx was cancelled before the request had left. Other errors are those of
// allowed, which is asked right before the request leaves; nil is not asked.
func (c *Client) request(ctx context.Context, load map[string]any, what string, allowed func() error) (json.RawMessage, error) {
	packed, err := appendValue(msgp.AppendMapHeader(nil, 3), "enc", 0)
	if err != nil {
		return nil, err
	}
	packed = msgp.AppendString(packed, "clear")
	packed = msgp.AppendInt(msgp.AppendString(packed, "version"), wireVersion)
	if packed, err = appendValue(msgp.AppendString(packed, "load"), load, 0); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, c.opts.RequestTimeout)
	defer cancel()
	addr := c.Config().RequestAddr()
	answer, sent, err := exchange(limited, addr, packed, c.opts.MaxFrame, allowed)
	if err != nil {
		return nil, c.requestError(limited, err, sent, addr, what)
	}
	out, _, err := saltclient.AppendJSON(nil, answer, c.opts.Limits)
	if err != nil {
		return nil, gaea.Wrap(err, gaea.CodeSalt, "the Salt master at %s answered %s with something that is no msgpack", addr, what)
	}
	return out, nil
}

func (c *Client) requestError(ctx context.Context, err error, sent bool, addr, what string) error {
	if kept, ok := errors.AsType[keptError](err); ok {
		return kept.error
	}
	switch {
	case gaea.CodeOf(err) == gaea.CodeTooLarge:
		return gaea.Wrap(err, gaea.CodeTooLarge, "the Salt master's answer to %s is larger than %d bytes, the bound on frames", what, c.opts.MaxFrame)
	case sent:
		return gaea.Wrap(err, gaea.CodeTimeout, "the Salt master at %s took %s and did not answer within the time given; it may have acted on it", addr, what)
	case errors.Is(ctx.Err(), context.Canceled):
		return gaea.Wrap(ctx.Err(), gaea.CodeCancelled, "%s to the Salt master was cancelled before it was sent", what)
	default:
		return gaea.Wrap(err, gaea.CodeUnavailable, "the Salt master does not answer at %s; check that salt-master runs, and interface and ret_port in %s", addr, c.Config().Dir)
	}
}

// authorized sends a load with the user's key, or the login's token where withToken says. It calls build with each, and once
// more with a new key or token where the master does not take the first; then it returns the refusal.
func (c *Client) authorized(ctx context.Context, what string, allowed func() error, build func(auth credentials, token string) map[string]any) (json.RawMessage, error) {
	l, err := c.token(ctx, "")
	if err != nil {
		return nil, err
	}
	if l != nil {
		answer, err := c.request(ctx, build(credentials{user: l.user}, l.token), what, allowed)
		if err != nil || !isAuthentication(answer) {
			return answer, err
		}
		if l, err = c.token(ctx, l.token); err != nil {
			return nil, err
		}
		return c.request(ctx, build(credentials{user: l.user}, l.token), what, allowed)
	}
	auth, err := c.credentials()
	if err != nil {
		return nil, err
	}
	answer, err := c.request(ctx, build(auth, ""), what, allowed)
	if err != nil || !isAuthentication(answer) {
		return answer, err
	}
	auth, changed, err := c.renew(auth)
	if err != nil {
		return nil, err
	}
	if !changed {
		return answer, nil
	}
	return c.request(ctx, build(auth, ""), what, allowed)
}

// refusal is what a master answers instead of doing what it was asked: {"error": {"name", "message"}}, {"error": text}, or a
// bare text.
type refusal struct {
	Name, Message string
}

func parseRefusal(answer json.RawMessage) (refusal, bool) {
	var words string
	if json.Unmarshal(answer, &words) == nil {
		return refusal{Message: words}, true
	}
	var wrapped struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(answer, &wrapped) != nil || len(wrapped.Error) == 0 || string(wrapped.Error) == "null" {
		return refusal{}, false
	}
	var r refusal
	if json.Unmarshal(wrapped.Error, &r) != nil {
		if json.Unmarshal(wrapped.Error, &r.Message) != nil {
			r.Message = string(wrapped.Error)
		}
	}
	return r, true
}

func isAuthentication(answer json.RawMessage) bool {
	r, refused := parseRefusal(answer)
	return refused && isAuthenticationName(r.Name)
}

// isAuthenticationName knows the names under which masters refuse who asks, not what is asked.
func isAuthenticationName(name string) bool {
	switch name {
	case "AuthenticationError", "UserAuthenticationError", "TokenAuthenticationError", "EauthAuthenticationError":
		return true
	default:
		return false
	}
}

// refusalError makes an error of a refusal to do what for user.
func (c *Client) refusalError(r refusal, what, user string) error {
	config := c.Config()
	switch {
	case isAuthenticationName(r.Name) && c.hasLogin():
		return gaea.Errorf(gaea.CodeForbidden, "the Salt master refused %s by user %s: %q; let external_auth in %s allow it", what, user, r.Message, config.Dir)
	case isAuthenticationName(r.Name):
		return gaea.Errorf(gaea.CodeForbidden, "the Salt master refused %s: %q. It does not take the key %s of user %s; %s", what, r.Message, config.KeyFile(user), user, grant(config, user))
	case r.Name == "AuthorizationError":
		return gaea.Errorf(gaea.CodeForbidden, "the Salt master does not allow user %s %s: %q; allow it in publisher_acl (or external_auth), for example: %s", user, what, r.Message, grant(config, user))
	case r.Name != "":
		return gaea.Errorf(gaea.CodeSalt, "the Salt master refused %s: %s: %q", what, r.Name, r.Message)
	default:
		return gaea.Errorf(gaea.CodeSalt, "the Salt master refused %s: %q", what, r.Message)
	}
}

func (c *Client) hasLogin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.login != nil
}

// unexpected is the error for an answer of another form than Salt's.
func unexpected(what string, answer json.RawMessage) error {
	const shown = 200
	if len(answer) > shown {
		answer = answer[:shown]
	}
	return gaea.Wrap(fmt.Errorf("answer %q", answer), gaea.CodeSalt, "the Salt master answered %s in a form that Gaea does not know", what)
}
