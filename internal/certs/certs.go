// Package certs makes a certificate authority and the certificates that it signs, for
// the lab and for tests. It is no tool for a deployment of which anything depends: the
// key of the authority lies beside the others, and nothing is ever revoked.
//
// A certificate is good for both ends of a connection, since a node of a cluster is a
// server to some of its peers and a client of the others.
package certs

import (
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
	"time"
)

const (
	// early is how long before its making a certificate is good already: clocks differ.
	early = time.Hour
	// lifetime is how long it is good, unless a Request says otherwise.
	lifetime = 10 * 365 * 24 * time.Hour
)

// Pair is a certificate and its private key, both in PEM.
type Pair struct {
	Cert, Key []byte
}

// Write writes the pair to name.crt and name.key in dir and returns the paths. Only the
// user may read the key.
func (p *Pair) Write(dir, name string) (cert, key string, err error) {
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	if err = os.WriteFile(cert, p.Cert, 0o644); err == nil {
		err = os.WriteFile(key, p.Key, 0o600)
	}
	return cert, key, err
}

// Authority signs certificates.
type Authority struct {
	Pair
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority with a key of its own.
func New(name string) (*Authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(name)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	a := &Authority{cert: template, key: key}
	if a.Pair, err = a.sign(template, key); err != nil {
		return nil, err
	}
	return a, nil
}

// Request says what a certificate is for.
type Request struct {
	Name  string    // the common name
	Hosts []string  // host names, and addresses as text
	Until time.Time // when it expires; the zero value is in ten years
	// Uses is what it is good for; nil: both ends of a connection.
	Uses []x509.ExtKeyUsage
}

// Issue makes a key, and a certificate for it.
func (a *Authority) Issue(r Request) (*Pair, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template, err := newTemplate(r.Name)
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if template.ExtKeyUsage = r.Uses; r.Uses == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	if !r.Until.IsZero() {
		template.NotAfter = r.Until
		template.NotBefore = r.Until.Add(-lifetime)
	}
	for _, host := range r.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	p, err := a.sign(template, key)
	return &p, err
}

// sign makes the certificate of a key.
func (a *Authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) (p Pair, err error) {
	cert, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return p, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return p, err
	}
	p.Cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	p.Key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return p, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// newTemplate is what all certificates have.
func newTemplate(name string) (*x509.Certificate, error) {
	const serialBits = 127 // a serial number is positive, and of 20 bytes at most
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-early), NotAfter: now.Add(lifetime),
	}, nil
}
