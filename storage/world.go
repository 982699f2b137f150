package storage

import (
	"runtime"
	"sync/atomic"
)

// world is the lock of everything. Whoever holds it runs alone: no executor is
// in a unit.
//
// An executor first sets its own flag, inUnit (on a cache line that nobody else
// writes), and then reads wanted. Whoever wants the lock first sets wanted, and
// then reads the flags of all executors. The operations are sequentially
// consistent, so at least one of the two sees the other: the executor steps
// back, or the locker waits for it. An executor that waits for a slot lock has
// its flag set. The holder of that slot lock has its flag set as well and does
// not wait for the world, so its unit ends.
type world struct {
	mu     lock
	wanted atomic.Bool
	// left wakes the holder of mu, which waits for executors to leave their
	// units. One token is enough: the waiter reads the flag again.
	left chan struct{}
	// running are the executors when the lock was taken, the outsider first.
	running []*Executor
}

// worldSpins is how often the flag of an executor is polled before waiting for
// its signal. Units are short, a goroutine switch is not.
const worldSpins = 64

// lock takes the lock. Who may give up does so when a unit takes long, and reports
// false.
func (w *world) lock(ks *Keyspace, mayGiveUp bool) bool {
	if !w.mu.take(ks.worldBerth(), &ks.long, mayGiveUp) {
		return false
	}
	w.wanted.Store(true)
	ks.executorsMu.Lock()
	w.running = ks.executors
	ks.executorsMu.Unlock()
	for _, e := range w.running {
		for spin := 0; e.inUnit.Load(); spin++ {
			switch {
			case spin < worldSpins/2:
			case spin < worldSpins:
				runtime.Gosched()
			case mayGiveUp && ks.long.Load() > 0:
				w.unlock(ks)
				return false
			default:
				<-w.left
			}
		}
	}
	return true
}

func (w *world) unlock(ks *Keyspace) {
	w.wanted.Store(false)
	w.mu.give(ks.worldBerth())
}

// hurry has the holder of mu look again at whom it waits for.
func (w *world) hurry() {
	select {
	case w.left <- struct{}{}:
	default:
	}
}

func (ks *Keyspace) worldBerth() *berth { return &ks.berths[berths] }

// enter marks the executor as being in a unit, after waiting out a holder of
// the world. It reports false if it has given up.
func (e *Executor) enter() bool {
	e.inUnit.Store(true)
	if !e.ks.world.wanted.Load() {
		return true
	}
	e.leave()
	// With the mutex in hand nobody else has the world or asks for it, so the
	// flag can be set without looking again.
	if !e.ks.world.mu.take(e.ks.worldBerth(), &e.ks.long, e.mayGiveUp) {
		return false
	}
	e.inUnit.Store(true)
	e.ks.world.mu.give(e.ks.worldBerth())
	return true
}

// leave marks the executor as out and wakes who waits for that.
func (e *Executor) leave() {
	e.inUnit.Store(false)
	if e.ks.world.wanted.Load() {
		e.ks.world.hurry()
	}
}
