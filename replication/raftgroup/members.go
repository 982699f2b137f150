package raftgroup

import (
	"slices"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/zap"
)

// settle keeps the group's members those of the shard, while this node leads.
func (g *Group) settle() {
	tick := time.NewTicker(settlePeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if g.term.Load() != 0 {
				g.settleOnce()
			}
		case <-g.ctx.Done():
			return
		}
	}
}

// settleOnce makes one change of membership, if one is due: never two at once. A node
// that joins has no vote before it has about all of the stream, so that it does not
// count in a majority that it could not help.
func (g *Group) settleOnce() {
	f := g.raft.GetConfiguration()
	if f.Error() != nil {
		return
	}
	all, ready := g.cfg.Node.Members()
	what, id, change := nextChange(f.Configuration().Servers, g.self, all, ready, g.cfg.Node.Gone)
	if change == nil {
		return
	}
	if err := g.outcome(change(g.raft)); err != nil {
		g.log.Warn("The shard's group does not change", zap.String("change", what), zap.String("node", id), zap.Error(err))
		return
	}
	g.log.Info("The shard's group has changed: node " + id + " " + what)
}

// nextChange is the change of membership that is due first, nil if none is.
func nextChange(now []raft.Server, self string, all, ready []string, gone func(string) bool) (what, id string, change func(*raft.Raft) raft.Future) {
	suffrage := map[string]raft.ServerSuffrage{}
	for _, s := range now {
		id := string(s.ID)
		suffrage[id] = s.Suffrage
		if id != self && gone(id) && !slices.Contains(all, id) {
			return "has left it", id, func(r *raft.Raft) raft.Future { return r.RemoveServer(s.ID, 0, barrierTimeout) }
		}
	}
	for _, id := range all {
		old, member := suffrage[id]
		switch {
		case !member:
			return "is being added", id, func(r *raft.Raft) raft.Future {
				return r.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, barrierTimeout)
			}
		case old != raft.Voter && slices.Contains(ready, id):
			return "votes", id, func(r *raft.Raft) raft.Future {
				return r.AddVoter(raft.ServerID(id), raft.ServerAddress(id), 0, barrierTimeout)
			}
		}
	}
	return "", "", nil
}

// Voters are the ids of the members that have a vote, and all of them.
func (g *Group) Voters() (voters, all []string) {
	f := g.raft.GetConfiguration()
	if f.Error() != nil {
		return nil, nil
	}
	for _, s := range f.Configuration().Servers {
		all = append(all, string(s.ID))
		if s.Suffrage == raft.Voter {
			voters = append(voters, string(s.ID))
		}
	}
	return voters, all
}

// observe tells of members that cannot be reached, and of their return, once each.
func (g *Group) observe() {
	seen := make(chan raft.Observation, 64)
	o := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.FailedHeartbeatObservation, raft.ResumedHeartbeatObservation:
			return true
		}
		return false
	})
	g.raft.RegisterObserver(o)
	defer g.raft.DeregisterObserver(o)
	silent := map[raft.ServerID]bool{}
	for {
		select {
		case o := <-seen:
			switch d := o.Data.(type) {
			case raft.FailedHeartbeatObservation:
				if !silent[d.PeerID] {
					silent[d.PeerID] = true
					g.log.Warn("A member of the shard's group does not answer: node " + string(d.PeerID))
				}
			case raft.ResumedHeartbeatObservation:
				if silent[d.PeerID] {
					delete(silent, d.PeerID)
					g.log.Info("A member of the shard's group answers again: node " + string(d.PeerID))
				}
			}
		case <-g.ctx.Done():
			return
		}
	}
}
