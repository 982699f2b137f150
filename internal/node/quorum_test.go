package node

import (
	"testing"

	"redoubt/replication"
	"redoubt/replication/raftgroup"
)

// A mark that is learned before the node goes on in the stream that it names is taken in
// when it does, and further when the stream grows: there may be no other.
func TestAMarkIsLearnedBeforeItsStream(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	e := n.keys.NewExecutor()
	end := set(n, e, "k", "v")
	q := newQuorum(n)
	n.quorum, n.commits.quorum = q, q
	n.commits.parted()
	want := func(what string, at replication.Offset) {
		t.Helper()
		if got := n.commits.Committed(); got != at {
			t.Errorf("%s: committed up to %d, want %d", what, got, at)
		}
	}
	line := newID()
	q.Learned(raftgroup.Mark{Line: line, At: end + 5})
	want("the mark of another stream", 0)
	f := newFollower(n.replicator, role{replica: true})
	n.replicator.follower.Store(f)
	if err := f.Continue(replication.NewHistory(line)); err != nil {
		t.Fatal(err)
	}
	want("the stream goes on as that one", end)
	n.stream.Append(-1, -1, make([]byte, 10))
	n.stream.TellReaders()
	want("it has grown beyond the mark", end+5)
}
