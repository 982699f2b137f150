package cluster

import (
	"slices"
	"strings"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// peer is a node in our table, the node itself included (Node.myself).
//
// Invariants:
//
//  1. p is in Node.peers under p.id and in Node.order, or it has been deleted
//     and nothing refers to it.
//  2. p is in q.replicas exactly if p.primary == q. A primary has no primary.
//  3. p.out and p.in, if not nil, are in Node.links and point back to p.
//  4. p.set().Has(s) exactly if table.owner[s] == p.
type peer struct {
	id    bus.NodeID
	flags bus.Flags

	ip        string
	tcpPort   uint16
	tlsPort   uint16
	busPort   uint16
	hostname  string
	humanName string
	// What clients of a family are told; empty: ip. Not saved: it comes with
	// every PING.
	clientIPv4 string
	clientIPv6 string
	shardID    string

	primary     *peer   // nil for a primary, and for a replica whose primary we do not know
	replicas    []*peer // ordered by id
	configEpoch bus.Epoch
	offset      int64     // replication offset of its last message
	offsetTold  time.Time // when that came

	slots       *slots.Set // nil as long as it never had any
	slotsShared bool       // a State or a View holds slots: clone before writing
	slotCount   int

	out *link // what we dialled
	in  *link // what it dialled

	redialAt    time.Time // not dialled before
	failedDials int       // in a row
	refusals    refusals
	ended       bool // it has ended the last link that we dialled; see refused.go

	created       time.Time
	pingSent      time.Time // of the PING that waits for its PONG; zero if none
	pingLeft      time.Time // when that PING was sent on the present link: not before pingSent
	pongReceived  time.Time
	vouched       time.Time     // when the last PING was sent that it has answered itself (lease.go)
	votedForMe    time.Time     // when it was asked for its last vote for this node
	acquitted     time.Time     // … and whose answer did not call this node failed
	rtt           time.Duration // between the last PING that was answered and its PONG; 0: none was
	dataReceived  time.Time
	meetSent      time.Time
	failTime      time.Time // when it became FAIL
	failHeard     bool      // … in this node's life, and it was not stopped since
	newsUntil     time.Time // gossip to nodes of this product tells of it until then
	votedTime     time.Time // when we voted for one of its replicas
	votedFor      bus.NodeID
	orphanedSince time.Time // since when it is a primary without working replicas
	reports       []failureReport

	// refusal is what the log was told last of why no link to it can be made;
	// empty once it has answered.
	refusal string

	// unheard: it has answered no PING since this node started, or went on
	// after a stop.
	unheard bool
	// knewUs: it has dialled us, or was in our nodes.conf.
	knewUs bool

	redoubt    bool   // is a node of this product
	valkey     bool   // is one of Valkey 8 or later
	shards     bool   // knows extensions beyond the host name, unlike Redis 7.0
	gossipMark uint64 // the last gossip section it was put into
}

func (p *peer) has(f bus.Flags) bool { return p.flags&f == f }
func (p *peer) any(f bus.Flags) bool { return p.flags&f != 0 }

func (p *peer) isPrimary() bool   { return p.has(bus.FlagPrimary) }
func (p *peer) isReplica() bool   { return p.has(bus.FlagReplica) }
func (p *peer) inHandshake() bool { return p.has(bus.FlagHandshake) }
func (p *peer) failed() bool      { return p.has(bus.FlagFail) }

// votes reports whether p counts in majorities: only primaries with slots do.
func (p *peer) votes() bool { return p.isPrimary() && p.slotCount > 0 }

// connected reports whether messages can be sent to p.
func (p *peer) connected() bool { return p.out != nil && p.out.up }

// head is the primary that p speaks for: itself, or its primary, which may be
// nil.
func (p *peer) head() *peer {
	if p.isReplica() {
		return p.primary
	}
	return p
}

// working is the number of p's replicas that are not FAIL.
func (p *peer) working() (count int) {
	for _, r := range p.replicas {
		if !r.failed() {
			count++
		}
	}
	return count
}

var noSlots slots.Set

// set is the set of p's slots, for reading.
func (p *peer) set() *slots.Set {
	if p.slots == nil {
		return &noSlots
	}
	return p.slots
}

// sharedSet is p's set of slots for somebody who keeps it.
func (p *peer) sharedSet() *slots.Set {
	if p.slots != nil {
		p.slotsShared = true
	}
	return p.set()
}

// ownSet is the set of p's slots for writing.
func (p *peer) ownSet() *slots.Set {
	if p.slots == nil {
		p.slots = new(slots.Set)
	} else if p.slotsShared {
		clone := *p.slots
		p.slots = &clone
	}
	p.slotsShared = false
	return p.slots
}

// setPorts stores the ports of a header or gossip entry, which names the port
// of the cluster's own flavour first.
func (p *peer) setPorts(port, other, busPort uint16, tls bool) {
	p.tcpPort, p.tlsPort, p.busPort = flavours(port, other, tls), flavours(other, port, tls), busPort
}

// flavours is what holds without TLS, or with it.
func flavours[T any](plain, secure T, tls bool) T {
	if tls {
		return secure
	}
	return plain
}

// port is p's client port of a flavour, and other that of the other one.
func (p *peer) port(tls bool) uint16  { return flavours(p.tcpPort, p.tlsPort, tls) }
func (p *peer) other(tls bool) uint16 { return flavours(p.tlsPort, p.tcpPort, tls) }

func comparePeers(p, q *peer) int { return strings.Compare(string(p.id), string(q.id)) }

// addPeer puts a new node into the table. An empty id means a handshake: it
// gets a random name until the node tells its own.
func (n *Node) addPeer(id bus.NodeID, flags bus.Flags) *peer {
	if id == "" {
		id = bus.NodeID(n.randomID())
	}
	p := &peer{
		id:      id,
		flags:   flags &^ bus.FlagMyself,
		shardID: n.randomID(),
		created: n.now,
		vouched: n.now, // nobody who has just come to know this node has suspected it long enough
	}
	n.peers[id] = p
	n.isNews(p)
	i, _ := slices.BinarySearchFunc(n.order, p, comparePeers)
	n.order = slices.Insert(n.order, i, p)
	return p
}

// deletePeer forgets p and everything that refers to it, as Redis's
// clusterDelNode does. The replicas of p remain, without a known primary.
func (n *Node) deletePeer(p *peer) {
	n.unbindAll(p)
	n.closeOpenSlotsWith(p)
	for _, q := range n.order {
		q.dropReport(p)
	}
	if p.out != nil {
		n.closeLink(p.out)
	}
	if p.in != nil {
		n.closeLink(p.in)
	}
	for _, r := range p.replicas {
		r.primary = nil
	}
	p.replicas = nil
	n.leavePrimary(p)
	if n.manual.replica == p {
		n.resetManualFailover()
	}
	n.unlist(p)
}

func (n *Node) unlist(p *peer) {
	delete(n.peers, p.id)
	if i, found := slices.BinarySearchFunc(n.order, p, comparePeers); found {
		n.order = slices.Delete(n.order, i, i+1)
	}
}

// rename gives p the id that it told.
func (n *Node) rename(p *peer, id bus.NodeID) {
	n.unlist(p)
	p.id = id
	n.peers[id] = p
	i, _ := slices.BinarySearchFunc(n.order, p, comparePeers)
	n.order = slices.Insert(n.order, i, p)
}

// follow makes p a replica of q in the table.
func (n *Node) follow(p, q *peer) {
	n.leavePrimary(p)
	p.primary = q
	i, _ := slices.BinarySearchFunc(q.replicas, p, comparePeers)
	q.replicas = slices.Insert(q.replicas, i, p)
	q.flags |= bus.FlagMigrateTo
}

// leavePrimary ends p's being a replica of its primary. A primary that lost
// its last replica object is no target of replica migration any more.
func (n *Node) leavePrimary(p *peer) {
	q := p.primary
	if q == nil {
		return
	}
	p.primary = nil
	if i := slices.Index(q.replicas, p); i >= 0 {
		q.replicas = slices.Delete(q.replicas, i, i+1)
	}
	if len(q.replicas) == 0 {
		q.flags &^= bus.FlagMigrateTo
	}
}

// makePrimary notes that p acts as a primary now (clusterSetNodeAsMaster).
func (n *Node) makePrimary(p *peer) {
	if p.isPrimary() {
		return
	}
	hadPrimary := p.primary != nil
	n.leavePrimary(p)
	if hadPrimary && p != n.myself {
		p.flags |= bus.FlagMigrateTo
	}
	p.flags = p.flags&^bus.FlagReplica | bus.FlagPrimary
	n.save()
	n.todo.state = true
}

const hexDigits = "0123456789abcdef"

// randomID is 40 random hexadecimal digits: the form of node and shard ids.
func (n *Node) randomID() string {
	var id [bus.IDLen]byte
	for i := 0; i < len(id); i += 8 {
		r := n.rand.Uint32()
		for j := range 8 {
			id[i+j] = hexDigits[r&15]
			r >>= 4
		}
	}
	return string(id[:])
}
