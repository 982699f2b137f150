package cluster

import (
	"redoubt/bus"
	"redoubt/slots"
)

// Serving is the part of a View that decides whether a node takes writes. It
// costs next to nothing, where a View costs a copy of all nodes.
type Serving struct {
	// OK is cluster_state:ok.
	OK bool
	// Replica and Slots are the node's role and what it owns. The set is not
	// changed any more: another pointer may be another set. It is nil if the node
	// owns nothing.
	Replica bool
	Slots   *slots.Set
	// Size is how many primaries with slots the node counts.
	Size int
}

// Serving tells it after the last Step.
func (n *Node) Serving() Serving {
	s := Serving{OK: n.health.ok, Replica: n.myself.isReplica(), Size: n.health.size}
	if n.myself.slotCount > 0 {
		s.Slots = n.myself.sharedSet()
	}
	return s
}

// Place is the primary of a replica, empty if it has none or is none, and the config
// epoch of the node's shard, as its View has them.
func (n *Node) Place() (primary bus.NodeID, epoch bus.Epoch) {
	if p := n.myself.primary; p != nil {
		return p.id, p.configEpoch
	}
	return "", n.myself.configEpoch
}
