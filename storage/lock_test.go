package storage

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"redoubt/slots"
)

func TestSlotHeaderIsOneCacheLine(t *testing.T) {
	if n := unsafe.Sizeof(slot{}); n != 64 {
		t.Errorf("a slot header has %d bytes", n)
	}
	if at := uintptr(unsafe.Pointer(&New(Config{}).slots[1])); at%64 != 0 {
		t.Errorf("slot 1 lies at %#x", at)
	}
}

// Accounts in many slots: units move money between random ones, worlds sum it
// up while others try. A unit that saw half of another would break the sum, and
// a lost wake-up would never end the test.
func TestUnitsAndWorldsExcludeEachOther(t *testing.T) {
	const accounts, each, executors, rounds = 40, 1000, 6, 800
	ks := New(Config{})
	name := func(i int) []byte { return fmt.Appendf(nil, "account:%d", i) }
	balance := func(tx *Tx, i int) int {
		e, ok := tx.Peek(name(i))
		if !ok {
			t.Errorf("account %d is gone", i)
		}
		n, _ := strconv.Atoi(string(e.Bytes()))
		return n
	}
	sum := func(tx *Tx) (total int) {
		for i := range accounts {
			total += balance(tx, i)
		}
		return total
	}
	ks.World(t0, func(tx *Tx) {
		for i := range accounts {
			tx.SetString(name(i), strconv.AppendInt(nil, each, 10), 0, 0)
		}
	})
	var wg sync.WaitGroup
	for x := range uint64(executors) {
		e := ks.NewExecutor()
		r := rand.New(rand.NewPCG(x, 0))
		wg.Go(func() {
			for range rounds {
				switch r.IntN(40) {
				case 0:
					if got := sum(e.BeginWorld(t0)); got != accounts*each {
						t.Errorf("in a world unit the sum is %d", got)
					}
					e.End()
				case 1:
					ks.World(t0, func(tx *Tx) {
						if got := sum(tx); got != accounts*each {
							t.Errorf("in World the sum is %d", got)
						}
					})
				default:
					from, to, amount := r.IntN(accounts), r.IntN(accounts), r.IntN(50)
					tx := e.Begin(t0, []slots.Slot{slots.Of(name(from)), slots.Of(name(to)), slots.Of(name(from))})
					for _, move := range []struct{ account, by int }{{from, -amount}, {to, amount}} {
						n := balance(tx, move.account) + move.by
						tx.Command(request("x"))
						tx.SetString(name(move.account), strconv.AppendInt(nil, int64(n), 10), 0, 0)
						tx.CommandEnd()
					}
					e.End()
				}
			}
		})
	}
	wg.Wait()
	ks.World(t0, func(tx *Tx) {
		if got := sum(tx); got != accounts*each {
			t.Errorf("at the end the sum is %d", got)
		}
	})
}

// waitedLong starts a goroutine that waits for a lock which is held, and returns when
// it has woken up so often that it is next. What take returns is sent.
func waitedLong(l *lock, b *berth, long *atomic.Int32, mayGiveUp bool) <-chan bool {
	took := make(chan bool)
	b.mu.Lock()
	before := len(b.next)
	b.mu.Unlock()
	go func() { took <- l.take(b, long, mayGiveUp) }()
	for {
		b.mu.Lock()
		n := len(b.next)
		b.mu.Unlock()
		if n > before {
			return took
		}
		b.rouse() // as when the lock was given back and taken at once
		runtime.Gosched()
	}
}

// Whoever has waited long for a lock gets it next, in the order of their waiting:
// newcomers cannot overtake them any more.
func TestWhoHasWaitedLongGetsTheLockNext(t *testing.T) {
	var all berthsOfAll
	all.init()
	var l, other lock
	var long atomic.Int32
	b := &all[0]
	l.take(b, &long, false)
	other.take(b, &long, false)
	first := waitedLong(&l, b, &long, false)
	second := waitedLong(&l, b, &long, false)
	other.give(b)
	if other.state.Load() != lockFree {
		t.Error("a lock that nobody waits for is not free")
	}
	newcomer := make(chan bool)
	for _, heir := range []<-chan bool{first, second} {
		l.give(b)
		if l.state.CompareAndSwap(lockFree, lockHeld) {
			t.Fatal("a newcomer has overtaken who has waited long")
		}
		if !<-heir {
			t.Error("it has given up")
		}
	}
	go func() { newcomer <- l.take(b, &long, false) }()
	l.give(b)
	<-newcomer
	l.give(b)
	if l.state.Load() != lockFree || len(b.next) != 0 {
		t.Errorf("in the end the lock is in state %d, and %d are next", l.state.Load(), len(b.next))
	}
}

// Who gives up is not waited for.
func TestALockIsNotPassedOnToWhoHasGivenUp(t *testing.T) {
	var all berthsOfAll
	all.init()
	var l lock
	var long atomic.Int32
	b := &all[0]
	l.take(b, &long, false)
	impatient := waitedLong(&l, b, &long, true)
	long.Store(1)
	b.rouse()
	if <-impatient {
		t.Error("it has taken a lock that is held")
	}
	l.give(b)
	if l.state.Load() != lockFree {
		t.Error("the lock is not free")
	}
}

// A row that does not declare a key that its handler uses would put it into a slot
// where nobody finds it, and race with those who do.
func TestAKeyInASlotThatIsNotHeldIsRefused(t *testing.T) {
	declared, other := []byte("a"), []byte("b")
	for _, c := range []struct {
		name string
		held [][]byte
		only bool
		use  func(tx *Tx)
	}{
		{"beside one key", [][]byte{declared}, false, func(tx *Tx) { tx.Find(other) }},
		{"beside the only key", [][]byte{declared}, true, func(tx *Tx) { tx.SetString(other, nil, 0, 0) }},
		{"beside several", [][]byte{declared, []byte("c"), []byte("d")}, false, func(tx *Tx) { tx.Delete(other) }},
		{"without any", nil, false, func(tx *Tx) { tx.Find(other) }},
		{"watched", [][]byte{declared}, false, func(tx *Tx) { tx.Watch(other) }},
		{"awaited", [][]byte{declared}, false, func(tx *Tx) { tx.Await(new(Waiter), other) }},
	} {
		var ss []slots.Slot
		for _, key := range c.held {
			ss = append(ss, slots.Of(key))
		}
		tx := New(Config{}).NewExecutor().Begin(t0, ss)
		if c.only {
			tx.Only(declared)
			tx.Find(declared)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: it is used", c.name)
				}
			}()
			c.use(tx)
		}()
	}
}
