package sim

import (
	"bytes"
	"math/rand/v2"

	"redoubt/bus"
	"redoubt/cluster"
)

// nodesConf is what the disk of a member holds safely: nodes.conf and the log of
// changes beside it, as the server writes them.
type nodesConf struct {
	saved *cluster.State
	file  []byte
	log   []byte // continues the file; together they say saved
	id    uint64 // of the log
	count uint64 // of its changes

	// The epochs in saved: the current one, that of the last vote, and the
	// node's own config epoch.
	current, lastVote, own bus.Epoch
}

// settleAt is how many changes are kept beside nodes.conf. A real log takes more;
// here a restart reads about as often a long log as a short one.
const settleAt = 64

// settles reports whether the next state is written as a whole nodes.conf.
func (d *nodesConf) settles() bool { return d.saved == nil || d.count == settleAt }

// keep makes s the safe state, as the server does: as a change, or as a whole
// nodes.conf.
func (d *nodesConf) keep(s *cluster.State) {
	if d.settles() {
		d.settle(s)
	} else {
		d.log = append(d.log, d.frame(s)...)
		d.count++
	}
	d.saved, d.current, d.lastVote = s, s.CurrentEpoch, s.LastVoteEpoch
	for i := range s.Nodes {
		if s.Nodes[i].Flags.Has(bus.FlagMyself) {
			d.own = s.Nodes[i].ConfigEpoch
		}
	}
}

// settle writes nodes.conf, which another log is to continue.
func (d *nodesConf) settle(s *cluster.State) {
	d.id++
	named := *s
	named.LogID = d.id
	d.file, d.log, d.count = named.Append(nil), cluster.LogTitle(d.id), 0
}

// frame is what makes s of the state that is saved.
func (d *nodesConf) frame(s *cluster.State) []byte {
	return cluster.LogFrame(d.id, d.count+1, s.AppendChanges(nil, d.saved))
}

// tear is a power cut while s is written: the disk has any part of it. A nodes.conf
// that is written whole gets its name when it is complete, so there is nothing of it. It
// reports whether anything is left.
func (d *nodesConf) tear(s *cluster.State, r *rand.Rand) bool {
	if d.settles() {
		return false
	}
	frame := d.frame(s)
	part := bytes.Clone(frame[:1+r.IntN(len(frame)-1)])
	if r.IntN(2) == 0 { // blocks may get to the disk in any order
		clear(part[:r.IntN(len(part))])
	}
	d.log = append(d.log, part...)
	return true
}

// load reads what is safe, through the text that a real disk would hold. As the
// server does, it puts what it finds in the log into nodes.conf.
func (d *nodesConf) load() (*cluster.State, error) {
	if d.saved == nil {
		return nil, nil
	}
	s, err := cluster.ParseState(d.file, false)
	if err != nil {
		return nil, err
	}
	changes, torn, err := cluster.ParseLog(d.log, s.LogID, s.Change)
	if err == nil && (changes > 0 || torn) {
		d.settle(s)
	}
	return s, err
}
