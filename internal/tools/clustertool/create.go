package clustertool

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// Create makes a cluster of the empty nodes at addrs with the given number of
// replicas a primary. It returns when the cluster serves and has been
// checked. It shows the plan and, unless Sure, asks first.
func (t *Tool) Create(addrs []string, replicas int) error {
	if len(addrs)/(replicas+1) < 3 {
		return t.tooFew(len(addrs), replicas)
	}
	c, err := t.emptyNodes(addrs)
	defer c.close()
	if err != nil {
		return err
	}
	if err := t.allQuorum(c, replicas); err != nil {
		return err
	}
	l, ids, err := t.draw(c, replicas)
	if err != nil {
		return err
	}
	if replicas == 0 {
		more := "1 takes twice as many nodes, at least 6."
		if t.Quorum {
			more = "2 takes three times as many nodes."
		}
		t.warn("No primary gets a replica: while one is down its slots cannot be used, and if it is lost, so are its data. "+
			"--cluster-replicas %s", more)
	}
	if ok, err := t.agreed("Can I set the above configuration?"); !ok {
		return err
	}
	return t.carryOut(c, l, ids)
}

// allQuorum checks that nodes of a cluster with durability quorum are all started with it.
func (t *Tool) allQuorum(c cluster, replicas int) error {
	if !t.Quorum {
		return nil
	}
	for _, m := range c {
		value, err := m.conn.Do("CONFIG", "GET", "durability")
		if err != nil {
			return t.replied(m, err)
		}
		if pair := value.Array(); len(pair) != 2 || pair[1].String() != "quorum" {
			return t.fail("Node %s has not durability quorum. Start it with --durability quorum --appendonly yes.", m.addr())
		}
	}
	if replicas%2 == 1 {
		t.warn("Shards of %d nodes: one node more is as likely to stop a shard as to keep it. --cluster-replicas should be even.", replicas+1)
	}
	return nil
}

// Resume finishes what an interrupted Create of the same nodes has begun, or
// not yet begun: it carries out what is left of the plan. It changes nothing, and
// fails, if the nodes are anything else than a part of that plan.
func (t *Tool) Resume(addrs []string, replicas int) error {
	c, err := t.connectAll(addrs)
	defer c.close()
	if err != nil {
		return err
	}
	l, ids, err := t.draw(c, replicas)
	if err != nil {
		return err
	}
	for i, p := range l.nodes {
		if why := c.strays(c[i], p, ids); why != "" {
			return t.fail("Node %s is no part of such a cluster: %s", c[i].addr(), why)
		}
	}
	return t.carryOut(c, l, ids)
}

// strays returns in what a node differs from its place in a plan that has not
// been carried out to the end, or "".
func (c cluster) strays(m *member, p *place, ids map[*place]string) string {
	self := m.view.self()
	if foreign := self.slots.Without(&p.slots); !foreign.Empty() {
		return "it has the slots " + slotList(foreign)
	}
	if self.replica() && (p.primary == nil || self.primary != ids[p.primary]) {
		return "it is a replica of " + c.name(self.primary)
	}
	for i := range m.view.entries {
		if e := &m.view.entries[i]; !e.is("handshake") && c.byID(e.id) == nil {
			return fmt.Sprintf("it knows %s:%d", e.host, e.port)
		}
	}
	return ""
}

// carryOut makes a cluster as planned of nodes that may be a part of it already.
func (t *Tool) carryOut(c cluster, l *layout, ids map[*place]string) error {
	if err := t.assignSlots(c, l); err != nil {
		return err
	}
	if err := t.introduce(c); err != nil {
		return err
	}
	if err := t.join(c); err != nil {
		return err
	}
	if err := t.replicate(c, l, ids); err != nil {
		return err
	}
	after, err := t.discover(c[0].addr())
	defer after.close()
	if err != nil {
		return err
	}
	return t.check(after, false)
}

// Ensure is Create, without a question, for those who may have called it before: if the first node
// knows other nodes already, it makes nothing, waits until that node says that
// the cluster is ok, and checks it.
func (t *Tool) Ensure(addrs []string, replicas int) error {
	t.Sure = true
	host, port, err := client.SplitAddr(addrs[0])
	if err != nil {
		t.line("Invalid address format: %s", addrs[0])
		return ErrFailed
	}
	m, err := t.connect(host, port)
	if err != nil {
		return err
	}
	defer m.conn.Close()
	if len(m.view.entries) == 1 {
		return t.Create(addrs, replicas)
	}
	err = t.wait("The cluster is there; waiting until it serves", func() error {
		d, err := Describe(m.conn)
		if err == nil && d.State != "ok" {
			err = fmt.Errorf("node %s says cluster_state:%s", m.addr(), d.State)
		}
		return err
	})
	if err != nil {
		return err
	}
	return t.Check(addrs[0], false)
}

