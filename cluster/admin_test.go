package cluster

import (
	"testing"

	"redoubt/bus"
	"redoubt/slots"
)

func TestCommandErrors(t *testing.T) {
	one := func(s slots.Slot) []slots.Range { return []slots.Range{{First: s, Last: s}} }
	for _, c := range []struct {
		name string
		me   string
		cmd  Event
		want string // empty: accepted
	}{
		{"ADDSLOTS of a free slot", "a", AddSlots{one(16000)}, ""},
		{"ADDSLOTS of an owned slot", "a", AddSlots{one(6000)}, "ERR Slot 6000 is already busy"},
		{"ADDSLOTS twice", "a", AddSlots{append(one(16000), one(16000)...)}, "ERR Slot 16000 specified multiple times"},
		{"ADDSLOTSRANGE backwards", "a", AddSlots{[]slots.Range{{First: 9, Last: 8}}}, "ERR start slot number 9 is greater than end slot number 8"},
		{"ADDSLOTS on a replica", "x", AddSlots{one(16000)}, "ERR Please use ADDSLOTS only with masters."},
		{"DELSLOTS of a free slot", "a", DelSlots{one(16000)}, "ERR Slot 16000 is already unassigned"},
		{"DELSLOTS of another's slot", "a", DelSlots{one(6000)}, ""},
		{"FLUSHSLOTS with keys", "a", FlushSlots{Keys: 1}, "ERR DB must be empty to perform CLUSTER FLUSHSLOTS."},
		{"FLUSHSLOTS", "a", FlushSlots{}, ""},

		{"SETSLOT on a replica", "x", SetSlot{Action: SlotStable}, "ERR Please use SETSLOT only with masters."},
		{"MIGRATING of another's slot", "a", SetSlot{Slot: 6000, Action: SlotMigrating, ID: id("c")}, "ERR I'm not the owner of hash slot 6000"},
		{"MIGRATING to a stranger", "a", SetSlot{Slot: 0, Action: SlotMigrating, ID: "q"}, "ERR I don't know about node q"},
		{"MIGRATING to a replica", "a", SetSlot{Slot: 0, Action: SlotMigrating, ID: id("y")}, "ERR Target node is not a master"},
		{"MIGRATING", "a", SetSlot{Slot: 0, Action: SlotMigrating, ID: id("b")}, ""},
		{"IMPORTING of my slot", "a", SetSlot{Slot: 0, Action: SlotImporting, ID: id("b")}, "ERR I'm already the owner of hash slot 0"},
		{"IMPORTING from a stranger", "a", SetSlot{Slot: 6000, Action: SlotImporting, ID: "q"}, "ERR I don't know about node q"},
		{"IMPORTING", "a", SetSlot{Slot: 6000, Action: SlotImporting, ID: id("b")}, ""},
		{"STABLE", "a", SetSlot{Slot: 6000, Action: SlotStable}, ""},
		{"NODE to a stranger", "a", SetSlot{Slot: 0, Action: SlotNode, ID: "q"}, "ERR Unknown node q"},
		{"NODE to a replica", "a", SetSlot{Slot: 0, Action: SlotNode, ID: id("y")}, "ERR Target node is not a master"},
		{"NODE with keys left", "a", SetSlot{Slot: 0, Action: SlotNode, ID: id("b"), Keys: 2}, "ERR Can't assign hashslot 0 to a different node while I still hold keys for this hash slot."},
		{"NODE", "a", SetSlot{Slot: 0, Action: SlotNode, ID: id("b")}, ""},

		{"SET-CONFIG-EPOCH below zero", "a", SetConfigEpoch{-1}, "ERR Invalid config epoch specified: -1"},
		{"SET-CONFIG-EPOCH in a cluster", "a", SetConfigEpoch{5}, "ERR The user can assign a config epoch only when the node does not know any other node."},

		{"REPLICATE a stranger", "c", Replicate{ID: "q"}, "ERR Unknown node q"},
		{"REPLICATE myself", "c", Replicate{ID: id("c")}, "ERR Can't replicate myself"},
		{"REPLICATE a replica", "c", Replicate{ID: id("x")}, "ERR I can only replicate a master, not a replica."},
		{"REPLICATE as a primary with slots", "a", Replicate{ID: id("b")}, "ERR To set a master the node must be empty and without assigned slots."},
		{"REPLICATE as a primary with keys", "d", Replicate{ID: id("b"), Keys: 1}, "ERR To set a master the node must be empty and without assigned slots."},
		{"REPLICATE as an empty primary", "d", Replicate{ID: id("b")}, ""},
		{"REPLICATE another primary as a replica with keys", "x", Replicate{ID: id("b"), Keys: 1}, ""},

		{"FORGET a stranger", "a", Forget{"q"}, "ERR Unknown node q"},
		{"FORGET myself", "a", Forget{id("a")}, "ERR I tried hard but I can't forget myself..."},
		{"FORGET my primary", "x", Forget{id("a")}, "ERR Can't forget my master!"},
		{"FORGET", "a", Forget{id("b")}, ""},

		{"RESET of a primary with keys", "a", Reset{Keys: 1}, "ERR CLUSTER RESET can't be called with master nodes containing keys"},
		{"RESET of a replica with keys", "x", Reset{Keys: 1}, ""},

		{"FAILOVER on a primary", "a", Failover{}, "ERR You should send CLUSTER FAILOVER to a replica"},
		{"FAILOVER on a replica", "x", Failover{}, ""},
		{"FAILOVER with a dead primary", "y", Failover{}, "ERR Master is down or failed, please use CLUSTER FAILOVER FORCE"},
		{"FAILOVER FORCE with a dead primary", "y", Failover{FailoverForce}, ""},
		{"FAILOVER of an orphan", "w", Failover{FailoverForce}, "ERR I'm a replica but my master is unknown to me"},

		{"COUNT-FAILURE-REPORTS of a stranger", "a", CountFailureReports{"q"}, "ERR Unknown node q"},
		{"SAVECONFIG", "a", SaveConfig{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			shards := threeShards()
			shards[2].slots.Last = 15999 // leave some free
			shards = append(shards, shard{primary: "d", none: true, replicas: "w", epoch: 4})
			l := newLab(t, c.me, shards)
			l.peer("b").flags |= bus.FlagFail
			l.n.leavePrimary(l.peer("w"))
			fx := l.step(c.cmd)
			if got := errorText(fx.Result.Err); got != c.want {
				t.Fatalf("%q, want %q", got, c.want)
			}
			_, reads := c.cmd.(CountFailureReports)
			if saved := fx.Persist != nil; saved != (c.want == "") && !reads {
				t.Errorf("saved: %v", saved)
			}
		})
	}
}

