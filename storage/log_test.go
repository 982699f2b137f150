package storage

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"redoubt/storage/chunk"
	"redoubt/storage/rdb/wire"
)

// changeLog changes a log at random, n times.
func changeLog(tx *Tx, r *rand.Rand, key []byte, n int, text func() []byte) {
	l, ok := tx.EditLog(key)
	if !ok {
		return
	}
	defer l.Close(1)
	for range n {
		switch k := r.IntN(24); {
		case k < 10:
			id, _ := l.LastID().Next()
			id.Ms += uint64(r.IntN(2)) * uint64(r.IntN(300))
			l.Append(id, [][]byte{[]byte("field"), text(), []byte("other"), fmt.Append(nil, r.IntN(1000))})
		case k < 12:
			l.Delete(randomID(r, l))
		case k == 12:
			l.Trim(Trim{ByLength: r.IntN(2) == 0, MaxLen: l.Len() * 2 / 3, MinID: randomID(r, l), Approx: r.IntN(2) == 0})
		default:
			changeGroup(tx, r, l, k)
		}
	}
}

// randomID is an ID of an item, if there is any.
func randomID(r *rand.Rand, l *Log) (id chunk.ID) {
	at := chunk.ID{Ms: l.FirstID().Ms + uint64(r.IntN(int(l.LastID().Ms-l.FirstID().Ms)+1))}
	l.Range(at, chunk.MaxID, func(r *chunk.Reader) bool {
		id = r.ID
		return false
	})
	return id
}

func changeGroup(tx *Tx, r *rand.Rand, l *Log, k int) {
	name := []byte(strings.Repeat("group", 1+r.IntN(2)*60))
	g, ok := l.Group(name)
	if !ok {
		l.CreateGroup(name, l.FirstID(), UnknownRead)
		return
	}
	member := fmt.Append(nil, "consumer ", r.IntN(3))
	m, ok := g.Consumer(member)
	switch {
	case !ok:
		g.CreateConsumer(member, tx.Now())
	case k < 20:
		for range r.IntN(30) {
			g.Deliver(&m, Pending{ID: randomID(r, l), Time: tx.Now(), Count: uint64(r.IntN(3))})
		}
		m.Active = tx.Now()
		m.Save()
		g.Save()
	case k < 22:
		for range r.IntN(30) {
			if p, ok := g.NextPending(randomID(r, l)); ok {
				g.Drop(p.ID)
			}
		}
		g.Save()
	case k == 22 && r.IntN(4) == 0:
		g.Destroy()
	case k == 23 && r.IntN(2) == 0:
		m.Delete()
	}
}

// logText is all there is of a log, as text.
func logText(l *Log) string {
	var b strings.Builder
	fmt.Fprintln(&b, l.Len(), l.LastID(), l.FirstID(), l.MaxDeleted(), l.Added(), l.Chunks())
	n := uint64(0)
	l.Range(chunk.ID{}, chunk.MaxID, func(r *chunk.Reader) bool {
		n++
		fmt.Fprint(&b, r.ID)
		for range r.Pairs {
			field, value := r.Pair()
			fmt.Fprintf(&b, " %s=%s", field, value)
		}
		fmt.Fprintln(&b)
		return true
	})
	if n != l.Len() {
		fmt.Fprintln(&b, "but there are", n)
	}
	l.EachGroup(func(g *Group) bool {
		fmt.Fprintf(&b, "%s %v %d %d %d\n", g.Name(), g.Last, g.Read, g.Pending(), g.Consumers())
		with := map[string]int{}
		for from, more := (chunk.ID{}), true; more; {
			p, ok := g.NextPending(from)
			if !ok {
				break
			}
			owner := g.OwnerName(p)
			with[string(owner)]++
			fmt.Fprintf(&b, "%v %d %d %s\n", p.ID, p.Time, p.Count, owner)
			from, more = p.ID.Next()
		}
		g.EachConsumer(func(m *Consumer) bool {
			fmt.Fprintf(&b, "%s %d %d\n", m.Name(), m.Seen, m.Pending())
			n := 0
			for from, more := (chunk.ID{}), true; more; n++ {
				p, ok := g.NextPendingOf(m, from)
				if !ok {
					break
				}
				if !m.Owns(p) {
					fmt.Fprintf(&b, "%v is with another one\n", p.ID)
				}
				from, more = p.ID.Next()
			}
			if n != m.Pending() || n != with[string(m.Name())] {
				fmt.Fprintln(&b, "but has", n, "and", with[string(m.Name())])
			}
			return true
		})
		return true
	})
	return b.String()
}

