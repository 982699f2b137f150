package clustertool

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"redoubt/internal/tools/client"
)

// ErrFailed is returned by commands that have said on Out what is wrong.
var ErrFailed = errors.New("clustertool: failed; the reason is printed")

// Tool runs cluster commands. It belongs to one goroutine.
type Tool struct {
	Out     io.Writer
	In      io.Reader // where Create reads the answer to its question; nil is "no"
	Client  client.Options
	Timeout time.Duration // for each of Create's waits; zero means a minute
	Colour  bool          // colour messages as redis-cli does on a terminal
}

func (t *Tool) timeout() time.Duration {
	if t.Timeout <= 0 {
		return time.Minute
	}
	return t.Timeout
}

// The four kinds of message, and their colours, are those of redis-cli.
func (t *Tool) step(format string, a ...any) { t.paint("29;1", ">>> "+format, a...) }
func (t *Tool) ok(format string, a ...any)   { t.paint("32;1", "[OK] "+format, a...) }
func (t *Tool) warn(format string, a ...any) { t.paint("33;1", "[WARNING] "+format, a...) }
func (t *Tool) err(format string, a ...any)  { t.paint("31;1", "[ERR] "+format, a...) }

func (t *Tool) paint(colour, format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	if t.Colour {
		text = "\x1b[" + colour + "m" + text + "\x1b[0m"
	}
	fmt.Fprintln(t.Out, text)
}

func (t *Tool) line(format string, a ...any) { fmt.Fprintf(t.Out, format+"\n", a...) }

// fail prints an error and returns ErrFailed.
func (t *Tool) fail(format string, a ...any) error {
	t.err(format, a...)
	return ErrFailed
}

// connect reaches a node and checks that it is a cluster node.
func (t *Tool) connect(host string, port int) (*member, error) {
	m := &member{host: host, port: port}
	conn, err := client.Dial(net.JoinHostPort(host, strconv.Itoa(port)), t.Client)
	if err != nil {
		var ne *client.NetError
		if errors.As(err, &ne) {
			err = ne.Err
		}
		t.line("Could not connect to Redis at %s: %v", m.addr(), err)
		return nil, ErrFailed
	}
	m.conn = conn
	info, err := conn.Do("INFO")
	if err != nil {
		conn.Close()
		return nil, t.fail("Node %s %v", m.addr(), err)
	}
	if v, _ := InfoField(info.String(), "cluster_enabled"); v != "1" {
		conn.Close()
		return nil, t.fail("Node %s is not configured as a cluster node.", m.addr())
	}
	if err := m.load(); err != nil {
		conn.Close()
		return nil, t.replied(m, err)
	}
	return m, nil
}

// replied prints what a node answered instead of obeying.
func (t *Tool) replied(m *member, err error) error {
	return t.fail("Node %s replied with error: %v", m.addr(), err)
}

// cluster is the nodes of a cluster that could be reached, the one that was
// named first.
type cluster []*member

func (c cluster) close() {
	for _, m := range c {
		m.conn.Close()
	}
}

func (c cluster) byID(id string) *member {
	for _, m := range c {
		if m.id() == id {
			return m
		}
	}
	return nil
}

// name is the address of the node with the given id, or the id.
func (c cluster) name(id string) string {
	if m := c.byID(id); m != nil {
		return m.addr()
	}
	return id
}

// replicas counts the nodes that say they replicate m.
func (c cluster) replicas(m *member) int {
	n := 0
	for _, o := range c {
		if self := o.view.self(); self.replica() && self.primary == m.id() {
			n++
		}
	}
	return n
}

// discover connects to the cluster of which addr is a member. Nodes that are
// flagged fail or noaddr are left out, those that cannot be reached are left
// out with a message; what that means for the cluster is the check's matter.
func (t *Tool) discover(addr string) (cluster, error) {
	host, port, err := client.SplitAddr(addr)
	if err != nil {
		return nil, t.fail("Invalid arguments: you need to pass either a valid address (ie. 120.0.0.1:7000) or space separated IP and port (ie. 120.0.0.1 7000)")
	}
	first, err := t.connect(host, port)
	if err != nil {
		return nil, err
	}
	c := cluster{first}
	for i := range first.view.entries {
		e := &first.view.entries[i]
		if i == first.view.myself || e.is("fail") || e.is("noaddr") || e.is("handshake") {
			continue
		}
		if m, err := t.connect(e.host, e.port); err == nil {
			c = append(c, m)
		}
	}
	for _, m := range c {
		if p := m.view.self().primary; p != "" && c.byID(p) == nil {
			t.line("*** WARNING: %s claims to be slave of unknown node ID %s.", m.addr(), p)
		}
	}
	return c, nil
}
