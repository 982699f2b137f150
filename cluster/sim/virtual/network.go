package virtual

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Network carries messages of type M between hosts as TCP does: a connection
// delivers in order or breaks, a loss is a delay, and what is sent into a cut
// waits until the cut ends, unless the connection is given up.
type Network[M any] struct {
	LatencyMin  time.Duration // one way, between any two hosts
	LatencyMax  time.Duration
	LossPercent int // of messages that need a retransmission

	world  *World
	listen map[listener]func(*End[M]) Handler[M]
	conns  map[*conn[M]]struct{}
	cuts   map[way]struct{}
	walls  map[way]struct{}
	gray   map[way]grayness
	dials  uint64
}

// Handler is a program's side of an End. It is called in this order: Opened,
// Received any number of times, Closed; of an end that was dialled in vain it
// hears Closed only.
type Handler[M any] interface {
	Opened()
	Received(M)
	// Closed comes when either side has closed the connection, or it cannot be
	// opened. A cut may keep the news away for ever.
	Closed(Reason)
}

// Reason is why an end is closed.
type Reason int

// Reasons.
const (
	Refused Reason = iota // nobody listens there
	NoReply               // nobody is to be reached there
	HungUp                // one side has closed, or is no more
	Reset                 // a firewall has rejected what was sent
)

// String is the reason in words.
func (r Reason) String() string {
	return [...]string{"connection refused", "no reply", "connection closed", "connection reset"}[r]
}

// listener is a port of a host.
type listener struct {
	host *Host
	port int
}

// grayness is how bad a link is that works.
type grayness struct {
	delay time.Duration // a message takes up to this longer
	loss  int           // percent of messages that need another retransmission
}

// way is one direction between two hosts.
type way struct{ from, to int }

// conn is a TCP connection. Ends[0] dialled.
type conn[M any] struct {
	net    *Network[M]
	number uint64
	ends   [2]End[M]
	lives  [2]int
	last   [2]time.Time // arrival of the last message from that end
	// accepted by the kernel of the other host: before, there is no other end.
	accepted bool
	broken   bool
	held     []flight[M] // sent into a cut, in order
}

// End is one end of a connection.
type End[M any] struct {
	conn    *conn[M]
	side    int
	host    *Host
	handler Handler[M]
}

// flight is a message on its way.
type flight[M any] struct {
	from int // which end sent it
	msg  M
}

// retransmission is what a loss delays.
const retransmission = 200 * time.Millisecond

// dialTimeout is how long a dial into a cut lasts.
const dialTimeout = 2 * time.Second

// NewNetwork makes a network between the hosts of a world.
func NewNetwork[M any](w *World) *Network[M] {
	return &Network[M]{
		world:  w,
		listen: make(map[listener]func(*End[M]) Handler[M]),
		conns:  make(map[*conn[M]]struct{}),
		cuts:   make(map[way]struct{}),
		walls:  make(map[way]struct{}),
		gray:   make(map[way]grayness),
	}
}

// Listen has accept called for each connection to a port of the host, in all its
// lives; it makes the handler.
func (n *Network[M]) Listen(h *Host, port int, accept func(*End[M]) Handler[M]) {
	n.listen[listener{h, port}] = accept
}

// Open reports whether messages get from a to b.
func (n *Network[M]) Open(a, b *Host) bool {
	_, cut := n.cuts[way{a.Index, b.Index}]
	return !cut
}

// Whole reports whether nothing is wrong with the network.
func (n *Network[M]) Whole() bool { return len(n.cuts)+len(n.walls)+len(n.gray) == 0 }

// Refused reports whether a firewall refuses connections from a to b.
func (n *Network[M]) Refused(a, b *Host) bool {
	_, refused := n.walls[way{a.Index, b.Index}]
	return refused
}

// Latency is how long the next message takes.
func (n *Network[M]) Latency() time.Duration {
	d := n.world.Between(n.LatencyMin, n.LatencyMax)
	if n.world.Percent(n.LossPercent) {
		d += retransmission
	}
	return d
}

