package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// listening is a client that reads what comes without being asked for.
type listening struct {
	t *testing.T
	*redistest.Client
}

func listenTo(t *testing.T, s *redistest.Server, commands ...string) listening {
	c := listening{t, s.Client()}
	for _, line := range commands {
		args := make([]any, 0, 4)
		for _, w := range strings.Fields(line) {
			args = append(args, w)
		}
		if raw, err := c.DoRaw(args...); err != nil || raw[0] == '-' {
			t.Fatalf("%s: %s, %v", line, raw, err)
		}
	}
	return c
}

// next is the words of what comes next.
func (c listening) next() string {
	c.t.Helper()
	raw, err := c.ReadRaw()
	if err != nil {
		c.t.Fatal(err)
	}
	var words []string
	for _, l := range strings.Split(string(raw), "\r\n") {
		if l != "" && !strings.ContainsRune("*>$", rune(l[0])) {
			words = append(words, l)
		}
	}
	return strings.Join(words, " ")
}

func (c listening) wants(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		if got := c.next(); got != want {
			c.t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestListenersOnAReplica: clients of a replica hear of what its primary does, by
// events, by invalidations and by MONITOR.
func TestListenersOnAReplica(t *testing.T) {
	for _, kind := range []redistest.Kind{redistest.Redis, ours()} {
		t.Run(kind.String(), func(t *testing.T) {
			primary := replicates(t, kind, "--save", "")
			replica := following(t, ours(), primary)
			inStep(t, primary, replica)
			c, r := primary.Client(), replica.Client()
			do := func(args ...any) {
				t.Helper()
				if _, err := c.Do(args...); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := r.Do("CONFIG", "SET", "notify-keyspace-events", "KEAn"); err != nil {
				t.Fatal(err)
			}
			events := listenTo(t, replica, "PSUBSCRIBE __keyevent*")
			cache := listenTo(t, replica, "HELLO 3", "CLIENT TRACKING ON", "MGET a due")
			do("SET", "a", "1")
			events.wants("pmessage __keyevent* __keyevent@0__:new a", "pmessage __keyevent* __keyevent@0__:set a")
			cache.wants("invalidate a")
			do("SET", "due", "1", "PX", "30")
			events.wants("pmessage __keyevent* __keyevent@0__:new due", "pmessage __keyevent* __keyevent@0__:set due", "pmessage __keyevent* __keyevent@0__:expire due")
			cache.wants("invalidate due")
			if _, err := cache.Do("GET", "due"); err != nil {
				t.Fatal(err)
			}
			events.wants("pmessage __keyevent* __keyevent@0__:del due") // the primary's DEL
			cache.wants("invalidate due")
			if _, err := cache.Do("GET", "a"); err != nil {
				t.Fatal(err)
			}
			do("FLUSHALL")
			cache.wants("invalidate _")

			watch := listenTo(t, replica, "MONITOR")
			do("SELECT", "2")
			do("LPUSH", "l", "x y")
			for {
				line := watch.next()
				if !strings.Contains(line, `"LPUSH"`) {
					continue // SELECT, PING
				}
				if want := fmt.Sprintf(`[2 127.0.0.1:%d] "LPUSH" "l" "x y"`, primary.Port); !strings.HasSuffix(line, want) {
					t.Errorf("MONITOR shows %s, want %s", line, want)
				}
				break
			}
		})
	}
}

// TestAPauseHoldsTheStreamOfAReplica: CLIENT PAUSE on a replica stops what comes from
// its primary, too.
func TestAPauseHoldsTheStreamOfAReplica(t *testing.T) {
	primary := replicates(t, redistest.Redis, "--save", "")
	replica := following(t, ours(), primary)
	inStep(t, primary, replica)
	r, c := replica.Client(), primary.Client()
	for _, unpause := range []bool{false, true} {
		if _, err := c.Do("SET", "k", "before"); err != nil {
			t.Fatal(err)
		}
		inStep(t, primary, replica)
		pause := 400 * time.Millisecond
		if unpause {
			pause = time.Minute
		}
		began := time.Now()
		if _, err := r.Do("CLIENT", "PAUSE", pause.Milliseconds(), "WRITE"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do("SET", "k", "after"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		if got, _ := r.Do("GET", "k"); got != "before" {
			t.Errorf("the replica has %v while it pauses", got)
		}
		if unpause {
			if _, err := r.Do("CLIENT", "UNPAUSE"); err != nil {
				t.Fatal(err)
			}
		}
		redistest.Until(t, settle, "the replica goes on", func() error {
			if got, _ := r.Do("GET", "k"); got != "after" {
				return fmt.Errorf("it has %v", got)
			}
			return nil
		})
		if took := time.Since(began); !unpause && took < pause {
			t.Errorf("the pause ended after %v", took)
		}
	}
}

// TestKeysOfAWritableReplicaExpire: a key that a client of a writable replica has given
// an expiry goes by itself, and the primary's stay until it says so.
func TestKeysOfAWritableReplicaExpire(t *testing.T) {
	primary := replicates(t, redistest.Redis, "--save", "")
	replica := following(t, ours(), primary, "--replica-read-only", "no")
	if _, err := primary.Client().Do("SET", "stays", "v", "PX", "600000"); err != nil {
		t.Fatal(err)
	}
	inStep(t, primary, replica)
	r := replica.Client()
	for _, line := range [][]any{{"SELECT", 3}, {"SET", "local", "v", "PX", "30"}, {"RPUSH", "list", "v"}, {"PEXPIRE", "list", "60"}, {"SET", "kept", "v", "PX", "40"}, {"PERSIST", "kept"}} {
		if _, err := r.Do(line...); err != nil {
			t.Fatal(err)
		}
	}
	redistest.Until(t, settle, "the keys go", func() error {
		if n, _ := r.Do("DBSIZE"); n != int64(1) {
			return fmt.Errorf("there are %v keys", n)
		}
		return nil
	})
	if got := replica.Info("slave_expires_tracked_keys"); got != "0" {
		t.Errorf("slave_expires_tracked_keys is %s", got)
	}
	if got := replica.Info("expired_keys"); got != "2" {
		t.Errorf("expired_keys is %s", got)
	}
}
