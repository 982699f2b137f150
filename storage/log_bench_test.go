package storage

import (
	"math/rand/v2"
	"testing"

	"redoubt/slots"
	"redoubt/storage/chunk"
)

func benchmarkLog(b *testing.B) (*Keyspace, *Executor, []slots.Slot) {
	ks := New(Config{Databases: 1, Reserve: 4 << 30})
	b.Cleanup(func() { ks.space.Close() })
	return ks, ks.NewExecutor(), []slots.Slot{slots.Of([]byte("key"))}
}

var benchmarkItem = [][]byte{[]byte("sensor"), []byte("element:000000000012"), []byte("value"), []byte("000000001234"), []byte("unit"), []byte("degree")}

// BenchmarkLogAppend appends items to one log, each in a unit of its own.
func BenchmarkLogAppend(b *testing.B) {
	_, e, ss := benchmarkLog(b)
	key := []byte("key")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tx := e.Begin(int64(i), ss)
		tx.Command(nil)
		l, _ := tx.EditLog(key)
		l.Append(chunk.ID{Ms: uint64(i/3) + 1, Seq: uint64(i % 3)}, benchmarkItem)
		l.Close(1)
		tx.NoEffect()
		tx.CommandEnd()
		e.End()
	}
}

// BenchmarkGroupDeliver delivers the items of a log to a consumer one by one, and
// acknowledges each a thousand later.
func BenchmarkGroupDeliver(b *testing.B) {
	_, e, ss := benchmarkLog(b)
	key, group, consumer := []byte("key"), []byte("group"), []byte("consumer")
	unit := func(f func(l *Log)) {
		tx := e.Begin(1, ss)
		tx.Command(nil)
		l, _ := tx.EditLog(key)
		f(l)
		l.CloseQuietly(1)
		tx.NoEffect()
		tx.CommandEnd()
		e.End()
	}
	unit(func(l *Log) {
		g, _ := l.CreateGroup(group, chunk.ID{}, 0)
		g.CreateConsumer(consumer, 1)
	})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		unit(func(l *Log) {
			g, _ := l.Group(group)
			m, _ := g.Consumer(consumer)
			g.Deliver(&m, Pending{ID: chunk.ID{Ms: uint64(i) + 1}, Time: int64(i), Count: 1})
			m.Save()
			g.Save()
		})
		if i < 1000 {
			continue
		}
		unit(func(l *Log) {
			g, _ := l.Group(group)
			if p, ok := g.FindPending(chunk.ID{Ms: uint64(i-1000) + 1}); ok {
				g.Drop(p.ID)
			}
			g.Save()
		})
	}
}

// BenchmarkGroupDrop acknowledges items of 200,000 pending ones at random, each in a
// unit of its own; a third of the time the item was acknowledged before.
func BenchmarkGroupDrop(b *testing.B) {
	const items = 200_000
	_, e, ss := benchmarkLog(b)
	key, group := []byte("key"), []byte("group")
	unit := func(f func(l *Log)) {
		tx := e.Begin(1, ss)
		tx.Command(nil)
		l, _ := tx.EditLog(key)
		f(l)
		l.CloseQuietly(1)
		tx.NoEffect()
		tx.CommandEnd()
		e.End()
	}
	fill := func() {
		unit(func(l *Log) {
			if g, ok := l.Group(group); ok {
				g.Destroy()
			}
			g, _ := l.CreateGroup(group, chunk.ID{}, 0)
			m := g.CreateConsumer([]byte("consumer"), 1)
			for i := range items {
				g.Deliver(&m, Pending{ID: chunk.ID{Ms: 1, Seq: uint64(i)}, Time: 1_700_000_000_000, Count: 1})
			}
		})
	}
	random := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		if i%items == 0 {
			b.StopTimer()
			fill()
			b.StartTimer()
		}
		unit(func(l *Log) {
			a, _ := l.Acks(group)
			a.Drop(chunk.ID{Ms: 1, Seq: random.Uint64N(items)})
		})
	}
}
