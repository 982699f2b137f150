// Package tlsconf makes configurations of crypto/tls out of what the directives
// tls-* say: one that accepts clients, one that accepts nodes, one that dials nodes.
// Node, cluster bus, Sentinel and command line tools have theirs from here.
//
// Load reads the files that Options names and either returns all configurations or
// says which directive is wrong, with its file and the cause. What comes out never
// changes. A Source holds the configurations in force: it replaces them when the
// directives change, or the files do, and keeps the old ones if the new ones are bad.
// A connection takes the configuration of the moment in which it begins.
//
// Where OpenSSL and crypto/tls differ, a value that cannot act is refused, so that
// nobody is less guarded than the configuration says:
//
//   - The cipher suites of TLS 1.3 are fixed, so tls-ciphersuites takes all of them or
//     none.
//   - tls-ciphers chooses among the suites of TLS 1.2 and older that crypto/tls has, by
//     OpenSSL's names and keywords (ciphers.go). Their order has no meaning: both sides'
//     hardware decides.
//   - tls-protocols is a range without gaps.
//   - There is no DHE, so there are no parameters for it.
//   - Sessions are resumed by tickets that clients keep. There is no cache, so nothing
//     bounds its size.
//
// As in Redis, a node verifies that a certificate was issued by an authority that it
// trusts, not for which host: nodes know each other by addresses that change.
//
// The package opens files. It opens no sockets, logs nothing and has no goroutines.
package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// AuthClients says whether clients must show a certificate.
type AuthClients uint8

// The values are in the order of the names in config's table.
const (
	AuthNo       AuthClients = iota // they are not asked
	AuthYes                         // they must
	AuthOptional                    // one that is shown must be good
)

// Options is what the directives say. Relative names start at the working directory.
type Options struct {
	CertFile, KeyFile, KeyPass string
	// The certificate with which nodes are dialled; all empty: the one above.
	ClientCertFile, ClientKeyFile, ClientKeyPass string
	CAFile, CADir                                string
	AuthClients                                  AuthClients
	Protocols                                    string // such as "TLSv1.2 TLSv1.3", which is the default
	Ciphers                                      string // in OpenSSL's language; empty: the defaults of crypto/tls
	CipherSuites                                 string // of TLS 1.3
	SessionCaching                               bool
	SessionTimeout                               time.Duration // of a session that is resumed; 0: 300 s, as in OpenSSL

	// Links says that nodes are linked by TLS, so that the authority which they trust
	// must be named.
	Links bool
}

// Set is the configurations that one Load has made. They are shared and must not be
// changed.
type Set struct {
	Server *tls.Config // accepts clients: asks for certificates as tls-auth-clients says
	Mutual *tls.Config // accepts nodes: a certificate is required; nil if no authority is named
	Client *tls.Config // dials nodes; nil if no authority is named
	// Warnings is what is odd, but no reason to refuse it: a line each, for the log.
	Warnings []string

	options Options
	stamps  []stamp
}

// Options returns what the set was loaded from.
func (s *Set) Options() Options { return s.options }

// Load reads the files and makes the configurations.
func Load(o Options) (*Set, error) {
	r := &reader{set: &Set{options: o}}
	if err := r.load(o); err != nil {
		return nil, err
	}
	return r.set, nil
}

// reader is a Load under way.
type reader struct{ set *Set }

func (r *reader) load(o Options) error {
	base, err := base(o.Protocols, o.Ciphers, o.CipherSuites)
	if err != nil {
		return err
	}
	server, err := r.keyPair(pairNames{"tls-cert-file", "tls-key-file", "tls-key-file-pass"}, o.CertFile, o.KeyFile, o.KeyPass)
	if err != nil {
		return err
	}
	client := server
	if o.ClientCertFile != "" || o.ClientKeyFile != "" {
		client, err = r.keyPair(pairNames{"tls-client-cert-file", "tls-client-key-file", "tls-client-key-file-pass"},
			o.ClientCertFile, o.ClientKeyFile, o.ClientKeyPass)
		if err != nil {
			return err
		}
	}
	var trusted *x509.CertPool
	switch {
	case o.CAFile != "" || o.CADir != "":
		if trusted, err = r.authorities("tls-ca-cert-file", o.CAFile, "tls-ca-cert-dir", o.CADir); err != nil {
			return err
		}
	case o.Links || o.AuthClients != AuthNo:
		return errors.New("Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or tls-auth-clients are enabled!")
	}

	s := base.Clone()
	s.Certificates = []tls.Certificate{server}
	s.ClientAuth = map[AuthClients]tls.ClientAuthType{
		AuthNo: tls.NoClientCert, AuthYes: tls.RequireAndVerifyClientCert, AuthOptional: tls.VerifyClientCertIfGiven,
	}[o.AuthClients]
	s.ClientCAs = trusted
	s.SessionTicketsDisabled = !o.SessionCaching
	limitSessions(s, o.SessionTimeout)
	r.set.Server = s
	if trusted == nil {
		return nil
	}
	m := base.Clone()
	m.Certificates = s.Certificates
	m.ClientAuth, m.ClientCAs = tls.RequireAndVerifyClientCert, trusted
	m.SessionTicketsDisabled = true // links live long
	r.set.Mutual = m
	c := base.Clone()
	c.Certificates = []tls.Certificate{client}
	verifyIssuer(c, trusted)
	r.set.Client = c
	return nil
}

