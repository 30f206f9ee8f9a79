package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/jobd/app"
)

func contents(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func TestOnlyLoopbackMayListenInClear(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "7780", "127.0.0.1"} {
		o := options(t, s)
		o.Listen = address
		a, err := app.New(t.Context(), o)
		if err == nil {
			t.Errorf("%s: listens on %s", address, a.Addr())
			continue
		}
		if e, ok := errors.AsType[*gaea.Error](err); !ok || e.Field != "listen" {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "127.0.0.2:0", "localhost:0"} {
		o := options(t, s)
		o.Listen = address
		if err := run(t, o).stop(); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// certificate makes a key and a certificate that it signs itself, for 127.0.0.1.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "jobd"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestAClientWithTheCertificateTalksToAJobdWithTLS(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	o := options(t, s)
	o.TLSCert, o.TLSKey = certificate(t)
	o.Listen = "0.0.0.0:0" // with TLS it may
	j := run(t, o)
	_, port, err := net.SplitHostPort(j.Addr())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := app.OpenTokens(t.Context(), o.Database, "", false)
	if err != nil {
		t.Fatal(err)
	}
	token, err := tokens.Create(t.Context(), "ci", gaea.RoleRead, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := tokens.Close(); err != nil {
		t.Fatal(err)
	}
	who := func(endpoint, ca string) (*gaea.Principal, error) {
		c, err := jobdclient.New(jobdclient.Config{Endpoint: endpoint, Token: token.Secret, CAFile: ca, Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.WhoAmI(t.Context())
	}
	if p, err := who("https://127.0.0.1:"+port, o.TLSCert); err != nil || p.Name != "ci" {
		t.Errorf("with the certificate: %v, %v", p, err)
	}
	if _, err := who("https://127.0.0.1:"+port, ""); err == nil || !strings.Contains(gaea.MessageOf(err), "ca_file") {
		t.Errorf("without the certificate: %v", err)
	}
	if _, err := who("http://127.0.0.1:"+port, ""); err == nil || !strings.Contains(gaea.MessageOf(err), "https://") {
		t.Errorf("in clear: %v", err)
	}
	if err := j.stop(); err != nil {
		t.Error(err)
	}
}

func TestACertificateThatCannotBeUsedIsNamed(t *testing.T) {
	t.Parallel()
	s := newSalt(t)
	cert, key := certificate(t)
	other, _ := certificate(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for name, c := range map[string]struct{ cert, key, want string }{
		"only a certificate":     {cert, "", "--tls-key"},
		"only a key":             {"", key, "--tls-cert"},
		"a missing certificate":  {missing, key, missing},
		"a missing key":          {cert, missing, missing},
		"no PEM":                 {empty, key, empty},
		"another certificate":    {other, key, "belong"},
		"the two the other way":  {key, cert, key},
		"a directory for a file": {filepath.Dir(cert), key, filepath.Dir(cert)},
	} {
		o := options(t, s)
		o.TLSCert, o.TLSKey = c.cert, c.key
		if _, err := app.New(t.Context(), o); err == nil || !strings.Contains(gaea.MessageOf(err), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
