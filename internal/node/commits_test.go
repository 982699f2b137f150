package node

import (
	"testing"

	"go.uber.org/zap"

	"redoubt/replication"
	"redoubt/storage"
	"redoubt/storage/journal"
)

// acknowledgedUpTo stands for replicas.
type acknowledgedUpTo replication.Offset

func (a acknowledgedUpTo) Enough(int) replication.Offset { return replication.Offset(a) }

// Replies wait for the journal and for replicas; what is in the stream before they do
// counts as acknowledged, and what the role or the setting ends does not come back.
func TestCommitsOfReplicas(t *testing.T) {
	stream, _, err := journal.Open(journal.Config{Dir: t.TempDir(), BacklogBytes: 1 << 20, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	c := newCommits(stream, 0)
	told := 0
	c.OnCommit(func(replication.Offset) { told++ })
	c.setPrimary(true)
	unit := func() replication.Offset { return stream.Append(-1, -1, make([]byte, 10)) }
	want := func(what string, committed, shown replication.Offset) {
		t.Helper()
		if c.Committed() != committed || c.Shown() != shown {
			t.Errorf("%s: committed up to %d and shown up to %d, want %d and %d", what, c.Committed(), c.Shown(), committed, shown)
		}
	}
	unit()
	want("without replicas", 10, 10)
	c.replicas = acknowledgedUpTo(0)
	c.setNeed(1)
	want("what was there before", 10, 10)
	unit()
	unit()
	want("nobody has acknowledged", 10, 10)
	c.replicas = acknowledgedUpTo(20)
	c.acknowledged()
	want("a replica has acknowledged", 20, 20)
	c.replicas = acknowledgedUpTo(1000)
	c.acknowledged()
	want("it acknowledges what there is not", 30, 30)
	c.replicas = acknowledgedUpTo(0)
	unit()
	c.acknowledged()
	want("it has gone", 30, 30)
	c.GiveUp(40)
	want("it was waited for in vain", 30, 40)
	term := c.Term()
	c.setPrimary(false)
	if c.Term() == term {
		t.Error("the term goes on with another role")
	}
	unit()
	want("a replica shows what it has, and a writable one waits for nobody", 50, 50)
	c.setPrimary(true)
	want("a primary again", 50, 50)
	unit()
	want("it waits", 50, 50)
	before := told
	c.setNeed(0)
	want("replicas do not count any more", 60, 60)
	if told == before {
		t.Error("nobody is told")
	}
}

// TestAQuestionDuringAPauseWasNotPut: replicas are asked when the stream goes on.
func TestAQuestionDuringAPauseWasNotPut(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--min-replicas-to-ack", "1")
	end := set(n, n.keys.NewExecutor(), "k", "v")
	attachAcked(t, n, end)
	pause := func(on bool) { n.keys.World(now(), func(tx *storage.Tx) { tx.PauseExpiry(on) }) }
	e := n.keys.NewExecutor()
	pause(true)
	n.replicator.acksTo.Store(0)
	n.replicator.WantAcks(e)
	if n.stream.End() != end || n.replicator.acksTo.Load() != 0 {
		t.Errorf("during the pause the stream ends at %d, was at %d; noted is %d", n.stream.End(), end, n.replicator.acksTo.Load())
	}
	pause(false)
	n.replicator.WantAcks(e)
	if n.stream.End() == end || n.replicator.acksTo.Load() == 0 {
		t.Error("behind it they are not asked")
	}
}
