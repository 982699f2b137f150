package node

import (
	"testing"

	"redoubt/replication"
	"redoubt/storage"
)

// TestWhatIsDroppedSelectsNoDatabase: a message that was published meanwhile, in another
// database, is dropped with the SELECT before it.
func TestWhatIsDroppedSelectsNoDatabase(t *testing.T) {
	for _, journal := range []string{"yes", "no"} {
		t.Run("appendonly "+journal, func(t *testing.T) {
			n, _ := startNode(t, t.TempDir(), "--appendonly", journal)
			write := func(db int, command string, change func(tx *storage.Tx)) {
				n.keys.World(now(), func(tx *storage.Tx) {
					tx.Select(db)
					tx.Command([]byte(command))
					change(tx)
					tx.CommandEnd()
				})
			}
			write(3, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", func(tx *storage.Tx) { tx.SetString([]byte("k"), []byte("v"), 0, 0) })
			n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
			want := position(n)
			for range 2 {
				n.replicator.BecomePrimary()
				write(0, "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\nm\r\n", (*storage.Tx).Force)
				if end := n.stream.End(); end == want.End {
					t.Fatal("the message is not in the stream")
				}
				n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
				if got := position(n); got != want || got.DB != 3 {
					t.Errorf("the node is at %+v, want %+v, in database 3", got, want)
				}
			}
		})
	}
}
