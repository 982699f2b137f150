package cluster

import (
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// absorbSlots compares what the sender, or the primary it speaks for, claims
// to own with our table.
func (n *Node) absorbSlots(sender *peer, m *bus.Message) {
	head := sender.head()
	if head == nil {
		return
	}
	if *head.set() != m.Slots || !n.nothingUnclaimed(head) {
		if sender.isPrimary() {
			n.claimSlots(sender, m.ConfigEpoch, &m.Slots)
		}
		n.correctClaim(sender, m)
	}
	n.followElected(sender, m.ConfigEpoch)
}

// followElected has a member of a quorum shard follow the primary that its group has elected,
// whatever that claims. It need not claim what its predecessor had: the shard may have given that
// away since, as who was away did not hear.
func (n *Node) followElected(p *peer, epoch bus.Epoch) {
	head := n.myself.head()
	if n.group == "" || p.id != n.facts.Elected || p == n.myself || p == head || !p.isPrimary() || head != nil && epoch <= head.configEpoch {
		return
	}
	n.followInShard(p)
}

// followInShard makes this node a replica of whom its shard has elected.
func (n *Node) followInShard(p *peer) {
	n.note("Node %s has been elected by my shard. Reconfiguring myself as its replica", peerName(p))
	if n.myself.isPrimary() {
		n.unbindAll(n.myself)
	}
	n.becomeReplicaOf(p)
}

// nothingUnclaimed reports whether p claims all of its slots, as far as we
// know.
func (n *Node) nothingUnclaimed(p *peer) bool {
	if n.table.unclaimed.Empty() {
		return true
	}
	held := p.set()
	for i, b := range n.table.unclaimed {
		if b&held[i] != 0 {
			return false
		}
	}
	return true
}

// correctClaim sends an UPDATE to a sender that claims a slot which somebody
// else has got since, with a greater epoch. A primary that comes back after a
// partition learns so that it has been replaced, even if its successor cannot
// tell it. One owner is enough for one message; others follow with the next.
func (n *Node) correctClaim(sender *peer, m *bus.Message) {
	if p := n.successor(sender, m); p != nil {
		n.sendUpdate(linkTo(sender), p)
	}
}

// warnClaimant does the same before a PING is answered, on the link that it came on. A
// primary that has just started counts the answer as that of a voter, and may serve with
// it; it is to hear of its successor first. The other link may take longer, or be none yet.
func (n *Node) warnClaimant(l *link, sender *peer, m *bus.Message) {
	if head := sender.head(); head == nil || *head.set() == m.Slots {
		return
	}
	if p := n.successor(sender, m); p != nil {
		n.sendUpdate(l, p)
	}
}

// successor is the owner of a slot that the sender claims, if it has a greater epoch; nil
// if there is none.
func (n *Node) successor(sender *peer, m *bus.Message) *peer {
	for i, b := range m.Slots {
		if b == 0 {
			continue
		}
		for bit := range slots.Slot(8) {
			s := slots.Slot(i)<<3 + bit
			if b&(1<<bit) == 0 || n.table.free(s) {
				continue
			}
			if p := n.table.owner[s]; p != sender && p.configEpoch > m.ConfigEpoch {
				return p
			}
		}
	}
	return nil
}

// claimSlots applies the claim of p, under its config epoch, to own exactly
// the given slots (Redis's clusterUpdateSlotsConfigWith).
func (n *Node) claimSlots(p *peer, epoch bus.Epoch, claimed *slots.Set) {
	me := n.myself
	if p == me {
		return
	}
	head := me.head() // whose slots this node serves
	var dirty slots.Set
	var taken int // slots taken from head
	var old *peer // whom p has replaced in its shard
	held := *p.set()
	for i, b := range claimed {
		if b == held[i] && b&n.table.unclaimed[i] == 0 {
			continue // as we know it
		}
		for bit := range slots.Slot(8) {
			s := slots.Slot(i)<<3 + bit
			if b&(1<<bit) == 0 {
				if n.table.owner[s] == p {
					n.table.unclaimed.Add(s)
				}
				continue
			}
			if n.table.owner[s] == p {
				n.table.unclaimed.Remove(s)
				continue
			}
			// An importing slot is closed by hand: the source may have given
			// it up already and advertise that. Only its successor has it now.
			if source := n.table.importing[s]; source != nil && !n.sameShard(source, p) {
				continue
			}
			if !n.table.free(s) && n.table.owner[s].configEpoch >= epoch {
				continue
			}
			if n.keepsFrom(s, p) {
				continue
			}
			open := n.opensFor(s, p)
			if n.table.owner[s] == me {
				dirty.Add(s)
			}
			if head != nil && n.table.owner[s] == head {
				taken++
			}
			if owner := n.table.owner[s]; owner != nil && n.sameShard(owner, p) {
				old = owner
			}
			switch {
			case !open:
				delete(n.table.migrating, s)
			case n.withheld.Has(s):
				n.table.migrating[s] = p // which has replaced the other in its shard
			default:
				n.withhold(s, p)
			}
			n.rebind(s, p)
			n.save()
			n.todo.state = true
		}
	}
	if old != nil {
		if old.slotCount == 0 {
			n.stats.takeovers++
		}
		n.repoint(old, p)
	}
	n.afterClaim(p, head, taken, taken == claimed.Len(), dirty)
}

// keepsFrom reports whether this node goes on with a slot that p claims, although p's epoch is
// greater. The slot of a primary that its shard has elected (Settings.Quorum) has keys that the
// shard has agreed on, and the claim may be of a node that was a replica of the slot's former
// owner, and did not hear in time that it had gone. So another shard gets it only if this one
// has opened it for that shard, and for good when this one has agreed on that; see withhold.
// Otherwise the shard takes a greater epoch, once in a while.
func (n *Node) keepsFrom(s slots.Slot, p *peer) bool {
	if !n.leadsShard() || n.table.owner[s] != n.myself || n.sameShard(n.myself, p) {
		return false
	}
	if n.opensFor(s, p) {
		return false
	}
	if n.reclaimed.IsZero() || n.now.Sub(n.reclaimed) >= reclaimPause {
		n.reclaimed, n.fx.Reclaim = n.now, true
		n.note("Node %s of another shard claims slot %d, which this shard has not given to it. The shard takes a greater epoch.", peerName(p), s)
	}
	return true
}

// opensFor reports whether this primary, elected by its shard, has opened a slot for the shard of p,
// or withholds it for that one.
func (n *Node) opensFor(s slots.Slot, p *peer) bool {
	if !n.leadsShard() {
		return false
	}
	owner, to := n.table.owner[s], n.table.migrating[s]
	switch {
	case n.withheld.Has(s):
		return to != nil && n.sameShard(to, p) || owner != nil && n.sameShard(owner, p)
	case owner == n.myself:
		return to != nil && n.sameShard(to, p)
	}
	return false
}

// reclaimPause is how long a quorum shard waits before it answers another claim on its slots.
const reclaimPause = time.Second

// noteIfEmptied tells why a primary has no slots any more, and stays one: it may not
// follow p, which has taken the last.
func (n *Node) noteIfEmptied(p *peer) {
	if n.myself.slotCount == 0 {
		n.note("The last slot went to node %s in shard %s. I am now an empty primary.", peerName(p), p.shardID)
	}
}

// afterClaim decides what becomes of this node when p has taken slots from it
// or from its primary. All says that p owns nothing else.
func (n *Node) afterClaim(p, head *peer, taken int, all bool, dirty slots.Set) {
	switch {
	case n.cfg.Quorum && head != nil && (taken > 0 || !dirty.Empty()):
		n.afterClaimOfQuorum(p, head, taken)
	case taken > 0 && head.slotCount == 0 && (n.cfg.AllowReplicaMigration || all):
		// We, or our primary, have been failed over: follow the successor.
		n.note("Configuration change detected. Reconfiguring myself as a replica of %s", peerName(p))
		n.becomeReplicaOf(p)
	case n.myself.primary != nil && n.myself.primary.primary != nil:
		n.avoidChain()
	case !dirty.Empty():
		// We go on as a primary, and keys must not outlive their slots.
		n.noteIfEmptied(p)
		n.fx.DropKeys = &dirty
		n.saveNow()
	}
}

// afterClaimOfQuorum is afterClaim in a shard that elects its primary. A primary of the same shard
// with a greater epoch is the one that it has elected since, also if it does not claim all that head
// had; see followElected. A node goes to no other shard because that one claims something, and
// deletes nothing: the slot may be the shard's still, whose next primary knows.
func (n *Node) afterClaimOfQuorum(p, head *peer, taken int) {
	me := n.myself
	switch {
	case taken > 0 && n.sameShard(me, p) && p.configEpoch > head.configEpoch:
		n.followInShard(p)
	case me.primary != nil && me.primary.primary != nil:
		n.avoidChain()
	case me.isPrimary():
		n.noteIfEmptied(p)
		n.saveNow()
	}
}
