package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// syncLimit is how long two servers may take to be in step.
const syncLimit = 30 * time.Second

// resumed is what replicas of both kinds log when no full resync was needed.
const resumed = "Successful partial resynchronization with master"

// replicates starts a server of which others can be replicas.
func replicates(t *testing.T, kind redistest.Kind, args ...string) *redistest.Server {
	return redistest.Start(t, kind, append([]string{
		"--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes"}, args...)...)
}

// following starts a replica, which is one again after a restart.
func following(t *testing.T, kind redistest.Kind, primary *redistest.Server, args ...string) *redistest.Server {
	return replicates(t, kind, append([]string{"--replicaof", "127.0.0.1", fmt.Sprint(primary.Port)}, args...)...)
}

// inStep waits until the replica has all that the primary has.
func inStep(t *testing.T, primary *redistest.Server, replicas ...*redistest.Server) {
	t.Helper()
	for _, r := range replicas {
		redistest.Until(t, syncLimit, fmt.Sprintf("%v on port %d is in step", r.Kind, r.Port), func() error {
			if r.Info("loading") != "0" || r.Info("master_link_status") != "up" {
				return fmt.Errorf("its link is %s", r.Info("master_link_status"))
			}
			for _, field := range []string{"master_replid", "master_repl_offset"} {
				if have, want := r.Info(field), primary.Info(field); have != want {
					return fmt.Errorf("%s is %s, not %s", field, have, want)
				}
			}
			return nil
		})
		if have, want := digest(r), digest(primary); have != want {
			t.Errorf("%v on port %d has other data than its primary: digest %s, not %s", r.Kind, r.Port, have, want)
		}
	}
}

func digest(s *redistest.Server) string { return fmt.Sprint(s.Do("DEBUG", "DIGEST")) }

// content is the digest and the libraries of functions.
func content(s *redistest.Server) string { return digest(s) + strings.Join(libraries(s), "\n") }

// write makes some writes of the kinds that a stream treats differently.
func write(t *testing.T, s *redistest.Server, round int) {
	t.Helper()
	c := s.Client()
	for _, command := range [][]any{
		{"SET", fmt.Sprintf("key:%d", round), "value"},
		{"SET", "expires", round, "EX", 1000},
		{"INCRBYFLOAT", "float", "1.5"},
		{"SELECT", 3},
		{"APPEND", "log", fmt.Sprintf("round %d,", round)},
		{"MULTI"}, {"INCR", "counter"}, {"SELECT", 5}, {"INCR", "counter"}, {"EXEC"},
	} {
		if _, err := c.Do(command...); err != nil {
			t.Fatalf("%v: %v", command, err)
		}
	}
}

// resumptions is how often a replica went on from where it was.
func resumptions(s *redistest.Server) int { return strings.Count(s.Log(), resumed) }

func TestReplication(t *testing.T) {
	redoubt, redis := redistest.Redoubt, redistest.Redis
	for _, c := range []struct{ primary, replica redistest.Kind }{
		{redis, redoubt}, {redoubt, redis}, {redoubt, redoubt},
	} {
		for _, diskless := range []string{"yes", "no"} {
			t.Run(fmt.Sprintf("%v of %v, diskless %s", c.replica, c.primary, diskless), func(t *testing.T) {
				t.Parallel()
				primary := replicates(t, c.primary, "--repl-diskless-sync", diskless)
				write(t, primary, 1)
				replica := following(t, c.replica, primary, "--repl-diskless-sync", diskless)
				inStep(t, primary, replica)
				write(t, primary, 2)
				inStep(t, primary, replica)
				wantText(t, fmt.Sprint(replica.Do("INFO", "commandstats")), "cmdstat_append:calls=1,", "cmdstat_incr:calls=2,")

				if c.replica == redoubt {
					replica.Kill()
					write(t, primary, 3)
					replica.Restart()
					inStep(t, primary, replica)
					if resumptions(replica) != 1 {
						t.Error("after kill -9 our replica needed a full resync")
					}
				}

				before := resumptions(primary)
				replica.Do("REPLICAOF", "NO", "ONE")
				write(t, replica, 4)
				primary.Do("REPLICAOF", "127.0.0.1", replica.Port)
				inStep(t, replica, primary)
				if resumptions(primary) != before+1 {
					t.Error("the former primary needed a full resync")
				}
			})
		}
	}
}

// A primary of ours that is killed comes back with all it had acknowledged, and
// its replicas go on from where they were.
func TestAKilledPrimaryComesBack(t *testing.T) {
	t.Parallel()
	primary := replicates(t, redistest.Redoubt)
	replicas := []*redistest.Server{
		following(t, redistest.Redis, primary), following(t, redistest.Redoubt, primary),
	}
	write(t, primary, 1)
	inStep(t, primary, replicas...)
	primary.Kill()
	primary.Restart()
	write(t, primary, 2)
	inStep(t, primary, replicas...)
	for _, r := range replicas {
		if resumptions(r) != 1 {
			t.Errorf("the replica, a %v, needed a full resync", r.Kind)
		}
	}
}

