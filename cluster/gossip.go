package cluster

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"redoubt/bus"
)

// minGossip is how many nodes a message tells about at least, if there are
// that many.
const minGossip = 3

// clockTolerance is how far in the future a gossiped time may lie.
const clockTolerance = 500 * time.Millisecond

// gossipMessage makes a PING, PONG or MEET for p, which is nil if the
// receiver is not known.
func (n *Node) gossipMessage(t bus.Type, p *peer) *bus.Message {
	m := n.newMessage(t)
	n.addGossip(m, p)
	return m
}

// addGossip adds what we know about some other nodes, and extensions.
//
// A tenth of the nodes, chosen at random: within the two node timeouts that a
// failure report lives, every pair exchanges about eight messages, so that a
// majority hears from a majority about any suspected node. To be quicker, all
// suspected nodes are added on top.
//
// A node of this product gets only a few, and besides those of which there is news:
// that they are suspected, are not any more, or are new here. A tenth of a thousand nodes
// is 10 KB in each message, and nearly all of that says what it said before.
func (n *Node) addGossip(m *bus.Message, to *peer) {
	n.gossips++
	fresh := len(n.order) - 2 // not me, not the receiver
	wanted := min(max(len(n.order)/10, minGossip), fresh)
	if to != nil && to.redoubt {
		m.Gossip = n.newsFor(to, wanted)
		wanted = min(len(m.Gossip)+minGossip, wanted)
		fresh -= len(m.Gossip)
	}
	m.Gossip = slices.Grow(m.Gossip, max(wanted-len(m.Gossip), 0)+n.pfailCount)
	for tries := 3 * wanted; tries > 0 && fresh > 0 && len(m.Gossip) < wanted; tries-- {
		p := n.order[n.rand.IntN(len(n.order))]
		if p == n.myself || p == to || p.has(bus.FlagPFail) || p.gossipMark == n.gossips {
			continue
		}
		if !p.gossipable() || p.out == nil && p.slotCount == 0 {
			fresh--
			continue
		}
		p.gossipMark = n.gossips
		m.Gossip = append(m.Gossip, n.gossipAbout(p))
		fresh--
	}
	if n.pfailCount > 0 {
		n.addSuspects(m, to)
	}
	if to != nil && to.redoubt && n.takingOver() {
		m.MsgFlags |= bus.MsgTakingOver
	}
	if to != nil && to.redoubt && n.doubts(to) {
		g := n.gossipAbout(to) // see acquits
		g.Flags |= bus.FlagFail
		m.Gossip = append(m.Gossip, g)
	}
	n.addExtensions(m, to)
}

// newsFor is gossip about up to so many nodes that are new or not suspected any more,
// chosen at random if there are more.
func (n *Node) newsFor(to *peer, most int) (news []bus.Gossip) {
	if !n.now.Before(n.newsUntil) || most <= 0 {
		return nil
	}
	from := n.rand.IntN(len(n.order))
	for i := range n.order {
		p := n.order[(from+i)%len(n.order)]
		if p == n.myself || p == to || p.has(bus.FlagPFail) || !n.now.Before(p.newsUntil) {
			continue
		}
		if !p.gossipable() || p.out == nil && p.slotCount == 0 {
			continue
		}
		p.gossipMark = n.gossips
		if news = append(news, n.gossipAbout(p)); len(news) == most {
			break
		}
	}
	return news
}

// isNews has p told to all nodes of this product: each gets a message within the node
// timeout.
func (n *Node) isNews(p *peer) {
	p.newsUntil = n.now.Add(n.cfg.NodeTimeout)
	n.newsUntil = p.newsUntil
}

func (n *Node) addSuspects(m *bus.Message, to *peer) {
	for _, p := range n.order {
		if p.has(bus.FlagPFail) && p != to && !p.inHandshake() {
			m.Gossip = append(m.Gossip, n.gossipAbout(p))
		}
	}
}

func (p *peer) gossipable() bool { return !p.any(bus.FlagHandshake | bus.FlagNoAddr) }

func (n *Node) gossipAbout(p *peer) bus.Gossip {
	return bus.Gossip{
		ID:              p.id,
		PingSentSec:     unixSec(p.pingSent),
		PongReceivedSec: unixSec(p.pongReceived),
		IP:              p.ip,
		Port:            p.port(n.cfg.TLS),
		OtherPort:       p.other(n.cfg.TLS),
		BusPort:         p.busPort,
		Flags:           p.flags,
	}
}

func unixSec(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(t.Unix())
}

// addExtensions adds our names, our shard and our bans. Host names every version
// from 7.0 on knows, though 7.0 shows it only when it has one itself; the rest is
// for those that have shown that they know it: 7.0 logs a warning for each block
// of another type.
func (n *Node) addExtensions(m *bus.Message, to *peer) {
	m.Ext.Hostname = n.myself.hostname
	if to == nil || !to.shards {
		return
	}
	m.Ext.HumanName = n.myself.humanName
	m.Ext.ShardID = n.myself.shardID
	m.Ext.Forgotten = n.bans()
	if to.takesClientIPs() {
		m.Ext.ClientIPv6 = n.myself.clientIPv6
		if ip := n.myself.clientIPv4; ip != "" {
			m.Ext.Type4 = append([]byte(ip), 0)
		}
	}
	if to.redoubt && to.primary == n.myself {
		m.Ext.Open = n.openList()
	}
}

