package cluster

import "redoubt/bus"

// receive processes a message (Redis's clusterProcessPacket). The order of the
// steps is that of Redis, since peers depend on it in small ways.
func (n *Node) receive(ev Received) {
	l, m := n.links[ev.Link], ev.Msg
	if l == nil {
		return
	}
	n.count(m.Type)
	if m.Light && (l.peer == nil || l.peer.inHandshake()) {
		n.closeLink(l) // it has no sender, and the link does not tell one
		return
	}
	sender := n.sender(l, m)
	if sender != nil {
		sender.dataReceived = n.now
		if sender.out == nil {
			sender.dialSoon()
		}
		if !sender.inHandshake() && !m.Light {
			n.absorbHeader(sender, m)
		}
	}
	if m.Type.Gossips() {
		n.receiveGossip(l, sender, m)
		return
	}
	if sender == nil || sender == n.myself || !m.Light && sender.id != m.Sender {
		return // of strangers we only take PING and MEET
	}
	switch m.Type {
	case bus.TypeFail:
		n.receiveFail(sender, m)
	case bus.TypePublish, bus.TypePublishShard:
		n.fx.Deliver = append(n.fx.Deliver, Delivery{
			Channel: m.Publish.Channel,
			Payload: m.Publish.Payload,
			Shard:   m.Type == bus.TypePublishShard,
		})
	case bus.TypeAuthRequest:
		n.considerVote(sender, m)
	case bus.TypeAuthAck:
		n.countVote(sender, m)
	case bus.TypeMFStart:
		n.pauseForReplica(sender, m)
	case bus.TypeUpdate:
		n.receiveUpdate(m.Update)
	}
}

// count counts a message that has arrived, whatever it is worth.
func (n *Node) count(t bus.Type) {
	if t < bus.TypeCount {
		n.stats.received[t]++
	}
}

// sender finds out which known node a message comes from; nil for a stranger.
func (n *Node) sender(l *link, m *bus.Message) *peer {
	if l.peer != nil && !l.peer.inHandshake() {
		if m.Light || l.peer.id == m.Sender || !l.inbound {
			return l.peer
		}
		// Another node speaks on a link that was bound: after CLUSTER RESET
		// HARD a peer has a new id.
		if l.peer.in == l {
			l.peer.in = nil
		}
		l.peer = nil
	}
	p := n.peers[m.Sender]
	if p != nil && l.inbound && l.peer == nil && p != n.myself {
		n.bindInbound(p, l)
	}
	return p
}

// absorbHeader takes in what every full message tells.
func (n *Node) absorbHeader(sender *peer, m *bus.Message) {
	if sender == n.myself || sender.id != m.Sender {
		return
	}
	n.currentEpoch = max(n.currentEpoch, m.CurrentEpoch)
	// As Valkey 8: a replica's config epoch is its primary's, not its own.
	if m.Primary == "" && m.ConfigEpoch > sender.configEpoch {
		sender.configEpoch = m.ConfigEpoch
		n.outbidElection(m.ConfigEpoch)
		n.save()
	}
	sender.offset, sender.offsetTold = m.Offset, n.now
	if sender.primary != nil && sender.primary == n.myself.primary && n.election.planned() {
		n.todo.failover = true // an election waits for it
	}
	sender.redoubt, sender.valkey = m.Redoubt, m.Flags.Has(bus.FlagLightPublish)
	if sender == n.myself.primary && m.MsgFlags.Has(bus.MsgPaused) {
		n.primaryPaused(sender)
	}
}

// receiveGossip processes PING, PONG and MEET.
func (n *Node) receiveGossip(l *link, sender *peer, m *bus.Message) {
	if m.Type != bus.TypePong {
		n.learnOwnIP(l, m.Type)
		if sender == nil && m.Type == bus.TypeMeet {
			n.welcome(l, m)
		}
		if sender != nil && sender != n.myself && m.Type == bus.TypePing && !sender.inHandshake() {
			n.warnClaimant(l, sender, m)
		}
		n.send(l, n.gossipMessage(bus.TypePong, sender))
	}
	if !l.inbound {
		if !n.identify(l, sender, m) {
			return
		}
		if m.Type == bus.TypePong {
			n.ponged(l.peer, m)
		}
	}
	if sender == nil || sender == n.myself {
		return
	}
	sender.flags = sender.flags&^bus.FlagNoFailover | m.Flags&bus.FlagNoFailover
	if m.Type == bus.TypePing && !sender.inHandshake() && n.updateAddress(sender, l, m) {
		n.todo.state = true
	}
	if !n.absorbRole(sender, m) {
		return
	}
	if n.cfg.Quorum && sender.isPrimary() {
		n.learnShard(sender, m.Ext.ShardID) // it may have left this one: what it claims is another's then
	}
	n.absorbSlots(sender, m)
	n.resolveCollision(sender, m)
	n.absorbGossip(sender, m)
	n.absorbExtensions(sender, m)
}

// receiveUpdate learns from a third node what a primary owns.
func (n *Node) receiveUpdate(u *bus.Update) {
	p := n.peers[u.ID]
	if p == nil || p == n.myself || p.configEpoch >= u.ConfigEpoch {
		return
	}
	n.makePrimary(p)
	p.configEpoch = u.ConfigEpoch
	n.save()
	n.claimSlots(p, u.ConfigEpoch, &u.Slots)
}
