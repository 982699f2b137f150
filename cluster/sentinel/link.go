package sentinel

import (
	"slices"
	"strings"
	"time"
)

// link is what connects to an instance, and what tells whether it is alive: two
// connections to a master or replica, one to another Sentinel, which all masters
// that it watches with us share. (instanceLink)
type link struct {
	schedule
	owners []watched // more than one only of a Sentinel
	cmd    *conn     // nil: none, and none on its way
	pub    *conn
	// refused says that the last attempt was answered by nobody listening.
	refused bool
	redials int    // that may still follow each other quickly
	localIP string // of cmd

	dialled   time.Time // the last attempt
	lastAvail time.Time // the last good reply to PING
	lastPong  time.Time // the last reply to PING
	lastPing  time.Time
	// waiting is when the oldest PING was sent that was not followed by a good
	// reply; zero if there is none. A new link waits since it was made, so that
	// an instance that never answers is down in time.
	waiting time.Time

	pending  map[RequestID]pending
	commands int // on their way, of all pending
}

// conn is one connection.
type conn struct {
	id     LinkID
	link   *link
	pubsub bool
	up     bool
	since  time.Time // up, or dialled
	heard  time.Time // the last message, of a pub/sub connection
}

// pending is a request without a reply.
type pending struct {
	kind     RequestKind
	owner    watched
	commands int
	about    Addr // the master that a question is about
}

// A process that dies closes its connections before, or after, the socket that it
// listens on: who calls again at once may still be let in, and lose that connection as
// well. With fast-down it takes a few calls soon after each other to find nobody there.
const (
	quickRedials = 10
	redialPause  = 50 * time.Millisecond
)

// maxPending is how many commands may be on their way for an owner of a link
// before PING, INFO and hellos wait (SENTINEL_MAX_PENDING_COMMANDS).
const maxPending = 100

func (n *Node) newLink(owner watched) *link {
	l := &link{
		schedule:  schedule{index: -1},
		owners:    []watched{owner},
		lastAvail: n.now,
		lastPong:  n.now,
		waiting:   n.now,
		pending:   make(map[RequestID]pending),
	}
	n.touch(l)
	return l
}

// releaseLink takes an owner from its link, and ends the link with the last one.
func (n *Node) releaseLink(w watched) {
	l := w.inst().link
	l.owners = slices.DeleteFunc(l.owners, func(o watched) bool { return o == w })
	if len(l.owners) > 0 {
		for id, p := range l.pending {
			if p.owner == w {
				p.owner = nil
				l.pending[id] = p
			}
		}
		return
	}
	n.hangUp(l)
	n.drop(l)
	if w.inst().role == RoleSentinel {
		delete(n.sentinelLinks, w.inst().name)
	}
}

// main is the owner whose address and master count for the link.
func (l *link) main() watched { return l.owners[0] }

func (l *link) wantsPubSub() bool { return l.main().inst().role != RoleSentinel }

// connected reports whether all connections stand.
func (l *link) connected() bool {
	return l.cmd != nil && l.cmd.up && (!l.wantsPubSub() || l.pub != nil && l.pub.up)
}

// canSend reports whether commands can be sent.
func (l *link) canSend() bool { return l.cmd != nil && l.cmd.up }

// crowded reports whether too much is on its way already.
func (l *link) crowded() bool { return l.commands >= maxPending*len(l.owners) }

// pingPeriod is how often to ping: once a second, or more often if one of the
// owners is down sooner than that.
func (n *Node) pingPeriod(l *link) time.Duration {
	period := n.cfg.Timing.PingPeriod
	for _, w := range l.owners {
		period = min(period, w.of().options.DownAfter)
	}
	return period
}

