package main

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"time"

	"redoubt/internal/certs"
)

// secrets are the files by which a node under load speaks TLS; nil: it does not.
type secrets struct{ cert, key, ca string }

// newSecrets makes a certificate and its authority in dir.
func newSecrets(dir string) (*secrets, error) {
	a, err := certs.New("bench")
	if err != nil {
		return nil, err
	}
	p, err := a.Issue(certs.Request{Name: "node", Hosts: []string{"127.0.0.1"}})
	if err != nil {
		return nil, err
	}
	s := &secrets{ca: filepath.Join(dir, "ca.crt")}
	if s.cert, s.key, err = p.Write(dir, "node"); err != nil {
		return nil, err
	}
	_, _, err = a.Write(dir, "ca")
	return s, err
}

// directives have a server speak TLS on port. Clients show no certificate, so that the
// handshakes are those of both servers' usual clients.
func (s *secrets) directives(port string) []string {
	return []string{"--tls-port", port, "--tls-cert-file", s.cert, "--tls-key-file", s.key, "--tls-ca-cert-file", s.ca, "--tls-auth-clients", "no"}
}

// dial opens a connection as a client under load has it.
func (n *node) dial() (net.Conn, error) {
	d := &net.Dialer{Timeout: 5 * time.Second}
	if n.tls == nil {
		return d.Dial("tcp", "127.0.0.1:"+n.port)
	}
	return tls.DialWithDialer(d, "tcp", "127.0.0.1:"+n.tlsPort, &tls.Config{InsecureSkipVerify: true}) // its own server
}
