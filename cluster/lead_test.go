package cluster

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// agree has the shard agree on what the last step has asked for, if it has, and returns the result
// of the command.
func (l *lab) agree(fx Effects) *Result {
	l.t.Helper()
	a := fx.Agree
	if a == nil {
		return fx.Result
	}
	own := Own{Ownership: a.Ownership}
	if a.Epoch {
		own.Epoch = l.n.maxEpoch() + 1
	}
	own = l.recoded(own)
	l.step(own)
	owned := l.last
	r := l.step(Agreed{Number: a.Number}).Result
	l.last = owned
	return r
}

// recoded is an Own as it comes from the log.
func (l *lab) recoded(own Own) Own {
	l.t.Helper()
	o, err := ParseOwnership(own.Ownership.Append(nil))
	if err != nil {
		l.t.Fatal(err)
	}
	own.Ownership = *o
	return own
}

// has reports whether the shard has agreed to have a slot.
func (l *lab) has(s slots.Slot) bool {
	o := l.n.ownership()
	return o.Slots.Has(s)
}

// lead makes the node the primary that its shard has elected.
func (l *lab) lead(epoch bus.Epoch) {
	l.t.Helper()
	if r := l.step(Lead{Epoch: epoch}).Result; r.Err != nil {
		l.t.Fatal(r.Err)
	}
	if r := l.agree(l.step(Found{})); r.Err != nil {
		l.t.Fatal(r.Err)
	}
}

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
	l.lead(40)
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
}

// A slot that is open for the shard that claims it is not claimed any more, and goes there for good
// when this shard has agreed on that, which takes that it has no keys any more.
func TestAnOpenSlotIsGivenUpByAgreement(t *testing.T) {
	l := quorumLab(t, "a")
	l.lead(40)
	if r := l.agree(l.step(SetSlot{Slot: 0, Action: SlotMigrating, ID: id("b")})); r.Err != nil {
		t.Fatal(r.Err)
	}
	fx := l.claim("b", 53, 0)
	if l.n.table.owner[0] != l.peer("b") || fx.Reclaim || fx.DropKeys != nil || len(fx.GiveUp) != 1 || fx.GiveUp[0].Slot != 0 {
		t.Fatalf("owner %s, %+v", peerName(l.n.table.owner[0]), fx)
	}
	set := fx.GiveUp[0]
	set.Keys = 1
	if r := l.step(set).Result; r.Err == nil || l.n.table.migrating[0] == nil {
		t.Errorf("a key is left behind: %v", r.Err)
	}
	if o := l.n.ownership(); !o.Slots.Has(0) || len(o.Migrating) != 1 {
		t.Error("the shard has given it away")
	}
	offered := false
	for range 2 * reclaimPause / tickPeriod {
		l.now = l.now.Add(tickPeriod)
		offered = offered || len(l.step(Tick{}).GiveUp) == 1
	}
	if !offered {
		t.Error("it is not looked at again")
	}
	set.Keys = 0
	if r := l.agree(l.step(set)); r.Err != nil || l.n.table.owner[0] != l.peer("b") || len(l.n.table.migrating) != 0 || !l.n.withheld.Empty() {
		t.Errorf("%v: the slot is of %s, %d are open", r.Err, peerName(l.n.table.owner[0]), len(l.n.table.migrating))
	}
	if o := l.n.ownership(); o.Slots.Has(0) {
		t.Error("the shard still has it")
	}
}

