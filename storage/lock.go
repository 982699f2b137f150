package storage

import (
	"slices"
	"sync"
	"sync/atomic"
)

// lock is a mutex whose waiters can give up. Taking one that is free and giving
// one back that nobody waits for are one atomic instruction each; who has to wait
// spins briefly and then sleeps in a berth, which several locks share.
//
// It is fair only to those who have waited long. One that is given back may be taken
// by somebody who has not waited: units are short, and to hand the lock to a goroutine
// that is yet to wake up would leave it idle. But a waiter that has woken up
// lockPatience times and found it taken is next: the lock is not given back any more,
// it is passed on.
type lock struct{ state atomic.Uint32 }

// The states of a lock.
const (
	lockFree uint32 = iota
	lockHeld
	lockAwaited // held, and somebody sleeps until it is given back
)

// A berth is where goroutines sleep that wait for one of a few locks.
type berth struct {
	mu   sync.Mutex
	wake sync.Cond
	// next are those who have waited long, in the order in which they get their locks;
	// guarded by mu. While there is one for a lock, the state of that lock is lockAwaited.
	next []*heir
	_    [64]byte // the next berth has a line of cache of its own
}

// An heir is a waiter to whom its lock is to be passed on.
type heir struct {
	lock *lock
	has  bool // the lock has been passed on
}

// berths is for how many slots there is one berth each; the last one is the
// world's.
const berths = 64

type berthsOfAll [berths + 1]berth

func (b *berthsOfAll) init() {
	for i := range b {
		b[i].wake.L = &b[i].mu
	}
}

// lockSpins is how often a lock is looked at before its waiter sleeps.
const lockSpins = 60

// lockPatience is how often a waiter wakes up in vain before it is next. Some of these
// times the berth was woken for another of its locks.
const lockPatience = 8

// take waits for the lock. A waiter that may give up does so when a unit takes
// long (Executor.Long): it then has not got the lock.
func (l *lock) take(b *berth, long *atomic.Int32, mayGiveUp bool) bool {
	return l.tryTake() || l.await(b, long, mayGiveUp)
}

// tryTake takes the lock if it is free at once, or almost.
func (l *lock) tryTake() bool {
	if l.state.CompareAndSwap(lockFree, lockHeld) {
		return true
	}
	for range lockSpins {
		if l.state.Load() == lockFree && l.state.CompareAndSwap(lockFree, lockHeld) {
			return true
		}
	}
	return false
}

// await is take for a lock that tryTake has not got: it sleeps.
func (l *lock) await(b *berth, long *atomic.Int32, mayGiveUp bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	// With the mutex in hand: whoever gives the lock back and finds it awaited
	// wakes this goroutine only once it sleeps.
	var h *heir
	for turns := 0; l.state.Swap(lockAwaited) != lockFree; turns++ {
		if mayGiveUp && long.Load() > 0 {
			b.disinherit(h)
			return false
		}
		if turns == lockPatience {
			h = &heir{lock: l}
			b.next = append(b.next, h)
		}
		b.wake.Wait()
		if h != nil && h.has {
			return true
		}
	}
	return true
}

// give gives the lock back, or passes it on.
func (l *lock) give(b *berth) {
	if l.state.CompareAndSwap(lockHeld, lockFree) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.next {
		if h.lock == l {
			h.has = true // and the lock stays lockAwaited: others may sleep until it is given back
			b.disinherit(h)
			b.wake.Broadcast()
			return
		}
	}
	l.state.Store(lockFree)
	b.wake.Broadcast()
}

// disinherit takes an heir, if h is one, out of those who are next. mu is held.
func (b *berth) disinherit(h *heir) {
	if i := slices.Index(b.next, h); i >= 0 {
		b.next = slices.Delete(b.next, i, i+1)
	}
}

// rouse has all who sleep look again.
func (b *berth) rouse() {
	b.mu.Lock()
	b.wake.Broadcast()
	b.mu.Unlock()
}
