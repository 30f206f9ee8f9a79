package app

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/expect"
	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive"
)

// maxAnswerHeader is how many bytes of headers an answer to an action's request may have.
const maxAnswerHeader = 64 << 10

// actionClient makes the requests of actions. It goes through the proxies of the environment, verifies certificates, and
// keeps no connection: what it calls is not called often. The action bounds the time.
func actionClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswerHeader,
	}}
}

// compileExpectation compiles what an action expects.
func compileExpectation(expr string) (gaea.Expectation, error) {
	p, err := expect.Compile(expr)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// keepEvent archives an event of Gaea's own.
func (s ingestStore) keepEvent(ctx context.Context, ev gaea.Event) error {
	return s.store.WriteBatch(ctx, s.master, archive.Batch{Events: []gaea.Event{ev}})
}
