package httpclient

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/hashicorp/go-cleanhttp"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// NewTransport makes a transport of its own, with TLS 1.2 at least. caFile is a file of PEM certificates that are trusted
// beside the system's own; it may be empty. The error is CodeInvalid and names field; whose is the server in its sentence:
// "jobd's".
func NewTransport(caFile, field, whose string) (*http.Transport, error) {
	t := cleanhttp.DefaultPooledTransport()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	t.ForceAttemptHTTP2 = true
	// Twenty resources at once are usual for Terraform: keep their connections.
	t.MaxIdleConnsPerHost = 16
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, &gaea.Error{Code: gaea.CodeInvalid, Field: field, Err: err,
			Message: fmt.Sprintf("%s cannot be read; give the path of a PEM file with the certificate that signed %s", caFile, whose)}
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, gaea.Invalid(field, "%s holds no PEM certificate; it should have lines that say BEGIN CERTIFICATE", caFile)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// IsLoopback says whether a host is this machine.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// RedirectError is a redirect that is not followed.
type RedirectError struct {
	To string // scheme and host
}

// Error says where to.
func (e *RedirectError) Error() string { return "redirected to " + e.To }

// SameOrigin is for [http.Client.CheckRedirect]: it follows redirects to the same scheme, host and port only, so that a token
// goes nowhere else. A method that changes something is not redirected where that would make a GET of it.
func SameOrigin(req *http.Request, via []*http.Request) error {
	first := via[0]
	if req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host || req.Method != first.Method || len(via) > 3 {
		return &RedirectError{To: (&url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host}).String()}
	}
	return nil
}
