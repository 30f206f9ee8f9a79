package jobdclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/httpclient"
)

// permanent marks a cause that asking again will not change.
type permanent struct{ error }

// Unwrap returns the cause.
func (p permanent) Unwrap() error { return p.error }

// isPermanent says whether sending the same again cannot help.
func isPermanent(err error) bool {
	_, marked := errors.AsType[permanent](err)
	wrong, known := errors.AsType[*gaea.Error](err)
	return marked || known && wrong.Code == gaea.CodeTooLarge || httpclient.IsPermanent(err)
}

// connectionError says in words why no answer came. The caller's own end of patience is told apart from the call's limit.
func (c *Client) connectionError(caller, bounded context.Context, limit time.Duration, err error) *gaea.Error {
	var (
		known    *gaea.Error
		redirect *httpclient.RedirectError
		dns      *net.DNSError
		op       *net.OpError
	)
	unavailable := func(cause error, format string, args ...any) *gaea.Error {
		return gaea.Wrap(cause, gaea.CodeUnavailable, "jobd at %s %s", c.endpoint, fmt.Sprintf(format, args...))
	}
	switch {
	case errors.Is(caller.Err(), context.Canceled):
		return gaea.Wrap(caller.Err(), gaea.CodeCancelled, "stopped while waiting for jobd at %s", c.endpoint)
	case caller.Err() != nil:
		return gaea.Wrap(caller.Err(), gaea.CodeTimeout, "the time ran out while waiting for jobd at %s", c.endpoint)
	case bounded.Err() != nil:
		return gaea.Wrap(err, gaea.CodeTimeout, "jobd at %s did not answer within %s; look at its log and load, or raise request_timeout", c.endpoint, gaea.Duration(limit))
	case errors.As(err, &known):
		return known
	case errors.As(err, &redirect):
		return unavailable(permanent{err}, "sends its callers on to %s, where the token is not sent; set endpoint / GAEA_ENDPOINT to jobd's own address", redirect.To)
	case errors.Is(err, syscall.ECONNREFUSED):
		return unavailable(err, "does not answer (connection refused); is it running? Start it with \"jobd serve\", or set endpoint / GAEA_ENDPOINT")
	case httpclient.IsWrongProtocol(err):
		return unavailable(permanent{err}, "does not speak TLS; write http:// in endpoint / GAEA_ENDPOINT for a jobd without --tls-cert")
	case httpclient.IsCertificate(err):
		return unavailable(permanent{err}, "has a certificate that is not trusted (%s); set ca_file / GAEA_CA_FILE to the certificate that signed it, and use the host name it was made for", httpclient.Innermost(err))
	case errors.As(err, &dns) && dns.IsNotFound:
		return unavailable(permanent{err}, "cannot be found (no such host: %s); look at endpoint / GAEA_ENDPOINT", dns.Name)
	case errors.As(err, &op) && op.Op == "dial":
		return unavailable(err, "cannot be reached (%s); look at endpoint / GAEA_ENDPOINT and at what lies between", httpclient.Innermost(err))
	default:
		return unavailable(err, "broke the connection off (%s); was it stopped? Its log has the reason", httpclient.Innermost(err))
	}
}

// problem is jobd's error answer (RFC 9457), as far as the client uses it.
type problem struct {
	Detail   string    `json:"detail"`
	Code     gaea.Code `json:"code"`
	Field    string    `json:"field"`
	Instance string    `json:"instance"`
}

func isProblem(resp *http.Response) bool {
	return httpclient.MediaType(resp) == "application/problem+json"
}

// answerError turns an answer that is no success into an error, and one that is not jobd's too.
func (c *Client) answerError(resp *http.Response, body []byte) error {
	kind := httpclient.MediaType(resp)
	if resp.StatusCode < 300 && (kind == "application/json" || resp.StatusCode == http.StatusNoContent) {
		return nil
	}
	var p problem
	if isProblem(resp) && json.Unmarshal(body, &p) == nil && p.Code != "" {
		if p.Code == gaea.CodeUnauthenticated {
			return c.tokenError(p)
		}
		e := &gaea.Error{Code: p.Code, Field: p.Field, Message: p.Detail}
		if p.Instance != "" {
			e.Err = errors.New(p.Instance)
		}
		return e
	}
	switch {
	case resp.StatusCode == http.StatusBadRequest && strings.Contains(string(body), "HTTP request to an HTTPS server"):
		return gaea.Wrap(permanent{errors.New(resp.Status)}, gaea.CodeUnavailable,
			"jobd at %s speaks TLS; write https:// in endpoint / GAEA_ENDPOINT", c.endpoint)
	case resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusGatewayTimeout ||
		resp.StatusCode == http.StatusTooManyRequests:
		return gaea.Wrap(errors.New(resp.Status), gaea.CodeUnavailable,
			"something between here and jobd at %s answers %q; is jobd running behind it?", c.endpoint, resp.Status)
	default:
		if kind == "" {
			kind = "an untyped answer"
		}
		return gaea.Wrap(permanent{errors.New(resp.Status)}, gaea.CodeUnavailable,
			"what answers at %s is not jobd's API (%s, %s); look at the port in endpoint / GAEA_ENDPOINT, and for a proxy between", c.endpoint, resp.Status, kind)
	}
}

func (c *Client) tokenError(p problem) *gaea.Error {
	cause := errors.New(p.Detail)
	if c.token == "" {
		return gaea.Wrap(cause, gaea.CodeUnauthenticated,
			"jobd at %s wants a token and none is set; set token or GAEA_TOKEN. Make one with: jobd token create --role plan (or apply)", c.endpoint)
	}
	return gaea.Wrap(cause, gaea.CodeUnauthenticated,
		"jobd at %s does not know this token, or it has expired or was deleted; look at token / GAEA_TOKEN, or make a new one with: jobd token create --role plan (or apply)", c.endpoint)
}
