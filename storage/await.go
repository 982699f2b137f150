package storage

import (
	"runtime"
	"sync/atomic"

	"redoubt/slots"
)

// A Waiter is a client that waits for one of its keys to become ready: for an
// element of a list, say. It stands in a queue at each key, guarded by the lock
// of the key's slot. Several may want to end its wait at once: units that made
// different keys ready, on different executors, its timeout, its connection.
// Take decides between them.
type Waiter struct {
	// Owner is the waiting client; storage does not look at it.
	Owner any
	// Gone says that the client is also served when the key is gone.
	Gone bool

	state  atomic.Int32
	places []*waitPlace // it is the client's goroutine that adds and removes
}

// The states of a Waiter.
const (
	waiterWaits int32 = iota
	waiterTaken
	waiterEnded
)

// waitPlace is a waiter in the queue of a key.
type waitPlace struct {
	w          *Waiter
	slot       slots.Slot
	key        watchKey
	wide       bool
	linked     bool
	prev, next *waitPlace
}

// waitQueue is the waiters of a key, in the order in which they came.
type waitQueue struct {
	first, last *waitPlace
	gone        int // of those that are served when the key is gone
}

// waiting is the queues of a slot.
type waiting struct {
	queues map[watchKey]*waitQueue
	wide   int // waiters that need more slots than the one of their key
}

// Take gives the caller the right to end the wait, or to give it back with
// GiveBack. Of several callers one gets it; after End nobody does. Whoever has it
// runs one handler at most and waits for nothing meanwhile, so the others wait:
// it may be given back, because the key of another slot is of no use.
func (w *Waiter) Take() bool {
	for !w.state.CompareAndSwap(waiterWaits, waiterTaken) {
		if w.Ended() {
			return false
		}
		runtime.Gosched()
	}
	return true
}

// GiveBack undoes Take: the wait goes on.
func (w *Waiter) GiveBack() { w.state.Store(waiterWaits) }

// End ends a wait that the caller has taken.
func (w *Waiter) End() { w.state.Store(waiterEnded) }

// Ended reports whether the wait is over.
func (w *Waiter) Ended() bool { return w.state.Load() == waiterEnded }

// AppendSlots appends the slots of the keys at which the waiter still stands.
func (w *Waiter) AppendSlots(dst []slots.Slot) []slots.Slot {
	for _, p := range w.places {
		dst = append(dst, p.slot)
	}
	return dst
}

// Await puts w at the end of the queue of a key of the selected database. also
// are keys that the unit that serves w has to hold besides.
func (tx *Tx) Await(w *Waiter, key []byte, also ...[]byte) {
	n := slots.Of(key)
	tx.checkHeld(n, key)
	p := &waitPlace{w: w, slot: n, key: watchKey{tx.db, string(key)}, linked: true}
	for _, other := range w.places {
		if other.key == p.key {
			return // the key was named twice
		}
	}
	for _, k := range also {
		p.wide = p.wide || slots.Of(k) != n
	}
	s := tx.ks.slots[n].rarity()
	if s.waiting == nil {
		s.waiting = &waiting{queues: map[watchKey]*waitQueue{}}
	}
	q := s.waiting.queues[p.key]
	if q == nil {
		q = new(waitQueue)
		s.waiting.queues[p.key] = q
		tx.ks.awaited.Add(1)
	}
	if p.prev = q.last; p.prev == nil {
		q.first = p
	} else {
		p.prev.next = p
	}
	q.last = p
	if p.wide {
		s.waiting.wide++
	}
	if w.Gone {
		if q.gone++; q.gone == 1 {
			tx.ks.awaitedGone.Add(1)
		}
	}
	w.places = append(w.places, p)
}

// Leave takes w out of all queues at which it stands. The unit holds their
// slots, and the caller is the goroutine that called Await.
func (tx *Tx) Leave(w *Waiter) {
	for _, p := range w.places {
		tx.ks.unlink(p)
	}
	w.places = nil
}

// Awaited is how many keys somebody waits for (INFO's total_blocking_keys).
func (ks *Keyspace) Awaited() int64 { return ks.awaited.Load() }

