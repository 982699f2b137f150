package clustertool

import (
	"errors"
	"fmt"
	"time"

	"redoubt/internal/tools/client"
)

// AddNodeOptions say what the new node is to be.
type AddNodeOptions struct {
	Replica bool
	Primary string // id or address of the primary to replicate; empty: the one with fewest replicas
}

// AddNode adds an empty node to the cluster of which existing is a member: as a primary
// without slots, which gets the functions of the cluster, or as a replica. It returns
// when every node knows the new one, and a replica has its link. A node that an
// interrupted AddNode has introduced is taken on from where it is.
func (t *Tool) AddNode(added, existing string, o AddNodeOptions) error {
	t.step("Adding node %s to cluster %s", added, existing)
	c, err := t.discover(existing)
	defer func() { c.close() }()
	if err != nil {
		return err
	}
	node, resumed, err := t.newcomer(c, added)
	if err != nil {
		return err
	}
	old := c.without(node)
	if !resumed {
		c = append(c, node)
	}
	if err := t.fit(old, node, resumed, o); err != nil {
		return err
	}
	var primary *member
	if o.Replica {
		if primary, err = t.chosenPrimary(old, node, o.Primary); err != nil {
			return err
		}
		t.line("%s is to be a replica of %s.", node.addr(), primary.addr())
	} else {
		t.line("%s is to be a primary without slots, with the functions of the cluster.", node.addr())
	}
	if t.Plan {
		_, err := t.agreed("")
		return err
	}
	if err := t.takeIn(old, node, primary); err != nil {
		return t.again(err, "add-node")
	}
	t.ok("New node added correctly.")
	return nil
}

// newcomer connects to the node that is to be added. One that knows the cluster already
// is returned as its member.
func (t *Tool) newcomer(c cluster, addr string) (node *member, resumed bool, err error) {
	host, port, err := client.SplitAddr(addr)
	if err != nil {
		t.line("Invalid address format: %s", addr)
		return nil, false, ErrFailed
	}
	if node, err = t.connect(host, port); err != nil {
		return nil, false, t.fail("Sorry, can't connect to node %s", addr)
	}
	if known := c.byID(node.id()); known != nil {
		node.conn.Close()
		return known, true, nil
	}
	return node, false, nil
}

// takeIn makes a node a member: a replica of primary, or a primary if that is nil.
func (t *Tool) takeIn(c cluster, node, primary *member) error {
	if primary == nil {
		if err := t.copyFunctions(c[0], node); err != nil {
			return err
		}
	}
	if err := t.meet(c, node); err != nil || primary == nil {
		return err
	}
	if node.view.self().primary != primary.id() {
		t.step("Configure node as replica of %s.", primary.addr())
		if _, err := node.conn.Do("CLUSTER", "REPLICATE", primary.id()); err != nil {
			return t.replied(node, err)
		}
	}
	all := append(append(cluster{}, c...), node)
	return t.wait("Waiting for the replica", func() error { return inStep(all, node, primary) })
}

// again says how to go on with a command that may be repeated as it was given.
func (t *Tool) again(err error, command string) error {
	t.line("To go on, give the same redoubt cluster %s again.", command)
	return err
}

// without is the cluster without one of its nodes.
func (c cluster) without(m *member) (rest cluster) {
	for _, o := range c {
		if o != m {
			rest = append(rest, o)
		}
	}
	return rest
}

// fit refuses a node that cannot be added: one with keys or another cluster, or to a
// cluster that is not well.
func (t *Tool) fit(c cluster, node *member, resumed bool, o AddNodeOptions) error {
	if len(c) == 0 {
		return t.fail("Node %s is that cluster.", node.addr())
	}
	if resumed {
		self := node.view.self()
		if !self.slots.Empty() || self.replica() && !o.Replica {
			return t.fail("Node %s is a member of the cluster already.", node.addr())
		}
		t.line("Node %s knows the cluster already: what is left to do is done.", node.addr())
		return nil
	}
	if err := t.check(c, false); err != nil {
		t.line("*** Please fix your cluster problems before adding a node: redoubt cluster fix %s", c[0].addr())
		return err
	}
	empty, err := node.empty()
	if err != nil {
		return t.replied(node, err)
	}
	if !empty {
		return t.fail("Node %s is not empty. Either the node already knows other nodes (check with CLUSTER NODES) or contains some key in database 0.", node.addr())
	}
	return nil
}

