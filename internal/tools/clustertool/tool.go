package clustertool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"redoubt/internal/tools/client"
)

// ErrFailed is returned by commands that have said on Out what is wrong.
var ErrFailed = errors.New("clustertool: failed; the reason is printed")

// ErrInterrupted is returned by commands that were interrupted and have said on Out
// what is done and how to go on.
var ErrInterrupted = errors.New("clustertool: interrupted; how to go on is printed")

// Tool runs cluster commands. It belongs to one goroutine.
type Tool struct {
	Out       io.Writer
	In        io.Reader // where the answers to questions are read; nil is "no"
	Client    client.Options
	Timeout   time.Duration // for each wait for the cluster; zero means a minute
	Colour    bool          // colour messages as redis-cli does on a terminal
	Plan      bool          // say what would be done, and change nothing
	Sure      bool          // do not ask before changing anything
	Quorum    bool          // Create: of nodes with durability quorum only
	Live      bool          // Out is a terminal: progress is one line that changes
	Interrupt *Interrupt    // the user's wish to stop; nil: there is none

	answers   *bufio.Reader // of In
	announced bool          // that an interrupt has arrived
}

// Interrupt is how often the user has asked to stop. Once: at the next point where
// nothing is half done. Twice: at once. It is safe for concurrent use.
type Interrupt struct{ asked atomic.Int32 }

// Ask asks to stop, or to stop at once, and returns how often that was.
func (i *Interrupt) Ask() int { return int(i.asked.Add(1)) }

// stopping reports whether the user wants to stop.
func (t *Tool) stopping() bool { return t.Interrupt != nil && t.Interrupt.asked.Load() > 0 }

// stoppingNow reports whether the user wants to stop at once.
func (t *Tool) stoppingNow() bool { return t.Interrupt != nil && t.Interrupt.asked.Load() > 1 }

// announce says once that an interrupt has arrived, and what happens before it is obeyed.
func (t *Tool) announce(format string, a ...any) {
	if t.stopping() && !t.announced {
		t.announced = true
		t.line("")
		t.warn(format, a...)
	}
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
