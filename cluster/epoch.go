package cluster

import "redoubt/bus"

// maxEpoch is the greatest epoch that this node knows of.
func (n *Node) maxEpoch() bus.Epoch {
	epoch := n.currentEpoch
	for _, p := range n.order {
		epoch = max(epoch, p.configEpoch)
	}
	return epoch
}

// takeEpoch makes the node's config epoch the next one, without asking. The
// epoch may turn out not to be unique; resolveCollision is for that.
func (n *Node) takeEpoch() {
	n.beginClaim()
	n.currentEpoch = n.maxEpoch() + 1
	n.myself.configEpoch = n.currentEpoch
}

// bumpEpoch takes a new epoch if this node's is not the greatest already, and
// reports whether it did. It breaks the rule that epochs come from elections,
// so only two things use it: closing the import of a slot, which would be too
// slow with a vote, and FAILOVER TAKEOVER.
func (n *Node) bumpEpoch() bool {
	me := n.myself
	if me.configEpoch != 0 && me.configEpoch == n.maxEpoch() {
		return false
	}
	if n.cfg.Quorum {
		n.fx.Reclaim = true
		return true
	}
	n.takeEpoch()
	n.note("New configEpoch set to %d", me.configEpoch)
	return true
}

// resolveCollision moves this node to a new epoch if the sender, also a
// primary, has the same and the greater id.
//
// Elections cannot give one epoch to two nodes, but new nodes all begin at 0,
// and epochs taken without a vote may meet. Equal epochs of primaries with
// different slots do no harm; they do when both ever claim one slot, because
// then nobody gives way. The node with the greatest id never moves, so that
// any number of colliding nodes end with different epochs. (Redis's
// clusterHandleConfigEpochCollision.)
func (n *Node) resolveCollision(sender *peer, m *bus.Message) {
	me := n.myself
	if !me.isPrimary() || !sender.isPrimary() || m.ConfigEpoch != me.configEpoch || sender.configEpoch != me.configEpoch {
		return
	}
	if sender.id <= me.id {
		return
	}
	if n.cfg.Quorum {
		n.fx.Reclaim = true
		return
	}
	n.takeEpoch()
	n.note("configEpoch collision with node %s. Updating my epoch to %d", peerName(sender), me.configEpoch)
}
