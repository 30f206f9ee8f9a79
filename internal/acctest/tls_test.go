package acctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdclient"
	"github.com/gaea-salt/terraform-provider-gaea/internal/jobdlab"
)

func TestAccJobdSpeaksTLSToThoseWhoTrustItsCertificate(t *testing.T) {
	t.Parallel()
	lab := newRig(t).lab
	files := newCertificates(t)
	j, err := jobdlab.New(t.Context(), jobdlab.Config{
		Binary: shared.binary, SaltConfigDir: lab.ConfigDir(), Dir: t.TempDir(), Args: []string{"--tls-cert", files.cert, "--tls-key", files.key},
	})
	if err != nil {
		t.Fatal(err)
	}
	j.Endpoint = strings.Replace(j.Endpoint, "http:", "https:", 1)
	if err := j.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Stop(); err != nil {
			t.Error(err)
		}
	})
	tokens, err := makeTokens(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, lab, j, tokens)
	client, err := jobdclient.New(jobdclient.Config{Endpoint: j.Endpoint, Token: tokens["read"], CAFile: files.ca})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	eventually(t, "jobd listens and reads the bus", func() bool {
		status, err := client.Status(t.Context())
		return err == nil && status.Connected
	})

	f := r.newTerraform(t, "apply", r.group("web1"))
	out := f.must(t, 1, "apply", "-auto-approve")
	wants(t, out, "Error: jobd does not answer", "certificate", "ca_file")
	f.setenv("GAEA_CA_FILE", files.ca)
	f.apply(t)
	f.plan(t, planEmpty)

	code, out := r.command(t, "apply", "runs")
	if code != 4 {
		t.Errorf("jobd runs without the CA ended with %d:\n%s", code, out)
	}
	if code, out := r.command(t, "apply", "runs", "--ca-file", files.ca); code != 0 {
		t.Errorf("jobd runs with the CA ended with %d:\n%s", code, out)
	}
}

func TestAccAListenerThatIsNotLoopbackIsRefusedWithoutTLS(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), shared.binary, "serve", "--listen", "0.0.0.0:0", "--salt-config-dir", r.lab.ConfigDir(),
		"--database", "sqlite://"+filepath.Join(dir, "jobd.db"))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("jobd serve ended with %v", err)
	}
	wants(t, string(out), `"0.0.0.0:0" is not loopback`, "--tls-cert")
}

// certificates are files in PEM.
type certificates struct{ ca, cert, key string }

// newCertificates makes a certificate for 127.0.0.1 and the authority that signed it.
func newCertificates(t *testing.T) certificates {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	newKey := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	sign := func(what, by *x509.Certificate, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, what, by, public, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the test's authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "jobd"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, leafKey := newKey(), newKey()
	secret, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	return certificates{
		ca:   write("ca.pem", "CERTIFICATE", sign(ca, ca, &caKey.PublicKey, caKey)),
		cert: write("cert.pem", "CERTIFICATE", sign(leaf, ca, &leafKey.PublicKey, caKey)),
		key:  write("key.pem", "PRIVATE KEY", secret),
	}
}
