package sim

import (
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/slots"
)

// mustHold ends the test with the trace if err is not nil.
func mustHold(t testing.TB, w *World, err error) {
	t.Helper()
	if err == nil {
		err = w.Err()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, w.Trace())
	}
}

// create makes a cluster of the given shape.
func create(t testing.TB, seed uint64, primaries, replicas int, opt Options) *World {
	t.Helper()
	w := New(seed, primaries+replicas, opt)
	mustHold(t, w, w.Create(primaries))
	return w
}

func TestSixNodesMeetAndBecomeACluster(t *testing.T) {
	w := create(t, 1, 3, 3, DefaultOptions())
	t.Logf("whole after %v\n%s", w.Elapsed(), w.Members[0].View().NodesText(cluster.Client{}))
	w.Run(10 * time.Second)
	mustHold(t, w, w.Verdict())
}

// ownerOfSlot0 is the member that the member with index i believes to own slot 0.
func ownerOfSlot0(w *World, i int) *Member {
	n := w.Members[i].View().Owner(0)
	if n == nil {
		return nil
	}
	return w.member(n.ID)
}

func TestReplicaOfAKilledPrimaryTakesOver(t *testing.T) {
	w := create(t, 2, 3, 3, DefaultOptions())
	primary, replica := w.Members[0], w.Members[3]
	primary.Crash()
	// Suspicion and agreement take about one node timeout, the election a
	// second and some votes.
	mustHold(t, w, w.RunUntil(3*time.Second, "the replica owns the slots", func() bool {
		return ownerOfSlot0(w, 1) == replica && ownerOfSlot0(w, 5) == replica
	}))
	t.Run("the old primary comes back as a replica", func(t *testing.T) {
		primary.Restart()
		mustHold(t, w, w.Settle(20*time.Second))
		if got := primary.View().Me().Primary; got != replica.ID() {
			t.Errorf("it is a replica of %q, want %q", got, replica.ID())
		}
		if primary.data.primary() != replica.ID() {
			t.Errorf("its data come from %q", primary.data.primary())
		}
	})
}

func TestMinorityStopsAndIsReplaced(t *testing.T) {
	w := create(t, 3, 5, 5, DefaultOptions())
	// Two primaries, whose replicas are members 5 and 6 on the other side.
	w.Net.Partition(0, 1)
	mustHold(t, w, w.RunUntil(6*time.Second, "the majority replaces both", func() bool {
		return ownerOfSlot0(w, 2) == w.Members[5] && w.Members[2].View().OK && w.Members[2].View().Owner(5000).ID == w.Members[6].ID()
	}))
	for _, i := range []int{0, 1} {
		if w.Members[i].View().OK {
			t.Errorf("primary %d thinks in its minority that the cluster is ok", i)
		}
	}
	w.Net.Heal()
	mustHold(t, w, w.Settle(20*time.Second))
	for _, i := range []int{0, 1} {
		if !w.Members[i].View().IsReplica() {
			t.Errorf("the replaced primary %d is no replica", i)
		}
	}
}

func TestMinorityWithAReplicaElectsNobody(t *testing.T) {
	w := create(t, 4, 3, 3, DefaultOptions())
	w.Net.Partition(1, 3) // a primary, and the replica of primary 0
	w.Run(20 * time.Second)
	mustHold(t, w, w.Err())
	if !w.Members[3].View().IsReplica() {
		t.Error("a replica was elected by a minority")
	}
	if w.Members[1].View().OK {
		t.Error("the minority thinks that the cluster is ok")
	}
	w.Net.Heal()
	mustHold(t, w, w.Settle(20*time.Second))
}

func TestEpochCollisionsOfNewPrimariesResolve(t *testing.T) {
	w := New(5, 8, DefaultOptions())
	for i, m := range w.Members {
		mustHold(t, w, m.Command(cluster.AddSlots{Ranges: []slots.Range{share(i, 8)}}))
	}
	for _, m := range w.Members[1:] {
		mustHold(t, w, w.Members[0].Command(cluster.Meet{IP: m.IP, Port: clientPort}))
	}
	mustHold(t, w, w.Settle(40*time.Second))
}

