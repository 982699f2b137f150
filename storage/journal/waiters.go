package journal

import (
	"context"
	"sync"
	"sync/atomic"
)

// waiters lets goroutines sleep until a condition over the stream's atomics
// holds. Waking costs one atomic load while nobody sleeps, and nothing is
// allocated for a sleeper that comes back.
type waiters struct {
	some atomic.Bool
	mu   sync.Mutex
	list []chan struct{}
}

var sleeperPool = sync.Pool{New: func() any { return make(chan struct{}, 1) }}

// wakeAll wakes every sleeper to look at its condition again. The change they
// wait for has been stored before.
func (w *waiters) wakeAll() {
	if !w.some.Load() {
		return
	}
	w.mu.Lock()
	for i, c := range w.list {
		c <- struct{}{} // buffered, and each is in the list once
		w.list[i] = nil
	}
	w.list = w.list[:0]
	w.some.Store(false)
	w.mu.Unlock()
}

// wait sleeps until ready says true or fails, or ctx ends.
func (w *waiters) wait(ctx context.Context, ready func() (bool, error)) error {
	for {
		if ok, err := ready(); ok || err != nil {
			return err
		}
		c := sleeperPool.Get().(chan struct{})
		w.mu.Lock()
		w.list = append(w.list, c)
		w.some.Store(true)
		w.mu.Unlock()
		// Whoever changed the condition before some was set did not see it: look
		// once more before sleeping.
		if ok, err := ready(); ok || err != nil {
			w.leave(c)
			return err
		}
		select {
		case <-c:
			sleeperPool.Put(c)
		case <-ctx.Done():
			w.leave(c)
			return ctx.Err()
		}
	}
}

// leave takes c off the list and puts it back empty.
func (w *waiters) leave(c chan struct{}) {
	w.mu.Lock()
	for i, x := range w.list {
		if x == c {
			last := len(w.list) - 1
			w.list[i], w.list[last] = w.list[last], nil
			w.list = w.list[:last]
			break
		}
	}
	w.some.Store(len(w.list) > 0)
	w.mu.Unlock()
	select {
	case <-c:
	default:
	}
	sleeperPool.Put(c)
}
