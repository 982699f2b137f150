package sim

import (
	"time"

	"redoubt/bus"
	"redoubt/cluster"
)

// fsyncMin is how long a disk write takes at least.
const fsyncMin = 100 * time.Microsecond

// disk holds the nodes.conf of a member. One write is in progress at a time;
// of those that wait only the newest is written.
type disk struct {
	saved   *cluster.State // safe
	whole   []byte         // nodes.conf, and behind it
	changes [][]byte       // what has changed since; together they say saved
	writing *cluster.State
	next    *cluster.State

	// The epochs in saved: the current one, that of the last vote, and the
	// node's own config epoch.
	current, lastVote, own bus.Epoch
}

// settleAt is how many changes are kept beside nodes.conf. A real log takes more;
// here a restart reads about as often a long log as a short one.
const settleAt = 64

// keep makes s the safe state, as the server does: as a change, or as a whole
// nodes.conf.
func (d *disk) keep(s *cluster.State) {
	if d.saved == nil || len(d.changes) == settleAt {
		d.whole, d.changes = s.Append(nil), nil
	} else {
		d.changes = append(d.changes, s.AppendChanges(nil, d.saved))
	}
	d.saved, d.current, d.lastVote = s, s.CurrentEpoch, s.LastVoteEpoch
	for i := range s.Nodes {
		if s.Nodes[i].Flags.Has(bus.FlagMyself) {
			d.own = s.Nodes[i].ConfigEpoch
		}
	}
}

// load reads what is safe, through the text that a real disk would hold.
func (d *disk) load() (*cluster.State, error) {
	if d.saved == nil {
		return nil, nil
	}
	s, err := cluster.ParseState(d.whole, false)
	for _, change := range d.changes {
		if err == nil {
			err = s.Change(change)
		}
	}
	return s, err
}

// crash loses what is not safe. The write in progress may just have made it.
func (d *disk) crash(w *World) {
	if d.writing != nil && w.rand.IntN(2) == 0 {
		d.keep(d.writing)
	}
	d.writing, d.next = nil, nil
}

// save begins to write s, or queues it.
func (m *Member) save(s *cluster.State) {
	if m.disk.writing != nil {
		m.disk.next = s
		return
	}
	m.disk.writing = s
	m.later(m.world.between(fsyncMin, m.world.opt.FsyncMax), func() {
		m.disk.keep(m.disk.writing)
		m.disk.writing = nil
		version := m.disk.saved.Version
		if next := m.disk.next; next != nil {
			m.disk.next = nil
			m.save(next)
		}
		m.saved(version)
	})
}
