package cluster

import (
	"errors"
	"fmt"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// state is what has to survive a restart.
func (n *Node) state() *State {
	s := &State{
		Version:       n.disk.version,
		CurrentEpoch:  n.currentEpoch,
		LastVoteEpoch: n.lastVoteEpoch,
		Group:         n.group,
		Nodes:         make([]NodeRecord, 0, len(n.order)),
	}
	for _, p := range n.order {
		if !p.inHandshake() {
			s.Nodes = append(s.Nodes, n.record(p))
		}
	}
	return s
}

func (n *Node) record(p *peer) NodeRecord {
	r := NodeRecord{
		ID:           p.id,
		IP:           p.ip,
		TCPPort:      p.tcpPort,
		TLSPort:      p.tlsPort,
		BusPort:      p.busPort,
		Hostname:     p.hostname,
		HumanName:    p.humanName,
		ClientIPv4:   p.clientIPv4,
		ClientIPv6:   p.clientIPv6,
		ShardID:      p.shardID,
		Flags:        p.flags,
		PingSent:     p.pingSent,
		PongReceived: p.pongReceived,
		ConfigEpoch:  p.configEpoch,
		Connected:    p == n.myself || p.out != nil,
		Slots:        p.sharedSet(),
	}
	if p.primary != nil {
		r.Primary = p.primary.id
		r.ConfigEpoch = p.primary.configEpoch
	}
	if p == n.myself {
		r.Migrating = openSlots(n.table.migrating)
		r.Importing = openSlots(n.table.importing)
	}
	return r
}

// load fills a new node with what was saved. Faults that only contradict are
// mended, as the newer versions do; a file without a node of our own is not.
func (n *Node) load(s *State) error {
	n.currentEpoch, n.lastVoteEpoch, n.group = s.CurrentEpoch, s.LastVoteEpoch, s.Group
	for i := range s.Nodes {
		n.loadPeer(&s.Nodes[i])
	}
	if n.myself == nil {
		return errors.New("cluster: the node configuration has no line with the flag myself")
	}
	for i := range s.Nodes {
		if err := n.loadRelations(&s.Nodes[i]); err != nil {
			return err
		}
	}
	n.currentEpoch = n.maxEpoch()
	n.todo.state = true
	n.note("Node configuration loaded, I'm %s", n.myself.id)
	return nil
}

func (n *Node) loadPeer(r *NodeRecord) {
	const keep = bus.FlagPrimary | bus.FlagReplica | bus.FlagPFail | bus.FlagFail | bus.FlagNoAddr | bus.FlagNoFailover
	p := n.peers[r.ID]
	if p == nil {
		p = n.addPeer(r.ID, 0)
	}
	p.flags = r.Flags & keep
	p.unheard, p.knewUs = true, true
	p.vouched = time.Time{}
	if p.isReplica() {
		p.flags &^= bus.FlagPrimary
	} else {
		p.flags |= bus.FlagPrimary
	}
	p.ip, p.tcpPort, p.tlsPort, p.busPort = r.IP, r.TCPPort, r.TLSPort, r.BusPort
	p.hostname, p.humanName = r.Hostname, r.HumanName
	if r.ShardID != "" {
		p.shardID = r.ShardID
	}
	if p.failed() {
		p.failTime = n.now
	}
	if !r.PingSent.IsZero() || p.has(bus.FlagNoAddr) {
		p.pingSent = n.now
	}
	if !r.PongReceived.IsZero() {
		p.pongReceived = n.now
	}
	if p.isPrimary() {
		p.configEpoch = r.ConfigEpoch
	}
	if r.Flags.Has(bus.FlagMyself) && n.myself == nil {
		n.myself = p
		p.unheard = false
		p.flags = p.flags&^(bus.FlagPFail|bus.FlagFail|bus.FlagNoAddr) | bus.FlagMyself
		p.pingSent, p.pongReceived = time.Time{}, time.Time{}
	}
}

// loadRelations adds what refers to other nodes.
func (n *Node) loadRelations(r *NodeRecord) error {
	p := n.peers[r.ID]
	if p.isReplica() && r.Primary != "" {
		primary := n.peers[r.Primary]
		if primary == nil {
			return fmt.Errorf("cluster: the node configuration has a replica %s of %s, which it does not have", r.ID, r.Primary)
		}
		if primary != p && primary.isPrimary() {
			n.follow(p, primary)
			p.shardID = primary.shardID
		}
	}
	if r.Slots != nil && p.isPrimary() {
		r.Slots.Each(func(s slots.Slot) bool {
			if n.table.owner[s] == nil {
				n.bind(s, p)
			}
			return true
		})
	}
	if p != n.myself {
		return nil
	}
	for _, o := range r.Migrating {
		if q := n.peers[o.Node]; q != nil {
			n.table.migrating[o.Slot] = q
		}
	}
	for _, o := range r.Importing {
		if q := n.peers[o.Node]; q != nil {
			n.table.importing[o.Slot] = q
		}
	}
	return nil
}
