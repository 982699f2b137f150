package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
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

// Clients with subscriptions and clients with watches are counted, whatever ends these.
func TestInfoCountsSubscribersAndWatchers(t *testing.T) {
	n := startNode(t)
	a, b, other := n.dial(), n.dial(), n.dial()
	want := func(after string, subscribed, watching, keys int) {
		t.Helper()
		redistest.Until(t, 10*time.Second, after, func() error {
			info := other.do("INFO clients")
			for _, line := range []string{
				fmt.Sprintf("pubsub_clients:%d\r\n", subscribed),
				fmt.Sprintf("watching_clients:%d\r\n", watching),
				fmt.Sprintf("total_watched_keys:%d\r\n", keys),
			} {
				if !strings.Contains(info, line) {
					return fmt.Errorf("%q is missing in %q", line, info)
				}
			}
			return nil
		})
	}
	want("the start", 0, 0, 0)
	a.want("WATCH x y x", "OK")
	b.want("WATCH x", "OK")
	want("WATCH", 0, 2, 2)
	if line := a.do("CLIENT INFO"); !strings.Contains(line, " watch=2 ") {
		t.Errorf("CLIENT INFO: %s", line)
	}
	a.want("UNWATCH", "OK")
	want("UNWATCH", 0, 1, 1)
	b.want("MULTI", "OK")
	b.want("EXEC", "[]")
	want("EXEC", 0, 0, 0)
	a.want("WATCH x", "OK")
	a.want("MULTI", "OK")
	a.want("DISCARD", "OK")
	want("DISCARD", 0, 0, 0)
	a.do("SUBSCRIBE c")
	a.do("PSUBSCRIBE p")
	b.do("SSUBSCRIBE s")
	want("SUBSCRIBE", 2, 0, 0)
	a.do("UNSUBSCRIBE c")
	b.do("SUNSUBSCRIBE")
	want("UNSUBSCRIBE", 1, 0, 0)
	b.want("WATCH x", "OK")
	b.Close()
	a.Close()
	want("the end", 0, 0, 0)
}