// AwaitedGone is how many of them somebody waits for who is served when the key is
// gone (INFO's total_blocking_keys_on_nokey).
func (ks *Keyspace) AwaitedGone() int64 { return ks.awaitedGone.Load() }

func (ks *Keyspace) unlink(p *waitPlace) {
	if !p.linked {
		return
	}
	p.linked = false
	s := ks.slots[p.slot].rarity()
	q := s.waiting.queues[p.key]
	if p.prev == nil {
		q.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		q.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	if p.wide {
		s.waiting.wide--
	}
	if p.w.Gone {
		if q.gone--; q.gone == 0 {
			ks.awaitedGone.Add(-1)
		}
	}
	if q.first == nil {
		delete(s.waiting.queues, p.key)
		ks.awaited.Add(-1)
	}
	if len(s.waiting.queues) == 0 {
		s.waiting = nil
	}
}

// readyKey is a key with waiters that the unit has changed.
type readyKey struct {
	slot slots.Slot
	key  watchKey
}

// signal notes a key that was changed and has waiters.
func (tx *Tx) signal(n slots.Slot, key []byte) {
	k := watchKey{tx.db, string(key)}
	if tx.ks.slots[n].waiting().queues[k] == nil {
		return
	}
	for _, r := range tx.ready {
		if r.key == k {
			return
		}
	}
	tx.ready = append(tx.ready, readyKey{n, k})
}

// signalDB is signal for all keys of a database that others have taken the place
// of.
func (tx *Tx) signalDB(db int) {
	if tx.ks.awaited.Load() == 0 {
		return // FLUSHALL would look at all slots sixteen times
	}
	selected := tx.db
	tx.Select(db)
	for n := range tx.ks.slots {
		if w := tx.ks.slots[n].waiting(); w != nil {
			for k := range w.queues {
				if k.db == db {
					tx.signal(slots.Slot(n), []byte(k.key))
				}
			}
		}
	}
	tx.Select(selected)
}

// Wide reports whether one of the slots that the unit holds has a waiter whom
// only a unit with the world lock can serve. A unit that may write then has to
// take that one instead.
func (tx *Tx) Wide() bool {
	if tx.kind&unitWorld != 0 {
		return false
	}
	for _, n := range tx.held {
		if w := tx.ks.slots[n].waiting(); w != nil && w.wide > 0 {
			return true
		}
	}
	return false
}

// Serve calls serve for those who wait for keys that the unit has changed, in
// the order in which the keys were changed and the waiters came, with the key's
// database selected. serve takes the waiter and returns true if its wait is
// over. What it changes may make further keys ready, which are served as well.
// now is the present time: a key that expired while the unit ran serves nobody.
func (tx *Tx) Serve(now int64, serve func(w *Waiter, key []byte) bool) {
	tx.now = max(tx.now, now)
	for i := 0; i < len(tx.ready); i++ {
		r := tx.ready[i]
		tx.ready[i].key.db = -1 // it can become ready again
		w := tx.ks.slots[r.slot].waiting()
		if w == nil || w.queues[r.key] == nil {
			continue
		}
		tx.Break()
		key := []byte(r.key.key)
		for p := w.queues[r.key].first; p != nil; {
			next := p.next
			tx.Select(r.key.db)
			if !p.w.Gone && !tx.usable(r.slot, key) {
				p = next
				continue
			}
			if p.w.Ended() || serve(p.w, key) {
				tx.ks.unlink(p)
			}
			p = next
		}
	}
	tx.ready = tx.ready[:0]
}

// usable reports whether a key that is ready exists. One that has expired does not,
// and stays for whoever looks at it next, as in Redis 7.2: to see whether somebody
// can be served is no use of a key, and its deletion would stand in the stream
// behind a unit that has nothing to do with it.
func (tx *Tx) usable(n slots.Slot, key []byte) bool {
	p := tx.lookUp(n, key)
	return p.found() && !tx.expired(p.rec)
}

// HasReady reports whether the unit has changed keys that somebody waits for.
func (tx *Tx) HasReady() bool { return len(tx.ready) > 0 }

// Break ends what the effects so far belong to: they go to the stream now, and
// those that follow are a transaction of their own. The locks stay.
func (tx *Tx) Break() {
	if tx.effects > 0 {
		tx.flushed = tx.flush()
	}
}
