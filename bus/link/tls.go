package link

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"time"
)

// TLS is what the links of an Endpoint are encrypted with. The functions are called
// once for each link, so that new certificates hold from the next link on. If one
// returns nil there is no link.
type TLS struct {
	Client func() *tls.Config // of links that are dialled
	Server func() *tls.Config // of links that are accepted
}

const (
	// handshakeTimeout bounds the handshake of an accepted link. That of a dialled
	// one must end within the time that Dial was given.
	handshakeTimeout = 10 * time.Second
	// maxHandshakes bounds how many accepted links may be in their handshakes. One
	// more ends the oldest of them. A handshake of a node takes some milliseconds:
	// whoever wants to keep nodes out has to open as many connections in that time,
	// again and again, and finishes none of them.
	maxHandshakes = 1024
)

// ErrHandshakes is the end of an accepted link in whose handshake too many others
// were accepted.
var ErrHandshakes = errors.New("link: too many handshakes at once")

var errNoConfig = errors.New("there are no certificates for links")

// HandshakeError is the end of a link that did not become a TLS connection: this side
// does not accept the other, or the other way round, or what came was not TLS.
type HandshakeError struct {
	// Refused says that the other side ended it and gave a reason by an alert. A peer
	// whose certificate is refused may learn of that only after Handler.Opened, as
	// TLS 1.3 is made so.
	Refused bool
	Err     error
}

func (e *HandshakeError) Error() string {
	if e.Refused {
		return "link: TLS refused by the peer: " + e.Err.Error()
	}
	return "link: TLS handshake: " + e.Err.Error()
}

func (e *HandshakeError) Unwrap() error { return e.Err }

// secure makes the connection of l a TLS connection.
func (l *Link) secure(conn net.Conn) (net.Conn, error) {
	deadline, config, wrap := l.created.Add(l.timeout), l.tls.Client, tls.Client
	if l.inbound {
		l.endpoint.shaking.enter(l)
		defer l.endpoint.shaking.leave(l)
		deadline, config, wrap = time.Now().Add(handshakeTimeout), l.tls.Server, tls.Server
	}
	c := config()
	if c == nil {
		return nil, &HandshakeError{Err: errNoConfig}
	}
	secured := wrap(conn, c)
	ctx, cancel := context.WithDeadline(l.life, deadline)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, &HandshakeError{Refused: isAlert(err), Err: err}
	}
	return secured, nil
}

// isAlert reports whether an error is an alert that the other side has sent.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// enter counts l among those in their handshakes, and ends the oldest of them if there
// are too many.
func (h *handshakes) enter(l *Link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.links) >= maxHandshakes {
		h.links[0].end(ErrHandshakes)
		h.links = slices.Delete(h.links, 0, 1)
	}
	h.links = append(h.links, l)
}

func (h *handshakes) leave(l *Link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.links, l); i >= 0 {
		h.links = slices.Delete(h.links, i, i+1)
	}
}