// emptyNodes connects to the nodes and refuses those that hold keys or know
// other nodes. What is connected is returned with an error too.
func (t *Tool) emptyNodes(addrs []string) (cluster, error) {
	c, err := t.connectAll(addrs)
	if err != nil {
		return c, err
	}
	for _, m := range c {
		empty, err := m.empty()
		if err != nil {
			return c, t.replied(m, err)
		}
		if !empty {
			return c, t.fail("Node %s is not empty. Either the node already knows other nodes (check with CLUSTER NODES) or contains some key in database 0.", m.addr())
		}
	}
	return c, nil
}

// connectAll connects to the nodes and refuses those that are no cluster nodes
// or are named twice. What is connected is returned with an error too.
func (t *Tool) connectAll(addrs []string) (cluster, error) {
	var c cluster
	for _, addr := range addrs {
		host, port, err := client.SplitAddr(addr)
		if err != nil {
			t.line("Invalid address format: %s", addr)
			return c, ErrFailed
		}
		m, err := t.connect(host, port)
		if err != nil {
			return c, err
		}
		if same := c.byID(m.id()); same != nil {
			m.conn.Close()
			return c, t.fail("Node %s is the same node as %s.", addr, same.addr())
		}
		c = append(c, m)
	}
	return c, nil
}

// empty reports whether the node has no keys and knows no other node.
func (m *member) empty() (bool, error) {
	info, err := m.conn.Do("INFO")
	if err != nil {
		return false, err
	}
	if _, keys := InfoField(info.String(), "db0"); keys {
		return false, nil
	}
	ci, err := m.conn.Do("CLUSTER", "INFO")
	if err != nil {
		return false, err
	}
	known, _ := InfoField(ci.String(), "cluster_known_nodes")
	return known == "1", nil
}

// draw makes the plan and prints it. ids maps each place to its node's id.
func (t *Tool) draw(c cluster, replicas int) (*layout, map[*place]string, error) {
	nodes := make([]*place, len(c))
	ids := map[*place]string{}
	for i, m := range c {
		nodes[i] = &place{host: m.host, addr: m.addr()}
		ids[nodes[i]] = m.id()
	}
	l, err := plan(nodes, replicas)
	if err != nil {
		return nil, nil, t.tooFew(len(c), replicas)
	}
	t.step("Performing hash slots allocation on %d nodes...", len(c))
	for i, p := range l.primaries {
		r := p.slots.Ranges()[0]
		t.line("Master[%d] -> Slots %d - %d", i, r.First, r.Last)
	}
	extra := false
	for _, a := range l.assigned {
		if a.extra && !extra {
			extra = true
			t.line("Adding extra replicas...")
		}
		t.line("Adding replica %s to %s", a.replica.addr, a.primary.addr)
	}
	t.antiAffinity(l)
	for _, p := range l.nodes {
		t.line("%s", p.describe(func(p *place) string { return ids[p] }))
	}
	return l, ids, nil
}

// tooFew refuses to make a cluster of so few nodes, in redis-cli's words.
func (t *Tool) tooFew(nodes, replicas int) error {
	t.line("*** ERROR: Invalid configuration for cluster creation.")
	t.line("*** %v.", errTooFew)
	t.line("*** This is not possible with %d nodes and %d replicas per node.", nodes, replicas)
	t.line("*** At least %d nodes are required.", 3*(replicas+1))
	return ErrFailed
}

// antiAffinity spreads shards over hosts and says how well that went. The
// same nodes get the same layout every time: the seed is fixed.
func (t *Tool) antiAffinity(l *layout) {
	if score, _ := l.score(); score == 0 {
		return
	}
	t.step("Trying to optimize slaves allocation for anti-affinity")
	switch score := l.spread(rand.New(rand.NewPCG(1, uint64(len(l.nodes))))); {
	case score == 0:
		t.ok("Perfect anti-affinity obtained!")
	case score >= besidePrimary:
		t.warn("Some slaves are in the same host as their master")
	default:
		t.warn("Some slaves of the same master are in the same host")
	}
}