// chosenPrimary is the primary that a new replica gets.
func (t *Tool) chosenPrimary(c cluster, node *member, name string) (*member, error) {
	if name != "" {
		m, err := c.primaries().find(name)
		if err != nil {
			return nil, t.fail("No such master ID %s: %v", name, err)
		}
		return m, nil
	}
	if m := c.byID(node.view.self().primary); m != nil {
		return m, nil // it was chosen by the command that was interrupted
	}
	if m := c.needsReplica(); m != nil {
		t.line("Automatically selected master %s", m.addr())
		return m, nil
	}
	return nil, t.fail("The cluster has no primary with slots.")
}

// needsReplica is the primary with the fewest replicas, of those with slots.
func (c cluster) needsReplica() (poor *member) {
	for _, m := range c.primaries() {
		if self := m.view.self(); !self.slots.Empty() && (poor == nil || c.replicas(m) < c.replicas(poor)) {
			poor = m
		}
	}
	return poor
}

// copyFunctions gives a new primary the libraries of the cluster. A server without
// functions, before Redis 7, has none to give.
func (t *Tool) copyFunctions(from, to *member) error {
	t.step("Getting functions from cluster")
	dump, err := from.conn.Do("FUNCTION", "DUMP")
	var refused *client.ReplyError
	if errors.As(err, &refused) {
		t.step("Node %s has no functions to give: %v", from.addr(), err)
		return nil
	}
	if err != nil {
		return t.replied(from, err)
	}
	have, err := to.conn.Do("FUNCTION", "DUMP")
	if err != nil {
		return t.replied(to, err)
	}
	list, err := to.conn.Do("FUNCTION", "LIST")
	if err != nil {
		return t.replied(to, err)
	}
	if len(list.Array()) > 0 {
		if have.String() == dump.String() {
			return nil // an interrupted command has sent them
		}
		return t.fail("New node already contains functions and can not be added to the cluster. Use FUNCTION FLUSH and try again.")
	}
	t.step("Send FUNCTION RESTORE to %s", to.addr())
	if _, err := to.conn.Do("FUNCTION", "RESTORE", dump.String()); err != nil {
		return t.replied(to, err)
	}
	return nil
}

// meet introduces a node to a cluster and waits until all know each other. What is lost
// of a handshake is repeated.
func (t *Tool) meet(c cluster, node *member) error {
	t.step("Send CLUSTER MEET to node %s to make it join the cluster.", node.addr())
	first := c[0]
	invite, err := first.invitation()
	if err != nil {
		return t.fail("Invalid IP address or hostname specified: %s", first.host)
	}
	if _, err := node.conn.Do(invite...); err != nil {
		return t.replied(node, err)
	}
	all := append(append(cluster{}, c...), node)
	want := first.view.owners()
	met := time.Now()
	return t.wait("Waiting for the cluster to join", func() error {
		err := all.joined(want)
		if err != nil && time.Since(met) > meetAgainAfter {
			met = time.Now()
			node.introduce(c)
		}
		return err
	})
}

// introduce has a node meet all that it does not know, or that do not know it. Those that
// were told to forget it within the last minute take no notice of gossip about it, but
// they answer a handshake.
func (m *member) introduce(c cluster) {
	for _, o := range c {
		if m.knows(o) && o.knows(m) {
			continue
		}
		if invite, err := o.invitation(); err == nil {
			_, _ = m.conn.Do(invite...)
		}
	}
}

// inStep returns why a replica does not replicate yet as all others see it.
func inStep(c cluster, replica, primary *member) error {
	if err := c.refresh(); err != nil {
		return err
	}
	for _, m := range c {
		if e := m.view.byID(replica.id()); e == nil || e.primary != primary.id() {
			return fmt.Errorf("node %s does not see %s as a replica of %s yet", m.addr(), replica.addr(), primary.addr())
		}
	}
	info, err := replica.conn.Do("INFO", "replication")
	if err != nil {
		return fmt.Errorf("node %s: %w", replica.addr(), err)
	}
	if link, _ := InfoField(info.String(), "master_link_status"); link != "up" {
		return fmt.Errorf("replica %s has no replication link to its primary %s", replica.addr(), primary.addr())
	}
	return nil
}