// Who is elected while another shard has taken an open slot, and this one has not agreed on that
// yet, does not claim it: the other might delete the keys that have gone there.
func TestTheElectedDoesNotClaimWhatHasGone(t *testing.T) {
	l := quorumLab(t, "x")
	l.claim("b", 53, 7)
	owned := Ownership{Slots: rangeSet(0, 5460), Migrating: []OpenSlot{{7, id("b")}, {8, id("b")}}}
	fx := l.step(Lead{Epoch: 60, Ownership: &owned})
	if l.n.table.owner[7] != l.peer("b") || l.n.table.owner[8] != l.n.myself || len(fx.GiveUp) != 1 || fx.GiveUp[0].Slot != 7 {
		t.Fatalf("slot 7 is of %s, slot 8 of %s, %v", peerName(l.n.table.owner[7]), peerName(l.n.table.owner[8]), fx.GiveUp)
	}
	// What is agreed on meanwhile does not forget it.
	if r := l.agree(l.step(SetSlot{Slot: 9, Action: SlotMigrating, ID: id("c")})); r.Err != nil || !l.has(7) {
		t.Error("the slot got lost", r.Err)
	}
	if r := l.agree(l.step(fx.GiveUp[0])); r.Err != nil || l.has(7) || l.n.table.owner[7] != l.peer("b") {
		t.Error("it is not given up", r.Err)
	}
}

// Whoever its shard has elected since is followed, whatever that primary claims: the shard may have
// given all of its slots away, or have had none.
func TestTheElectedIsFollowedWithoutSlots(t *testing.T) {
	for _, me := range []string{"a", "w"} {
		shards := threeShards()
		shards[0].replicas, shards[0].none = "wx", true
		l := newLab(t, me, shards)
		l.n.cfg.Quorum = true
		l.peer("w").shardID, l.peer("x").shardID = l.peer("a").shardID, l.peer("a").shardID
		l.step(JoinGroup{Name: strings.Repeat("5e", 20)})
		elected := func(epoch bus.Epoch) {
			l.send(bus.TypePong, "x", func(m *bus.Message) {
				m.Flags, m.Primary, m.ConfigEpoch, m.CurrentEpoch = bus.FlagPrimary, "", epoch, 60
				m.Slots = rangeSet(1, 0)
			})
		}
		if elected(50); l.n.myself.primary == l.peer("x") {
			t.Errorf("%s follows whom its group does not name", me)
		}
		facts := l.n.facts
		facts.Elected = id("x")
		l.step(facts)
		if elected(1); l.n.myself.primary == l.peer("x") {
			t.Errorf("%s follows who has no greater epoch", me)
		}
		if elected(50); l.n.myself.primary != l.peer("x") || l.n.group == "" {
			t.Errorf("%s follows %s", me, peerName(l.n.myself.primary))
		}
	}
}

