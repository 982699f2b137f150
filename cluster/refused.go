package cluster

import (
	"time"

	"redoubt/bus"
)

// A process that has died leaves a host that refuses connections to its port.
// That says more than silence does, and sooner: Redis takes it for a PING without
// an answer and waits for the node timeout.
//
// A node is suspected at once if it has ended the link that we had to it, its port has
// refused two connections since, some time apart, and nothing else shows that it lives:
// it has no connection to us, and has sent nothing since the first refusal. It takes a
// majority to agree on that, as on any suspicion.
//
// A firewall refuses connections in the name of a node that lives, and resets those that
// there are. If it also rejects the answers that the node gets, the node does not see
// that, and serves until its lease ends, which may be a node timeout later. But it cannot
// end a link in order: only the kernel of the node does so, when the process has died.
// (It resets a link on which there are bytes that the process had not read; then the node
// timeout decides.) And a process that lives does not end a link that others have to it.
//
// A node of which nothing has been heard yet, since it was met or since this node
// started, is given the node timeout: when a whole cluster is started, somebody is
// first. The restart of a process must be quicker than refusedTime, or it must
// open its port early: see Driver.Start.

// refusedTime is how long a port must have refused connections.
const refusedTime = 200 * time.Millisecond

// refusals is what is known of refused connections to a node.
type refusals struct {
	count int // in a row
	since time.Time
}

// dialRefused notes that nobody listens at p's port.
func (n *Node) dialRefused(p *peer) {
	if p.refusals.count == 0 {
		p.refusals.since = n.now
	}
	p.refusals.count++
	if n.cfg.FastFail && p.redoubt && p.votes() {
		p.vouched = time.Time{} // see lease.go
		n.todo.state = true
	}
	n.suspectRefused(p)
}

// suspectRefused suspects p if the refusals of its port are enough for that.
func (n *Node) suspectRefused(p *peer) {
	r := &p.refusals
	if !n.cfg.FastFail || r.count < 2 || n.now.Sub(r.since) < refusedTime {
		return
	}
	heard := !p.dataReceived.IsZero() && !p.unheard
	if !heard || !p.ended || p.in != nil || p.dataReceived.After(r.since) || p.inHandshake() || p.any(bus.FlagPFail|bus.FlagFail) {
		return
	}
	n.note("Nobody listens at the address of node %s any more.", peerName(p))
	n.suspect(p)
}