// What has left memory is still in the journal: a replica that was away for
// longer than that needs no full resync.
func TestABacklogOnDisk(t *testing.T) {
	t.Parallel()
	primary := replicates(t, redistest.Redoubt, "--repl-backlog-size", "16kb")
	replica := following(t, redistest.Redoubt, primary)
	write(t, primary, 1)
	inStep(t, primary, replica)
	replica.Kill()
	c, value := primary.Client(), strings.Repeat("x", 1<<20)
	for i := range 80 {
		if _, err := c.Do("SET", fmt.Sprintf("large:%d", i%8), value); err != nil {
			t.Fatal(err)
		}
	}
	replica.Restart()
	inStep(t, primary, replica)
	if resumptions(replica) != 1 {
		t.Error("the replica needed a full resync")
	}
}

// A node of ours in the middle of a chain hands the stream on as it came. Its
// promotion is learned of below it without a full resync.
func TestAChain(t *testing.T) {
	t.Parallel()
	top := replicates(t, redistest.Redis)
	middle := following(t, redistest.Redoubt, top)
	write(t, top, 1)
	inStep(t, top, middle)
	bottom := following(t, redistest.Redis, middle)
	write(t, top, 2)
	inStep(t, top, middle, bottom)

	listener := bottom.Client()
	if _, err := listener.Do("SUBSCRIBE", "news"); err != nil {
		t.Fatal(err)
	}
	near := middle.Client()
	if _, err := near.Do("SUBSCRIBE", "news"); err != nil {
		t.Fatal(err)
	}
	top.Do("PUBLISH", "news", "hello")
	for _, c := range []*redistest.Client{near, listener} {
		message, err := c.ReadRaw()
		if err != nil || !strings.Contains(string(message), "hello") {
			t.Errorf("a subscriber of a replica got %q, %v", message, err)
		}
	}

	middle.Do("REPLICAOF", "NO", "ONE")
	write(t, middle, 3)
	inStep(t, middle, bottom)
	if resumptions(bottom) != 1 {
		t.Error("the node below a promoted one needed a full resync")
	}
}

// Streams with their groups reach a replica of the other kind, those that are there
// before it comes and those that come later; and what is pending there is what is
// pending here.
func TestGroupsOfStreamsReachReplicas(t *testing.T) {
	for _, kinds := range [][2]redistest.Kind{{redistest.Redis, redistest.Redoubt}, {redistest.Redoubt, redistest.Redis}} {
		primary := replicates(t, kinds[0])
		fill := func(key string) {
			primary.Do("XGROUP", "CREATE", key, "g", "0", "MKSTREAM", "ENTRIESREAD", "0")
			for i := range 250 {
				primary.Do("XADD", key, fmt.Sprint(i/3+1, "-*"), "sensor", fmt.Sprint("s-", i%5), "value", i)
			}
			primary.Do("XREADGROUP", "GROUP", "g", "alice", "COUNT", "20", "STREAMS", key, ">")
			primary.Do("XREADGROUP", "GROUP", "g", "bob", "COUNT", "30", "NOACK", "STREAMS", key, ">")
			primary.Do("XREADGROUP", "GROUP", "g", "bob", "COUNT", "5", "STREAMS", key, ">")
			primary.Do("XACK", key, "g", "1-0", "2-1")
			primary.Do("XDEL", key, "1-1", "3-0", "40-2")
			primary.Do("XCLAIM", key, "g", "carol", "0", "4-0", "3-0")
			primary.Do("XAUTOCLAIM", key, "g", "carol", "0", "-", "COUNT", "3")
			primary.Do("XADD", key, "MAXLEN", "~", "120", "200-*", "sensor", "s-9", "value", "last")
			primary.Do("XGROUP", "CREATECONSUMER", key, "g", "dave")
		}
		fill("early")
		replica := following(t, kinds[1], primary)
		inStep(t, primary, replica)
		fill("late")
		inStep(t, primary, replica)
		sameDigest(t, primary, replica)
		for _, key := range []string{"early", "late"} {
			for _, question := range [][]any{
				{"XRANGE", key, "-", "+"}, {"XPENDING", key, "g"}, {"XLEN", key},
			} {
				if a, b := fmt.Sprint(primary.Do(question...)), fmt.Sprint(replica.Do(question...)); a != b {
					t.Errorf("%v primary: %v\n%.300s, its replica:\n%.300s", kinds[0], question, a, b)
				}
			}
		}
	}
}

