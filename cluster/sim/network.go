package sim

import (
	"time"

	"redoubt/bus"
	"redoubt/cluster"
)

// network carries messages between members.
type network struct {
	links map[end]*conn
	cuts  map[way]bool
}

// end is a link as one member knows it.
type end struct {
	member *Member
	link   cluster.LinkID
}

// way is one direction between two members.
type way struct{ from, to int }

// conn is a TCP connection. Ends[0] dialled.
type conn struct {
	ends   [2]end
	lives  [2]int
	last   [2]time.Time // arrival of the last message from that end
	broken bool
	held   []*flight // sent into a cut, in order
}

// flight is a message on its way.
type flight struct {
	conn *conn
	from int // which end sent it
	msg  *bus.Message
}

func (n *network) init() {
	n.links = make(map[end]*conn)
	n.cuts = make(map[way]bool)
}

// open reports whether messages get from a to b.
func (n *network) open(a, b *Member) bool { return !n.cuts[way{a.Index, b.Index}] }

// dialTimeout is how long a dial into a cut lasts.
const dialTimeout = 2 * time.Second

// dial connects m to a bus port. A member that is down refuses; one behind a
// cut does not answer at all.
func (w *World) dial(m *Member, d cluster.Dial) {
	target := w.byIP(d.IP)
	refused := func() { m.step(cluster.LinkDown{Link: d.Link}) }
	if target == nil || d.Port != busPort {
		m.later(w.latency(), refused)
		return
	}
	if !w.net.open(m, target) || !w.net.open(target, m) {
		m.later(dialTimeout, refused)
		return
	}
	if !target.Up() {
		m.later(2*w.latency(), refused)
		return
	}
	c := &conn{}
	c.ends[0] = end{m, d.Link}
	c.lives = [2]int{m.life, target.life}
	w.net.links[c.ends[0]] = c
	// The kernel accepts for a process that is frozen, too.
	delay := w.latency()
	w.after(delay, func() { w.accept(c, target) })
}

func (w *World) accept(c *conn, target *Member) {
	dialler := c.ends[0].member
	if c.broken || target.life != c.lives[1] || !target.Up() {
		w.net.hangUp(c)
		return
	}
	target.inbound++
	c.ends[1] = end{target, cluster.InboundLink(target.inbound)}
	w.net.links[c.ends[1]] = c
	target.do(func() {
		if !c.broken {
			target.step(cluster.LinkAccepted{Link: c.ends[1].link, PeerIP: dialler.ip, LocalIP: target.ip})
		}
	})
	dialler.later(w.latency(), func() {
		if !c.broken {
			dialler.step(cluster.LinkUp{Link: c.ends[0].link})
		}
	})
}

func (w *World) byIP(ip string) *Member {
	for _, m := range w.Members {
		if m.ip == ip {
			return m
		}
	}
	return nil
}

func (w *World) latency() time.Duration {
	d := w.between(w.opt.LatencyMin, w.opt.LatencyMax)
	if w.percent(w.opt.LossPercent) {
		d += 200 * time.Millisecond
	}
	return d
}

// send puts a message on its way.
func (w *World) send(m *Member, e cluster.Envelope) {
	w.judgeMessage(m, e.Link, e.Msg)
	c := w.net.links[end{m, e.Link}]
	if c == nil || c.broken {
		return
	}
	from := 0
	if c.ends[1].member == m && c.ends[1].link == e.Link {
		from = 1
	}
	msg := w.throughCodec(m, e.Msg)
	if m.redis {
		other := *msg
		other.Redoubt = false
		msg = &other
	}
	f := &flight{c, from, msg}
	if !w.net.open(m, c.ends[1-from].member) {
		c.held = append(c.held, f)
		return
	}
	w.fly(f)
}

// fly delivers a message after everything sent before it on that link.
func (w *World) fly(f *flight) {
	c := f.conn
	at := w.now.Add(w.latency())
	if !at.After(c.last[f.from]) {
		at = c.last[f.from].Add(1)
	}
	c.last[f.from] = at
	w.at(at, func() { w.land(f) })
}

func (w *World) land(f *flight) {
	c := f.conn
	to := c.ends[1-f.from]
	if c.broken || to.member == nil || to.member.life != c.lives[1-f.from] {
		return
	}
	if !w.net.open(c.ends[f.from].member, to.member) {
		c.held = append(c.held, f)
		return
	}
	to.member.do(func() {
		if !c.broken {
			to.member.receive(to.link, f.msg)
		}
	})
}

// close ends a connection from one side; the other notices.
func (n *network) close(m *Member, link cluster.LinkID) {
	if c := n.links[end{m, link}]; c != nil {
		n.hangUp(c)
	}
}

// hangUp breaks a connection. Both ends that still live hear of it, unless
// a cut keeps the news away: then only the node's own timeouts help.
func (n *network) hangUp(c *conn) {
	if c.broken {
		return
	}
	c.broken = true
	c.held = nil
	for i, e := range c.ends {
		if e.member == nil {
			continue
		}
		delete(n.links, e)
		if e.member.life != c.lives[i] {
			continue
		}
		other := c.ends[1-i].member
		w, link := e.member.world, e.link
		if other != nil && !n.open(other, e.member) {
			continue
		}
		e.member.later(w.latency(), func() { e.member.step(cluster.LinkDown{Link: link}) })
	}
}

// hangUpAll breaks all connections of a member.
func (n *network) hangUpAll(m *Member) {
	for _, c := range n.sorted() {
		if c.ends[0].member == m || c.ends[1].member == m {
			n.hangUp(c)
		}
	}
}

// sorted lists the connections in an order that does not change between runs.
func (n *network) sorted() []*conn {
	return sortConns(n.links)
}

// Cut stops messages from a to b; with both, also from b to a.
func (w *World) Cut(a, b int, both bool) {
	w.net.cuts[way{a, b}] = true
	if both {
		w.net.cuts[way{b, a}] = true
	}
}

// Partition separates the given members from all others.
func (w *World) Partition(members ...int) {
	inside := make(map[int]bool)
	for _, i := range members {
		inside[i] = true
	}
	for a := range w.Members {
		for b := range w.Members {
			if inside[a] != inside[b] {
				w.net.cuts[way{a, b}] = true
			}
		}
	}
	w.log(nil, "partition", members)
}

// Heal ends all cuts. What was held arrives.
func (w *World) Heal() {
	w.log(nil, "heal")
	clear(w.net.cuts)
	for _, c := range w.net.sorted() {
		held := c.held
		c.held = nil
		for _, f := range held {
			w.fly(f)
		}
	}
}

// ResetLinks breaks each connection with the given probability in percent.
func (w *World) ResetLinks(percent int) {
	w.log(nil, "link resets", percent)
	for _, c := range w.net.sorted() {
		if w.percent(percent) {
			w.net.hangUp(c)
		}
	}
}
