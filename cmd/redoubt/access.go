package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"redoubt/internal/tlsconf"
	"redoubt/internal/tools/client"
)

// access is the flags with which every tool enters a node. The names are
// redis-cli's.
type access struct {
	user, pass string
	tls        bool
	dial       tlsconf.DialOptions
}

func (a *access) register(f *pflag.FlagSet) {
	f.StringVar(&a.user, "user", "", "ACL user to authenticate as; needs --pass")
	f.StringVarP(&a.pass, "pass", "a", "", "password (default: the environment variable REDISCLI_AUTH)")
	f.BoolVar(&a.tls, "tls", false, "speak TLS")
	f.StringVar(&a.dial.CertFile, "cert", "", "certificate to show, with --tls")
	f.StringVar(&a.dial.KeyFile, "key", "", "private key of the certificate")
	f.StringVar(&a.dial.CAFile, "cacert", "", "certificates of the authorities to trust (default: those of the system)")
	f.StringVar(&a.dial.CADir, "cacertdir", "", "directory with such certificates, named by openssl rehash")
	f.BoolVar(&a.dial.Insecure, "insecure", false, "accept any certificate of a node")
	f.StringVar(&a.dial.ServerName, "sni", "", "host name to ask for in the TLS handshake")
	f.StringVar(&a.dial.Ciphers, "tls-ciphers", "", "cipher suites of TLS 1.2, in OpenSSL's language")
	f.StringVar(&a.dial.CipherSuites, "tls-ciphersuites", "", "those of TLS 1.3: all, or none named")
}

// options turns the flags into the client's options. Flags of TLS without --tls are an
// error: redis-cli passes over them, and what was to be secret goes in plain text.
func (a *access) options(timeout time.Duration) (client.Options, error) {
	o := client.Options{User: a.user, Pass: a.pass, Timeout: timeout}
	if o.Pass == "" {
		o.Pass = os.Getenv("REDISCLI_AUTH")
	}
	if !a.tls {
		if a.dial != (tlsconf.DialOptions{}) {
			return o, errors.New("--cert, --key, --cacert, --cacertdir, --insecure, --sni and --tls-… need --tls")
		}
		return o, nil
	}
	var err error
	o.TLS, err = tlsconf.Dialer(a.dial)
	return o, err
}

// terminal reports whether stdout is a terminal.
func terminal(cmd *cobra.Command) bool {
	f, ok := cmd.OutOrStdout().(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// coloured reports whether messages to stdout should be coloured: redis-cli's
// rule, and only on a terminal.
func coloured(cmd *cobra.Command) bool {
	return strings.Contains(os.Getenv("TERM"), "xterm") && terminal(cmd)
}
