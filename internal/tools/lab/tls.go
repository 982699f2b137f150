package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"redoubt/internal/certs"
	"redoubt/internal/tlsconf"
	"redoubt/internal/tools/client"
)

// A lab with TLS has no port without: nodes and Sentinels listen on tls-port only, and
// speak TLS to each other. All have one certificate, which the lab's commands show as
// well. The authority that signed it is forgotten: nothing else can be signed.

// credentials are the files of TLS.
type credentials struct{ ca, cert, key string }

// tlsDir is the directory of these files, within the lab's.
const tlsDir = "tls"

// credentialsIn are those of the lab in dir.
func credentialsIn(dir string) credentials {
	at := func(name string) string { return filepath.Join(dir, tlsDir, name) }
	return credentials{ca: at("ca.crt"), cert: at("lab.crt"), key: at("lab.key")}
}

// make makes what is missing, all or nothing: the key comes last.
func (c credentials) make() error {
	if _, err := os.Stat(c.key); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.key), 0o755); err != nil {
		return err
	}
	authority, err := certs.New("redoubt lab")
	if err != nil {
		return err
	}
	pair, err := authority.Issue(certs.Request{Name: "lab", Hosts: []string{loopback, "localhost"}})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		path string
		pem  []byte
		mode os.FileMode
	}{{c.ca, authority.Cert, 0o644}, {c.cert, pair.Cert, 0o644}, {c.key, pair.Key, 0o600}} {
		if err := os.WriteFile(f.path+".new", f.pem, f.mode); err != nil {
			return err
		}
		if err := os.Rename(f.path+".new", f.path); err != nil {
			return err
		}
	}
	return nil
}

// directives are those of a node that listens on port with TLS only.
func (c credentials) directives() [][2]string {
	return [][2]string{
		{"tls-cert-file", c.cert}, {"tls-key-file", c.key}, {"tls-ca-cert-file", c.ca}, {"tls-replication", "yes"},
	}
}

// enter fills in how the lab's commands reach its nodes. A lab whose files are not made
// yet has no nodes that could be reached.
func (l *Lab) enter() error {
	options := client.Options{Timeout: askTimeout}
	if l.TLS {
		c := credentialsIn(l.dir)
		if _, err := os.Stat(c.key); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		var err error
		if options.TLS, err = tlsconf.Dialer(tlsconf.DialOptions{CertFile: c.cert, KeyFile: c.key, CAFile: c.ca}); err != nil {
			return fmt.Errorf("the certificate of the lab cannot be used: %w", err)
		}
	}
	l.client = options
	for _, n := range l.nodes {
		n.client = options
	}
	return nil
}

// Access is what redis-cli and this program's commands are told to reach a node of the
// lab: flags, with a blank behind them, or nothing.
func (l *Lab) Access() string {
	if !l.TLS {
		return ""
	}
	c := credentialsIn(l.given)
	return fmt.Sprintf("--tls --cacert %s --cert %s --key %s ", c.ca, c.cert, c.key)
}
