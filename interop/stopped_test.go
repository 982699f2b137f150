package interop

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"redoubt/internal/redistest"
)

// A primary is stopped in its tracks under pipelined writes, replaced, and goes
// on. What lay in its sockets, and what it had run and not answered yet, must
// not be acknowledged: the new primary does not have it. Nor may it show data
// that are old by then.
func TestAPrimaryThatWasStoppedAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	c := startCluster(t, nodeTimeout, nil)
	old := primaries(t, c)[0]
	heir := replicaOf(t, c, old)
	untilLinked(t, heir, old)
	tag := "{" + keyIn(myself(t, old).first(t), "stopped:") + "}"
	old.Do("SET", tag, "old")
	var goesOn atomic.Bool
	var writers []*aheadWriter
	for i := range 16 {
		writers = append(writers, startAhead(t, old, fmt.Sprintf("%s%d:", tag, i), &goesOn))
	}
	for _, w := range writers {
		redistest.Until(t, settle, "writes are acknowledged", func() error {
			if n := w.acknowledged.Load(); n < 2000 {
				return fmt.Errorf("%d are", n)
			}
			return nil
		})
	}
	reader := old.Client()

	old.Pause()
	redistest.Until(t, settle, "the replica has taken over", func() error {
		if me := myself(t, heir); me.slots == "" {
			return fmt.Errorf("it is %v", me)
		}
		return nil
	})
	heir.Client().Do("SET", tag, "new")
	if err := reader.Write([]byte(fmt.Sprintf("*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(tag), tag))); err != nil {
		t.Fatal(err)
	}
	goesOn.Store(true)
	old.Resume()
	if raw, err := reader.ReadRaw(); err == nil && strings.Contains(string(raw), "old") {
		t.Errorf("it answered with old data: %q", raw)
	}
	redistest.Until(t, settle, "the old primary is a replica", func() error {
		if role := old.Info("role"); role != "slave" {
			return fmt.Errorf("it is a %s", role)
		}
		return nil
	})
	client := heir.Client()
	late, lost := 0, 0
	for _, w := range writers {
		for _, i := range w.end() {
			late++
			got, err := client.Do("GET", w.key(i))
			if err != nil {
				t.Fatal(err)
			}
			if got != w.value(i) {
				lost++
			}
		}
	}
	if lost > 0 {
		t.Errorf("of %d writes that were acknowledged after the stop, %d are lost", late, lost)
	}
	t.Logf("%d writes were acknowledged after the stop", late)
}

// aheadWriter sends writes of ever new keys on one connection, ahead of the replies.
type aheadWriter struct {
	prefix       string
	conn         net.Conn
	room         chan struct{} // a token for each write that may be sent
	acknowledged atomic.Int64
	running      sync.WaitGroup
	late         []int // acknowledged after the stop; the reader's
}

// writesAhead is how many writes of one may be unanswered.
const writesAhead = 500

func startAhead(t *testing.T, s *redistest.Server, prefix string, goesOn *atomic.Bool) *aheadWriter {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	w := &aheadWriter{prefix: prefix, conn: conn, room: make(chan struct{}, writesAhead)}
	t.Cleanup(func() { w.end() })
	w.running.Go(func() {
		for i := 0; ; i++ {
			w.room <- struct{}{}
			key, value := w.key(i), w.value(i)
			if _, err := fmt.Fprintf(conn, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(value), value); err != nil {
				return
			}
		}
	})
	w.running.Go(func() {
		replies := bufio.NewReader(conn)
		for i := 0; ; i++ {
			line, err := replies.ReadString('\n')
			if err != nil {
				break
			}
			if line == "+OK\r\n" {
				w.acknowledged.Add(1)
				if goesOn.Load() {
					w.late = append(w.late, i)
				}
			}
			<-w.room
		}
		conn.Close()
		for {
			select {
			case <-w.room: // the sender is to find that the connection is closed
			default:
				return
			}
		}
	})
	return w
}

func (w *aheadWriter) key(i int) string   { return fmt.Sprint(w.prefix, i) }
func (w *aheadWriter) value(i int) string { return fmt.Sprint("value ", i) }

// end closes the connection and returns the writes that were acknowledged
// after the stop.
func (w *aheadWriter) end() []int {
	w.conn.Close()
	w.running.Wait()
	return w.late
}