// A slot that is withheld stays so until this shard has agreed to give it, or an administrator has it
// back when nobody claims it any more: whatever becomes of the other end.
func TestWhatIsWithheldStaysSo(t *testing.T) {
	taken := func(t *testing.T) *lab {
		l := quorumLab(t, "a")
		l.lead(40)
		if r := l.agree(l.step(SetSlot{Slot: 0, Action: SlotMigrating, ID: id("b")})); r.Err != nil {
			t.Fatal(r.Err)
		}
		l.claim("b", 53, 0)
		if !l.n.withheld.Has(0) {
			t.Fatal("it is not withheld")
		}
		return l
	}
	other := SetSlot{Slot: 9, Action: SlotMigrating, ID: id("c")} // something that is agreed on
	t.Run("the other end is replaced", func(t *testing.T) {
		l := taken(t)
		l.peer("y").shardID = l.peer("b").shardID
		l.send(bus.TypePong, "y", func(m *bus.Message) {
			m.Flags, m.Primary, m.ConfigEpoch, m.CurrentEpoch = bus.FlagPrimary, "", 70, 70
			m.Slots = *l.peer("b").set()
		})
		if r := l.agree(l.step(other)); r.Err != nil {
			t.Fatal(r.Err)
		}
		if l.n.table.owner[0] != l.peer("y") || l.n.table.migrating[0] != l.peer("y") || !l.n.withheld.Has(0) || l.last.Reclaim {
			t.Errorf("it is of %s, and open for %s", peerName(l.n.table.owner[0]), peerName(l.n.table.migrating[0]))
		}
	})
	t.Run("the other end is unknown to the next primary", func(t *testing.T) {
		l := quorumLab(t, "x")
		l.claim("b", 53, 7)
		owned := Ownership{Slots: rangeSet(0, 5460), Migrating: []OpenSlot{{7, id("?")}}}
		if l.step(Lead{Epoch: 60, Ownership: &owned}); l.n.table.owner[7] != l.peer("b") || !l.has(7) {
			t.Errorf("it is of %s", peerName(l.n.table.owner[7]))
		}
	})
	t.Run("it is not taken back", func(t *testing.T) {
		l := taken(t)
		for _, set := range []SetSlot{{Slot: 0, Action: SlotStable, Keys: 1}, {Slot: 0, Action: SlotNode, ID: id("a")}} {
			if fx := l.step(set); fx.Result.Err == nil || fx.Agree != nil {
				t.Errorf("%+v is accepted", set)
			}
		}
		if r := l.step(SetSlot{Slot: 0, Action: SlotNode, ID: id("b"), Keys: 3}).Result; r.Err != nil || !l.n.withheld.Has(0) {
			t.Error("tools cannot go on", r.Err)
		}
		fx := l.step(DelSlots{Ranges: []slots.Range{{First: 0, Last: 0}}})
		l.step(Agreed{Number: fx.Agree.Number, Err: ErrNotLed})
		if l.n.table.owner[0] != l.peer("b") {
			t.Error("what was not agreed on has changed something")
		}
	})
	t.Run("STABLE ends the move", func(t *testing.T) {
		l := taken(t)
		if r := l.agree(l.step(SetSlot{Slot: 0, Action: SlotStable})); r.Err != nil || l.has(0) || l.n.table.owner[0] != l.peer("b") {
			t.Error("it is still this shard's", r.Err)
		}
	})
	t.Run("nobody claims it any more", func(t *testing.T) {
		l := taken(t)
		l.n.unbind(0)
		if r := l.agree(l.step(other)); r.Err != nil || l.n.table.owner[0] != nil {
			t.Fatal("it is claimed without being asked for", r.Err)
		}
		back := SetSlot{Slot: 0, Action: SlotNode, ID: id("a"), Keys: 3}
		fx := l.step(back)
		l.step(Agreed{Number: fx.Agree.Number, Err: ErrNotLed})
		if !l.has(0) || l.n.table.owner[0] != nil {
			t.Error("what was not agreed on has changed something")
		}
		fx = l.step(back)
		if r := l.agree(fx); r.Err != nil || l.n.table.owner[0] != l.n.myself || !fx.Agree.Epoch {
			t.Error("it cannot be had back", r.Err)
		}
	})
	t.Run("an old offer", func(t *testing.T) {
		l := quorumLab(t, "a")
		l.lead(40)
		if fx := l.step(SetSlot{Slot: 0, Action: SlotNode, ID: id("b"), Offer: true}); fx.Result.Err != nil || fx.Agree != nil || l.n.table.owner[0] != l.n.myself {
			t.Error("it is carried out")
		}
	})
}

// Who is of which shard is known before it matters: a node that has left this one is not followed
// although it claims slots that were this one's.
func TestWhoHasLeftTheShardIsNotFollowed(t *testing.T) {
	shards := threeShards()
	shards[0].replicas = "wx"
	l := newLab(t, "w", shards)
	l.n.cfg.Quorum = true
	l.peer("w").shardID, l.peer("x").shardID = l.peer("a").shardID, l.peer("a").shardID
	l.step(JoinGroup{Name: strings.Repeat("5e", 20)})
	l.send(bus.TypePong, "x", func(m *bus.Message) {
		m.Flags, m.Primary, m.ConfigEpoch, m.CurrentEpoch = bus.FlagPrimary, "", 60, 60
		m.Slots, m.Ext.ShardID = rangeSet(0, 5460), strings.Repeat("9", 40)
	})
	if l.n.myself.primary == l.peer("x") {
		t.Error("it is followed")
	}
	q := quorumLab(t, "x")
	before := q.n.myself.shardID
	if q.step(Reset{}); q.n.myself.shardID == before {
		t.Error("who was reset is still of its shard")
	}
}

