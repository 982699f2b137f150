package sentinel

import (
	"strconv"
	"time"
)

// failover is how far the replacement of a master is.
type failover struct {
	state failoverState
	// forced: no election is needed; coordinated: the master hands over itself.
	forced, coordinated bool
	// unpaused: the master that hands over has been told to let writes go.
	unpaused bool
	epoch    uint64
	// started is when the last attempt began, of this Sentinel or of the one that
	// it voted for, with a random part.
	started time.Time
	changed time.Time // when state did
	// notBefore puts off the start a little, and standAt, if it is not zero, a
	// further election, so that not all stand at once.
	notBefore time.Time
	standAt   time.Time
	rounds    int // of election
	// finishing: it carries on with that of a leader that has died; see unfinished.go.
	// finishAt is when to do so; zero: there is nothing to finish.
	finishing bool
	finishAt  time.Time
	delaySaid time.Time // the value of started of which the log has the delay
	promoted  *replica  // chosen; nil before
}

// failoverState is the state of a failover. All but stateNone are failovers
// that run.
type failoverState uint8

const (
	stateNone failoverState = iota
	stateWaitStart
	stateSelectReplica
	stateSendReplicaOfNoOne
	stateWaitPromotion
	stateReconfReplicas
	stateUpdateConfig
)

// String is the state as SENTINEL MASTER shows it. (sentinelFailoverStateStr)
func (s failoverState) String() string {
	return [...]string{
		"none", "wait_start", "select_slave", "send_slaveof_noone",
		"wait_promotion", "reconf_slaves", "update_config",
	}[s]
}

func (f *failover) running() bool { return f.state != stateNone }

func formatEpoch(epoch uint64) string { return strconv.FormatUint(epoch, 10) }

// startFailoverIfDue starts the failover of a master that is ODOWN, unless one
// was tried lately. (sentinelStartFailoverIfNeeded)
func (n *Node) startFailoverIfDue(m *master) bool {
	f := &m.failover
	if n.finishIfDue(m) {
		return true
	}
	if !m.odown || f.running() || n.now.Before(f.notBefore) {
		return false
	}
	if !f.started.IsZero() && n.since(f.started) < 2*m.options.FailoverTimeout {
		if f.delaySaid != f.started {
			f.delaySaid = f.started
			n.log(LevelNotice, "Next failover delay: I will not start a failover before %s",
				f.started.Add(2*m.options.FailoverTimeout).Format(time.ANSIC))
		}
		return false
	}
	n.startFailover(m)
	return true
}

// startFailover begins a failover in an epoch of its own. (sentinelStartFailover)
func (n *Node) startFailover(m *master) {
	f := &m.failover
	n.enter(m, stateWaitStart)
	n.adoptEpoch(m, n.currentEpoch+1)
	f.epoch, f.rounds, f.standAt, f.unpaused, f.finishing = n.currentEpoch, 1, time.Time{}, false, false
	n.notify(LevelWarning, "+try-failover", m, "")
	f.started = n.now.Add(n.random(maxDesync))
	n.touchReplicas(m)
}

// enter moves the failover of a master to another state, which may go on at
// once.
func (n *Node) enter(m *master, s failoverState) {
	m.failover.state, m.failover.changed = s, n.now
	n.touch(m)
}

// advanceFailover takes the step that the state of the failover asks for.
// (sentinelFailoverStateMachine)
func (n *Node) advanceFailover(m *master) {
	switch m.failover.state {
	case stateWaitStart:
		n.waitForElection(m)
	case stateSelectReplica:
		n.selectReplica(m)
	case stateSendReplicaOfNoOne:
		n.promote(m)
	case stateWaitPromotion:
		if n.timedOut(m) {
			n.abortFailover(m, abortPromotion(m))
		}
	case stateReconfReplicas:
		n.reconfigureNext(m)
		n.endIfDone(m)
	case stateUpdateConfig:
		n.switchToPromoted(m)
	}
}

// timedOut reports whether the state has lasted for the failover timeout.
func (n *Node) timedOut(m *master) bool {
	return n.since(m.failover.changed) > m.options.FailoverTimeout
}

func abortPromotion(m *master) string {
	if m.failover.coordinated {
		return "-failover-abort-master-timeout"
	}
	return "-failover-abort-slave-timeout"
}

func (n *Node) waitForElection(m *master) {
	f := &m.failover
	if !n.elected(m) && !f.forced {
		if n.since(f.started) > min(n.cfg.Timing.ElectionTimeout, m.options.FailoverTimeout) {
			n.abortFailover(m, "-failover-abort-not-elected")
			return
		}
		n.standAgain(m)
		return
	}
	n.notify(LevelWarning, "+elected-leader", m, "")
	if n.crash(CrashAfterElection) {
		return
	}
	n.enter(m, stateSelectReplica)
	n.notify(LevelWarning, "+failover-state-select-slave", m, "")
}

