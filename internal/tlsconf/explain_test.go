package tlsconf

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"redoubt/internal/certs"
)

// Each end of a handshake that fails says why in words, and none in those of a Go
// program.
func TestWhyAHandshakeFailed(t *testing.T) {
	us, err := certs.New("us")
	if err != nil {
		t.Fatal(err)
	}
	others, err := certs.New("others")
	if err != nil {
		t.Fatal(err)
	}
	load := func(a *certs.Authority, r certs.Request, protocols string) *Set {
		t.Helper()
		dir := t.TempDir()
		r.Name = "node"
		p, err := a.Issue(r)
		if err != nil {
			t.Fatal(err)
		}
		cert, key, err := p.Write(dir, "node")
		if err != nil {
			t.Fatal(err)
		}
		ca, _, err := a.Write(dir, "ca")
		if err != nil {
			t.Fatal(err)
		}
		set, err := Load(Options{CertFile: cert, KeyFile: key, CAFile: ca, AuthClients: AuthYes, Protocols: protocols, Links: true})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	day := 24 * time.Hour
	node, stranger := load(us, certs.Request{}, ""), load(others, certs.Request{}, "")
	expired := load(us, certs.Request{Until: time.Now().Add(-day)}, "")
	old := load(us, certs.Request{}, "TLSv1.2")
	new13 := load(us, certs.Request{}, "TLSv1.3")
	nobody := node.Client.Clone()
	nobody.Certificates = nil
	trusting := stranger.Client.Clone()
	trusting.VerifyConnection = nil
	trusting.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &trusting.Certificates[0], nil // as OpenSSL does, whoever is trusted there
	}
	nobody12 := old.Client.Clone()
	nobody12.Certificates = nil

	for _, c := range []struct {
		name                   string
		client, server         *tls.Config
		clientSays, serverSays string // parts; "" if that end finds nothing wrong in the handshake
	}{
		{"no certificate", nobody, node.Mutual, "it demands a certificate by an authority", "it shows no certificate"},
		{"no certificate, TLS 1.2", nobody12, old.Mutual, "or it demands a certificate by an authority", "it shows no certificate"},
		{"a stranger calls", trusting, node.Mutual, "does not accept the certificate", "not by an authority that is trusted here (its issuer is \"CN=others\")"},
		{"a stranger is called", node.Client, stranger.Mutual, "not by an authority that is trusted here (its issuer is \"CN=others\")", "does not accept the certificate"},
		{"expired caller", expired.Client, node.Mutual, "does not accept the certificate", "its certificate has expired, on 20"},
		{"expired callee", node.Client, expired.Mutual, "its certificate has expired, on 20", "does not accept the certificate"},
		{"versions", old.Client, new13.Mutual, "it allows no version of TLS", "it speaks no version of TLS"},
		{"nothing is wrong", node.Client, node.Mutual, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			here, there := connected(t)
			served := make(chan error, 1)
			go func() {
				s := tls.Server(there, c.server)
				err := s.Handshake()
				if err == nil {
					_, err = s.Write([]byte{1})
				}
				served <- err
				there.Close()
			}()
			conn := tls.Client(here, c.client)
			_, err := conn.Read(make([]byte, 1)) // makes the handshake, and hears what the server has against it
			here.Close()
			check(t, "the client", err, c.clientSays)
			check(t, "the server", <-served, c.serverSays)
		})
	}
	t.Run("not TLS", func(t *testing.T) {
		here, there := connected(t)
		go func() {
			here.Write([]byte("*1\r\n$4\r\nPING\r\n"))
			here.Read(make([]byte, 100))
			here.Close()
		}()
		check(t, "the server", tls.Server(there, node.Mutual).Handshake(), "what it sends is not TLS")
	})
	t.Run("silence", func(t *testing.T) {
		here, there := connected(t)
		here.SetDeadline(time.Now())
		check(t, "the client", tls.Client(here, node.Client).Handshake(), "did not end in time")
		here.Close()
		check(t, "the server", tls.Server(there, node.Mutual).Handshake(), "it ended the connection")
	})
}

// A connection that is to be by TLS is by TLS or closed.
func TestSecureLeavesNothingPlain(t *testing.T) {
	for _, c := range []struct {
		name   string
		config *tls.Config
		want   string
	}{
		{"no configuration", nil, "there are no certificates for TLS here"},
		{"no TLS there", &tls.Config{InsecureSkipVerify: true}, "what it sends is not TLS"},
	} {
		here, there := connected(t)
		there.Write([]byte("-ERR unknown command"))
		conn, err := Secure(t.Context(), here, c.config)
		if got := Refusal(err); conn != nil || got != c.want {
			t.Errorf("%s: %v, %q", c.name, conn, got)
		}
		if _, err := here.Write([]byte("secret")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the connection is there still: %v", c.name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	here, _ := connected(t)
	if _, err := Secure(ctx, here, &tls.Config{InsecureSkipVerify: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if why := Refusal(net.ErrClosed); why != "" {
		t.Errorf("another error is a refusal: %q", why)
	}
}

// connected is the two ends of a connection.
func connected(t *testing.T) (here, there net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if here, err = net.Dial("tcp", ln.Addr().String()); err == nil {
		there, err = ln.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{here, there} {
		c.SetDeadline(time.Now().Add(time.Minute))
		t.Cleanup(func() { c.Close() })
	}
	return here, there
}

func check(t *testing.T, end string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", end, err)
	case want == "":
	case err == nil:
		t.Errorf("%s finds nothing wrong, want %q", end, want)
	default:
		got := Explain(err)
		if !strings.Contains(got, want) {
			t.Errorf("%s says %q for %v, want %q", end, got, err, want)
		}
		for _, word := range []string{"x509", "tls:", "remote error"} {
			if strings.Contains(got, word) {
				t.Errorf("%s says %q", end, got)
			}
		}
	}
}