// A node that has left its group leads nothing, whatever epoch it has.
func TestWhoHasLeftItsGroupLeadsNothing(t *testing.T) {
	l := quorumLab(t, "a")
	l.step(JoinGroup{Name: strings.Repeat("5e", 20)})
	l.lead(40)
	fx := l.step(AddSlots{Ranges: []slots.Range{{First: 16000, Last: 16000}}})
	if fx.Result.Err == nil && fx.Agree == nil {
		t.Fatal("nothing is agreed on")
	}
	l.step(Reset{})
	if l.n.leadsShard() {
		t.Error("it leads")
	}
	l.step(Own{Ownership: Ownership{Slots: rangeSet(0, 100)}})
	if l.n.myself.slotCount != 0 {
		t.Error("it takes what its former shard has agreed on")
	}
	if fx := l.step(AddSlots{Ranges: []slots.Range{{First: 5, Last: 5}}}); fx.Result.Err != nil || fx.Agree != nil || l.n.table.owner[5] != l.n.myself {
		t.Error("it can have no slots any more", fx.Result.Err)
	}
}

// Nothing changes before it is agreed on, and nothing if it is not. Meanwhile nobody writes to a
// slot that goes, and nothing else is agreed on.
func TestSlotsChangeByAgreement(t *testing.T) {
	for _, c := range []struct {
		name string
		ev   Event
		done func(n *Node) bool
	}{
		{"ADDSLOTS", AddSlots{Ranges: []slots.Range{{First: 16383, Last: 16383}}}, func(n *Node) bool { return n.table.owner[16383] == n.myself }},
		{"DELSLOTS", DelSlots{Ranges: []slots.Range{{First: 1, Last: 2}}}, func(n *Node) bool { return n.table.owner[2] == nil }},
		{"FLUSHSLOTS", FlushSlots{}, func(n *Node) bool { return n.myself.slotCount == 0 }},
		{"MIGRATING", SetSlot{Slot: 3, Action: SlotMigrating, ID: id("b")}, func(n *Node) bool { return n.table.migrating[3] != nil }},
		{"IMPORTING", SetSlot{Slot: 6000, Action: SlotImporting, ID: id("b")}, func(n *Node) bool { return n.table.importing[6000] != nil }},
		{"NODE", SetSlot{Slot: 3, Action: SlotNode, ID: id("b")}, func(n *Node) bool { return n.table.owner[3] == n.peers[id("b")] }},
		{"NODE myself", SetSlot{Slot: 6000, Action: SlotNode, ID: id("a")}, func(n *Node) bool { return n.table.owner[6000] == n.myself }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := quorumLab(t, "a")
			l.lead(40)
			l.n.unbind(16383)
			fx := l.step(c.ev)
			if fx.Agree == nil || fx.Agree.Under != 40 || c.done(l.n) {
				t.Fatalf("it is asked for %+v, and done: %v", fx.Agree, c.done(l.n))
			}
			if left := l.n.myself.set().Without(&fx.Agree.Ownership.Slots); left != l.n.View().routes.leaving {
				t.Errorf("%d slots leave, %d are known to", left.Len(), l.n.agreement.leaving.Len())
			}
			if r := l.step(SetSlot{Slot: 9, Action: SlotStable}).Result; r.Err != errAgreeing {
				t.Errorf("beside it: %v", r.Err)
			}
			if r := l.step(Agreed{Number: fx.Agree.Number, Err: ErrNotLed}).Result; r.Err != ErrNotLed || c.done(l.n) || !l.n.View().routes.leaving.Empty() {
				t.Errorf("not agreed on: %v, and done: %v", r.Err, c.done(l.n))
			}
			if r := l.agree(l.step(c.ev)); r.Err != nil || !c.done(l.n) || l.last.Persist == nil {
				t.Errorf("%v, done %v, saved %v", r.Err, c.done(l.n), l.last.Persist != nil)
			}
		})
	}
}

