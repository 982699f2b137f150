package sim

import (
	"time"

	"redoubt/cluster"
)

// How long the laws let something last. All follow from the settings of package
// cluster and from what network and disks of this world may do; where the core
// gets quicker, they are what to lower.

// tick is how often a node looks round (package cluster's tickPeriod), and the
// patrol with it.
const tick = 100 * time.Millisecond

// flight is how long a message may take that was sent before a cut.
func (w *World) flight() time.Duration { return w.opt.LatencyMax + 200*time.Millisecond }

// hop is how long one node may take to persist something and tell another.
func (w *World) hop() time.Duration { return w.flight() + 2*w.opt.FsyncMax }

// twoWritersForced is how long two primaries may both take writes of a slot when an
// administrator has forced a failover; otherwise they never may. FORCE does not ask the
// primary, which hears of its successor from a voter that it pings. TAKEOVER
// asks nobody. The two ends of a slot that is moved are told one after the
// other. The time counts while all can reach each other.
func (w *World) twoWritersForced() time.Duration { return 2*w.opt.NodeTimeout + 4*w.hop() }

// minority is how long a primary that hears of no majority may take writes. It
// looks with every tick, and so does the patrol.
func (w *World) minority() time.Duration {
	return w.opt.NodeTimeout + 2*tick
}

// recovery is how long a node may refuse requests although it and the owners of
// all slots are up and can reach each other. FAIL of a primary is taken back two node
// timeouts after it was said, and not before the last vote about it has expired, which
// is given while it is FAIL. Then who was in a minority waits for a node timeout, or
// who has started for a moment.
func (w *World) recovery() time.Duration {
	vote := max(2*w.opt.NodeTimeout, 2*time.Second)
	return 2*w.opt.NodeTimeout + vote + max(w.opt.NodeTimeout, 2*time.Second) + 4*w.hop()
}

// giveWay is how much longer a primary may wait after its start for a replica
// with more data (package cluster's giveWayLimit).
func (w *World) giveWay() time.Duration { return 4*w.opt.NodeTimeout + 5*time.Second }

// pause is how long a primary may hold writes back for one request of a manual
// failover, and as long again if its replica may have won when that is over.
func (w *World) pause() time.Duration {
	return 2*cluster.DefaultSettings().ManualFailoverTimeout + 2*tick
}

// manualAttempt is for how long a replica may ask for votes on behalf of an
// administrator.
func (w *World) manualAttempt() time.Duration {
	return cluster.DefaultSettings().ManualFailoverTimeout + 2*tick
}

// replacement is how long it takes until the slots of lost primaries are served
// again. They are suspected when their ports have refused connections for a moment, or
// after a node timeout since the last PING, which is up to half a node timeout old. FAIL, the
// requests for votes, the votes and the claim take a hop each. The replicas of a shard wait
// for each other, and may have to ask twice: with slow disks the first votes are not there
// when the second request makes them void. Shards take turns, and disturb each other.
func (w *World) replacement(lost int, silently bool) time.Duration {
	if !w.leaseHolds() {
		return w.slowReplacement(lost)
	}
	suspicion := 500 * time.Millisecond
	if silently {
		suspicion = w.opt.NodeTimeout * 3 / 2
	}
	return suspicion + 1500*time.Millisecond + 4*w.hop() + time.Duration(lost-1)*2500*time.Millisecond
}

// slowReplacement is the same with the delays of Redis: gossip spreads the suspicion, and
// an attempt that has failed is repeated after four node timeouts.
func (w *World) slowReplacement(lost int) time.Duration {
	first := w.opt.NodeTimeout*3/2 + 3*time.Second + time.Duration(len(w.Members))*50*time.Millisecond + 4*w.hop()
	return first + time.Duration(lost)*4*max(2*w.opt.NodeTimeout, 2*time.Second)
}
