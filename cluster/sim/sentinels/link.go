package sentinels

import (
	"redoubt/cluster/sentinel"
	"redoubt/cluster/sim/virtual"
)

// link is a connection that a Sentinel asked for.
type link struct {
	sentinel *Sentinel
	id       sentinel.LinkID
	setup    [][]string
	end      *virtual.End[message]
	sent     []sentinel.RequestID // not answered yet
}

// connect dials an instance.
func (s *Sentinel) connect(c sentinel.Connect) {
	l := &link{sentinel: s, id: c.Link, setup: c.Setup}
	s.links[c.Link] = l
	l.end = s.world.Net.Dial(s.Host, c.Addr.Host, int(c.Addr.Port), l)
}

// hangUp closes a connection for the node, which does not want to hear of it.
func (s *Sentinel) hangUp(id sentinel.LinkID) {
	if l := s.links[id]; l != nil {
		delete(s.links, id)
		l.end.Close()
	}
}

// send sends a request, if its connection is still there.
func (s *Sentinel) send(r sentinel.Request) {
	l := s.links[r.Link]
	if l == nil {
		return
	}
	s.world.judgeRequest(s, l.end.Peer(), r)
	l.sent = append(l.sent, r.ID)
	l.end.Send(message{commands: r.Commands})
}

// alive reports whether the node still has the link.
func (l *link) alive() bool { return l.sentinel.links[l.id] == l }

// Opened is part of virtual.Handler.
func (l *link) Opened() {
	if !l.alive() {
		return
	}
	if len(l.setup) > 0 {
		l.end.Send(message{commands: l.setup, setup: true})
	}
	l.sentinel.step(sentinel.LinkUp{Link: l.id, LocalIP: l.sentinel.IP})
}

// Received is part of virtual.Handler.
func (l *link) Received(m message) {
	switch {
	case !l.alive():
	case m.hello != "":
		l.sentinel.step(sentinel.HelloReceived{Link: l.id, Payload: m.hello})
	case len(l.sent) > 0:
		id := l.sent[0]
		l.sent = l.sent[1:]
		l.sentinel.step(sentinel.Replied{Link: l.id, ID: id, Reply: *m.reply})
	}
}

// Closed is part of virtual.Handler.
func (l *link) Closed(why virtual.Reason) {
	if l.alive() {
		delete(l.sentinel.links, l.id)
		l.sentinel.step(sentinel.LinkDown{Link: l.id, Refused: why == virtual.Refused, Reason: why.String()})
	}
}
