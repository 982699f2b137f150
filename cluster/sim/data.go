package sim

import (
	"time"

	"redoubt/bus"
	"redoubt/cluster"
)

// replicationPeriod is how often offsets move.
const replicationPeriod = 100 * time.Millisecond

// data stands for the keys of a member: all that matters of them here is how
// far their replication stream has come.
type data struct {
	primary bus.NodeID // empty: a primary
	offset  int64
	contact time.Time // with the primary, after a full copy
	paused  time.Time // no writes until then
}

// start is a restart: the data are there again (from the journal), the link to
// the primary is not.
func (d *data) start(fresh bool) {
	offset := d.offset
	if fresh {
		offset = 0
	}
	*d = data{offset: offset}
}

func (m *Member) changeRole(r *cluster.RoleChange) {
	if r.Flush {
		m.data.offset = 0
	}
	if r.Replica && r.Primary != m.data.primary {
		m.data.contact = time.Time{} // no data of that primary yet
	}
	m.data.primary = r.Primary
}

// pauseWrites stops the writes and says where they stand, as the server does
// once its executors have drained.
func (m *Member) pauseWrites(until time.Time) {
	m.data.paused = until
	if until.IsZero() {
		return
	}
	m.later(m.world.between(0, 2*time.Millisecond), func() {
		m.step(cluster.Paused{Offset: m.data.offset})
	})
}

// replicate moves the offset: a primary's by the writes of clients, a
// replica's after its primary's, with some lag.
func (m *Member) replicate() {
	m.later(replicationPeriod, func() {
		if m.data.primary == "" {
			m.write()
		} else if p := m.world.member(m.data.primary); p != nil {
			m.copyFrom(p)
		}
		m.tellFacts()
		m.replicate()
	})
}

func (m *Member) write() {
	if !m.data.paused.After(m.world.now) {
		m.data.offset += 100 + m.world.rand.Int64N(100)
	}
}

// copyFrom is a moment of replication. What a primary has written is not
// always here at once, but a primary that pauses lets its replica catch up.
func (m *Member) copyFrom(p *Member) {
	w := m.world
	if m.detached || p.frozen.After(w.now) || p.data.primary != "" || !w.net.open(p, m) || !w.net.open(m, p) {
		return
	}
	m.data.contact = w.now
	pausing := p.data.paused.After(w.now)
	switch behind := w.rand.Int64N(300); {
	case pausing || behind >= 100:
		m.data.offset = p.data.offset
	default:
		m.data.offset = max(m.data.offset, p.data.offset-behind)
	}
}
