package node

import (
	"crypto/sha1"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/storage"
	"redoubt/storage/chunk"
)

// TestGroupsOfStreamsReachRestartsAndReplicas is
// TestEveryCommandGivesTheSameDataToRestartsAndReplicas for streams alone, in scripts
// and for clients that wait, too. As no consumer reads its history again, which is not
// propagated, when and how often items were delivered is the same as well. When a
// consumer asked is not, as in Redis: asking in vain has no effect.
func TestGroupsOfStreamsReachRestartsAndReplicas(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			dir, port := t.TempDir(), redistest.Port(t)
			args := []string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--databases", "2", "--save", "",
				"--stream-node-max-entries", fmt.Sprint(3 + 50*seed)}
			of := []string{"--databases", "2", "--replicaof", fmt.Sprint("127.0.0.1 ", port)}
			primary, stop := startNode(t, dir, args...)
			replica, _ := startNode(t, t.TempDir(), of...)
			w := newWriter(t, primary, fmt.Sprint("127.0.0.1:", port), seed)
			w.onlyStreams()
			w.run(2000)
			want := deliveries(primary)
			redistest.Until(t, 20*time.Second, "the replica has the primary's groups", func() error {
				return w.differs(want, deliveries(replica))
			})
			joined, _ := startNode(t, t.TempDir(), of...)
			redistest.Until(t, 20*time.Second, "a replica that joins has them, too", func() error {
				return w.differs(want, deliveries(joined))
			})
			stop()
			restarted, _ := startNode(t, dir, args...)
			if err := w.differs(want, deliveries(restarted)); err != nil {
				t.Errorf("after a restart: %v", err)
			}
		})
	}
}

// onlyStreams leaves the writer the commands on streams, and some on all keys.
func (w *writer) onlyStreams() {
	others := []string{"del", "rename", "copy", "restore", "pexpire", "persist", "move"}
	for _, r := range w.rows {
		if r.Doc.Group == "stream" || slices.Contains(others, r.Name) {
			w.streams = append(w.streams, r)
		}
	}
	w.rows = w.streams
	w.lines.Keys = 3
}

// ofStreams changes a line of a writer of streams: no consumer reads its history, and
// some lines are those of scripts.
func (w *writer) ofStreams(line [][]byte) [][]byte {
	if w.streams == nil {
		return line
	}
	if i := slices.IndexFunc(line, func(a []byte) bool { return string(a) == "STREAMS" }); string(line[0]) == "xreadgroup" && i > 0 {
		for j := i + 1 + (len(line)-i-1)/2; j < len(line); j++ {
			line[j] = []byte(">")
		}
	}
	if w.lines.IntN(6) > 0 {
		return line
	}
	return slices.Concat([][]byte{[]byte("EVAL"), []byte("return redis.pcall(unpack(ARGV))"), []byte("0")}, line)
}

// deliveries is contents and a fingerprint of all that is known of the groups of
// streams but when consumers asked.
func deliveries(n *Node) map[keyIn]storage.Digest {
	all := contents(n)
	keys := slices.Collect(maps.Keys(all))
	n.keys.World(now(), func(tx *storage.Tx) {
		for _, k := range keys {
			tx.Select(max(k.db, 0))
			if e, ok := tx.Peek([]byte(k.key)); ok && e.Type() == storage.TypeStream {
				all[keyIn{k.db, k.key + " with deliveries"}] = deliveriesOf(e.Log())
			}
		}
	})
	return all
}

func deliveriesOf(l *storage.Log) storage.Digest {
	var all strings.Builder
	l.EachGroup(func(g *storage.Group) bool {
		lag, known := g.Lag()
		fmt.Fprintf(&all, "%s %v %d %v %d\n", g.Name(), g.Last, lag, known, g.Consumers())
		g.EachConsumer(func(m *storage.Consumer) bool {
			fmt.Fprintf(&all, "%s %d\n", m.Name(), m.Pending())
			return true
		})
		for from, more := (chunk.ID{}), true; more; {
			p, ok := g.NextPending(from)
			if !ok {
				break
			}
			fmt.Fprintf(&all, "%v %s %d %d\n", p.ID, g.OwnerName(p), p.Time, p.Count)
			from, more = p.ID.Next()
		}
		return true
	})
	return sha1.Sum([]byte(all.String()))
}
