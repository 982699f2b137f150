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
// all slots are up and can reach each other: FAIL of a primary is taken back
// after two node timeouts, and who was in a minority waits for another. Replicas that
// are elected in the meantime may outbid each other for a while (seeds 25, 66 and 155).
func (w *World) recovery() time.Duration {
	return 3*w.opt.NodeTimeout + max(w.opt.NodeTimeout, 2*time.Second) + 2*time.Second + 4*w.hop() + duel
}

// duel is for how long replicas of one shard may outbid each other.
const duel = 15 * time.Second

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
// again: they are suspected after a node timeout, gossip spreads that, the replicas
// wait for each other, and the disks are slow. If more than one is lost, the
// elections may disturb each other, and the next attempt takes a while.
func (w *World) replacement(lost int, silently bool) time.Duration {
	limit := w.opt.NodeTimeout + 3*time.Second + time.Duration(len(w.Members))*50*time.Millisecond + 4*w.hop()
	if silently {
		limit += w.opt.NodeTimeout / 2
	}
	return limit + time.Duration(lost-1)*4*max(2*w.opt.NodeTimeout, 2*time.Second)
}