// A slot that goes takes no write while the shard agrees on that: it was found without keys.
func TestNoWritesToASlotThatLeaves(t *testing.T) {
	l := quorumLab(t, "a")
	l.lead(40)
	l.pass(tickPeriod)
	l.step(SetSlot{Slot: 3, Action: SlotNode, ID: id("b")})
	if v := l.n.View().Route(Query{Slot: 3, MayWrite: true}); v != TryAgain {
		t.Errorf("a write: %v", v)
	}
	if v := l.n.View().Route(Query{Slot: 3}); v != Run {
		t.Errorf("a read: %v", v)
	}
	if v := l.n.View().Route(Query{Slot: 4, MayWrite: true}); v != Run {
		t.Errorf("a write to another slot: %v", v)
	}
}

// The elected takes exactly what its shard has agreed on, with the marks, and whatever it has
// heard; and if it never has, what its primary still claims, on which it then agrees.
func TestTheElectedTakesWhatTheShardHas(t *testing.T) {
	l := quorumLab(t, "x")
	l.send(bus.TypePong, "a", func(m *bus.Message) { m.Slots = *l.peer("a").set(); m.Slots.Remove(0) })
	l.step(Lead{Epoch: 40})
	fx := l.step(Found{})
	if fx.Agree == nil || fx.Agree.Ownership.Slots.Has(0) || !fx.Agree.Ownership.Slots.Has(1) {
		t.Fatalf("it asks for %+v", fx.Agree)
	}
	l.agree(fx)
	if me := l.n.myself; l.n.table.owner[0] == me || l.n.table.owner[1] != me {
		t.Errorf("slots 0 and 1 are of %s and %s", peerName(l.n.table.owner[0]), peerName(l.n.table.owner[1]))
	}
	if l.claim("b", 2, 0); l.n.table.owner[0] != l.peer("b") {
		t.Error("nobody can have the slot")
	}

	l = quorumLab(t, "x")
	owned := Ownership{Slots: rangeSet(1, 5460), Migrating: []OpenSlot{{7, id("b")}}, Importing: []OpenSlot{{6000, id("y")}, {6001, id("?")}}}
	owned.Slots.Add(9000)
	fx = l.step(Lead{Epoch: 40, Ownership: &owned})
	if fx.Result.Err != nil || fx.Agree != nil {
		t.Fatal(fx.Result.Err, fx.Agree)
	}
	if got := *l.n.myself.set(); got != owned.Slots {
		t.Errorf("it has %v", got.Ranges())
	}
	if l.n.table.owner[0] != nil || l.n.table.migrating[7] != l.peer("b") || l.n.table.importing[6000] != l.peer("b") || len(l.n.table.importing) != 1 {
		t.Errorf("slot 0 is of %s, %d and %d are open", peerName(l.n.table.owner[0]), len(l.n.table.migrating), len(l.n.table.importing))
	}
	if fx := l.step(Lead{Epoch: 41}); fx.Result.Err != nil || fx.Agree != nil || *l.n.myself.set() != owned.Slots {
		t.Error("a primary does not go on with what it has", fx.Result.Err, fx.Agree)
	}
}

