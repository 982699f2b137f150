package cluster

import (
	"slices"
	"strings"
	"testing"

	"redoubt/bus"
	"redoubt/slots"
)

func rangeSet(first, last slots.Slot) slots.Set {
	var s slots.Set
	s.AddRange(slots.Range{First: first, Last: last})
	return s
}

// The rules of "How slots configuration is propagated" in the Redis Cluster
// specification: an unassigned slot goes to whoever claims it, an assigned one
// to whoever claims it with a greater config epoch.
func TestClaims(t *testing.T) {
	const s = slots.Slot(5461) // b's, with epoch 2
	for _, c := range []struct {
		name    string
		me      string
		prepare func(*lab)
		claimer string
		epoch   bus.Epoch
		want    string // the owner of s afterwards; empty: nobody
	}{
		{name: "a greater epoch wins", me: "a", claimer: "c", epoch: 3, want: "c"},
		{name: "a smaller epoch loses", me: "c", claimer: "a", epoch: 1, want: "b"},
		{name: "an equal epoch loses", me: "c", claimer: "a", epoch: 2, want: "b"},
		{
			name: "an unassigned slot is free", me: "c", claimer: "a", epoch: 0, want: "a",
			prepare: func(l *lab) { l.n.unbind(s) },
		},
		{
			name: "a slot whose owner gave it up is free", me: "c", claimer: "a", epoch: 1, want: "a",
			prepare: func(l *lab) {
				l.send(bus.TypePing, "b", func(m *bus.Message) { m.Slots = rangeSet(s+1, 10921) })
			},
		},
		{
			name: "a slot that its owner took back is not free", me: "c", claimer: "a", epoch: 1, want: "b",
			prepare: func(l *lab) {
				l.send(bus.TypePing, "b", func(m *bus.Message) { m.Slots = rangeSet(s+1, 10921) })
				l.send(bus.TypePing, "b", func(m *bus.Message) { m.Slots = rangeSet(s, 10921) })
			},
		},
		{
			name: "an importing slot is left alone", me: "c", claimer: "a", epoch: 9, want: "b",
			prepare: func(l *lab) { l.n.table.importing[s] = l.peer("b") },
		},
		{name: "my own slot, to a greater epoch", me: "b", claimer: "c", epoch: 3, want: "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			if c.prepare != nil {
				c.prepare(l)
			}
			l.send(bus.TypePing, c.claimer, func(m *bus.Message) {
				m.ConfigEpoch = c.epoch
				m.Slots.Add(s)
			})
			if got := l.n.table.owner[s]; got != l.peer(c.want) {
				t.Errorf("owner %s, want %s", peerName(got), c.want)
			}
		})
	}
}

func TestOwnerThatStopsClaimingKeepsTheSlot(t *testing.T) {
	l := newLab(t, "c", threeShards())
	l.send(bus.TypePing, "b", func(m *bus.Message) { m.Slots = rangeSet(6000, 10921) })
	if l.n.table.owner[5461] != l.peer("b") {
		t.Error("the slot was unbound")
	}
	// … but nobody is told that it is b's.
	fx := l.send(bus.TypePing, "a", func(m *bus.Message) { m.Slots = rangeSet(0, 7000) })
	update := l.sent(fx.Send, bus.TypeUpdate)[id("a")]
	if update == nil || update.Update.ID != id("b") || update.Update.Slots != rangeSet(6000, 10921) {
		t.Errorf("UPDATE %+v", update)
	}
}

func TestPrimaryThatLosesSomeSlotsDropsTheirKeys(t *testing.T) {
	l := newLab(t, "b", threeShards())
	fx := l.send(bus.TypePing, "c", func(m *bus.Message) { m.Slots = rangeSet(5461, 5470) })
	if fx.DropKeys == nil || *fx.DropKeys != rangeSet(5461, 5470) {
		t.Errorf("DropKeys %v", fx.DropKeys)
	}
	if fx.DropShardSubs == nil || *fx.DropShardSubs != rangeSet(5461, 5470) {
		t.Errorf("DropShardSubs %v", fx.DropShardSubs)
	}
	if fx.Moved == nil || *fx.Moved != rangeSet(5461, 5470) {
		t.Errorf("Moved %v", fx.Moved)
	}
	if fx.Role != nil {
		t.Errorf("Role %+v", fx.Role)
	}
}

func TestShardThatLosesAllSlotsFollowsTheNewOwner(t *testing.T) {
	for _, c := range []struct {
		name      string
		me        string
		migration bool // cluster-allow-replica-migration
		claim     slots.Range
		want      string // whose replica I am then; empty: a primary's
	}{
		{"the primary becomes a replica", "a", true, slots.Range{First: 0, Last: 16383}, "c"},
		{"its replica follows", "x", true, slots.Range{First: 0, Last: 16383}, "c"},
		{"not to another shard, if that is forbidden", "a", false, slots.Range{First: 0, Last: 16383}, ""},
		{"to a successor with nothing else, always", "a", false, slots.Range{First: 0, Last: 5460}, "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			l.n.cfg.AllowReplicaMigration = c.migration
			fx := l.send(bus.TypePing, "c", func(m *bus.Message) {
				m.ConfigEpoch, m.Slots = 4, slots.Set{}
				m.Slots.AddRange(c.claim)
			})
			if c.want == "" {
				if fx.Role != nil || fx.DropKeys == nil {
					t.Errorf("Role %+v, DropKeys %v", fx.Role, fx.DropKeys)
				}
				if !saysItIsEmpty(fx) {
					t.Errorf("the log has no reason for that: %v", fx.Notes)
				}
				return
			}
			want := RoleChange{Replica: true, Primary: id(c.want), Shard: string(id(c.want)), Host: l.peer(c.want).ip, Port: 7000}
			if fx.Role == nil || *fx.Role != want {
				t.Errorf("Role %+v, want %+v", fx.Role, want)
			}
			if fx.DropKeys != nil {
				t.Error("keys are dropped one by one although a full copy comes")
			}
			if saysItIsEmpty(fx) {
				t.Errorf("it is no primary any more, and says %v", fx.Notes)
			}
		})
	}
}

