package cluster

import (
	"redoubt/bus"
	"redoubt/slots"
)

// durability keeps promises behind the disk.
//
// A claim is an own config epoch that this node made up: it won an election,
// bumped its epoch or moved out of a collision. If others heard of it and
// a crash took it, two nodes could end with one epoch. So while a claim is on
// its way to the disk, ordinary messages show the node as it was before.
// Everything else in a header is hearsay or can be learned again.
type durability struct {
	version uint64 // of the last State given out
	durable uint64 // of the last State known to be on disk
	claim   uint64 // the version that carries the newest claim

	due     bool // save with the next tick
	urgent  bool // save with this Step
	claimed bool // this Step made a claim
	whole   bool // an administrator asked for a whole nodes.conf

	settled identity // what to tell while a claim is pending
}

// identity is what a header says about the place of its sender in the cluster.
type identity struct {
	flags       bus.Flags
	primary     bus.NodeID
	configEpoch bus.Epoch
	slots       *slots.Set // its own or its primary's; not changed any more
}

// save asks for nodes.conf to be written soon.
func (n *Node) save() { n.disk.due, n.view.news = true, true }

// saveNow asks for nodes.conf to be written with the effects of this Step.
func (n *Node) saveNow() { n.disk.urgent, n.view.news = true, true }

// beginClaim must be called before the node takes an epoch of its own making.
func (n *Node) beginClaim() {
	if !n.claimPending() {
		n.disk.settled = n.identity()
		if head := n.myself.head(); head != nil {
			n.disk.settled.slots = head.sharedSet()
		}
	}
	n.disk.claimed = true
	n.saveNow()
}

func (n *Node) claimPending() bool {
	return n.disk.claimed || n.disk.claim > n.disk.durable
}

// flush gives out the state if it has to be saved now.
func (n *Node) flush() {
	d := &n.disk
	if !d.urgent {
		return
	}
	d.version++
	if d.claimed {
		d.claim = d.version
	}
	d.due, d.urgent, d.claimed = false, false, false
	n.fx.Persist = n.state()
	n.fx.Persist.Whole, d.whole = d.whole, false
}
