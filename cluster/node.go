package cluster

import (
	"fmt"
	"math/rand/v2"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// tickPeriod is how often a node looks round: it redials, pings, suspects and
// stands for election in this rhythm (Redis's clusterCron).
const tickPeriod = 100 * time.Millisecond

// Node is the state of one member of a cluster. Step is not safe for
// concurrent use: one goroutine owns a Node.
type Node struct {
	cfg   Settings
	rand  *rand.Rand
	now   time.Time // of the current Step
	fx    Effects   // of the current Step
	facts Facts

	myself *peer
	peers  map[bus.NodeID]*peer
	order  []*peer // all peers by id: every loop with an effect runs over it
	links  map[LinkID]*link
	dialed uint64 // outbound links so far
	banned map[bus.NodeID]time.Time
	table  table

	currentEpoch  bus.Epoch
	lastVoteEpoch bus.Epoch
	group         string // State.Group
	health        health
	fencedAt      time.Time // when this primary last heard that it is FAIL; zero if it is not fenced
	election      election
	mandate       mandate
	ballots       []ballot // votes of this node, in order
	manual        manualFailover
	giving        giveWay
	led           bus.Epoch // of the last Lead since the start
	reclaimed     time.Time // when keepsFrom last asked for a greater epoch
	offered       time.Time // when withhold last asked for something
	offers        int       // how many slots offerWithheld has been through
	withheld      slots.Set // slots of the shard that this primary does not claim; see withhold
	agreement     agreement
	disk          durability
	stats         stats
	todo          todo

	nextTick   time.Time
	ticks      uint64
	gossips    uint64    // gossip sections built so far
	pfailCount int       // peers in PFAIL at the last tick
	newsUntil  time.Time // there is no news of any peer from then on; see addGossip

	following  RoleChange // the last role given to the driver
	roleTold   bool
	resetFlush bool // the next role change empties the node
	served     slots.Set
	servedAt   uint64 // table.changes when served was computed

	view viewCache
}

// todo is what the events of a Step left to be done once at its end.
type todo struct {
	state    bool // evaluate whether the cluster is ok
	failover bool // see how the election or manual failover stands
	suspects bool // tell the voters of new suspicions
}

// stats counts messages for CLUSTER INFO, and for who monitors the node what has
// happened to the shards.
type stats struct {
	sent      [bus.TypeCount]uint64
	received  [bus.TypeCount]uint64
	overflows uint64
	takeovers uint64        // primaries that a replica has replaced, of any shard
	failovers uint64        // … by this node
	failing   time.Duration // for how long those shards were without a primary
}

// New makes a Node. The first Step of a node without a State in its Config
// persists the id that the node invented.
func New(now time.Time, cfg Config) (*Node, error) {
	if err := cfg.Settings.validate(); err != nil {
		return nil, err
	}
	n := &Node{
		cfg:    cfg.Settings,
		rand:   cfg.Rand,
		now:    now,
		peers:  make(map[bus.NodeID]*peer),
		links:  make(map[LinkID]*link),
		banned: make(map[bus.NodeID]time.Time),
		table: table{
			migrating: make(map[slots.Slot]*peer),
			importing: make(map[slots.Slot]*peer),
		},
		manual: manualFailover{primaryOffset: noOffset},
	}
	if cfg.State != nil {
		if err := n.load(cfg.State); err != nil {
			return nil, err
		}
		n.forgetOwnIP(cfg.LocalIPs)
		if !n.cfg.Quorum {
			n.leaveGroup() // its stream goes on without the group
		}
	} else {
		n.myself = n.addPeer("", bus.FlagPrimary)
		n.myself.flags |= bus.FlagMyself
		n.note("No cluster configuration found, I'm %s", n.myself.id)
		n.saveNow()
	}
	n.announce()
	n.served = n.servedSet()
	n.servedAt = n.table.changes
	return n, nil
}

// ID is the node's own id. CLUSTER RESET HARD changes it.
func (n *Node) ID() bus.NodeID { return n.myself.id }

// Deadline is when the next Tick is needed; for a new Node that is at once.
func (n *Node) Deadline() time.Time {
	at := n.nextTick
	if e := n.election.start; !n.election.sent && !e.IsZero() && e.Before(at) && e.After(n.now) {
		at = e
	}
	return at
}

// Step takes one event in and gives its effects. Now must not go back.
func (n *Node) Step(now time.Time, ev Event) Effects {
	n.now = now
	n.dispatch(ev)
	n.finish()
	fx := n.fx
	n.fx = Effects{}
	return fx
}

func (n *Node) dispatch(ev Event) {
	n.view.stale = true
	switch ev := ev.(type) {
	case Tick:
		n.tick()
	case Facts:
		n.learnFacts(ev)
	case Received:
		n.receive(ev)
	case LinkAccepted:
		n.linkAccepted(ev)
	case LinkUp:
		n.linkUp(ev)
	case LinkDown:
		n.linkDown(ev)
	case Dropped:
		n.count(ev.Type)
	case Resumed:
		n.resume()
	case Persisted:
		n.disk.durable = max(n.disk.durable, ev.Version)
		n.claimTold()
	case Paused:
		n.writesPaused(ev)
	case Configure:
		n.configure(ev)
	case Publish:
		n.publish(ev)
	case Holdings:
		n.verifyHoldings(ev)
	case Own:
		n.own(ev)
	default:
		n.view.news = true // whoever commands looks at what has come of it
		result := n.command(ev)
		n.fx.Result = &result
	}
}

func (n *Node) learnFacts(f Facts) {
	before := n.offset()
	n.facts = f
	if n.offset() != before && n.manual.active() && n.myself.isReplica() {
		n.todo.failover = true
	}
}

// offset is the node's replication offset, 0 while its role changes.
func (n *Node) offset() int64 {
	if !n.factsHold() {
		return 0
	}
	return n.facts.Offset
}

// contact is how old the data of this replica are; zero if they are not those
// of its shard.
func (n *Node) contact() time.Time {
	if !n.factsHold() {
		return time.Time{}
	}
	return n.facts.PrimaryContact
}

// factsHold reports whether the facts are about the node in its present role.
func (n *Node) factsHold() bool {
	if n.facts.Replica != n.myself.isReplica() {
		return false
	}
	var primary bus.NodeID
	if p := n.myself.primary; p != nil {
		primary = p.id
	}
	return n.facts.Primary == primary
}

// finish does once what the events of the Step asked for, in the order of
// Redis's clusterBeforeSleep.
func (n *Node) finish() {
	if n.todo.failover {
		n.todo.failover = false
		n.advanceFailover()
	}
	if n.todo.suspects {
		n.todo.suspects = false
		n.tellSuspects()
	}
	if n.todo.state {
		n.todo.state = false
		n.evaluate()
	}
	n.reconcileRole()
	n.dropLostSubscriptions()
	n.flush()
}

// reconcileRole tells the driver when the role, or the address of the primary
// to replicate from, is another than it was last told.
func (n *Node) reconcileRole() {
	var want RoleChange
	if n.myself.isReplica() {
		want.Replica, want.Shard = true, n.myself.shardID
		if p := n.myself.primary; p != nil {
			want.Primary = p.id
			if !p.any(bus.FlagNoAddr|bus.FlagHandshake) && p.ip != "" {
				want.Host, want.Port = p.ip, p.port(n.cfg.TLSReplication)
			}
			if want.Port == 0 {
				want.Host = "" // there is no way to it, or none of the right flavour
			}
		}
	}
	if n.roleTold && want.Replica && want.Host == "" && n.following.Replica &&
		n.following.Primary == want.Primary && n.following.Shard == want.Shard {
		return // its address got lost; where the data come from did not
	}
	if n.roleTold && want == n.following && !n.resetFlush {
		return
	}
	n.following, n.roleTold = want, true
	if p := n.myself.primary; p != nil && want.Host == "" && p.ip != "" {
		secure := n.cfg.TLSReplication
		n.warn("No replication from node %s: it announces no %s, and tls-replication is %s here",
			peerName(p), flavours("port without TLS", "TLS port", secure), flavours("no", "yes", secure))
	}
	want.Flush = n.resetFlush
	n.resetFlush = false
	n.fx.Role = &want
}

// dropLostSubscriptions ends the shard subscriptions of slots that have left
// this node's shard, and tells which have come to it besides.
func (n *Node) dropLostSubscriptions() {
	if n.servedAt == n.table.changes && n.fx.Role == nil {
		return
	}
	n.servedAt = n.table.changes
	served := n.servedSet()
	if served == n.served {
		return
	}
	lost, moved := n.served.Without(&served), served.Without(&n.served)
	moved.AddSet(&lost)
	n.served, n.fx.Moved = served, &moved
	if !lost.Empty() {
		n.fx.DropShardSubs = &lost
	}
}

// configure takes new settings. What is announced goes out with the next
// messages.
func (n *Node) configure(ev Configure) {
	settings := ev.Settings
	if err := settings.validate(); err != nil {
		n.warn("Settings refused: %v", err)
		return
	}
	if settings.AnnounceIP == "" && n.cfg.AnnounceIP != "" {
		n.myself.ip = "" // learn it from the links again
	}
	n.cfg = settings
	n.announce()
	n.save()
	n.todo.state = true
}

// announce puts what the settings say about this node into its table entry.
func (n *Node) announce() {
	me := n.myself
	me.tcpPort, me.tlsPort, me.busPort = n.cfg.TCPPort, n.cfg.TLSPort, n.cfg.BusPort
	me.hostname, me.humanName = n.cfg.AnnounceHostname, n.cfg.AnnounceHumanName
	me.clientIPv4, me.clientIPv6 = n.cfg.AnnounceClientIPv4, n.cfg.AnnounceClientIPv6
	if n.cfg.AnnounceIP != "" {
		me.ip = n.cfg.AnnounceIP
	}
	me.flags &^= bus.FlagNoFailover
	if n.cfg.ReplicaNoFailover || n.cfg.Quorum {
		me.flags |= bus.FlagNoFailover
	}
}

func (n *Node) note(format string, args ...any) {
	n.fx.Notes = append(n.fx.Notes, Note{Text: fmt.Sprintf(format, args...)})
}

func (n *Node) verbose(format string, args ...any) {
	n.fx.Notes = append(n.fx.Notes, Note{Verbose: true, Text: fmt.Sprintf(format, args...)})
}

func (n *Node) warn(format string, args ...any) {
	n.fx.Notes = append(n.fx.Notes, Note{Warning: true, Text: fmt.Sprintf(format, args...)})
}
