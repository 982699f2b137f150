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
type manualFailover struct {
	end time.Time // zero: none in progress

	// On the primary.
	replica *peer
	paused  bool // writes stand still, so our offset is final
	asked   bool // the replica has asked for votes
	late    bool // the end has passed

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
		return refuse("The shard elects its primary by a quorum of its nodes: nothing is forced on it, as acknowledged writes could be lost")
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
// (giveWay).
func (n *Node) pauseForReplica(replica *peer) {
	if replica == n.myself.primary {
		n.relieve(replica)
		return
	}
	if !n.myself.isPrimary() || replica.primary != n.myself {
		return
	}
	n.resetManualFailover()
	n.manual.end = n.now.Add(n.cfg.ManualFailoverTimeout)
	n.manual.replica = replica
	n.fx.Pause = &Pause{Until: n.now.Add(2 * n.cfg.ManualFailoverTimeout)}
	n.note("Manual failover requested by replica %s.", peerName(replica))
}

// writesPaused tells the replica the final offset. Each tick repeats it.
func (n *Node) writesPaused(ev Paused) {
	if n.manual.replica == nil {
		return
	}
	n.manual.paused = true
	n.facts.Offset = ev.Offset
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
