package interop

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/slots"
)

// witnessPeriod is how often a witness asks its node. With the time that a round takes it
// is also what the witnesses are blind to: two nodes may have served a slot within it.
const witnessPeriod = 20 * time.Millisecond

// probe is a slot that is written to.
type probe struct {
	slot slots.Slot
	tag  string // hashes to the slot
}

// witnesses are clients, one in the host of each node, that write and read keys of all
// probes there, whether it owns them or not, so no partition is between them and the node.
// Every write has a key of its own.
type witnesses struct {
	t       *testing.T
	run     string // begins all keys
	probes  []probe
	stop    chan struct{}
	running sync.WaitGroup

	mu      sync.Mutex // guards what follows
	tenures tenures
	acked   map[string]ackedWrite // by key
	issued  int
	refused map[string]int // replies other than OK, by their code
	blurred int            // requests during which the node's epoch changed
}

// ackedWrite is a write that was acknowledged.
type ackedWrite struct {
	probe, node int
	at          time.Time
}

// watch starts witnesses on the nodes.
func watch(t *testing.T, run string, nodes []*redistest.Server, probes []probe) *witnesses {
	w := &witnesses{
		t: t, run: run, probes: probes, stop: make(chan struct{}),
		tenures: tenures{}, acked: map[string]ackedWrite{}, refused: map[string]int{},
	}
	for i, s := range nodes {
		w.running.Go(func() { w.attend(i, s) })
	}
	t.Cleanup(w.end)
	return w
}

// end ends them. Twice is as good as once.
func (w *witnesses) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.running.Wait()
}

// attend asks one node until the end.
func (w *witnesses) attend(node int, s *redistest.Server) {
	var c *redistest.Client
	defer func() {
		if c != nil {
			c.Close()
		}
	}()
	last := make([]string, len(w.probes)) // the keys of the last writes that were acknowledged
	for round := 0; ; round++ {
		select {
		case <-w.stop:
			return
		case <-time.After(witnessPeriod):
		}
		if c == nil {
			next, err := s.Connect()
			if err != nil {
				continue
			}
			c = next
		}
		if err := w.ask(c, node, round, last); err != nil {
			c.Close()
			c = nil
		}
	}
}

// ask makes one round: the epoch, a write to each probe and a read of the last one that
// this node has acknowledged, and the epoch again.
func (w *witnesses) ask(c *redistest.Client, node, round int, last []string) error {
	commands := [][]any{{"CLUSTER", "INFO"}}
	keys := make([]string, len(w.probes))
	for i, p := range w.probes {
		keys[i] = fmt.Sprintf("%s:{%s}:%d:%d", w.run, p.tag, node, round)
		commands = append(commands, []any{"SET", keys[i], keys[i]})
		if last[i] != "" {
			commands = append(commands, []any{"GET", last[i]})
		}
	}
	commands = append(commands, []any{"CLUSTER", "INFO"})
	sent := time.Now()
	replies, err := c.Pipeline(commands...)
	answered := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.issued += len(w.probes)
	if err != nil {
		w.refused["the connection"] += len(w.probes)
		return err
	}
	epoch, known := myEpoch(replies[0])
	after, _ := myEpoch(replies[len(replies)-1])
	certain := known && epoch == after
	note := func(probe int, write bool) {
		if certain {
			w.tenures.add(served{slot: int(w.probes[probe].slot), node: node, epoch: epoch, write: write, sent: sent, answered: answered})
		} else {
			w.blurred++
		}
	}
	at := 1
	for i := range w.probes {
		written, reads := replies[at], last[i] != ""
		if reads {
			if _, refused := replies[at+1].(redistest.Error); !refused {
				note(i, false)
			}
			at++
		}
		at++
		last[i] = ""
		if written != "OK" {
			code, _, _ := strings.Cut(fmt.Sprint(written), " ")
			w.refused[code]++
			continue
		}
		note(i, true)
		w.acked[keys[i]] = ackedWrite{probe: i, node: node, at: answered}
		last[i] = keys[i]
	}
	return nil
}

// myEpoch is cluster_my_epoch of CLUSTER INFO.
func myEpoch(reply any) (uint64, bool) {
	text, _ := reply.(string)
	_, rest, ok := strings.Cut(text, "cluster_my_epoch:")
	digits, _, _ := strings.Cut(rest, "\r\n")
	epoch, err := strconv.ParseUint(digits, 10, 64)
	return epoch, ok && err == nil
}

// written is how many writes of a probe have been acknowledged since a moment, by node.
func (w *witnesses) written(probe int, since time.Time) map[int]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := map[int]int{}
	for _, a := range w.acked {
		if a.probe == probe && a.at.After(since) {
			counts[a.node]++
		}
	}
	return counts
}

// lastBefore is when a node acknowledged its last write of a probe before a moment, and
// firstAfter when its first one after it; zero if it has none.
func (w *witnesses) lastBefore(probe, node int, until time.Time) (last time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.acked {
		if a.probe == probe && a.node == node && a.at.Before(until) {
			last = latest(last, a.at)
		}
	}
	return last
}

func (w *witnesses) firstAfter(probe, node int, since time.Time) (first time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.acked {
		if a.probe == probe && a.node == node && a.at.After(since) && (first.IsZero() || a.at.Before(first)) {
			first = a.at
		}
	}
	return first
}
