package driver

import (
	"sync"
	"time"

	"redoubt/cluster"
	"redoubt/slots"
	"redoubt/storage"
)

// sweeper is the goroutine that deletes the keys of slots that another node
// took away from this primary. Each deletion is a DEL in the stream, for the
// replicas (Redis's delKeysInSlot). It works in slices, so that it holds a
// slot's lock no longer than a command does.
type sweeper struct {
	d    *Driver
	exec *storage.Executor
	wake chan struct{}

	mu   sync.Mutex
	lost slots.Set // guarded by mu
	gone slots.Set // guarded by mu; slots whose keys nobody here is told of any more
}

// sweepSlice is how many keys one unit deletes.
const sweepSlice = 64

func (s *sweeper) init(d *Driver) {
	s.d, s.exec, s.wake = d, d.Keys.NewExecutor(), make(chan struct{}, 1)
}

// add has the keys in these slots deleted.
func (s *sweeper) add(lost *slots.Set) { s.ask(&s.lost, lost) }

// untrack has clients told that what they cache of keys in these slots is stale: from
// now on another node changes these keys.
func (s *sweeper) untrack(gone *slots.Set) { s.ask(&s.gone, gone) }

func (s *sweeper) ask(of, more *slots.Set) {
	s.mu.Lock()
	more.Each(func(n slots.Slot) bool {
		of.Add(n)
		return true
	})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sweeper) run() {
	for {
		select {
		case <-s.wake:
		case <-s.d.quit:
			return
		}
		s.mu.Lock()
		lost := s.lost
		gone := s.gone
		s.lost, s.gone = slots.Set{}, slots.Set{}
		s.mu.Unlock()
		gone.Each(func(n slots.Slot) bool {
			s.forgetReaders(n)
			return true
		})
		lost.Each(func(n slots.Slot) bool {
			for {
				more, paused := s.slice(n)
				if !more {
					return true
				}
				var later <-chan time.Time
				if paused {
					later = time.After(sweepRetry)
				} else {
					later = ready
				}
				select {
				case <-s.d.quit:
					return false
				case <-later:
				}
			}
		})
	}
}

// slice deletes some keys of a slot and reports whether there may be more. It
// looks under the slot's lock whether the slot is still none of ours: it may
// have come back, or be coming back, and what is in it now is new.
//
// paused says that the stream stands still for a failover, so nothing may be
// deleted now.
func (s *sweeper) slice(n slots.Slot) (more, paused bool) {
	tx := s.exec.Begin(time.Now().UnixMilli(), []slots.Slot{n})
	defer s.exec.End()
	if tx.Role() != storage.RolePrimary || serves(s.d.View(), n) {
		return false, false
	}
	if tx.ExpiryPaused() {
		return true, true
	}
	var keys [][]byte
	cursor := tx.Scan(n, 0, sweepSlice, func(e storage.Entry) {
		keys = append(keys, append([]byte(nil), e.Key()...))
	})
	tx.Command(nil)
	for _, key := range keys {
		tx.Delete(key)
		tx.Effect(nameDel, key)
	}
	tx.CommandEnd()
	return cursor != 0, false
}

// forgetReaders takes the marks of a slot's readers away, if it is still none of ours.
func (s *sweeper) forgetReaders(n slots.Slot) {
	if keys, _ := s.d.Keys.Tracked(); keys == 0 {
		return
	}
	tx := s.exec.Begin(time.Now().UnixMilli(), []slots.Slot{n})
	defer s.exec.End()
	if !serves(s.d.View(), n) {
		tx.UntrackSlot(n)
	}
}

// sweepRetry is how long the sweeper waits while writes are paused.
const sweepRetry = 100 * time.Millisecond

// ready is a time that has come.
var ready = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

var nameDel = []byte("DEL")

// serves reports whether the node owns a slot or is importing it.
func serves(v *cluster.View, n slots.Slot) bool {
	if v.Mine(n) {
		return true
	}
	for _, o := range v.Me().Importing {
		if o.Slot == n {
			return true
		}
	}
	return false
}
