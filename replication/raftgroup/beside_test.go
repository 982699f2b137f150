package raftgroup

import (
	"testing"

	"github.com/hashicorp/raft"
)

// hung is a follower of a group whose journal does not get to the disk before hang is closed, and
// a mark of the present term whose data are here and not on the disk.
func hung(t *testing.T) (b *labNode, m Mark, hang chan struct{}) {
	t.Helper()
	l := newPatientLab(t, "a", "b", "c")
	l.form("a")
	a := l.leader()
	b = l.node("b")
	if err := a.write(set(1)); err != nil {
		t.Fatal(err)
	}
	l.until(func() bool { return b.stream.Synced() >= a.stream.End() && !b.group.Owes() })
	hang = make(chan struct{})
	b.mu.Lock()
	b.disk = hang
	b.mu.Unlock()
	m.Line, m.At = b.Line()
	return b, m, hang
}

type noSink struct{ raft.SnapshotSink }

func (noSink) Write(p []byte) (int, error) { return len(p), nil }
func (noSink) Close() error                { return nil }
func (noSink) Cancel() error               { return nil }

// Of a snapshot of Raft nobody counts who has what it names: without that on the disk it is owed.
func TestSnapshotBesideItsData(t *testing.T) {
	b, m, hang := hung(t)
	s := &heldSink{SnapshotSink: noSink{}, g: b.group, index: 1, term: b.group.CurrentTerm()}
	_, _ = s.Write(append(Claim{Epoch: 1}.encode(), m.encode()...))
	if err := s.Close(); err != nil || !b.group.Owes() {
		t.Error("it owes nothing", err)
	}
	close(hang)
}

// Entries that take the place of others are refused before those go: afterwards the library would
// count on what it has cut off.
func TestWhatTakesThePlaceOfOthersIsHeldBack(t *testing.T) {
	b, m, hang := hung(t)
	defer close(hang)
	last := b.group.raft.LastIndex()
	answer := make(chan raft.RPCResponse, 1)
	b.group.wire.holdBack(raft.RPC{RespChan: answer}, &raft.AppendEntriesRequest{
		Term:    b.group.CurrentTerm(),
		Entries: []*raft.Log{{Index: last, Term: b.group.CurrentTerm(), Type: raft.LogCommand, Data: m.encode()}},
	})
	select {
	case r := <-answer:
		if a, ok := r.Response.(*raft.AppendEntriesResponse); !ok || a.Success || r.Error != nil {
			t.Errorf("%+v, %v", r.Response, r.Error)
		}
	default:
		t.Error("Raft has them, and nothing of them is on the disk")
	}
	if got := b.group.raft.LastIndex(); got < last {
		t.Errorf("the last entry is %d, and was %d", got, last)
	}
}
