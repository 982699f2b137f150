package tlsconf

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// HandshakeError is why a connection did not become one by TLS.
type HandshakeError struct{ Err error }

// Error is Explain of the cause.
func (e *HandshakeError) Error() string { return Explain(e.Err) }

// Reason has the log say that, and not the cause: see package reason.
func (e *HandshakeError) Reason() string { return e.Error() }

func (e *HandshakeError) Unwrap() error { return e.Err }

// errNoConfig is the failure of a connection that must be by TLS while no certificates
// are loaded.
var errNoConfig = errors.New("there are no certificates")

// Secure shakes hands with the server at the other end of nc, until ctx ends. If that
// fails, or there is no configuration, nc is closed: nobody goes on in plain text. The
// error is a *HandshakeError then.
//
// Closing the connection that is returned waits for nobody.
func Secure(ctx context.Context, nc net.Conn, c *tls.Config) (net.Conn, error) {
	err := errNoConfig
	if c != nil {
		conn := tls.Client(nc, c)
		if err = conn.HandshakeContext(ctx); err == nil {
			return brisk{conn}, nil
		}
	}
	nc.Close()
	return nil, &HandshakeError{err}
}

// brisk is a connection that ends without the farewell of TLS, for which the other side
// may have no ear.
type brisk struct{ *tls.Conn }

func (b brisk) Close() error { return b.NetConn().Close() }

// Refusal says in words why a connection failed if it was one side that did not accept
// the other in the handshake, "" if it was not. With TLS 1.3 a client may learn of that
// by its first read.
func Refusal(err error) string {
	if errors.As(err, new(*HandshakeError)) || isAlert(err) {
		return Explain(err)
	}
	return ""
}

// isAlert reports whether the other side has sent an alert.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
