package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/storage"
)

// infoField is a number of INFO.
func (c *client) infoField(name string) (n int64) {
	c.t.Helper()
	_, rest, found := strings.Cut(c.do("INFO everything"), "\r\n"+name+":")
	if !found {
		c.t.Fatalf("INFO has no field %s", name)
	}
	fmt.Sscan(rest, &n)
	return n
}

// activedefrag decides whether memory between keys is won back, and INFO tells
// what was done for it.
func TestActiveDefrag(t *testing.T) {
	n := startNode(t, "--activedefrag", "no", "--active-defrag-ignore-bytes", "100kb", "--active-defrag-threshold-lower", "5")
	c := n.dial()
	const keys, untouched = 60_000, 10_000
	c.pipelined(untouched, func(i int) string { return fmt.Sprintf("SET untouched:%d %s", i, strings.Repeat("v", 300)) }, word("OK"))
	c.pipelined(keys, func(i int) string { return fmt.Sprintf("SET key:%d %s", i, strings.Repeat("v", 100)) }, word("OK"))
	c.pipelined(keys, func(i int) string {
		if i%8 == 0 {
			return "PING"
		}
		return fmt.Sprintf("DEL key:%d", i)
	}, func(i int) string {
		if i%8 == 0 {
			return "PONG"
		}
		return "1"
	})
	lost := func() int64 { return c.infoField("allocator_active") - c.infoField("allocator_allocated") }
	time.Sleep(1200 * time.Millisecond) // longer than from one look to the next
	before := int64(0)                  // what was deleted is given back by and by
	eventually(t, func() bool {
		was := before
		time.Sleep(100 * time.Millisecond)
		before = lost()
		return max(before-was, was-before) < 64<<10
	})
	if hits := c.infoField("active_defrag_hits"); hits != 0 {
		t.Fatalf("%d blocks were moved", hits)
	}
	digest := c.do("DEBUG DIGEST")
	c.want("CONFIG SET activedefrag yes", "OK")
	eventually(t, func() bool {
		return c.infoField("active_defrag_key_hits") > 0 && c.infoField("active_defrag_running") == 0
	})
	for _, name := range []string{"active_defrag_hits", "active_defrag_misses", "active_defrag_key_misses"} {
		if c.infoField(name) == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	if after := lost(); after > before-1<<20 {
		t.Errorf("%d bytes are lost, %d were before", after, before)
	}
	if got := c.do("DEBUG DIGEST"); got != digest {
		t.Error("the data have changed")
	}
	c.want("CONFIG RESETSTAT", "OK")
	if hits := c.infoField("active_defrag_hits"); hits != 0 {
		t.Errorf("%d hits after CONFIG RESETSTAT", hits)
	}
}

// INFO asks for the counts of a compaction with the world locked, while another
// loop may be about to take a slot for it.
func TestInfoInATransactionDuringACompaction(t *testing.T) {
	n := startNode(t, "--event-loops", "2", "--active-defrag-ignore-bytes", "1", "--active-defrag-threshold-lower", "0")
	n.keyspace.SetCompaction(storage.CompactionPolicy{})
	c := n.dial()
	for i := range 200 {
		c.want(fmt.Sprintf("SET key:%d %s", i, strings.Repeat("v", 1+i*7)), "OK")
		c.want("MULTI", "OK")
		c.want("INFO everything", "QUEUED")
		c.want("CONFIG RESETSTAT", "QUEUED")
		c.want("CONFIG SET activedefrag yes", "QUEUED")
		c.want(fmt.Sprintf("DEL key:%d", i/2), "QUEUED")
		if reply := c.do("EXEC"); !strings.HasPrefix(reply, "[") {
			t.Fatal(reply)
		}
	}
}
