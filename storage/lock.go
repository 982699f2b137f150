package storage

import (
	"sync"
	"sync/atomic"
)

// lock is a mutex whose waiters can give up. Taking one that is free and giving
// one back that nobody waits for are one atomic instruction each; who has to wait
// spins briefly and then sleeps in a berth, which several locks share.
//
// It is not fair: one that is given back may be taken by somebody who has not
// waited. Units are short, and a waiter that has woken up tries as often as it
// takes.
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
	_    [64]byte // the next berth has a line of cache of its own
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

// take waits for the lock. A waiter that may give up does so when a unit takes
// long (Executor.Long): it then has not got the lock.
func (l *lock) take(b *berth, long *atomic.Int32, mayGiveUp bool) bool {
	if l.state.CompareAndSwap(lockFree, lockHeld) {
		return true
	}
	for range lockSpins {
		if l.state.Load() == lockFree && l.state.CompareAndSwap(lockFree, lockHeld) {
			return true
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// With the mutex in hand: whoever gives the lock back and finds it awaited
	// wakes this goroutine only once it sleeps.
	for l.state.Swap(lockAwaited) != lockFree {
		if mayGiveUp && long.Load() > 0 {
			return false
		}
		b.wake.Wait()
	}
	return true
}

// give gives the lock back.
func (l *lock) give(b *berth) {
	if l.state.Swap(lockFree) == lockAwaited {
		b.rouse()
	}
}

// rouse has all who sleep look again.
func (b *berth) rouse() {
	b.mu.Lock()
	b.wake.Broadcast()
	b.mu.Unlock()
}
