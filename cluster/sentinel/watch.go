package sentinel

import "time"

// What is due for an instance has two halves: to keep in touch with it, always,
// and to judge and act, not in TILT mode. (sentinelHandleRedisInstance)

func (m *master) run(n *Node) {
	n.askInfoAndSayHello(m)
	if n.tilt {
		return
	}
	n.judge(m)
	n.countOpinions(m)
	if n.startFailoverIfDue(m) {
		n.askOpinions(m, true)
	}
	n.advanceFailover(m)
	n.askOpinions(m, false)
}

func (r *replica) run(n *Node) {
	n.askInfoAndSayHello(r)
	if n.tilt {
		return
	}
	n.judge(r)
	n.forgetReplica(r)
}

func (p *peer) run(n *Node) {
	n.askInfoAndSayHello(p)
	if n.tilt {
		return
	}
	n.judge(p)
	n.forgetPeer(p)
}

func (m *master) alarm(n *Node) time.Time {
	a := n.contactAlarm(m)
	if n.tilt {
		return a.at
	}
	a.by(n.downAlarm(m))
	if m.info.role != RoleMaster && !m.sdown {
		a.by(m.info.roleSince.Add(n.demotedAfter(m)))
	}
	if m.rebooted && !m.sdown {
		a.by(m.rebootedAt.Add(m.options.RebootDownAfter))
	}
	if m.sdown || m.failover.running() || m.hasOpinions() {
		a.by(n.now.Add(failoverPeriod))
	}
	for _, at := range []time.Time{m.failover.notBefore, m.failover.standAt, m.failover.finishAt} {
		if at.After(n.now) {
			a.by(at)
		}
	}
	return a.at
}

func (r *replica) alarm(n *Node) time.Time { return n.alarmOfOthers(r) }

func (p *peer) alarm(n *Node) time.Time { return n.alarmOfOthers(p) }

// alarmOfOthers is when an instance that is no master is to be looked at again.
func (n *Node) alarmOfOthers(w watched) time.Time {
	a := n.contactAlarm(w)
	if !n.tilt {
		a.by(n.downAlarm(w))
		a.by(n.forgetAlarm(w))
	}
	return a.at
}

// failoverPeriod is how often a master is looked at while it is down or being
// replaced: the rhythm of the original's timer.
const failoverPeriod = 100 * time.Millisecond

// askInfoAndSayHello is the part of sentinelSendPeriodicCommands that does not
// belong to the link.
func (n *Node) askInfoAndSayHello(w watched) {
	if !w.inst().link.canSend() {
		return
	}
	if w.inst().role != RoleSentinel {
		n.askInfo(w)
	}
	n.sayHello(w)
}

// contactAlarm is when INFO or a hello is due.
func (n *Node) contactAlarm(w watched) alarm {
	var a alarm
	i := w.inst()
	if !i.link.canSend() {
		return a
	}
	if i.role != RoleSentinel && !i.info.pending {
		a.by(n.infoDue(w))
	}
	if !i.saidHello && !paused(w) {
		a.by(n.helloDue(i))
	}
	return a
}
