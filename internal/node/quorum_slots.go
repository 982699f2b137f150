package node

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"redoubt/cluster"
	"redoubt/replication/raftgroup"
)

// What a quorum shard owns: its founding by a node's first slots, and agreements on changes.

// founds reports whether a node has, or is to have, slots of a shard of its own.
func founds(v *cluster.View) bool {
	me := v.Me()
	return !v.IsReplica() && (me.Slots != nil && !me.Slots.Empty() || len(me.Importing) > 0)
}

// foundingMost is how long Founded waits.
const foundingMost = 5 * time.Second

// Founded implements driver.Quorum.
func (q *quorum) Founded() {
	for began := time.Now(); time.Since(began) < foundingMost && !q.n.commits.leads.Load() && founds(q.n.cluster.View()); {
		p := q.part.Load()
		if p == nil {
			return
		}
		known := q.n.cluster.View().Group != ""
		if voters, _ := p.Voters(); len(voters) > 1 || len(voters) == 0 && known && !q.founding.Load() {
			return // it waits for others
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-q.n.replicator.ctx.Done():
			return
		}
	}
}

// Owns implements raftgroup.Node.
func (q *quorum) Owns(e raftgroup.Owned) {
	o, err := cluster.ParseOwnership(e.What)
	if err != nil {
		q.n.log.Error("What the shard has agreed on cannot be read", zap.Error(err))
		return
	}
	q.n.cluster.Own(o, e.Epoch)
}

// Agree implements driver.Quorum.
func (q *quorum) Agree(a *cluster.Agreement) error {
	g := q.part.Load()
	if g == nil {
		return errNoAgreement
	}
	switch err := g.Agree(uint64(a.Under), a.Ownership.Append(nil), a.Epoch); {
	case errors.Is(err, raftgroup.ErrNotLeader):
		return errNoAgreement
	case err != nil:
		q.n.log.Warn("It is not known whether the shard has agreed on its slots", zap.Error(err))
		return errMayAgree
	}
	return nil
}

const (
	errNoAgreement cluster.CommandError = "CLUSTERDOWN The shard has not agreed on that, and nothing has changed"
	errMayAgree    cluster.CommandError = "UNCERTAIN The shard may have agreed on that, or not. Look at CLUSTER SLOTS before you repeat it"
)
