package sentinel

import "time"

// The original never forgets a replica or a Sentinel that is gone for good, say
// because its container got another address: they are listed, dialled, and, the
// Sentinels, counted for the majority, until somebody sends SENTINEL RESET.
// With forget-after-milliseconds they are dropped in bounded time.
//
// A master that was down for longer than that and comes back is not converted:
// nobody knows it any more, and an administrator has to point it to its master.
//
// It is off by default, for it is a change of who votes. A Sentinel is
// forgotten only by one that sees most of all known Sentinels, so that the few
// on the lesser side of a partition do not make a majority of themselves.

// goneFor reports whether an instance is down for as long as it takes to be
// forgotten.
func (n *Node) goneFor(w watched) bool {
	i, after := w.inst(), w.of().options.ForgetAfter
	return after > 0 && i.sdown && n.since(i.sdownSince) >= after && !w.of().failover.running()
}

// forgetAlarm is when an instance may be to be forgotten.
func (n *Node) forgetAlarm(w watched) time.Time {
	i, after := w.inst(), w.of().options.ForgetAfter
	if after == 0 || !i.sdown {
		return time.Time{}
	}
	return latest(i.sdownSince.Add(after), n.now.Add(n.cfg.Timing.PingPeriod))
}

// forgetReplica drops a replica that is down and that its master does not have
// either.
func (n *Node) forgetReplica(r *replica) {
	m := r.master
	if !n.goneFor(r) || !n.looksSane(m) || n.since(r.listedAt) < m.options.ForgetAfter {
		return
	}
	n.notify(LevelNotice, "-slave", r, " #forgotten")
	n.removeReplica(r)
	n.save(m)
}

// forgetPeer drops a Sentinel that is down, and that was not heard of by way of
// the master either, if most Sentinels are there.
func (n *Node) forgetPeer(p *peer) {
	m := p.master
	if !n.goneFor(p) || n.since(p.lastHello) < m.options.ForgetAfter {
		return
	}
	if usable, voters := m.usable(); usable < voters/2+1 {
		return
	}
	n.notify(LevelNotice, "-sentinel", p, " #forgotten")
	n.removePeer(p)
	n.save(m)
}

// usable counts the Sentinels of a master that are up, and all of them; this one
// is among both.
func (m *master) usable() (usable, voters int) {
	usable = 1
	for _, p := range m.peers {
		if !p.sdown {
			usable++
		}
	}
	return usable, len(m.peers) + 1
}