func savedLog(f *Frozen) []byte {
	var w wire.Writer
	w.Reset(nil)
	f.Save(&w)
	return bytes.Clone(w.Collected())
}

// What a snapshot has of a log stays as it was, whatever becomes of the log; what is
// saved is loaded as it was; and a copy shares nothing.
func TestLogsInSnapshotsFilesAndCopies(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 11))
		b := newBench(t, 2)
		key, copied := []byte("{k}1"), []byte("{k}2")
		long := int(seed%3) * 150
		text := func() []byte { return []byte(strings.Repeat("x", r.IntN(1+long)) + fmt.Sprint(r.IntN(50))) }
		type held struct {
			c     *Capture
			f     Frozen
			bytes []byte
		}
		var open []held
		for step := range 250 {
			b.now += 7
			b.unit(func(tx *Tx) {
				tx.ks.limits.NodeItems, tx.ks.limits.NodeBytes = 3+r.IntN(40), 200+r.IntN(2)*4000
				changeLog(tx, r, key, 1+r.IntN(40), text)
			}, string(key))
			switch {
			case step%20 == 0:
				b.World(b.now, func(tx *Tx) {
					c, err := tx.BeginCapture(nil, func(int, Entry) {})
					if err != nil {
						t.Fatal(err)
					}
					e, ok := tx.Peek(key)
					if !ok {
						tx.Release(c)
						return
					}
					f, _ := e.Share(nil)
					open = append(open, held{c, f, savedLog(&f)})
				})
			case step%20 == 19 && len(open) > 1:
				h := open[0]
				open = open[1:]
				if got := savedLog(&h.f); !bytes.Equal(got, h.bytes) {
					t.Fatalf("seed %d: a snapshot's log has changed", seed)
				}
				b.World(b.now, func(tx *Tx) { tx.Release(h.c) })
				for b.Reclaim(1000) {
				}
			}
			if step%10 == 0 {
				b.unit(func(tx *Tx) { checkLog(t, tx, key, copied) }, string(key), string(copied))
				b.now += 2 * compactRestMs
				for b.Compact(b.now, 100) {
				}
			}
		}
		b.checkTotals()
	}
}

func checkLog(t *testing.T, tx *Tx, key, copied []byte) {
	t.Helper()
	e, ok := tx.Peek(key)
	if !ok {
		return
	}
	want := logText(e.Log())
	if strings.Contains(want, "but") || strings.Contains(want, "another one") {
		t.Fatalf("a log contradicts itself:\n%s", want)
	}
	l := e.Log()
	if err := l.tree.Validate(); err != nil {
		t.Fatal(err)
	}
	f, _ := e.Freeze(nil)
	saved := savedLog(&f)
	var c Checker
	if _, err := c.Check(f.Encoding(), wire.NewBytesReader(saved)); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Load(copied, f.Encoding(), wire.NewBytesReader(saved), 0); err != nil {
		t.Fatal(err)
	}
	e, _ = tx.Peek(copied)
	got := logText(e.Log())
	// A node without items that are left is not saved.
	if _, rest, _ := strings.Cut(got, "\n"); !strings.HasSuffix(want, "\n"+rest) {
		t.Fatalf("loaded:\n%s\nnot\n%s", got, want)
	}
	tx.Copy(key, tx.DB(), copied)
	e, _ = tx.Peek(copied)
	if got := logText(e.Log()); got != want {
		t.Fatalf("copied:\n%s\nnot\n%s", got, want)
	}
	changeLog(tx, rand.New(rand.NewPCG(1, 1)), copied, 30, func() []byte { return []byte("text") })
	e, _ = tx.Peek(key)
	if got := logText(e.Log()); got != want {
		t.Fatal("a change of the copy has changed the original")
	}
	tx.Delete(copied)
}

