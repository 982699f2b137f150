package cluster

import (
	"strings"

	"redoubt/bus"
	"redoubt/slots"
)

// What is answered to a Lead that cannot be.
const (
	errNoPrimary = "The primary of this node is not known"
	errOldEpoch  = "The epoch is not greater than the one that the shard has"
	errGroupName = "The name of a group is 40 hexadecimal digits"
)

// lead carries out Lead: what a won election is to other shards. Its epoch comes from
// an agreement of the shard, so nothing is asked of the voters of the bus. An epoch that is
// not greater than the one under which the slots are held would be ignored by all.
//
// The node takes the slots that the shard has agreed on. If it never has, because its group
// is new, it keeps those that it has; see Found.
func (n *Node) lead(cmd Lead) error {
	me, epoch := n.myself, cmd.Epoch
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
	n.leadWith(epoch)
	n.giving = giveWay{settled: true}
	if me.isReplica() {
		n.replacePrimary()
	} else {
		n.saveNow()
		n.todo.state = true
		n.broadcastPong()
	}
	if cmd.Ownership != nil {
		n.endAgreement() // of a former term
		n.takeOwnership(cmd.Ownership, nil)
	}
	return nil
}

// found carries out Found.
func (n *Node) found() error {
	if !n.leadsShard() {
		return ErrNotLed
	}
	n.endAgreement() // of a former term
	return n.agreeOn(func(*Ownership) {})
}

// leadWith makes an epoch that the shard has agreed on that of the claim.
func (n *Node) leadWith(epoch bus.Epoch) {
	n.led = epoch
	n.currentEpoch = max(n.maxEpoch(), epoch)
	n.myself.configEpoch = epoch
	n.note("configEpoch set to %d: the shard has agreed on this node as its primary", epoch)
}

// leadsShard reports whether the node is a primary by Lead, since its start.
func (n *Node) leadsShard() bool {
	return n.cfg.Quorum && n.led != 0 && n.myself.isPrimary() && n.myself.configEpoch == n.led
}

// joinGroup carries out JoinGroup.
func (n *Node) joinGroup(name string) error {
	if name != "" && !groupName(name) {
		return refuse(errGroupName)
	}
	if name == "" {
		n.leaveGroup()
	}
	n.group = name
	return nil
}

// leaveGroup ends the node's part of its shard's group. It has to be saved with what has
// taken the node out of the shard: a node whose data are another shard's, or gone, must
// not count where its former data did.
func (n *Node) leaveGroup() {
	n.led, n.withheld = 0, slots.Set{}
	if n.group == "" {
		return
	}
	n.note("This node is of the group %s of its former shard no more", n.group)
	n.group = ""
	n.fx.LeaveGroup = true
	n.saveNow()
}

// groupName reports whether a text can be State.Group.
func groupName(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdef") == ""
}
