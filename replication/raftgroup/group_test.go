package raftgroup

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"redoubt/replication"
	"redoubt/storage/journal"
)

type randomness struct{}

func (randomness) Read(p []byte) (int, error) { return rand.Read(p) }

func set(i int) string {
	return fmt.Sprintf("*3\r\n$3\r\nSET\r\n$8\r\nkey:%04d\r\n$8\r\n%08d\r\n", i%10000, i)
}

func TestGroupCommits(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.form("a")
	n := l.leader()
	for i := range 100 {
		if err := n.write(set(i)); err != nil {
			t.Fatal(err)
		}
	}
	end := n.stream.End()
	for _, o := range l.nodes {
		l.until(func() bool { return o.stream.Synced() >= end })
	}
}

// keys are the values of set in a stream.
func keys(t *testing.T, n *labNode) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	buf := make([]byte, 64<<10)
	var text []byte
	for at := n.stream.First(); at < n.stream.End(); {
		got, err := n.stream.ReadAt(buf, at)
		if err != nil {
			t.Fatal(err)
		}
		text, at = append(text, buf[:got]...), at+replication.Offset(got)
	}
	for _, line := range strings.Split(string(text), "\r\n") {
		all[line] = true
	}
	return all
}

// A primary is killed, comes back, and another is, while a client writes. Whatever was
// committed is in the stream of all of them in the end.
func TestCommittedSurvivesLeaders(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.form("a")
	var committed []string
	write := func(count int) {
		n := l.leader()
		for range count {
			unit := set(len(committed) + 10_000_000)
			if n.write(unit) == nil {
				committed = append(committed, fmt.Sprintf("%08d", len(committed)+10_000_000))
			}
		}
	}
	for range 4 {
		write(20)
		id := l.leader().id
		l.kill(id)
		write(20)
		l.start(id)
	}
	write(1)
	n := l.leader()
	for _, o := range l.nodes {
		l.until(func() bool { return o.stream.Synced() >= n.stream.End() })
		have := keys(t, o)
		for _, v := range committed {
			if !have[v] {
				t.Fatalf("%s lacks %s of %d", o.id, v, len(committed))
			}
		}
	}
	if len(committed) < 100 {
		t.Fatalf("only %d writes were committed", len(committed))
	}
}

// A leader that is cut off acknowledges nothing more, and gives up what it has written
// when it comes back.
func TestLeaderThatIsCutOff(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.form("a")
	old := l.leader()
	if err := old.write(set(1)); err != nil {
		t.Fatal(err)
	}
	round := old.group.Ask()
	l.until(func() bool { return old.verified.Load() >= round })
	l.isolate(old.id, true)
	lone := make(chan error, 1)
	go func() { lone <- old.write(set(77_777_777)) }()
	round = old.group.Ask()
	l.until(func() bool {
		n := l.leader()
		return n != old
	})
	n := l.leader()
	if err := n.write(set(2)); err != nil {
		t.Fatal(err)
	}
	if err := <-lone; err == nil {
		t.Fatal("a write was committed on one node of three")
	}
	if old.verified.Load() >= round {
		t.Fatal("a node that was cut off was still the leader")
	}
	l.isolate(old.id, false)
	l.until(func() bool { return old.stream.Synced() >= n.stream.End() && !keys(t, old)["77777777"] })
	if !keys(t, old)["00000002"] {
		t.Fatal("it lacks what was written meanwhile")
	}
}

// A leader whose disk hangs does not lead for long.
func TestLeaderWithoutDisk(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.form("a")
	old := l.leader()
	hang := make(chan struct{})
	old.mu.Lock()
	old.disk = hang
	old.mu.Unlock()
	lone := make(chan error, 1)
	go func() { lone <- old.write(set(1)) }()
	l.until(func() bool {
		for _, id := range []string{"b", "c"} {
			if l.node(id).group.Leads() {
				return true
			}
		}
		return false
	})
	close(hang)
	<-lone // whichever: the bytes may have gone to the others
	if err := l.leader().write(set(2)); err != nil {
		t.Fatal(err)
	}
}