// absorbGossip takes in the gossip section of m. Only what a node of our
// cluster says counts.
func (n *Node) absorbGossip(sender *peer, m *bus.Message) {
	for i := range m.Gossip {
		g := &m.Gossip[i]
		p := n.peers[g.ID]
		switch {
		case p == n.myself:
			// We know better.
		case p != nil:
			n.hear(sender, p, g)
		case !g.Flags.Has(bus.FlagNoAddr) && !n.isBanned(g.ID):
			n.adopt(g)
		}
	}
}

// adopt adds a node that we only know from gossip. A handshake would be no
// better: its address may be in use by another cluster by now, whereas the id
// tells whether the right node answers.
func (n *Node) adopt(g *bus.Gossip) {
	const keep = bus.FlagPrimary | bus.FlagReplica | bus.FlagPFail | bus.FlagFail | bus.FlagNoFailover
	flags := g.Flags & keep
	if !flags.Has(bus.FlagReplica) {
		flags |= bus.FlagPrimary
	} else {
		flags &^= bus.FlagPrimary
	}
	p := n.addPeer(g.ID, flags)
	if p.failed() {
		p.failTime = n.now
	}
	p.ip = g.IP
	p.setPorts(g.Port, g.OtherPort, g.BusPort, n.cfg.TLS)
	n.save()
}

// hear takes in what the sender says about a node that we know.
func (n *Node) hear(sender, p *peer, g *bus.Gossip) {
	const failing = bus.FlagPFail | bus.FlagFail
	failed := g.Flags&failing != 0
	if sender.votes() && failed {
		n.addReport(p, sender)
		n.failIfAgreed(p)
	} else if !failed && p.dropReport(sender) {
		n.verbose("Node %s reported node %s is back online.", peerName(sender), peerName(p))
	}
	if failed {
		return
	}
	// The sender had a PONG from it: that is as good as one of our own, as
	// long as nothing looks suspicious, and saves a PING.
	if p.pingSent.IsZero() && n.reports(p) == 0 && !p.inHandshake() {
		// Its age is what counts: it is as old on this node's own clock, which
		// nobody sets back.
		age := n.now.Sub(time.Unix(int64(g.PongReceivedSec), 0))
		if at := n.now.Add(-age); age >= -clockTolerance && at.After(p.pongReceived) {
			p.pongReceived = at
		}
	}
	// The sender can talk to a node that we cannot: at another address?
	if p.any(failing) && !g.Flags.Has(bus.FlagNoAddr) && !n.hasAddress(p, g) {
		if p.out != nil {
			n.closeLink(p.out)
		}
		p.dialSoon()
		p.ip = g.IP
		p.setPorts(g.Port, g.OtherPort, g.BusPort, n.cfg.TLS)
		p.flags &^= bus.FlagNoAddr
		n.save()
	}
}

func (n *Node) hasAddress(p *peer, g *bus.Gossip) bool {
	return p.ip == g.IP && p.port(n.cfg.TLS) == g.Port && p.busPort == g.BusPort &&
		(g.OtherPort == 0 || p.other(n.cfg.TLS) == g.OtherPort)
}

// absorbExtensions takes in what the sender says about itself beyond the
// header.
func (n *Node) absorbExtensions(sender *peer, m *bus.Message) {
	ext := &m.Ext
	// Redis 7.0 sets the flag only when it has a host name to tell.
	if m.MsgFlags.Has(bus.MsgExtData) && (ext.ShardID != "" || ext.Hostname == "") {
		sender.shards = true
	}
	if sender.hostname != ext.Hostname || sender.humanName != ext.HumanName {
		sender.hostname, sender.humanName = ext.Hostname, ext.HumanName
		n.save()
	}
	if sender.takesClientIPs() {
		v4, _, _ := strings.Cut(string(ext.Type4), "\x00")
		sender.clientIPv4, sender.clientIPv6 = address(v4, netip.Addr.Is4), address(ext.ClientIPv6, netip.Addr.Is6)
	}
	for _, f := range ext.Forgotten {
		n.forgetOnHearsay(sender, f)
	}
	n.learnShard(sender, ext.ShardID)
	if m.Redoubt && sender == n.myself.primary {
		n.inheritOpenSlots(ext.Open)
	}
}

// takesClientIPs reports whether an extension of type 4 is a client's address in
// the language of p: in that of Redis 8 it is a secret.
func (p *peer) takesClientIPs() bool { return p.redoubt || p.valkey }

// address is text if that is an address of the family, else empty.
func address(text string, family func(netip.Addr) bool) string {
	if a, err := netip.ParseAddr(text); err != nil || !family(a) {
		return ""
	}
	return text
}

// learnShard stores the shard id of the sender. A node that tells none has
// its primary's; a replica's can be no other than its primary's, so that the
// two agree whatever order the messages come in.
func (n *Node) learnShard(sender *peer, id string) {
	if head := sender.head(); sender.isReplica() && head != nil && head != sender {
		id = head.shardID
	}
	if id == "" || id == sender.shardID {
		return
	}
	sender.shardID = id
	for _, r := range sender.replicas {
		r.shardID = id
	}
	n.save()
}
