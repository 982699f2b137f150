package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// handovers are a primary and a replica of either kind, at least one of them ours.
var handovers = [][2]redistest.Kind{
	{redistest.Redoubt, redistest.Redoubt}, {redistest.Redoubt, redistest.Redis}, {redistest.Redis, redistest.Redoubt},
}

// withReplicas starts a primary and its replicas, which are in step with it.
func withReplicas(t *testing.T, kinds [2]redistest.Kind, replicas int) (primary *redistest.Server, all []*redistest.Server) {
	t.Helper()
	oursOnly(t)
	primary = start(t, kinds[0])
	for range replicas {
		r := start(t, kinds[1], "--replicaof", fmt.Sprint("127.0.0.1 ", primary.Port))
		all = append(all, r)
	}
	for _, r := range all {
		untilUp(t, r, primary)
	}
	return primary, all
}

// untilUp waits until a replica is in step with its primary, and that one knows.
func untilUp(t *testing.T, replica, primary *redistest.Server) {
	t.Helper()
	redistest.Until(t, settle, "the link is up", func() error {
		if s := replica.Info("master_link_status"); s != "up" {
			return fmt.Errorf("it is %q", s)
		}
		if s := primary.Info("slave0"); !strings.Contains(s, "state=online") {
			return fmt.Errorf("the primary has %q", s)
		}
		return nil
	})
}

