package sentinel

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// hello is what a Sentinel says of itself and of a master.
type hello struct {
	addr        Addr
	id          string
	epoch       uint64
	master      string
	masterAddr  Addr
	configEpoch uint64
}

// maxEpoch is the greatest epoch that is believed. On the wire some are signed,
// and one that could not be exceeded would be the last election.
const maxEpoch = 1 << 62

// String is the text of a hello.
func (h hello) String() string {
	return fmt.Sprintf("%s,%d,%s,%d,%s,%s,%d,%d", h.addr.Host, h.addr.Port, h.id, h.epoch,
		h.master, h.masterAddr.Host, h.masterAddr.Port, h.configEpoch)
}

// parseHello reads a hello. Whether its hosts may be addresses is not its
// business.
func parseHello(text string) (hello, bool) {
	f := strings.Split(text, ",")
	if len(f) != 8 || !validID(f[2]) {
		return hello{}, false
	}
	port, err1 := strconv.ParseUint(f[1], 10, 16)
	epoch, err2 := strconv.ParseUint(f[3], 10, 64)
	masterPort, err3 := strconv.ParseUint(f[6], 10, 16)
	configEpoch, err4 := strconv.ParseUint(f[7], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || port == 0 || masterPort == 0 {
		return hello{}, false
	}
	if epoch > maxEpoch || configEpoch > maxEpoch {
		return hello{}, false
	}
	return hello{
		addr:        Addr{Host: f[0], Port: uint16(port)},
		id:          f[2],
		epoch:       epoch,
		master:      f[4],
		masterAddr:  Addr{Host: f[5], Port: uint16(masterPort)},
		configEpoch: configEpoch,
	}, true
}

// helloDue is when the next hello is to be said. One to a Sentinel, which is told of
// all masters, comes with those of others; one to another instance goes with a PING.
func (n *Node) helloDue(i *instance) time.Time {
	t := &n.cfg.Timing
	due := latest(i.helloSent.Add(t.PublishPeriod), i.helloTried.Add(min(t.PublishPeriod, helloRetry)))
	switch {
	case i.helloSent.IsZero():
		return due // it is urgent
	case i.role == RoleSentinel:
		return n.begun.Add((due.Sub(n.begun) + bunch - 1).Truncate(bunch))
	}
	return n.withPing(i.link, due)
}

// bunch is by how much hellos to Sentinels are put off at most, to be sent together.
const bunch = 100 * time.Millisecond

// helloRetry is when a hello that was refused is said again.
const helloRetry = time.Second

// sayHello says a hello if it is due. It tells what is decided, so it waits for
// the disk. (sentinelSendHello)
func (n *Node) sayHello(w watched) {
	i, m := w.inst(), w.of()
	if i.saidHello || paused(w) || i.link.crowded() || !i.link.connected() || n.helloDue(i).After(n.now) {
		return
	}
	h := hello{
		addr:        n.ownAddr(i.link),
		id:          n.myID,
		epoch:       n.currentEpoch,
		master:      m.name,
		masterAddr:  n.announced(m.current()),
		configEpoch: m.configEpoch,
	}
	i.helloTried = n.now
	if h.addr.Host == "" {
		return
	}
	i.saidHello = true
	n.send(w, true, RequestHello, n.words(w, "PUBLISH", HelloChannel, h.String()))
}

// ownAddr is where others reach this Sentinel.
func (n *Node) ownAddr(l *link) Addr {
	a := Addr{Host: n.cfg.AnnounceIP, Port: n.cfg.AnnouncePort}
	if a.Host == "" {
		a.Host = l.localIP
	}
	if a.Port == 0 {
		a.Port = n.cfg.Port
	}
	return a
}

// hurryHellos has all instances of a master told at once.
// (sentinelForceHelloUpdateForMaster)
func (n *Node) hurryHellos(m *master) {
	for _, w := range m.group() {
		w.inst().helloSent, w.inst().helloTried = time.Time{}, time.Time{}
		n.touch(w)
	}
}

// helloReceived takes a message of the channel of hellos.
func (n *Node) helloReceived(ev HelloReceived) {
	if ev.Link != 0 {
		c := n.conns[ev.Link]
		if c == nil {
			return
		}
		c.heard = n.now
	}
	h, ok := parseHello(ev.Payload)
	if !ok || h.id == n.myID {
		return
	}
	m := n.byName[h.master]
	if m == nil || !n.validHost(h.addr.Host) || !n.validHost(h.masterAddr.Host) {
		return
	}
	p := n.meet(m, &h)
	n.adoptEpoch(m, h.epoch)
	n.adoptConfig(m, p, &h)
	p.lastHello = n.now
}

// meet is the Sentinel that a hello is of. One that is new, or that has another
// address, is taken into the table. (sentinelProcessHelloMessage)
func (n *Node) meet(m *master, h *hello) *peer {
	p := m.peerByID(h.id)
	if p != nil && n.same(p.addr, h.addr) {
		return p
	}
	moved := p != nil
	if moved {
		n.notify(LevelNotice, "+sentinel-address-switch", m, " ip %s port %d for %s", h.addr.Host, h.addr.Port, h.id)
		n.moveSentinel(p, h.addr)
	} else {
		n.evict(m, h.addr)
		p = n.addPeer(m, h.id, h.addr)
		if p.link.main() != watched(p) && !n.same(p.link.main().inst().addr, h.addr) {
			n.moveSentinel(p, h.addr) // the other masters have the old address
		}
		n.notify(LevelNotice, "+sentinel", p, "")
	}
	n.save(m)
	return p
}

// moveSentinel gives a Sentinel its new address, with all masters that it
// watches. (sentinelUpdateSentinelAddressInAllMasters)
func (n *Node) moveSentinel(p *peer, addr Addr) {
	p.addr = addr
	others := 0
	for _, w := range p.link.owners {
		if o := w.(*peer); o != p {
			o.addr = addr
			n.save(o.master)
			others++
		}
	}
	n.hangUp(p.link)
	p.link.dialled = time.Time{}
	n.touch(p.link)
	if others > 0 {
		n.notify(LevelNotice, "+sentinel-address-update", p, " %d additional matching instances", others)
	}
}

// evict removes the Sentinel whose address another one has now, from all
// masters: two cannot have the same.
func (n *Node) evict(m *master, addr Addr) {
	for _, p := range m.peers {
		if !n.same(p.addr, addr) {
			continue
		}
		n.notify(LevelNotice, "+sentinel-invalid-addr", p, "")
		for _, w := range append([]watched(nil), p.link.owners...) {
			n.save(w.of())
			n.removePeer(w.(*peer))
		}
		return
	}
}

// adoptEpoch takes an epoch that is newer than ours. It is one for all masters.
func (n *Node) adoptEpoch(m *master, epoch uint64) {
	if epoch <= n.currentEpoch {
		return
	}
	n.currentEpoch = epoch
	n.save(nil)
	n.say(LevelWarning, "+new-epoch", m, strconv.FormatUint(epoch, 10))
}

// adoptConfig takes a newer configuration of a master.
func (n *Node) adoptConfig(m *master, from *peer, h *hello) {
	if h.configEpoch == m.configEpoch {
		n.resolveCollision(m, h)
	}
	if h.configEpoch <= m.configEpoch {
		return
	}
	m.configEpoch = h.configEpoch
	n.adoptEpoch(m, h.configEpoch)
	n.save(m)
	if n.same(m.current(), h.masterAddr) {
		n.abortOvertaken(m)
		return
	}
	old := m.addr
	n.notify(LevelWarning, "+config-update-from", from, "")
	n.switchMaster(m, h.masterAddr)
	n.reconfigureClients(m, "observer", old, m.addr)
}

// resolveCollision ends that there are two configurations of one epoch, which
// SENTINEL FAILOVER makes if it is given to two Sentinels at once, or while
// others hold an election: it needs no votes. The original would leave the
// Sentinels apart for ever. Those that have the greater address take a new
// epoch for it, and the others follow.
func (n *Node) resolveCollision(m *master, h *hello) {
	if h.configEpoch == 0 || m.failover.running() && m.failover.state < stateReconfReplicas {
		return
	}
	ours, theirs := n.ip(m.current().Host), n.ip(h.masterAddr.Host)
	if ours == "" || theirs == "" || n.same(m.current(), h.masterAddr) {
		return
	}
	if (Addr{ours, m.current().Port}).String() < (Addr{theirs, h.masterAddr.Port}).String() {
		return
	}
	n.log(LevelWarning, "Two configurations of %s have the epoch %d: %s takes a new one",
		m.name, m.configEpoch, m.current())
	n.adoptEpoch(m, n.currentEpoch+1)
	m.configEpoch = n.currentEpoch
	n.save(m)
	n.hurryHellos(m)
}
