package clustertool

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"redoubt/internal/tools/client"
)

// Node is a node as whoever restarts it knows it.
type Node struct {
	ID, Host string
	Port     int
}

// Addr is "host:port".
func (n Node) Addr() string { return net.JoinHostPort(n.Host, strconv.Itoa(n.Port)) }

// UpgradeOptions say how nodes are restarted.
type UpgradeOptions struct {
	// Restart ends the node and starts it again; it may return before the node answers.
	Restart func(Node) error
	// Since: nodes that were started after it are done. Zero: none is.
	Since time.Time
}

// Upgrade restarts all nodes of the cluster of which addr is a member, one at a time:
// replicas first; a primary hands over to one of its replicas and is restarted as a
// replica. Before each step the cluster must be healthy. It stops at the first node that
// does not come back, and says how to go on.
func (t *Tool) Upgrade(addr string, o UpgradeOptions) error {
	began := time.Now()
	if !o.Since.IsZero() {
		began = o.Since
	}
	s, err := Survey([]string{addr}, t.Client)
	if err != nil {
		return t.fail("%v", err)
	}
	if problems := s.Problems(); len(problems) > 0 {
		for _, p := range problems {
			t.warn("%s", p.Text)
		}
		return t.fail("The cluster is not healthy: it would not survive the restart of a node. Nothing has been restarted.")
	}
	steps, err := s.upgradeSteps(o.Since)
	if err != nil {
		return t.fail("%v", err)
	}
	if len(steps) == 0 {
		t.ok("All %d nodes were started since %s: there is nothing to do.", len(s.nodes), o.Since.Format(time.RFC3339))
		return nil
	}
	t.step("What is to be done, one after the other:")
	for _, st := range steps {
		t.line("    %s", st.describe(s.name))
	}
	if ok, err := t.agreed("Restart these nodes?"); !ok {
		return err
	}
	for i, st := range steps {
		if t.stopping() {
			t.line("Interrupted: %d of %d steps are done.", i, len(steps))
			err = ErrInterrupted
		} else {
			t.step("Step %d of %d: %s", i+1, len(steps), st.describe(s.name))
			err = t.upgradeStep(s, st, o)
		}
		if err != nil {
			t.line("To go on with the nodes that are left, give the same command again with --since %s", began.UTC().Format(time.RFC3339))
			return err
		}
	}
	t.ok("All %d nodes are restarted, in %v.", len(s.nodes), time.Since(began).Round(time.Second))
	return nil
}

// upgradeStep is one step of Upgrade.
type upgradeStep struct {
	node     string // id
	takeover string // id of the replica that takes over from node; "" restarts node
}

func (st upgradeStep) describe(name func(id string) string) string {
	if st.takeover != "" {
		return fmt.Sprintf("%s hands over to its replica %s", name(st.node), name(st.takeover))
	}
	return "restart " + name(st.node)
}

// upgradeSteps is the order in which nodes are restarted: all replicas, then each
// primary after it has handed over. Nodes that were started since are left out.
func (s *Picture) upgradeSteps(since time.Time) (steps []upgradeStep, err error) {
	old := func(n *surveyed) bool {
		return since.IsZero() || n.asked.Add(-time.Duration(n.number("uptime_in_seconds"))*time.Second).Before(since)
	}
	for _, n := range s.nodes {
		if n.self().replica() && old(n) {
			steps = append(steps, upgradeStep{node: n.id})
		}
	}
	for _, n := range s.nodes {
		self := n.self()
		if self.replica() || !old(n) {
			continue
		}
		if !self.slots.Empty() {
			heir := s.heirOf(n)
			if heir == nil {
				return nil, fmt.Errorf("primary %s has no replica that could take over while it restarts", n.addr)
			}
			steps = append(steps, upgradeStep{n.id, heir.id})
		}
		steps = append(steps, upgradeStep{node: n.id})
	}
	return steps, nil
}

