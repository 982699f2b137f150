package clustertool

import (
	"fmt"
	"strings"

	"github.com/tidwall/resp"

	"redoubt/slots"
)

// Info prints each primary of the cluster of which addr is a member with its
// keys, slots and replicas.
func (t *Tool) Info(addr string) error {
	c, err := t.discover(addr)
	defer c.close()
	if err != nil {
		return err
	}
	return t.info(c)
}

func (t *Tool) info(c cluster) error {
	primaries, total := 0, 0
	for _, m := range c {
		self := m.view.self()
		if self.replica() {
			continue
		}
		size, err := m.conn.Do("DBSIZE")
		if err != nil {
			return t.replied(m, err)
		}
		t.line("%s (%.8s...) -> %d keys | %d slots | %d slaves.", m.addr(), self.id, size.Integer(), self.slots.Len(), c.replicas(m))
		primaries++
		total += size.Integer()
	}
	t.ok("%d keys in %d masters.", total, primaries)
	t.line("%.2f keys per slot on average.", float64(total)/slots.Count)
	return nil
}

// Which says on which nodes Call calls.
type Which int

// The choices of redis-cli: all, --cluster-only-masters and
// --cluster-only-replicas.
const (
	AllNodes Which = iota
	OnlyPrimaries
	OnlyReplicas
)

// Call sends a command to the nodes of the cluster of which addr is a member
// and prints their replies. As with redis-cli an error reply is a reply: only
// a node that does not answer makes Call fail.
func (t *Tool) Call(addr string, which Which, args []string) error {
	c, err := t.discover(addr)
	defer c.close()
	if err != nil {
		return err
	}
	t.step("Calling %s", strings.Join(args, " "))
	for _, m := range c {
		replica := m.view.self().replica()
		if which == OnlyPrimaries && replica || which == OnlyReplicas && !replica {
			continue
		}
		vs, callErr := m.conn.Pipeline(args)
		if callErr != nil {
			t.line("%s: Failed! (%v)", m.addr(), callErr)
			err = ErrFailed
			continue
		}
		t.line("%s: %s", m.addr(), raw(vs[0]))
	}
	return err
}

// raw writes a reply as redis-cli --raw does: elements of arrays one a line.
func raw(v resp.Value) string {
	switch v.Type() {
	case resp.Array:
		lines := make([]string, 0, len(v.Array()))
		for _, e := range v.Array() {
			lines = append(lines, raw(e))
		}
		return strings.Join(lines, "\n")
	case resp.Error:
		return fmt.Sprintf("%s\n", v)
	}
	return v.String()
}
