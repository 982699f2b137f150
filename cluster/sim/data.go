package sim

import (
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/cluster/release"
	"redoubt/replication"
)

// replicationPeriod is how often a primary writes and a replica looks at its
// link.
const replicationPeriod = 100 * time.Millisecond

// write is what a primary wrote at one moment, and all that was before. Two
// members have the same data up to the last write that both have.
//
// The first is empty: it only tells the data of one member from another's.
type write struct {
	before *write // nil for the first
	end    int64  // replication offset
	by     int    // the member that wrote it
	root   *write // the first of all
}

// has reports whether w is u or comes after it.
func (w *write) has(u *write) bool {
	for w != nil && u != nil && w.end > u.end {
		w = w.before
	}
	return w == u
}

// fork is the last write that w and u have in common; nil if there is none.
func fork(w, u *write) *write {
	for w != u {
		switch {
		case w == nil || u == nil:
			return nil
		case w.end >= u.end:
			w = w.before
		default:
			u = u.before
		}
	}
	return w
}

// data are the keys of a member, as its journal has them, and its replication.
// What they are worth the server decides with a replication.Standing, and so
// does the member.
type data struct {
	head     *write // nil: none that anything could be added to
	standing replication.Standing
	saved    replication.Fitness // on disk
	link     replicationLink
	paused   time.Time                         // no writes until then
	changes  []*release.Entry[cluster.Effects] // roles that wait for a snapshot to be loaded
	journal  journal
	unacked  []*write // what a primary has written and not acknowledged yet, oldest first
}

// replicationLink is a replica's connection to its primary.
type replicationLink struct {
	primary *Member // nil: there is none
	life    int     // of the primary
	inStep  bool
	// A full resync: the snapshot, and when it has arrived and is loaded.
	snapshot *write
	arrives  time.Time
	loaded   time.Time
}

// start is a restart: the data are there again (from the journal), the link to
// the primary is not, and the role is told.
func (d *data) start(now time.Time) {
	*d = data{head: d.head, saved: d.saved, journal: d.journal}
	d.standing.Restore(d.saved, now)
}

// offset is the end of the replication stream.
func (d *data) offset() int64 {
	if d.head == nil {
		return 0
	}
	return d.head.end
}

// primary is whom the member replicates; empty for a primary.
func (d *data) primary() bus.NodeID { return bus.NodeID(d.standing.Source().Primary) }

// changeRole takes a role, as the server's replicator does.
func (m *Member) changeRole(r *cluster.RoleChange) {
	d := &m.data
	d.link, d.unacked = replicationLink{}, nil
	if !r.Replica {
		d.standing.Promote()
		d.saved = replication.Fitness{}
	} else {
		m.returned = true // whoever is elected later is judged as a winner
		if !d.standing.Replica() {
			m.world.judgeHandover(m, r.Primary)
			m.world.yield(m, r.Primary)
		}
		d.standing.Follow(replication.Source{Primary: string(r.Primary), Shard: r.Shard})
	}
	if r.Flush {
		d.forget()
	}
	if !r.Replica && d.head == nil {
		d.head = begin(m.Index)
	}
}

// forget leaves the member without keys.
func (d *data) forget() {
	d.head, d.journal = nil, journal{}
	d.standing.Forget()
	d.saved = replication.Fitness{}
}

// lose takes the last writes away.
func (d *data) lose(writes int) {
	for ; writes > 0 && d.head.before != nil; writes-- {
		d.head = d.head.before
	}
}

// saveFitness puts on disk what the data are worth, as seldom as the server
// does.
func (d *data) saveFitness(period time.Duration) {
	f := d.standing.Fitness()
	same := f.Primary == d.saved.Primary && f.Shard == d.saved.Shard
	if !same || f.Contact.Sub(d.saved.Contact) > period {
		d.saved = f
	}
}

// pauseWrites stops the writes and says where they stand, as the server does
// once its executors have drained.
func (m *Member) pauseWrites(until time.Time) {
	m.data.paused, m.pausedAt = until, m.world.Now()
	if until.IsZero() {
		return
	}
	m.Later(m.world.Between(0, 2*time.Millisecond), func() {
		m.step(cluster.Paused{Offset: m.data.offset()})
	})
}

