package cluster

import (
	"slices"
	"testing"

	"redoubt/bus"
	"redoubt/slots"
)

// x replaces a, by its own claim or as a tells when it has become x's replica.
var successions = []struct {
	name string
	tell func(l *lab)
}{
	{"the successor claims the slots", func(l *lab) {
		l.send(bus.TypePing, "x", func(m *bus.Message) {
			m.Primary, m.Flags, m.ConfigEpoch = "", bus.FlagPrimary, 9
		})
	}},
	{"the old primary follows the successor", func(l *lab) {
		l.send(bus.TypePing, "a", func(m *bus.Message) {
			m.Primary, m.Flags, m.ConfigEpoch = id("x"), bus.FlagReplica, 9
		})
	}},
}

func TestOpenSlotsFollowTheOtherEndToItsSuccessor(t *testing.T) {
	for _, c := range successions {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "b", threeShards())
			l.step(SetSlot{Slot: 7, Action: SlotImporting, ID: id("a")})
			l.step(SetSlot{Slot: 6000, Action: SlotMigrating, ID: id("a")})
			c.tell(l)
			v := l.n.View()
			if got := v.Owner(7); got == nil || got.ID != id("x") {
				t.Errorf("the imported slot is owned by %+v", got)
			}
			want := []OpenSlot{{7, id("x")}}
			if !slices.Equal(v.Me().Importing, want) || !slices.Equal(v.Me().Migrating, []OpenSlot{{6000, id("x")}}) {
				t.Errorf("importing %v, migrating %v", v.Me().Importing, v.Me().Migrating)
			}
		})
	}
}

// redis-cli closes an imported slot by hand: the source may have given it to
// somebody else by then.
func TestImportingSlotIsNotTakenByAnotherShard(t *testing.T) {
	l := newLab(t, "b", threeShards())
	l.step(SetSlot{Slot: 7, Action: SlotImporting, ID: id("a")})
	l.send(bus.TypePing, "c", func(m *bus.Message) {
		m.ConfigEpoch = 9
		m.Slots.Add(7)
	})
	if got := l.n.View().Owner(7); got.ID != id("a") {
		t.Errorf("%s has it", got.ID)
	}
}

func TestPrimaryTellsItsReplicasOfOpenSlots(t *testing.T) {
	l := newLab(t, "b", threeShards())
	for _, name := range []string{"y", "c"} {
		l.send(bus.TypePing, name, func(m *bus.Message) { m.Redoubt = true })
	}
	fx := l.step(SetSlot{Slot: 6000, Action: SlotMigrating, ID: id("a")})
	told := l.sent(fx.Send, bus.TypePong)
	want := []bus.OpenSlot{{Slot: 6000, Node: id("a")}}
	if len(told) != 1 || told[id("y")] == nil || !slices.Equal(told[id("y")].Ext.Open, want) {
		t.Errorf("told at once: %+v", told)
	}
	for name, want := range map[string]int{"y": 1, "z": 0, "c": 0} { // z is Redis's, c no replica
		fx := l.send(bus.TypePing, name, func(m *bus.Message) { m.Redoubt = name != "z" })
		if got := len(fx.Send[0].Msg.Ext.Open); got != want {
			t.Errorf("%s is told of %d open slots, want %d", name, got, want)
		}
	}
	if fx := l.step(SetSlot{Slot: 6000, Action: SlotStable}); len(l.sent(fx.Send, bus.TypePong)) != 1 {
		t.Error("that the slot is closed is not told")
	}
}

func TestReplicaInheritsOpenSlots(t *testing.T) {
	l := newLab(t, "x", threeShards())
	open := []bus.OpenSlot{{Slot: 1, Node: id("b")}, {Slot: 6000, Node: id("b"), Importing: true}, {Slot: 2, Node: id("q")}}
	tell := func(open []bus.OpenSlot, redoubt bool) {
		l.send(bus.TypePing, "a", func(m *bus.Message) { m.Redoubt, m.Ext.Open = redoubt, open })
	}
	tell(open, true)
	tell(nil, false) // as if it were Redis's: it tells nothing, whatever it has open
	if got := l.n.View().Route(Query{Slot: 6000, Asking: true}); got != Moved {
		t.Errorf("a replica answers %v to ASKING", got)
	}
	l.step(Failover{Mode: FailoverTakeover})
	v := l.n.View()
	if !slices.Equal(v.Me().Migrating, []OpenSlot{{1, id("b")}}) || !slices.Equal(v.Me().Importing, []OpenSlot{{6000, id("b")}}) {
		t.Errorf("migrating %v, importing %v", v.Me().Migrating, v.Me().Importing)
	}
	for slot, want := range map[slots.Slot]Verdict{1: RunIfPresent, 2: Run} {
		v.OK = true
		if got := v.Route(Query{Slot: slot}); got != want {
			t.Errorf("slot %d: %v, want %v", slot, got, want)
		}
	}

	l = newLab(t, "x", threeShards())
	tell(open, true)
	tell(nil, true)
	if me := l.n.View().Me(); len(me.Migrating)+len(me.Importing) > 0 {
		t.Errorf("closed slots are open still: %v, %v", me.Migrating, me.Importing)
	}
	tell(open, true)
	l.step(Replicate{ID: id("b")})
	if me := l.n.View().Me(); len(me.Migrating)+len(me.Importing) > 0 {
		t.Errorf("in another shard: %v, %v", me.Migrating, me.Importing)
	}
}
