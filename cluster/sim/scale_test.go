package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/slots"
)

// crowd is one real node among many that only exist as messages, which answer it, ping it
// and gossip as such a node does. It measures what the real one does: its Steps, the codec
// and the View, as the driver calls them.
type crowd struct {
	t     testing.TB
	rand  *rand.Rand
	now   time.Time
	node  *cluster.Node
	names bus.Names
	peers []*extra
	links map[cluster.LinkID]*extra
	due   []arrival // what is on its way to the node, in order

	sent, received, messages int
	allocated                uint64        // bytes, on behalf of the node
	busy                     time.Duration // of the processor, on behalf of the node
	failed                   map[bus.NodeID]bool
	died                     time.Time // when they did
	counts                   bool      // memory too, which is slow
}

// extra is a node that exists as messages only.
type extra struct {
	header  bus.Header
	primary int // of a replica: the index of its primary
	out     cluster.LinkID
	in      cluster.LinkID
	pinged  time.Time
}

type arrival struct {
	at   time.Time
	from *extra
	link cluster.LinkID
	msg  *bus.Message
}

// nodeTimeout is the default of cluster-node-timeout.
const nodeTimeout = 15 * time.Second

func idOf(i int) bus.NodeID { return bus.NodeID(fmt.Sprintf("%040x", i+1)) }

// newCrowd makes a cluster of so many nodes, half of them replicas of the others. The
// real one is the first primary.
func newCrowd(t testing.TB, nodes int) *crowd {
	t.Helper()
	c := &crowd{t: t, rand: rand.New(rand.NewPCG(1, uint64(nodes))), now: time.Unix(1_800_000_000, 0),
		links: make(map[cluster.LinkID]*extra), failed: make(map[bus.NodeID]bool)}
	primaries := nodes / 2
	state := &cluster.State{CurrentEpoch: bus.Epoch(primaries)}
	for i := range nodes {
		r := cluster.NodeRecord{ID: idOf(i), IP: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), TCPPort: clientPort, BusPort: busPort,
			ShardID: string(idOf(i % primaries)), ConfigEpoch: bus.Epoch(i%primaries + 1), Slots: new(slots.Set)}
		r.Flags = bus.FlagPrimary
		set := new(slots.Set)
		for s := share(i%primaries, primaries).First; s <= share(i%primaries, primaries).Last; s++ {
			set.Add(s)
		}
		if i < primaries {
			r.Slots = set
		} else {
			r.Flags, r.Primary = bus.FlagReplica, idOf(i%primaries)
		}
		if i == 0 {
			r.Flags |= bus.FlagMyself
		} else {
			c.peers = append(c.peers, &extra{primary: i % primaries, header: bus.Header{
				CurrentEpoch: bus.Epoch(primaries), ConfigEpoch: r.ConfigEpoch, Sender: r.ID, Slots: *set, Primary: r.Primary,
				IP: r.IP, Port: clientPort, BusPort: busPort, Flags: r.Flags, State: bus.StateOK, MsgFlags: bus.MsgExtData, Redoubt: true,
			}})
		}
		state.Nodes = append(state.Nodes, r)
	}
	settings := cluster.DefaultSettings()
	settings.NodeTimeout = nodeTimeout
	settings.TCPPort, settings.BusPort = clientPort, busPort
	node, err := cluster.New(c.now, cluster.Config{Settings: settings, State: state, Rand: c.rand})
	if err != nil {
		t.Fatal(err)
	}
	c.node = node
	c.step(cluster.Tick{})
	for i, p := range c.peers {
		p.in = cluster.InboundLink(uint64(i + 1))
		c.links[p.in] = p
		c.step(cluster.LinkAccepted{Link: p.in, PeerIP: p.header.IP, LocalIP: "10.0.0.1"})
		p.pinged = c.now.Add(-time.Duration(c.rand.Int64N(int64(nodeTimeout / 2))))
	}
	return c
}

