package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// Replicas of either kind have the data of their primary after a full resync
// during which the history goes on, while they follow, and after the link broke.
func TestRandomHistoriesReachReplicas(t *testing.T) {
	t.Parallel()
	redoubt, redis := redistest.Redoubt, redistest.Redis
	for i, c := range []struct{ primary, replica redistest.Kind }{
		{redis, redoubt}, {redoubt, redis}, {redoubt, redoubt},
	} {
		t.Run(fmt.Sprintf("%v of %v", c.replica, c.primary), func(t *testing.T) {
			primary := start(t, c.primary)
			h := newHistory(t, primary, uint64(i))
			h.run(150)
			replica := start(t, c.replica)
			h.run(50)
			replica.Do("REPLICAOF", "127.0.0.1", primary.Port)
			h.run(150)
			h.calm()
			sameDigest(t, primary, replica)
			for range 3 {
				h.run(50)
				primary.Do("CLIENT", "KILL", "TYPE", "replica")
				h.run(100)
			}
			h.calm()
			sameDigest(t, primary, replica)
			if c.replica == redoubt {
				replica.Kill()
				h.run(100)
				replica.Restart()
				replica.Do("REPLICAOF", "127.0.0.1", primary.Port)
				h.run(100)
				h.calm()
				sameDigest(t, primary, replica)
			}
			t.Logf("%d commands, at the end %v", h.sent, types(t, primary))
		})
	}
}

// What was answered is there after a restart, however the node ended and
// whatever it was doing.
func TestRandomHistoriesSurviveRestarts(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	for i, c := range []struct {
		name string
		args []string
		end  func(s *redistest.Server)
	}{
		{"everysec, killed", []string{"--appendonly", "yes", "--appendfsync", "everysec"}, (*redistest.Server).Kill},
		{"always, killed", []string{"--appendonly", "yes", "--appendfsync", "always"}, (*redistest.Server).Kill},
		{"everysec, orderly", []string{"--appendonly", "yes"}, (*redistest.Server).Terminate},
		{"no journal, orderly", []string{"--appendonly", "no", "--save", "3600 1"}, (*redistest.Server).Terminate},
		{"no journal, saved and killed", []string{"--appendonly", "no"}, func(s *redistest.Server) {
			s.Do("SAVE")
			s.Kill()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A base is made whenever the journal has grown a little.
			journal := !slices.Contains(c.args, "no")
			args := append(c.args, "--auto-aof-rewrite-percentage", "1", "--auto-aof-rewrite-min-size", "16kb")
			s := start(t, redistest.Redoubt, args...)
			h := newHistory(t, s, uint64(10+i))
			for range 3 {
				h.run(60)
				if journal {
					h.send(h.clients[0], []any{"BGSAVE"})
				}
				h.run(30)
				h.calm()
				want := content(s)
				c.end(s)
				s.Restart()
				if got := content(s); got != want {
					t.Fatalf("the digest was %s and is %s", want, got)
				}
				h.connect(s)
			}
			if journal && !strings.Contains(s.Log(), "Background saving terminated with success") {
				t.Error("no snapshot was made")
			}
			t.Logf("%d commands, at the end %v", h.sent, types(t, s))
		})
	}
}

// A dump.rdb of either kind is read by the other, and payloads of DUMP go both
// ways.
func TestDumpsGoBothWays(t *testing.T) {
	t.Parallel()
	for i, kinds := range [][2]redistest.Kind{{redistest.Redis, ours()}, {ours(), redistest.Redis}} {
		t.Run(fmt.Sprintf("from %v to %v", kinds[0], kinds[1]), func(t *testing.T) {
			from, to := start(t, kinds[0], "--appendonly", "no"), start(t, kinds[1], "--appendonly", "no")
			h := newHistory(t, from, uint64(20+i))
			for round := range 2 {
				h.run(100)
				h.calm()
				from.Do("SAVE")
				file, err := os.ReadFile(filepath.Join(from.Dir, "dump.rdb"))
				if err != nil {
					t.Fatal(err)
				}
				to.Kill()
				if err := os.WriteFile(filepath.Join(to.Dir, "dump.rdb"), file, 0o600); err != nil {
					t.Fatal(err)
				}
				to.Restart()
				sameDigest(t, from, to)

				to.Do("FLUSHALL")
				restoreAll(t, from, to)
				sameDigest(t, from, to)
				t.Logf("round %d: %v", round, types(t, from))
			}
		})
	}
}

// restoreAll brings all keys over by DUMP and RESTORE.
func restoreAll(t *testing.T, from, to *redistest.Server) {
	t.Helper()
	a, b := from.Client(), to.Client()
	do := func(c *redistest.Client, args ...any) any {
		t.Helper()
		reply, err := c.Do(args...)
		if err != nil {
			t.Fatalf("%.100q: %v", args, err)
		}
		return reply
	}
	for db := range historyDBs {
		do(a, "SELECT", db)
		do(b, "SELECT", db)
		for _, key := range do(a, "KEYS", "*").([]any) {
			at := do(a, "PEXPIRETIME", key).(int64)
			do(b, "RESTORE", key, max(at, 0), do(a, "DUMP", key), "ABSTTL")
		}
	}
}
