package link

import (
	"context"
	"crypto/tls"
	"net"
)

// GuestPrefix begins a connection to the port of the bus that is for something else than
// its messages: nodes of this product share one port, and one TLS setting, for all they
// have to say to each other. No message of the bus begins like this.
const GuestPrefix = "RDBg"

// DialGuest opens such a connection to addr, "host:port", and sends the prefix.
func (e *Endpoint) DialGuest(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := e.cfg.Net.Dial(ctx, e.cfg.Source, addr)
	if err != nil {
		return nil, err
	}
	if t := e.tls.Load(); t != nil {
		if conn, err = t.secureGuest(ctx, conn); err != nil {
			return nil, err
		}
	}
	if _, err := conn.Write([]byte(GuestPrefix)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (t *TLS) secureGuest(ctx context.Context, conn net.Conn) (net.Conn, error) {
	c := t.Client()
	if c == nil {
		conn.Close()
		return nil, &HandshakeError{Err: errNoConfig}
	}
	secured := tls.Client(conn, c)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &HandshakeError{Refused: isAlert(err), Err: err}
	}
	return secured, nil
}

// guest hands the connection over if it is one for a guest. It reports whether it was.
func (l *Link) guest(conn net.Conn, frames *frameReader) (bool, error) {
	if l.endpoint.cfg.Guest == nil || !l.inbound {
		return false, nil
	}
	if err := frames.fill(len(GuestPrefix)); err != nil {
		return false, err
	}
	if string(frames.buf[frames.start:][:len(GuestPrefix)]) != GuestPrefix {
		return false, nil
	}
	frames.start += len(GuestPrefix)
	l.endpoint.cfg.Guest(&readConn{Conn: conn, rest: frames.buf[frames.start:frames.end]})
	return true, ErrClosed
}

// readConn is a connection of which something has been read already.
type readConn struct {
	net.Conn
	rest []byte
}

// Read implements net.Conn.
func (c *readConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
