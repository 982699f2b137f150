package storage

import (
	"sync"
	"testing"

	"redoubt/slots"
)

// Whoever may give up waits for a unit like everybody else until that has turned
// out to take long; then it goes, whatever it waits for. Others wait on.
func TestWaitersGiveUpOnLongUnits(t *testing.T) {
	slot, other := slotsOf("a"), slotsOf("b")
	begin := map[string]func(e *Executor) *Tx{
		"the slot":      func(e *Executor) *Tx { return e.Begin(t0, slot) },
		"several slots": func(e *Executor) *Tx { return e.Begin(t0, append(slotsOf("b", "c", "d"), slot...)) },
		"no slot":       func(e *Executor) *Tx { return e.Begin(t0, nil) },
		"another slot":  func(e *Executor) *Tx { return e.Begin(t0, other) },
		"the world":     func(e *Executor) *Tx { return e.BeginWorld(t0) },
	}
	for _, test := range []struct {
		holds   string
		long    func(e *Executor)
		givesUp map[string]bool
	}{
		{"a slot", func(e *Executor) { e.Begin(t0, slot) },
			map[string]bool{"the slot": true, "several slots": true, "the world": true}},
		{"the world", func(e *Executor) { e.BeginWorld(t0) },
			map[string]bool{"the slot": true, "several slots": true, "no slot": true, "another slot": true, "the world": true}},
	} {
		for wants, begin := range begin {
			for _, early := range []bool{false, true} {
				ks := New(Config{})
				holder, waiter, patient := ks.NewExecutor(), ks.NewExecutor(), ks.NewExecutor()
				waiter.MayGiveUp()
				test.long(holder)
				if early {
					holder.Long(true)
				}
				var wg sync.WaitGroup
				var got *Tx
				wg.Go(func() {
					if got = begin(waiter); got != nil {
						waiter.End()
					}
				})
				if !early {
					holder.Long(true)
				}
				wg.Wait()
				if gives := got == nil; gives != test.givesUp[wants] || waiter.GaveUp() != gives || waiter.GaveUp() {
					t.Errorf("%s is held and who wants %s gives up: %v", test.holds, wants, gives)
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					begin(patient)
					patient.End()
				}()
				holder.Long(false)
				holder.End()
				<-done
				if begin(waiter) == nil {
					t.Errorf("%s was held: who wants %s gives up although nobody holds anything", test.holds, wants)
				} else {
					waiter.End()
				}
			}
		}
	}
}

// Executors that may give up and others, with long units among them: whatever was
// begun is exclusive, and nobody sleeps for ever.
func TestGivingUpLeavesLocksAsTheyWere(t *testing.T) {
	ks := New(Config{})
	counts := map[slots.Slot]*int{}
	keys := []string{"a", "b", "c", "d"}
	for _, k := range keys {
		counts[slots.Of([]byte(k))] = new(int)
	}
	var wg sync.WaitGroup
	for x := range 6 {
		e := ks.NewExecutor()
		if x%2 == 0 {
			e.MayGiveUp()
		}
		wg.Go(func() {
			for i := range 3000 {
				ss := slotsOf(keys[(i+x)%4], keys[(i*7+x)%4])
				tx := e.Begin(t0, ss)
				if i%50 == 0 && tx != nil {
					e.End()
					tx = e.BeginWorld(t0)
				}
				if tx == nil {
					continue
				}
				if i%10 == 0 {
					e.Long(true)
				}
				for _, s := range ss {
					*counts[s]++ // the race detector looks on
				}
				if i%10 == 0 {
					e.Long(false)
				}
				e.End()
			}
		})
	}
	wg.Wait()
	if n := ks.long.Load(); n != 0 {
		t.Errorf("%d units take long at the end", n)
	}
}

func BenchmarkLocks(b *testing.B) {
	ks := New(Config{})
	for range 8 {
		ks.NewExecutor()
	}
	e := ks.NewExecutor()
	ss := slotsOf("a")
	b.Run("slot", func(b *testing.B) {
		for b.Loop() {
			e.Begin(t0, ss)
			e.End()
		}
	})
	b.Run("world", func(b *testing.B) {
		for b.Loop() {
			e.BeginWorld(t0)
			e.End()
		}
	})
	b.Run("contended slot", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			e := ks.NewExecutor()
			for pb.Next() {
				e.Begin(t0, ss)
				e.End()
			}
		})
	})
}

// What is done beside commands, in units that a unit that takes long does not let
// begin, is put off.
func TestWorkBesideCommandsIsPutOffByLongUnits(t *testing.T) {
	b := newBench(t, 1)
	b.MayGiveUp()
	b.SetRole(RoleReplica)
	b.set("k", "v", t0+1)
	b.unit(func(tx *Tx) { tx.Track([]byte("k"), 1) }, "k")
	b.want("keys that expire here", b.LocalExpiries(), 1)
	holder := b.NewExecutor()
	holder.Begin(t0, slotsOf("k"))
	holder.Long(true)
	expired, more := b.ExpireCycle(t0+2, 10)
	b.want("keys that expire while a unit takes long", expired, 0)
	b.want("more of them", more, false)
	b.want("marks to take away while a unit takes long", b.LimitTracked(t0, 0, 10), false)
	holder.Long(false)
	holder.End()
	expired, _ = b.ExpireCycle(t0+2, 10)
	b.want("keys that expire afterwards", expired, 1)
	b.unit(func(tx *Tx) { tx.Track([]byte("l"), 1) }, "l")
	b.LimitTracked(t0, 0, 10)
	keys, _ := b.Tracked()
	b.want("keys with marks afterwards", keys, int64(0))
}

// Of a unit that is abandoned nothing reaches the stream, also of what comes later in
// it, and no reply that depends on it is ever given.
func TestAnAbandonedUnit(t *testing.T) {
	b := newBench(t, 1)
	b.set("l", "v", 0)
	end := b.log.End()
	tx := b.Begin(t0, slotsOf("k"))
	command(tx, "before", func() { tx.SetString([]byte("k"), []byte("v"), 0, 0) })
	tx.Abandon()
	command(tx, "behind", func() { tx.SetString([]byte("k"), []byte("w"), 0, 0) })
	b.want("its gate", b.Executor.End(), NeverCommitted)
	b.want("the stream", b.log.End(), end)
	b.want("the gate of a reader", b.unit(func(tx *Tx) { tx.Find([]byte("k")) }, "k"), NeverCommitted)
	b.want("the gate of another slot", b.unit(func(tx *Tx) { tx.Find([]byte("l")) }, "l"), end)
}