// DialOptions is what a program that only dials is told by its options, which are
// those of redis-cli.
type DialOptions struct {
	CertFile, KeyFile string // --cert, --key: both or none
	CAFile, CADir     string // --cacert, --cacertdir; none: what the system trusts
	Ciphers           string // --tls-ciphers
	CipherSuites      string // --tls-ciphersuites
	Insecure          bool   // --insecure: any certificate is good
	ServerName        string // --sni
}

// Dialer makes the configuration of a program that only dials.
func Dialer(o DialOptions) (*tls.Config, error) {
	r := &reader{set: new(Set)}
	c, err := base("", o.Ciphers, o.CipherSuites)
	if err != nil {
		return nil, err
	}
	c.ServerName = o.ServerName
	if o.CertFile != "" || o.KeyFile != "" {
		pair, err := r.keyPair(pairNames{"--cert", "--key", ""}, o.CertFile, o.KeyFile, "")
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if o.Insecure {
		c.InsecureSkipVerify = true
		return c, nil
	}
	trusted, err := r.authorities("--cacert", o.CAFile, "--cacertdir", o.CADir)
	if err != nil {
		return nil, err
	}
	verifyIssuer(c, trusted) // nil is the system's
	return c, nil
}

// verifyIssuer has c accept a server whose certificate was issued by one of roots,
// whatever the name in it.
func verifyIssuer(c *tls.Config, roots *x509.CertPool) {
	c.InsecureSkipVerify = true // VerifyConnection does it, also for sessions that are resumed
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return errors.New("tls: the server has shown no certificate")
		}
		between := x509.NewCertPool()
		for _, cert := range cs.PeerCertificates[1:] {
			between.AddCert(cert)
		}
		_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
		if err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
		}
		return nil
	}
}

// defaultSessionTimeout is OpenSSL's, which Redis leaves alone at 0.
const defaultSessionTimeout = 300 * time.Second

// limitSessions has c resume no session that is older than timeout.
func limitSessions(c *tls.Config, timeout time.Duration) {
	if timeout <= 0 {
		timeout = defaultSessionTimeout
	}
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		began, _ := time.Now().MarshalBinary()
		ss.Extra = append(ss.Extra, began)
		return c.EncryptTicket(cs, ss)
	}
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := c.DecryptTicket(ticket, cs)
		if err != nil || ss == nil {
			return nil, err
		}
		var began time.Time
		if len(ss.Extra) == 0 || began.UnmarshalBinary(ss.Extra[0]) != nil || time.Since(began) > timeout {
			return nil, nil // a full handshake
		}
		ss.Extra = ss.Extra[:0] // the ticket that follows has a time of its own
		return ss, nil
	}
}

var protocols = []struct {
	name string
	id   uint16
}{{"TLSv1", tls.VersionTLS10}, {"TLSv1.1", tls.VersionTLS11}, {"TLSv1.2", tls.VersionTLS12}, {"TLSv1.3", tls.VersionTLS13}}

