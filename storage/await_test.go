package storage

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// waiters are clients that wait for an element of a list each.
type waiters struct {
	*bench
	got []string // who was served, with the key and the element
}

func (b *waiters) await(name string, keys ...string) *Waiter {
	w := &Waiter{Owner: name}
	b.unit(func(tx *Tx) {
		for _, k := range keys {
			tx.Await(w, []byte(k))
		}
	}, keys...)
	return w
}

// serve is what a server does at the end of a unit.
func (b *waiters) serve(tx *Tx) {
	tx.Serve(b.now, func(w *Waiter, key []byte) bool {
		if !w.Take() {
			return false
		}
		l, ok := tx.EditList(key)
		if !ok {
			w.GiveBack()
			return false
		}
		tx.Command(nil)
		element := string(l.At(0))
		l.Remove(0, 1)
		tx.NoEffect()
		tx.CommandEnd()
		w.End()
		b.got = append(b.got, fmt.Sprint(w.Owner, " ", string(key), " ", element))
		return true
	})
}

// push pushes elements to a list in a unit of its own, and serves who waits.
func (b *waiters) push(key string, elements ...string) {
	b.unit(func(tx *Tx) {
		l, _ := tx.EditList([]byte(key))
		for _, e := range elements {
			l.PushBack([]byte(e))
		}
		tx.CommandEnd()
		b.serve(tx)
	}, key)
}

func (b *waiters) wantGot(want ...string) {
	b.Helper()
	if !slices.Equal(b.got, want) {
		b.Errorf("served: %q, want %q", b.got, want)
	}
	b.got = nil
}

func TestWaitersOfOneKeyAreServedInTheirOrder(t *testing.T) {
	b := &waiters{bench: newBench(t, 2)}
	first, second := b.await("first", "k"), b.await("second", "k", "other", "k")
	third := b.await("third", "k")
	b.push("k", "1")
	b.wantGot("first k 1")
	b.push("unrelated", "0")
	b.wantGot()
	b.push("k", "2", "3", "4")
	b.wantGot("second k 2", "third k 3")
	b.push("other", "5") // the second waiter stands there yet, but its wait is over
	b.wantGot()
	for _, w := range []*Waiter{first, second, third} {
		b.unit(func(tx *Tx) { tx.Leave(w) }, "k", "other")
	}
	if rare := b.Keyspace.slots[slotsOf("k")[0]].waiting(); rare != nil {
		t.Error("a queue is left behind")
	}
}

func TestWhoLeavesIsNotServed(t *testing.T) {
	b := &waiters{bench: newBench(t, 2)}
	first := b.await("first", "k")
	b.await("second", "k")
	b.unit(func(tx *Tx) { tx.Leave(first) }, "k")
	b.push("k", "1")
	b.wantGot("second k 1")
}

func TestAKeyOfAnotherTypeOrDatabaseServesNobody(t *testing.T) {
	b := &waiters{bench: newBench(t, 2)}
	b.await("first", "k")
	b.unit(func(tx *Tx) {
		tx.SetString([]byte("k"), []byte("v"), 0, 0)
		b.serve(tx)
		tx.Delete([]byte("k"))
		tx.Select(1)
		l, _ := tx.EditList([]byte("k"))
		l.PushBack([]byte("x"))
		b.serve(tx)
	}, "k")
	b.wantGot()
	b.push("k", "1")
	b.wantGot("first k 1")
}

// As in Redis 7.2, a key that is found expired serves nobody, and is deleted by who
// looks at it next.
func TestAnExpiredKeyIsNotReady(t *testing.T) {
	b := &waiters{bench: newBench(t, 2)}
	b.await("first", "k")
	b.unit(func(tx *Tx) {
		tx.Select(1)
		l, _ := tx.EditList([]byte("k"))
		l.PushBack([]byte("x"))
		tx.SetExpire([]byte("k"), t0+1)
	}, "k")
	b.now += 10
	sent := len(b.log.units)
	b.World(b.now, func(tx *Tx) {
		tx.SwapDB(0, 1)
		b.serve(tx)
	})
	b.wantGot()
	if more := strings.Join(b.log.units[sent:], ";"); more != "" {
		t.Errorf("the unit leaves %q in the stream", more)
	}
	b.want("the key", b.get("k"), "(nil)")
	if more := strings.Join(b.log.units[sent:], ";"); more != "DEL k" {
		t.Errorf("the look leaves %q in the stream", more)
	}
	b.push("k", "1")
	b.wantGot("first k 1")
}

// The unit that pushed may have lasted longer than what it pushed lives.
func TestServingHasATimeOfItsOwn(t *testing.T) {
	b := &waiters{bench: newBench(t, 1)}
	b.await("first", "k")
	b.unit(func(tx *Tx) {
		l, _ := tx.EditList([]byte("k"))
		l.PushBack([]byte("x"))
		tx.SetExpire([]byte("k"), t0+1)
		b.now += 10
		b.serve(tx)
	}, "k")
	b.wantGot()
}

// Only the world may serve a waiter that uses a key in another slot.
func TestAWaiterOfTwoSlotsNeedsTheWorld(t *testing.T) {
	b := &waiters{bench: newBench(t, 1)}
	w := &Waiter{}
	b.unit(func(tx *Tx) { tx.Await(w, []byte("k"), []byte("target")) }, "k", "target")
	wide := func() (wide bool) {
		b.unit(func(tx *Tx) { wide = tx.Wide() }, "k")
		return wide
	}
	b.want("a unit on the slot is too small", wide(), true)
	b.World(b.now, func(tx *Tx) { b.want("the world is too small", tx.Wide(), false) })
	b.unit(func(tx *Tx) { tx.Leave(w) }, "k")
	b.want("a unit is too small for nobody", wide(), false)
	b.unit(func(tx *Tx) { tx.Await(w, []byte("{k}1"), []byte("{k}2")) }, "k")
	b.want("a unit on the slot of both is too small", wide(), false)
}

// Ten thousand clients at a thousand lists, each of which gets ten elements.
func TestManyWaiters(t *testing.T) {
	const lists, each = 1000, 10
	b := &waiters{bench: newBench(t, 1)}
	var want []string
	for round := range each {
		for i := range lists {
			b.await(fmt.Sprint(round), fmt.Sprint("list:", i))
		}
	}
	var elements []string
	for round := range each {
		elements = append(elements, fmt.Sprint("element:", round))
	}
	for i := range lists {
		for round := range each {
			want = append(want, fmt.Sprintf("%d list:%d element:%d", round, i, round))
		}
		b.push(fmt.Sprint("list:", i), elements...)
	}
	b.wantGot(want...)
	b.want("keys left", b.Keyspace.Len(0), 0)
}

// The cost of one more waiter must not depend on how many there are.
func BenchmarkAwait(b *testing.B) {
	ks := New(Config{Databases: 1})
	e := ks.NewExecutor()
	key := []byte("k")
	ss := slotsOf("k")
	for b.Loop() {
		tx := e.Begin(t0, ss)
		tx.Await(&Waiter{}, key)
		e.End()
	}
}
