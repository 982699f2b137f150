package interop

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// ackedRounds is how often a node is harmed in each of the tests below.
var ackedRounds = flag.Int("acked-rounds", 3, "how often TestNothingAcknowledgedIsLost… harm a node")

// A primary under writes is killed, or stopped for longer than its failover takes, and
// its replica takes over. Whatever was acknowledged is there, because a write is handed
// to the socket of the replica before its reply leaves (repl-send-before-reply), and
// what a node that was stopped has run meanwhile is not acknowledged.
func TestNothingAcknowledgedIsLostWithAPrimary(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	p := startShard(t)
	for round := range *ackedRounds {
		ws := p.write()
		if round%2 == 0 {
			p.primary.Kill()
		} else {
			p.primary.Pause()
		}
		p.takeover()
		if round%2 == 0 {
			p.replica.Restart()
		} else {
			p.replica.Resume()
		}
		untilLinked(t, p.replica, p.primary)
		p.verify(round, ws)
	}
}

// With min-replicas-to-ack 1 a write is acknowledged when two nodes have it. So nothing
// is lost if one of them, whichever it is, is killed or loses its power, and comes back at
// once or only when the other has taken over.
func TestNothingAcknowledgedIsLostWithAnyNode(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	p := startShard(t, "--min-replicas-to-ack", "1", "--min-replicas-ack-timeout", "1000")
	seed := rand.New(rand.NewPCG(1, uint64(*ackedRounds)))
	for round := range *ackedRounds {
		ws := p.write()
		victim, power, wait := p.primary, seed.IntN(2) == 0, seed.IntN(2) == 0
		if seed.IntN(3) == 0 {
			victim, wait = p.replica, false
		}
		victim.Kill()
		if power {
			losePower(t, victim)
		}
		if wait {
			p.takeover()
		}
		victim.Restart()
		for _, w := range ws {
			w.end() // a primary that lives would run ahead of its replica for ever
		}
		p.decide()
		p.verify(round, ws)
	}
}

// shardOfTwo is a shard of a cluster.
type shardOfTwo struct {
	t                *testing.T
	primary, replica *redistest.Server
	tag              string // of keys that belong to it
	round            int
}

func startShard(t *testing.T, args ...string) *shardOfTwo {
	t.Helper()
	c := startCluster(t, nodeTimeout, nil, args...)
	p := &shardOfTwo{t: t, primary: primaries(t, c)[0]}
	p.replica = replicaOf(t, c, p.primary)
	p.tag = "{" + keyIn(myself(t, p.primary).first(t), "acked:") + "}"
	untilLinked(t, p.replica, p.primary)
	return p
}

// write has clients write to the primary, and returns when thousands of writes have been
// acknowledged, while they go on.
func (p *shardOfTwo) write() (ws []*ackedWriter) {
	p.t.Helper()
	p.round++
	for i := range 8 {
		ws = append(ws, startAcked(p.t, p.primary, fmt.Sprintf("%s%d:%d:", p.tag, p.round, i)))
	}
	redistest.Until(p.t, settle, "writes are acknowledged", func() error {
		total := int64(0)
		for _, w := range ws {
			total += w.acknowledged.Load()
		}
		if total < 4000 {
			return fmt.Errorf("%d are", total)
		}
		return nil
	})
	return ws
}

// takeover waits until the replica is the primary, and calls it so.
func (p *shardOfTwo) takeover() {
	p.t.Helper()
	redistest.Until(p.t, settle, "the replica has taken over", func() error {
		if me := myself(p.t, p.replica); me.slots == "" {
			return fmt.Errorf("it is %v", me)
		}
		return nil
	})
	p.primary, p.replica = p.replica, p.primary
}

// decide waits until one of the two is the primary and the other in step with it, and
// calls them so. If the primary was started again at once, it may take until then
// before the replica, which has more, takes over.
func (p *shardOfTwo) decide() {
	p.t.Helper()
	redistest.Until(p.t, settle, "one is the primary and the other its replica", func() error {
		if myself(p.t, p.primary).slots == "" {
			p.primary, p.replica = p.replica, p.primary
		}
		a, b := myself(p.t, p.primary), myself(p.t, p.replica)
		up, has, want := p.replica.Info("master_link_status"), p.replica.Info("slave_repl_offset"), p.primary.Info("master_repl_offset")
		if a.slots == "" || b.primary != a.id || up != "up" || has != want {
			return fmt.Errorf("they are %v and %v, the link is %s, the offsets are %s and %s", a, b, up, has, want)
		}
		return nil
	})
}

// verify looks for what was acknowledged to the writers, and ends them.
func (p *shardOfTwo) verify(round int, ws []*ackedWriter) {
	p.t.Helper()
	c := p.primary.Client()
	all, lost := 0, 0
	for _, w := range ws {
		acked := w.end()
		all += len(acked)
		for len(acked) > 0 {
			n := min(len(acked), 500)
			ask := []any{"EXISTS"}
			for _, i := range acked[:n] {
				ask = append(ask, w.key(i))
			}
			var got any
			redistest.Until(p.t, settle, "the cluster answers", func() (err error) {
				got, err = c.Do(ask...)
				return err
			})
			lost += n - int(got.(int64))
			acked = acked[n:]
		}
	}
	p.t.Logf("round %d: %d writes were acknowledged", round, all)
	if lost > 0 {
		p.t.Errorf("round %d: of %d writes that were acknowledged, %d are lost", round, all, lost)
	}
}

// losePower takes from a node that was killed what a power cut would: the ring is void
// after a boot of the machine.
func losePower(t *testing.T, s *redistest.Server) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(s.Dir, "appendonlydir", "ring"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const bootID = 24 // its place in the header
	if _, err := f.WriteAt(make([]byte, 16), bootID); err != nil {
		t.Fatal(err)
	}
}

// ackedWriter writes ever new keys on one connection, ahead of the replies, and notes
// which writes were acknowledged.
type ackedWriter struct {
	prefix       string
	conn         net.Conn
	acknowledged atomic.Int64
	running      sync.WaitGroup
	acked        []int // the reader's
}

func startAcked(t *testing.T, s *redistest.Server, prefix string) *ackedWriter {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	w := &ackedWriter{prefix: prefix, conn: conn}
	t.Cleanup(func() { w.end() })
	const ahead = 50
	room := make(chan struct{}, ahead)
	gone := make(chan struct{})
	w.running.Go(func() {
		for i := 0; ; i++ {
			select {
			case room <- struct{}{}:
			case <-gone:
				return
			}
			key := w.key(i)
			if _, err := fmt.Fprintf(conn, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nx\r\n", len(key), key); err != nil {
				return
			}
			if i%ahead == 0 {
				time.Sleep(time.Millisecond) // thousands in a second are enough
			}
		}
	})
	w.running.Go(func() {
		defer close(gone)
		replies := bufio.NewReader(conn)
		for i := 0; ; i++ {
			line, err := replies.ReadString('\n')
			if err != nil {
				return
			}
			if line == "+OK\r\n" {
				w.acked = append(w.acked, i)
				w.acknowledged.Add(1)
			}
			<-room
		}
	})
	return w
}

func (w *ackedWriter) key(i int) string { return fmt.Sprint(w.prefix, i) }

// end closes the connection and returns the writes that were acknowledged.
func (w *ackedWriter) end() []int {
	w.conn.Close()
	w.running.Wait()
	return w.acked
}
