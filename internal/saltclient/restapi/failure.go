package restapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/httpclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/saltclient"
)

// ended is the error for a call whose context has ended before anything was sent.
func (c *Client) ended(ctx context.Context, what string) *gaea.Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return gaea.Wrap(ctx.Err(), gaea.CodeUnavailable, "the time ran out before %s was sent to salt-api at %s", what, c.base)
	}
	return gaea.Wrap(ctx.Err(), gaea.CodeCancelled, "stopped before %s was sent to salt-api at %s", what, c.base)
}

// connectionError says in words why no answer came. sent says whether Salt may have seen the request.
func (c *Client) connectionError(caller, bounded context.Context, k call, sent bool, err error) *gaea.Error {
	known, isKnown := errors.AsType[*gaea.Error](err)
	redirect, isRedirect := errors.AsType[*httpclient.RedirectError](err)
	unavailable := func(format string, args ...any) *gaea.Error {
		return gaea.Wrap(err, gaea.CodeUnavailable, "salt-api at %s %s", c.base, fmt.Sprintf(format, args...))
	}
	switch {
	case isKnown:
		return known
	case isRedirect:
		return unavailable("sends its callers on to %s, where password and token are not sent; set salt_api.url to salt-api's own address", redirect.To)
	case k.repeat == repeatAlways && errors.Is(caller.Err(), context.Canceled):
		return gaea.Wrap(err, gaea.CodeCancelled, "stopped while waiting for salt-api at %s to answer %s", c.base, k.what)
	case sent && errors.Is(caller.Err(), context.Canceled):
		return gaea.Wrap(err, gaea.CodeTimeout, "stopped while waiting for salt-api at %s, which may have acted on %s", c.base, k.what)
	case sent && bounded.Err() != nil:
		return gaea.Wrap(err, gaea.CodeTimeout, "salt-api at %s did not answer %s within the time given (%s); it may have acted on it. Look at its log and load", c.base, k.what, gaea.Duration(k.timeout))
	case sent:
		return gaea.Wrap(err, gaea.CodeTimeout, "salt-api at %s broke the connection off (%s) and may have acted on %s; was it stopped? Its log has the reason", c.base, httpclient.Innermost(err), k.what)
	case caller.Err() != nil:
		return c.ended(caller, k.what)
	case errors.Is(err, syscall.ECONNREFUSED):
		return unavailable("does not answer (connection refused); is salt-api running? Start it, or correct salt_api.url")
	case httpclient.IsWrongProtocol(err):
		return unavailable("does not speak TLS; correct salt_api.url, or give salt-api a certificate (rest_cherrypy's ssl_crt and ssl_key)")
	case httpclient.IsCertificate(err):
		return unavailable("has a certificate that is not trusted (%s); set salt_api.ca_file to the certificate that signed it, and use the host name it was made for", httpclient.Innermost(err))
	case httpclient.IsUnknownHost(err):
		return unavailable("cannot be found (%s); look at salt_api.url", httpclient.Innermost(err))
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return unavailable("cannot be reached (%s); look at salt_api.url and at what lies between", httpclient.Innermost(err))
	}
	return unavailable("broke the connection off (%s); its log has the reason", httpclient.Innermost(err))
}

// disabled is how salt-api says that it does not have a client, and how it says that it knows none of that name.
var disabled = regexp.MustCompile(`(?:Client disabled|Invalid client specified): '([a-z_]+)'`)

// returned takes what was asked for out of an answer. The errors: CodeForbidden for what salt-api or the master does not
// allow, CodeTooLarge for a request that is too large, CodeSalt for what else they say, CodeUnavailable where the master does
// not run or something else than salt-api answers, CodeTimeout where a proxy gave up waiting.
func (c *Client) returned(a *answer, what string) (json.RawMessage, error) {
	switch {
	case a.status == http.StatusOK && a.kind == "application/json" && a.err == nil:
		if ret, ok := saltclient.NetapiReturn(a.body); ok {
			return ret, nil
		}
		return nil, c.unexpected(a, what)
	case a.status == http.StatusOK && a.kind == "application/json":
		return nil, gaea.Wrap(a.err, gaea.CodeUnavailable, "salt-api at %s answered %s with JSON that is cut off; is there a proxy between?", c.base, what)
	}
	if m := disabled.FindStringSubmatch(a.words()); m != nil {
		return nil, gaea.Wrap(a.cause(), gaea.CodeForbidden, "salt-api at %s may not use its client %s; add this line to the master's configuration and restart salt-master and salt-api: netapi_enable_clients: [local_async, runner]", c.base, m[1])
	}
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, c.denied(a, what)
	case http.StatusRequestEntityTooLarge:
		return nil, gaea.Wrap(a.cause(), gaea.CodeTooLarge, "%s is larger than salt-api at %s takes; raise max_request_body_size below rest_cherrypy in the master's configuration (1 MiB by default), or send less", what, c.base)
	case http.StatusBadGateway:
		return nil, gaea.Wrap(a.cause(), gaea.CodeTimeout, "a proxy before salt-api at %s lost it while it was asked for %s (%s), which it may have acted on; does salt-api run?", c.base, what, a.words())
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return nil, gaea.Wrap(a.cause(), gaea.CodeUnavailable, "salt-api at %s cannot do %s now (%s); does the Salt master run?", c.base, what, a.words())
	case http.StatusGatewayTimeout:
		return nil, gaea.Wrap(a.cause(), gaea.CodeTimeout, "%s has not ended in the time that salt-api at %s, or a proxy before it, waits (%s)", what, c.base, a.words())
	case http.StatusBadRequest:
		return nil, gaea.Wrap(a.cause(), gaea.CodeSalt, "salt-api at %s refused %s: %s", c.base, what, a.words())
	case http.StatusInternalServerError:
		if a.kind == "application/json" || strings.Contains(string(a.body), "CherryPy") {
			return nil, gaea.Wrap(a.cause(), gaea.CodeSalt, "salt-api at %s failed at %s (%s); its log has the reason", c.base, what, a.words())
		}
	}
	return nil, c.unexpected(a, what)
}

// grant is what the master's configuration needs so that the user may do all that Gaea does, in one line of YAML.
func (c *Client) grant() string {
	return fmt.Sprintf("external_auth: {%s: {%s: ['.*', '@runner', '@jobs']}}", c.cfg.Eauth, c.cfg.Username)
}

// denied is the error for what the user may not do.
func (c *Client) denied(a *answer, what string) *gaea.Error {
	perms := "nothing that salt-api tells"
	if all := c.Perms(); len(all) > 0 {
		perms = strings.Join(all, ", ")
		const most = 300
		if len(perms) > most {
			perms = strings.ToValidUTF8(perms[:most], "") + " …"
		}
	}
	return gaea.Wrap(a.cause(), gaea.CodeForbidden, "the Salt master does not allow user %q (eauth %s) %s (%s). Its configuration allows this user %s, and has to have: %s", c.cfg.Username, c.cfg.Eauth, what, a.words(), perms, c.grant())
}

// unexpected is the error for an answer that is not salt-api's.
func (c *Client) unexpected(a *answer, what string) *gaea.Error {
	kind := a.kind
	if kind == "" {
		kind = "an untyped answer"
	}
	return gaea.Wrap(a.cause(), gaea.CodeUnavailable, "what answers %s at %s is not salt-api (%s, %s); look at salt_api.url, and for a proxy between", what, c.base, a.statusText(), kind)
}
