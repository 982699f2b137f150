package sim

import (
	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/cluster/sim/virtual"
)

// link is a member's end of a connection, and tells its node of it.
type link struct {
	member *Member
	id     cluster.LinkID
	end    *virtual.End[*bus.Message] // set for one that was accepted
}

// dial connects m to a bus port.
func (w *World) dial(m *Member, d cluster.Dial) {
	m.links[d.Link] = w.Net.Dial(m.Host, d.IP, int(d.Port), &link{member: m, id: d.Link})
}

// accept takes a connection.
func (m *Member) accept(e *virtual.End[*bus.Message]) virtual.Handler[*bus.Message] {
	m.inbound++
	l := &link{m, cluster.InboundLink(m.inbound), e}
	m.links[l.id] = e
	return l
}

// Opened is part of virtual.Handler.
func (l *link) Opened() {
	if l.end != nil {
		l.member.step(cluster.LinkAccepted{Link: l.id, PeerIP: l.end.Peer().IP, LocalIP: l.member.IP})
		return
	}
	l.member.step(cluster.LinkUp{Link: l.id})
}

// Received is part of virtual.Handler.
func (l *link) Received(msg *bus.Message) {
	m := l.member
	if m.redis {
		if msg = m.asRedisReads(msg); msg == nil {
			return
		}
	}
	m.tellFacts()
	m.step(cluster.Received{Link: l.id, Msg: msg})
}

// Closed is part of virtual.Handler.
func (l *link) Closed(why virtual.Reason) {
	delete(l.member.links, l.id)
	l.member.step(cluster.LinkDown{Link: l.id, Ended: why == virtual.HungUp, Refused: why == virtual.Refused})
}

// hangUp closes a link for the node.
func (m *Member) hangUp(id cluster.LinkID) {
	if e := m.links[id]; e != nil {
		e.Close()
	}
}

// send puts a message on its way.
func (w *World) send(m *Member, e cluster.Envelope) {
	end := m.links[e.Link]
	w.judgeMessage(m, end, e.Msg)
	if end == nil || end.Broken() {
		return
	}
	msg := w.throughCodec(m, e.Msg)
	if m.redis {
		msg = m.asRedisWrites(msg, end.Peer())
	}
	end.Send(msg)
}