func TestReplicaWithMoreDataWinsTheRace(t *testing.T) {
	w := create(t, 6, 3, 9, DefaultOptions())
	w.Run(5 * time.Second)
	// Members 3, 6 and 9 are the replicas of member 0.
	w.Members[0].Crash()
	w.Members[3].data.lose(20)
	w.Members[9].data.lose(10)
	mustHold(t, w, w.RunUntil(4*time.Second, "a replica takes over", func() bool {
		return ownerOfSlot0(w, 1) != nil
	}))
	if got := ownerOfSlot0(w, 1); got != w.Members[6] {
		t.Errorf("member %d has won, member 6 has the most data", got.Index)
	}
}

func TestManualFailover(t *testing.T) {
	for _, c := range []struct {
		name string
		mode cluster.FailoverMode
	}{
		{"the primary agrees and pauses", cluster.FailoverNormal},
		{"FORCE does without the primary's agreement", cluster.FailoverForce},
		{"TAKEOVER asks nobody", cluster.FailoverTakeover},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := create(t, 7, 3, 3, DefaultOptions())
			primary, replica := w.Members[0], w.Members[3]
			mustHold(t, w, replica.Command(cluster.Failover{Mode: c.mode}))
			mustHold(t, w, w.RunUntil(time.Second, "the replica takes over everywhere", func() bool {
				return ownerOfSlot0(w, 0) == replica && ownerOfSlot0(w, 1) == replica && primary.View().IsReplica()
			}))
			mustHold(t, w, w.Settle(10*time.Second))
			if primary.data.paused.After(w.Now()) {
				t.Error("the old primary is still paused")
			}
		})
	}
}

func TestManualFailoverLosesNothing(t *testing.T) {
	w := create(t, 8, 3, 3, DefaultOptions())
	primary, replica := w.Members[0], w.Members[3]
	w.Run(3 * time.Second)
	mustHold(t, w, replica.Command(cluster.Failover{}))
	for range 1000 {
		if w.Run(100 * time.Microsecond); primary.data.paused.After(w.Now()) {
			break
		}
	}
	if !primary.data.paused.After(w.Now()) {
		t.Fatal("the primary does not pause")
	}
	final := primary.data.offset()
	mustHold(t, w, w.RunUntil(time.Second, "the replica is promoted", func() bool { return !replica.data.standing.Replica() }))
	if replica.data.offset() < final {
		t.Errorf("promoted at offset %d, the primary had written %d", replica.data.offset(), final)
	}
}

func TestManualFailoverOfALaggingReplicaGivesUp(t *testing.T) {
	w := create(t, 9, 3, 3, DefaultOptions())
	primary, replica := w.Members[0], w.Members[3]
	replica.detached = true
	w.Run(time.Second)
	mustHold(t, w, replica.Command(cluster.Failover{}))
	w.Run(8 * time.Second)
	mustHold(t, w, w.Err())
	if ownerOfSlot0(w, 1) != primary || primary.data.paused.After(w.Now()) {
		t.Error("the failover was not given up")
	}
}

func TestReplicaMigratesToAnOrphanedPrimary(t *testing.T) {
	w := create(t, 10, 3, 4, DefaultOptions()) // members 3 and 6 replicate 0, 4 replicates 1
	w.Members[4].Crash()
	mustHold(t, w, w.RunUntil(30*time.Second, "a replica migrates", func() bool {
		return len(w.Members[1].View().Me().Replicas) == 2 // the dead one and the new one
	}))
	first := min(w.Members[3].ID(), w.Members[6].ID())
	if got := w.member(first).View().Me().Primary; got != w.Members[1].ID() {
		t.Errorf("the replica with the smallest id replicates %s", got)
	}
	mustHold(t, w, w.Settle(10*time.Second))
}

func TestAllRestart(t *testing.T) {
	w := create(t, 11, 3, 3, DefaultOptions())
	var owners []bus.NodeID
	for _, m := range w.Members {
		owners = append(owners, m.ID())
		m.Crash()
	}
	w.Run(time.Minute)
	for _, m := range w.Members {
		m.Restart()
	}
	mustHold(t, w, w.Settle(10*time.Second))
	for i, m := range w.Members {
		if m.ID() != owners[i] {
			t.Errorf("member %d has another id", i)
		}
		if m.View().IsReplica() != (i >= 3) {
			t.Errorf("member %d has changed its role", i)
		}
	}
}

