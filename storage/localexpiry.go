package storage

import (
	"container/heap"
	"sync"
	"sync/atomic"

	"redoubt/slots"
)

// localExpiries are the keys to which clients of a replica that may be written to
// have given an expiry. The primary knows nothing of them and will send no DEL, so the
// replica deletes them itself. It matches slaveKeysWithExpire, but that what the
// primary has set in the meantime is left to the primary.
type localExpiries struct {
	mu    sync.Mutex
	byKey map[watchKey]*localExpiry // guarded by mu
	due   localHeap                 // guarded by mu; the first to expire first
	next  atomic.Int64              // when that is; neverExpires: there is none
}

type localExpiry struct {
	key   watchKey
	at    int64
	place int
}

// remember notes that a key of a database expires at at.
func (l *localExpiries) remember(key watchKey, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byKey == nil {
		l.byKey = map[watchKey]*localExpiry{}
	}
	if x := l.byKey[key]; x != nil {
		x.at = at
		heap.Fix(&l.due, x.place)
	} else {
		x := &localExpiry{key: key, at: at}
		l.byKey[key] = x
		heap.Push(&l.due, x)
	}
	l.next.Store(l.due[0].at)
}

// take returns a key whose time is past, and forgets it.
func (l *localExpiries) take(now int64) (x *localExpiry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.due) == 0 || l.due[0].at >= now {
		return nil
	}
	x = heap.Pop(&l.due).(*localExpiry)
	delete(l.byKey, x.key)
	if l.next.Store(neverExpires); len(l.due) > 0 {
		l.next.Store(l.due[0].at)
	}
	return x
}

// localExpiry follows a key that got an expiry, if nobody else will delete it.
func (tx *Tx) localExpiry(key []byte, at int64) {
	if tx.ks.role == RoleReplica && tx.kind&unitApply == 0 {
		tx.ks.local.remember(watchKey{tx.db, string(key)}, at)
	}
}

// LocalExpiries is how many keys a replica deletes by itself (INFO's
// slave_expires_tracked_keys).
func (ks *Keyspace) LocalExpiries() int {
	ks.local.mu.Lock()
	defer ks.local.mu.Unlock()
	return len(ks.local.due)
}

// expireLocal deletes up to budget keys of localExpiries whose time is past, on a
// replica: elsewhere they are keys like others. It matches expireSlaveKeys.
func (e *Executor) expireLocal(now int64, budget int) (expired int) {
	for ; budget > 0; budget-- {
		x := e.ks.local.take(now)
		if x == nil {
			break
		}
		n := slots.Of([]byte(x.key.key))
		e.one[0] = n
		tx := e.Begin(now, e.one[:])
		if tx == nil {
			e.ks.local.remember(x.key, x.at)
			break
		}
		tx.Select(x.key.db)
		switch p := tx.lookUp(n, []byte(x.key.key)); {
		case tx.ks.role != RoleReplica || !p.found() || p.rec.expireAt() != x.at:
		case tx.ks.expiryPaused:
			tx.ks.local.remember(x.key, x.at)
			budget = 0
		default:
			tx.expire(p)
			expired++
		}
		e.End()
	}
	return expired
}

// localHeap is ordered by the time of expiry.
type localHeap []*localExpiry

func (h localHeap) Len() int           { return len(h) }
func (h localHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h localHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *localHeap) Push(x any) {
	x.(*localExpiry).place = len(*h)
	*h = append(*h, x.(*localExpiry))
}

// Pop implements heap.Interface.
func (h *localHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return x
}
