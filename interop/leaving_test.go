package interop

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redoubt/internal/redistest"
)

// leaver is a client that writes to one slot, where the cluster sends it.
type leaver struct {
	t       *testing.T
	c       *redistest.Cluster
	at      *redistest.Server
	key     string
	acked   int // the last number that was acknowledged
	moved   int // answers MOVED
	broken  int // connections that ended
	longest time.Duration
}

// run writes ascending numbers until stop is closed.
func (l *leaver) run(stop <-chan struct{}) {
	conn, last := l.at.Client(), time.Now()
	for n := 1; ; {
		select {
		case <-stop:
			return
		default:
		}
		_, err := conn.Do("SET", l.key, n)
		switch {
		case err == nil:
			l.longest = max(l.longest, time.Since(last))
			l.acked, last = n, time.Now()
			n++
		case strings.HasPrefix(err.Error(), "MOVED "):
			l.moved++
			l.at = nodeAt(l.t, l.c, strings.Fields(err.Error())[2])
			conn = l.at.Client()
		default:
			l.broken++
			l.t.Errorf("a write is answered %v", err)
			return
		}
	}
}

// A primary that gets SIGTERM hands over before it ends: its clients see one redirection
// and no error, and nothing that was acknowledged is lost.
func TestAPrimaryThatEndsHandsOver(t *testing.T) {
	oursOnly(t)
	for _, journal := range []string{"yes", "no"} {
		t.Run("appendonly "+journal, func(t *testing.T) {
			c := startCluster(t, 15*time.Second, nil, "--appendonly", journal, "--save", "", "--shutdown-on-sigterm", "failover")
			for range 3 {
				old := primaries(t, c)[0]
				handOverAndReturn(t, c, old)
			}
		})
	}
}

func handOverUnderLoad(t *testing.T, c *redistest.Cluster, old, heir *redistest.Server) {
	t.Helper()
	const writers = 8
	slot, stop := myself(t, old).first(t), make(chan struct{})
	var running sync.WaitGroup
	var all []*leaver
	for i := range writers {
		l := &leaver{t: t, c: c, at: old, key: keyIn(slot, fmt.Sprintf("leaving:%d:%d:", old.Port, i))}
		all = append(all, l)
		running.Go(func() { l.run(stop) })
	}
	library := startLibrary(t, c, keyIn(slot, fmt.Sprintf("library:%d:", old.Port)))
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	old.Terminate()
	took := time.Since(began)
	time.Sleep(300 * time.Millisecond)
	close(stop)
	running.Wait()
	library.end()
	gap := library.longest
	for _, l := range all {
		gap = max(gap, l.longest)
		if l.moved != 1 || l.broken != 0 || l.at != heir {
			t.Errorf("a client is redirected %d times, and loses its connection %d times", l.moved, l.broken)
		}
		if got := fmt.Sprint(heir.Do("GET", l.key)); got != fmt.Sprint(l.acked) {
			t.Errorf("%s was acknowledged as %d, and is %s", l.key, l.acked, got)
		}
	}
	if got := fmt.Sprint(heir.Do("GET", library.key)); got != fmt.Sprint(library.acked) {
		t.Errorf("of the library %d was acknowledged, and it is %s", library.acked, got)
	}
	t.Logf("the longest pause of writes %v, the process ended after %v", gap, took)
}

// libraryWriter is a client of a common library, which retries by itself.
type libraryWriter struct {
	key     string
	acked   int
	longest time.Duration
	stop    chan struct{}
	running sync.WaitGroup
}

func startLibrary(t *testing.T, c *redistest.Cluster, key string) *libraryWriter {
	t.Helper()
	var addrs []string
	for _, s := range c.Nodes {
		addrs = append(addrs, s.Addr())
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	w := &libraryWriter{key: key, stop: make(chan struct{})}
	w.running.Go(func() {
		defer client.Close()
		last := time.Now()
		for n := 1; ; n++ {
			select {
			case <-w.stop:
				return
			default:
			}
			if err := client.Set(context.Background(), key, n, 0).Err(); err != nil {
				t.Errorf("the library says %v", err)
				return
			}
			w.longest = max(w.longest, time.Since(last))
			w.acked, last = n, time.Now()
		}
	})
	return w
}

func (w *libraryWriter) end() {
	close(w.stop)
	w.running.Wait()
}

// A replica of Redis takes over likewise: it is asked as by a client.
func TestAPrimaryThatEndsHandsOverToRedis(t *testing.T) {
	oursOnly(t)
	real, mine := redistest.Redis, redistest.Redoubt
	c := startCluster(t, 15*time.Second, []redistest.Kind{mine, mine, mine, real, real, real})
	for _, old := range c.Nodes[:3] {
		old.Do("CONFIG", "SET", "shutdown-on-sigterm", "nosave failover")
	}
	handOverAndReturn(t, c, c.Nodes[1])
}

// handOverAndReturn ends a primary under load, and has it come back as a replica with
// the data of its heir.
func handOverAndReturn(t *testing.T, c *redistest.Cluster, old *redistest.Server) {
	t.Helper()
	heir := replicaOf(t, c, old)
	untilLinked(t, heir, old)
	handOverUnderLoad(t, c, old, heir)
	old.Restart()
	c.UntilStable(settle)
	agree(t, c)
	untilLinked(t, old, heir)
	sameDigest(t, old, heir)
}