// spend runs what the node would do, and counts what it takes of the processor and of
// memory.
func (c *crowd) spend(f func()) {
	var t unix.Timespec
	clock := func() time.Duration {
		_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
		return time.Duration(t.Nano())
	}
	memory := func() uint64 {
		s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	bytes := uint64(0)
	if c.counts {
		bytes = memory()
	}
	before := clock()
	f()
	c.busy += clock() - before
	if c.counts {
		c.allocated += memory() - bytes
	}
}

// step gives the node an event, as the driver does, and takes what it sends.
func (c *crowd) step(ev cluster.Event) {
	type letter struct {
		link cluster.LinkID
		text []byte
	}
	var letters []letter
	var fx cluster.Effects
	c.spend(func() {
		fx = c.node.Step(c.now, ev)
		c.node.Latest()
		var last *bus.Message
		var text []byte
		for _, e := range append(fx.Send, fx.SendAfterPersist...) {
			if e.Msg != last {
				last, text = e.Msg, bus.Append(nil, e.Msg)
			}
			letters = append(letters, letter{e.Link, text})
		}
	})
	for _, d := range fx.Dial {
		for _, p := range c.peers {
			if p.header.IP == d.IP && !c.failed[p.header.Sender] {
				p.out = d.Link
				c.links[d.Link] = p
			}
		}
	}
	for _, l := range letters {
		c.sent += len(l.text)
		c.messages++
		c.answer(c.links[l.link], l.link, bus.TypeOf(l.text))
	}
	for _, d := range fx.Dial {
		if c.links[d.Link] != nil {
			c.step(cluster.LinkUp{Link: d.Link})
		}
	}
	if fx.Persist != nil {
		c.step(cluster.Persisted{Version: fx.Persist.Version})
	}
}

// answer has a peer answer a PING.
func (c *crowd) answer(p *extra, link cluster.LinkID, t bus.Type) {
	if p != nil && (t == bus.TypePing || t == bus.TypeMeet) && !c.failed[p.header.Sender] {
		c.due = append(c.due, arrival{c.now.Add(time.Millisecond), p, link, c.message(p, bus.TypePong)})
	}
}

// message is one of a peer, with the gossip that belongs to it.
func (c *crowd) message(p *extra, t bus.Type) *bus.Message {
	m := &bus.Message{Header: p.header}
	m.Type = t
	m.Ext.ShardID = string(idOf(p.primary))
	tell := func(o *extra, flags bus.Flags) {
		heard := c.now.Add(-time.Duration(c.rand.Int64N(int64(time.Second))))
		m.Gossip = append(m.Gossip, bus.Gossip{ID: o.header.Sender, PongReceivedSec: uint32(heard.Unix()), IP: o.header.IP, Port: clientPort, BusPort: busPort, Flags: flags})
	}
	for range 3 {
		if o := c.peers[c.rand.IntN(len(c.peers))]; !c.failed[o.header.Sender] {
			tell(o, o.header.Flags)
		}
	}
	if len(c.failed) > 0 && c.now.Sub(c.died) > nodeTimeout {
		for _, o := range c.peers {
			if c.failed[o.header.Sender] {
				tell(o, o.header.Flags|bus.FlagPFail)
			}
		}
	}
	return m
}

// receive has a message arrive.
func (c *crowd) receive(link cluster.LinkID, msg *bus.Message) {
	text := bus.Append(nil, msg)
	c.received += len(text)
	var m *bus.Message
	var err error
	c.spend(func() {
		decoder := bus.Decoder{Intern: c.names.Of}
		m, err = decoder.Decode(text)
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.step(cluster.Received{Link: link, Msg: m})
}

// run lets time pass, in steps of a millisecond.
func (c *crowd) run(d time.Duration) {
	for end := c.now.Add(d); c.now.Before(end); c.now = c.now.Add(time.Millisecond) {
		for len(c.due) > 0 && !c.due[0].at.After(c.now) {
			a := c.due[0]
			c.due = c.due[1:]
			c.receive(a.link, a.msg)
		}
		for _, p := range c.peers {
			if !c.failed[p.header.Sender] && c.now.Sub(p.pinged) > nodeTimeout/2 {
				p.pinged = c.now
				c.receive(p.in, c.message(p, bus.TypePing))
			}
		}
		if !c.now.Before(c.node.Deadline()) {
			c.step(cluster.Tick{})
		}
	}
}

// measure prints what the node does in d, by the second.
func (c *crowd) measure(what string, d time.Duration) {
	c.sent, c.received, c.messages, c.busy, c.allocated = 0, 0, 0, 0, 0
	c.run(d)
	seconds := d.Seconds()
	busy, sent, received, messages := c.busy, c.sent, c.received, c.messages
	c.counts, c.allocated = true, 0
	c.run(d / 10)
	c.counts = false
	c.busy, c.sent, c.received, c.messages, c.allocated = busy, sent, received, messages, 10*c.allocated
	fmt.Printf("| %d | %s | %.0f | %.1f | %.1f | %.0f | %.2f %% |\n", len(c.peers)+1, what, float64(c.messages)/seconds,
		float64(c.sent)/seconds/1024, float64(c.received)/seconds/1024, float64(c.allocated)/seconds/1024, 100*c.busy.Seconds()/seconds)
}

// BenchmarkScale prints what the cluster bus costs a node, by the size of the cluster: while
// nothing happens, and while nearly half of the primaries are dead and suspected.
func BenchmarkScale(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fmt.Println("| nodes | | messages/s | KiB/s sent | KiB/s received | KiB/s allocated | of a core |\n| --- | --- | --- | --- | --- | --- | --- |")
	for _, nodes := range []int{100, 500, 1000} {
		c := newCrowd(b, nodes)
		c.run(20 * time.Second)
		c.measure("idle", 20*time.Second)
		c.died = c.now
		for i, p := range c.peers {
			if p.header.Flags.Has(bus.FlagPrimary) && i%100 < 49 {
				c.failed[p.header.Sender] = true
			}
		}
		c.measure("49 % of the primaries die", 30*time.Second)
	}
}

// BenchmarkScaleOfFailovers prints how long it takes until all slots are served
// again, of real nodes all of them.
func BenchmarkScaleOfFailovers(b *testing.B) {
	const members, primaries, die = 60, 30, 14
	opt := DefaultOptions()
	opt.NodeTimeout = 5 * time.Second
	opt.CodecPercent = 0
	w := create(b, 1, primaries, members-primaries, opt)
	begin := w.Elapsed()
	for i := range die {
		w.Members[i].Crash()
	}
	mustHold(b, w, w.RunUntil(2*time.Minute, "all slots are served", func() bool {
		v := w.Members[primaries-1].View()
		for i := range primaries {
			if owner := v.Owner(share(i, primaries).First); owner == nil || w.member(owner.ID) == nil {
				return false
			}
		}
		return v.OK
	}))
	fmt.Printf("%d of %d primaries died at once, node timeout %v: all slots were served after %v\n",
		die, primaries, opt.NodeTimeout, (w.Elapsed() - begin).Round(10*time.Millisecond))
}
