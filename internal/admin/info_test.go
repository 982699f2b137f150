package admin_test

import (
	"strings"
	"testing"
)

func TestMemoryTellsWhatItKnows(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("DEBUG POPULATE 1000", "OK")
	stats := c.do("MEMORY STATS")
	for _, want := range []string{"keys.count 1000", "db.0 [overhead.hashtable.main", "dataset.percentage"} {
		if !strings.Contains(stats, want) {
			t.Errorf("%s is missing in %s", want, stats)
		}
	}
	c.want("MEMORY PURGE", "OK")
	c.want("MULTI", "OK")
	c.want("MEMORY PURGE", "QUEUED")
	c.want("EXEC", "[OK]")
	if text := c.do("MEMORY MALLOC-STATS"); !strings.Contains(text, "redoubt-slab") {
		t.Errorf("MALLOC-STATS: %s", text)
	}
	if text := c.do("MEMORY DOCTOR"); !strings.Contains(text, "too little data") {
		t.Errorf("DOCTOR: %s", text)
	}
}
