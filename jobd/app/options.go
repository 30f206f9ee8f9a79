package app

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// How long a request for a master that no jobd leads at the moment may wait for one, and unless it is set.
const (
	MinTakeoverWait     = 15 * time.Second // another takes over by then, where there is one
	MaxTakeoverWait     = time.Hour
	DefaultTakeoverWait = time.Minute
)

// Options say how jobd serves. They are the keys of its config file.
type Options struct {
	Listen        string         // HOST:PORT; anything but loopback needs TLS
	SaltConfigDir string         // the master's config directory
	SaltUser      string         // whose key publishes; empty: root's where it is readable, else the own user's
	MasterName    string         // the master's name in the archive; empty: the id in its config
	Database      string         // sqlite:///PATH or postgres://…
	QueueDatabase string         // the same; empty: a file beside the database, or in the same PostgreSQL
	KeyFile       string         // what seals secrets in the database; empty: jobd.key beside the database, or in /var/lib/jobd
	TLSCert       string         // PEM file; with TLSKey
	TLSKey        string         // PEM file
	Retention     gaea.Retention // how long each kind is kept, and how large the archive may get
	MaxFrame      int            // bytes of one message of the event bus
	MaxReturn     int            // bytes of a return that is kept whole
	QueueBytes    int            // bytes of events that may wait for the database in memory
	SpillBytes    int64          // bytes of events that may wait for the database on disk; 0: none
	SpillDir      string         // where they wait; empty: see SpillPath
	TakeoverWait  time.Duration  // how long a run of a master waits for a jobd that leads it; 0: DefaultTakeoverWait
	Version       string
	Logger        *slog.Logger
}

// tlsConfig is nil for a listener in clear, which only loopback may have.
func (o *Options) tlsConfig() (*tls.Config, error) {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, gaea.Invalid("listen", "%q is not HOST:PORT; write for example 127.0.0.1:7780", o.Listen)
	}
	if o.TLSCert == "" && o.TLSKey == "" {
		ip, err := netip.ParseAddr(host)
		if host != "localhost" && (err != nil || !ip.IsLoopback()) {
			return nil, gaea.Invalid("listen", "%q is not loopback, and tokens would travel in clear; give --tls-cert and --tls-key, or listen on 127.0.0.1", o.Listen)
		}
		return nil, nil //nolint:nilnil // no TLS is a right answer
	}
	if o.TLSCert == "" || o.TLSKey == "" {
		return nil, gaea.Invalid("tls_cert", "TLS needs both --tls-cert and --tls-key")
	}
	cert, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
	if err != nil {
		return nil, certificateError(err, o.TLSCert, o.TLSKey)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}

// certificateError says which of the two files is wrong and how.
func certificateError(err error, cert, key string) error {
	if broken, ok := errors.AsType[*fs.PathError](err); ok {
		field := "tls_cert"
		if broken.Path == key {
			field = "tls_key"
		}
		return gaea.Invalid(field, "%s cannot be read (%s); it must be a PEM file that jobd's user may read", broken.Path, broken.Err)
	}
	if strings.Contains(err.Error(), "does not match") {
		return gaea.Invalid("tls_key", "the key %s does not belong to the certificate %s", key, cert)
	}
	return gaea.Wrap(err, gaea.CodeInvalid, "the certificate %s and the key %s cannot be used; both must be PEM files, the first with BEGIN CERTIFICATE and the second with BEGIN PRIVATE KEY", cert, key)
}
