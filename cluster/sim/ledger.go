package sim

import (
	"slices"

	"redoubt/bus"
)

// ledger are the writes that clients were told are done. Each is found in the end
// with its shard, or there is a reason why it was lost:
//
//   - a replica was elected that did not have it. The primary had acknowledged it
//     after the last byte that the replica got.
//   - a power cut took it from the only member that had it.
//   - nobody who had it could be heard of when its primary, after a power cut,
//     went back to its office without it.
//   - an administrator forced a failover.
//   - two primaries took writes of its slot at the same time, since an administrator
//     forced a failover, and for no longer than the law of writers allows.
//
// If primaries acknowledge only what all of their shard have (Options.AckAll),
// only force may lose any.
type ledger struct {
	open []*write // acknowledged, and not lost
	lost [lossKinds]int
}

// loss is why a write may be lost.
type loss int

const (
	lostByElection loss = iota
	lostByPowerCut
	lostByReturn
	lostByForce
	lostBySplit
	lossKinds
)

// String is the reason in words.
func (l loss) String() string {
	return [...]string{"an election", "a power cut", "the return of its primary", "force", "a split"}[l]
}

// first is the beginning of the history that w belongs to; nil for no data.
func (w *write) first() *write {
	if w == nil {
		return nil
	}
	return w.root
}

// chain is w and all that was before.
func (w *write) chain() chain {
	all := make(chain)
	all.add(w)
	return all
}

// chain is a set of writes, each with all that were before it.
type chain map[*write]bool

func (c chain) add(w *write) {
	for ; w != nil && !c[w]; w = w.before {
		c[w] = true
	}
}

func (c chain) has(w *write) bool { return c[w] }

// acknowledge tells a client that a write is done.
func (w *World) acknowledge(x *write) { w.law.ledger.open = append(w.law.ledger.open, x) }

// lose takes writes off the ledger: those of a history, given by its beginning,
// that are not in kept.
func (w *World) lose(root *write, kept func(*write) bool, why loss) {
	l := &w.law.ledger
	l.open = slices.DeleteFunc(l.open, func(x *write) bool {
		if x.root != root || kept(x) {
			return false
		}
		l.lost[why]++
		if w.opt.AckAll && why != lostByForce {
			w.Break("a write of member %d at offset %d is lost by %v, although all of its shard had it when it was acknowledged", x.by, x.end, why)
		}
		return true
	})
}

// succeed notes what is lost as m takes the place of another primary.
func (w *World) succeed(m, old *Member) {
	if old == nil || m.relieves.from == old && m.relieves.life == old.Life() {
		return // it has agreed, and loses nothing (judgeHandover)
	}
	why := lostByElection
	if m.imposed {
		why = lostByForce
	}
	w.lose(old.data.head.first(), m.data.head.chain().has, why)
}

// yield notes what is lost as m follows a successor that has not been elected, or
// was when m went on.
func (w *World) yield(m *Member, successor bus.NodeID) {
	s := w.member(successor)
	switch {
	case s == nil:
	case s.imposed || w.law.upset || !w.leaseHolds():
		w.lose(m.data.head.first(), s.data.head.chain().has, lostByForce)
	case m.rival == s:
		w.lose(m.data.head.first(), s.data.head.chain().has, lostBySplit)
	}
}

// judgeLedger looks for every write at those who serve its shard in the end.
func (w *World) judgeLedger() {
	kept := make(chain)
	for _, m := range w.Members {
		if m.node != nil && !m.data.standing.Replica() {
			kept.add(m.data.head)
		}
	}
	for _, x := range w.law.ledger.open {
		if !kept[x] {
			w.Break("a write of member %d at offset %d was acknowledged, and is lost without a reason", x.by, x.end)
			return
		}
	}
}

// journal is what of a member's data survives what. A process that is killed
// leaves all of it behind, in a ring that the kernel keeps; a power cut leaves what
// was forced to disk.
type journal struct {
	synced *write // the last write on disk
	age    int    // periods since the last fsync
}

// syncPeriods is how many periods lie between two calls of fsync (appendfsync
// everysec), unless each write waits for one.
const syncPeriods = 10

// sync forces to disk what has been written, if it is time.
func (m *Member) sync() {
	d := &m.data
	d.journal.age++
	if m.world.opt.AckAll || d.journal.age >= syncPeriods || !d.head.has(d.journal.synced) {
		d.journal.synced, d.journal.age = d.head, 0
	}
}

// cutPower takes from m what is not on disk, and from the ledger what only m had
// of that.
func (w *World) cutPower(m *Member) {
	d := &m.data
	before, safe := d.head, d.journal.synced
	if before == nil || before == safe || !before.has(safe) {
		return
	}
	d.head = safe
	torn := before.chain()
	held := make(chain)
	for _, o := range w.Members {
		held.add(o.data.head)
	}
	w.lose(before.root, func(x *write) bool { return !torn[x] || held[x] }, lostByPowerCut)
}

// settleAcks acknowledges what clients of p wait for and all members of its shard
// have on their disks.
func (w *World) settleAcks(p *Member) {
	d := &p.data
	for len(d.unacked) > 0 {
		x := d.unacked[0]
		for _, m := range p.shard {
			if m != p && (m.node == nil || m.data.link.primary != p || !m.data.link.inStep) || !m.data.journal.synced.has(x) {
				return
			}
		}
		w.acknowledge(x)
		d.unacked = d.unacked[1:]
	}
}
