package cluster

import "redoubt/bus"

// setSlot executes CLUSTER SETSLOT: the steps of moving a slot by hand.
func (n *Node) setSlot(cmd SetSlot) error {
	if n.myself.isReplica() {
		return refuse("Please use SETSLOT only with masters.")
	}
	switch cmd.Action {
	case SlotMigrating:
		return n.openMigrating(cmd)
	case SlotImporting:
		return n.openImporting(cmd)
	case SlotNode:
		return n.assignSlot(cmd)
	}
	return n.closeSlot(cmd)
}

// closeSlot is SETSLOT STABLE. Of a slot that is withheld it is the end of the move.
func (n *Node) closeSlot(cmd SetSlot) error {
	s := cmd.Slot
	gone := n.whoHas(s)
	if gone != nil && cmd.Keys > 0 {
		return gone
	}
	if n.leadsShard() {
		o := n.ownership()
		o.Migrating, o.Importing = openIn(o.Migrating, s, ""), openIn(o.Importing, s, "")
		if gone != nil {
			o.Slots.Remove(s)
		}
		return n.agree(Agreement{Ownership: o}, nil)
	}
	delete(n.table.importing, s)
	delete(n.table.migrating, s)
	n.table.changes++
	return nil
}

func (n *Node) openMigrating(cmd SetSlot) error {
	if n.table.owner[cmd.Slot] != n.myself {
		return refuse("I'm not the owner of hash slot %d", cmd.Slot)
	}
	p, err := n.otherEnd(cmd.ID)
	if err != nil {
		return err
	}
	if n.leadsShard() {
		return n.agreeOn(func(o *Ownership) { o.Migrating = openIn(o.Migrating, cmd.Slot, p.id) })
	}
	n.table.migrating[cmd.Slot] = p
	n.table.changes++
	return nil
}

func (n *Node) openImporting(cmd SetSlot) error {
	if n.table.owner[cmd.Slot] == n.myself {
		return refuse("I'm already the owner of hash slot %d", cmd.Slot)
	}
	p, err := n.otherEnd(cmd.ID)
	if err != nil {
		return err
	}
	if n.leadsShard() {
		return n.agreeOn(func(o *Ownership) { o.Importing = openIn(o.Importing, cmd.Slot, p.id) })
	}
	n.table.importing[cmd.Slot] = p
	n.table.changes++
	return nil
}

func (n *Node) otherEnd(id bus.NodeID) (*peer, error) {
	p := n.peers[id]
	switch {
	case p == nil:
		return nil, refuse("I don't know about node %s", id)
	case p.isReplica():
		return nil, refuse("Target node is not a master")
	}
	return p, nil
}

// assignSlot is SETSLOT NODE. On the importing side it ends the move: the node
// takes a new epoch, so that its claim beats the old owner's.
func (n *Node) assignSlot(cmd SetSlot) error {
	s, me := cmd.Slot, n.myself
	p := n.peers[cmd.ID]
	mine := n.table.owner[s] == me || n.withheld.Has(s)
	gone := n.withheld.Has(s) && n.table.owner[s] == p
	if cmd.Offer && !gone {
		return nil
	}
	switch {
	case p == nil:
		return errUnknownNode(cmd.ID)
	case p.isReplica():
		return refuse("Target node is not a master")
	case gone && cmd.Keys > 0 && !cmd.Offer:
		return nil // it is p's, as far as it can be
	case mine && p != me && cmd.Keys > 0:
		return refuse("Can't assign hashslot %d to a different node while I still hold keys for this hash slot.", s)
	}
	imported := p == me && n.table.importing[s] != nil
	if p == me {
		if err := n.whoHas(s); err != nil {
			return err
		}
		imported = imported || n.withheld.Has(s) // it takes a greater epoch to have it back
	}
	if n.leadsShard() && (mine || p == me) {
		return n.agreeToAssign(cmd, p, imported)
	}
	if cmd.Keys == 0 {
		delete(n.table.migrating, s)
	}
	if imported && (!n.bumpEpoch() || n.cfg.Quorum) { // a quorum shard gets its epoch later
		n.beginClaim() // the slot, too, is shown only when it is on disk
	}
	n.rebind(s, p)
	if mine && p != me && me.slotCount == 0 {
		if n.cfg.AllowReplicaMigration {
			n.note("Configuration change detected. Reconfiguring myself as a replica of %s", peerName(p))
			n.becomeReplicaOf(p)
		} else {
			n.noteIfEmptied(p)
		}
	}
	if imported {
		delete(n.table.importing, s)
		n.broadcastPong()
	}
	return nil
}

// agreeToAssign is assignSlot of a slot that this primary has, or is to have, where its shard
// agrees on that.
func (n *Node) agreeToAssign(cmd SetSlot, p *peer, imported bool) error {
	o := n.ownership()
	if cmd.Keys == 0 {
		o.Migrating = openIn(o.Migrating, cmd.Slot, "")
	}
	if p != n.myself {
		o.Slots.Remove(cmd.Slot)
		return n.agree(Agreement{Ownership: o}, p)
	}
	o.Slots.Add(cmd.Slot)
	o.Importing = openIn(o.Importing, cmd.Slot, "")
	err := n.agree(Agreement{Ownership: o, Epoch: imported && n.myself.configEpoch != n.maxEpoch()}, nil)
	if err == nil {
		n.agreement.back.Add(cmd.Slot)
	}
	return err
}

// binding reports whether what a command is about to change must be on disk
// before it is answered. All must, but for one form of SETSLOT: that a slot goes
// from one of the others to another of them is hearsay. Its new owner has it on
// disk, and claims it in each message. redis-cli tells every primary of every
// slot that it moves; an fsync for each would be most of the time that takes.
//
// The marks of open slots are no hearsay. A source that lost its mark in a crash
// would answer that keys which have moved already do not exist.
func (n *Node) binding(ev Event) bool {
	set, ok := ev.(SetSlot)
	return !ok || set.Action != SlotNode || n.table.owner[set.Slot] == n.myself || set.ID == n.myself.id
}