func untilState(t *testing.T, s *redistest.Server, state string) {
	t.Helper()
	redistest.Until(t, settle, "master_failover_state:"+state, func() error {
		if got := s.Info("master_failover_state"); got != state {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

func role(t *testing.T, s *redistest.Server) string {
	t.Helper()
	return s.Do("ROLE").([]any)[0].(string)
}

// refusal is the error that a command is answered with.
func refusal(t *testing.T, s *redistest.Server, args ...any) string {
	t.Helper()
	_, err := s.Client().Do(args...)
	if err == nil {
		t.Fatalf("%v is not refused", args)
	}
	return err.Error()
}

// While clients write to a primary it hands over; every write that it acknowledged
// is on the new one, the two have the same data, and it took no full resync.
func TestAPrimaryHandsOverToItsReplica(t *testing.T) {
	t.Parallel()
	for _, kinds := range handovers {
		t.Run(fmt.Sprintf("%v to %v", kinds[0], kinds[1]), func(t *testing.T) {
			old, replicas := withReplicas(t, kinds, 1)
			heir := replicas[0]
			const writers = 4
			acked, stop := make(chan [2]int, writers), make(chan struct{})
			for w := range writers {
				c := old.Client()
				go func() {
					n := 0
					for {
						select {
						case <-stop:
							acked <- [2]int{w, n}
							return
						default:
						}
						if _, err := c.Do("INCR", fmt.Sprint("counter:", w)); err != nil {
							if !strings.HasPrefix(err.Error(), "READONLY") {
								t.Errorf("a write is answered %v", err)
							}
							acked <- [2]int{w, n}
							return
						}
						n++
					}
				}()
			}
			time.Sleep(300 * time.Millisecond)
			partial := counter(t, heir, "sync_partial_ok")
			if how := old.Do("FAILOVER", "TO", "127.0.0.1", heir.Port); how != "OK" {
				t.Fatal(how)
			}
			untilState(t, old, "no-failover")
			if a, b := role(t, old), role(t, heir); a != "slave" || b != "master" {
				t.Fatalf("the old primary is a %s, the new one a %s", a, b)
			}
			close(stop)
			total := 0
			for range writers {
				a := <-acked
				total += a[1]
				if got := fmt.Sprint(heir.Do("GET", fmt.Sprint("counter:", a[0]))); got != fmt.Sprint(a[1]) {
					t.Errorf("of %d acknowledged writes the new primary has %s", a[1], got)
				}
			}
			if total == 0 {
				t.Error("nothing was written")
			}
			heir.Do("SET", "after", "1")
			untilUp(t, old, heir)
			redistest.Until(t, settle, "the old primary follows", func() error {
				if got := old.Do("GET", "after"); got != "1" {
					return fmt.Errorf("it has %v", got)
				}
				return nil
			})
			sameDigest(t, heir, old)
			if got := counter(t, heir, "sync_partial_ok") - partial; got != 1 {
				t.Errorf("%d partial resyncs on the new primary, want 1; %d full ones", got, counter(t, heir, "sync_full"))
			}
			if got := old.Do("CONFIG", "GET", "replicaof"); fmt.Sprint(got) != fmt.Sprintf("[replicaof 127.0.0.1 %d]", heir.Port) {
				t.Errorf("the setting is %v", got)
			}
			// And back.
			heir.Do("FAILOVER")
			untilState(t, heir, "no-failover")
			if a, b := role(t, old), role(t, heir); a != "master" || b != "slave" {
				t.Errorf("afterwards the first primary is a %s, the other a %s", a, b)
			}
			untilUp(t, heir, old)
			sameDigest(t, old, heir)
		})
	}
}

// A replica that does not keep up: the primary waits, gives up after a time, or
// hands over all the same.
func TestAFailoverWaitsForItsReplica(t *testing.T) {
	t.Parallel()
	for _, kinds := range handovers[:2] {
		t.Run(fmt.Sprintf("%v to %v", kinds[0], kinds[1]), func(t *testing.T) {
			primary, replicas := withReplicas(t, kinds, 2)
			slow := replicas[0]
			slow.Pause()
			primary.Do("SET", "k", "1")
			primary.Do("FAILOVER", "TO", "127.0.0.1", slow.Port, "TIMEOUT", 60000)
			untilState(t, primary, "waiting-for-sync")
			if got := primary.Do("GET", "k"); got != "1" {
				t.Errorf("a read is answered %v", got)
			}
			for _, c := range []struct {
				args []any
				want string
			}{
				{[]any{"FAILOVER"}, "ERR FAILOVER already in progress."},
				{[]any{"REPLICAOF", "NO", "ONE"}, "ERR REPLICAOF not allowed while failing over."},
				{[]any{"PSYNC", "?", "-1"}, "NOMASTERLINK Can't SYNC while failing over"},
			} {
				if got := refusal(t, primary, c.args...); got != c.want {
					t.Errorf("%v is answered %q", c.args, got)
				}
			}
			write := primary.Client()
			if err := write.Send([]any{"SET", "k", "2"}); err != nil {
				t.Fatal(err)
			}
			primary.Do("FAILOVER", "ABORT")
			untilState(t, primary, "no-failover")
			if reply, err := write.ReadRaw(); err != nil || string(reply) != "+OK\r\n" {
				t.Errorf("the write that waited is answered %q, %v", reply, err)
			}
			if got := refusal(t, primary, "FAILOVER", "ABORT"); got != "ERR No failover in progress." {
				t.Error(got)
			}

			primary.Do("FAILOVER", "TO", "127.0.0.1", slow.Port, "TIMEOUT", 200)
			untilState(t, primary, "no-failover")
			if !strings.Contains(primary.Log(), "Replica never caught up before timeout") || role(t, primary) != "master" {
				t.Error("it has not given up")
			}

			primary.Do("FAILOVER", "TO", "127.0.0.1", slow.Port, "TIMEOUT", 100, "FORCE")
			untilState(t, primary, "failover-in-progress")
			if r := role(t, primary); r != "slave" {
				t.Errorf("while it hands over it is a %s", r)
			}
			slow.Resume()
			untilState(t, primary, "no-failover")
			if r := role(t, slow); r != "master" {
				t.Errorf("the replica is a %s", r)
			}
			replicas[1].Do("REPLICAOF", "127.0.0.1", slow.Port)
			untilUp(t, primary, slow)
			untilUp(t, replicas[1], slow)
			sameDigest(t, slow, primary)
			sameDigest(t, slow, replicas[1])
		})
	}
}

// FORCE hands over to a replica that lacks something. When it is asked where its stream is,
// it is a replica yet; what the old primary gives up is in a file nevertheless.
func TestAForcedHandoverKeepsWhatIsGivenUp(t *testing.T) {
	primary, replicas := withReplicas(t, [2]redistest.Kind{redistest.Redoubt, redistest.Redoubt}, 1)
	slow := replicas[0]
	slow.Pause()
	const writes, size = 64, 1 << 20 // more than the buffers of a connection take
	for i := range writes {
		primary.Do("SET", fmt.Sprint("k", i), strings.Repeat("x", size))
	}
	primary.Do("FAILOVER", "TO", "127.0.0.1", slow.Port, "TIMEOUT", 100, "FORCE")
	untilState(t, primary, "failover-in-progress")
	slow.Resume()
	untilState(t, primary, "no-failover")
	untilUp(t, primary, slow)
	sameDigest(t, slow, primary)
	if had, _ := slow.Do("DBSIZE").(int64); had == writes {
		t.Fatal("the replica has got all writes: nothing was given up")
	}
	if primary.Info("rewound_last_file") == "" || counter(t, primary, "rewinds") != 1 {
		t.Errorf("%s rewinds, the file is %q", primary.Info("rewinds"), primary.Info("rewound_last_file"))
	}
}

// A replica that refuses leaves the primary one, and its replicas go on without a
// full resync; so does FAILOVER ABORT while the replica is asked.
func TestAFailoverThatIsRefused(t *testing.T) {
	primary, replicas := withReplicas(t, [2]redistest.Kind{redistest.Redoubt, redistest.Redis}, 2)
	full := counter(t, primary, "sync_full")
	target := replicas[0]
	target.Do("ACL", "SETUSER", "default", "-psync")
	primary.Do("SET", "k", "1")
	primary.Do("FAILOVER", "TO", "127.0.0.1", target.Port)
	redistest.Until(t, settle, "it is refused", func() error {
		if !strings.Contains(primary.Log(), "Failover target rejected psync request") {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	untilState(t, primary, "no-failover")
	target.Do("ACL", "SETUSER", "default", "+psync")
	for _, r := range replicas {
		untilUp(t, r, primary)
	}
	primary.Do("SET", "k", "2")
	for _, r := range replicas {
		sameDigest(t, primary, r)
	}
	if got := counter(t, primary, "sync_full") - full; got != 0 {
		t.Errorf("%d full resyncs", got)
	}

	// The one that is asked does not answer.
	target.Pause()
	primary.Do("FAILOVER", "TO", "127.0.0.1", target.Port, "TIMEOUT", 1, "FORCE")
	untilState(t, primary, "failover-in-progress")
	primary.Do("FAILOVER", "ABORT")
	if r := role(t, primary); r != "master" {
		t.Errorf("it is a %s", r)
	}
	primary.Do("SET", "k", "3")
	untilUp(t, replicas[1], primary)
	sameDigest(t, primary, replicas[1])
	target.Resume()
}

// What is wrong with a FAILOVER is said in Redis's words.
func TestFailoverIsRefusedInTheWordsOfRedis(t *testing.T) {
	ours, theirs := start(t, ours()), start(t, redistest.Redis)
	for _, s := range []*redistest.Server{ours, theirs} {
		s.Do("CONFIG", "SET", "repl-diskless-sync-delay", "0")
	}
	ask := func(s *redistest.Server, replica int) (answers []string) {
		for _, args := range [][]any{
			{"FAILOVER"}, {"FAILOVER", "ABORT"}, {"FAILOVER", "x"}, {"FAILOVER", "TIMEOUT"}, {"FAILOVER", "TIMEOUT", "x"}, {"FAILOVER", "TIMEOUT", "0"},
			{"FAILOVER", "TIMEOUT", "1", "TIMEOUT", "1"}, {"FAILOVER", "TO", "h"}, {"FAILOVER", "TO", "h", "x"}, {"FAILOVER", "TO", "h", "1", "TO", "h", "1"},
			{"FAILOVER", "FORCE", "FORCE"}, {"FAILOVER", "FORCE"}, {"FAILOVER", "FORCE", "TIMEOUT", "1"}, {"FAILOVER", "TO", "127.0.0.1", replica, "FORCE"},
			{"FAILOVER", "TO", "otherhost", replica}, {"FAILOVER", "TO", "127.0.0.1", 1}, {"FAILOVER", "ABORT", "TIMEOUT", "1"},
		} {
			answers = append(answers, fmt.Sprint(args[1:], refusal(t, s, args...)))
		}
		return answers
	}
	compare := func(a, b int) {
		t.Helper()
		got, want := ask(ours, a), ask(theirs, b)
		for i := range want {
			if g, w := strings.ReplaceAll(got[i], fmt.Sprint(a), "port"), strings.ReplaceAll(want[i], fmt.Sprint(b), "port"); g != w {
				t.Errorf("it says %s, Redis %s", g, w)
			}
		}
	}
	compare(0, 0)
	a, b := start(t, redistest.Redis, "--replicaof", fmt.Sprint("127.0.0.1 ", ours.Port)), start(t, redistest.Redis, "--replicaof", fmt.Sprint("127.0.0.1 ", theirs.Port))
	untilUp(t, a, ours)
	untilUp(t, b, theirs)
	if got, want := refusal(t, ours, "FAILOVER", "TO", "127.0.0.1", a.Port, "FORCE"), refusal(t, theirs, "FAILOVER", "TO", "127.0.0.1", b.Port, "FORCE"); got != want {
		t.Errorf("it says %s, Redis %s", got, want)
	}
	for _, args := range [][]any{{"FAILOVER", "TO", "otherhost", a.Port}, {"FAILOVER", "TO", "127.0.0.1", 1}, {"FAILOVER", "FORCE", "TIMEOUT", 1}} {
		if got, want := refusal(t, ours, args...), refusal(t, theirs, args...); got != want {
			t.Errorf("%v: it says %s, Redis %s", args, got, want)
		}
	}
}
