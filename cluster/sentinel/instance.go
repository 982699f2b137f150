package sentinel

import (
	"slices"
	"strings"
	"time"
)

// instance is what this Sentinel knows of a process that it watches, whatever
// its role.
type instance struct {
	schedule
	role  Role
	name  string
	addr  Addr
	runID string // of a Sentinel its id
	link  *link

	helloSent  time.Time // when the last hello that arrived was answered
	helloTried time.Time // when the last one was sent
	saidHello  bool      // a hello is on its way

	sdown, odown           bool
	sdownSince, odownSince time.Time // the last time, over or not
	scriptKillSent         bool

	info    report // of masters and replicas
	vouched vouched
}

// report is what INFO of a master or replica said.
type report struct {
	at        time.Time // when the last one came
	asked     time.Time // when it was last asked for
	pending   bool
	hurry     bool // ask at once: something has changed
	text      string
	role      Role
	roleSince time.Time
	// canFailover says that INFO has master_failover_state: there is FAILOVER.
	canFailover bool
	// hears says that the node listens to what is said of it in vouch.go, and
	// unconfirmed that it waits for that.
	hears, unconfirmed bool
}

// watched is an instance in its role.
type watched interface {
	task
	inst() *instance
	// of is the master it belongs to: a master to itself.
	of() *master
}

// master is a monitored master. Once its promotion was seen, the promoted
// replica is the master for everybody outside, though it stands among replicas
// until the failover has ended.
type master struct {
	instance
	quorum  int
	options Options

	configEpoch uint64
	leader      string // whom we voted for in leaderEpoch, empty if not known
	leaderEpoch uint64
	votedAt     time.Time // when, or when that was loaded; zero if there was no vote

	replicas []*replica // by name
	peers    []*peer    // by id

	rebooted   bool // it came back with another run id and did not answer yet
	rebootedAt time.Time

	failover failover

	state *MasterState // as it was last given out; nil if that has changed

	// shown is where clients find the master: what is on disk. Once shownVersion
	// is, it is next.
	shown, next  Addr
	shownVersion uint64
}

// replica is a replica of a master.
type replica struct {
	instance
	master *master

	masterHost     string // whom it says to replicate; empty if not known
	masterPort     int
	masterLinkUp   bool
	masterLinkDown time.Duration // for how long, as of the last INFO
	linkSeenUp     time.Time     // when an INFO last said so
	linkDownFrom   time.Time     // since when the link is down; zero: it is not, or never was up
	confChanged    time.Time     // when masterHost or masterPort changed
	priority       int
	offset         uint64
	announced      bool

	promoted     bool
	unfinished   bool // another leader has promoted it, and not told; see unfinished.go
	reconf       reconfState
	reconfSentAt time.Time
	listedAt     time.Time // when INFO of the master last had it
}

// reconfState is how far a replica is on its way to a new master.
type reconfState uint8

const (
	reconfNone reconfState = iota
	reconfSent
	reconfInProgress
	reconfDone
)

// peer is another Sentinel of a master. One Sentinel is a peer of each master
// that both watch; all of these share a link.
type peer struct {
	instance
	master *master

	lastHello   time.Time
	masterDown  bool // it says that the master is down
	answered    time.Time
	asking      bool   // a question about the master is on its way
	leader      string // whom it voted for in leaderEpoch, empty if not known
	leaderEpoch uint64
}

func (i *instance) inst() *instance { return i }
func (m *master) of() *master       { return m }
func (r *replica) of() *master      { return r.master }
func (p *peer) of() *master         { return p.master }

// defaultPriority is that of a replica before its first INFO.
const defaultPriority = 100

func (n *Node) newInstance(role Role, name string, addr Addr) instance {
	return instance{
		schedule:  schedule{index: -1},
		role:      role,
		name:      name,
		addr:      addr,
		helloSent: n.now,
		info:      report{role: role, roleSince: n.now},
	}
}

// addMaster takes a master into the table.
func (n *Node) addMaster(name string, addr Addr, quorum int, options Options) *master {
	m := &master{
		instance: n.newInstance(RoleMaster, name, addr),
		quorum:   quorum,
		options:  options,
		shown:    addr,
		next:     addr,
	}
	m.link = n.newLink(m)
	at, _ := slices.BinarySearchFunc(n.masters, name, byName[*master])
	n.masters = slices.Insert(n.masters, at, m)
	n.byName[name] = m
	n.touch(m)
	return m
}

