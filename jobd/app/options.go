package app

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// Options say how jobd serves. They are the keys of its config file.
type Options struct {
	Listen        string        // HOST:PORT; anything but loopback needs TLS
	SaltConfigDir string        // the master's config directory
	SaltUser      string        // whose key publishes; empty: root's where it is readable, else the own user's
	MasterName    string        // the master's name in the archive; empty: the id in its config
	Database      string        // sqlite:///PATH
	QueueDatabase string        // sqlite:///PATH or postgres://…; empty: a file beside the database
	KeyFile       string        // what seals secrets in the database; empty: jobd.key beside the database
	TLSCert       string        // PEM file; with TLSKey
	TLSKey        string        // PEM file
	Retention     time.Duration // how long jobs, returns and events are kept; 0: for ever
	MaxFrame      int           // bytes of one message of the event bus
	QueueBytes    int           // bytes of events that may wait for the database
	Version       string
	Logger        *slog.Logger
}

// SQLitePath is the file that a database address names. PostgreSQL is not taken yet, and is refused in words.
func SQLitePath(database string) (string, error) {
	u, err := url.Parse(database)
	if err != nil || u.Scheme == "" {
		return "", gaea.Invalid("database", "%q is not a database; write sqlite:///var/lib/jobd/jobd.db", database)
	}
	switch {
	case u.Scheme == "sqlite" && u.Host == "" && filepath.IsAbs(u.Path):
		return filepath.Clean(u.Path), nil
	case u.Scheme == "sqlite":
		return "", gaea.Invalid("database", "%q names no absolute path; write three slashes: sqlite:///var/lib/jobd/jobd.db", database)
	case strings.HasPrefix(u.Scheme, "postgres"):
		return "", gaea.Invalid("database", "this jobd keeps its archive in SQLite only; write sqlite:///var/lib/jobd/jobd.db")
	default:
		return "", gaea.Invalid("database", "%q is not a kind of database that jobd knows; write sqlite:///var/lib/jobd/jobd.db", u.Scheme)
	}
}

// KeyPath is where the key that seals secrets is: beside the database unless it is set.
func KeyPath(keyFile, databasePath string) string {
	if keyFile != "" {
		return keyFile
	}
	return filepath.Join(filepath.Dir(databasePath), "jobd.key")
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
