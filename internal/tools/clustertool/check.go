package clustertool

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"redoubt/slots"
)

// Check prints the cluster of which addr is a member and whether it is well:
// all nodes agree, no slot is open, every slot is covered. With
// searchOwners it also looks for slots whose keys lie on several nodes. The
// error is ErrFailed if the cluster is not well.
func (t *Tool) Check(addr string, searchOwners bool) error {
	c, err := t.discover(addr)
	defer c.close()
	if err != nil {
		return err
	}
	if err := t.info(c); err != nil {
		return err
	}
	return t.check(c, searchOwners)
}

func (t *Tool) check(c cluster, searchOwners bool) error {
	t.step("Performing Cluster Check (using node %s)", c[0].addr())
	for _, m := range c {
		t.showNode(c, m)
	}
	well := t.checkAgreement(c)
	well = t.checkOpenSlots(c) && well
	well = t.checkCoverage(c) && well
	if searchOwners {
		well = t.checkOwners(c) && well
	}
	if !well {
		return ErrFailed
	}
	return nil
}

// showNode prints a node in redis-cli's form.
func (t *Tool) showNode(c cluster, m *member) {
	self := m.view.self()
	letter, role := "M", "master"
	if self.replica() {
		letter, role = "S", "slave"
	}
	t.line("%s: %s %s", letter, self.id, m.addr())
	t.line("   slots:%s (%d slots) %s", bracketed(self.slots), self.slots.Len(), role)
	if self.primary != "" {
		t.line("   replicates %s", self.primary)
	} else if n := c.replicas(m); n > 0 {
		t.line("   %d additional replica(s)", n)
	}
}

// checkAgreement compares every node's view of the owners with that of the
// first, and names the nodes that differ.
func (t *Tool) checkAgreement(c cluster) bool {
	var odd []string
	want := c[0].view.owners()
	for _, m := range c {
		if err := m.load(); err != nil {
			odd = append(odd, fmt.Sprintf("%s does not answer: %v", m.addr(), err))
		} else if d := m.view.difference(want, c.name); d != "" {
			odd = append(odd, fmt.Sprintf("%s disagrees with %s: %s", m.addr(), c[0].addr(), d))
		}
	}
	if len(odd) > 0 {
		t.err("Nodes don't agree about configuration!")
		for _, o := range odd {
			t.line("    %s", o)
		}
		return false
	}
	t.ok("All nodes agree about slots configuration.")
	return true
}

func (t *Tool) checkOpenSlots(c cluster) bool {
	t.step("Check for open slots...")
	var all slots.Set
	for _, m := range c {
		self := m.view.self()
		t.warnOpen(m, "migrating", self.migrating, &all)
		t.warnOpen(m, "importing", self.importing, &all)
	}
	if all.Empty() {
		return true
	}
	t.warn("The following slots are open: %s.", numbers(all))
	return false
}

// warnOpen reports a node's open slots and adds them to all.
func (t *Tool) warnOpen(m *member, state string, open map[slots.Slot]string, all *slots.Set) {
	if len(open) == 0 {
		return
	}
	var set slots.Set
	for s := range maps.Keys(open) {
		set.Add(s)
		all.Add(s)
	}
	t.warn("Node %s has slots in %s state %s.", m.addr(), state, numbers(set))
}

// numbers writes a set as "1,2,3".
func numbers(t slots.Set) string {
	var out []string
	t.Each(func(s slots.Slot) bool {
		out = append(out, strconv.Itoa(int(s)))
		return true
	})
	return strings.Join(out, ",")
}

// checkCoverage looks whether the nodes' own slots are all slots.
func (t *Tool) checkCoverage(c cluster) bool {
	t.step("Check slots coverage...")
	var covered slots.Set
	for _, m := range c {
		m.view.self().slots.Each(func(s slots.Slot) bool {
			covered.Add(s)
			return true
		})
	}
	if covered == slots.All() {
		t.ok("All %d slots covered.", slots.Count)
		return true
	}
	t.err("Not all %d slots are covered by nodes.", slots.Count)
	missing := slots.All()
	missing = missing.Without(&covered)
	// Whom the first node takes for the owner: it is down, or nobody is.
	for i := range c[0].view.entries {
		e := &c[0].view.entries[i]
		if both := common(&missing, &e.slots); !both.Empty() {
			t.line("    slots %s belong to %s:%d, which is not there", slotList(both), e.host, e.port)
			missing = missing.Without(&both)
		}
	}
	if !missing.Empty() {
		t.line("    slots %s have no owner", slotList(missing))
	}
	return false
}

// checkOwners looks for slots that a node owns while another owns them too or
// holds keys of them. It asks every primary about every slot, a thousand
// questions at a time.
func (t *Tool) checkOwners(c cluster) bool {
	t.step("Check for multiple slot owners...")
	owners := make([][]string, slots.Count)
	for _, m := range c {
		if m.view.self().replica() {
			continue
		}
		counts, err := m.countKeys(slots.All())
		if err != nil {
			t.replied(m, err)
			return false
		}
		for s, keys := range counts {
			if self := m.view.self(); keys > 0 || self.slots.Has(slots.Slot(s)) {
				owners[s] = append(owners[s], m.addr())
			}
		}
	}
	well := true
	for s, who := range owners {
		if len(who) > 1 {
			well = false
			t.warn("Slot %d has %d owners:", s, len(who))
			for _, w := range who {
				t.line("    %s", w)
			}
		}
	}
	if well {
		t.ok("No multiple owners found.")
	}
	return well
}
