package certs

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"
)

// verify checks a pair as one end of a connection checks the other.
func verify(t *testing.T, a *Authority, p *Pair, host string, use x509.ExtKeyUsage) error {
	t.Helper()
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.Cert) {
		t.Fatal("the certificate of the authority is not one")
	}
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{use}})
	return err
}

func TestACertificateIsGoodForBothEndsAndItsHostsOnly(t *testing.T) {
	a, err := New("authority")
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Issue(Request{Name: "node", Hosts: []string{"127.0.0.1", "node.example"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		for _, host := range []string{"127.0.0.1", "node.example"} {
			if err := verify(t, a, p, host, use); err != nil {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
	if verify(t, a, p, "other.example", x509.ExtKeyUsageServerAuth) == nil {
		t.Error("it is good for a host that it does not name")
	}
	other, err := New("authority")
	if err != nil {
		t.Fatal(err)
	}
	if verify(t, other, p, "127.0.0.1", x509.ExtKeyUsageServerAuth) == nil {
		t.Error("an authority of the same name vouches for it")
	}
	old, err := a.Issue(Request{Name: "old", Hosts: []string{"127.0.0.1"}, Until: time.Now().Add(-time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if verify(t, a, old, "127.0.0.1", x509.ExtKeyUsageServerAuth) == nil {
		t.Error("one that has expired is good")
	}
}

func TestTheKeyIsForTheUserAlone(t *testing.T) {
	a, err := New("authority")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := a.Write(t.TempDir(), "ca")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(key)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the key has mode %v", mode)
	}
}
