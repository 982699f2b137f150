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

// The time of event loops counts with every turn, not with the housekeeping only, and
// its details are shown to who asks for them.
func TestInfoTellsWhatEventLoopsDo(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("DEBUG PAUSE-CRON 1", "OK")
	c.want("CONFIG RESETSTAT", "OK")
	c.want("PING", "PONG")
	if stats := c.do("INFO stats"); strings.Contains(stats, "eventloop_duration_sum:0\r\n") || !strings.Contains(stats, "eventloop_duration_sum:") {
		t.Errorf("no time of turns in %q", stats)
	}
	debug := c.do("INFO debug")
	for _, want := range []string{"# Debug", "eventloop_duration_aof_sum:0", "eventloop_duration_cron_sum:", "eventloop_duration_max:", "eventloop_cmd_per_cycle_max:1\r\n"} {
		if !strings.Contains(debug, want) {
			t.Errorf("%s is missing in %q", want, debug)
		}
	}
	if strings.Contains(debug, "eventloop_duration_max:0\r\n") {
		t.Errorf("no longest turn in %q", debug)
	}
	for _, request := range []string{"INFO", "INFO default", "INFO all", "INFO everything"} {
		if all := c.do(request); strings.Contains(all, "eventloop_duration_max") || !strings.Contains(all, "eventloop_cycles") {
			t.Errorf("%s has details that are for debugging, or lacks others", request)
		}
	}
	if some := c.do("INFO debug keyspace commandstats"); !strings.Contains(some, "eventloop_duration_max") || !strings.Contains(some, "cmdstat_ping") || strings.Contains(some, "# Server") {
		t.Errorf("three sections are %q", some)
	}
}
