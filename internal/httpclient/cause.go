package httpclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"mime"
	"net"
	"net/http"
)

// IsNeverSent says whether a connection failed before any part of a request could travel.
func IsNeverSent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// IsPermanent says whether sending the same again cannot help: a certificate, a wrong protocol, a redirect, a name that does
// not exist.
func IsPermanent(err error) bool {
	_, redirect := errors.AsType[*RedirectError](err)
	return redirect || IsUnknownHost(err) || IsCertificate(err) || IsWrongProtocol(err)
}

// IsUnknownHost says whether a name does not exist.
func IsUnknownHost(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// IsCertificate says whether one side does not trust the other's certificate.
func IsCertificate(err error) bool {
	var (
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
	)
	return errors.As(err, &verify) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &alert)
}

// IsWrongProtocol says whether the server does not speak TLS.
func IsWrongProtocol(err error) bool {
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return record || errors.Is(err, http.ErrSchemeMismatch)
}

// Innermost is the text of the last cause in a chain: the part of a network error that people can use.
func Innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// MediaType is the type of an answer without its parameters; empty where it has none.
func MediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