func TestBumpEpoch(t *testing.T) {
	l := newLab(t, "a", threeShards())
	if r := l.step(BumpEpoch{}).Result; !r.Bumped || r.Epoch != 4 {
		t.Errorf("result %+v, want a bump to 4", r)
	}
	if r := l.step(BumpEpoch{}).Result; r.Bumped || r.Epoch != 4 {
		t.Errorf("result %+v, want still 4", r)
	}
}

func TestReset(t *testing.T) {
	for _, c := range []struct {
		name string
		me   string
		hard bool
	}{
		{"soft, of a primary", "a", false},
		{"soft, of a replica", "x", false},
		{"hard", "x", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			links := len(l.n.links)
			shardID := l.n.myself.shardID
			fx := l.step(Reset{Hard: c.hard})
			v := l.n.View()
			if len(v.Nodes) != 1 || v.IsReplica() || v.Me().Slots.Len() != 0 || v.Owner(0) != nil {
				t.Errorf("left: %s", v.NodesText(Client{}))
			}
			if len(fx.Close) != links {
				t.Errorf("%d of %d links closed", len(fx.Close), links)
			}
			if isReplica := c.me == "x"; isReplica != (fx.Role != nil && fx.Role.Flush) {
				t.Errorf("Role %+v", fx.Role)
			}
			if c.hard != (v.Me().ID != id(c.me)) || c.hard != (v.ShardID != shardID) || c.hard != (v.CurrentEpoch == 0) {
				t.Errorf("id %s, shard %s, epoch %d", v.Me().ID, v.ShardID, v.CurrentEpoch)
			}
		})
	}
}

func TestLastSlotGivenAwayByHand(t *testing.T) {
	shards := threeShards()
	shards[0].slots.Last = 0
	l := newLab(t, "a", shards)
	fx := l.step(SetSlot{Slot: 0, Action: SlotNode, ID: id("b")})
	if fx.Role == nil || fx.Role.Primary != id("b") {
		t.Errorf("Role %+v, want a replica of b", fx.Role)
	}
}

func TestEndOfAnImportIsAnnounced(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.step(SetSlot{Slot: 6000, Action: SlotImporting, ID: id("b")})
	fx := l.step(SetSlot{Slot: 6000, Action: SlotNode, ID: id("a")})
	pongs := l.sent(fx.SendAfterPersist, bus.TypePong)
	if len(pongs) != 5 {
		t.Fatalf("%d are told", len(pongs))
	}
	if m := pongs[id("b")]; m.ConfigEpoch != 4 || !m.Slots.Has(6000) {
		t.Errorf("told: epoch %d, slot %v", m.ConfigEpoch, m.Slots.Has(6000))
	}
	if len(l.n.View().Me().Importing) != 0 {
		t.Error("the slot is still importing")
	}
}

func TestKeysFoundAtStart(t *testing.T) {
	shards := threeShards()
	shards[2].slots.Last = 15999
	l := newLab(t, "a", shards)
	var held slots.Set
	for _, s := range []slots.Slot{0, 6000, 16000} {
		held.Add(s)
	}
	l.step(Holdings{held})
	v := l.n.View()
	if !v.Mine(0) || !v.Mine(16000) || v.Owner(6000).ID != id("b") {
		t.Error("slots are not as they should be")
	}
	if got := v.Me().Importing; len(got) != 1 || got[0] != (OpenSlot{6000, id("b")}) {
		t.Errorf("importing %v", got)
	}
	replica := newLab(t, "x", shards)
	replica.step(Holdings{held})
	if replica.n.View().Owner(16000) != nil || len(replica.n.View().Me().Importing) != 0 {
		t.Error("a replica has claimed slots")
	}
}

// A new replica tells everybody at once: until they know it, nobody votes for it.
func TestANewReplicaTellsEverybody(t *testing.T) {
	shards := append(threeShards(), shard{primary: "d", none: true})
	l := newLab(t, "d", shards)
	fx := l.step(Replicate{ID: id("c")})
	if fx.Result.Err != nil {
		t.Fatal(fx.Result.Err)
	}
	told := l.sent(append(fx.Send, fx.SendAfterPersist...), bus.TypePong)
	for _, name := range []string{"a", "b", "c", "x", "y", "z"} {
		if m := told[id(name)]; m == nil || m.Primary != id("c") || !m.Flags.Has(bus.FlagReplica) {
			t.Errorf("%s is told %+v", name, m)
		}
	}
}