// A primary comes back while its successor cannot reach it: the others must
// tell it, with UPDATE, that its slots are gone.
func TestStaleOwnerLearnsFromUpdate(t *testing.T) {
	w := create(t, 12, 3, 3, DefaultOptions())
	old, successor := w.Members[0], w.Members[3]
	old.Crash()
	mustHold(t, w, w.RunUntil(5*time.Second, "the replica takes over", func() bool { return ownerOfSlot0(w, 1) == successor }))
	w.Net.Cut(0, 3, true)
	old.Restart()
	mustHold(t, w, w.RunUntil(10*time.Second, "the old primary steps down", func() bool {
		return old.View().IsReplica() && ownerOfSlot0(w, 0) == successor
	}))
	w.Net.Heal()
	mustHold(t, w, w.Settle(20*time.Second))
}

func TestForgottenNodeStaysAway(t *testing.T) {
	w := create(t, 13, 4, 3, DefaultOptions())
	gone := w.Members[6]
	id := gone.ID()
	// One FORGET is enough: the ban spreads.
	mustHold(t, w, w.Members[0].Command(cluster.Forget{ID: id}))
	mustHold(t, w, gone.Command(cluster.Reset{}))
	mustHold(t, w, w.RunUntil(5*time.Second, "all have forgotten it", func() bool {
		for _, m := range w.Members[:6] {
			if m.View().Node(id) != nil {
				return false
			}
		}
		return true
	}))
	w.Run(30 * time.Second)
	if w.Members[0].View().Node(id) != nil || len(gone.View().Nodes) != 1 {
		t.Error("it came back")
	}
	mustHold(t, w, w.Err())
}

func TestSlotMovesByHand(t *testing.T) {
	w := create(t, 14, 3, 3, DefaultOptions())
	source, target := w.Members[0], w.Members[1]
	for _, step := range []struct {
		on  *Member
		cmd cluster.SetSlot
	}{
		{target, cluster.SetSlot{Slot: 0, Action: cluster.SlotImporting, ID: source.ID()}},
		{source, cluster.SetSlot{Slot: 0, Action: cluster.SlotMigrating, ID: target.ID()}},
		{target, cluster.SetSlot{Slot: 0, Action: cluster.SlotNode, ID: target.ID()}},
		{source, cluster.SetSlot{Slot: 0, Action: cluster.SlotNode, ID: target.ID()}},
	} {
		mustHold(t, w, step.on.Command(step.cmd))
		w.Run(50 * time.Millisecond)
	}
	mustHold(t, w, w.Settle(5*time.Second))
	for i := range w.Members {
		if ownerOfSlot0(w, i) != target {
			t.Errorf("member %d sees member %d as the owner", i, ownerOfSlot0(w, i).Index)
		}
	}
}

// A hung server must not stay in office because its bus still answers.
func TestUnwellPrimaryIsReplaced(t *testing.T) {
	w := create(t, 15, 3, 3, DefaultOptions())
	w.Members[0].unwell = true
	mustHold(t, w, w.RunUntil(5*time.Second, "the replica takes over", func() bool {
		return ownerOfSlot0(w, 1) == w.Members[3]
	}))
	w.Members[0].unwell = false
	mustHold(t, w, w.Settle(20*time.Second))
}

func TestPrimaryWhoseAddressWasGivenAwayIsReplaced(t *testing.T) {
	w := create(t, 16, 3, 3, DefaultOptions())
	old, replica := w.Members[0], w.Members[3]
	address := old.IP
	old.Crash()
	old.Move()
	tenant := w.AddMember(6)
	tenant.IP = address
	mustHold(t, w, w.RunUntil(6*time.Second, "the replica takes over", func() bool {
		return ownerOfSlot0(w, 1) == replica
	}))
	if len(tenant.View().Nodes) != 1 {
		t.Error("the node that has the address now was drawn into the cluster")
	}
	tenant.Crash()
	old.Restart()
	mustHold(t, w, w.Settle(20*time.Second))
}

func TestNodesThatSwapAddressesFindEachOther(t *testing.T) {
	w := create(t, 17, 3, 3, DefaultOptions())
	a, b := w.Members[3], w.Members[4]
	a.Crash()
	b.Crash()
	a.IP, b.IP = b.IP, a.IP
	a.Restart()
	b.Restart()
	mustHold(t, w, w.Settle(30*time.Second))
}
