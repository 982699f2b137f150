package redistest

import (
	"fmt"
	"strconv"
	"testing"

	"redoubt/internal/certs"
)

// Secrets are the files with which servers and clients of one test speak TLS: a
// certificate, its key, and the authority that vouches for it.
type Secrets struct {
	Cert, Key, CA string
	Authority     *certs.Authority // issues more
}

// NewSecrets makes an authority and a certificate.
func NewSecrets(t testing.TB) *Secrets {
	t.Helper()
	dir := t.TempDir()
	a, err := certs.New("redistest")
	if err != nil {
		t.Fatal(err)
	}
	s := &Secrets{Authority: a}
	p, err := a.Issue(certs.Request{Name: "node", Hosts: []string{"127.0.0.1", "localhost"}})
	if err == nil {
		s.Cert, s.Key, err = p.Write(dir, "node")
	}
	if err == nil {
		s.CA, _, err = a.Write(dir, "ca")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// directives are those that name the files.
func (s *Secrets) directives() [][2]string {
	return [][2]string{{"tls-cert-file", s.Cert}, {"tls-key-file", s.Key}, {"tls-ca-cert-file", s.CA}}
}

// Args are the options of a server that name the files.
func (s *Secrets) Args() (args []string) {
	for _, d := range s.directives() {
		args = append(args, "--"+d[0], d[1])
	}
	return args
}

// CLI are the flags with which redis-cli and our tools speak TLS.
func (s *Secrets) CLI() []string {
	return []string{"--tls", "--cert", s.Cert, "--key", s.Key, "--cacert", s.CA}
}

// StartTLS is Start of a server that also has a port for TLS. The test itself speaks to
// the other port.
func StartTLS(t testing.TB, kind Kind, secrets *Secrets, args ...string) *Server {
	t.Helper()
	port := Port(t)
	args = append(append(secrets.Args(), "--tls-port", strconv.Itoa(port)), args...)
	s := Start(t, kind, args...)
	s.TLSPort = port
	return s
}

// StartSentinelTLS is StartSentinel with a port for TLS beside the other one, and
// tls-replication: it speaks to instances and other Sentinels by TLS.
func StartSentinelTLS(t testing.TB, kind Kind, secrets *Secrets, lines ...string) *Server {
	t.Helper()
	port := Port(t)
	first := []string{fmt.Sprint("tls-port ", port), "tls-replication yes"}
	for _, d := range secrets.directives() {
		first = append(first, d[0]+" "+d[1])
	}
	s := StartSentinel(t, kind, append(first, lines...)...)
	s.TLSPort = port
	return s
}

// TLSAddr is "127.0.0.1:port" of the port for TLS.
func (s *Server) TLSAddr() string { return fmt.Sprintf("127.0.0.1:%d", s.TLSPort) }
