package sentinel

import "time"

// resetMaster forgets what was learned about a master, and undoes a failover.
// (sentinelResetMaster)
func (n *Node) resetMaster(m *master) {
	n.removeReplicas(m)
	n.hangUp(m.link)
	l := m.link
	l.dialled, l.refused, l.redials = time.Time{}, false, 0
	l.waiting, l.lastAvail, l.lastPong, l.lastPing = n.now, n.now, n.now, time.Time{}
	m.sdown, m.odown, m.rebooted, m.scriptKillSent = false, false, false, false
	m.leader = ""
	m.failover = failover{}
	m.runID = ""
	m.info = report{role: RoleMaster, roleSince: n.now}
	n.touch(m)
	n.touch(l)
	n.save(m)
}

// switchMaster makes another instance the master: the old one becomes a
// replica, the other Sentinels stay. (sentinelResetMasterAndChangeAddress)
func (n *Node) switchMaster(m *master, to Addr) {
	from := n.announced(m.addr)
	shown := n.announced(to)
	n.say(LevelWarning, "+switch-master", m,
		m.name+" "+from.Host+" "+port(from)+" "+shown.Host+" "+port(shown))
	replicas := make([]Addr, 0, len(m.replicas)+1)
	for _, r := range m.replicas {
		if !n.same(r.addr, to) {
			replicas = append(replicas, r.addr)
		}
	}
	if !n.same(m.addr, to) {
		replicas = append(replicas, m.addr)
	}
	n.resetMaster(m)
	m.addr = to
	m.sdownSince, m.odownSince = time.Time{}, time.Time{}
	for _, p := range m.peers {
		p.masterDown = false // that was about the old one
	}
	for _, addr := range replicas {
		r, _ := n.addReplica(m, addr)
		n.notify(LevelNotice, "+slave", r, "")
	}
}