// addReplica takes a replica into the table of its master, or gives the one that
// is there.
func (n *Node) addReplica(m *master, addr Addr) (r *replica, added bool) {
	if r := n.replicaAt(m, addr); r != nil {
		return r, false
	}
	r = &replica{
		instance:    n.newInstance(RoleReplica, n.announced(addr).String(), addr),
		master:      m,
		confChanged: n.now,
		priority:    defaultPriority,
		announced:   true,
		listedAt:    n.now,
	}
	r.link = n.newLink(r)
	at, _ := slices.BinarySearchFunc(m.replicas, r.name, byName[*replica])
	m.replicas = slices.Insert(m.replicas, at, r)
	n.touch(r)
	return r, true
}

// replicaAt is the replica with that address, nil if there is none.
func (n *Node) replicaAt(m *master, addr Addr) *replica {
	for _, r := range m.replicas {
		if n.same(r.addr, addr) {
			return r
		}
	}
	return nil
}

// addPeer takes another Sentinel into the table of a master. It shares the link
// that there is to that Sentinel already (sentinelTryConnectionSharing).
func (n *Node) addPeer(m *master, id string, addr Addr) *peer {
	p := &peer{
		instance:  n.newInstance(RoleSentinel, id, addr),
		master:    m,
		lastHello: n.now,
		answered:  n.now,
	}
	p.runID = id
	if l := n.sentinelLinks[id]; l != nil {
		l.owners = append(l.owners, p)
		p.link = l
	} else {
		p.link = n.newLink(p)
		n.sentinelLinks[id] = p.link
	}
	at, _ := slices.BinarySearchFunc(m.peers, id, byName[*peer])
	m.peers = slices.Insert(m.peers, at, p)
	n.touch(p)
	return p
}

// peerByID is the Sentinel with that id, nil if there is none.
func (m *master) peerByID(id string) *peer {
	if at, ok := slices.BinarySearchFunc(m.peers, id, byName[*peer]); ok {
		return m.peers[at]
	}
	return nil
}

// byName orders instances by name.
func byName[W watched](w W, name string) int { return strings.Compare(w.inst().name, name) }

// removeMaster forgets a master and all that belongs to it.
func (n *Node) removeMaster(m *master) {
	n.removeReplicas(m)
	n.removePeers(m)
	n.discard(m)
	n.masters = slices.DeleteFunc(n.masters, func(o *master) bool { return o == m })
	delete(n.byName, m.name)
}

func (n *Node) removeReplicas(m *master) {
	for _, r := range m.replicas {
		n.discard(r)
	}
	m.replicas = nil
	m.failover.promoted = nil
}

func (n *Node) removePeers(m *master) {
	for _, p := range m.peers {
		n.discard(p)
	}
	m.peers = nil
}

func (n *Node) removeReplica(r *replica) {
	n.discard(r)
	r.master.replicas = slices.DeleteFunc(r.master.replicas, func(o *replica) bool { return o == r })
}

func (n *Node) removePeer(p *peer) {
	n.discard(p)
	p.master.peers = slices.DeleteFunc(p.master.peers, func(o *peer) bool { return o == p })
}

// discard ends the watch of an instance, and its link if nobody else uses it.
func (n *Node) discard(w watched) {
	n.drop(w)
	n.releaseLink(w)
}

// group are the instances of a master, itself first.
func (m *master) group() []watched {
	all := make([]watched, 0, 1+len(m.replicas)+len(m.peers))
	all = append(all, m)
	for _, r := range m.replicas {
		all = append(all, r)
	}
	for _, p := range m.peers {
		all = append(all, p)
	}
	return all
}

// touchReplicas has all replicas of a master looked at: how often they are asked
// for INFO depends on the master.
func (n *Node) touchReplicas(m *master) {
	for _, r := range m.replicas {
		n.touch(r)
	}
}

// quietFor reports whether the instance was never down in the last d
// (sentinelRedisInstanceNoDownFor).
func (n *Node) quietFor(i *instance, d time.Duration) bool {
	last := latest(i.sdownSince, i.odownSince)
	return last.IsZero() || n.since(last) > d
}
