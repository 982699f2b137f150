package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/redistest"
	"redoubt/replication"
	"redoubt/replication/psync"
)

// Two primaries of one shard, and one of another.
var (
	sourceP     = replication.Source{Primary: "p", Shard: "s"}
	sourceHeir  = replication.Source{Primary: "h", Shard: "s"}
	sourceOther = replication.Source{Primary: "q", Shard: "t"}
)

// follow makes the node a replica of source, at an address where nothing is.
func follow(n *Node, source replication.Source) {
	n.replicator.BecomeReplica(nobody.host, nobody.port, source)
}

// catchUp does what a link does whose primary grants a partial resync.
func catchUp(t *testing.T, n *Node) {
	t.Helper()
	if err := n.replicator.follower.Load().Continue(n.replicator.History()); err != nil {
		t.Fatal(err)
	}
}

// TestWhatANodeTellsOfItsData: votes are won with the offset and the contact, so
// nothing may be told that did not come from a primary of the shard.
func TestWhatANodeTellsOfItsData(t *testing.T) {
	const none, whole = false, true
	cases := []struct {
		name            string
		do              func(t *testing.T, n *Node)
		offset, contact bool
	}{
		{"a primary", func(t *testing.T, n *Node) {}, whole, none},
		{"an empty replica", func(t *testing.T, n *Node) { follow(n, sourceP) }, none, none},
		{"a replica in step", func(t *testing.T, n *Node) { follow(n, sourceP); catchUp(t, n) }, whole, whole},
		{"of a sibling that was promoted", func(t *testing.T, n *Node) {
			follow(n, sourceP)
			catchUp(t, n)
			follow(n, sourceHeir)
		}, none, whole},
		{"of another shard", func(t *testing.T, n *Node) {
			follow(n, sourceP)
			catchUp(t, n)
			follow(n, sourceOther)
		}, none, none},
		{"of a shard with a new name", func(t *testing.T, n *Node) {
			follow(n, sourceP)
			catchUp(t, n)
			follow(n, replication.Source{Primary: "p", Shard: "t"})
		}, whole, whole},
		{"a deposed primary", func(t *testing.T, n *Node) {
			follow(n, sourceP)
			catchUp(t, n)
			n.replicator.BecomePrimary()
			follow(n, sourceHeir)
		}, none, none},
		{"an emptied replica", func(t *testing.T, n *Node) {
			follow(n, sourceP)
			catchUp(t, n)
			n.replicator.Empty()
		}, none, none},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			n, _ := startNode(t, t.TempDir())
			set(n, n.keys.NewExecutor(), "k", "v")
			c.do(t, n)
			told := n.facts()
			if (told.Offset != 0) != c.offset || (!told.PrimaryContact.IsZero()) != c.contact {
				t.Errorf("offset %d, contact %v; want offset %v, contact %v", told.Offset, told.PrimaryContact, c.offset, c.contact)
			}
			if told.Offset != 0 && told.Offset != int64(n.stream.End()) {
				t.Errorf("offset %d, the stream ends at %d", told.Offset, n.stream.End())
			}
		})
	}
}

// TestANodeThatLoadsHasNothingToTell: the keys are those of half a snapshot.
func TestANodeThatLoadsHasNothingToTell(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	set(n, n.keys.NewExecutor(), "k", "v")
	follow(n, sourceP)
	catchUp(t, n)
	before := n.facts()
	path := filepath.Join(n.stream.Dir(), "temp-replication.rdb")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan error, 1)
	f := n.replicator.follower.Load()
	go func() {
		loaded <- f.Replace(t.Context(), psync.Full{Path: path, History: n.replicator.History(), At: 1000})
	}()
	redistest.Until(t, 10*time.Second, "nothing is told", func() error {
		if told := n.facts(); told.Offset != 0 || !told.PrimaryContact.IsZero() {
			return errors.New("it tells of its data")
		}
		return nil
	})
	end, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	end.Close()
	if err := <-loaded; err == nil {
		t.Fatal("an empty file was loaded")
	}
	if told := n.facts(); told != before {
		t.Errorf("the old data are there again, but it tells %+v, not %+v", told, before)
	}
}

// TestARestartedReplicaCanStand: its journal is whole, so the data are as good
// as before.
func TestARestartedReplicaCanStand(t *testing.T) {
	dir := t.TempDir()
	n, stop := startNode(t, dir, "--cluster-enabled", "yes")
	n.replicator.BecomePrimary()
	set(n, n.keys.NewExecutor(), "k", "v")
	follow(n, sourceP)
	catchUp(t, n)
	before := n.facts()
	stop()
	n, stop = startNode(t, dir, "--cluster-enabled", "yes")
	follow(n, sourceP)
	told := n.facts()
	if told.Offset != before.Offset || told.PrimaryContact.UnixMilli() != before.PrimaryContact.UnixMilli() {
		t.Errorf("it tells %+v, before %+v", told, before)
	}
	follow(n, sourceOther)
	stop()
	n, _ = startNode(t, dir, "--cluster-enabled", "yes")
	follow(n, sourceP)
	if told := n.facts(); told.Offset != 0 || !told.PrimaryContact.IsZero() {
		t.Errorf("between two restarts it followed another shard, and tells %+v", told)
	}
}