// Dial connects a host to a port; nothing may be sent before the handler is told
// Opened. A host that is down refuses; one behind a cut does not answer at all.
func (n *Network[M]) Dial(h *Host, ip string, port int, handler Handler[M]) *End[M] {
	target := n.world.byIP(ip)
	accept := n.listen[listener{target, port}]
	n.dials++
	c := &conn[M]{net: n, number: n.dials}
	c.ends[0] = End[M]{conn: c, side: 0, host: h, handler: handler}
	c.ends[1] = End[M]{conn: c, side: 1, host: target}
	fail := func(after time.Duration, why Reason) {
		c.broken = true
		h.Later(after, func() { handler.Closed(why) })
	}
	switch {
	case accept == nil, n.Refused(h, target):
		fail(n.Latency(), Refused)
	case !n.Open(h, target) || !n.Open(target, h):
		fail(dialTimeout, NoReply)
	case !target.up:
		fail(2*n.Latency(), Refused)
	default:
		c.lives = [2]int{h.life, target.life}
		n.conns[c] = struct{}{}
		// The kernel accepts for a process that is frozen, too.
		n.world.After(n.Latency(), func() { c.accept(accept) })
	}
	return &c.ends[0]
}

func (c *conn[M]) accept(accept func(*End[M]) Handler[M]) {
	dialler, target := c.ends[0].host, c.ends[1].host
	if c.broken || target.life != c.lives[1] || !target.up {
		c.hangUp()
		return
	}
	c.accepted = true
	c.ends[1].handler = accept(&c.ends[1])
	opened := func(e *End[M]) func() {
		return func() {
			if !c.broken {
				e.handler.Opened()
			}
		}
	}
	target.Do(opened(&c.ends[1]))
	dialler.Later(c.net.Latency(), opened(&c.ends[0]))
}

// Host is whose end it is.
func (e *End[M]) Host() *Host { return e.host }

// Peer is who is at the other end.
func (e *End[M]) Peer() *Host { return e.conn.ends[1-e.side].host }

// Broken reports whether the connection is no more or will never be, whether or
// not the host has heard of it.
func (e *End[M]) Broken() bool { return e.conn.broken }

// Send puts a message on its way.
func (e *End[M]) Send(msg M) {
	c := e.conn
	if c.broken {
		return
	}
	f := flight[M]{e.side, msg}
	if !c.net.Open(e.host, e.Peer()) {
		c.held = append(c.held, f)
		return
	}
	c.fly(f)
}

// fly delivers a message after everything sent before it from that end.
func (c *conn[M]) fly(f flight[M]) {
	w := c.net.world
	at := w.now.Add(c.net.Latency() + c.net.grayDelay(way{c.ends[f.from].host.Index, c.ends[1-f.from].host.Index}))
	if !at.After(c.last[f.from]) {
		at = c.last[f.from].Add(1)
	}
	c.last[f.from] = at
	w.At(at, func() { c.land(f) })
}

func (c *conn[M]) land(f flight[M]) {
	from, to := &c.ends[f.from], &c.ends[1-f.from]
	if c.broken || to.host.life != c.lives[to.side] {
		return
	}
	if !c.net.Open(from.host, to.host) {
		c.held = append(c.held, f)
		return
	}
	to.host.Do(func() {
		if !c.broken {
			to.handler.Received(f.msg)
		}
	})
}

// Close ends the connection from this side; the other notices.
func (e *End[M]) Close() { e.conn.hangUp() }

// hangUp breaks a connection as a side does that closes it, or is no more.
func (c *conn[M]) hangUp() { c.breakOff(HungUp) }

// breakOff breaks a connection. Both ends that still live hear of it, unless
// a cut keeps the news away: then only the program's own timeouts help.
func (c *conn[M]) breakOff(why Reason) {
	if c.broken {
		return
	}
	c.broken = true
	c.held = nil
	delete(c.net.conns, c)
	for i := range c.ends {
		e, other := &c.ends[i], &c.ends[1-i]
		if e.handler == nil || e.host.life != c.lives[i] || c.accepted && !c.net.Open(other.host, e.host) {
			continue
		}
		e.host.Later(c.net.Latency(), func() { e.handler.Closed(why) })
	}
}

