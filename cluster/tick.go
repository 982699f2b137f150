package cluster

import (
	"time"

	"redoubt/bus"
)

// randomPingTicks is how many ticks lie between two PINGs to a node chosen at
// random, and randomPingChoice among how many the one with the oldest PONG is
// taken.
const (
	randomPingTicks  = 10
	randomPingChoice = 5
)

// tick is what happens every tickPeriod (Redis's clusterCron). A Tick in
// between only serves an election whose time has come.
func (n *Node) tick() {
	n.todo.failover = n.myself.isReplica()
	if n.now.Before(n.nextTick) {
		return
	}
	n.nextTick = n.now.Add(tickPeriod)
	n.ticks++
	n.tendLinks()
	if n.ticks%randomPingTicks == 0 {
		n.pingOldestOfSome()
	}
	for _, p := range n.order {
		if p != n.myself && !p.inHandshake() {
			n.watch(p)
		}
	}
	n.expireManual()
	if n.myself.isReplica() {
		n.migrateReplica()
	}
	n.considerGivingWay()
	n.offerWithheld()
	n.todo.state = true // a lease or a grace may have ended
	if n.disk.due {
		n.saveNow()
	}
	n.expireBans()
}

// tendLinks ends handshakes that take too long, and dials.
func (n *Node) tendLinks() {
	n.pfailCount = 0
	var late []*peer
	for _, p := range n.order {
		if p.has(bus.FlagPFail) {
			n.pfailCount++
		}
		if p == n.myself || p.has(bus.FlagNoAddr) {
			continue
		}
		if p.inHandshake() && n.now.Sub(p.created) > n.cfg.handshakeTimeout() {
			late = append(late, p)
			continue
		}
		if p.out == nil && !n.now.Before(p.redialAt) {
			n.dial(p)
		}
	}
	for _, p := range late {
		if p.has(bus.FlagMeet) {
			n.warn("No node at %s, port %d, bus port %d, answered CLUSTER MEET within %v. It is forgotten; repeat the command if a node is there.",
				p.ip, p.port(n.cfg.TLS), p.busPort, n.cfg.handshakeTimeout())
		}
		n.deletePeer(p)
	}
}

// pingOldestOfSome keeps a trickle of PINGs going on top of the periodic ones.
func (n *Node) pingOldestOfSome() {
	var oldest *peer
	for range randomPingChoice {
		p := n.order[n.rand.IntN(len(n.order))]
		if p == n.myself || p.inHandshake() || !p.connected() || !p.pingSent.IsZero() {
			continue
		}
		if oldest == nil || p.pongReceived.Before(oldest.pongReceived) {
			oldest = p
		}
	}
	if oldest != nil {
		n.ping(oldest)
	}
}

// watch pings p when it is due, reconnects when the link looks dead, and
// suspects p when no answer has come for the node timeout. Any data from p
// count as a sign of life: under load a PONG may be late.
func (n *Node) watch(p *peer) {
	timeout := n.cfg.NodeTimeout
	silent := n.now.Sub(later(p.pingSent, p.dataReceived))
	waiting := !p.pingSent.IsZero()
	if waiting && p.out != nil && n.now.Sub(p.out.created) > timeout && silent > timeout/2 {
		n.closeLink(p.out) // maybe only the connection is broken; redialled next tick
	}
	if !waiting && p.out != nil && (n.now.Sub(p.pongReceived) > n.cfg.pingInterval() || n.needsAnswer(p)) {
		n.ping(p) // on a link that is still being dialled, it counts from now
		return
	}
	if n.manual.paused && n.manual.replica == p && p.connected() {
		n.ping(p)
		n.askHeir()
		return
	}
	n.meetAgain(p)
	if waiting && silent > timeout && !p.any(bus.FlagPFail|bus.FlagFail) {
		n.suspect(p)
	}
}

// meetAgain sends a MEET to a node that has never dialled us, for a long time:
// it may not know us, because it gave up our handshake, and then it takes
// nothing else from us. As Valkey 8.1; but a node that has known us and does
// not dial any more may have been told to forget us, and that is to last.
func (n *Node) meetAgain(p *peer) {
	patience := n.cfg.handshakeTimeout()
	if p.knewUs || !p.connected() || p.any(bus.FlagFail|bus.FlagPFail) {
		return
	}
	if n.now.Sub(p.created) > patience && n.now.Sub(p.meetSent) > patience {
		n.meet(p)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (n *Node) expireBans() {
	for id, until := range n.banned {
		if !n.now.Before(until) {
			delete(n.banned, id)
		}
	}
}
