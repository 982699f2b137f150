package cluster

import (
	"fmt"
	"time"

	"redoubt/bus"
)

// link is one connection on the bus. There are two for each pair of nodes:
// each dials the other, sends its own messages there and takes the answers
// back on it.
type link struct {
	id      LinkID
	peer    *peer // always set on an outbound link; on an inbound one once it is known
	inbound bool
	up      bool // an outbound link is down while it is being dialled
	peerIP  string
	localIP string
	created time.Time
}

// dial asks for an outbound link to p.
func (n *Node) dial(p *peer) {
	n.dialed++
	l := &link{id: outboundLink(n.dialed), peer: p, peerIP: p.ip, created: n.now}
	n.links[l.id] = l
	p.out = l
	n.fx.Dial = append(n.fx.Dial, Dial{Link: l.id, IP: p.ip, Port: p.busPort})
}

// closeLink ends a link of our own accord.
func (n *Node) closeLink(l *link) {
	n.dropLink(l)
	n.fx.Close = append(n.fx.Close, l.id)
}

// dropLink forgets a link.
func (n *Node) dropLink(l *link) {
	delete(n.links, l.id)
	p := l.peer
	if p == nil {
		return
	}
	if p.out == l {
		p.out = nil
	}
	if p.in == l {
		p.in = nil
	}
}

func (n *Node) linkAccepted(ev LinkAccepted) {
	n.links[ev.Link] = &link{
		id: ev.Link, inbound: true, up: true,
		peerIP: ev.PeerIP, localIP: ev.LocalIP, created: n.now,
	}
}

// linkUp greets the peer at once, which is crucial against false suspicion: a
// PING that was waiting since before the link broke keeps its time.
func (n *Node) linkUp(ev LinkUp) {
	l := n.links[ev.Link]
	if l == nil || l.inbound || l.up {
		return
	}
	l.up = true
	p := l.peer
	p.dialSoon()
	p.refusals, p.ended = refusals{}, false
	if p.has(bus.FlagMeet) {
		n.meet(p)
		return
	}
	waiting := p.pingSent
	n.ping(p)
	p.pingLeft = n.now // what left on an older link will not be answered
	if !waiting.IsZero() {
		p.pingSent = waiting
	}
}

// linkDown: a failed dial counts as a PING without an answer, so that failure
// detection runs for nodes that cannot be connected to at all.
func (n *Node) linkDown(ev LinkDown) {
	l := n.links[ev.Link]
	if l == nil {
		return
	}
	if ev.Overflow {
		n.stats.overflows++
		n.warn("Freeing cluster link to or from %s: its send buffer passed the limit.", peerName(l.peer))
	}
	if ev.Refusal != "" && l.peer != nil && l.peer.refusal != ev.Refusal {
		// It is dialled again with each tick, so the log is told once.
		l.peer.refusal = ev.Refusal
		n.warn("No cluster link to node %s at %s:%d: %s", peerName(l.peer), l.peer.ip, l.peer.busPort, ev.Refusal)
	}
	if !l.inbound && !l.up {
		n.dialFailed(l.peer)
		if ev.Refused {
			n.dialRefused(l.peer)
		}
	}
	if !l.inbound && l.up {
		l.peer.ended = ev.Ended
	}
	n.dropLink(l)
}

// Dials of a node that does not answer: the first few follow each other with the
// ticks, since its failure shows by them. Then the pauses double. A node that
// comes back dials us, and is dialled at once then; the longest pause only counts
// if it cannot.
const (
	quickDials     = 4
	longestRedial  = 2 * time.Second
	redialFraction = 4 // of the node timeout, in a pause
)

// dialFailed notes that p could not be connected to, and plans the next dial. A
// node in a handshake is dialled with each tick: somebody waits for it.
func (n *Node) dialFailed(p *peer) {
	if p.pingSent.IsZero() {
		p.pingSent = n.now
	}
	p.failedDials++
	if p.inHandshake() || p.failedDials < quickDials {
		return
	}
	pause := tickPeriod << min(p.failedDials-quickDials+1, 10)
	p.redialAt = n.now.Add(min(pause, longestRedial, n.cfg.NodeTimeout/redialFraction))
}

// dialSoon has p dialled with the next tick: there is news of it.
func (p *peer) dialSoon() { p.failedDials, p.redialAt = 0, time.Time{} }

// bindInbound makes l the inbound link of p. An older one is closed: the peer
// has reconnected, and nothing more will come there.
func (n *Node) bindInbound(p *peer, l *link) {
	l.peer = p
	if old := p.in; old != nil && old != l {
		n.closeLink(old)
	}
	p.in = l
	p.knewUs = true
}

// peerName is how notes speak of a node.
func peerName(p *peer) string {
	if p == nil {
		return "an unknown node"
	}
	if p.humanName == "" {
		return string(p.id)
	}
	return fmt.Sprintf("%s (%s)", p.id, p.humanName)
}

// linkTo is a link on which p can be told something: ours to it, or while that is
// down the one that p has dialled; nil if there is neither.
func linkTo(p *peer) *link {
	if p.connected() {
		return p.out
	}
	return p.in
}
