package sentinel

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// choose is the replica to promote, nil if there is none: one that answers, may
// be promoted, and was not without its master for long. Of those the one that a
// leader has promoted already, which may have taken writes since, then the one with
// the lowest priority, then the greatest offset, then the smallest run id.
// (sentinelSelectSlave)
func (n *Node) choose(m *master) *replica {
	fit := make([]*replica, 0, len(m.replicas))
	for _, r := range m.replicas {
		if n.fit(r) {
			fit = append(fit, r)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return slices.MinFunc(fit, func(a, b *replica) int {
		return cmp.Or(compareBools(n.astray(a), n.astray(b)), compareBools(b.unfinished, a.unfinished), better(a, b))
	})
}

// astray reports whether a replica says that it is a master, without having
// followed its own: say the master before this one, back before it was converted.
// It lacks what was written since, and an INFO of a master says neither priority
// nor offset. One that did follow was promoted in a failover that did not end.
func (n *Node) astray(r *replica) bool {
	m := r.master
	return r.info.role == RoleMaster && !(r.masterPort == int(m.addr.Port) && n.sameHost(r.masterHost, m.addr.Host))
}

// compareBools has false first.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// fit reports whether a replica may be promoted.
func (n *Node) fit(r *replica) bool {
	t, m := &n.cfg.Timing, r.master
	if r.sdown || !r.link.connected() || n.since(r.link.lastAvail) > 5*t.PingPeriod || r.priority == 0 {
		return false
	}
	// While the master is down replicas are asked for INFO each second.
	infoValid := 3 * t.InfoPeriod
	if m.sdown {
		infoValid = 5 * t.PingPeriod
	}
	if r.info.at.IsZero() || n.since(r.info.at) > infoValid {
		return false
	}
	return r.masterLinkDown <= n.mayLag(m)
}

// mayLag is for how long a replica may have been without its master.
func (n *Node) mayLag(m *master) time.Duration {
	lag := 10 * m.options.DownAfter
	if m.sdown {
		lag += n.since(m.sdownSince)
	}
	return lag
}

// better orders replicas, the better first. (compareSlavesForPromotion)
func better(a, b *replica) int {
	return cmp.Or(
		cmp.Compare(a.priority, b.priority),
		cmp.Compare(b.offset, a.offset),
		compareRunIDs(a.runID, b.runID),
		strings.Compare(a.name, b.name),
	)
}

// compareRunIDs has an unknown run id last.
func compareRunIDs(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return 1
	case b == "":
		return -1
	}
	return strings.Compare(strings.ToLower(a), strings.ToLower(b))
}
