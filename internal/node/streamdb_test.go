package node

import (
	"fmt"
	"testing"

	"redoubt/replication"
	"redoubt/storage"
)

// TestABaseKnowsTheDatabaseOfTheStream: one that is made when nothing has been written
// since a promotion, or since a replica was sent a snapshot, is what a later rewind begins
// with. What the new primary sends then is for the database that was selected before.
func TestABaseKnowsTheDatabaseOfTheStream(t *testing.T) {
	for _, reset := range []string{"a promotion", "a snapshot for a replica"} {
		t.Run(reset, func(t *testing.T) {
			dir := t.TempDir()
			n, stop := startNode(t, dir)
			write := func(db int, key string) replication.Offset {
				n.keys.World(now(), func(tx *storage.Tx) {
					tx.Select(db)
					tx.Command([]byte(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\n%s\r\n$1\r\nv\r\n", key)))
					tx.SetString([]byte(key), []byte("v"), 0, 0)
					tx.CommandEnd()
				})
				return n.stream.End()
			}
			at := write(3, "k")
			if reset == "a promotion" {
				n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
				n.replicator.BecomePrimary()
			} else {
				n.keys.World(now(), func(tx *storage.Tx) { n.persistence.header(tx, forTransfer) })
			}
			heir := replication.Upstream{History: n.replicator.History().Branch(idOther, at), End: at + 100, Serves: true}
			if err := n.persistence.askBase().wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			n.stream.KeepBase(at)
			write(0, "m")
			stop()
			n, _ = startNode(t, dir, asReplica...)
			rewind(t, n, heir)
			if got := position(n); got.End != at || got.DB != 3 {
				t.Errorf("the node is at %+v, want offset %d in database 3", got, at)
			}
		})
	}
}
