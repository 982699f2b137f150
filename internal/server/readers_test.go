package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// Clients that wait for items of a stream get those that come, each in its turn.
func TestReadersOfStreamsAreServedInTheirOrder(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	c := n.dial()
	c.want("XADD s 1-1 f old", "1-1")
	c.want("XGROUP CREATE s g $", "OK")
	any1, any2 := n.blocks("XREAD BLOCK 0 STREAMS s $"), n.blocks("XREAD BLOCK 0 COUNT 1 STREAMS other s $ 1-1")
	alice, bob := n.blocks("XREADGROUP GROUP g alice BLOCK 0 COUNT 1 STREAMS s >"), n.blocks("XREADGROUP GROUP g bob BLOCK 0 STREAMS s >")
	c.want("XADD s 2-1 f new", "2-1")
	const item = "[[s [[2-1 [f new]]]]]"
	any1.wantNext(item)
	any2.wantNext(item)
	alice.wantNext(item)
	c.want("XADD s 2-2 f newer", "2-2")
	bob.wantNext("[[s [[2-2 [f newer]]]]]")
	c.want("XPENDING s g", "[2 2-1 2-2 [[alice 1] [bob 1]]]")
	late := n.blocks("XREADGROUP GROUP g bob BLOCK 0 NOACK STREAMS s >")
	c.want("XADD s 2-3 f newest", "2-3")
	late.wantNext("[[s [[2-3 [f newest]]]]]")
	want := []string{"XGROUP SETID s g 2-3 ENTRIESREAD 4"}
	if got := n.streamed(); !slices.Equal(got[len(got)-1:], want) {
		t.Errorf("the stream ends with %q, want %q", got[len(got)-1:], want)
	}
	c.want("EXISTS other", "0")
}

// A reader for a group is told when there is nothing to wait for any more; one
// without a group goes on waiting.
func TestReadersOfGroupsThatGo(t *testing.T) {
	const gone = "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"
	const other = "WRONGTYPE Operation against a key holding the wrong kind of value"
	for _, c := range []struct{ how, says string }{
		{"DEL s", gone},
		{"UNLINK s", gone},
		{"FLUSHALL", gone},
		{"FLUSHDB", gone},
		{"RENAME s s2", gone},
		{"XGROUP DESTROY s g", gone},
		{"SET s v", other},
		{"SWAPDB 0 1", gone},
		{"RENAME list s", other},
		{"PEXPIRE s 30", gone},
	} {
		t.Run(c.how, func(t *testing.T) {
			n := startNode(t)
			client := n.dial()
			client.want("XGROUP CREATE s g $ MKSTREAM", "OK")
			client.want("RPUSH list x", "1")
			reader := n.blocks("XREAD BLOCK 0 STREAMS s 0")
			ofGroup := n.blocks("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
			client.do(c.how)
			ofGroup.wantNext("error: " + c.says)
			n.waiting(1)
			client.do("SELECT 0")
			client.do("DEL s")
			client.want("XADD s 7-7 f v", "7-7")
			reader.wantNext("[[s [[7-7 [f v]]]]]")
		})
	}
}

// Nor does it matter who finds that the key has expired: SCAN looks into each slot in a
// unit of its own.
func TestReadersOfGroupsAreToldByAScan(t *testing.T) {
	n := startNode(t)
	n.activeExpire.Store(false)
	client := n.dial()
	client.want("XGROUP CREATE s g $ MKSTREAM", "OK")
	ofGroup := n.blocks("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
	client.want("PEXPIRE s 1", "1")
	redistest.Until(t, time.Minute, "the key has expired", func() error {
		if found := client.do("SCAN 0"); found != "[0 []]" {
			return fmt.Errorf("SCAN finds %s", found)
		}
		return nil
	})
	ofGroup.wantNext("error: NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option")
	n.waiting(0)
}

// Only readers for groups count as those that wait for a key to go.
func TestInfoCountsReadersOfGroups(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("XGROUP CREATE s g $ MKSTREAM", "OK")
	n.blocks("XREAD BLOCK 0 STREAMS s t $ $")
	n.blocks("XREADGROUP GROUP g a BLOCK 0 STREAMS s >")
	b := n.blocks("XREADGROUP GROUP g b BLOCK 0 STREAMS s >")
	if all, gone := n.keyspace.Awaited(), n.keyspace.AwaitedGone(); all != 2 || gone != 1 {
		t.Errorf("%d and %d keys are waited for, want 2 and 1", all, gone)
	}
	c.do("XADD s * f v")
	c.do("DEL s")
	b.wantNext("error: NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option")
	if all, gone := n.keyspace.Awaited(), n.keyspace.AwaitedGone(); all != 0 || gone != 0 {
		t.Errorf("%d and %d keys are waited for, want none", all, gone)
	}
}

// In a transaction nobody waits, and what is not there is answered as after a
// timeout.
func TestReadersInTransactions(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("MULTI", "OK")
	c.want("XREAD BLOCK 0 STREAMS s $", "QUEUED")
	c.want("EXEC", "[(nil array)]")
	short := n.blocks("XREAD BLOCK 20 STREAMS s $")
	short.wantNext("(nil array)")
}
