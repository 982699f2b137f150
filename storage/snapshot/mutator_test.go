package snapshot

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/chunk"
	"redoubt/storage/rdb"
)

// state is what a keyspace holds: "db key" to the type, the elements and the
// expiry.
type state map[string]string

// present reads the whole keyspace; tx holds the world lock and must be one
// that applies, so that expired keys are seen.
func present(ks *storage.Keyspace, tx *storage.Tx) state {
	st := state{}
	for db := range ks.Databases() {
		tx.Select(db)
		for n, ok := ks.NextSlot(db, 0); ok; n, ok = ks.NextSlot(db, n+1) {
			for cursor := uint64(1); cursor != 0; {
				if cursor == 1 {
					cursor = 0
				}
				cursor = tx.Scan(n, cursor, 1000, func(e storage.Entry) {
					st[fmt.Sprintf("%d %s", db, e.Key())] = fmt.Sprint(e.Type(), elements(e), e.ExpireAt())
				})
			}
		}
	}
	tx.Select(0)
	return st
}

// elements is a value, its elements in an order of their own where they have none.
func elements(e storage.Entry) []string {
	var all []string
	add := func(b []byte) bool {
		all = append(all, string(b))
		return true
	}
	switch e.Type() {
	case storage.TypeList:
		l := e.List()
		l.Ascend(0, add)
		return all
	case storage.TypeSet:
		s := e.Set()
		s.Each(add)
	case storage.TypeStream:
		return logElements(e.Log())
	case storage.TypeHash:
		h := e.Hash()
		h.EachDue(func(name, value []byte, due int64) bool { return add(fmt.Appendf(nil, "%s=%s@%d", name, value, due)) })
	case storage.TypeZSet:
		z := e.ZSet()
		z.Ascend(0, func(member []byte, score float64) bool { return add(fmt.Appendf(nil, "%s=%g", member, score)) })
		return all
	default:
		return []string{string(e.Bytes())}
	}
	slices.Sort(all)
	return all
}

// failer is a test, or one of the runs of one.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// loaded reads a file and fails the test if a key is there twice.
func loaded(t failer, file []byte) state {
	t.Helper()
	ks := storage.New(storage.Config{Databases: 4, Reserve: 256 << 20})
	e := ks.NewExecutor()
	tx := e.BeginApplyWorld(t0, 0)
	defer e.End()
	r := rdb.NewReader(bytes.NewReader(file))
	for {
		entry, err := r.Next()
		if err == io.EOF {
			return present(ks, tx)
		}
		if err != nil {
			t.Fatal(err)
		}
		tx.Select(entry.DB)
		if _, twice := tx.Peek(entry.Key); twice {
			t.Fatalf("key %q of database %d is twice in the file", entry.Key, entry.DB)
		}
		if empty, err := r.Load(tx); empty || err != nil {
			t.Fatalf("key %q: empty %v, %v", entry.Key, empty, err)
		}
	}
}

func compare(t failer, got, want state) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	shown := 0
	for k, v := range want {
		if got[k] != v && shown < 5 {
			t.Errorf("%s: file has %.60q, want %.60q", k, got[k], v)
			shown++
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok && shown < 10 {
			t.Errorf("%s: file has %.60q, which came later", k, v)
			shown++
		}
	}
}

// mutator changes a keyspace at random.
type mutator struct {
	ks   *storage.Keyspace
	e    *storage.Executor
	rand *rand.Rand
	keys int
	now  int64
	tags string // of the keys: different for each mutator where several run
}

func (m *mutator) key() []byte { return fmt.Appendf(nil, "%s%d", m.tags, m.rand.IntN(m.keys)) }

// value is a text that may be too long for a leaf, or for a batch.
func (m *mutator) value() []byte {
	n := m.rand.IntN(80)
	switch m.rand.IntN(100) {
	case 0, 1, 2, 3, 4:
		n = 200 + m.rand.IntN(400)
	case 5:
		n = arenaBytes + m.rand.IntN(arenaBytes)
	}
	return bytes.Repeat([]byte{byte('a' + m.rand.IntN(26))}, n)
}