// heirOf is the replica that takes over from a primary: the one that has most of the
// stream, and of equals the first.
func (s *Picture) heirOf(primary *surveyed) (heir *surveyed) {
	for _, n := range s.nodes {
		if self := n.self(); self.replica() && self.primary == primary.id && n.field("master_link_status") == "up" &&
			(heir == nil || n.number("slave_repl_offset") > heir.number("slave_repl_offset")) {
			heir = n
		}
	}
	return heir
}

// addrs is where all nodes are, to be asked for a new picture.
func (s *Picture) addrs() (all []string) {
	for _, n := range s.nodes {
		all = append(all, n.addr)
	}
	return all
}

func (t *Tool) upgradeStep(s *Picture, st upgradeStep, o UpgradeOptions) error {
	n := s.byID[st.node]
	if st.takeover != "" {
		return t.handOverStep(s, st)
	}
	before, err := Survey([]string{n.addr}, t.Client)
	if err != nil {
		return t.fail("%v", err)
	}
	now := before.byID[st.node]
	if self := now.self(); !self.replica() && !self.slots.Empty() {
		return t.fail("%s is a primary now: a failover has come between. Nothing has been done to it.", n.addr)
	}
	run := now.field("run_id")
	host, port, err := net.SplitHostPort(n.addr)
	if err != nil {
		return t.fail("%v", err)
	}
	number, _ := strconv.Atoi(port)
	if err := o.Restart(Node{st.node, host, number}); err != nil {
		return t.fail("%s could not be restarted: %v", n.addr, err)
	}
	err = t.waitOut(fmt.Sprintf("Waiting until %s is back and the cluster is healthy", n.addr), func() error { return s.restarted(st.node, run, t.Client) })
	if err != nil && !errors.Is(err, ErrInterrupted) {
		t.line("The upgrade stops here: as long as %s is away, its shard has a node less. Look at its log, start it, and wait until redoubt cluster status says that all is well.", n.addr)
	}
	return err
}

// restarted returns why a node that is being restarted is not back, or why the cluster is
// not healthy yet. run is the id of the run that is to end.
func (s *Picture) restarted(id, run string, o client.Options) error {
	n := s.byID[id]
	others := slices.DeleteFunc(s.addrs(), func(a string) bool { return a == n.addr })
	after, err := Survey(append(others, n.addr), o)
	if err != nil {
		return err
	}
	now := after.byID[id]
	switch {
	case now == nil || !now.answers():
		return fmt.Errorf("%s does not answer", n.addr)
	case now.field("run_id") == run:
		return fmt.Errorf("%s was not restarted: it is still the same process (run_id %.8s…)", n.addr, run)
	case now.field("loading") == "1":
		return fmt.Errorf("%s loads its data", n.addr)
	}
	if problems := after.Problems(); len(problems) > 0 {
		return errors.New(problems[0].Text)
	}
	return nil
}

// handOverStep has a primary hand over, if it is still that.
func (t *Tool) handOverStep(s *Picture, st upgradeStep) error {
	c, err := t.discover(s.name(st.takeover))
	defer c.close()
	if err != nil {
		return err
	}
	replica, primary := c[0], c.byID(st.node)
	if primary == nil || replica.view.self().primary != st.node {
		return t.fail("%s is no replica of %s any more. Nothing has been done.", replica.addr(), s.name(st.node))
	}
	took, err := t.takeOver(c, replica, primary, HandOver)
	if err == nil {
		t.line("That took %v.", took.promoted.Round(time.Millisecond))
	}
	return err
}

// CommandFor fills {host}, {port}, {addr} and {id} of a node into a command for a
// shell. What a node says of itself may not have a meaning to the shell.
func CommandFor(template string, n Node) (string, error) {
	for _, v := range []string{n.Host, n.ID} {
		if v == "" || strings.ContainsFunc(v, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_", r)
		}) || v[0] == '-' {
			return "", fmt.Errorf("%q cannot be a part of a command", v)
		}
	}
	filled := strings.NewReplacer("{host}", n.Host, "{port}", strconv.Itoa(n.Port), "{addr}", n.Addr(), "{id}", n.ID).Replace(template)
	if filled == template {
		return "", fmt.Errorf("the command %q names no node: it needs {host}, {port}, {addr} or {id}", template)
	}
	return filled, nil
}
