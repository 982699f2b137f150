package tlsconf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Explain says in words for an operator why a TLS handshake failed. "It" is the other
// side.
func Explain(err error) string {
	var failed *HandshakeError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	var op *net.OpError
	switch {
	case err == nil:
		return "nothing failed"
	case err == errNoConfig:
		return "there are no certificates for TLS here"
	case isAlert(err) && errors.As(err, &op):
		return explainAlert(strings.TrimPrefix(op.Err.Error(), "tls: "))
	case errors.As(err, new(tls.RecordHeaderError)):
		return "what it sends is not TLS"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "the TLS handshake did not end in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it ended the connection in the TLS handshake; perhaps it does not speak TLS"
	}
	if text := explainCertificate(err); text != "" {
		return text
	}
	switch text := cause(err); {
	case text == "client didn't provide a certificate":
		// A client does not show one by an authority that the server has not named.
		return "it shows no certificate, or has none by an authority that is trusted here"
	case strings.HasPrefix(text, "client offered only unsupported versions"),
		strings.HasPrefix(text, "server selected unsupported protocol version"):
		return "it speaks no version of TLS that tls-protocols allows here"
	case strings.HasPrefix(text, "no cipher suite supported by both client and server"):
		return "it has no cipher suite that tls-ciphers allows here"
	case strings.HasSuffix(text, "bad record MAC"):
		// OpenSSL's alert comes under other keys than crypto/tls expects by then.
		return "it broke off the TLS handshake, as OpenSSL does if it does not accept the certificate that it was shown"
	default:
		return "the TLS handshake failed (" + text + ")"
	}
}

// explainAlert is for what the other side has against us.
func explainAlert(alert string) string {
	switch {
	case alert == "certificate required":
		return "it demands a certificate by an authority that it trusts, and was shown none"
	case strings.Contains(alert, "certificate"):
		return "it does not accept the certificate that it was shown (" + alert + ")"
	case alert == "protocol version not supported":
		return "it allows no version of TLS that tls-protocols allows here"
	case alert == "handshake failure":
		return "it refused the TLS handshake: there is no cipher suite in common, or it demands a certificate by an authority that it trusts"
	}
	return "it refused the TLS handshake (" + alert + ")"
}

// explainCertificate says what is wrong with the certificate of the other side, "" if it
// is something else.
func explainCertificate(err error) string {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	switch {
	case errors.As(err, &unknown):
		issuer := ""
		if unknown.Cert != nil {
			issuer = fmt.Sprintf(" (its issuer is %s)", name(unknown.Cert.Issuer.String()))
		}
		return "its certificate is not by an authority that is trusted here" + issuer
	case errors.As(err, &host):
		return "its certificate is for another host"
	case errors.As(err, &invalid):
		switch invalid.Reason {
		case x509.Expired:
			if c := invalid.Cert; c != nil && time.Now().Before(c.NotBefore) {
				return "its certificate is not valid before " + day(c.NotBefore)
			} else if c != nil {
				return "its certificate has expired, on " + day(c.NotAfter)
			}
			return "its certificate has expired, or is not valid yet"
		case x509.IncompatibleUsage:
			return "its certificate may not be used for that (extended key usage); nodes need one for clients and servers"
		}
		return "its certificate is not valid (" + cause(invalid) + ")"
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format(time.DateTime) }

// name is the name of an issuer, which the other side has chosen, fit for a log.
func name(text string) string {
	const longest = 100
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return fmt.Sprintf("%+q", text)
}