// replicate moves the data: a primary's by the writes of clients, a replica's
// after its primary's, with some lag.
func (m *Member) replicate() {
	m.Later(replicationPeriod, func() {
		d := &m.data
		if d.standing.Replica() {
			m.tendLink()
			d.saveFitness(cluster.DefaultSettings().ReplPingPeriod)
		} else if !d.paused.After(m.world.Now()) && m.serves() {
			m.world.judgeReturn(m)
			m.write()
		}
		m.sync()
		if m.world.opt.AckAll {
			m.world.settleAcks(m)
		}
		m.tellFacts()
		m.replicate()
	})
}

// serves reports whether clients can write here.
func (m *Member) serves() bool {
	s := m.node.Serving()
	return s.OK && !s.Replica && s.Slots != nil
}

func (m *Member) write() {
	d := &m.data
	d.head = &write{before: d.head, end: d.offset() + 100 + m.world.Rand.Int64N(100), by: m.Index, root: d.head.root}
	if m.world.opt.AckAll && m.shard != nil {
		d.unacked = append(d.unacked, d.head)
	} else {
		m.world.acknowledge(d.head)
	}
}

// begin is the first write of a history.
func begin(by int) *write {
	x := &write{by: by}
	x.root = x
	return x
}

// tendLink is a moment of a replica's link.
func (m *Member) tendLink() {
	d, l, now := &m.data, &m.data.link, m.world.Now()
	if d.standing.Loading() {
		if !l.loaded.After(now) {
			m.load()
		}
		return
	}
	p := m.world.member(d.primary())
	if p == nil || !m.linkedTo(p) {
		*l = replicationLink{}
		return
	}
	switch {
	case l.primary != p || l.life != p.Life():
		m.synchronize(p)
	case l.inStep:
		d.standing.Hear(now)
		m.copyFrom(p)
	case !l.arrives.After(now):
		d.standing.Load()
		l.loaded = now.Add(m.world.Between(0, 4*m.world.opt.NodeTimeout))
	}
}

// linkedTo reports whether the stream of p flows to m.
func (m *Member) linkedTo(p *Member) bool {
	w := m.world
	return !m.detached && !p.Frozen() && !p.data.standing.Replica() && w.Net.Open(p.Host, m.Host) && w.Net.Open(m.Host, p.Host) && !w.Net.Refused(m.Host, p.Host)
}

// synchronize is PSYNC: the primary lets the replica go on, or begins to send a
// snapshot.
func (m *Member) synchronize(p *Member) {
	d, w := &m.data, m.world
	d.link = replicationLink{primary: p, life: p.Life()}
	if d.head != nil && p.data.head.has(d.head) {
		d.link.inStep = true
		d.standing.Sync(w.Now())
		return
	}
	if d.head != nil && !p.View().Settled {
		if d.head.has(p.data.head) {
			p.outrun = d.offset()
		}
		d.link = replicationLink{} // it is told to ask again
		return
	}
	d.link.snapshot = p.data.head
	d.link.arrives = w.Now().Add(w.Between(0, 4*w.opt.NodeTimeout))
	w.spring(p)
}

// load ends the loading of a snapshot, which seldom fails, and lets the roles
// change that have waited for that.
func (m *Member) load() {
	d, w := &m.data, m.world
	if w.Percent(5) {
		w.Log(m.Host, "the snapshot cannot be loaded")
		d.forget()
		d.link = replicationLink{}
	} else {
		d.head, d.saved = d.link.snapshot, replication.Fitness{}
		d.standing.Sync(w.Now())
		d.link.inStep = true
	}
	m.changeRoles()
}

// copyFrom brings what the primary has written, most of the time not quite all.
// One that pauses lets its replica catch up, by and by.
func (m *Member) copyFrom(p *Member) {
	w := m.world
	from := p.data.head
	if !p.data.paused.After(w.Now()) || w.Percent(50) {
		for behind := w.Rand.IntN(3); behind > 0 && from.before != nil; behind-- {
			from = from.before
		}
	}
	if from.end > m.data.offset() {
		m.data.head = from
	}
}
