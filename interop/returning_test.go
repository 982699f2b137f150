package interop

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"redoubt/internal/redistest"
)

// A relay stands between a primary and its replica. When it is cut it goes on to take what
// the primary sends and to hold the connection, but nothing arrives any more: a network
// that loses everything looks like that from the primary.
type relay struct {
	port int
	cut  atomic.Bool
}

func startRelay(t *testing.T, to *redistest.Server) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	r := &relay{port: listener.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			replica, err := listener.Accept()
			if err != nil {
				return
			}
			primary, err := net.Dial("tcp", to.Addr())
			if err != nil {
				replica.Close()
				continue
			}
			go r.copy(primary, replica)
			go r.copy(replica, primary)
		}
	}()
	return r
}

// copy copies until one side closes; the other learns of it only if the relay is not cut.
func (r *relay) copy(from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if !r.cut.Load() && n > 0 {
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			if !r.cut.Load() || err != io.EOF {
				to.Close()
			}
			return
		}
	}
}

// TestAPrimaryThatWasCutOffResumes: what a primary adds to its stream without any client
// writing (PING, what Sentinels publish) must not cost it a full resync when it returns as
// a replica of its successor. What a client has written must, without a journal.
func TestAPrimaryThatWasCutOffResumes(t *testing.T) {
	oursOnly(t)
	publish := func(at *redistest.Server, times int) {
		for i := range times {
			at.Do("PUBLISH", "__sentinel__:hello", fmt.Sprintf("127.0.0.1,26379,%040d,%d,mymaster,127.0.0.1,%d,0", 1, i, at.Port))
			at.Do("PUBLISH", "news", strings.Repeat("x", 100))
		}
	}
	for _, successor := range []redistest.Kind{redistest.Redoubt, redistest.Redis} {
		for _, journal := range []string{"yes", "no"} {
			t.Run(fmt.Sprintf("%v takes over, appendonly %s", successor, journal), func(t *testing.T) {
				t.Parallel()
				old := replicates(t, redistest.Redoubt, "--appendonly", journal, "--repl-ping-replica-period", "1")
				between := startRelay(t, old)
				next := replicates(t, successor, "--replicaof", "127.0.0.1", strconv.Itoa(between.port))
				write(t, old, 1)
				publish(old, 1)
				redistest.Until(t, syncLimit, "the replica has acknowledged everything", func() error {
					return wantEqual("offset", replicaOffset(old), old.Info("master_repl_offset"))
				})

				between.cut.Store(true)
				next.Do("REPLICAOF", "NO", "ONE")
				before := offset(t, old)
				publish(old, 3)
				redistest.Until(t, syncLimit, "the primary has pinged into the void", func() error {
					if text := offset(t, old); text < before+3*100+14 {
						return fmt.Errorf("its stream ends at %d", text)
					}
					return nil
				})
				write(t, next, 2)
				full, end := next.Info("sync_full"), offset(t, old)
				old.Do("REPLICAOF", "127.0.0.1", next.Port)
				inStep(t, next, old)
				if next.Info("sync_full") != full || resumptions(old) != 1 {
					t.Errorf("a primary to which nobody wrote needed a full resync; its stream ended at %d", end)
				}
				wantText(t, old.Log(), "bytes of the replication stream changed no data")

				// And back, with a write that nobody else has.
				old.Do("REPLICAOF", "NO", "ONE")
				old.Do("SET", "mine", "alone")
				publish(old, 1)
				old.Do("REPLICAOF", "127.0.0.1", next.Port)
				inStep(t, next, old)
				want := 1
				if journal == "yes" {
					want = 2 // it goes back; TestADeposedPrimaryResumes has more
				}
				if resumptions(old) != want || old.Do("GET", "mine") != nil {
					t.Errorf("it has resumed %d times, want %d; the write that its successor has not is %v", resumptions(old), want, old.Do("GET", "mine"))
				}
				if got := givenUp(t, old); !slices.Contains(got, `SET "mine" "alone"`) {
					t.Errorf("kept is %q", got)
				}
			})
		}
	}
	t.Run("after a crash", func(t *testing.T) {
		t.Parallel()
		old := replicates(t, redistest.Redoubt, "--repl-ping-replica-period", "1")
		between := startRelay(t, old)
		next := replicates(t, redistest.Redoubt, "--replicaof", "127.0.0.1", strconv.Itoa(between.port))
		write(t, old, 1)
		redistest.Until(t, syncLimit, "the replica has acknowledged everything", func() error {
			return wantEqual("offset", replicaOffset(old), old.Info("master_repl_offset"))
		})
		between.cut.Store(true)
		next.Do("REPLICAOF", "NO", "ONE")
		publish(old, 3)
		old.Kill()
		write(t, next, 2)
		old.Restart()
		publish(old, 3)
		old.Do("REPLICAOF", "127.0.0.1", next.Port)
		inStep(t, next, old)
		if resumptions(old) != 1 {
			t.Error("a primary to which nobody wrote needed a full resync")
		}
	})
}

func wantEqual(what, have, want string) error {
	if have != want {
		return fmt.Errorf("%s is %s, not %s", what, have, want)
	}
	return nil
}

func offset(t *testing.T, s *redistest.Server) int {
	t.Helper()
	n, err := strconv.Atoi(s.Info("master_repl_offset"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// replicaOffset is what the only replica of s has acknowledged.
func replicaOffset(s *redistest.Server) string {
	_, text, _ := strings.Cut(s.Info("slave0"), "offset=")
	text, _, _ = strings.Cut(text, ",")
	return text
}
