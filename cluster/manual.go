package cluster

import (
	"time"

	"redoubt/bus"
)

// noOffset stands for a replication offset that is not known yet.
const noOffset = -1

// manualFailover is a failover on CLUSTER FAILOVER, seen from either side.
//
//	replica                        primary
//	MFSTART            ────▶       pauses writes
//	remembers the offset  ◀────    PING with PAUSED and its last offset
//	has processed that much:
//	FAILOVER_AUTH_REQUEST with FORCEACK to all, the primary included
//	has a majority: takes over     becomes a replica, the pause ends
//
// FORCE leaves the first two lines out. Both sides give up at the end time. A
// replica that has won by then may not have begun its role, though, and a primary
// that went on would write what nobody has. So the primary keeps its pause until
// it sees the winner, or the replica has told that it is not taking over any
// more, but not for longer than the same time again. One of Redis does not tell:
// there the primary waits if that replica has asked it for its vote.
//
// A primary that is about to end begins in the middle (handOver):
//
//	                               pauses writes
//	remembers the offset  ◀────    MFSTART with PAUSED and its last offset
type manualFailover struct {
	end time.Time // zero: none in progress

	// On the primary.
	replica *peer
	paused  bool // writes stand still, so our offset is final
	asked   bool // the replica has asked for votes
	late    bool // the end has passed
	ending  bool // this node ends, and has asked the replica: see handOver

	// On the replica.
	primaryOffset int64
	canStart      bool // all of the primary's stream has been processed, or FORCE
}

func (m *manualFailover) active() bool { return !m.end.IsZero() }

// resetManualFailover ends a manual failover, successful or not.
func (n *Node) resetManualFailover() {
	if n.manual.replica != nil {
		n.fx.Pause = &Pause{}
	}
	n.manual = manualFailover{primaryOffset: noOffset}
}

// failover begins a manual failover.
func (n *Node) failover(mode FailoverMode) error {
	me := n.myself
	switch {
	case n.cfg.Quorum && mode != FailoverNormal:
		return refuse("The shard elects its primary by a quorum of its nodes: nothing is forced on it, as acknowledged writes could be lost. If most of them are gone for good see quorum-unsafe-recover")
	case n.cfg.Quorum:
		return refuse("The shard elects its primary by a quorum of its nodes")
	case me.isPrimary():
		return refuse("You should send CLUSTER FAILOVER to a replica")
	case me.primary == nil:
		return refuse("I'm a replica but my master is unknown to me")
	case mode == FailoverNormal && (me.primary.failed() || !me.primary.connected()):
		return refuse("Master is down or failed, please use CLUSTER FAILOVER FORCE")
	}
	n.resetManualFailover()
	n.election = election{}
	n.manual.end = n.now.Add(n.cfg.ManualFailoverTimeout)
	switch mode {
	case FailoverNormal:
		n.note("Manual failover user request accepted.")
		// Whoever has just become a replica may not have told its primary yet, and that
		// pays no heed to MFSTART of others. PING does, on the same link.
		n.send(me.primary.out, n.gossipMessage(bus.TypePing, me.primary))
		n.send(me.primary.out, n.newMessage(bus.TypeMFStart))
	case FailoverForce:
		n.note("Forced failover user request accepted.")
		n.manual.canStart = true
		n.todo.failover = true
	case FailoverTakeover:
		n.note("Taking over the master (user request).")
		n.takeEpoch()
		n.replacePrimary()
	}
	return nil
}

// pauseForReplica is the primary's answer to MFSTART. The replica is told our
// offset when the writes stand still. From a primary MFSTART means another thing
// (giveWay, handOver).
func (n *Node) pauseForReplica(replica *peer, m *bus.Message) {
	if replica == n.myself.primary {
		if m.MsgFlags.Has(bus.MsgPaused) {
			n.inherit(replica, m.Offset)
		} else {
			n.relieve(replica)
		}
		return
	}
	if !n.myself.isPrimary() || replica.primary != n.myself {
		return
	}
	n.pauseFor(replica)
	n.note("Manual failover requested by replica %s.", peerName(replica))
}

// pauseFor begins the primary's side of a manual failover.
func (n *Node) pauseFor(replica *peer) {
	n.resetManualFailover()
	n.manual.end = n.now.Add(n.cfg.ManualFailoverTimeout)
	n.manual.replica = replica
	n.fx.Pause = &Pause{Until: n.now.Add(2 * n.cfg.ManualFailoverTimeout)}
}

