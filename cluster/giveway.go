package cluster

import (
	"time"

	"redoubt/bus"
)

// giveWay is about a primary that has lost the end of its journal, by a power
// cut for example, and starts before anybody has replaced it. A replica has more
// data, which were acknowledged, and would throw them away to follow. So the
// primary does not serve; it lets that replica take its place.
//
//	primary                          replica
//	              ◀────              PONG with an offset beyond the primary's
//	MFSTART, every second  ────▶     a manual failover with FORCE
//	becomes a replica   ◀────        claims the slots
//
// A replica of this product that is in step with the primary tells an offset, any
// other tells 0, so the offsets are positions in one stream. Redis's tell theirs
// whatever it counts in: such a one must also have asked, with PSYNC, for what
// comes behind the end of this node's stream. And it takes no MFSTART from a
// primary, which therefore falls silent after two node timeouts, so that the
// others fail it over.
//
// The wait ends when that replica is lost, and in any case after giveWayLimit:
// a shard without its last writes is better than none.
type giveWay struct {
	// settled: since its start, the node has found no replica with more data, or
	// does not wait for it any longer, or is no primary with slots.
	settled bool
	known   bool  // offset is known
	offset  int64 // the node's own when it started
	since   time.Time
	asked   time.Time // when the replica was last asked to take over
}

// giveWayRetry is how often the replica is asked.
const giveWayRetry = time.Second

// giveWaySilence is how long a replica may take before the primary falls silent:
// long enough to suspect it, if it is lost.
func (n *Node) giveWaySilence() time.Duration { return 2 * n.cfg.NodeTimeout }

// giveWayLimit is how long a replica may take at all: from the silence on, long
// enough for the others to notice it and to vote.
func (n *Node) giveWayLimit() time.Duration { return 4*n.cfg.NodeTimeout + 5*time.Second }

// considerGivingWay runs with every tick until the node is settled.
func (n *Node) considerGivingWay() {
	g := &n.giving
	if g.settled {
		return
	}
	if !n.myself.votes() {
		n.settle()
		return
	}
	if !n.factsHold() {
		return // the server has not begun its role
	}
	if !g.known {
		g.known, g.offset = true, n.facts.Offset
	}
	best := n.replicaAhead()
	if best == nil {
		g.since = time.Time{}
		if n.heardQuorum() && !n.health.first.IsZero() && n.now.Sub(n.health.first) >= writableDelay {
			n.settle()
		}
		return
	}
	if g.since.IsZero() {
		if !n.heardQuorum() {
			return // nobody could be elected
		}
		g.since = n.now
		n.warn("Replica %s has more data (offset %d) than this node after its start (offset %d): it is to take over",
			peerName(best), best.offset, g.offset)
	}
	if n.now.Sub(g.since) > n.giveWayLimit() {
		n.warn("Replica %s has not taken over: going on without its last writes", peerName(best))
		n.settle()
		return
	}
	if n.now.Sub(g.asked) >= giveWayRetry {
		g.asked = n.now
		n.send(best.out, n.newMessage(bus.TypeMFStart))
	}
}

func (n *Node) settle() {
	n.giving = giveWay{settled: true}
	n.todo.state = true
}

// settledIn reports whether the node may serve, as far as its replicas go.
func (n *Node) settledIn() bool { return n.giving.settled || !n.myself.votes() }

// silent reports whether the node waits for the others to fail it over.
func (n *Node) silent() bool {
	return !n.giving.since.IsZero() && n.now.Sub(n.giving.since) > n.giveWaySilence()
}

// replicaAhead is the replica with the most data, if that is more than this
// node had when it started, and if it may be elected.
func (n *Node) replicaAhead() (best *peer) {
	for _, p := range n.myself.replicas {
		// While the node is silent, nobody answers it.
		if p.failed() || p.has(bus.FlagNoFailover) || p.has(bus.FlagPFail) && !n.silent() {
			continue
		}
		if !p.redoubt && n.facts.Outrun <= n.giving.offset {
			continue
		}
		if p.offset > n.giving.offset && (best == nil || p.offset > best.offset) {
			best = p
		}
	}
	return best
}

// heardQuorum reports whether a majority has been heard of since the start.
func (n *Node) heardQuorum() bool {
	heard := 0
	for _, p := range n.order {
		if p.votes() && !p.unheard && !p.any(bus.FlagFail|bus.FlagPFail) {
			heard++
		}
	}
	return heard >= n.quorum()
}

// relieve is the replica's part: its primary asks it to take over.
func (n *Node) relieve(primary *peer) {
	if n.manual.active() || n.cfg.ReplicaNoFailover || n.contact().IsZero() || n.offset() <= primary.offset {
		return
	}
	n.note("Master %s has started with less data than this replica has (offset %d, not %d) and asks it to take over.",
		peerName(primary), primary.offset, n.offset())
	_ = n.failover(FailoverForce) // refused only where there is no primary
}
