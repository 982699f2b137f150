package client

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"redoubt/internal/certs"
	"redoubt/internal/tlsconf"
)

// A tool speaks TLS with a node, or says why it cannot: also where the node refuses it
// after the handshake, as TLS 1.3 has it.
func TestNodesAreDialledByTLS(t *testing.T) {
	a, err := certs.New("authority")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := a.Issue(certs.Request{Name: "node"})
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
	node, err := tlsconf.Load(tlsconf.Options{CertFile: cert, KeyFile: key, CAFile: ca, AuthClients: tlsconf.AuthYes})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", node.Server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				if _, err := nc.Read(make([]byte, 100)); err == nil {
					nc.Write([]byte("+PONG\r\n"))
					nc.Read(make([]byte, 1))
				}
			}()
		}
	}()
	plain := script(t, "-ERR unknown command\r\n")
	for _, c := range []struct {
		name string
		dial tlsconf.DialOptions
		addr string
		want string // in the error
	}{
		{"a certificate of our own", tlsconf.DialOptions{CAFile: ca, CertFile: cert, KeyFile: key}, "", ""},
		{"any node will do", tlsconf.DialOptions{Insecure: true, CertFile: cert, KeyFile: key}, "", ""},
		{"no certificate", tlsconf.DialOptions{CAFile: ca}, "", "it demands a certificate by an authority that it trusts, and was shown none"},
		{"an authority that the system does not know", tlsconf.DialOptions{CertFile: cert, KeyFile: key}, "", "not by an authority that is trusted here"},
		{"a node without TLS", tlsconf.DialOptions{CAFile: ca}, plain, "TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := tlsconf.Dialer(c.dial)
			if err != nil {
				t.Fatal(err)
			}
			addr := c.addr
			if addr == "" {
				addr = ln.Addr().String()
			}
			conn, err := Dial(addr, Options{TLS: config, Timeout: 30 * time.Second})
			if err == nil {
				defer conn.Close()
				_, err = conn.Do("PING")
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && !errors.As(err, new(*NetError)) {
				t.Errorf("the error is a %T", err)
			}
		})
	}
	t.Run("silence", func(t *testing.T) {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		_, err = Dial(silent.Addr().String(), Options{TLS: &tls.Config{InsecureSkipVerify: true}, Timeout: time.Second})
		if err == nil || !strings.Contains(err.Error(), "the TLS handshake did not end in time") {
			t.Errorf("error %v", err)
		}
	})
}