// A deposed primary that did not hear of the last slots that its shard has given away follows
// its successor, and not who has those.
func TestADeposedPrimaryFollowsItsShard(t *testing.T) {
	for _, me := range []string{"a", "w"} { // the primary, and another replica
		shards := threeShards()
		shards[0].replicas = "wx"
		l := newLab(t, me, shards)
		l.peer("w").shardID, l.peer("x").shardID = l.peer("a").shardID, l.peer("a").shardID
		l.n.cfg.Quorum, l.n.cfg.AllowReplicaMigration = true, true
		l.step(JoinGroup{Name: strings.Repeat("5e", 20)})
		l.pass(tickPeriod)
		if l.claim("b", 60, 0); l.n.myself.isReplica() != (me == "w") {
			t.Fatalf("%s: it follows who has one of its slots", me)
		}
		l.send(bus.TypePong, "x", func(m *bus.Message) {
			m.Flags, m.Primary, m.ConfigEpoch, m.CurrentEpoch = bus.FlagPrimary, "", 50, 60
			m.Slots = rangeSet(1, 5000)
		})
		if p := l.n.myself.primary; p != l.peer("x") || l.n.group == "" {
			t.Errorf("%s follows %s", me, peerName(p))
		}
	}
	// Nor does it follow who takes all that there is.
	l := quorumLab(t, "a")
	l.n.cfg.AllowReplicaMigration = true
	l.step(JoinGroup{Name: strings.Repeat("5e", 20)})
	fx := l.send(bus.TypePong, "b", func(m *bus.Message) { m.ConfigEpoch, m.Slots = 60, rangeSet(0, 10921) })
	if l.n.myself.isReplica() || fx.DropKeys != nil {
		t.Errorf("it has gone to another shard, keys dropped %v", fx.DropKeys != nil)
	}
}

// Who is on record for a group and does not lead changes no slots.
func TestOnlyTheElectedChangesSlots(t *testing.T) {
	l := quorumLab(t, "a")
	l.step(JoinGroup{Name: strings.Repeat("5e", 20)})
	for _, ev := range []Event{
		AddSlots{Ranges: []slots.Range{{First: 16383, Last: 16383}}}, DelSlots{Ranges: []slots.Range{{First: 1, Last: 1}}}, FlushSlots{},
		SetSlot{Slot: 3, Action: SlotNode, ID: id("b")}, SetSlot{Slot: 3, Action: SlotStable},
	} {
		if r := l.step(ev).Result; r.Err != ErrNotLed {
			t.Errorf("%T: %v", ev, r.Err)
		}
	}
	l.step(Holdings{Slots: rangeSet(9000, 9000)})
	if len(l.n.table.importing) != 0 {
		t.Error("it imports slots because it has keys there")
	}
}

// A slot that a quorum shard takes is shown to nobody before it is on disk.
func TestASlotThatAQuorumShardTakesIsOnDiskFirst(t *testing.T) {
	l := quorumLab(t, "b")
	l.lead(40)
	l.pass(tickPeriod)
	l.peer("c").configEpoch = 50
	if r := l.agree(l.step(SetSlot{Slot: 0, Action: SlotImporting, ID: id("a")})); r.Err != nil {
		t.Fatal(r.Err)
	}
	l.persistent = false
	fx := l.step(SetSlot{Slot: 0, Action: SlotNode, ID: id("b")})
	if fx.Agree == nil || !fx.Agree.Epoch || l.n.table.owner[0] == l.n.myself {
		t.Fatalf("%+v, owner %s", fx.Agree, peerName(l.n.table.owner[0]))
	}
	l.agree(fx)
	if l.n.table.owner[0] != l.n.myself || l.n.myself.configEpoch != 51 || !l.n.claimPending() {
		t.Fatalf("owner %s, epoch %d, pending %v", peerName(l.n.table.owner[0]), l.n.myself.configEpoch, l.n.claimPending())
	}
	for _, s := range l.last.Send {
		if s.Msg.Slots.Has(0) {
			t.Error("it is told at once")
		}
	}
}

// What is parsed is what was encoded, and nothing else is parsed.
func FuzzOwnership(f *testing.F) {
	o := Ownership{Slots: rangeSet(3, 9), Migrating: []OpenSlot{{3, id("b")}, {4, id("c")}}, Importing: []OpenSlot{{5, id("a")}}}
	f.Add(o.Append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := ParseOwnership(b); err == nil && !bytes.Equal(o.Append(nil), b) {
			t.Errorf("%x is not %x", o.Append(nil), b)
		}
	})
}
