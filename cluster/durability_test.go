package cluster

import (
	"testing"

	"redoubt/bus"
	"redoubt/slots"
)

// shown is what a PONG to b says while the disk has not answered.
func shown(l *lab) *bus.Message {
	fx := l.send(bus.TypePing, "b", nil)
	for _, e := range fx.Send {
		if e.Msg.Type == bus.TypePong {
			return e.Msg
		}
	}
	return nil
}

func TestClaimIsNotShownBeforeItIsOnDisk(t *testing.T) {
	elected := func(l *lab) Effects {
		l.stand()
		l.send(bus.TypeAuthAck, "b", func(m *bus.Message) { m.CurrentEpoch = l.n.election.epoch })
		return l.send(bus.TypeAuthAck, "c", func(m *bus.Message) { m.CurrentEpoch = l.n.election.epoch })
	}
	for _, c := range []struct {
		name  string
		me    string
		claim func(*lab) Effects
	}{
		{"an election", "x", elected},
		{"TAKEOVER", "x", func(l *lab) Effects { return l.step(Failover{FailoverTakeover}) }},
		{"BUMPEPOCH", "a", func(l *lab) Effects { return l.step(BumpEpoch{}) }},
		{"a collision", "a", func(l *lab) Effects {
			return l.send(bus.TypePing, "c", func(m *bus.Message) { m.ConfigEpoch = 1; l.peer("c").configEpoch = 1 })
		}},
		{"the end of an import", "a", func(l *lab) Effects {
			l.step(SetSlot{Slot: 6000, Action: SlotImporting, ID: id("b")})
			return l.step(SetSlot{Slot: 6000, Action: SlotNode, ID: id("a")})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			l.persistent = false
			before := shown(l)
			fx := c.claim(l)
			if fx.Persist == nil {
				t.Fatalf("nothing is saved; notes %v", fx.Notes)
			}
			during := shown(l)
			if during.ConfigEpoch != before.ConfigEpoch || during.Slots != before.Slots || during.Primary != before.Primary {
				t.Errorf("before the disk has answered, epoch %d is shown, want %d", during.ConfigEpoch, before.ConfigEpoch)
			}
			for _, e := range fx.Send {
				if e.Msg.ConfigEpoch != before.ConfigEpoch {
					t.Errorf("a %v shows epoch %d at once", e.Msg.Type, e.Msg.ConfigEpoch)
				}
			}
			for _, e := range fx.SendAfterPersist {
				if e.Msg.ConfigEpoch <= before.ConfigEpoch || e.Msg.Primary != "" {
					t.Errorf("the announcement shows epoch %d, primary %q", e.Msg.ConfigEpoch, e.Msg.Primary)
				}
			}
			l.step(Persisted{fx.Persist.Version})
			if after := shown(l); after.ConfigEpoch <= before.ConfigEpoch || after.Primary != "" {
				t.Errorf("after the disk has answered, epoch %d is shown", after.ConfigEpoch)
			}
		})
	}
}

// A replica that is reset is a primary with an epoch of its own again, which is not what
// its disk has said so far: that is its primary's.
func TestResetShowsTheOldEpochUntilItIsSaved(t *testing.T) {
	l := newLab(t, "x", threeShards())
	l.persistent = false
	l.n.myself.configEpoch = 7
	l.step(Reset{})
	if m := l.n.newMessage(bus.TypePong); m.Primary == "" || m.ConfigEpoch != 1 {
		t.Errorf("before it is saved it shows epoch %d, primary %q", m.ConfigEpoch, m.Primary)
	}
	l.step(Persisted{l.n.disk.version})
	if m := l.n.newMessage(bus.TypePong); m.Primary != "" || m.ConfigEpoch != 7 || !m.Slots.Empty() {
		t.Errorf("after that it shows epoch %d, primary %q", m.ConfigEpoch, m.Primary)
	}
}

// stand makes the node, a replica, ask for votes in its failed primary's place.
func (l *lab) stand() {
	n := l.n
	n.facts.Replica, n.facts.Primary, n.facts.PrimaryContact = true, n.myself.primary.id, n.now
	n.markFailed(n.myself.primary)
	n.planElection()
	n.election.start = n.now
	n.askForVotes()
}

func TestVotesAreAskedForOnlyInASavedEpoch(t *testing.T) {
	l := newLab(t, "x", threeShards())
	l.persistent = false
	l.stand()
	fx := l.step(Tick{})
	if fx.Persist == nil || fx.Persist.CurrentEpoch != 4 {
		t.Fatalf("saved: %+v", fx.Persist)
	}
	if got := l.sent(fx.SendAfterPersist, bus.TypeAuthRequest); len(got) != 5 {
		t.Errorf("%d requests, want one to each of the 5 others", len(got))
	}
	if got := l.sent(fx.Send, bus.TypeAuthRequest); len(got) != 0 {
		t.Error("requests leave at once")
	}
}

func TestStateThatWasGivenOutDoesNotChange(t *testing.T) {
	l := newLab(t, "a", threeShards())
	saved := l.step(SaveConfig{}).Persist
	view := l.n.View()
	before := string(saved.Append(nil))
	l.step(DelSlots{[]slots.Range{{First: 0, Last: 100}}})
	l.step(AddSlots{[]slots.Range{{First: 0, Last: 50}}})
	if string(saved.Append(nil)) != before {
		t.Error("the state changed")
	}
	if view.Me().Slots.Len() != 5461 || !view.Mine(100) {
		t.Error("the view changed")
	}
}

// A source that lost its mark in a crash would answer that keys which have moved
// do not exist.
func TestMarksOfAnOpenSlotAreSavedBeforeTheyAreAnswered(t *testing.T) {
	for _, c := range []struct {
		name string
		cmd  SetSlot
	}{
		{"importing", SetSlot{Slot: 6000, Action: SlotImporting, ID: id("b")}},
		{"migrating", SetSlot{Slot: 0, Action: SlotMigrating, ID: id("b")}},
		{"stable", SetSlot{Slot: 0, Action: SlotStable}},
	} {
		l := newLab(t, "a", threeShards())
		if fx := l.step(c.cmd); fx.Persist == nil || fx.Result == nil || fx.Result.Err != nil {
			t.Errorf("%s: result %+v, saved: %v", c.name, fx.Result, fx.Persist != nil)
		}
	}
}

func TestHearsayAboutSlotsWaitsForTheNextTick(t *testing.T) {
	l := newLab(t, "a", threeShards())
	for _, c := range []struct {
		slot slots.Slot
		to   string
		says string
	}{
		{6000, "a", "this node gets the slot"},
		{6000, "b", "this node loses the slot"},
	} {
		if fx := l.step(SetSlot{Slot: c.slot, Action: SlotNode, ID: id(c.to)}); fx.Persist == nil {
			t.Errorf("%s, and it is not saved before it is answered", c.says)
		}
	}
	if fx := l.step(SetSlot{Slot: 6000, Action: SlotNode, ID: id("c")}); fx.Persist != nil || fx.Result == nil || fx.Result.Err != nil {
		t.Errorf("result %+v, saved: %v; hearsay about two others waits for the disk", fx.Result, fx.Persist != nil)
	}
	l.now = l.n.Deadline()
	if fx := l.step(Tick{}); fx.Persist == nil {
		t.Error("hearsay is not saved with the next tick")
	}
}
