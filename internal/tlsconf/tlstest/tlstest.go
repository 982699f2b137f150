// Package tlstest makes certificates for tests: an authority and what it issues, in
// files, valid around now.
package tlstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority issues certificates.
type Authority struct {
	File string // its own certificate, for tls-ca-cert-file
	Pool *x509.CertPool

	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// New makes an authority that writes to a directory of the test.
func New(t testing.TB) *Authority { return NewIn(t, t.TempDir(), "Test authority") }

// NewIn makes an authority of that name in dir.
func NewIn(t testing.TB, dir, name string) *Authority {
	a := &Authority{File: filepath.Join(dir, "ca.crt"), Pool: x509.NewCertPool(), dir: dir, key: newKey(t)}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der := a.sign(t, template, template, a.key.Public())
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Pool.AddCert(a.cert)
	write(t, a.File, 0o644, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// Pair is the files of a certificate and its key.
type Pair struct{ Cert, Key string }

// Issue makes a certificate with the common name, for servers and clients on the
// loopback interface, in name.crt and name.key. With change it is another one.
func (a *Authority) Issue(t testing.TB, name string, change ...func(*x509.Certificate)) Pair {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost", name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, f := range change {
		f(template)
	}
	p := Pair{Cert: filepath.Join(a.dir, name+".crt"), Key: filepath.Join(a.dir, name+".key")}
	write(t, p.Cert, 0o644, &pem.Block{Type: "CERTIFICATE", Bytes: a.sign(t, template, a.cert, key.Public())})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.Key, 0o600, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return p
}

// Options is the directives of a server that has the pair and trusts the authority.
func (a *Authority) Options(p Pair) []string {
	return []string{"--tls-cert-file", p.Cert, "--tls-key-file", p.Key, "--tls-ca-cert-file", a.File}
}

// sign fills in what all certificates have in common, and signs.
func (a *Authority) sign(t testing.TB, template, parent *x509.Certificate, key crypto.PublicKey) []byte {
	t.Helper()
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t testing.TB, path string, mode os.FileMode, block *pem.Block) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(block), mode); err != nil {
		t.Fatal(err)
	}
}
