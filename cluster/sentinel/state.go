package sentinel

import (
	"fmt"
	"slices"
)

// State is what must survive a restart: what the configuration file keeps of
// the masters and of the elections. A State that a Node has given away is not
// changed any more.
type State struct {
	// Version counts the States of one life of a Node.
	Version      uint64
	MyID         string // 40 hexadecimal digits
	CurrentEpoch uint64
	Masters      []*MasterState // by name
}

// MasterState is a master as the configuration file has it.
type MasterState struct {
	Name string
	// Addr is where the master is now: the promoted replica from the moment that
	// its promotion was seen, and then the old master is among Replicas.
	// (rewriteConfigSentinelOption)
	Addr    Addr
	Quorum  int
	Options Options
	// ConfigEpoch is that of the configuration, LeaderEpoch that of the last vote.
	ConfigEpoch uint64
	LeaderEpoch uint64
	Replicas    []Addr // by name
	Sentinels   []KnownSentinel
}

// KnownSentinel is another Sentinel of a master. ID is empty if it is not
// known yet.
type KnownSentinel struct {
	Addr Addr
	ID   string
}

// save notes that the part of the State that is about m has changed; nil: only
// what is common to all. The State is given out at the end of the Step.
func (n *Node) save(m *master) {
	n.dirty = true
	if m != nil {
		m.state = nil
	}
}

// flush gives out the State if it has changed.
func (n *Node) flush() {
	if !n.dirty {
		return
	}
	n.dirty = false
	n.version++
	n.fx.Persist = n.Snapshot()
	for _, m := range n.masters {
		if at := m.current(); at != m.next {
			m.next, m.shownVersion = at, n.version
			n.unshown = append(n.unshown, m)
		}
	}
}

// persisted shows clients the new masters that are on disk now.
func (n *Node) persisted(version uint64) {
	n.durable = max(n.durable, version)
	waiting := n.unshown[:0]
	for _, m := range n.unshown {
		if m.shownVersion <= n.durable {
			m.shown = m.next
		} else {
			waiting = append(waiting, m)
		}
	}
	clear(n.unshown[len(waiting):])
	n.unshown = waiting
}

// Snapshot is the State as it is now, on disk or not.
func (n *Node) Snapshot() *State {
	s := &State{Version: n.version, MyID: n.myID, CurrentEpoch: n.currentEpoch}
	s.Masters = make([]*MasterState, len(n.masters))
	for i, m := range n.masters {
		if m.state == nil {
			m.state = m.snapshot()
		}
		s.Masters[i] = m.state
	}
	return s
}

// current is where the master is by now: the promoted replica from when its
// promotion was seen. (sentinelGetCurrentMasterAddress)
func (m *master) current() Addr {
	if r := m.failover.promoted; r != nil && m.failover.state >= stateReconfReplicas {
		return r.addr
	}
	return m.addr
}

func (m *master) snapshot() *MasterState {
	s := &MasterState{
		Name:        m.name,
		Addr:        m.current(),
		Quorum:      m.quorum,
		Options:     m.options,
		ConfigEpoch: m.configEpoch,
		LeaderEpoch: m.leaderEpoch,
	}
	s.Options.RenamedCommands = slices.Clone(m.options.RenamedCommands)
	for _, r := range m.replicas {
		addr := r.addr
		if addr == s.Addr { // the new master; the old one takes its place
			addr = m.addr
		}
		s.Replicas = append(s.Replicas, addr)
	}
	for _, p := range m.peers {
		s.Sentinels = append(s.Sentinels, KnownSentinel{Addr: p.addr, ID: p.name})
	}
	return s
}

// load makes the tables from a State.
func (n *Node) load(s *State) error {
	n.myID, n.currentEpoch = s.MyID, s.CurrentEpoch
	n.version, n.durable = s.Version, s.Version
	for _, ms := range s.Masters {
		if n.byName[ms.Name] != nil {
			return fmt.Errorf("sentinel: master %q: %w", ms.Name, ErrDuplicateMaster)
		}
		if ms.Quorum < 1 {
			return fmt.Errorf("sentinel: master %q: %w", ms.Name, ErrInvalidQuorum)
		}
		if err := ms.Options.validate(); err != nil {
			return fmt.Errorf("sentinel: master %q: %w", ms.Name, err)
		}
		n.loadMaster(ms)
	}
	return nil
}

func (n *Node) loadMaster(s *MasterState) {
	m := n.addMaster(s.Name, s.Addr, s.Quorum, s.Options)
	m.configEpoch, m.leaderEpoch = s.ConfigEpoch, s.LeaderEpoch
	if m.leaderEpoch > m.configEpoch {
		m.votedAt = n.now
	}
	// An older file may lack the common epoch; nobody votes in one that is past.
	n.currentEpoch = max(n.currentEpoch, s.ConfigEpoch, s.LeaderEpoch)
	for _, addr := range s.Replicas {
		n.addReplica(m, addr)
	}
	for _, k := range s.Sentinels {
		if validID(k.ID) && k.ID != n.myID && m.peerByID(k.ID) == nil {
			n.addPeer(m, k.ID, k.Addr)
		}
	}
}
