package cluster

import "redoubt/bus"

// identity is the node as it is now.
func (n *Node) identity() identity {
	me := n.myself
	head := me
	id := identity{flags: me.flags}
	if me.isReplica() && me.primary != nil {
		head = me.primary
		id.primary = head.id
	}
	id.configEpoch = head.configEpoch
	id.slots = head.set()
	return id
}

// newMessage makes a message with a header that may be sent at once.
func (n *Node) newMessage(t bus.Type) *bus.Message {
	if n.claimPending() {
		return n.messageAs(t, n.disk.settled)
	}
	return n.messageAs(t, n.identity())
}

// newPromise makes a message with a header that shows the newest state, to be
// sent when that is on disk.
func (n *Node) newPromise(t bus.Type) *bus.Message {
	return n.messageAs(t, n.identity())
}

// messageAs fills a header as Redis's clusterBuildMessageHdr does.
func (n *Node) messageAs(t bus.Type, id identity) *bus.Message {
	me := n.myself
	m := &bus.Message{Header: bus.Header{
		Type:         t,
		CurrentEpoch: n.currentEpoch,
		ConfigEpoch:  id.configEpoch,
		Offset:       n.offset(),
		Sender:       me.id,
		Slots:        *id.slots,
		Primary:      id.primary,
		IP:           n.cfg.AnnounceIP,
		Port:         me.port(n.cfg.TLS),
		OtherPort:    me.other(n.cfg.TLS),
		BusPort:      me.busPort,
		Flags:        id.flags,
		State:        bus.StateFail,
		MsgFlags:     bus.MsgExtData,
		Redoubt:      true,
	}}
	if n.health.ok {
		m.State = bus.StateOK
	}
	if me.isPrimary() && n.manual.paused {
		m.MsgFlags |= bus.MsgPaused
	}
	return m
}

// send lets a message leave at once.
func (n *Node) send(l *link, m *bus.Message) {
	if n.post(l, m) {
		n.fx.Send = append(n.fx.Send, Envelope{l.id, m})
	}
}

// sendAfterPersist lets a message leave when the state is on disk. The caller
// has asked for that.
func (n *Node) sendAfterPersist(l *link, m *bus.Message) {
	if n.post(l, m) {
		n.fx.SendAfterPersist = append(n.fx.SendAfterPersist, Envelope{l.id, m})
	}
}

// post reports whether m can be sent on l, and counts it.
func (n *Node) post(l *link, m *bus.Message) bool {
	if l == nil || !l.up || n.facts.Unwell || n.silent() {
		return false
	}
	n.stats.sent[m.Type]++
	return true
}

// broadcast sends m to every connected node that is not in handshake.
func (n *Node) broadcast(m *bus.Message) {
	for _, p := range n.order {
		if p != n.myself && !p.inHandshake() {
			n.send(p.out, m)
		}
	}
}

// ping sends PING on the outbound link of p.
func (n *Node) ping(p *peer) {
	if p.pingSent.IsZero() {
		p.pingLeft = n.now
	}
	p.pingSent = n.now
	n.send(p.out, n.gossipMessage(bus.TypePing, p))
}

// meet sends MEET on the outbound link of p: a PING that makes the receiver
// add us to its table.
func (n *Node) meet(p *peer) {
	p.meetSent = n.now
	n.send(p.out, n.gossipMessage(bus.TypeMeet, p))
}

// broadcastPong tells the other nodes about a change in our configuration at
// once. If it is a claim, the messages wait for the disk.
//
// Unlike Redis's clusterBroadcastPong it makes one message for all that know the same
// extensions, with no gossip but the suspected nodes: among a thousand nodes, making and
// encoding one for each would hold an election up, and what gossip tells can wait.
func (n *Node) broadcastPong() {
	made := make(map[dialect]*bus.Message, 2)
	claims := n.claimPending()
	for _, p := range n.order {
		if p == n.myself || p.inHandshake() || !p.connected() {
			continue
		}
		d := n.dialectOf(p)
		m := made[d]
		if m == nil {
			m = n.newPromise(bus.TypePong) // without a claim it is as any other message
			if n.pfailCount > 0 {
				n.addSuspects(m, nil)
			}
			n.addExtensions(m, p)
			made[d] = m
		}
		if claims {
			n.sendAfterPersist(p.out, m)
		} else {
			n.send(p.out, m)
		}
	}
}

// dialect is what the extensions for a node depend on; see addExtensions.
type dialect struct{ shards, clientIPs, open bool }

func (n *Node) dialectOf(p *peer) dialect {
	return dialect{p.shards, p.takesClientIPs(), p.redoubt && p.primary == n.myself}
}

// pongReplicas tells our offset to the other replicas of our primary.
func (n *Node) pongReplicas() {
	for _, p := range n.myself.primary.replicas {
		if p != n.myself && p.connected() && !p.inHandshake() {
			n.send(p.out, n.gossipMessage(bus.TypePong, p))
		}
	}
}

// sendFail tells everybody that p has been found to be FAIL.
func (n *Node) sendFail(p *peer) {
	m := n.newMessage(bus.TypeFail)
	m.Fail = p.id
	n.broadcast(m)
}

// sendUpdate tells the node behind l what p owns by now.
func (n *Node) sendUpdate(l *link, p *peer) {
	if p == n.myself && n.claimPending() {
		return // it will hear of the claim when that is on disk
	}
	m := n.newMessage(bus.TypeUpdate)
	m.Update = &bus.Update{ConfigEpoch: p.configEpoch, ID: p.id, Slots: *p.set()}
	// What p no longer claims is nothing to tell others about.
	for i := range m.Update.Slots {
		m.Update.Slots[i] &^= n.table.unclaimed[i]
	}
	n.send(l, m)
}

// publish spreads a message of a local publisher: to all nodes, or to those
// of our shard.
func (n *Node) publish(ev Publish) {
	t := bus.TypePublish
	if ev.Shard {
		t = bus.TypePublishShard
	}
	m := n.newMessage(t)
	m.Publish = &bus.Publish{Channel: ev.Channel, Payload: ev.Payload}
	if !ev.Shard {
		n.broadcast(m)
		return
	}
	for _, p := range n.order {
		if p != n.myself && !p.inHandshake() && n.sameShard(p, n.myself) {
			n.send(p.out, m)
		}
	}
}

// sameShard reports whether p and q are a primary and its replica, two
// replicas of one primary, or have the same shard id. The first two also hold
// among Redis 7.0 nodes, which know no shard ids.
func (n *Node) sameShard(p, q *peer) bool {
	if h := p.head(); h != nil && h == q.head() {
		return true
	}
	return p.shardID == q.shardID
}