// A log is there without items, and is gone only when its key is deleted.
func TestLogsWithoutItems(t *testing.T) {
	b := newBench(t, 1)
	b.unit(func(tx *Tx) {
		l, _ := tx.EditLog([]byte("k"))
		if l.Close(0); l.Exists() {
			t.Error("a log that was only looked at exists")
		}
		l.Append(chunk.ID{Ms: 1}, [][]byte{[]byte("f"), []byte("v")})
		l.Close(1)
	}, "k")
	b.unit(func(tx *Tx) {
		l, _ := tx.EditLog([]byte("k"))
		l.Delete(chunk.ID{Ms: 1})
		l.Close(1)
	}, "k")
	b.unit(func(tx *Tx) {
		e, ok := tx.Peek([]byte("k"))
		if !ok {
			t.Fatal("a log is gone with its last item")
		}
		l := e.Log()
		if l.Len() != 0 || l.Added() != 1 || l.LastID() != (chunk.ID{Ms: 1}) || l.MaxDeleted() != (chunk.ID{Ms: 1}) || !l.FirstID().IsZero() || l.Edge() != chunk.MaxID {
			t.Errorf("%+v", l.logState)
		}
		if e.Encoding() != "stream" {
			t.Error(e.Encoding())
		}
	}, "k")
}

// A file may claim more deliveries of an item than an effect can tell of.
func TestDeliveriesInFilesAreBounded(t *testing.T) {
	b := newBench(t, 1)
	b.unit(func(tx *Tx) {
		l, _ := tx.EditLog([]byte("{k}1"))
		g, _ := l.CreateGroup([]byte("g"), chunk.ID{}, 0)
		m := g.CreateConsumer([]byte("m"), tx.Now())
		g.Deliver(&m, Pending{ID: chunk.ID{Ms: 1}, Count: math.MaxUint64})
		l.Close(1)
		e, _ := tx.Peek([]byte("{k}1"))
		f, _ := e.Freeze(nil)
		if _, err := tx.Load([]byte("{k}2"), f.Encoding(), wire.NewBytesReader(savedLog(&f)), 0); err != nil {
			t.Fatal(err)
		}
		e, _ = tx.Peek([]byte("{k}2"))
		g, _ = e.Log().Group([]byte("g"))
		p, _ := g.FindPending(chunk.ID{Ms: 1})
		if p.Again(); p.Count != MaxDeliveries {
			t.Errorf("%d deliveries", p.Count)
		}
	}, "{k}1", "{k}2")
}

// The numbers of groups and consumers go round, and do not meet those in use.
func TestNumbersOfGroupsGoRound(t *testing.T) {
	used := []uint32{0, 1, 4}
	in := func(n uint32) bool { return slices.Contains(used, n) }
	for next, want := range map[uint32]uint32{0: 2, 2: 2, 4: 5, 9: 9, 10: 2, math.MaxUint32: 2} {
		if got := freeNumber(next, 10, in); got != want {
			t.Errorf("from %d on: %d, not %d", next, got, want)
		}
	}
}

// RadixNodes counts as a tree that is built does.
func TestRadixNodes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 50 {
		b := newBench(t, 1)
		b.Keyspace.limits.NodeItems = 1
		b.unit(func(tx *Tx) {
			l, _ := tx.EditLog([]byte("k"))
			id := chunk.ID{Ms: r.Uint64N(1 << 20)}
			var ids [][]byte
			for range 1 + r.IntN(200) {
				id.Ms += r.Uint64N(3)
				id.Seq += 1 + r.Uint64N(1<<uint(r.IntN(30)))
				l.Append(id, [][]byte{{'f'}, {'v'}})
				ids = append(ids, appendRawID(nil, id))
			}
			l.Close(1)
			if got, want := l.RadixNodes(), radixNodes(ids, 0); got != want {
				t.Fatalf("%d nodes for %d IDs, not %d", got, len(ids), want)
			}
		}, "k")
	}
}

// radixNodes counts the nodes for IDs that are the same up to depth.
func radixNodes(ids [][]byte, depth int) int64 {
	common := depth
	for common < len(ids[0]) && ids[0][common] == ids[len(ids)-1][common] {
		common++
	}
	n := nodeIf(common > depth) + 1 // what they have in common, and the parting or the end
	if common == len(ids[0]) {
		return n
	}
	for from := 0; from < len(ids); {
		to := from
		for to < len(ids) && ids[to][common] == ids[from][common] {
			to++
		}
		n += radixNodes(ids[from:to], common+1)
		from = to
	}
	return n
}
