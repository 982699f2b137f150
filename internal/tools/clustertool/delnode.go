package clustertool

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"redoubt/internal/tools/client"
)

// DelNode removes a node, named by its id, the beginning of it, or its address, from
// the cluster of which addr is a member: its replicas get other primaries, all others
// forget it, and it is reset. A node that does not answer is forgotten too. The command
// may be repeated, and then does what is left to do.
func (t *Tool) DelNode(addr, name string) error {
	t.step("Removing node %s from cluster %s", name, addr)
	c, err := t.discover(addr)
	defer c.close()
	if err != nil {
		return err
	}
	leaving, gone, err := t.leaving(c, name)
	if err != nil {
		return err
	}
	if leaving != nil {
		defer leaving.conn.Close()
		// Those that are asked to forget it may have forgotten it already, and the node that
		// was named as well; it is a member of the others.
		c = c.without(leaving)
	}
	if len(c) == 0 {
		return t.fail("Node %s is the whole cluster.", addr)
	}
	id := idOf(leaving, gone)
	if err := t.mayLeave(c, id, leaving, gone); err != nil {
		return err
	}
	orphans, err := t.orphans(c, id)
	if err != nil {
		return err
	}
	t.line("%d nodes are to forget %s%s.", len(c), id, resetToo(leaving))
	if t.Plan {
		_, err := t.agreed("")
		return err
	}
	if err := t.forget(c, id, orphans); err != nil {
		return t.again(err, "del-node")
	}
	if leaving != nil {
		t.step("Sending CLUSTER RESET SOFT to the deleted node.")
		if _, err := leaving.conn.Do("CLUSTER", "RESET", "SOFT"); err != nil {
			return t.replied(leaving, err)
		}
	}
	for _, o := range orphans {
		if err := t.wait("Waiting for the replica "+o.replica.addr(), func() error { return inStep(c, o.replica, o.primary) }); err != nil {
			return err
		}
	}
	t.ok("Node %s has left the cluster.", id)
	return nil
}

// adoption is a replica that loses its primary, and the one that it gets.
type adoption struct{ replica, primary *member }

// orphans finds new primaries for the replicas of a node.
func (t *Tool) orphans(c cluster, id string) (all []adoption, err error) {
	for _, m := range c {
		self := m.view.self()
		if !self.replica() || self.primary != id {
			continue
		}
		primary := c.needsReplica()
		if primary == nil {
			return nil, t.fail("There is no other primary with slots for the replica %s.", m.addr())
		}
		t.line("%s as replica of %s", m.addr(), primary.addr())
		all = append(all, adoption{m, primary})
		self.primary = primary.id() // so that the next one finds another primary
	}
	return all, nil
}

// forget has all nodes forget one. Whoever has forgotten a node refuses to hear of it for
// a minute, in which all must be told: nothing interrupts that.
func (t *Tool) forget(c cluster, id string, orphans []adoption) error {
	for _, o := range orphans {
		if _, err := o.replica.conn.Do("CLUSTER", "REPLICATE", o.primary.id()); err != nil {
			return t.replied(o.replica, err)
		}
	}
	t.step("Sending CLUSTER FORGET messages to the cluster...")
	for _, m := range c {
		if _, err := m.conn.Do("CLUSTER", "FORGET", id); err != nil && !strings.Contains(err.Error(), "Unknown node") {
			return t.replied(m, err)
		}
	}
	return nil
}

func idOf(leaving *member, gone *entry) string {
	if gone != nil {
		return gone.id
	}
	return leaving.id()
}

func resetToo(leaving *member) string {
	if leaving == nil {
		return ", which does not answer"
	}
	return ", which is reset then"
}

// leaving finds the node that is to leave: one that answers, or one that others know
// and that does not.
func (t *Tool) leaving(c cluster, name string) (*member, *entry, error) {
	if m, err := c.find(name); err == nil {
		return m, nil, nil
	}
	var gone *entry
	for _, m := range c {
		for i := range m.view.entries {
			e := &m.view.entries[i]
			if !strings.HasPrefix(e.id, strings.ToLower(name)) && fmt.Sprintf("%s:%d", e.host, e.port) != name {
				continue
			}
			if gone != nil && gone.id != e.id {
				return nil, nil, t.fail("Several nodes are meant by %s.", name)
			}
			gone = e
		}
	}
	if gone == nil {
		return nil, nil, t.fail("No such node ID %s", name)
	}
	// It may answer although the first node, which was asked for the others, has
	// forgotten it.
	conn, err := client.Dial(net.JoinHostPort(gone.host, strconv.Itoa(gone.port)), t.Client)
	if err != nil {
		return nil, gone, nil
	}
	m := &member{host: gone.host, port: gone.port, conn: conn}
	if m.load() != nil || m.id() != gone.id {
		conn.Close()
		return nil, gone, nil
	}
	return m, nil, nil
}

// mayLeave refuses to remove a node that somebody needs.
func (t *Tool) mayLeave(c cluster, id string, leaving *member, gone *entry) error {
	for _, m := range c {
		if e := m.view.byID(id); e != nil && !e.slots.Empty() {
			return t.fail("Node %s:%d is not empty! Reshard data away and try again. %s says that it has the slots %s.", e.host, e.port, m.addr(), ranges(e.slots))
		}
	}
	if leaving == nil {
		if !gone.is("fail") && !gone.is("fail?") {
			t.warn("%s:%d does not answer here, and no node says that it has failed.", gone.host, gone.port)
		}
		return nil
	}
	self := leaving.view.self()
	if !self.slots.Empty() {
		return t.fail("Node %s is not empty! Reshard data away and try again.", leaving.addr())
	}
	if self.replica() {
		return nil
	}
	size, err := leaving.conn.Do("DBSIZE")
	if err != nil {
		return t.replied(leaving, err)
	}
	if size.Integer() > 0 {
		return t.fail("Node %s has no slots, but %d keys, and would refuse to be reset. redoubt cluster fix --cluster-search-multiple-owners "+
			"brings them to their owners, FLUSHALL deletes them.", leaving.addr(), size.Integer())
	}
	return nil
}
