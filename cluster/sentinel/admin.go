package sentinel

import "time"

// command carries out what an administrator, or another Sentinel, asks for.
func (n *Node) command(ev Event) Result {
	switch ev := ev.(type) {
	case IsMasterDown:
		return n.answerDown(ev)
	case Monitor:
		return Result{Err: n.monitor(ev)}
	case Remove:
		return Result{Err: n.remove(ev)}
	case Set:
		return Result{Err: n.set(ev)}
	case Reset:
		return Result{Count: n.reset(ev)}
	case Failover:
		return Result{Err: n.forceFailover(ev)}
	case FlushConfig:
		n.save(nil)
	case SimulateFailure:
		n.simulate(ev.Flags)
	}
	return Result{}
}

func (n *Node) monitor(ev Monitor) error {
	switch {
	case ev.Quorum < 1:
		return ErrInvalidQuorum
	case ev.Addr.Port == 0:
		return ErrInvalidPort
	case !n.validHost(ev.Addr.Host):
		return ErrInvalidAddr
	case !validName(ev.Name):
		return ErrInvalidName
	case n.byName[ev.Name] != nil:
		return ErrDuplicateMaster
	}
	options := DefaultOptions()
	options.DownAfter = n.cfg.Timing.DefaultDownAfter
	options.FailoverTimeout = n.cfg.Timing.DefaultFailoverTimeout
	m := n.addMaster(ev.Name, ev.Addr, ev.Quorum, options)
	// It may have been watched before, and voted on in the current epoch.
	m.leaderEpoch = n.currentEpoch
	n.save(m)
	n.notify(LevelWarning, "+monitor", m, " quorum %d", m.quorum)
	return nil
}

func (n *Node) remove(ev Remove) error {
	m := n.byName[ev.Name]
	if m == nil {
		return ErrNoSuchMaster
	}
	n.notify(LevelWarning, "-monitor", m, "")
	n.removeMaster(m)
	n.save(nil)
	return nil
}

// set changes options of a master: all of them or, if one is not valid, none.
func (n *Node) set(ev Set) error {
	m := n.byName[ev.Name]
	if m == nil {
		return ErrNoSuchMaster
	}
	next, quorum := m.options, m.quorum
	next.RenamedCommands = append([]RenamedCommand(nil), next.RenamedCommands...)
	for _, o := range ev.Options {
		if err := o.check(); err != nil {
			return err
		}
		if o.Name == optionQuorum {
			quorum = int(o.number(0))
			continue
		}
		next.Apply(o)
	}
	reconnect := next.AuthPass != m.options.AuthPass || next.AuthUser != m.options.AuthUser
	m.options, m.quorum = next, quorum
	n.save(m)
	if reconnect {
		n.hangUpData(m)
	}
	for _, o := range ev.Options {
		n.notify(LevelWarning, "+set", m, "%s", o.describe())
	}
	n.touchAllOf(m)
	return nil
}

// hangUpData ends the connections to a master and its replicas, so that they
// are made with the new password. (dropInstanceConnections)
func (n *Node) hangUpData(m *master) {
	n.hangUp(m.link)
	for _, r := range m.replicas {
		n.hangUp(r.link)
	}
}

func (n *Node) touchAllOf(m *master) {
	for _, w := range m.group() {
		n.touch(w)
		n.touch(w.inst().link)
	}
}

// resetPause is how long a master that was reset is left alone: who looks right
// after the reply finds it without replicas, as with the original.
const resetPause = 100 * time.Millisecond

func (n *Node) reset(ev Reset) int {
	count := 0
	for _, m := range n.masters {
		if ev.Match != nil && ev.Match(m.name) {
			n.removePeers(m)
			n.resetMaster(m)
			m.link.dialled = n.now.Add(resetPause - n.cfg.Timing.PingPeriod)
			n.notify(LevelWarning, "+reset-master", m, "")
			count++
		}
	}
	return count
}

// forceFailover starts a failover that needs no election.
func (n *Node) forceFailover(ev Failover) error {
	m := n.byName[ev.Name]
	switch {
	case m == nil:
		return ErrNoSuchMaster
	case m.failover.running():
		return ErrInProgress
	case ev.Coordinated && !m.info.canFailover:
		return ErrNoGoodPrimary
	case ev.Coordinated && !m.link.canSend():
		return ErrPrimaryAway
	case n.choose(m) == nil:
		return ErrNoGoodReplica
	}
	n.log(LevelNotice, "Executing user requested FAILOVER of '%s'", m.name)
	n.startFailover(m)
	m.failover.forced, m.failover.coordinated = true, ev.Coordinated
	return nil
}

func (n *Node) simulate(flags SimFailure) {
	n.simFailure = flags
	if flags&CrashAfterElection != 0 {
		n.log(LevelWarning, "Failure simulation: this Sentinel will crash after being successfully elected as failover leader")
	}
	if flags&CrashAfterPromotion != 0 {
		n.log(LevelWarning, "Failure simulation: this Sentinel will crash after promoting the selected replica to master")
	}
}
