package cluster

import (
	"testing"
	"time"

	"redoubt/bus"
)

func quorumLab(t *testing.T, me string) *lab {
	t.Helper()
	l := newWorkingLab(t, me)
	l.n.cfg.Quorum = true
	return l
}

// A replica that its shard has agreed on takes the slots with the epoch of the agreement,
// and serves at once, whatever the voters of the bus say.
func TestLeadMakesAReplicaThePrimary(t *testing.T) {
	l := quorumLab(t, "x")
	fx := l.step(Lead{Epoch: 40})
	if fx.Result == nil || fx.Result.Err != nil {
		t.Fatalf("%+v", fx.Result)
	}
	me := l.n.myself
	if !me.isPrimary() || me.slotCount == 0 || me.configEpoch != 40 || l.n.currentEpoch != 40 {
		t.Fatalf("primary %v, %d slots, epoch %d of %d", me.isPrimary(), me.slotCount, me.configEpoch, l.n.currentEpoch)
	}
	if fx.Role == nil || fx.Role.Replica || len(fx.SendAfterPersist) == 0 {
		t.Fatal("nobody is told")
	}
	l.pass(tickPeriod)
	if !l.n.View().OK {
		t.Error("it waits for the voters of the bus")
	}
	if r := l.step(Lead{Epoch: 40}).Result; r.Err == nil {
		t.Error("an epoch was taken twice")
	}
	if r := l.step(Lead{Epoch: 41}).Result; r.Err != nil || me.configEpoch != 41 {
		t.Error("a primary does not go on with a greater epoch", r.Err)
	}
}

// The epoch of a quorum shard is a matter of its agreement alone: nothing else moves it.
func TestNothingElseMovesTheEpochOfAQuorumShard(t *testing.T) {
	l := quorumLab(t, "a")
	before := l.n.myself.configEpoch
	l.peer("b").configEpoch = before
	fx := l.send(bus.TypePing, "b", func(m *bus.Message) { m.ConfigEpoch = before })
	if l.n.myself.configEpoch != before {
		t.Error("a collision has moved it")
	}
	if !fx.Reclaim {
		t.Error("nobody is asked for another")
	}
	if r := l.step(BumpEpoch{}); l.n.myself.configEpoch != before || !r.Reclaim {
		t.Error("CLUSTER BUMPEPOCH has moved it")
	}
}

func TestNoElectionsOnTheBusInAQuorumShard(t *testing.T) {
	l := quorumLab(t, "x")
	l.n.announce()
	if !l.n.myself.has(bus.FlagNoFailover) {
		t.Error("the others do not know")
	}
	for _, mode := range []FailoverMode{FailoverNormal, FailoverForce, FailoverTakeover} {
		if r := l.step(Failover{Mode: mode}).Result; r.Err == nil {
			t.Errorf("CLUSTER FAILOVER %d is accepted", mode)
		}
	}
	l.n.myself.primary.flags |= bus.FlagFail
	if l.n.mayStand() {
		t.Error("it stands in an election")
	}
}

// A replica of a quorum shard has a vote there, with which it does not go elsewhere by itself.
func TestNoMigrationOutOfAQuorumShard(t *testing.T) {
	for _, quorum := range []bool{false, true} {
		l := newWorkingLab(t, "y")
		l.n.cfg.Quorum, l.n.cfg.AllowReplicaMigration = quorum, true
		orphan := l.n.peers[id("c")]
		orphan.flags, orphan.orphanedSince = orphan.flags|bus.FlagMigrateTo, time.Time{}
		l.n.migrateReplica()
		if orphan.orphanedSince.IsZero() != quorum {
			t.Errorf("quorum %v: whether orphans are looked for is %v", quorum, !orphan.orphanedSince.IsZero())
		}
	}
}
