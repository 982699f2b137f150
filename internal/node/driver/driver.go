// Package driver is a node's member of a cluster. It gives the state machine of
// package cluster what that lacks: a clock, links, a disk, and hands to carry out
// its decisions. What it needs of the rest of the node are the interfaces in Parts.
package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/bus/link"
	"redoubt/cluster"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/supervisor"
	"redoubt/internal/tlsconf"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// Parts is what a driver works with. All fields but Quorum and Guest are
// required.
type Parts struct {
	Config *config.Config
	Keys   *storage.Keyspace
	Log    *zap.Logger
	// Fatal ends the process: the state of the cluster cannot be saved.
	Fatal func(error)
	// Facts gives the replication offset, the last contact with the primary
	// and whether the node is unwell. It must not wait.
	Facts func() cluster.Facts
	// Hangs says what keeps the node from getting anything done, if something does.
	Hangs func() string
	Roles Roles
	Shell Shell
	// Mover moves keys to other nodes; writes to their slots wait for it.
	Mover Mover
	// Quorum is the node's part of its shard's own elections; nil if there are none.
	Quorum Quorum
	// Guest serves a connection from the part of another node that elects its shard's primary,
	// and returns when it has ended.
	Guest func(conn net.Conn)
	// TLS has the certificates of the bus. It is loaded before Start if the bus is to
	// be encrypted.
	TLS *tlsconf.Source
}

// Roles is the part of the node that replicates. The methods are called one
// after the other by one goroutine and may take their time; each says what the
// node is from now on, and says it again at every start.
type Roles interface {
	// BecomeReplica follows the primary at host:port. An empty host means that
	// its address is not known yet: the node serves as a replica that follows
	// nobody, and a call with an address comes later. The facts name the primary
	// of source from then on.
	BecomeReplica(host string, port int, source replication.Source)
	// BecomePrimary changes nothing on a primary.
	BecomePrimary()
	// Empty deletes all keys: by the stream on a primary, together with the
	// history on a replica.
	Empty()
}

// Quorum is the part of the node that elects the shard's primary outside of the bus.
type Quorum interface {
	// Reclaim has the shard agree on a greater epoch, and on Driver.Lead with it. It must
	// not wait.
	Reclaim()
	// Leave puts away what the node has of its shard's group, of which it is no more: its
	// data may change next. It may take its time.
	Leave()
	// Elect makes this replica the primary (CLUSTER FAILOVER). It may take its time.
	Elect(ctx context.Context) error
	// Agree has the shard agree on what it has, and on a greater epoch if that is asked for, and
	// on Driver.Own with it before it returns. An error is an answer for a client. It may take
	// its time.
	Agree(a *cluster.Agreement) error
	// Founded waits until this node leads the group that it founds, if it does. It takes a second
	// at most, unless the machine is busy.
	Founded()
	// MayMoveSlots reports whether this node may take slots and give them away: its shard has
	// elected it, or has no group yet that elects. It must not wait.
	MayMoveSlots() bool
	// Recover makes this node the primary of a shard most of whose nodes are gone
	// (quorum-unsafe-recover). It may take its time.
	Recover(ctx context.Context) error
}

// Shell is the part of the node that serves clients.
type Shell interface {
	// Publish gives a message to the local subscribers. It must not wait.
	Publish(channel, payload []byte, sharded bool)
	// DropShardChannels ends the subscriptions to shard channels in these
	// slots. It must not wait.
	DropShardChannels(ss *slots.Set)
	// SlotUse is what commands on a slot have taken, and ForgetSlotUse sets that to
	// zero. They must not wait.
	SlotUse(s slots.Slot) command.SlotUse
	ForgetSlotUse(ss *slots.Set)
	// Pause holds client writes back until a time in Unix milliseconds;
	// nothing is under way when it returns. Resume ends that.
	Pause(until int64)
	Resume()
}

// Mover is the part of the node that moves keys to other nodes.
type Mover interface {
	// Busy reports whether keys of a slot are under way. It must not wait.
	Busy(s slots.Slot) bool
}

