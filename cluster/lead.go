package cluster

import "redoubt/bus"

// What is answered to a Lead that cannot be.
const (
	errNoPrimary = "The primary of this node is not known"
	errOldEpoch  = "The epoch is not greater than the one that the shard has"
)

// lead carries out Lead: what a won election is to other shards. Its epoch comes from
// an agreement of the shard, so nothing is asked of the voters of the bus. An epoch that is
// not greater than the one under which the slots are held would be ignored by all.
func (n *Node) lead(epoch bus.Epoch) error {
	me := n.myself
	held := me.configEpoch
	if me.isReplica() {
		if me.primary == nil {
			return refuse(errNoPrimary)
		}
		held = max(held, me.primary.configEpoch)
	}
	if epoch <= held {
		return refuse(errOldEpoch)
	}
	n.beginClaim()
	n.led = epoch
	n.giving = giveWay{settled: true}
	n.currentEpoch = max(n.maxEpoch(), epoch)
	me.configEpoch = epoch
	n.note("configEpoch set to %d: the shard has agreed on this node as its primary", epoch)
	if me.isReplica() {
		n.replacePrimary()
		return nil
	}
	n.saveNow()
	n.todo.state = true
	n.broadcastPong()
	return nil
}

// leadsShard reports whether the node is a primary by Lead, since its start.
func (n *Node) leadsShard() bool {
	return n.cfg.Quorum && n.led != 0 && n.myself.isPrimary() && n.myself.configEpoch == n.led
}
