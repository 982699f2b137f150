package cluster

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"redoubt/bus"
	"redoubt/slots"
)

// written is a state as nodes.conf has it after a restart: without the times
// and link states that a restart replaces.
func written(s *State) string {
	c := *s
	c.LogID = 0
	c.Nodes = slices.Clone(s.Nodes)
	for i := range c.Nodes {
		r := &c.Nodes[i]
		r.Connected = false
		for _, at := range []*time.Time{&r.PingSent, &r.PongReceived} {
			if !at.IsZero() {
				*at = time.UnixMilli(1)
			}
		}
	}
	return string(c.Append(nil))
}

// drawState invents a state of up to five nodes, of which the first is the node
// itself; by reset it is another one.
func drawState(t *rapid.T) *State {
	idOf := func(i int) bus.NodeID { return bus.NodeID(strings.Repeat(fmt.Sprintf("%02x", i), bus.IDLen/2)) }
	s := &State{
		CurrentEpoch:  bus.Epoch(rapid.IntRange(0, 3).Draw(t, "epoch")),
		LastVoteEpoch: bus.Epoch(rapid.IntRange(0, 3).Draw(t, "vote")),
	}
	myself := rapid.IntRange(0, 1).Draw(t, "myself")
	for i := range 5 {
		if i != myself && rapid.Bool().Draw(t, "absent") {
			continue
		}
		r := NodeRecord{
			ID: idOf(i), IP: rapid.SampledFrom([]string{"", "127.0.0.1", "::1"}).Draw(t, "ip"),
			TCPPort: 7000 + uint16(i), BusPort: 17000, Hostname: rapid.SampledFrom([]string{"", "a.example"}).Draw(t, "host"),
			HumanName: rapid.SampledFrom([]string{"", "b"}).Draw(t, "name"),
			Flags:     rapid.SampledFrom([]bus.Flags{bus.FlagPrimary, bus.FlagPrimary | bus.FlagFail, bus.FlagReplica, bus.FlagPrimary | bus.FlagMigrateTo}).Draw(t, "flags"),
			Slots:     new(slots.Set), ConfigEpoch: bus.Epoch(rapid.IntRange(0, 3).Draw(t, "config epoch")),
			Connected: rapid.Bool().Draw(t, "connected"),
		}
		if rapid.Bool().Draw(t, "pong") {
			r.PongReceived = time.UnixMilli(rapid.Int64Range(1, 9).Draw(t, "at"))
		}
		for range rapid.IntRange(0, 3).Draw(t, "ranges") {
			first := rapid.IntRange(0, slots.Count-1).Draw(t, "first")
			last := rapid.IntRange(first, min(first+20, slots.Count-1)).Draw(t, "last")
			r.Slots.AddRange(slots.Range{First: slots.Slot(first), Last: slots.Slot(last)})
		}
		if i == myself {
			r.Flags |= bus.FlagMyself
			if rapid.Bool().Draw(t, "migrating") {
				r.Migrating = []OpenSlot{{slots.Slot(rapid.IntRange(0, 9).Draw(t, "slot")), idOf(3)}}
			}
		}
		if r.Flags.Has(bus.FlagReplica) {
			r.Primary = idOf(4)
		}
		s.Nodes = append(s.Nodes, r)
	}
	return s
}

// A nodes.conf and the changes behind it say what the last state did.
func TestChangesLeadToTheLastState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last := drawState(t)
		read, err := ParseState(last.Append(nil), false)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			next := drawState(t)
			change := next.AppendChanges(nil, last)
			if err := read.Change(change); err != nil {
				t.Fatalf("%v in\n%s", err, change)
			}
			if got, want := written(read), written(next); got != want {
				t.Fatalf("after\n%sthe state is\n%swant\n%s", change, got, want)
			}
			last = next
		}
	})
}

// A change is about what it changes: moving a slot in a cluster of a hundred
// nodes takes two short lines.
func TestTheChangeOfASlotIsSmall(t *testing.T) {
	old := &State{CurrentEpoch: 7}
	for i := range 100 {
		old.Nodes = append(old.Nodes, NodeRecord{
			ID: bus.NodeID(fmt.Sprintf("%040x", i)), IP: "10.0.0.1", TCPPort: 6379, BusPort: 16379,
			Flags: bus.FlagPrimary, PongReceived: time.UnixMilli(1), Slots: new(slots.Set),
		})
		old.Nodes[i].Slots.AddRange(slots.Range{First: slots.Slot(100 * i), Last: slots.Slot(100*i + 99)})
	}
	next := *old
	next.Nodes = slices.Clone(old.Nodes)
	from, to := *old.Nodes[3].Slots, *old.Nodes[8].Slots
	from.Remove(350)
	to.Add(350)
	next.Nodes[3].Slots, next.Nodes[8].Slots = &from, &to
	next.Nodes[5].PongReceived = time.UnixMilli(99) // what every message brings
	next.Nodes[6].Connected = true
	want := fmt.Sprintf("slots %040x -350\nslots %040x +350\nvars currentEpoch 7 lastVoteEpoch 0\n", 3, 8)
	if got := string(next.AppendChanges(nil, old)); got != want {
		t.Errorf("the change is\n%swant\n%s", got, want)
	}
}

func TestAChangeThatCannotBeIsRefused(t *testing.T) {
	const conf = idA + " 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-99\nvars currentEpoch 1 lastVoteEpoch 0\n"
	for _, change := range []string{
		"node\n",
		"node " + idB + "\n",
		"node " + idB + " 127.0.0.1:1@2 myself,master - 0 0 1 connected\n", // a second self
		"slots\n",
		"slots " + idB + " +5\n",
		"slots " + idA + " 5\n",
		"slots " + idA + " +\n",
		"slots " + idA + " +16384\n",
		"slots " + idA + " +5-\n",
		"gone " + idB + "\n",
		"gone " + idA + "\n",
		"vars currentEpoch\n",
		"vars currentEpoch x\n",
		"hello " + idA + "\n",
	} {
		s, err := ParseState([]byte(conf), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Change([]byte(change)); err == nil {
			t.Errorf("%q was taken", change)
		}
	}
}

func FuzzChange(f *testing.F) {
	const conf = idA + " 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-99\nvars currentEpoch 1 lastVoteEpoch 0\n"
	f.Add([]byte("slots " + idA + " -5 +100-200\nvars currentEpoch 2 lastVoteEpoch 2\n"))
	f.Add([]byte("node " + idB + " 127.0.0.1:1@2,,tls-port=0 slave " + idA + " 0 0 1 connected\ngone " + idB + "\n"))
	f.Fuzz(func(t *testing.T, change []byte) {
		s, err := ParseState([]byte(conf), false)
		if err != nil {
			t.Fatal(err)
		}
		if s.Change(change) != nil {
			return
		}
		again, err := ParseState(s.Append(nil), false)
		if err != nil {
			t.Fatalf("%q leads to a file that cannot be read: %v", change, err)
		}
		if !bytes.Equal(again.Append(nil), s.Append(nil)) {
			t.Fatalf("%q leads to a file that reads otherwise", change)
		}
	})
}

// SAVECONFIG is for somebody who wants to read nodes.conf.
func TestSaveConfigAsksForTheWholeFile(t *testing.T) {
	l := newLab(t, "a", threeShards())
	if fx := l.step(SaveConfig{}); fx.Persist == nil || !fx.Persist.Whole {
		t.Errorf("saved: %+v", fx.Persist)
	}
	if fx := l.step(BumpEpoch{}); fx.Persist == nil || fx.Persist.Whole {
		t.Errorf("saved: %+v", fx.Persist)
	}
}