// crash asks to exit if that is to be simulated.
func (n *Node) crash(at SimFailure) bool {
	if n.simFailure&at == 0 {
		return false
	}
	n.log(LevelWarning, "Sentinel CRASH because of SENTINEL simulate-failure")
	n.fx.Exit = true
	return true
}

func (n *Node) selectReplica(m *master) {
	r := n.choose(m)
	if r == nil || m.failover.finishing && !m.odown && !r.unfinished {
		n.abortFailover(m, "-failover-abort-no-good-slave")
		return
	}
	n.notify(LevelWarning, "+selected-slave", r, "")
	r.promoted = true
	m.failover.promoted = r
	n.enter(m, stateSendReplicaOfNoOne)
	n.notify(LevelNotice, "+failover-state-send-slaveof-noone", r, "")
}

// promote sends what makes a master of the chosen replica.
// (sentinelFailoverSendSlaveOfNoOne)
func (n *Node) promote(m *master) {
	r := m.failover.promoted
	sent := false
	if m.failover.coordinated {
		sent = n.handOver(m, r)
	} else {
		sent = n.replicaOf(r, nil)
	}
	if !sent {
		if n.timedOut(m) {
			n.abortFailover(m, abortPromotion(m))
		}
		return
	}
	n.notify(LevelNotice, "+failover-state-wait-promotion", r, "")
	n.enter(m, stateWaitPromotion)
}

// handOverTimeout bounds for how long a master that hands over waits for the
// replica, and its clients with it.
const handOverTimeout = 10 * time.Second

// handOver has the master itself wait until the replica has all its data, and
// change places with it, while writes are paused. (SENTINEL FAILOVER …
// COORDINATED of Valkey 9)
func (n *Node) handOver(m *master, r *replica) bool {
	if !m.link.connected() {
		return false
	}
	ms := strconv.FormatInt(min(handOverTimeout, m.options.FailoverTimeout).Milliseconds(), 10)
	to := n.announced(r.addr)
	n.send(m, true, RequestHandOver,
		n.words(m, "MULTI"),
		n.words(m, "CLIENT", "PAUSE", ms, "WRITE"),
		n.words(m, "FAILOVER", "TO", to.Host, port(to), "TIMEOUT", ms),
		n.words(m, "EXEC"))
	return true
}

// handOverReply ends a coordinated failover that the master refuses.
func (n *Node) handOverReply(m *master, r Reply) {
	if m.failover.state != stateWaitPromotion || !m.failover.coordinated {
		return
	}
	refused := r.Kind != ReplyArray
	text := r.Text
	for _, e := range r.Array {
		if e.Kind == ReplyError {
			refused, text = true, e.Text
		}
	}
	if refused {
		n.log(LevelWarning, "%s does not hand over: %s", m.name, text)
		n.unpause(m)
		n.abortFailover(m, abortPromotion(m))
	}
}

// promotionSeen is the point of no return: the replica is a master. The
// configuration that says so has the epoch that this Sentinel was elected in.
func (n *Node) promotionSeen(r *replica) {
	m := r.master
	m.configEpoch = m.failover.epoch
	n.enter(m, stateReconfReplicas)
	n.save(m)
	n.notify(LevelWarning, "+promoted-slave", r, "")
	if n.crash(CrashAfterPromotion) {
		return
	}
	n.notify(LevelWarning, "+failover-state-reconf-slaves", m, "")
	n.reconfigureClients(m, "leader", m.addr, r.addr)
	n.hurryHellos(m)
	if m.failover.coordinated && !n.settleRole(r) {
		n.unpause(m)
	}
}

// settled goes on when the promoted replica, or the old master, has settled in its role.
// The replica is first: whoever is sent there by the other must not be disconnected.
func (n *Node) settled(w watched) {
	f := &w.of().failover
	if f.coordinated && f.state >= stateReconfReplicas && w == watched(f.promoted) {
		n.unpause(w.of())
	}
}

// unpause lets the writes go that have waited since a master began to hand over. They
// are told that it is none any more, and clients ask where it is: here they are told of
// the new one by now. Those that say nothing are disconnected when that is done.
func (n *Node) unpause(m *master) {
	if m.link.canSend() {
		n.send(m, true, RequestUnpause, n.words(m, "CLIENT", "UNPAUSE"))
		m.failover.unpaused = true
		n.touch(m)
	}
}

// settleRole has an instance that changed its role by FAILOVER write that to its
// configuration file, which FAILOVER does not do: two that restart with their old
// roles would follow each other for ever. And it has the clients of the instance
// ask again where the master is. It reports whether that could be sent.
func (n *Node) settleRole(w watched) bool {
	if !w.inst().link.canSend() {
		return false
	}
	n.send(w, true, RequestSettleRole,
		n.words(w, "MULTI"),
		n.words(w, "CONFIG", "REWRITE"),
		n.words(w, "CLIENT", "KILL", "TYPE", "normal"),
		n.words(w, "CLIENT", "KILL", "TYPE", "pubsub"),
		n.words(w, "EXEC"))
	return true
}

// settleTimeout bounds the wait for the answers to settleRole: clients are not told
// of the new master before.
const settleTimeout = 2 * time.Second