// Driver drives the cluster.Node of a node.
//
// Goroutines, none of which waits for one above it:
//
//   - run owns the Node and everything below "owned by run". Others send it
//     functions by way of inbox. It waits for nothing but that and the clock,
//     so heartbeats are late only if the processor is.
//   - saver writes nodes.conf and its log (disk.go, log.go).
//   - changer carries out role changes and pauses, which take the world lock
//     (role.go); sweeper deletes keys of slots that were lost
//     (sweep.go).
//   - each link has its own (package bus/link).
//
// Event loops route by the View without a lock, and ask run by a function in
// the inbox. They wait for the answer only where a client's transaction needs
// it at once.
type Driver struct {
	Parts
	view     atomic.Pointer[cluster.View]
	endpoint *link.Endpoint
	busPort  int

	inbox   chan func()
	quit    chan struct{}
	running sync.WaitGroup
	saving  sync.WaitGroup // the saver ends last, so that nothing is left unsaved
	unsaved chan struct{}  // closed when nothing more comes for it
	closing sync.Once
	joined  atomic.Bool // Start has been called
	listens bool        // Listen has been; the goroutine's that starts the node

	saver   *saver
	changer changer
	sweeper sweeper

	// beat is when run last looked at the clock, and freezes counts how often it
	// had not for the node timeout.
	beat    atomic.Pointer[time.Time]
	freezes atomic.Uint64

	turn    chan struct{}     // held by who changes slots, see ownership.go
	counter *storage.Executor // that one's
	givesUp atomic.Bool       // giveUp runs
	kept    slots.Set         // giveUp's: of which the log has told

	disturbance disturbance
	pulse       supervisor.Pulse

	// Owned by run.
	node     *cluster.Node
	facts    cluster.Facts // last told to node
	woke     time.Time     // when the last freeze ended
	links    map[cluster.LinkID]*link.Link
	ids      map[*link.Link]cluster.LinkID
	accepted uint64 // links, so far
	outcome  outcome

	strangers strangers // has a lock of its own
}

// inboxSize bounds what waits for run. A sender waits when it is full: links
// then read no more, and publishing clients are served at the pace of the bus.
const inboxSize = 4096

// Open loads or makes the member. It does not speak before Start.
// Errors are what a user has to mend: a bad nodes.conf, one that another node
// uses, a port that leaves none for the bus.
func Open(p Parts) (*Driver, error) {
	cfg := p.Config.Current()
	d := &Driver{
		Parts:   p,
		inbox:   make(chan func(), inboxSize),
		quit:    make(chan struct{}),
		unsaved: make(chan struct{}),
		turn:    make(chan struct{}, 1),
		counter: p.Keys.NewExecutor(),
		links:   make(map[cluster.LinkID]*link.Link),
		ids:     make(map[*link.Link]cluster.LinkID),
	}
	var err error
	if d.busPort, err = busPort(cfg); err != nil {
		return nil, err
	}
	path := cfg.ClusterConfigFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(cfg.Dir, path)
	}
	file, state, err := openNodesFile(path, cfg.TLSCluster, p.Log)
	if err != nil {
		return nil, err
	}
	d.saver = newSaver(file, p.Log)
	d.changer.init(d)
	d.sweeper.init(d)
	d.node, err = cluster.New(time.Now(), cluster.Config{
		Settings: clusterSettings(cfg, d.busPort),
		State:    state,
		LocalIPs: localIPs(),
		Rand:     rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	})
	if err != nil {
		return nil, errors.Join(err, file.close())
	}
	d.endpoint = link.New(link.Config{
		Handler:   busLinks{d},
		Guest:     p.Guest,
		Source:    sourceAddr(cfg.BindSourceAddr),
		KeepAlive: 2 * cfg.ClusterNodeTimeout,
		SendLimit: cfg.ClusterLinkSendBufBytes,
		TLS:       d.linkTLS(cfg),
		Log:       p.Log,
	})
	d.publishView()
	return d, nil
}

// localIPs are the addresses of this machine, none if they cannot be told.
func localIPs() (texts []string) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			texts = append(texts, p.Addr().String())
		}
	}
	return texts
}

// Listen opens the port of the bus before the data are loaded. Nobody is answered
// there before Start, as with Redis while it loads. But a port that refused
// connections for so long would look like that of a process that has died.
func (d *Driver) Listen() error {
	if d.listens {
		return nil
	}
	d.listens = true
	return d.listen()
}

// Start joins the cluster, when the data are loaded.
func (d *Driver) Start(context.Context) error {
	if err := d.Listen(); err != nil {
		return err
	}
	d.endpoint.Accept()
	d.Config.OnChange(d.configure, clusterDirectives...)
	d.joined.Store(true)
	d.checkClock(time.Now())
	d.running.Go(d.run)
	d.saving.Go(func() { d.saver.run(d.unsaved, d.saved, d.Fatal) })
	d.running.Go(d.changer.run)
	d.running.Go(d.sweeper.run)
	used := d.slotsWithKeys()
	d.post(func() { d.step(cluster.Holdings{Slots: used}, nil) })
	return nil
}

