package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The lengths are those of redis-server 7.0.15.
func TestDebugObjectTellsTheLengthInAFile(t *testing.T) {
	c := startNode(t).dial()
	for _, step := range []struct{ line, key, length string }{
		{"SET a hello", "a", "6"},
		{"RPUSH q a b c", "q", "19"},
		{"HSET h a b c d", "h", "20"},
		{"SADD s 1 2 3", "s", "15"},
	} {
		c.do(step.line)
		if got := c.do("DEBUG OBJECT " + step.key); !strings.Contains(got, " serializedlength:"+step.length+" ") {
			t.Errorf("after %s: %s, want the length %s", step.line, got, step.length)
		}
	}
}

func TestDebugObjectTellsTheLastUse(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	before := time.Now().Unix()
	c.want("SET k v", "OK")
	_, tail, _ := strings.Cut(c.do("DEBUG OBJECT k"), " lru:")
	var lru, idle int64
	if _, err := fmt.Sscanf(tail, "%d lru_seconds_idle:%d", &lru, &idle); err != nil || (lru-before)&(1<<24-1) > 1<<23 || idle > time.Now().Unix()-before {
		t.Errorf("lru:%s, want the clock at %d: %v", tail, before, err)
	}
}

func TestDebugTellsOfHashTables(t *testing.T) {
	c := startNode(t).dial()
	const head, empty = "Hash table 0 stats (main hash table):\n", "Hash table 0 stats (main hash table):\nNo stats available for empty dictionaries\n"
	c.want("DEBUG HTSTATS 9", "[Dictionary HT]\n"+empty+"[Expires HT]\n"+empty)
	c.want("SET a 1 EX 100", "OK")
	c.want("SET b 1", "OK")
	var cells, keys, homes, longest int
	var average float64
	got := c.do("DEBUG HTSTATS 0 full")
	if _, err := fmt.Sscanf(got, "[Dictionary HT]\n"+head+" table size: %d\n number of elements: %d\n different slots: %d\n max chain length: %d\n avg chain length: %f\n",
		&cells, &keys, &homes, &longest, &average); err != nil || cells < 2 || keys != 2 || homes != 2 || longest != 1 || average != 1 {
		t.Errorf("%v: %s", err, got)
	}
	if got := c.do("DEBUG HTSTATS 0"); !strings.HasSuffix(got, " number of elements: 2\n[Expires HT]\n"+head+" table size: 0\n number of elements: 1\n") {
		t.Errorf("%s", got)
	}
	c.want("DEBUG HTSTATS 16", "error: ERR Out of range database")
	c.want("DEBUG HTSTATS x", "error: ERR value is not an integer or out of range")
	c.want("DEBUG HTSTATS-KEY none", "error: ERR no such key")
	c.want("DEBUG HTSTATS-KEY a", "error: ERR The value stored at the specified key is not represented using an hash table")
}

func TestDebugOfABusThatIsNone(t *testing.T) {
	c := startNode(t).dial()
	c.want("DEBUG DROP-CLUSTER-PACKET-FILTER 3", "OK")
	c.want("DEBUG DROP-CLUSTER-PACKET-FILTER x", "error: ERR value is not an integer or out of range")
	c.want("DEBUG CLOSE-CLUSTER-LINK-ON-PACKET-DROP 1", "OK")
	c.want("DEBUG CLUSTERLINK KILL ALL x", "error: ERR Debug option only available for cluster mode enabled setup!")
}