// element is one of a few hundred texts, numbers and long ones among them.
func (m *mutator) element() []byte {
	n := m.rand.IntN(300)
	switch n % 10 {
	case 0, 1, 2, 3:
		return fmt.Append(nil, n)
	case 4:
		return []byte(strings.Repeat(fmt.Sprintf("long element %d ", n), 10+n%20))
	}
	return fmt.Appendf(nil, "element:%d", n)
}

func (m *mutator) expiry() int64 {
	if m.rand.IntN(3) > 0 {
		return 0
	}
	return m.now + int64(m.rand.IntN(2000))
}

// op does one random unit. world allows those that need the world lock.
func (m *mutator) op(world bool) {
	m.now += int64(m.rand.IntN(3))
	switch kind := m.rand.IntN(2000); {
	case kind < 6:
		if world {
			m.databases(kind)
		}
	case kind < 20:
		m.e.ExpireCycle(m.now, 100)
	case kind < 40:
		m.e.Reclaim(1 + m.rand.IntN(100))
	case kind < 60:
		m.now += 1000
		for range m.rand.IntN(20) {
			m.e.Compact(m.now, 100)
		}
	default:
		key, other := m.key(), m.key()
		tx := m.e.Begin(m.now, []slots.Slot{slots.Of(key), slots.Of(other)})
		tx.Select(m.rand.IntN(m.ks.Databases()))
		tx.Command(nil)
		m.change(tx, key, other)
		tx.CommandEnd()
		m.e.End()
	}
}

func (m *mutator) databases(kind int) {
	tx := m.e.BeginWorld(m.now)
	defer m.e.End()
	a, b := m.rand.IntN(m.ks.Databases()), m.rand.IntN(m.ks.Databases())
	switch kind {
	case 0:
		tx.FlushAll()
	case 1, 2:
		tx.FlushDB(a)
	default:
		tx.SwapDB(a, b)
	}
}

func (m *mutator) change(tx *storage.Tx, key, other []byte) {
	switch m.rand.IntN(16) {
	case 0, 1:
		tx.SetString(key, m.value(), m.expiry(), storage.SetFlags(m.rand.IntN(2)))
	case 2:
		if e, ok := tx.Peek(key); ok && e.Type() != storage.TypeString {
			tx.Delete(key)
		}
		v := tx.GrowString(key, m.rand.IntN(400))
		for i := range v {
			v[i]++
		}
	case 3:
		tx.Delete(key)
	case 4, 5:
		tx.SetExpire(key, m.expiry())
	case 6:
		tx.Rename(key, other)
	case 7:
		tx.Copy(key, m.rand.IntN(m.ks.Databases()), other)
	case 8:
		tx.Move(key, m.rand.IntN(m.ks.Databases()))
	default:
		m.collection(tx, key)
	}
}