// Close leaves the bus and waits until everything has ended. What was to be
// saved is saved.
func (d *Driver) Close() {
	d.closing.Do(func() {
		close(d.quit)
		d.endpoint.Close()
		d.running.Wait()
		close(d.unsaved)
		d.saving.Wait()
		d.saver.file.close()
	})
}

// slotsWithKeys are the slots in which there are keys.
func (d *Driver) slotsWithKeys() (used slots.Set) {
	for s, ok := d.Keys.NextSlot(0, 0); ok; s, ok = d.Keys.NextSlot(0, s+1) {
		if d.Keys.SlotLen(s, 0) > 0 {
			used.Add(s)
		}
	}
	return used
}

// View is what the node knows; it is replaced, never changed.
func (d *Driver) View() *cluster.View { return d.view.Load() }

// Publish spreads a message over the bus, to the nodes of this shard if
// sharded. While the data are being loaded there is no link to send it on.
func (d *Driver) Publish(channel, message []byte, sharded bool) {
	if !d.joined.Load() || len(d.View().Nodes) == 1 {
		return
	}
	ev := cluster.Publish{Channel: bytes.Clone(channel), Payload: bytes.Clone(message), Shard: sharded}
	d.post(func() { d.step(ev, nil) })
}

// Connections implements server.Cluster: each other node has a link to and one
// from this one (getClusterConnectionsCount).
func (d *Driver) Connections() int { return 2 * (len(d.View().Nodes) - 1) }

// Votes implements server.Cluster.
func (d *Driver) Votes() bool {
	v := d.View()
	owned := v.Me().Slots
	return !v.IsReplica() && owned != nil && !owned.Empty()
}

// LinkBytes implements server.Cluster.
func (d *Driver) LinkBytes() int64 { return d.endpoint.Bytes() }

// busPortOffset is between the client port and the port of the bus.
const busPortOffset = 10000

// busPort is the port to listen on for the bus. The client port by which it goes is
// that of its own flavour, as in Redis (defaultClientPort), if there is one.
func busPort(cfg *config.Settings) (int, error) {
	base := cfg.Port
	if cfg.TLSPort != 0 && (cfg.TLSCluster || base == 0) {
		base = cfg.TLSPort
	}
	switch port := base + busPortOffset; {
	case cfg.ClusterPort != 0:
		return cfg.ClusterPort, nil
	case port > 65535:
		return 0, errors.New("Redis port number too high. Cluster communication port is 10,000 port numbers higher than your Redis port. Your Redis port number must be 55535 or less.")
	default:
		return port, nil
	}
}

// listen opens the port of the bus on the addresses that clients are served
// on.
func (d *Driver) listen() error {
	addrs := busAddresses(d.Config.Current().Bind)
	if len(addrs) == 0 {
		return errors.New("No bind address is configured, but it is required for the Cluster bus.")
	}
	opened := 0
	var failure error
	for _, a := range addrs {
		_, err := d.endpoint.Bind(net.JoinHostPort(a.host, strconv.Itoa(d.busPort)))
		switch {
		case err == nil:
			opened++
		case !a.optional:
			return fmt.Errorf("Failed listening on port %d (cluster), aborting: %w", d.busPort, err)
		default:
			failure = err
		}
	}
	if opened == 0 {
		return fmt.Errorf("Failed listening on port %d (cluster), aborting: %w", d.busPort, failure)
	}
	return nil
}

// busAddress is an address to listen on; an optional one may be missing.
type busAddress struct {
	host     string
	optional bool
}

// busAddresses reads the bind directive. Here one socket on the IPv6 wildcard
// takes IPv4 as well, so where both are asked for it is tried first, and the
// IPv4 wildcard is what is left without IPv6.
func busAddresses(bind []string) []busAddress {
	var addrs []busAddress
	wildcards := 0
	for _, text := range bind {
		host, optional := strings.CutPrefix(text, "-")
		a := busAddress{host, optional}
		switch host {
		case "*":
			a.host = "0.0.0.0"
		case "::*":
			a.host = "::"
		}
		if ip := net.ParseIP(a.host); ip != nil && ip.IsUnspecified() {
			wildcards++
			if ip.To4() == nil {
				addrs = append([]busAddress{a}, addrs...)
				continue
			}
		}
		addrs = append(addrs, a)
	}
	if wildcards > 1 {
		for i := range addrs {
			if ip := net.ParseIP(addrs[i].host); ip != nil && ip.IsUnspecified() {
				addrs[i].optional = true
			}
		}
	}
	return addrs
}
