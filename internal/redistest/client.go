package redistest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/tidwall/resp"
)

// replyTimeout is how long a client waits for a reply.
const replyTimeout = 20 * time.Second

// Error is an error reply, without the leading '-'.
type Error string

// Error implements error.
func (e Error) Error() string { return string(e) }

// Client is one connection. It is for one goroutine.
type Client struct {
	conn   net.Conn
	r      *bufio.Reader
	within time.Duration // how long it waits for a reply
}

// Dial opens a connection to a server, in whatever process it runs.
func Dial(addr string) (*Client, error) { return DialWithin(addr, replyTimeout) }

// DialWithin is Dial for a client that waits for the connection, and for each reply, no
// longer than so.
func DialWithin(addr string, within time.Duration) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, within)
	if err != nil {
		return nil, err
	}
	return newClient(conn, within), nil
}

func newClient(conn net.Conn, within time.Duration) *Client {
	return &Client{conn: conn, r: bufio.NewReader(conn), within: within}
}

// Close closes the connection.
func (c *Client) Close() { c.conn.Close() }

// Do runs one command, whose arguments are strings, []byte or integers. The
// reply is nil, a string, an int64 or a []any of those, in which an error is
// an Error. An error reply is returned as an error of that type; any other
// error is one of the connection. Do speaks RESP2; DoRaw reads either.
func (c *Client) Do(args ...any) (any, error) {
	raw, err := c.DoRaw(args...)
	if err != nil {
		return nil, err
	}
	return parse(raw)
}

// DoRaw runs one command and returns the bytes of its reply, in RESP2 or
// RESP3.
func (c *Client) DoRaw(args ...any) ([]byte, error) {
	if err := c.Write(encode(args)); err != nil {
		return nil, err
	}
	return c.ReadRaw()
}

// Pipeline sends all commands at once and returns their replies in order, as
// Do would; an error reply is an Error in its place.
func (c *Client) Pipeline(commands ...[]any) ([]any, error) {
	if err := c.Send(commands...); err != nil {
		return nil, err
	}
	replies := make([]any, len(commands))
	for i := range replies {
		raw, err := c.ReadRaw()
		if err != nil {
			return nil, fmt.Errorf("reply %d: %w", i, err)
		}
		reply, err := parse(raw)
		var refusal Error
		if errors.As(err, &refusal) {
			reply, err = refusal, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reply %d: %w", i, err)
		}
		replies[i] = reply
	}
	return replies, nil
}

// Send sends all commands at once and leaves the replies.
func (c *Client) Send(commands ...[]any) error {
	var all []byte
	for _, args := range commands {
		all = append(all, encode(args)...)
	}
	return c.Write(all)
}

// Write sends bytes as they are, for what is not a proper command.
func (c *Client) Write(b []byte) error {
	c.conn.SetWriteDeadline(time.Now().Add(c.within))
	_, err := c.conn.Write(b)
	return err
}

// ReadRaw returns the bytes of the next reply or push. At the end of the
// connection the error is io.EOF.
func (c *Client) ReadRaw() ([]byte, error) {
	c.conn.SetReadDeadline(time.Now().Add(c.within))
	return readReply(c.r, nil)
}

func encode(args []any) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		text := fmt.Sprint(arg)
		if raw, ok := arg.([]byte); ok {
			text = string(raw)
		}
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(text), text)
	}
	return b
}

// readReply appends one reply to dst, children and all. It knows where a reply
// ends and nothing else about it: RESP3 is compared as bytes, RESP2 is
// understood by tidwall/resp.
func readReply(r *bufio.Reader, dst []byte) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		if err == io.EOF && len(line)+len(dst) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	dst = append(dst, line...)
	var n int
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(':
		return dst, nil
	case '$', '=', '!', '*', '~', '>', '%', '|':
		if n, err = strconv.Atoi(string(bytes.TrimRight(line[1:], "\r\n"))); err != nil {
			return nil, fmt.Errorf("redistest: reply begins with %q", line)
		}
	default:
		return nil, fmt.Errorf("redistest: reply begins with %q", line)
	}
	switch line[0] {
	case '$', '=', '!':
		if n < 0 {
			return dst, nil
		}
		body := make([]byte, n+len("\r\n"))
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, err
		}
		return append(dst, body...), nil
	case '%':
		n *= 2
	case '|':
		n = 2*n + 1 // attributes stand before the reply that they describe
	}
	for range n {
		if dst, err = readReply(r, dst); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func parse(raw []byte) (any, error) {
	if !bytes.ContainsRune([]byte("+-:$*"), rune(raw[0])) {
		return nil, fmt.Errorf("redistest: a RESP3 reply: %q", raw)
	}
	v, _, err := resp.NewReader(bytes.NewReader(raw)).ReadValue()
	if err != nil {
		return nil, err
	}
	if v.Type() == resp.Error {
		return nil, Error(v.String())
	}
	return value(v), nil
}

func value(v resp.Value) any {
	switch {
	case v.IsNull():
		return nil
	case v.Type() == resp.Integer:
		return int64(v.Integer())
	case v.Type() == resp.Error:
		return Error(v.String())
	case v.Type() == resp.Array:
		children := make([]any, len(v.Array()))
		for i, child := range v.Array() {
			children[i] = value(child)
		}
		return children
	default:
		return v.String()
	}
}