// saysItIsEmpty finds the line that Valkey 8 has for it, and the same one after SETSLOT.
func saysItIsEmpty(fx Effects) bool {
	return slices.ContainsFunc(fx.Notes, func(n Note) bool { return strings.Contains(n.Text, "I am now an empty primary.") })
}

func TestLastSlotIsGivenAway(t *testing.T) {
	one := []shard{{primary: "a", slots: slots.Range{First: 7, Last: 7}}, {primary: "b", slots: slots.Range{First: 8, Last: 9}}}
	for _, migration := range []bool{true, false} {
		l := newLab(t, "a", one)
		l.n.cfg.AllowReplicaMigration = migration
		fx := l.step(SetSlot{Slot: 7, Action: SlotNode, ID: id("b")})
		if follows := fx.Role != nil; follows != migration {
			t.Errorf("cluster-allow-replica-migration %v: Role %+v", migration, fx.Role)
		}
		if saysItIsEmpty(fx) == migration {
			t.Errorf("cluster-allow-replica-migration %v: it says %v", migration, fx.Notes)
		}
	}
}

func TestUpdateMessage(t *testing.T) {
	for _, c := range []struct {
		name  string
		about string
		epoch bus.Epoch
		want  string // the owner of slot 0 afterwards
	}{
		{"news about a replica that was promoted", "x", 7, "x"},
		{"news that are old", "b", 2, "a"},
		{"news about me", "c", 9, "a"},
		{"news about a stranger", "q", 9, "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "c", threeShards())
			l.send(bus.TypeUpdate, "b", func(m *bus.Message) {
				m.Update = &bus.Update{ConfigEpoch: c.epoch, ID: id(c.about), Slots: rangeSet(0, 5460)}
			})
			if got := l.n.table.owner[0]; got != l.peer(c.want) {
				t.Errorf("owner %s, want %s", peerName(got), c.want)
			}
		})
	}
}

func TestStaleClaimIsCorrected(t *testing.T) {
	for _, c := range []struct {
		name   string
		sender string // its view of a's slots is older than x's promotion
	}{
		{"of the primary", "a"},
		{"of a replica that speaks for it", "w"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := replacedLab(t)
			fx := l.send(bus.TypePing, c.sender, func(m *bus.Message) {
				m.ConfigEpoch, m.Slots = 1, rangeSet(0, 5460)
			})
			update := l.sent(fx.Send, bus.TypeUpdate)[id(c.sender)]
			if update == nil || update.Update.ID != id("x") || update.Update.ConfigEpoch != 8 {
				t.Errorf("UPDATE %+v", update)
			}
		})
	}
}

// replacedLab is node c, which knows that replica x has replaced a.
func replacedLab(t *testing.T) *lab {
	t.Helper()
	shards := threeShards()
	shards[0].replicas = "wx"
	l := newLab(t, "c", shards)
	l.n.makePrimary(l.peer("x"))
	l.peer("x").configEpoch = 8
	l.n.rebindAll(l.peer("a"), l.peer("x"))
	return l
}

// A primary that was replaced, and starts again, hears of that on the link on which it
// asks, and before the answer with which it would serve.
func TestAStaleClaimIsCorrectedBeforeItsPingIsAnswered(t *testing.T) {
	l := replacedLab(t)
	fx := l.send(bus.TypePing, "a", func(m *bus.Message) {
		m.ConfigEpoch, m.Slots = 1, rangeSet(0, 5460)
	})
	var sent []bus.Type
	for _, e := range fx.Send {
		if e.Link == l.in[id("a")] {
			sent = append(sent, e.Msg.Type)
		}
	}
	if !slices.Equal(sent, []bus.Type{bus.TypeUpdate, bus.TypePong}) {
		t.Errorf("it is sent %v", sent)
	}
}

func TestDemotedPrimary(t *testing.T) {
	for _, c := range []struct {
		name    string
		primary string // whose replica a says it is
		epoch   bus.Epoch
		want    string // the owner of slot 0 afterwards
	}{
		{"its slots go with it inside the shard", "x", 4, "x"},
		{"they are nobody's outside", "b", 2, ""},
		{"a message from before its last promotion is stale", "x", 0, "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, "c", threeShards())
			l.send(bus.TypePing, "a", func(m *bus.Message) {
				m.Flags, m.Primary, m.ConfigEpoch = bus.FlagReplica, id(c.primary), c.epoch
			})
			want := l.peer(c.want)
			if got := l.n.table.owner[0]; got != want {
				t.Errorf("owner %s, want %q", peerName(got), c.want)
			}
			if got := l.peer("a").isReplica(); got != (c.want != "a") {
				t.Errorf("a is a replica: %v", got)
			}
		})
	}
}

func TestReplicaOfAReplicaMovesUp(t *testing.T) {
	l := newLab(t, "x", threeShards())
	fx := l.send(bus.TypePing, "a", func(m *bus.Message) {
		m.Flags, m.Primary, m.Slots = bus.FlagReplica, id("b"), *l.peer("b").set()
	})
	if fx.Role == nil || fx.Role.Primary != id("b") {
		t.Errorf("Role %+v, want the grandmaster b", fx.Role)
	}
}
