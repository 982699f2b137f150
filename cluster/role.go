package cluster

import (
	"redoubt/bus"
	"redoubt/slots"
)

// absorbRole takes in whether the sender is a primary or whose replica it is.
// It returns false if the message is too old to be believed any further.
func (n *Node) absorbRole(sender *peer, m *bus.Message) bool {
	if m.Primary == "" {
		n.makePrimary(sender)
		return true
	}
	primary := n.peers[m.Primary]
	if sender.isPrimary() {
		if !n.demote(sender, primary, m) {
			return false
		}
	}
	if primary != nil && primary != sender && sender.primary != primary {
		n.follow(sender, primary)
		sender.shardID = primary.shardID
		n.save()
	}
	n.avoidChain()
	return true
}

// demote notes that a primary has become a replica. If its new primary is of
// its shard, it has been failed over, and the slots go with it: otherwise they
// would be nobody's until the new primary's own message arrives. This is the
// rule of Redis 7.4 and Valkey 8; 7.0 drops the slots.
func (n *Node) demote(sender, primary *peer, m *bus.Message) bool {
	if primary != nil && primary != sender && sender.slotCount > 0 && n.sameShard(sender, primary) {
		if sender.configEpoch > m.ConfigEpoch {
			n.note("Ignoring stale message of %s: it was a replica of %s before epoch %d",
				peerName(sender), peerName(primary), sender.configEpoch)
			return false
		}
		if primary != n.myself {
			n.makePrimary(primary)
			primary.configEpoch = max(primary.configEpoch, m.ConfigEpoch)
			n.rebindAll(sender, primary)
			n.stats.takeovers++
			n.repoint(sender, primary)
		}
	}
	if sender.slotCount > 0 {
		n.unbindAll(sender)
	}
	sender.flags = sender.flags&^(bus.FlagPrimary|bus.FlagMigrateTo) | bus.FlagReplica
	n.save()
	n.todo.state = true
	return true
}

// avoidChain keeps a replica from having a replica as its primary, which
// happens when a primary lost its last slot and nobody else took it.
func (n *Node) avoidChain() {
	me := n.myself
	if me.primary == nil || me.primary.primary == nil || me.primary.primary == me {
		return
	}
	n.note("I'm a sub-replica! Reconfiguring myself as a replica of grandmaster %s", peerName(me.primary.primary))
	n.becomeReplicaOf(me.primary.primary)
}

// becomeReplicaOf makes this node a replica of p (clusterSetMaster). It must
// own no slots.
func (n *Node) becomeReplicaOf(p *peer) {
	me := n.myself
	if me.isPrimary() {
		me.flags = me.flags&^(bus.FlagPrimary|bus.FlagMigrateTo) | bus.FlagReplica
	}
	n.withheld = slots.Set{}
	n.closeAllSlots() // if the primary has open ones, it says so
	n.follow(me, p)
	if me.shardID != p.shardID {
		n.leaveGroup()
	}
	me.shardID = p.shardID
	n.resetManualFailover()
	n.election = election{}
	n.todo.state = true
	n.saveNow()
}
