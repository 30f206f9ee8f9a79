package app

import (
	"encoding/json"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/archive/postgres"
)

// BreakListener closes the listener as a fault would.
func (a *App) BreakListener() error { return a.listener.Close() }

// BreakArchive closes the archive as a fault would.
func (a *App) BreakArchive() error { return a.store.Close() }

// NewLateReturns and its methods are tested by themselves: a burst that is larger than the queue cannot be had from outside.
var NewLateReturns = newLateReturns

// Take hands returns over.
var (
	Take  = (*lateReturns).take
	Start = (*lateReturns).start
	Stop  = (*lateReturns).stop
)

// Leased is a publisher that publishes while a lease is held.
func Leased(p gaea.Publisher, l *postgres.Lease) gaea.Publisher { return leasedPublisher{p, l} }

// LeasedTransport makes requests while a lease is held.
func LeasedTransport(r http.RoundTripper, l *postgres.Lease) http.RoundTripper {
	return leasedTransport{r, l}
}

// RewriteOrder reads what another jobd has ordered, and writes it again.
func RewriteOrder(body []byte) ([]byte, error) {
	var b orderBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, err
	}
	return json.Marshal(b)
}
