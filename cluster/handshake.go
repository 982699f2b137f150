package cluster

import (
	"net/netip"
	"slices"
	"time"

	"redoubt/bus"
)

// busPortOffset is what lies between the client port and the bus port.
const busPortOffset = 10000

// startHandshake begins to get to know the node at an address, on CLUSTER
// MEET. It has a random name until it tells its own.
func (n *Node) startHandshake(cmd Meet) error {
	if cmd.BusPort == 0 {
		cmd.BusPort = cmd.Port + busPortOffset
	}
	addr, err := netip.ParseAddr(cmd.IP)
	if err != nil || addr.Zone() != "" || !validPort(cmd.Port) || !validPort(cmd.BusPort) {
		return refuse("Invalid node address specified: %s:%d", cmd.IP, cmd.Port)
	}
	ip := addr.String()
	for _, p := range n.order {
		if p.inHandshake() && p.ip == ip && p.port(n.cfg.TLS) == uint16(cmd.Port) && p.busPort == uint16(cmd.BusPort) {
			return nil
		}
	}
	p := n.addPeer("", bus.FlagHandshake|bus.FlagMeet)
	p.ip = ip
	p.setPorts(uint16(cmd.Port), 0, uint16(cmd.BusPort), n.cfg.TLS)
	return nil
}

func validPort(port int64) bool { return port > 0 && port <= 65535 }

// welcome starts the handshake with a node that has sent us a MEET.
func (n *Node) welcome(l *link, m *bus.Message) {
	ip := senderIP(l, m)
	if ip == "" || m.BusPort == 0 {
		return
	}
	for _, p := range n.order {
		if p.inHandshake() && p.ip == ip && p.busPort == m.BusPort {
			return // it repeats its MEET
		}
	}
	p := n.addPeer("", bus.FlagHandshake)
	p.ip = ip
	p.setPorts(m.Port, m.OtherPort, m.BusPort, n.cfg.TLS)
}

// senderIP is the address that the sender announces, or else the one that it
// comes from.
func senderIP(l *link, m *bus.Message) string {
	if m.IP != "" {
		return m.IP
	}
	return l.peerIP
}

// learnOwnIP takes the local address of a link as our own: the others use it
// to reach us. A MEET corrects an earlier idea, other messages only fill in.
func (n *Node) learnOwnIP(l *link, t bus.Type) {
	me := n.myself
	if n.cfg.AnnounceIP != "" || l.localIP == "" || l.localIP == me.ip {
		return
	}
	if t == bus.TypeMeet || me.ip == "" {
		me.ip = l.localIP
		n.note("IP address for this node updated to %s", me.ip)
		n.save()
	}
}

// forgetOwnIP drops our own address if the machine does not have it any more, so that it is
// learned from the links again. What is learned is always one of the machine. Redis keeps
// the old one, and tells it to clients, until somebody says CLUSTER MEET for this node.
func (n *Node) forgetOwnIP(local []string) {
	me := n.myself
	if n.cfg.AnnounceIP != "" || me.ip == "" || len(local) == 0 || slices.Contains(local, me.ip) {
		return
	}
	if ip, err := netip.ParseAddr(me.ip); err == nil && ip.IsLoopback() {
		return // each machine has all of 127.0.0.0/8
	}
	n.note("This machine does not have the address %s any more, under which other nodes have known this one", me.ip)
	me.ip = ""
}

// identify checks who has answered on an outbound link. It returns false if
// the message must not be processed further.
func (n *Node) identify(l *link, sender *peer, m *bus.Message) bool {
	p := l.peer
	if p.inHandshake() {
		if sender != nil {
			// We know that node under its own name already.
			if sender != n.myself && n.updateAddress(sender, l, m) {
				n.todo.state = true
			}
			n.deletePeer(p)
			return false
		}
		n.rename(p, m.Sender)
		p.flags &^= bus.FlagHandshake | bus.FlagMeet
		if m.Flags.Has(bus.FlagReplica) {
			p.flags |= bus.FlagReplica
		} else {
			p.flags |= bus.FlagPrimary
		}
		n.save()
		return true
	}
	if p.id != m.Sender {
		// Somebody else lives there now. It is not dialled again until it,
		// gossip or a MEET tells another address. Redis up to 8 leaves it at
		// that, and a primary whose address was given away is never replaced;
		// here the PING counts as unanswered, so that the majority decides.
		n.note("Node %s is not at its address any more, %s answered", peerName(p), m.Sender)
		p.flags |= bus.FlagNoAddr
		p.ip = ""
		if p.pingSent.IsZero() {
			p.pingSent = n.now
		}
		p.setPorts(0, 0, 0, n.cfg.TLS)
		n.closeLink(l)
		n.save()
		return false
	}
	p.flags &^= bus.FlagMeet
	return true
}

// updateAddress follows a node that moved: what it says on a link that it
// dialled itself is its address now (nodeUpdateAddressIfNeeded).
func (n *Node) updateAddress(p *peer, l *link, m *bus.Message) bool {
	ip := senderIP(l, m)
	if l == p.out || ip == "" {
		return false
	}
	same := p.ip == ip && p.port(n.cfg.TLS) == m.Port && p.other(n.cfg.TLS) == m.OtherPort && p.busPort == m.BusPort
	if same {
		return false
	}
	p.ip = ip
	p.setPorts(m.Port, m.OtherPort, m.BusPort, n.cfg.TLS)
	if p.out != nil {
		n.closeLink(p.out)
	}
	p.flags &^= bus.FlagNoAddr
	n.note("Address updated for node %s, now %s:%d", peerName(p), p.ip, p.port(n.cfg.TLS))
	n.save()
	return true
}

// Bans keep a forgotten node from coming back through gossip.

func (n *Node) ban(id bus.NodeID, ttl time.Duration) { n.banned[id] = n.now.Add(ttl) }

func (n *Node) isBanned(id bus.NodeID) bool {
	until, found := n.banned[id]
	return found && n.now.Before(until)
}

// bans lists the bans in force by id, for the extensions of a message.
func (n *Node) bans() []bus.Forgotten {
	if len(n.banned) == 0 {
		return nil
	}
	var list []bus.Forgotten
	for _, id := range sortedKeys(n.banned) {
		until := n.banned[id]
		if left := until.Sub(n.now); left >= time.Second {
			list = append(list, bus.Forgotten{ID: id, TTL: left})
		}
	}
	return list
}

// forgetOnHearsay forgets a node that an administrator told another node to
// forget. We, our primary and the sender stay.
func (n *Node) forgetOnHearsay(sender *peer, f bus.Forgotten) {
	p := n.peers[f.ID]
	if p == nil || p == n.myself || p == n.myself.primary || p == sender {
		return
	}
	n.ban(f.ID, min(f.TTL, maxHearsayBan))
	n.deletePeer(p)
	n.todo.state = true
	n.save()
}

// maxHearsayBan bounds the ban that another node can impose on us.
const maxHearsayBan = 24 * time.Hour
