package cluster

import (
	"strings"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
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

// The name of the group is saved, and goes when the node leaves its shard or is to be
// without it: before its role changes, and with what has taken it out of the shard.
func TestTheGroupIsLeftWithTheShard(t *testing.T) {
	name := strings.Repeat("5e", 20)
	join := func(t *testing.T, l *lab) {
		t.Helper()
		fx := l.step(JoinGroup{Name: name})
		if fx.Result.Err != nil || fx.Persist == nil || fx.Persist.Group != name || fx.LeaveGroup {
			t.Fatalf("%+v", fx)
		}
		s, err := ParseState(fx.Persist.Append(nil), false)
		if err != nil || s.Group != name || l.n.View().Group != name {
			t.Fatalf("%q is saved as %q, %v", name, s.Group, err)
		}
	}
	left := func(t *testing.T, fx Effects) {
		t.Helper()
		if !fx.LeaveGroup || !fx.Waits() || fx.Persist == nil || fx.Persist.Group != "" {
			t.Fatalf("left %v, state %+v", fx.LeaveGroup, fx.Persist)
		}
	}
	t.Run("reset", func(t *testing.T) {
		l := quorumLab(t, "x")
		join(t, l)
		left(t, l.step(Reset{}))
		if fx := l.step(Reset{}); fx.LeaveGroup {
			t.Error("a group was left twice")
		}
	})
	t.Run("another id", func(t *testing.T) {
		left(t, quorumLab(t, "x").step(Reset{Hard: true}))
	})
	t.Run("another shard", func(t *testing.T) {
		l := quorumLab(t, "x")
		join(t, l)
		left(t, l.step(Replicate{ID: l.peer("b").id}))
	})
	t.Run("the same shard", func(t *testing.T) {
		l := quorumLab(t, "x")
		join(t, l)
		if fx := l.step(Replicate{ID: l.peer("a").id}); fx.LeaveGroup {
			t.Error("the group was left")
		}
	})
	t.Run("without quorum", func(t *testing.T) {
		l := quorumLab(t, "x")
		join(t, l)
		s := l.step(SaveConfig{}).Persist
		n, err := New(l.now, Config{Settings: l.n.cfg, State: s, Rand: l.n.rand})
		if err != nil || n.group != name {
			t.Fatal(n, err)
		}
		settings := l.n.cfg
		settings.Quorum = false
		if n, err = New(l.now, Config{Settings: settings, State: s, Rand: l.n.rand}); err != nil || n.group != "" {
			t.Fatal(n.group, err)
		}
		if fx := n.Step(l.now, Tick{}); fx.Persist == nil || fx.Persist.Group != "" {
			t.Fatalf("%+v", fx.Persist)
		}
	})
	if l := quorumLab(t, "x"); l.step(JoinGroup{Name: "group"}).Result.Err == nil {
		t.Error("a group may have any name")
	}
}

// claim is a PONG of another primary that claims its slots and more, with an epoch.
func (l *lab) claim(from string, epoch bus.Epoch, more ...slots.Slot) Effects {
	return l.send(bus.TypePong, from, func(m *bus.Message) {
		m.ConfigEpoch, m.CurrentEpoch = epoch, max(m.CurrentEpoch, epoch)
		m.Slots = *l.peer(from).set()
		for _, s := range more {
			m.Slots.Add(s)
		}
	})
}

// The elected primary of a quorum shard does not lose a slot, and its keys, to another shard that
// has only a greater epoch: it may be that of a node that did not hear that the slot had gone.
func TestAnElectedPrimaryKeepsItsSlots(t *testing.T) {
	l := quorumLab(t, "a")
	l.step(Lead{Epoch: 40})
	fx := l.claim("b", 50, 0)
	if l.n.table.owner[0] != l.n.myself || fx.DropKeys != nil || !fx.Reclaim {
		t.Fatalf("owner %v, keys dropped: %v, reclaimed: %v", peerName(l.n.table.owner[0]), fx.DropKeys != nil, fx.Reclaim)
	}
	if fx := l.claim("b", 51, 0); fx.Reclaim {
		t.Error("two shards outbid each other as fast as they can")
	}
	l.pass(reclaimPause)
	if fx := l.claim("b", 52, 0); !fx.Reclaim {
		t.Error("the claim is not answered any more")
	}
	if r := l.step(SetSlot{Slot: 0, Action: SlotMigrating, ID: id("b")}).Result; r.Err != nil {
		t.Fatal(r.Err)
	}
	if l.claim("b", 53, 0); l.n.table.owner[0] != l.peer("b") {
		t.Error("the slot does not go where it was opened for")
	}
}

// Who is elected takes no slot that its primary had given away.
func TestTheElectedTakesWhatItsPrimaryStillClaims(t *testing.T) {
	l := quorumLab(t, "x")
	l.send(bus.TypePong, "a", func(m *bus.Message) { m.Slots = *l.peer("a").set(); m.Slots.Remove(0) })
	if r := l.step(Lead{Epoch: 40}).Result; r.Err != nil {
		t.Fatal(r.Err)
	}
	if me := l.n.myself; l.n.table.owner[0] == me || l.n.table.owner[1] != me {
		t.Errorf("slots 0 and 1 are of %s and %s", peerName(l.n.table.owner[0]), peerName(l.n.table.owner[1]))
	}
	if l.claim("b", 2, 0); l.n.table.owner[0] != l.peer("b") {
		t.Error("nobody can have the slot")
	}
}

// A slot that a quorum shard takes is shown to nobody before it is on disk.
func TestASlotThatAQuorumShardTakesIsOnDiskFirst(t *testing.T) {
	l := quorumLab(t, "b")
	l.step(Lead{Epoch: 40})
	l.pass(tickPeriod)
	l.peer("c").configEpoch = 50
	if r := l.step(SetSlot{Slot: 0, Action: SlotImporting, ID: id("a")}).Result; r.Err != nil {
		t.Fatal(r.Err)
	}
	l.persistent = false
	fx := l.step(SetSlot{Slot: 0, Action: SlotNode, ID: id("b")})
	if !fx.Reclaim || l.n.table.owner[0] != l.n.myself || !l.n.claimPending() {
		t.Fatalf("reclaimed %v, owner %s, pending %v", fx.Reclaim, peerName(l.n.table.owner[0]), l.n.claimPending())
	}
	for _, s := range fx.Send {
		if s.Msg.Slots.Has(0) {
			t.Error("it is told at once")
		}
	}
}