// handOver is HandOver. It changes nothing while a manual failover is under way: its
// replica is then the heir.
func (n *Node) handOver(heirs []Heir) Result {
	if !n.myself.votes() {
		return Result{Err: refuse("Only a master with slots hands over")}
	}
	if n.cfg.Quorum { // it elects another one when this node is gone
		return Result{Err: refuse("The shard elects its primary by a quorum of its nodes")}
	}
	if r := n.manual.replica; r != nil {
		return Result{Heir: r.id}
	}
	heir := n.fitHeir(heirs)
	if heir == nil {
		return Result{Err: refuse("No replica is fit to take over")}
	}
	if !heir.redoubt {
		return Result{Heir: heir.id, AskHost: heir.ip, AskPort: heir.port(n.cfg.TLSReplication)}
	}
	n.pauseFor(heir)
	n.manual.ending = true
	n.note("Replica %s is asked to take over, as this node is about to end.", peerName(heir))
	return Result{Heir: heir.id}
}

// fitHeir is the first of the heirs that could win an election now.
func (n *Node) fitHeir(heirs []Heir) *peer {
	for _, h := range heirs {
		for _, p := range n.myself.replicas {
			if n.isHeir(p, h) && p.connected() && p.mayStand() {
				return p
			}
		}
	}
	return nil
}

// isHeir reports whether p is the node that h tells of: by its id, or else by the address
// that it tells the cluster.
func (n *Node) isHeir(p *peer, h Heir) bool {
	if h.ID != "" {
		return p.id == h.ID
	}
	return h.Port != 0 && int(p.port(n.cfg.TLSReplication)) == h.Port && p.ip == h.IP
}

// askHeir tells the replica that is to take over where the stream has ended. Each tick
// repeats it until the replica has asked for votes.
func (n *Node) askHeir() {
	m := &n.manual
	if m.ending && m.paused && !m.asked && m.replica.connected() {
		n.send(m.replica.out, n.newMessage(bus.TypeMFStart))
	}
}

// inherit is the replica's part: its primary ends, and its stream has ended at an offset.
func (n *Node) inherit(primary *peer, offset int64) {
	if n.manual.active() || n.cfg.ReplicaNoFailover || n.contact().IsZero() {
		return
	}
	n.note("Master %s is about to end and asks this replica to take over.", peerName(primary))
	n.resetManualFailover()
	n.election = election{}
	n.manual.end = n.now.Add(n.cfg.ManualFailoverTimeout)
	n.manual.primaryOffset = offset
	n.todo.failover = true
}

// writesPaused tells the replica the final offset. Each tick repeats it.
func (n *Node) writesPaused(ev Paused) {
	if n.manual.replica == nil {
		return
	}
	n.manual.paused = true
	n.facts.Offset = ev.Offset
	n.askHeir()
	if n.manual.replica.connected() {
		n.ping(n.manual.replica)
	}
}

// primaryPaused is the replica's first news of the final offset.
func (n *Node) primaryPaused(primary *peer) {
	if !n.manual.active() || !n.myself.isReplica() || n.manual.primaryOffset != noOffset {
		return
	}
	n.manual.primaryOffset = primary.offset
	n.todo.failover = true
	n.note("Received replication offset for paused master manual failover: %d", primary.offset)
}

// advanceManual lets the election begin when everything the primary had has
// been processed.
func (n *Node) advanceManual() {
	m := &n.manual
	if !m.active() || m.canStart || m.primaryOffset == noOffset || m.primaryOffset != n.offset() {
		return
	}
	m.canStart = true
	n.note("All master replication stream processed, manual failover can start.")
}

// expireManual gives up at the end time, or later if the replica may have won.
func (n *Node) expireManual() {
	m := &n.manual
	if !m.active() || !n.now.After(m.end) {
		return
	}
	if !m.late {
		m.late = true
		n.warn("Manual failover timed out.")
	}
	if n.myself.isReplica() {
		n.election = election{} // its votes were for this attempt
	}
	if !n.mayHaveLost() || n.now.After(m.end.Add(n.cfg.ManualFailoverTimeout)) {
		n.resetManualFailover()
	}
}

// mayHaveLost reports whether the replica of a manual failover whose end has
// passed may have won it, for all this primary knows.
func (n *Node) mayHaveLost() bool {
	r := n.manual.replica
	return r != nil && (r.redoubt || n.manual.asked)
}

// replicaGaveUp takes the answer of a replica to a PING that was sent after the
// end of its manual failover.
func (n *Node) replicaGaveUp(p *peer, answer *bus.Message) {
	m := &n.manual
	if p != m.replica || !m.late || !answer.Redoubt || p.pingSent.IsZero() || !p.pingLeft.After(m.end) {
		return
	}
	if p.isReplica() && !answer.MsgFlags.Has(bus.MsgTakingOver) {
		n.note("Replica %s has given up its manual failover: writes go on.", peerName(p))
		n.resetManualFailover()
	}
}

// takingOver reports whether this node may still win a manual failover, or has
// won one and has not begun its role.
func (n *Node) takingOver() bool {
	return n.myself.isReplica() && n.manual.active() || n.claimPending()
}