// confirm asks a question that only "yes" answers with yes.
func (t *Tool) confirm(question string) bool {
	answer, _ := t.ask(question + " (type 'yes' to accept): ")
	return strings.EqualFold(answer, "yes")
}

// ask prints a question and reads a line. ok is false if there is none to read.
func (t *Tool) ask(question string) (answer string, ok bool) {
	fmt.Fprint(t.Out, question)
	if t.In == nil {
		return "", false
	}
	if t.answers == nil {
		t.answers = bufio.NewReader(t.In)
	}
	type read struct {
		line string
		err  error
	}
	arrived := make(chan read, 1)
	go func() { // which a reader that never answers keeps; the process ends then
		line, err := t.answers.ReadString('\n')
		arrived <- read{line, err}
	}()
	for {
		select {
		case r := <-arrived:
			return strings.TrimSpace(r.line), r.err == nil || r.line != ""
		case <-time.After(50 * time.Millisecond):
			if t.stopping() {
				t.line("")
				return "", false
			}
		}
	}
}

// agreed reports whether a plan that was printed is to be carried out: not in a dry
// run, and else if the user is sure or says yes. The error is what the command returns
// if not.
func (t *Tool) agreed(question string) (bool, error) {
	if t.Plan {
		t.line("This is a plan: nothing has been changed.")
		return false, nil
	}
	if !t.Sure && !t.confirm(question) {
		t.line("Nothing has been changed: the answer was not yes.")
		if t.stopping() {
			return false, ErrInterrupted
		}
		return false, ErrFailed
	}
	return true, nil
}

// assignSlots gives the primaries the slots they lack and every node an epoch of
// its own, which spares the new cluster a round of epoch collisions.
func (t *Tool) assignSlots(c cluster, l *layout) error {
	for i, p := range l.nodes {
		if p.primary != nil {
			continue
		}
		lacking := p.slots.Without(&c[i].view.self().slots)
		if lacking.Empty() {
			continue
		}
		args := []string{"CLUSTER", "ADDSLOTS"}
		lacking.Each(func(s slots.Slot) bool {
			args = append(args, strconv.Itoa(int(s)))
			return true
		})
		if _, err := c[i].conn.Do(args...); err != nil {
			return t.replied(c[i], err)
		}
	}
	t.step("Nodes configuration updated")
	t.step("Assign a different config epoch to each node")
	for i, m := range c {
		// A node that is or was in a cluster may refuse, and keeps its epoch.
		if _, err := m.conn.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil && client.Code(err) == "" {
			return t.replied(m, err)
		}
	}
	return nil
}

// introduce makes every node meet the first.
func (t *Tool) introduce(c cluster) error {
	t.step("Sending CLUSTER MEET messages to join the cluster")
	meet, err := c[0].invitation()
	if err != nil {
		return t.fail("Invalid IP address or hostname specified: %s", c[0].host)
	}
	for _, m := range c[1:] {
		if _, err := m.conn.Do(meet...); err != nil {
			return t.replied(m, err)
		}
	}
	return nil
}

// invitation is the command that has another node begin a handshake with m. While one is
// under way it does nothing.
func (m *member) invitation() ([]string, error) {
	// CLUSTER MEET takes IP addresses only.
	ip, err := net.ResolveIPAddr("ip", m.host)
	if err != nil {
		return nil, err
	}
	args := []string{"CLUSTER", "MEET", ip.String(), strconv.Itoa(m.port)}
	if bus := m.view.self().busPort; bus != 0 && bus != m.port+10000 {
		args = append(args, strconv.Itoa(bus))
	}
	return args, nil
}

// replicate makes the replicas replicate, and waits until they do.
func (t *Tool) replicate(c cluster, l *layout, ids map[*place]string) error {
	want := map[string]string{}
	for i, p := range l.nodes {
		if p.primary == nil {
			continue
		}
		primary := ids[p.primary]
		want[c[i].id()] = primary
		if c[i].view.self().primary == primary {
			continue
		}
		if _, err := c[i].conn.Do("CLUSTER", "REPLICATE", primary); err != nil {
			return t.replied(c[i], err)
		}
	}
	return t.wait("Waiting for the replicas", func() error { return c.serving(want) })
}
