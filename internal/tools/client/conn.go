package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/tidwall/resp"

	"redoubt/internal/tlsconf"
)

// DefaultTimeout bounds a dial and each exchange when Options names none.
const DefaultTimeout = 5 * time.Second

// Options say how to reach and enter a node.
type Options struct {
	User    string        // ACL user; empty sends AUTH with the password alone
	Pass    string        // empty sends no AUTH
	TLS     *tls.Config   // speak TLS; nil: do not
	Timeout time.Duration // for the dial, and for each Do or Pipeline; zero means DefaultTimeout
}

func (o Options) timeout() time.Duration {
	if o.Timeout <= 0 {
		return DefaultTimeout
	}
	return o.Timeout
}

// Conn is one connection to one node. It belongs to one goroutine. After a
// *NetError it is closed: replies would no longer match their commands.
type Conn struct {
	addr    string
	conn    net.Conn
	r       *bufio.Reader
	out     bytes.Buffer
	timeout time.Duration
	broken  error
}

// Dial connects to addr, "host:port", and authenticates if o holds a
// password. The error is a *NetError with Sent false, or a *ReplyError if
// the server refused the password.
func Dial(addr string, o Options) (*Conn, error) {
	nc, err := open(addr, o)
	if err != nil {
		return nil, &NetError{Addr: addr, Op: "dial", Err: err}
	}
	c := &Conn{addr: addr, conn: nc, r: bufio.NewReader(nc), timeout: o.timeout()}
	if o.Pass == "" {
		return c, nil
	}
	auth := []string{"AUTH", o.Pass}
	if o.User != "" {
		auth = []string{"AUTH", o.User, o.Pass}
	}
	if _, err := c.Do(auth...); err != nil {
		c.Close()
		if ne, ok := err.(*NetError); ok {
			// What was sent is AUTH, not the caller's command.
			return nil, &NetError{Addr: addr, Op: "dial", Err: ne.Err}
		}
		return nil, err
	}
	return c, nil
}

// open connects to addr, within the timeout of o.
func open(addr string, o Options) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout())
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err == nil && o.TLS != nil {
		nc, err = tlsconf.Secure(ctx, nc, o.TLS)
	}
	return nc, err
}

// Close closes the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Do sends one command and returns its reply. An error reply is returned as
// a *ReplyError.
func (c *Conn) Do(args ...string) (resp.Value, error) {
	vs, err := c.Pipeline(args)
	if err != nil {
		return resp.Value{}, err
	}
	return vs[0], c.replyError(vs[0])
}

// Pipeline sends the commands in one write and returns their replies in
// order; error replies are among them, as values. The error is always a
// *NetError, and then none of the outcomes is known.
func (c *Conn) Pipeline(cmds ...[]string) ([]resp.Value, error) {
	return c.PipelineWithin(c.timeout, cmds...)
}

// PipelineWithin is Pipeline with a limit of its own, for commands that take long.
func (c *Conn) PipelineWithin(limit time.Duration, cmds ...[]string) ([]resp.Value, error) {
	if c.broken != nil {
		return nil, &NetError{Addr: c.addr, Op: "write", Err: c.broken}
	}
	c.out.Reset()
	for _, cmd := range cmds {
		appendCommand(&c.out, cmd)
	}
	c.conn.SetDeadline(time.Now().Add(limit))
	if n, err := c.conn.Write(c.out.Bytes()); err != nil {
		return nil, c.fail("write", n > 0, err)
	}
	replies := make([]resp.Value, 0, len(cmds))
	for range cmds {
		v, err := readReply(c.r)
		if err != nil {
			return nil, c.fail("read", true, err)
		}
		replies = append(replies, v)
	}
	return replies, nil
}

// replyError returns v as an error if it is an error reply.
func (c *Conn) replyError(v resp.Value) error {
	if v.Type() != resp.Error {
		return nil
	}
	return &ReplyError{Addr: c.addr, Text: v.String()}
}

// fail closes the connection and remembers why.
func (c *Conn) fail(op string, sent bool, err error) error {
	c.broken = err
	c.conn.Close()
	return &NetError{Addr: c.addr, Op: op, Sent: sent, Err: err}
}

// appendCommand writes cmd as an array of bulk strings. A bytes.Buffer does
// not fail, and neither does the encoding of bulk strings.
func appendCommand(b *bytes.Buffer, cmd []string) {
	vs := make([]resp.Value, len(cmd))
	for i, a := range cmd {
		vs[i] = resp.StringValue(a)
	}
	resp.NewWriter(b).WriteArray(vs)
}
