package interop

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// TestSoak lets a primary of ours with a replica of either kind go on for as long
// as $SOAK says: random commands of all types, snapshots, keys that expire, memory
// that is cleared and compacted, keys that are evicted, links that break, nodes that
// are killed, every value of appendfsync. Now and then the data of all of them are
// compared. It does not run unless it is asked for, see make soak.
func TestSoak(t *testing.T) {
	text, asked := os.LookupEnv("SOAK")
	if !asked {
		t.Skip("$SOAK is not set")
	}
	long, err := positiveTime("SOAK", text)
	if err != nil {
		t.Fatal(err)
	}
	oursOnly(t)
	end := time.Now().Add(long)
	journal := []string{"--appendonly", "yes", "--auto-aof-rewrite-percentage", "1", "--auto-aof-rewrite-min-size", "1mb"}
	primary := start(t, redistest.Redoubt, journal...)
	replicas := []*redistest.Server{
		start(t, redistest.Redoubt, journal...),
		start(t, redistest.Redis),
	}
	for _, r := range replicas {
		r.Do("REPLICAOF", "127.0.0.1", primary.Port)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	h := newHistory(t, primary, seed)
	rounds := 0
	for ; time.Now().Before(end); rounds++ {
		h.run(20 + h.lines.IntN(100))
		h.disturb(replicas)
		h.run(20 + h.lines.IntN(100))
		h.calm()
		for _, r := range replicas {
			sameDigest(t, primary, r)
		}
		if h.lines.IntN(4) > 0 {
			continue
		}
		before := digest(primary)
		if h.lines.IntN(2) == 0 {
			primary.Kill()
		} else {
			primary.Terminate()
		}
		primary.Restart()
		if after := digest(primary); after != before {
			t.Fatalf("round %d: the digest was %s before the restart and is %s", rounds, before, after)
		}
		h.connect(primary)
	}
	t.Logf("%d rounds, %d commands, %d starts, at the end %v", rounds, h.sent,
		strings.Count(primary.Log(), "Ready to accept connections"), types(t, primary))
}

// disturb does what clients do not do.
func (h *history) disturb(replicas []*redistest.Server) {
	switch ours := replicas[0]; h.lines.IntN(10) {
	case 0, 1:
		h.send(h.clients[0], []any{"BGSAVE"})
	case 2:
		h.send(h.clients[0], []any{"CLIENT", "KILL", "TYPE", "replica"})
	case 3:
		ours.Kill()
		h.run(20)
		ours.Restart()
		ours.Do("REPLICAOF", "127.0.0.1", h.s.Port)
	case 4:
		ours.Pause()
		h.run(20)
		ours.Resume()
	case 5:
		replicas[1].Do("REPLICAOF", "NO", "ONE")
		replicas[1].Do("REPLICAOF", "127.0.0.1", h.s.Port)
	case 6:
		h.churn()
	case 7:
		h.send(h.clients[0], []any{"FLUSHALL", "ASYNC"})
	case 8:
		h.evict()
	case 9:
		policies := []string{"always", "everysec", "no"}
		h.send(h.clients[0], []any{"CONFIG", "SET", "appendfsync", policies[h.lines.IntN(3)]})
	}
}

// evict lets the primary have less memory for a while than its keys take.
func (h *history) evict() {
	policies := []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"}
	used, err := strconv.Atoi(h.s.Info("used_memory"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.send(h.clients[0], []any{"CONFIG", "SET", "maxmemory-policy", policies[h.lines.IntN(len(policies))], "maxmemory", used - h.lines.IntN(64<<10)})
	h.run(20)
	h.send(h.clients[0], []any{"CONFIG", "SET", "maxmemory", 0})
}

// churn makes many keys and deletes most of them, so that memory is compacted.
func (h *history) churn() {
	for range 40 {
		var batch [][]any
		for range 250 {
			name := h.lines.Int64()
			batch = append(batch, []any{"SET", name, strings.Repeat("v", h.lines.IntN(300))})
			if h.lines.IntN(10) > 0 {
				batch = append(batch, []any{"DEL", name})
			}
		}
		h.send(h.clients[1], batch...)
	}
	h.send(h.clients[1], []any{"FLUSHDB"})
}
