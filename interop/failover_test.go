package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// takeoverLimit is within what a replica has taken over: the votes of the
// others after node-timeout, and three seconds.
const takeoverLimit = nodeTimeout + 3*time.Second

// The median of the takeovers after kill -9 stays within the limit, and the
// killed primary comes back as a replica. Real Redis is measured beside ours.
func TestAReplicaTakesOver(t *testing.T) {
	t.Parallel()
	for _, kind := range []redistest.Kind{redistest.Redoubt, redistest.Redis} {
		t.Run(kind.String(), func(t *testing.T) {
			// A killed process is noticed at once, whatever the node timeout is.
			rounds, timeout, limit := 5, 10*time.Second, 5*time.Second
			if kind == redistest.Redis {
				rounds, timeout, limit = 3, nodeTimeout, takeoverLimit
			}
			c := startCluster(t, timeout, []redistest.Kind{kind})
			work := startLoad(t, c, 300)
			work.untilMore(300)
			var took []time.Duration
			for i := range rounds {
				old := primaries(t, c)[i%3]
				heir := replicaOf(t, c, old)
				untilInStep(t, heir, old)
				key := keyIn(myself(t, old).first(t), "failover:")
				full, partial := counter(t, heir, "sync_full"), counter(t, heir, "sync_partial_ok")
				old.Kill()
				took = append(took, untilWritten(t, heir, key, settle))

				before, beside := len(old.Log()), len(heir.Log())
				old.Restart()
				c.UntilStable(settle)
				agree(t, c)
				if got := old.Info("role"); got != "slave" {
					t.Fatalf("the killed primary came back as %s", got)
				}
				if got := old.Info("master_port"); got != heir.Info("tcp_port") {
					t.Errorf("the killed primary follows port %s, not %d", got, heir.Port)
				}
				log := old.Log()[before:]
				switch {
				case counter(t, heir, "sync_partial_ok") > partial:
					t.Logf("takeover %v; the old primary came back partially", took[i])
				case counter(t, heir, "sync_full") > full:
					why := lines(log+heir.Log()[beside:], whyFull)
					t.Logf("takeover %v; the old primary came back by a full resync: %q", took[i], why)
					if len(why) == 0 {
						t.Errorf("no log says why the resync was full:\n%s", log)
					}
				default:
					t.Error("the new primary counts no resync")
				}
			}
			agree(t, c)
			slices.Sort(took)
			if median := took[rounds/2]; median > limit {
				t.Errorf("the median takeover took %v, the limit is %v: %v", median, limit, took)
			}
			r := work.end()
			if r.Unverified > 0 || r.Foreign > 0 {
				t.Errorf("%d keys unread, %d foreign values", r.Unverified, r.Foreign)
			}
			t.Logf("takeovers: %v; %d writes, %d of them lost to asynchronous replication", took, r.Writes.OK, len(r.Lost))
		})
	}
}

// whyFull matches the lines in which a primary or a replica says why a resync
// has to be full.
var whyFull = regexp.MustCompile(`(?i)(partial resync[a-z]* (request )?(not accepted|not possible)|unable to partial resync|full resync|not in (our|the) history|replication id mismatch)`)

// lines are the lines of a log that match.
func lines(log string, what *regexp.Regexp) (found []string) {
	for line := range strings.Lines(log) {
		if what.MatchString(line) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// untilInStep waits until a replica has caught up with a primary that is being
// written to.
func untilInStep(t *testing.T, replica, primary *redistest.Server) {
	t.Helper()
	want := counter(t, primary, "master_repl_offset")
	redistest.Until(t, settle, "the replica has caught up", func() error {
		if have := counter(t, replica, "slave_repl_offset"); have < want {
			return fmt.Errorf("it is at %d, the primary was at %d", have, want)
		}
		return nil
	})
}

// A replica that was away resumes where it was.
func TestAKilledReplicaResumes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		writes  int // while the replica is away
		size    int // of each
		promise bool
	}{
		{"from memory", 100, 1 << 10, true},
		// The ring in memory holds 64 MiB; only the journal has the rest.
		{"from the journal", 90, 1 << 20, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if !tc.promise {
				oursOnly(t)
			}
			c := startCluster(t, patience, nil, "--repl-backlog-size", "1mb")
			primary := primaries(t, c)[0]
			replica := replicaOf(t, c, primary)
			untilLinked(t, replica, primary)
			client := primary.Client()
			slot := myself(t, primary).first(t)
			write := func(prefix string, n, size int) {
				key, value := keyIn(slot, prefix), strings.Repeat(prefix, size)
				for range n {
					if _, err := client.Do("SET", key, value); err != nil {
						t.Fatal(err)
					}
				}
			}
			write("a", 50, 1<<10)
			untilLinked(t, replica, primary)
			full, partial := counter(t, primary, "sync_full"), counter(t, primary, "sync_partial_ok")
			replica.Kill()
			write("b", tc.writes, tc.size)
			replica.Restart()
			untilLinked(t, replica, primary)
			if got := counter(t, primary, "sync_full") - full; got != 0 {
				t.Errorf("%d full resyncs: %q", got, lines(replica.Log()+primary.Log(), whyFull))
			}
			if got := counter(t, primary, "sync_partial_ok") - partial; got < 1 {
				t.Errorf("%d partial resyncs", got)
			}
			if a, b := primary.Do("DEBUG", "DIGEST"), replica.Do("DEBUG", "DIGEST"); a != b {
				t.Errorf("digests differ: %v, %v", a, b)
			}
		})
	}
}