// HangUpAll breaks all connections of a host.
func (n *Network[M]) HangUpAll(h *Host) {
	for _, c := range n.sorted() {
		if c.ends[0].host == h || c.accepted && c.ends[1].host == h {
			c.hangUp()
		}
	}
}

// sorted lists the connections in an order that does not change between runs.
func (n *Network[M]) sorted() []*conn[M] {
	list := make([]*conn[M], 0, len(n.conns))
	for c := range n.conns {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *conn[M]) int {
		return cmp.Or(cmp.Compare(a.ends[0].host.Index, b.ends[0].host.Index), cmp.Compare(a.number, b.number))
	})
	return list
}

// Cut stops messages from a to b; with both, also from b to a.
func (n *Network[M]) Cut(a, b int, both bool) {
	n.cuts[way{a, b}] = struct{}{}
	if both {
		n.cuts[way{b, a}] = struct{}{}
	}
}

// Mend ends the cuts between a and b. What was held arrives.
func (n *Network[M]) Mend(a, b int) {
	delete(n.cuts, way{a, b})
	delete(n.cuts, way{b, a})
	n.release()
}

// Refuse has a firewall answer whoever connects from a to b, and what is sent on
// connections that exist, by a reset: the process at b lives, and looks dead.
func (n *Network[M]) Refuse(a, b int) {
	n.walls[way{a, b}] = struct{}{}
	for _, c := range n.sorted() {
		if c.ends[0].host.Index == a && c.ends[1].host.Index == b {
			c.breakOff(Reset)
		}
	}
}

// Reject has a firewall answer all that a sends to b by a reset, on connections that b
// has dialled as well. B gets nothing and hears of nothing.
func (n *Network[M]) Reject(a, b int) {
	n.Cut(a, b, false)
	n.walls[way{a, b}] = struct{}{}
	for _, c := range n.sorted() {
		if x, y := c.ends[0].host.Index, c.ends[1].host.Index; x == a && y == b || x == b && y == a {
			c.breakOff(Reset)
		}
	}
}

// Gray makes the way from a to b bad: messages take up to delay longer, and
// loss percent of them need one more retransmission.
func (n *Network[M]) Gray(a, b int, delay time.Duration, loss int) {
	n.gray[way{a, b}] = grayness{delay, loss}
}

func (n *Network[M]) grayDelay(w way) time.Duration {
	g, bad := n.gray[w]
	if !bad {
		return 0
	}
	d := n.world.Between(0, g.delay)
	if n.world.Percent(g.loss) {
		d += retransmission
	}
	return d
}

// Partition separates the given hosts from all others.
func (n *Network[M]) Partition(hosts ...int) {
	for a := range n.world.hosts {
		for b := range n.world.hosts {
			if slices.Contains(hosts, a) != slices.Contains(hosts, b) {
				n.Cut(a, b, false)
			}
		}
	}
	n.world.Log(nil, fmt.Sprint("partition ", hosts))
}

// Heal ends all that is wrong. What was held arrives.
func (n *Network[M]) Heal() {
	n.world.Log(nil, "heal")
	clear(n.cuts)
	clear(n.walls)
	clear(n.gray)
	n.release()
}

// release sends what was held and is not kept by a cut any more.
func (n *Network[M]) release() {
	for _, c := range n.sorted() {
		held := c.held
		c.held = nil
		for _, f := range held {
			if n.Open(c.ends[f.from].host, c.ends[1-f.from].host) {
				c.fly(f)
			} else {
				c.held = append(c.held, f)
			}
		}
	}
}

// Reset breaks each connection with the given probability in percent.
func (n *Network[M]) Reset(percent int) {
	n.world.Log(nil, fmt.Sprint("link resets ", percent))
	for _, c := range n.sorted() {
		if n.world.Percent(percent) {
			c.hangUp()
		}
	}
}
