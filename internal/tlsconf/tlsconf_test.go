package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/certs"
	"redoubt/internal/redistest"
)

// authority issues certificates into a directory of the test.
type authority struct {
	*certs.Authority
	dir, file string
}

type pair struct{ Cert, Key string }

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a, err := certs.New("Test authority")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, _, err := a.Write(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	return &authority{a, dir, file}
}

func (a *authority) issue(t *testing.T, name string, r certs.Request) (p pair) {
	t.Helper()
	r.Name, r.Hosts = name, []string{"localhost", "127.0.0.1"}
	made, err := a.Issue(r)
	if err == nil {
		p.Cert, p.Key, err = made.Write(a.dir, name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// options is those of a node with its own certificate and authority.
func options(t *testing.T) (*authority, Options) {
	a := newAuthority(t)
	p := a.issue(t, "node", certs.Request{})
	return a, Options{CertFile: p.Cert, KeyFile: p.Key, CAFile: a.file, AuthClients: AuthYes, SessionCaching: true}
}

func mustLoad(t *testing.T, o Options) *Set {
	t.Helper()
	s, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// meet has the two sides shake hands and exchange a byte in both directions; it
// returns the client's state.
func meet(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			accepted <- err
			return
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(time.Minute))
		s := tls.Server(nc, server)
		if err = s.Handshake(); err == nil {
			_, err = io.CopyN(s, s, 1)
		}
		accepted <- err
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	c := tls.Client(nc, client)
	if err = c.Handshake(); err == nil {
		if _, err = c.Write([]byte{1}); err == nil {
			_, err = io.ReadFull(c, make([]byte, 1))
		}
	}
	_ = nc.Close()
	if refused := <-accepted; refused != nil {
		err = refused // the cause, of which the client only sees that it was closed
	}
	return c.ConnectionState(), err
}

// What is wrong is said with the directive, the file and the cause.
func TestErrorsNameDirectiveFileAndCause(t *testing.T) {
	a, good := options(t)
	other := a.issue(t, "other", certs.Request{})
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, []byte("no PEM\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no certificate", func(o *Options) { o.CertFile = "" }, "No tls-cert-file configured!"},
		{"no key", func(o *Options) { o.KeyFile = "" }, "No tls-key-file configured!"},
		{"a file that is not there", func(o *Options) { o.CertFile = dir + "/gone" }, "tls-cert-file '" + dir + "/gone': no such file or directory"},
		{"a key that is not there", func(o *Options) { o.KeyFile = dir + "/gone" }, "tls-key-file '" + dir + "/gone': no such file or directory"},
		{"no certificate in the file", func(o *Options) { o.CertFile = empty }, "tls-cert-file '" + empty + "': there is no certificate in PEM form in it"},
		{"no key in the file", func(o *Options) { o.KeyFile = o.CertFile }, "': there is no private key in PEM form in it"},
		{"the key of another certificate", func(o *Options) { o.KeyFile = other.Key }, "tls-key-file '" + other.Key + "': the key is not that of the certificate of tls-cert-file '" + good.CertFile + "'"},
		{"a client certificate without a key", func(o *Options) { o.ClientCertFile = other.Cert }, "No tls-client-key-file configured!"},
		{"a client key without a certificate", func(o *Options) { o.ClientKeyFile = other.Key }, "No tls-client-cert-file configured!"},
		{"no authority, and clients need a certificate", func(o *Options) { o.CAFile = "" }, "Either tls-ca-cert-file or tls-ca-cert-dir must be specified"},
		{"no authority, and clients may have a certificate", func(o *Options) { o.CAFile, o.AuthClients = "", AuthOptional }, "Either tls-ca-cert-file or"},
		{"no authority, and nodes are linked", func(o *Options) { o.CAFile, o.AuthClients, o.Links = "", AuthNo, true }, "Either tls-ca-cert-file or"},
		{"no authority is needed", func(o *Options) { o.CAFile, o.AuthClients = "", AuthNo }, ""},
		{"an authority that is not there", func(o *Options) { o.CAFile = dir + "/gone" }, "tls-ca-cert-file '" + dir + "/gone': no such file or directory"},
		{"an empty authority", func(o *Options) { o.CAFile = empty }, "tls-ca-cert-file '" + empty + "': there is no certificate in PEM form in it"},
		{"a directory without hashed names", func(o *Options) { o.CADir = dir }, "tls-ca-cert-dir '" + dir + "': no file has a name as openssl rehash gives it"},
		{"a directory that is not there", func(o *Options) { o.CADir = dir + "/gone" }, "tls-ca-cert-dir '" + dir + "/gone': no such file or directory"},
		{"an unknown protocol", func(o *Options) { o.Protocols = "TLSv1.2 SSLv3" }, "Invalid tls-protocols specified."},
		{"no protocol", func(o *Options) { o.Protocols = " " }, "Invalid tls-protocols specified."},
		{"a gap", func(o *Options) { o.Protocols = "TLSv1.1 TLSv1.3" }, "tls-protocols leaves out TLSv1.2 between TLSv1.1 and TLSv1.3"},
		{"a choice of suites of TLS 1.3", func(o *Options) { o.CipherSuites = "TLS_CHACHA20_POLY1305_SHA256" }, "tls-ciphersuites: the cipher suites of TLS 1.3 cannot be chosen here"},
		{"all suites of TLS 1.3", func(o *Options) {
			o.CipherSuites = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"
		}, ""},
		{"a choice for a version that is not offered", func(o *Options) { o.CipherSuites, o.Protocols = "TLS_AES_128_GCM_SHA256", "TLSv1.2" }, ""},
		{"an unknown cipher", func(o *Options) { o.Ciphers = "HIGH:!FROBNICATE" }, "tls-ciphers 'FROBNICATE': no cipher suite and no group"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := good
			c.change(&o)
			_, err := Load(o)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// Who is let in: certificates of our authority, and others as tls-auth-clients says.
func TestWhoIsLetIn(t *testing.T) {
	a, o := options(t)
	stranger := newAuthority(t)
	serverOnly := a.issue(t, "server-only", certs.Request{Uses: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	expired := a.issue(t, "expired", certs.Request{Until: time.Now().Add(-time.Hour)})
	client := func(p pair, insecure bool) *tls.Config {
		c, err := Dialer(DialOptions{CertFile: p.Cert, KeyFile: p.Key, CAFile: a.file, Insecure: insecure})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	good, none, foreign := client(a.issue(t, "client", certs.Request{}), false), client(pair{}, false), client(stranger.issue(t, "client", certs.Request{}), false)
	// It shows its certificate to whoever asks, although the server names its authority.
	foreign.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &foreign.Certificates[0], nil }
	set := func(auth AuthClients) *Set {
		o := o
		o.AuthClients = auth
		return mustLoad(t, o)
	}
	for _, c := range []struct {
		name           string
		server, client *tls.Config
		ok             bool
	}{
		{"yes, with a good certificate", set(AuthYes).Server, good, true},
		{"yes, without one", set(AuthYes).Server, none, false},
		{"yes, with one of another authority", set(AuthYes).Server, foreign, false},
		{"yes, with one for servers only", set(AuthYes).Server, client(serverOnly, false), false},
		{"yes, with an expired one", set(AuthYes).Server, client(expired, false), false},
		{"optional, with a good certificate", set(AuthOptional).Server, good, true},
		{"optional, without one", set(AuthOptional).Server, none, true},
		{"optional, with one of another authority", set(AuthOptional).Server, foreign, false},
		{"no, with one of another authority", set(AuthNo).Server, foreign, true},
		{"no, without one", set(AuthNo).Server, none, true},
		{"a link between nodes", set(AuthNo).Mutual, set(AuthNo).Client, true},
		{"a link from a stranger", set(AuthNo).Mutual, foreign, false},
		{"a link without a certificate", set(AuthNo).Mutual, none, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := meet(t, c.server, c.client); (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
		})
	}

	// A node that dials, or a tool, does not take any certificate either.
	p := stranger.issue(t, "node", certs.Request{})
	theirs := mustLoad(t, Options{CertFile: p.Cert, KeyFile: p.Key, CAFile: a.file})
	var wrong *tls.CertificateVerificationError
	for _, c := range []*tls.Config{set(AuthYes).Client, good} {
		if _, err := meet(t, theirs.Mutual, c); err == nil {
			t.Error("a server of another authority is taken")
		}
	}
	if err := good.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{theirs.Server.Certificates[0].Leaf}}); !errors.As(err, &wrong) {
		t.Errorf("error %v", err)
	}
	if _, err := meet(t, theirs.Server, client(pair{}, true)); err != nil {
		t.Errorf("--insecure: %v", err)
	}
}

// A node dials with its client certificate, if it has one.
func TestClientCertificate(t *testing.T) {
	a, o := options(t)
	p := a.issue(t, "dialler", certs.Request{})
	o.ClientCertFile, o.ClientKeyFile = p.Cert, p.Key
	s := mustLoad(t, o)
	server := s.Mutual.Clone()
	var name string
	server.VerifyConnection = func(cs tls.ConnectionState) error {
		name = cs.PeerCertificates[0].Subject.CommonName
		return nil
	}
	if _, err := meet(t, server, s.Client); err != nil || name != "dialler" {
		t.Errorf("the node dials as %q: %v", name, err)
	}
}

func TestProtocols(t *testing.T) {
	_, o := options(t)
	for _, c := range []struct {
		protocols string
		version   uint16
		ok        bool
	}{
		{"", tls.VersionTLS13, true}, {"", tls.VersionTLS12, true}, {"", tls.VersionTLS11, false},
		{"TLSv1.2", tls.VersionTLS12, true}, {"TLSv1.2", tls.VersionTLS13, false},
		{"TLSv1.3", tls.VersionTLS13, true}, {"TLSv1.3", tls.VersionTLS12, false},
		{"tlsv1.3 TLSv1.2", tls.VersionTLS12, true},
		{"TLSv1 TLSv1.1 TLSv1.2", tls.VersionTLS11, true}, {"TLSv1.1 TLSv1.2", tls.VersionTLS10, false},
	} {
		o.Protocols = c.protocols
		s := mustLoad(t, o)
		client := s.Client.Clone()
		client.MinVersion, client.MaxVersion = c.version, c.version
		if state, err := meet(t, s.Server, client); (err == nil) != c.ok || err == nil && state.Version != c.version {
			t.Errorf("%q, client of %s: %v", c.protocols, tls.VersionName(c.version), err)
		}
	}
}

// A session is resumed within its time, unless there are none, and never after the
// files have been read again: an authority may have been taken out.
func TestSessions(t *testing.T) {
	_, o := options(t)
	resumed := func(first, then *tls.Config, client *tls.Config) bool {
		c := client.Clone()
		c.ClientSessionCache, c.ServerName = tls.NewLRUClientSessionCache(1), "node"
		if _, err := meet(t, first, c); err != nil {
			t.Fatal(err)
		}
		state, err := meet(t, then, c)
		if err != nil {
			t.Fatal(err)
		}
		return state.DidResume
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		o := o
		s := mustLoad(t, o)
		client := s.Client.Clone()
		client.MaxVersion = version
		if !resumed(s.Server, s.Server, client) {
			t.Errorf("%s: a session is not resumed", tls.VersionName(version))
		}
		if again := mustLoad(t, o); resumed(s.Server, again.Server, client) {
			t.Errorf("%s: a session outlives a reload", tls.VersionName(version))
		}
		o.SessionTimeout = time.Nanosecond
		if s := mustLoad(t, o); resumed(s.Server, s.Server, client) {
			t.Errorf("%s: a session outlives its time", tls.VersionName(version))
		}
		o.SessionTimeout, o.SessionCaching = 0, false
		if s := mustLoad(t, o); resumed(s.Server, s.Server, client) {
			t.Errorf("%s: a session is resumed without sessions", tls.VersionName(version))
		}
	}
}

func TestCiphers(t *testing.T) {
	names := func(ids []uint16) string {
		var list []string
		for _, s := range suites {
			if slices.Contains(ids, s.id) {
				list = append(list, s.name)
			}
		}
		return strings.Join(list, " ")
	}
	const safe = "ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384 " +
		"ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305"
	for _, c := range []struct{ text, want, refused string }{
		{"DEFAULT:!MEDIUM:!SHA1", safe, ""},
		{"ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!MD5:!DSS", safe, ""},
		{"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384", ""},
		{"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", ""},
		{"ECDHE-RSA-AES128-GCM-SHA256, DHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES128-CCM8", "ECDHE-RSA-AES128-GCM-SHA256", ""},
		{"HIGH:!kRSA:!SHA1:!SHA256:!ECDSA:@STRENGTH", "ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-CHACHA20-POLY1305", ""},
		{"AES128-SHA:-SHA1:AES128-SHA", "AES128-SHA", ""},
		{"!SHA1:AES128-SHA:AES256-GCM-SHA384", "AES256-GCM-SHA384", ""},
		{"CHACHA20:+ECDSA", "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305", ""},
		{"RC4-SHA:eNULL", "", "no cipher suite is left"},
		{"DHE-RSA-AES128-GCM-SHA256", "", "no cipher suite is left"},
		{"HIGH:@SECLEVEL=2", "", "'@SECLEVEL=2': this cannot be had"},
		{"SUITEB128", "", "this cannot be had"},
		{"TLS_AES_128_GCM_SHA256", "", "this is a suite of TLS 1.3"},
		{"HIGH:!", "", "'': no cipher suite"},
		{"high", "", "'high': no cipher suite"},
	} {
		ids, err := cipherList(c.text, true)
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) || names(ids) != c.want {
			t.Errorf("%s: %s, error %v", c.text, names(ids), err)
		}
	}
}

// What is chosen is what is used.
func TestCiphersAct(t *testing.T) {
	_, o := options(t)
	o.Protocols, o.Ciphers = "TLSv1.2", "ECDHE+AESGCM:!AES128"
	s := mustLoad(t, o)
	state, err := meet(t, s.Server, s.Client)
	if err != nil || state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 {
		t.Errorf("%s, error %v", tls.CipherSuiteName(state.CipherSuite), err)
	}
	client := s.Client.Clone()
	client.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	if _, err := meet(t, s.Server, client); err == nil {
		t.Error("a suite is used that was not chosen")
	}
}

// Keys are read as openssl encrypts them.
func TestEncryptedKeys(t *testing.T) {
	openssl := redistest.Tool(t, "openssl")
	_, o := options(t)
	plain := o.KeyFile
	o.KeyFile = filepath.Join(t.TempDir(), "encrypted.key")
	for _, args := range []string{
		"pkcs8 -topk8 -v2 aes-256-cbc", "pkcs8 -topk8 -v2 aes-128-cbc -v2prf hmacWithSHA1", "pkcs8 -topk8 -v2 des3",
		"pkcs8 -topk8 -v2 aes-192-cbc -v2prf hmacWithSHA512", "ec -aes256", // the form of older versions
	} {
		t.Run(args, func(t *testing.T) {
			c := exec.Command(openssl, append(strings.Fields(args), "-in", plain, "-out", o.KeyFile, "-passout", "pass:secret")...)
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for pass, want := range map[string]string{
				"secret": "", "": "the key is encrypted, and tls-key-file-pass is empty", "wrong": "the key cannot be decrypted with its passphrase",
			} {
				o.KeyPass = pass
				if _, err := Load(o); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("passphrase %q: %v, want %q", pass, err, want)
				}
			}
		})
	}
	c := exec.Command(openssl, "pkcs8", "-topk8", "-scrypt", "-in", plain, "-out", o.KeyFile, "-passout", "pass:secret")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	o.KeyPass = "secret"
	if _, err := Load(o); err == nil || !strings.Contains(err.Error(), "in a way that is not known here (1.3.6.1.4.1.11591.4.11)") {
		t.Errorf("scrypt: %v", err)
	}
}

// A directory is read as OpenSSL reads it: by the names that openssl rehash gives.
func TestDirectoryOfAuthorities(t *testing.T) {
	a, o := options(t)
	dir := t.TempDir()
	text, err := os.ReadFile(a.file)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "5ed36f99.0"), text, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("not a certificate"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.CAFile, o.CADir = "", dir
	s := mustLoad(t, o)
	if _, err := meet(t, s.Server, s.Client); err != nil {
		t.Error(err)
	}
}

func TestExpiredCertificateIsWarnedOf(t *testing.T) {
	a, o := options(t)
	p := a.issue(t, "old", certs.Request{Until: time.Now().Add(-time.Hour)})
	o.CertFile, o.KeyFile = p.Cert, p.Key
	if s := mustLoad(t, o); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "the certificate has expired, on ") {
		t.Errorf("warnings %q", s.Warnings)
	}
}

// Files that change are used; bad ones are named once, and the old ones stay.
func TestRefresh(t *testing.T) {
	a, o := options(t)
	var source Source
	if source.Set() != nil {
		t.Fatal("a set out of nothing")
	}
	if changed, err := source.Refresh(); changed || err != nil {
		t.Fatalf("without TLS: %t, %v", changed, err)
	}
	if err := source.Load(o); err != nil {
		t.Fatal(err)
	}
	first := source.Set()
	refresh := func(want bool, reason string) {
		t.Helper()
		changed, err := source.Refresh()
		if changed != want || (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
			t.Errorf("changed %t, error %v", changed, err)
		}
	}
	refresh(false, "")

	text, err := os.ReadFile(o.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.KeyFile, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	refresh(false, "there is no private key")
	refresh(false, "") // which was said
	if source.Set() != first {
		t.Error("a bad file has replaced a good one")
	}
	if err := source.Load(o); err == nil || source.Set() != first {
		t.Errorf("a bad file has replaced a good one: %v", err)
	}

	a.issue(t, "node", certs.Request{}) // as a renewal does: another certificate, and another key
	refresh(true, "")
	renewed := source.Set()
	if renewed == first || slices.Equal(renewed.Server.Certificates[0].Certificate[0], first.Server.Certificates[0].Certificate[0]) {
		t.Error("the new certificate is not used")
	}
	refresh(false, "")
	source.Restore(first)
	refresh(true, "")
}
