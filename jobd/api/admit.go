package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// bodyTimeout bounds how long a client may take to send a body.
const bodyTimeout = 10 * time.Second

// admit is what every route goes through before its parameters are read: who is it, may they, is the body small enough, and
// from then on a limit in time.
func (a *API) admit(hc huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(hc)
	ctx := hc.Context()
	if limit, ok := hc.Operation().Metadata[metaLimit].(time.Duration); ok {
		bounded, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		ctx = bounded
	}
	if action, ok := hc.Operation().Metadata[metaAction].(gaea.Action); ok {
		who, err := a.identify(ctx, r, action)
		if err != nil {
			if gaea.CodeOf(err) == gaea.CodeUnauthenticated {
				w.Header().Set("WWW-Authenticate", `Bearer realm="jobd"`)
			}
			refuse(ctx, w, err)
			return
		}
		ctx = gaea.WithPrincipal(ctx, who)
	}
	if err := a.takeBody(w, r); err != nil {
		refuse(ctx, w, err)
		return
	}
	next(huma.WithContext(hc, ctx))
}

func refuse(ctx context.Context, w http.ResponseWriter, err error) {
	in := inquiryOf(ctx)
	p := problemOf(err)
	p.Instance = in.instance()
	in.report(ctx, p, []error{err})
	p.write(w)
}

// identify returns who makes the request, if they may do what it asks for.
func (a *API) identify(ctx context.Context, r *http.Request, action gaea.Action) (gaea.Principal, error) {
	who, err := a.deps.Authenticator.Authenticate(ctx, bearer(r))
	if err != nil {
		return gaea.Principal{}, err
	}
	inquiryOf(ctx).caller = who.Name
	return who, a.deps.Policy.Authorize(who, action)
}

// bearer is the token that a request carries (RFC 6750, in the header only), or nothing.
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// hurry bounds how long the body may take to arrive. It is set before anything else, because net/http reads what is left of a
// body before it answers, also where the request is refused.
func (a *API) hurry(w http.ResponseWriter, r *http.Request) {
	if hasBody(r) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(a.patient)) // not every writer has deadlines
	}
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// takeBody reads the body whole before the work on the request begins, and then lifts the limit of [API.hurry]: net/http
// would take a deadline that passes during the work for a client that has left.
func (a *API) takeBody(w http.ResponseWriter, r *http.Request) error {
	if !hasBody(r) {
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return gaea.Errorf(gaea.CodeTooLarge, "the request's body is larger than %d MiB, which is what jobd takes", maxBody>>20)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return gaea.Errorf(gaea.CodeTimeout, "the request's body did not arrive within %s", gaea.Duration(a.patient))
	case err != nil:
		return gaea.Wrap(err, gaea.CodeInvalid, "the request's body broke off")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// enter takes a place for a long answer. The returned function gives it back.
func (a *API) enter() (leave func(), err error) {
	select {
	case a.streams <- struct{}{}:
		return func() { <-a.streams }, nil
	default:
		return nil, gaea.Errorf(gaea.CodeUnavailable, "%d streams and long polls go on already; try again in a moment", cap(a.streams))
	}
}