// run dials what is missing, gives up what is dead, and pings.
// (sentinelReconnectInstance, and the first half of
// sentinelCheckSubjectivelyDown)
func (l *link) run(n *Node) {
	if n.mayJudge() {
		n.closeIdle(l)
	}
	n.dial(l)
	if l.canSend() && !l.crowded() && !n.pingDue(l).After(n.now) {
		n.ping(l)
		if l.wantsPubSub() {
			n.touch(l.main()) // other things may have waited for this
		}
	}
}

func (l *link) alarm(n *Node) time.Time {
	var a alarm
	if l.missing() {
		a.by(l.dialled.Add(n.redialPeriod(l)))
	}
	if l.canSend() {
		a.by(n.pingDue(l))
	}
	for _, c := range []*conn{l.cmd, l.pub} {
		if c != nil && !n.tilt {
			a.by(n.idleAt(c))
		}
	}
	return a.at
}

// missing reports whether there is something to dial.
func (l *link) missing() bool {
	return (l.cmd == nil || l.wantsPubSub() && l.pub == nil) && l.main().inst().addr.Port != 0
}

// pingDue is when the next PING is due.
func (n *Node) pingDue(l *link) time.Time {
	period := n.pingPeriod(l)
	return latest(l.lastPong.Add(period), l.lastPing.Add(period/2))
}

// withPing puts off what is due to when the next PING is due, if that is soon: both are
// written at once, and answered. It is what a thousand masters cost half as much by.
func (n *Node) withPing(l *link, due time.Time) time.Time {
	if at := n.pingDue(l); l.canSend() && at.After(due) && at.Sub(due) < n.cfg.Timing.PingPeriod/2 {
		return at
	}
	return due
}

// ping sends a PING. (sentinelSendPing)
func (n *Node) ping(l *link) {
	n.send(l.main(), false, RequestPing, n.words(l.main(), "PING"))
	l.lastPing = n.now
	if l.waiting.IsZero() {
		l.waiting = n.now
		return
	}
	for _, w := range l.owners { // an older one is unanswered: they may be down soon
		n.touch(w)
	}
}

// idleAt is when a connection is to be given up if nothing comes.
func (n *Node) idleAt(c *conn) time.Time {
	t := &n.cfg.Timing
	oldEnough := c.since.Add(t.MinLinkReconnectPeriod)
	switch {
	case !c.up:
		return oldEnough
	case c.pubsub:
		return latest(oldEnough, c.heard.Add(3*t.PublishPeriod))
	case c.link.waiting.IsZero():
		return time.Time{}
	}
	half := c.link.main().of().options.DownAfter / 2
	return latest(oldEnough, c.link.waiting.Add(half), c.link.lastPong.Add(half))
}

// closeIdle gives up connections that look as if they stood, and do not.
func (n *Node) closeIdle(l *link) {
	for _, c := range []*conn{l.cmd, l.pub} {
		if c == nil {
			continue
		}
		if at := n.idleAt(c); !at.IsZero() && !at.After(n.now) {
			n.close(c)
		}
	}
}

// redialPeriod is how much time there is between two calls.
func (n *Node) redialPeriod(l *link) time.Duration {
	if l.redials > 0 {
		return min(redialPause, n.cfg.Timing.PingPeriod)
	}
	return n.cfg.Timing.PingPeriod
}

// dial asks for the connections that are missing, at most once in a redial period.
func (n *Node) dial(l *link) {
	if !l.missing() {
		return
	}
	if !l.dialled.IsZero() && n.since(l.dialled) < n.redialPeriod(l) {
		return
	}
	l.dialled = n.now
	l.redials = max(l.redials-1, 0)
	if l.cmd == nil {
		l.cmd = n.connect(l, false)
	}
	if l.wantsPubSub() && l.pub == nil {
		l.pub = n.connect(l, true)
	}
}

