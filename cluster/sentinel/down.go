package sentinel

import (
	"strconv"
	"time"
)

// judge finds out whether an instance is SDOWN. (The second half of
// sentinelCheckSubjectivelyDown.)
func (n *Node) judge(w watched) {
	if !n.mayJudge() {
		return
	}
	i := w.inst()
	switch down := n.looksDown(w); {
	case down && !i.sdown:
		i.sdown, i.sdownSince = true, n.now
		n.notify(LevelWarning, "+sdown", w, "")
	case !down && i.sdown:
		i.sdown, i.scriptKillSent = false, false
		n.notify(LevelWarning, "-sdown", w, "")
	}
}

func (n *Node) looksDown(w watched) bool {
	l, options := w.inst().link, &w.of().options
	if since := l.silentSince(); !since.IsZero() && n.since(since) >= options.DownAfter {
		return true
	}
	if options.FastDown && l.refused {
		return true
	}
	m, ok := w.(*master)
	if !ok {
		return false
	}
	demoted := m.info.role != RoleMaster && n.since(m.info.roleSince) > n.demotedAfter(m)
	return demoted || m.rebooted && n.since(m.rebootedAt) > options.RebootDownAfter
}

// demotedAfter is for how long a master may say that it is a replica until it
// counts as down: another Sentinel may be about to tell why.
func (n *Node) demotedAfter(m *master) time.Duration {
	return m.options.DownAfter + 2*n.cfg.Timing.InfoPeriod
}

// silentSince is since when an instance does not answer; zero if it owes no
// answer.
func (l *link) silentSince() time.Time {
	if !l.waiting.IsZero() {
		return l.waiting
	}
	if !l.connected() {
		return l.lastAvail
	}
	return time.Time{}
}

// downAlarm is when an instance is to be judged again if it stays silent.
func (n *Node) downAlarm(w watched) time.Time {
	i := w.inst()
	since := i.link.silentSince()
	if i.sdown || since.IsZero() {
		return time.Time{}
	}
	return since.Add(w.of().options.DownAfter)
}

// countOpinions finds out whether a master is ODOWN: as many Sentinels as the
// quorum says call it down. That is weak: their opinions are of different
// moments. (sentinelCheckObjectivelyDown)
func (n *Node) countOpinions(m *master) {
	agree := 0
	if m.sdown {
		agree = 1
		for _, p := range m.peers {
			if p.masterDown {
				agree++
			}
		}
	}
	switch down := m.sdown && agree >= m.quorum; {
	case down && !m.odown:
		m.odown, m.odownSince = true, n.now
		m.failover.notBefore = n.now.Add(n.electionDelay(m))
		n.notify(LevelWarning, "+odown", m, " #quorum %d/%d", agree, m.quorum)
		n.touchReplicas(m)
	case !down && m.odown:
		m.odown = false
		n.notify(LevelWarning, "-odown", m, "")
	}
}

// hasOpinions reports whether another Sentinel's word about the master is kept.
func (m *master) hasOpinions() bool {
	for _, p := range m.peers {
		if p.masterDown || p.leader != "" {
			return true
		}
	}
	return false
}

// askOpinions asks the other Sentinels whether they see a master down, and for
// their votes if there is a failover. Old answers are forgotten.
// (sentinelAskMasterStateToOtherSentinels)
func (n *Node) askOpinions(m *master, atOnce bool) {
	period := n.cfg.Timing.AskPeriod
	for _, p := range m.peers {
		if n.since(p.answered) > 5*period {
			p.masterDown, p.leader = false, ""
		}
		if !m.sdown && !m.failover.finishing || !p.link.canSend() {
			continue
		}
		if !atOnce && (p.asking || n.since(p.answered) < period) {
			continue
		}
		n.askOpinion(p)
	}
}

func (n *Node) askOpinion(p *peer) {
	m := p.master
	epoch, candidate := n.currentEpoch, "*"
	if n.stands(m) {
		candidate = n.myID
	}
	addr := n.announced(m.addr)
	p.asking = true
	n.send(p, true, RequestDownOpinion, n.words(p, "SENTINEL", "is-master-down-by-addr",
		addr.Host, port(addr), strconv.FormatUint(epoch, 10), candidate))
}

// opinion takes the answer of another Sentinel about the master that was at
// about. (sentinelReceiveIsMasterDownReply)
func (n *Node) opinion(p *peer, about Addr, r Reply) {
	if r.Kind != ReplyArray || len(r.Array) != 3 ||
		r.Array[0].Kind != ReplyInteger || r.Array[1].Kind != ReplyBulk || r.Array[2].Kind != ReplyInteger {
		return
	}
	if about != p.master.addr {
		return // it is about the master before this one
	}
	p.answered = n.now
	p.masterDown = r.Array[0].Integer == 1
	n.touch(p.master)
	leader, epoch := r.Array[1].Text, r.Array[2].Integer
	if leader == "*" || !validID(leader) || epoch < 0 {
		return
	}
	if p.leaderEpoch != uint64(epoch) {
		n.log(LevelNotice, "%s voted for %s %d", p.name, leader, epoch)
	}
	p.leader, p.leaderEpoch = leader, uint64(epoch)
}

// answerDown answers the same question of another Sentinel.
func (n *Node) answerDown(ask IsMasterDown) Result {
	r := Result{Leader: "*"}
	m, down := n.masterAt(ask.Addr)
	if m == nil {
		return r
	}
	r.Down = down && !n.tilt
	if validID(ask.Candidate) {
		if leader, epoch := n.vote(m, ask.Epoch, ask.Candidate); leader != "" {
			r.Leader, r.LeaderEpoch = leader, epoch
		}
	}
	return r
}

// masterAt is the first master with that address, and whether it is down. A
// promoted replica is the master for others, who have switched to it, before it
// is here.
func (n *Node) masterAt(addr Addr) (m *master, down bool) {
	for _, m := range n.masters {
		switch {
		case n.same(m.addr, addr):
			return m, m.sdown
		case m.current() != m.addr && n.same(m.current(), addr):
			return m, m.failover.promoted.sdown
		}
	}
	return nil, false
}