// Clients of a primary of ours count on its replicas, which are real ones.
func TestClientsCountOnReplicas(t *testing.T) {
	primary := replicates(t, redistest.Redoubt, "--min-replicas-to-write", "1")
	c := primary.Client()
	if _, err := c.Do("SET", "k", "v"); err == nil || !strings.HasPrefix(err.Error(), "NOREPLICAS") {
		t.Errorf("a write without a replica: %v", err)
	}
	replica := following(t, redistest.Redis, primary)
	inStep(t, primary, replica)
	if _, err := c.Do("SET", "k", "v"); err != nil {
		t.Errorf("a write with a replica: %v", err)
	}
	if n, err := c.Do("WAIT", 1, 20000); n != int64(1) {
		t.Errorf("WAIT 1: %v, %v", n, err)
	}
	if got := replica.Do("GET", "k"); got != "v" {
		t.Errorf("the replica that acknowledged has %v", got)
	}
	if n, err := c.Do("WAIT", 2, 50); n != int64(1) {
		t.Errorf("WAIT 2: %v, %v", n, err)
	}
	role, err := c.Do("ROLE")
	want := fmt.Sprintf("[127.0.0.1 %d ", replica.Port)
	if got := fmt.Sprint(role); err != nil || !strings.HasPrefix(got, "[master ") || !strings.Contains(got, want) {
		t.Errorf("ROLE: %v, %v", got, err)
	}
}

// A real primary hands over to a replica of ours by FAILOVER and is its replica
// then.
func TestAPrimaryHandsOver(t *testing.T) {
	primary := replicates(t, redistest.Redis)
	replica := following(t, redistest.Redoubt, primary)
	write(t, primary, 1)
	inStep(t, primary, replica)
	primary.Do("FAILOVER")
	redistest.Until(t, syncLimit, "the replica is the primary", func() error {
		if have := replica.Info("role") + " " + primary.Info("role"); have != "master slave" {
			return fmt.Errorf("%s", have)
		}
		return nil
	})
	write(t, replica, 2)
	inStep(t, replica, primary)
	if got := primary.Info("master_failover_state"); got != "no-failover" {
		t.Errorf("the failover is not over: %s", got)
	}
}

// A primary that is shut down waits for a replica that lags; what was
// acknowledged to clients is there when its process is gone.
func TestAShutdownWaitsForReplicas(t *testing.T) {
	t.Parallel()
	for _, kind := range []redistest.Kind{redistest.Redoubt, redistest.Redis} {
		t.Run("the replica is "+kind.String(), func(t *testing.T) {
			primary := replicates(t, redistest.Redoubt, "--shutdown-timeout", "300")
			replica := following(t, kind, primary)
			inStep(t, primary, replica)
			replica.Pause()
			primary.Do("SET", "key", "last")
			if err := primary.Client().Write([]byte("SHUTDOWN\r\n")); err != nil {
				t.Fatal(err)
			}
			redistest.Until(t, syncLimit, "the shutdown has begun", func() error {
				if !strings.Contains(primary.Log(), "Waiting for replicas before shutting down.") {
					return fmt.Errorf("it does not wait")
				}
				return nil
			})
			if got := primary.Do("GET", "key"); got != "last" {
				t.Errorf("a read meanwhile: %v", got)
			}
			replica.Resume()
			redistest.Until(t, syncLimit, "the primary has ended", func() error {
				if primary.Running() {
					return fmt.Errorf("it runs")
				}
				return nil
			})
			if got := replica.Do("GET", "key"); got != "last" {
				t.Errorf("the replica has %v", got)
			}
			if !strings.Contains(primary.Log(), "1 of 1 replicas are in sync when shutting down.") {
				t.Error("the log does not say that the replica was in sync")
			}
		})
	}
}

// An administrator breaks a replica's link at the replica, by its class or by the
// primary's address; it comes back for what it lacks.
func TestALinkIsKilledByItsReplica(t *testing.T) {
	primary := replicates(t, redistest.Redis)
	replica := following(t, redistest.Redoubt, primary)
	inStep(t, primary, replica)
	if got := fmt.Sprint(replica.Do("CLIENT", "LIST", "TYPE", "MASTER")); strings.Count(got, " flags=M ") != 1 {
		t.Errorf("CLIENT LIST: %s", got)
	}
	for i, kill := range [][]any{{"CLIENT", "KILL", "TYPE", "MASTER"}, {"CLIENT", "KILL", fmt.Sprintf("127.0.0.1:%d", primary.Port)}} {
		if got := fmt.Sprint(replica.Do(kill...)); got != "1" && got != "OK" {
			t.Errorf("%v: %v", kill, got)
		}
		redistest.Until(t, syncLimit, "the replica has resumed", func() error {
			if n := resumptions(replica); n <= i {
				return fmt.Errorf("%d times", n)
			}
			return nil
		})
		write(t, primary, i)
		inStep(t, primary, replica)
	}
}

// An administrator sends a replica away; it comes back for what it lacks.
func TestAReplicaIsKilledByItsPrimary(t *testing.T) {
	primary := replicates(t, redistest.Redoubt)
	replica := following(t, redistest.Redis, primary)
	inStep(t, primary, replica)
	if got := fmt.Sprint(primary.Do("CLIENT", "LIST", "TYPE", "REPLICA")); strings.Count(got, " flags=S ") != 1 {
		t.Errorf("CLIENT LIST: %s", got)
	}
	if got := primary.Do("CLIENT", "KILL", "TYPE", "REPLICA"); got != int64(1) {
		t.Errorf("CLIENT KILL: %v", got)
	}
	write(t, primary, 1)
	inStep(t, primary, replica)
	if !strings.Contains(replica.Log(), resumed) {
		t.Error("the replica has not resumed")
	}
}
