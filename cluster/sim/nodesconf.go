package sim

import (
	"redoubt/bus"
	"redoubt/cluster"
)

// nodesConf is what the disk of a member holds safely.
type nodesConf struct {
	saved   *cluster.State
	whole   []byte   // nodes.conf, and behind it
	changes [][]byte // what has changed since; together they say saved

	// The epochs in saved: the current one, that of the last vote, and the
	// node's own config epoch.
	current, lastVote, own bus.Epoch
}

// settleAt is how many changes are kept beside nodes.conf. A real log takes more;
// here a restart reads about as often a long log as a short one.
const settleAt = 64

// keep makes s the safe state, as the server does: as a change, or as a whole
// nodes.conf.
func (d *nodesConf) keep(s *cluster.State) {
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
func (d *nodesConf) load() (*cluster.State, error) {
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
