package cluster

import (
	"maps"

	"redoubt/bus"
	"redoubt/slots"
)

// Open slots survive failovers at both ends. A node at one end follows the
// other end to its successor (repoint), as in Valkey 8. And a primary tells its
// replicas of this product which slots it has open, with each PING and PONG and
// at once when that changes: its successor goes on where it was, or keys that
// have left the slot would look as if they did not exist. Valkey 8 replicates
// SETSLOT for that, which Redis's replicas answer with an error.

// repoint makes q the other end of the open slots whose other end was p, which q
// has replaced in its shard.
func (n *Node) repoint(p, q *peer) {
	for _, open := range []map[slots.Slot]*peer{n.table.migrating, n.table.importing} {
		for s, end := range open {
			if end == p {
				open[s] = q
				n.table.changes++
				n.save()
			}
		}
	}
}

// openList is the open slots of this node, for its replicas.
func (n *Node) openList() (list []bus.OpenSlot) {
	for _, o := range openSlots(n.table.migrating) {
		list = append(list, bus.OpenSlot{Slot: o.Slot, Node: o.Node})
	}
	for _, o := range openSlots(n.table.importing) {
		list = append(list, bus.OpenSlot{Slot: o.Slot, Node: o.Node, Importing: true})
	}
	return list
}

// inheritOpenSlots takes over what the primary of this replica has open.
func (n *Node) inheritOpenSlots(list []bus.OpenSlot) {
	migrating, importing := make(map[slots.Slot]*peer), make(map[slots.Slot]*peer)
	for _, o := range list {
		end := n.peers[o.Node]
		switch {
		case end == nil: // it will be known when the list comes again
		case o.Importing:
			importing[o.Slot] = end
		default:
			migrating[o.Slot] = end
		}
	}
	t := &n.table
	if maps.Equal(t.migrating, migrating) && maps.Equal(t.importing, importing) {
		return
	}
	t.migrating, t.importing = migrating, importing
	t.changes++
	n.save()
}

// tellReplicas tells the replicas of this product that something has changed.
func (n *Node) tellReplicas() {
	for _, p := range n.myself.replicas {
		if p.redoubt && p.connected() {
			n.send(p.out, n.gossipMessage(bus.TypePong, p))
		}
	}
}
