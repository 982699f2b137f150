package cluster

import (
	"time"

	"redoubt/bus"
)

// migrationDelay is how long a primary must be without working replicas
// before one migrates to it: after a failover, its own need a moment to
// announce themselves.
const migrationDelay = 5 * time.Second

// migrateReplica moves this replica to a primary that has lost all of its
// replicas, if its own has more than it needs and it is the one to go: among
// the replicas of the primaries that have the most, the one with the smallest
// id. Two may go at once if they see different things; that is harmless.
// (Redis's clusterHandleSlaveMigration and the part of clusterCron before it.)
func (n *Node) migrateReplica() {
	me := n.myself
	if !n.cfg.AllowReplicaMigration || n.cfg.Quorum { // a shard does not lose a vote by itself
		return
	}
	most := n.trackOrphans()
	if me.primary == nil || most < 2 || me.primary.working() != most || !n.health.ok {
		return
	}
	if n.healthyReplicas(me.primary) <= n.cfg.MigrationBarrier {
		return
	}
	var target *peer
	for _, p := range n.order {
		if !p.orphanedSince.IsZero() && p.slotCount > 0 {
			target = p
			break
		}
	}
	if target == nil || n.now.Sub(target.orphanedSince) <= migrationDelay || !n.firstToGo(most) {
		return
	}
	n.note("Migrating to orphaned master %s", peerName(target))
	n.becomeReplicaOf(target)
}

// trackOrphans keeps orphanedSince, and returns the greatest number of working
// replicas that a working primary has.
func (n *Node) trackOrphans() (most int) {
	for _, p := range n.order {
		if !p.isPrimary() || p.failed() {
			p.orphanedSince = time.Time{}
			continue
		}
		working := p.working()
		most = max(most, working)
		if working > 0 || !p.has(bus.FlagMigrateTo) {
			p.orphanedSince = time.Time{}
		} else if p.orphanedSince.IsZero() {
			p.orphanedSince = n.now
		}
	}
	return most
}

// healthyReplicas counts the replicas of p that nobody doubts.
func (n *Node) healthyReplicas(p *peer) (count int) {
	for _, r := range p.replicas {
		if !r.any(bus.FlagFail | bus.FlagPFail) {
			count++
		}
	}
	return count
}

// firstToGo reports whether no other replica of a primary with that many
// working ones has a smaller id.
func (n *Node) firstToGo(most int) bool {
	for _, p := range n.order {
		if !p.isPrimary() || p.working() != most {
			continue
		}
		for _, r := range p.replicas {
			if r != n.myself && !r.failed() && r.id < n.myself.id {
				return false
			}
		}
	}
	return true
}
