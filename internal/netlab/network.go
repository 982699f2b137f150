package netlab

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Network is hosts and the switch between them. Its methods may be called from any
// goroutine.
type Network struct {
	Hosts []*Host

	outside *os.File      // the namespace of this process
	wake    chan struct{} // the queue has an earlier packet
	closed  chan struct{}
	running sync.WaitGroup // the goroutines of the switch

	mu     sync.Mutex // guards what follows, and is held while a packet is delivered
	byAddr map[netip.Addr]*Host
	links  [][]link // by sender, by receiver
	queue  queue
	rnd    *rand.Rand // decides on loss and jitter
	stats  Stats
}

// Stats counts packets.
type Stats struct {
	Packets, Bytes int64 // delivered
	Dropped        int64 // by Drop, Flap, and for addresses that nobody has
	Lost           int64 // by Loss, or since a queue was full
	Rejected       int64
}

// New makes a network of so many hosts, with the addresses 10.77.0.1 and so on, all of
// which reach each other. Loss and jitter are drawn from the seed.
func New(hosts int, seed uint64) (*Network, error) {
	if what := Lacking(); what != "" {
		return nil, errors.New("netlab: " + what)
	}
	outside, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("netlab: %w", err)
	}
	n := &Network{
		outside: outside,
		wake:    make(chan struct{}, 1),
		closed:  make(chan struct{}),
		byAddr:  map[netip.Addr]*Host{},
		rnd:     rand.New(rand.NewPCG(seed, 0x6e65746c6162)),
	}
	for i := range hosts {
		h, err := newHost(n, i, Address(0, i))
		if err != nil {
			n.Close()
			return nil, fmt.Errorf("netlab: host %d: %w", i, err)
		}
		n.Hosts = append(n.Hosts, h)
		n.byAddr[h.addr] = h
		n.links = append(n.links, make([]link, hosts))
	}
	for _, h := range n.Hosts {
		n.running.Go(h.pump)
	}
	n.running.Go(n.deliver)
	return n, nil
}

// Address is an address of the network: the host with that index has the one of the
// subnet 0 in the beginning. There are 256 subnets with 250 addresses each.
func Address(subnet, index int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte(subnet), byte(1 + index)})
}

// Close ends the processes in the hosts and removes the network.
func (n *Network) Close() {
	close(n.closed)
	for _, h := range n.Hosts {
		h.close()
	}
	n.running.Wait()
	n.outside.Close()
}

// Set sets the rule from each host of the first set to each of the second. When it
// returns, no packet passes any more that the rule does not let pass.
func (n *Network) Set(from, to []*Host, r Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.set(from, to, r, time.Now())
}

// SetBoth sets the rule in both directions.
func (n *Network) SetBoth(a, b []*Host, r Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.set(a, b, r, now)
	n.set(b, a, r, now)
}

// Heal lets everything pass.
func (n *Network) Heal() { n.Set(n.Hosts, n.Hosts, Rule{}) }

func (n *Network) set(from, to []*Host, r Rule, now time.Time) {
	for _, a := range from {
		for _, b := range to {
			l := &n.links[a.index][b.index]
			l.rule, l.since, l.free = r, now, now
		}
	}
}

// Rule is the rule from one host to another.
func (n *Network) Rule(from, to *Host) Rule {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.links[from.index][to.index].rule
}

// Except is the hosts that are not among these.
func (n *Network) Except(these []*Host) (rest []*Host) {
	without := map[*Host]bool{}
	for _, h := range these {
		without[h] = true
	}
	for _, h := range n.Hosts {
		if !without[h] {
			rest = append(rest, h)
		}
	}
	return rest
}

// Stats is what the switch has counted.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// route takes a packet that a host has sent. It does not keep b.
func (n *Network) route(from *Host, b []byte) {
	p, ok := parsePacket(b)
	if !ok {
		return // IPv6 looks for its neighbours
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	to := n.byAddr[p.destination()]
	if to == nil || p.source() != from.addr {
		n.stats.Dropped++
		return
	}
	l := &n.links[from.index][to.index]
	switch v, due := l.decide(now, len(p), n.rnd); v {
	case pass:
		n.hand(to, p)
	case later:
		l.queued++
		n.push(queued{due: due, from: from, to: to, packet: append(packet(nil), p...)})
	case refuse:
		n.stats.Rejected++
		if answer := p.refusal(); answer != nil {
			from.receive(answer)
		}
	case lose:
		n.stats.count(l, now)
	}
}

// count notes that the link has let a packet vanish.
func (s *Stats) count(l *link, now time.Time) {
	if l.open(now) {
		s.Lost++
	} else {
		s.Dropped++
	}
}

// hand delivers a packet.
func (n *Network) hand(to *Host, p packet) {
	n.stats.Packets++
	n.stats.Bytes += int64(len(p))
	to.receive(p)
}

// queued is a packet under way.
type queued struct {
	due      time.Time
	number   uint64 // of two that are due at once, the first goes first
	from, to *Host
	packet   packet
}

// queue is the packets of all links, a heap.
type queue struct {
	packets []queued
	pushed  uint64
}

func (q *queue) Len() int { return len(q.packets) }
func (q *queue) Less(i, j int) bool {
	a, b := &q.packets[i], &q.packets[j]
	if a.due.Equal(b.due) {
		return a.number < b.number
	}
	return a.due.Before(b.due)
}
func (q *queue) Swap(i, j int) { q.packets[i], q.packets[j] = q.packets[j], q.packets[i] }
func (q *queue) Push(x any)    { q.packets = append(q.packets, x.(queued)) }
func (q *queue) Pop() any {
	last := len(q.packets) - 1
	p := q.packets[last]
	q.packets[last] = queued{}
	q.packets = q.packets[:last]
	return p
}

func (n *Network) push(p queued) {
	p.number = n.queue.pushed
	n.queue.pushed++
	heap.Push(&n.queue, p)
	if n.queue.packets[0].number == p.number {
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
}

// deliver hands out what is queued when it is due.
func (n *Network) deliver() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(n.deliverDue())
		select {
		case <-n.closed:
			return
		case <-n.wake:
		case <-timer.C:
		}
	}
}

// deliverDue hands out what is due and returns for how long nothing else is. A packet
// whose link has been cut meanwhile is lost.
func (n *Network) deliverDue() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.queue.Len() > 0 {
		now := time.Now()
		if wait := n.queue.packets[0].due.Sub(now); wait > 0 {
			return wait
		}
		p := heap.Pop(&n.queue).(queued)
		l := &n.links[p.from.index][p.to.index]
		l.queued--
		if n.byAddr[p.packet.destination()] == p.to && l.open(now) {
			n.hand(p.to, p.packet)
		} else {
			n.stats.Dropped++
		}
	}
	return time.Hour
}