// settling reports whether the two that change places may not have read what
// settleRole has sent: the switch closes their connections.
func (n *Node) settling(m *master) bool {
	f := &m.failover
	return f.coordinated && n.since(f.changed) < settleTimeout &&
		(m.link.awaits(RequestUnpause) || m.link.awaits(RequestSettleRole) || f.promoted.link.awaits(RequestSettleRole))
}

// paused reports whether w is a master that hands over. It makes writes wait, and with
// them a PUBLISH and all that follows it on a connection.
func paused(w watched) bool {
	f := &w.of().failover
	return w.inst().role == RoleMaster && f.coordinated && f.state >= stateWaitPromotion && !f.unpaused
}

// reconfigureNext points replicas to the new master, parallel-syncs at a time:
// those that load a snapshot do not serve. (sentinelFailoverReconfNextSlave)
func (n *Node) reconfigureNext(m *master) {
	busy := 0
	for _, r := range m.replicas {
		n.expireReconf(r)
		if r.reconf == reconfSent || r.reconf == reconfInProgress {
			busy++
		}
	}
	for _, r := range m.replicas {
		if busy >= m.options.ParallelSyncs {
			return
		}
		if !r.promoted && r.reconf == reconfNone && n.reconfigure(r, "+slave-reconf-sent") {
			busy++
		}
	}
}

// expireReconf stops to wait for a replica that does not take its new master; it
// will be seen as misconfigured later. The original does so only while there is
// room for another one, so that with parallel-syncs 1 such a replica holds all
// others up until the failover times out.
func (n *Node) expireReconf(r *replica) {
	if r.reconf == reconfSent && n.since(r.reconfSentAt) > n.cfg.Timing.ReplicaReconfTimeout {
		r.reconf = reconfDone
		n.notify(LevelNotice, "-slave-reconf-sent-timeout", r, "")
	}
}

// reconfigure points one replica to the new master.
func (n *Node) reconfigure(r *replica, event string) bool {
	if !n.replicaOf(r, &r.master.failover.promoted.addr) {
		return false
	}
	r.reconf, r.reconfSentAt = reconfSent, n.now
	n.notify(LevelNotice, event, r, "")
	return true
}

// endIfDone ends a failover whose replicas are all reconfigured, or that takes
// too long. (sentinelFailoverDetectEnd) The original waits without end for a
// promoted replica that dies; then nobody could replace it here.
func (n *Node) endIfDone(m *master) {
	timeout := n.timedOut(m)
	if m.failover.promoted.sdown && !timeout {
		return // there would be no reachable master
	}
	if timeout {
		n.notify(LevelWarning, "+failover-end-for-timeout", m, "")
	} else if !m.reconfigured() || n.settling(m) {
		return
	}
	n.notify(LevelWarning, "+failover-end", m, "")
	n.enter(m, stateUpdateConfig)
	if !timeout {
		return
	}
	for _, r := range m.replicas {
		if !r.promoted && (r.reconf == reconfNone || r.reconf == reconfInProgress) {
			n.reconfigure(r, "+slave-reconf-sent-be")
		}
	}
}

// reconfigured reports whether all replicas that are up follow the new master.
func (m *master) reconfigured() bool {
	for _, r := range m.replicas {
		if !r.promoted && r.reconf != reconfDone && !r.sdown {
			return false
		}
	}
	return true
}

// switchToPromoted makes the promoted replica the master of the table.
// (sentinelFailoverSwitchToPromotedSlave)
func (n *Node) switchToPromoted(m *master) {
	n.switchMaster(m, m.failover.promoted.addr)
}

// abortFailover gives a failover up, which can be done until the promotion was
// seen. (sentinelAbortFailover)
func (n *Node) abortFailover(m *master, event string) {
	n.notify(LevelWarning, event, m, "")
	f := &m.failover
	if n.durable < n.version {
		n.takeBack(m)
	}
	if f.promoted != nil {
		f.promoted.promoted = false
	}
	f.promoted, f.forced, f.coordinated, f.finishing = nil, false, false, false
	n.postponeFinish(m)
	n.enter(m, stateNone)
}

// takeBack drops commands of a failover that still wait for the disk: who knows
// what others have decided until it writes again.
func (n *Node) takeBack(m *master) {
	switch f := &m.failover; {
	case f.state != stateWaitPromotion:
	case f.coordinated:
		n.hangUp(m.link)
		n.touch(m.link)
	default:
		n.hangUp(f.promoted.link)
		n.touch(f.promoted.link)
	}
}

// abortOvertaken gives up a failover whose epoch is not newer than that of the
// configuration any more: nobody would follow it.
func (n *Node) abortOvertaken(m *master) {
	f := &m.failover
	switch {
	case !f.running() || f.state >= stateReconfReplicas || f.epoch > m.configEpoch:
	case f.state == stateWaitStart:
		n.abortFailover(m, "-failover-abort-not-elected")
	default:
		n.abortFailover(m, abortPromotion(m))
	}
}