// Marks that were written while the bytes were not are no marks at the next start.
func TestMarksWithoutData(t *testing.T) {
	s, err := openStore(t.TempDir(), func([]*raft.Log) error { return nil }, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	line := strings.Repeat("ab", 20)
	for i, at := range []replication.Offset{10, 20, 30} {
		m := Mark{Line: line, At: at}
		if err := s.StoreLog(&raft.Log{Index: uint64(i + 1), Term: 1, Type: raft.LogCommand, Data: m.encode()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.dropUnheld(line, 20); err != nil {
		t.Fatal(err)
	}
	if last, _ := s.LastIndex(); last != 2 {
		t.Fatalf("the last entry is %d", last)
	}
	var l raft.Log
	if err := s.GetLog(3, &l); err != raft.ErrLogNotFound {
		t.Fatal(err)
	}
}

func TestEntries(t *testing.T) {
	m := Mark{Line: strings.Repeat("0f", 20), At: 1 << 40}
	if e, err := decodeEntry(m.encode()); err != nil || e != m {
		t.Fatal(e, err)
	}
	c := Claim{Node: strings.Repeat("a", 40), Epoch: 7}
	if e, err := decodeEntry(c.encode()); err != nil || e != c {
		t.Fatal(e, err)
	}
	for _, b := range [][]byte{nil, {kindMark}, {kindClaim, 1}, m.encode()[:20]} {
		if _, err := decodeEntry(b); err == nil {
			t.Errorf("%x is an entry", b)
		}
	}
}

func TestHolds(t *testing.T) {
	a, b, c := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)
	h := replication.History{ID: b, ID2: a, Second: 101}
	for _, k := range []struct {
		m         Mark
		synced    replication.Offset
		following bool
		want      bool
	}{
		{Mark{b, 150}, 150, true, true},
		{Mark{b, 151}, 150, true, false},
		{Mark{a, 100}, 100, false, true},
		{Mark{a, 101}, 150, false, false}, // of the history before, beyond the end of that …
		{Mark{a, 101}, 150, true, true},   // … which is of no consequence where the primary's stream is
		{Mark{c, 10}, 150, false, false},
		{Mark{c, 10}, 99, true, false},
		{Mark{c, 10}, 100, true, true},
	} {
		if got := Holds(h, k.synced, k.following, k.m); got != k.want {
			t.Errorf("%+v with %d synced, following %v: %v", k.m, k.synced, k.following, got)
		}
	}
}

func TestNextChange(t *testing.T) {
	now := []raft.Server{{ID: "a", Suffrage: raft.Voter}, {ID: "b", Suffrage: raft.Nonvoter}, {ID: "c", Suffrage: raft.Voter}}
	never := func(string) bool { return false }
	for _, k := range []struct {
		all, ready []string
		gone       string
		what, id   string
	}{
		{[]string{"b", "c"}, []string{"c"}, "", "", ""},
		{[]string{"b", "c"}, []string{"b", "c"}, "", "votes", "b"},
		{[]string{"b", "c", "d"}, []string{"c", "d"}, "", "is being added", "d"},
		{[]string{"b"}, []string{"b"}, "c", "has left it", "c"},
		{[]string{"b", "c"}, nil, "c", "", ""}, // it is there
	} {
		gone := never
		if k.gone != "" {
			gone = func(id string) bool { return id == k.gone }
		}
		if what, id, _ := nextChange(now, "a", k.all, k.ready, gone); what != k.what || id != k.id {
			t.Errorf("%+v: %q %q", k, what, id)
		}
	}
}

// Prints how many writes a second a group of three commits; 50 clients, and 800.
func BenchmarkCommits(b *testing.B) {
	for _, clients := range []int{1, 50, 800} {
		for _, policy := range []journal.Policy{journal.Always} {
			b.Run(fmt.Sprintf("%d/%v", clients, policy), func(b *testing.B) {
				l := newLab(b, "a", "b", "c")
				l.form("a")
				n := l.leader()
				var wrote atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				each := max(b.N/clients, 1)
				lat := make([][]time.Duration, clients)
				for c := range clients {
					wg.Go(func() {
						for i := range each {
							at := time.Now()
							if err := n.write(set(i)); err != nil {
								b.Error(err)
								return
							}
							lat[c] = append(lat[c], time.Since(at))
							wrote.Add(1)
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				all := slices.Concat(lat...)
				slices.Sort(all)
				b.ReportMetric(float64(wrote.Load())/b.Elapsed().Seconds(), "writes/s")
				b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
			})
		}
	}
}
