package clustertool

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// wait prints what it waits for and a dot a second until ready returns nil,
// at most as long as Timeout. When it gives up it prints what ready said
// last.
func (t *Tool) wait(what string, ready func() error) error {
	t.line("%s", what)
	start := time.Now()
	dots := 0
	err := client.Wait(t.timeout(), func() error {
		if since := int(time.Since(start) / time.Second); since > dots {
			dots = since
			fmt.Fprint(t.Out, ".")
		}
		return ready()
	})
	t.line("")
	if err != nil {
		return t.fail("%s: gave up after %v: %v", what, t.timeout(), err)
	}
	return nil
}

// join waits until all nodes know each other and agree about the slots.
func (t *Tool) join(c cluster) error {
	want := map[string]slots.Set{}
	for _, m := range c {
		if err := m.load(); err != nil {
			return t.replied(m, err)
		}
		if s := m.view.self().slots; !s.Empty() {
			want[m.id()] = s
		}
	}
	return t.wait("Waiting for the cluster to join", func() error { return c.joined(want) })
}

// joined returns why the cluster is not yet one: the first node that lacks
// another, a link, or the right owners.
func (c cluster) joined(want map[string]slots.Set) error {
	for _, m := range c {
		if err := m.load(); err != nil {
			return fmt.Errorf("node %s: %w", m.addr(), err)
		}
		for _, o := range c {
			e := m.view.byID(o.id())
			switch {
			case e == nil || e.is("handshake"):
				return fmt.Errorf("node %s does not know %s yet", m.addr(), o.addr())
			case o != m && !e.connected:
				return fmt.Errorf("node %s has no link to %s: the cluster bus port %d of that node must be reachable from every node", m.addr(), o.addr(), e.busPort)
			case e.is("fail?") || e.is("fail"):
				return fmt.Errorf("node %s thinks that %s has failed", m.addr(), o.addr())
			}
		}
		if d := m.view.difference(want, c.name); d != "" {
			return fmt.Errorf("node %s disagrees about the slots: %s", m.addr(), d)
		}
	}
	return nil
}

// serving returns why the cluster does not serve as planned: the first node
// that is not ok, does not see a replica's role, or does not replicate. want
// maps the ids of replicas to those of their primaries.
func (c cluster) serving(want map[string]string) error {
	for _, m := range c {
		if err := m.load(); err != nil {
			return fmt.Errorf("node %s: %w", m.addr(), err)
		}
		for _, replica := range slices.Sorted(maps.Keys(want)) {
			if e := m.view.byID(replica); e == nil || e.primary != want[replica] {
				return fmt.Errorf("node %s does not see %s as a replica of %s yet", m.addr(), c.name(replica), c.name(want[replica]))
			}
		}
		ci, err := m.conn.Do("CLUSTER", "INFO")
		if err != nil {
			return fmt.Errorf("node %s: %w", m.addr(), err)
		}
		if state, _ := InfoField(ci.String(), "cluster_state"); state != "ok" {
			return fmt.Errorf("node %s says cluster_state:%s", m.addr(), state)
		}
		if want[m.id()] == "" {
			continue
		}
		info, err := m.conn.Do("INFO", "replication")
		if err != nil {
			return fmt.Errorf("node %s: %w", m.addr(), err)
		}
		if link, _ := InfoField(info.String(), "master_link_status"); link != "up" {
			return fmt.Errorf("replica %s has no replication link to its primary %s", m.addr(), c.name(want[m.id()]))
		}
	}
	return nil
}