// All six are killed at once, and start again: nothing acknowledged is gone.
func TestAllNodesAreKilled(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	for _, policy := range []string{"always", "everysec"} {
		t.Run("appendfsync "+policy, func(t *testing.T) {
			c := startCluster(t, patience, nil, "--appendonly", "yes", "--appendfsync", policy)
			work := startLoad(t, c, 0)
			for range 2 {
				work.untilMore(2000)
				for _, s := range c.Nodes {
					s.Kill()
				}
				for _, s := range c.Nodes {
					s.Restart()
				}
				c.UntilStable(settle)
			}
			work.untilMore(500)
			agree(t, c)
			r := work.end()
			nothingLost(t, r)
			t.Logf("%d writes acknowledged, %d refused, %d of unknown outcome", r.Writes.OK, r.Writes.Refused, r.Writes.Unknown)
		})
	}
}

// A primary that acknowledged what its replica never saw has another history than the
// replica that took over, whether it has died or been stopped. Its data are those of the
// new primary in the end. Redis copies all of them, and says why; ours goes back to what
// both have, and keeps what it gave up.
func TestADivergedPrimaryComesBack(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nodeTimeout, nil)
	for i, how := range []string{"killed", "stopped"} {
		if how == "stopped" && control() {
			continue
		}
		old := primaries(t, c)[i]
		heir := replicaOf(t, c, old)
		slot := myself(t, old).first(t)
		both, mine := keyIn(slot, "both:"), "{"+keyIn(slot, "unseen:")+"}"
		old.Do("SET", both, "x")
		untilLinked(t, heir, old)

		// What fits in the socket's buffers still reaches a paused replica.
		heir.Pause()
		filling := strings.Repeat("x", 1<<20)
		for range 40 {
			old.Do("SET", both, filling)
		}
		unseen := writeMany(t, old, mine, divergent)
		if how == "killed" {
			old.Kill()
		} else {
			old.Pause()
		}
		heir.Resume()
		untilWritten(t, heir, both, settle)
		before, beside := len(old.Log()), len(heir.Log())
		was := syncsOf(t, heir)
		if how == "killed" {
			old.Restart()
		} else {
			old.Resume()
		}
		untilLinked(t, old, heir)
		got := syncsOf(t, heir)
		log := old.Log()[before:] + heir.Log()[beside:]
		switch {
		case control():
			if got.full != was.full+1 || len(lines(log, whyFull)) == 0 {
				t.Errorf("%d full resyncs; the log says\n%s", got.full-was.full, log)
			}
		case got.full != was.full || got.partial != was.partial+1:
			t.Errorf("%s: resyncs %+v, before %+v; the log says\n%s", how, got, was, log)
		default:
			kept := givenUp(t, old)
			if n := len(kept) - len(unseen); n < 0 || !slices.Equal(kept[n:], unseen) {
				t.Errorf("%s: kept are %d commands, of %d writes", how, len(kept), len(unseen))
			}
		}
		if a, b := old.Do("DEBUG", "DIGEST"), heir.Do("DEBUG", "DIGEST"); a != b {
			t.Errorf("digests differ: %v, %v", a, b)
		}
		if got := heir.Do("EXISTS", mine+"0"); got != int64(0) {
			t.Error("the new primary has what it never saw")
		}
	}
}

// A primary that was started over an older journal, as a power cut leaves one,
// lets its replica take over, which has what was acknowledged since.
func TestAPrimaryWithAShorterJournalGivesWay(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	// A restart here may take longer than it takes to replace a node that does not listen.
	c := startCluster(t, patience, nil, "--cluster-fast-fail", "no")
	old := primaries(t, c)[0]
	heir := replicaOf(t, c, old)
	untilLinked(t, heir, old)
	slot := myself(t, old).first(t)
	key, count := keyIn(slot, "kept:"), keyIn(slot, "count:")
	journal, copied := filepath.Join(old.Dir, "appendonlydir"), filepath.Join(t.TempDir(), "journal")
	old.Kill()
	if err := os.CopyFS(copied, os.DirFS(journal)); err != nil {
		t.Fatal(err)
	}
	old.Restart()
	untilLinked(t, heir, old)
	untilWritten(t, old, key, settle)
	for range 1000 {
		old.Do("INCR", count)
	}
	untilLinked(t, heir, old)

	old.Kill()
	if err := errors.Join(os.RemoveAll(journal), os.CopyFS(journal, os.DirFS(copied))); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	old.Restart()
	untilWritten(t, heir, key, settle)
	t.Logf("the replica serves after %v", time.Since(began))
	if got := heir.Do("GET", count); got != "1000" {
		t.Errorf("the new primary has counted to %v", got)
	}
	c.UntilStable(settle)
	untilLinked(t, old, heir)
	if a, b := old.Do("DEBUG", "DIGEST"), heir.Do("DEBUG", "DIGEST"); a != b {
		t.Errorf("digests differ: %v, %v", a, b)
	}
}