// collection changes a key as commands on collections do, one after another, in
// a few elements or in so many that it becomes large, or small again.
func (m *mutator) collection(tx *storage.Tx, key []byte) {
	n := 1 + m.rand.IntN(5)
	if m.rand.IntN(10) == 0 {
		n = m.rand.IntN(300)
	}
	grow := m.rand.IntN(2) == 0
	t := []storage.Type{storage.TypeList, storage.TypeSet, storage.TypeHash, storage.TypeZSet, storage.TypeStream}[m.rand.IntN(5)]
	if e, ok := tx.Peek(key); ok && m.rand.IntN(20) > 0 {
		t = e.Type()
	} else if ok {
		tx.Delete(key)
	}
	switch t {
	case storage.TypeList:
		l, _ := tx.EditList(key)
		for range n {
			m.list(&l, grow)
		}
	case storage.TypeStream:
		l, _ := tx.EditLog(key)
		for range n {
			m.log(l, grow)
		}
		l.Close(n)
	case storage.TypeSet:
		s, _ := tx.EditSet(key)
		for range n {
			if grow {
				s.Add(m.element())
			} else if s.Len() > 0 {
				s.Remove(bytes.Clone(s.At(m.rand.IntN(s.Len()))))
			}
		}
	case storage.TypeHash:
		h, _ := tx.EditHash(key)
		for range n {
			if grow {
				name := m.element()
				h.DropExpired([][]byte{name}, 1)
				h.SetDue(name, m.value(), m.expiry())
			} else if h.Len() > 0 {
				name, _, _ := h.At(m.rand.IntN(h.Len()))
				h.Delete(bytes.Clone(name))
			}
		}
	case storage.TypeZSet:
		z, _ := tx.EditZSet(key)
		for range n {
			if grow {
				z.Set(m.element(), float64(m.rand.IntN(100))/8)
			} else if z.Len() > 0 {
				rank := m.rand.IntN(z.Len())
				z.RemoveRange(rank, min(1+m.rand.IntN(3), z.Len()-rank))
			}
		}
	}
}

func (m *mutator) list(l *storage.List, grow bool) {
	i, n := m.rand.IntN(l.Len()+1), l.Len()
	switch {
	case grow:
		l.Insert([]int{0, n, i}[m.rand.IntN(3)], m.element())
	case i == n:
	case m.rand.IntN(4) == 0:
		l.Set(i, m.element())
	case m.rand.IntN(4) == 0:
		l.Rotate(i, m.rand.IntN(n))
	default:
		l.Remove(i, min(1+m.rand.IntN(3), n-i))
	}
}

// log changes a stream, its items or one group.
func (m *mutator) log(l *storage.Log, grow bool) {
	first := l.FirstID()
	switch id, _ := l.LastID().Next(); {
	case grow:
		id.Ms += uint64(m.rand.IntN(3))
		l.Append(id, [][]byte{[]byte("field"), m.value(), []byte("other"), m.element()})
	case m.rand.IntN(3) > 0:
		l.Delete(first)
	default:
		l.Trim(storage.Trim{ByLength: true, MaxLen: l.Len() * 3 / 4, Approx: m.rand.IntN(2) == 0})
	}
	g, ok := l.Group([]byte("group"))
	if !ok {
		g, _ = l.CreateGroup([]byte("group"), first, storage.UnknownRead)
	}
	c, ok := g.Consumer([]byte("consumer"))
	if !ok {
		c = g.CreateConsumer([]byte("consumer"), m.now)
	}
	if p, ok := g.NextPending(chunk.ID{}); ok && m.rand.IntN(3) == 0 {
		g.Drop(p.ID)
	} else if !first.IsZero() {
		g.Deliver(&c, storage.Pending{ID: l.LastItem(), Time: m.now, Count: 1})
	}
	c.Save()
	g.Save()
}

func logElements(l *storage.Log) (all []string) {
	all = append(all, fmt.Sprint(l.Len(), l.LastID(), l.Added(), l.MaxDeleted()))
	l.Range(chunk.ID{}, chunk.MaxID, func(r *chunk.Reader) bool {
		all = append(all, r.ID.String())
		for range r.Pairs {
			field, value := r.Pair()
			all = append(all, fmt.Sprintf("%s=%s", field, value))
		}
		return true
	})
	l.EachGroup(func(g *storage.Group) bool {
		all = append(all, fmt.Sprintf("%s %v %d", g.Name(), g.Last, g.Pending()))
		g.EachConsumer(func(c *storage.Consumer) bool {
			all = append(all, fmt.Sprintf("%s %d", c.Name(), c.Seen))
			for from, more := (chunk.ID{}), true; more; {
				p, ok := g.NextPendingOf(c, from)
				if !ok {
					break
				}
				all = append(all, fmt.Sprint(p.ID, p.Time, p.Count))
				from, more = p.ID.Next()
			}
			return true
		})
		return true
	})
	return all
}