// base is what all configurations have in common.
func base(versions, ciphers, suites string) (*tls.Config, error) {
	low, high, err := versionRange(versions)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{
		MinVersion: low, MaxVersion: high,
		// Pipelines are answered by as few records as there can be.
		DynamicRecordSizingDisabled: true,
	}
	if ciphers != "" {
		if c.CipherSuites, err = cipherList(ciphers, low <= tls.VersionTLS12); err != nil {
			return nil, err
		}
	}
	if high == tls.VersionTLS13 {
		if err := allSuites(suites); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// versionRange reads tls-protocols.
func versionRange(text string) (low, high uint16, err error) {
	if text == "" {
		return tls.VersionTLS12, tls.VersionTLS13, nil
	}
	var chosen [4]bool
	for _, word := range strings.Fields(text) {
		at := slices.IndexFunc(protocols[:], func(p struct {
			name string
			id   uint16
		}) bool {
			return strings.EqualFold(p.name, word)
		})
		if at < 0 {
			return 0, 0, errors.New("Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.")
		}
		chosen[at] = true
	}
	first := slices.Index(chosen[:], true)
	if first < 0 {
		return 0, 0, errors.New("Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.")
	}
	last := 3
	for !chosen[last] {
		last--
	}
	for i := first; i < last; i++ {
		if !chosen[i] {
			return 0, 0, fmt.Errorf("tls-protocols leaves out %s between %s and %s: the versions must be consecutive here",
				protocols[i].name, protocols[first].name, protocols[last].name)
		}
	}
	return protocols[first].id, protocols[last].id, nil
}

// pairNames is what the certificate, its key and the passphrase are called in errors.
type pairNames struct{ cert, key, pass string }

// keyPair reads a certificate, with those between it and its authority, and its key.
func (r *reader) keyPair(names pairNames, certFile, keyFile, pass string) (tls.Certificate, error) {
	switch {
	case certFile == "":
		return tls.Certificate{}, fmt.Errorf("No %s configured!", names.cert)
	case keyFile == "":
		return tls.Certificate{}, fmt.Errorf("No %s configured!", names.key)
	}
	certs, err := r.read(names.cert, certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	text, err := r.read(names.key, keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := plainKey(text, pass)
	if errors.Is(err, errNoPassphrase) && names.pass != "" {
		err = fmt.Errorf("%w, and %s is empty", err, names.pass)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s '%s': %w", names.key, keyFile, err)
	}
	leaf, err := firstCertificate(certs)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s '%s': %w", names.cert, certFile, err)
	}
	pair, err := tls.X509KeyPair(certs, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s '%s': the key is not that of the certificate of %s '%s' (%s)",
			names.key, keyFile, names.cert, certFile, cause(err))
	}
	pair.Leaf = leaf
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		r.warn("%s '%s': the certificate has expired, on %s", names.cert, certFile, leaf.NotAfter.UTC().Format(time.DateTime))
	case now.Before(leaf.NotBefore):
		r.warn("%s '%s': the certificate is not valid before %s", names.cert, certFile, leaf.NotBefore.UTC().Format(time.DateTime))
	}
	return pair, nil
}

func (r *reader) warn(format string, args ...any) {
	r.set.Warnings = append(r.set.Warnings, fmt.Sprintf(format, args...))
}

// authorities reads the certificates of those who are trusted; nil if none is named.
func (r *reader) authorities(fileName, file, dirName, dir string) (*x509.CertPool, error) {
	if file == "" && dir == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if file != "" {
		text, err := r.read(fileName, file)
		if err != nil {
			return nil, err
		}
		if err := addCertificates(pool, text); err != nil {
			return nil, fmt.Errorf("%s '%s': %w", fileName, file, err)
		}
	}
	if dir == "" {
		return pool, nil
	}
	r.stamp(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s '%s': %s", dirName, dir, cause(err))
	}
	found := false
	for _, entry := range entries {
		if !hashed(entry.Name()) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		text, err := r.read(dirName, path)
		if err == nil {
			err = addCertificates(pool, text)
			if err != nil {
				err = fmt.Errorf("%s '%s': %w", dirName, path, err)
			}
		}
		if err != nil {
			return nil, err
		}
		found = true
	}
	if !found {
		return nil, fmt.Errorf("%s '%s': no file has a name as openssl rehash gives it, such as 5ed36f99.0", dirName, dir)
	}
	return pool, nil
}

// hashed reports whether OpenSSL would look for a certificate under the name: eight
// hexadecimal digits, a dot and a number.
func hashed(name string) bool {
	hash, number, ok := strings.Cut(name, ".")
	return ok && len(hash) == 8 && strings.Trim(hash, "0123456789abcdef") == "" &&
		number != "" && strings.Trim(number, "0123456789") == ""
}

// read reads a file and remembers what it looked like.
func (r *reader) read(directive, path string) ([]byte, error) {
	r.stamp(path)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s '%s': %s", directive, path, cause(err))
	}
	return text, nil
}

// cause is an error without what the caller says already, and without the prefix of
// the package that it comes from.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "tls: "), "x509: ")
}