func (n *Node) connect(l *link, pubsub bool) *conn {
	n.lastLink++
	c := &conn{id: n.lastLink, link: l, pubsub: pubsub, since: n.now}
	n.conns[c.id] = c
	w := l.main()
	setup := n.auth(w)
	kind := "cmd"
	if pubsub {
		kind = "pubsub"
	}
	setup = append(setup, n.words(w, "CLIENT", "SETNAME", "sentinel-"+n.myID[:8]+"-"+kind))
	if pubsub {
		setup = append(setup, n.words(w, "SUBSCRIBE", HelloChannel))
	}
	n.fx.Connect = append(n.fx.Connect, Connect{Link: c.id, Addr: w.inst().addr, PubSub: pubsub, Setup: setup})
	return c
}

// auth is the AUTH command for an instance, if it needs one.
// (sentinelSendAuthIfNeeded)
func (n *Node) auth(w watched) [][]string {
	user, pass := w.of().options.AuthUser, w.of().options.AuthPass
	if w.inst().role == RoleSentinel {
		user, pass = n.cfg.SentinelUser, n.cfg.SentinelPass
		if pass == "" {
			user, pass = "", n.cfg.RequirePass
		}
	}
	switch {
	case pass == "":
		return nil
	case user == "":
		return [][]string{n.words(w, "AUTH", pass)}
	}
	return [][]string{n.words(w, "AUTH", user, pass)}
}

// words is a command with the name that it has at the instance. Sentinels are
// not subject to rename-command of a master.
func (n *Node) words(w watched, name string, args ...string) []string {
	if w.inst().role != RoleSentinel {
		for _, r := range w.of().options.RenamedCommands {
			if strings.EqualFold(r.From, name) {
				name = r.To
			}
		}
	}
	return append([]string{name}, args...)
}

// send sends commands to an instance whose link can send. A promise waits for
// the disk.
func (n *Node) send(w watched, promise bool, kind RequestKind, commands ...[]string) {
	l := w.inst().link
	n.lastRequest++
	l.pending[n.lastRequest] = pending{kind: kind, owner: w, commands: len(commands), about: w.of().addr}
	l.commands += len(commands)
	req := Request{Link: l.cmd.id, ID: n.lastRequest, Kind: kind, Commands: commands}
	if promise {
		n.fx.SendAfterPersist = append(n.fx.SendAfterPersist, req)
	} else {
		n.fx.Send = append(n.fx.Send, req)
	}
}

// awaits reports whether a request of this kind is not answered yet.
func (l *link) awaits(kind RequestKind) bool {
	for _, p := range l.pending {
		if p.kind == kind {
			return true
		}
	}
	return false
}

func (n *Node) linkUp(ev LinkUp) {
	c := n.conns[ev.Link]
	if c == nil || c.up {
		return
	}
	c.up, c.since, c.heard = true, n.now, n.now
	l := c.link
	if !c.pubsub {
		l.localIP, l.refused = ev.LocalIP, false
		n.ping(l)
		for _, w := range l.owners {
			w.inst().info.hurry = true // it may be another process by now
		}
	}
	n.touchLink(l)
}

func (n *Node) linkDown(ev LinkDown) {
	c := n.conns[ev.Link]
	if c == nil {
		return
	}
	if !c.pubsub {
		c.link.refused = ev.Refused
	}
	n.hurryRedial(c)
	if ev.Reason != "" {
		kind := "-cmd-link-reconnection"
		if c.pubsub {
			kind = "-pubsub-link-reconnection"
		}
		n.notify(LevelDebug, kind, c.link.main(), " #%s", ev.Reason)
	}
	n.forgetConn(c)
	n.touchLink(c.link)
}

// hurryRedial has the link of a connection that is lost dialled quickly for a while, if
// that may show that the instance is gone. A connection that did not last for a ping
// period changes nothing: what takes connections only to end them is not called for ever.
func (n *Node) hurryRedial(c *conn) {
	l := c.link
	switch {
	case l.refused:
		l.redials = 0
	case c.up && n.since(c.since) >= n.cfg.Timing.PingPeriod && slices.ContainsFunc(l.owners, wantsFastDown):
		l.redials = quickRedials
	}
}

func wantsFastDown(w watched) bool { return w.of().options.FastDown }

// touchLink has a link and all that use it looked at.
func (n *Node) touchLink(l *link) {
	n.touch(l)
	for _, w := range l.owners {
		n.touch(w)
	}
}

// hangUp closes the connections of a link.
func (n *Node) hangUp(l *link) {
	for _, c := range []*conn{l.cmd, l.pub} {
		if c != nil {
			n.close(c)
		}
	}
}

func (n *Node) close(c *conn) {
	n.fx.Close = append(n.fx.Close, c.id)
	n.forgetConn(c)
}

// forgetConn is the end of a connection. What was asked on it is not answered.
func (n *Node) forgetConn(c *conn) {
	delete(n.conns, c.id)
	l := c.link
	if c.pubsub {
		l.pub = nil
		return
	}
	l.cmd = nil
	for _, p := range l.pending {
		p.settle()
	}
	clear(l.pending)
	l.commands = 0
}

// settle notes that a request is not on its way any more.
func (p pending) settle() {
	if p.owner == nil {
		return
	}
	switch i := p.owner.inst(); p.kind {
	case RequestInfo:
		i.info.pending = false
	case RequestHello:
		i.saidHello = false
	case RequestDownOpinion:
		p.owner.(*peer).asking = false
	}
}

func (n *Node) replied(ev Replied) {
	c := n.conns[ev.Link]
	if c == nil {
		return
	}
	l := c.link
	p, ok := l.pending[ev.ID]
	if !ok || c.pubsub {
		return
	}
	delete(l.pending, ev.ID)
	l.commands -= p.commands
	p.settle()
	if p.kind == RequestPing {
		n.pong(l, ev.Reply)
		return
	}
	if p.owner == nil {
		return
	}
	n.touch(p.owner)
	switch p.kind {
	case RequestInfo:
		n.infoReply(p.owner, ev.Reply)
	case RequestHello:
		if ev.Reply.Kind != ReplyError {
			p.owner.inst().helloSent = n.now
		}
	case RequestDownOpinion:
		n.opinion(p.owner.(*peer), p.about, ev.Reply)
	case RequestReplicaOf:
		p.owner.inst().info.hurry = true // see whether it has another role now
	case RequestSettleRole:
		n.settled(p.owner)
	case RequestUnpause:
		if f := &p.owner.of().failover; f.coordinated && f.state >= stateReconfReplicas {
			n.settleRole(p.owner)
		}
	case RequestHandOver:
		n.handOverReply(p.owner.of(), ev.Reply)
	}
}

// pong takes a reply to PING. (sentinelPingReplyCallback)
func (n *Node) pong(l *link, r Reply) {
	l.lastPong = n.now
	n.touch(l)
	if r.Kind != ReplyStatus && r.Kind != ReplyError {
		return
	}
	alive := false
	for _, good := range []string{"PONG", "LOADING", "MASTERDOWN"} {
		alive = alive || strings.HasPrefix(r.Text, good)
	}
	for _, w := range l.owners {
		if w.inst().sdown {
			n.touch(w)
		}
		switch {
		case !alive:
			n.killScript(w, r.Text)
		case strings.HasPrefix(r.Text, "PONG"):
			if m, ok := w.(*master); ok {
				m.rebooted = false
			}
		}
	}
	if alive {
		l.lastAvail, l.waiting = n.now, time.Time{}
	}
}

// killScript frees an instance that is down because of a script, once.
func (n *Node) killScript(w watched, text string) {
	i := w.inst()
	if !strings.HasPrefix(text, "BUSY") || !i.sdown || i.scriptKillSent || !i.link.canSend() {
		return
	}
	n.send(w, false, RequestScriptKill, n.words(w, "SCRIPT", "KILL"))
	i.scriptKillSent = true
}
