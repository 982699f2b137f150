package journal

import (
	"errors"
	"fmt"

	"redoubt/replication"
)

// Enable turns the journal on (CONFIG SET appendonly yes). It begins a new
// generation with what memory still holds, in the given histories; a replica has
// a fitness. Those of an earlier journal are another stream's by now. What that left
// on disk stays what a restart finds until SetBase gives the new generation its
// base; the caller takes that snapshot next.
func (s *Stream) Enable(h replication.History, replica bool, f replication.Fitness) error {
	s.ctl.Lock()
	defer s.ctl.Unlock()
	if err := s.failed(); err != nil {
		return err
	}
	if s.w.Load() != nil {
		return nil
	}
	w, err := s.enable(h, replica, f)
	if err == nil {
		go w.run()
	}
	return err
}

// enable does the work of Enable, and returns the writer that is to run. ctl is held.
func (s *Stream) enable(h replication.History, replica bool, f replication.Fitness) (*writer, error) {
	w, rec, err := s.openDisk()
	if err != nil {
		return nil, err
	}
	w.manifest.history, w.manifest.replica, w.manifest.fitness = h, replica, saved(f)
	r, l, err := s.beginAnew(w, rec.Found)
	if err != nil {
		w.store.close()
		w.store.disk.close()
		return nil, fmt.Errorf("journal: turn on: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end := replication.Offset(s.end.Load())
	from := end
	if !s.tail.empty() {
		from = s.tail.list[0].after
	}
	s.first.Store(int64(from))
	s.base.Store(int64(end))
	s.begin(r, w, l, from, end)
	s.noteRoom()
	return w, nil
}

// beginAnew begins a generation without a base, and opens the ring and the commit
// log (nil: none) for it. found says that there is an earlier journal: whatever
// only the two have of that is in Pebble afterwards.
func (s *Stream) beginAnew(w *writer, found bool) (*ring, *commitLog, error) {
	m := &w.manifest
	if found {
		if err := s.rescueAll(w); err != nil {
			return nil, nil, err
		}
		m.generation++
	}
	m.base, m.baseOffset, m.previous, w.pending = "", 0, olderBase{}, true
	w.store.generation.Store(m.generation)
	if err := w.store.dropFrom(m.generation); err != nil {
		return nil, nil, err
	}
	l, err := w.beginCommits()
	if err != nil {
		return nil, nil, err
	}
	r, err := s.openRing()
	if err != nil {
		return nil, nil, errors.Join(err, l.close())
	}
	r.reset(m.generation, kernelBootID())
	return r, l, nil
}

// rescueAll is rescue for a journal that did not end cleanly and that nobody has
// recovered since: the node was started without one.
func (s *Stream) rescueAll(w *writer) error {
	st := w.store
	st.generation.Store(w.manifest.generation)
	_, end, found, torn, err := st.extent(w.manifest.generation)
	if err != nil || torn != "" {
		return err // a large unit without its end: such a one is the last, and in nothing but Pebble
	}
	if !found {
		end = w.manifest.baseOffset
	}
	if _, _, err := s.rescue(st, end); err != nil {
		return err
	}
	return st.sync()
}

// Disable turns the journal off (CONFIG SET appendonly no). What it holds on
// disk stays there, and a start with the journal on finds it, as with Redis.
// Memory keeps the last BacklogBytes.
func (s *Stream) Disable() error {
	s.ctl.Lock()
	defer s.ctl.Unlock()
	if err := s.failed(); err != nil {
		return err
	}
	w := s.w.Load()
	if w == nil {
		return nil
	}
	var commits *commitLog
	err := w.ask(func() error {
		w.stopping = true
		w.drain()
		s.mu.Lock()
		s.guard.Lock()
		r := s.ring
		s.keepBacklog()
		s.ring = nil
		s.w.Store(nil)
		s.current.Store(nil)
		commits = s.commits.Swap(nil)
		s.guard.Unlock()
		s.synced.Store(0)
		s.logged.Store(0)
		s.taken.Store(0)
		s.ringEnd.at.Store(theEnd)
		moved := s.commitTo(theEnd)
		s.noteRoom()
		s.mu.Unlock()
		if moved {
			s.notify()
		}
		return r.unmap()
	})
	if err != nil {
		return err
	}
	s.roomy.wakeAll()
	s.written.wakeAll()
	return errors.Join(commits.close(), w.shut())
}

// keepBacklog copies the end of the ring to the heap. mu and guard are held.
func (s *Stream) keepBacklog() {
	end := replication.Offset(s.end.Load())
	from := s.ring.boundary(max(s.floor, end-replication.Offset(s.cfg.BacklogBytes)), end)
	var kept segments
	if from < end {
		a, b := s.ring.view(from, end-from)
		kept.appendPieces(from, a, b, pieceBytes(s.cfg.BacklogBytes))
	}
	s.tail = kept
}

// Close flushes the stream and ends it. Every other call then answers
// ErrClosed. If the disk is full it does not wait: ErrDiskFull is returned, and
// what was accepted is in the ring for the next start.
func (s *Stream) Close() error {
	s.ctl.Lock()
	defer s.ctl.Unlock()
	if s.closed.Swap(true) {
		return ErrClosed
	}
	defer s.roomy.wakeAll()
	defer s.grown.wakeAll()
	defer s.written.wakeAll()
	w := s.w.Load()
	if w == nil {
		return nil
	}
	err := w.ask(func() error {
		w.drain()
		w.stopping = true
		return nil
	})
	if err != nil {
		return err
	}
	<-w.done
	s.mu.Lock()
	s.guard.Lock()
	r := s.ring
	s.ring = nil
	s.w.Store(nil)
	commits := s.commits.Swap(nil)
	s.guard.Unlock()
	s.noteRoom()
	s.mu.Unlock()
	return errors.Join(commits.close(), w.shut(), r.unmap())
}

// shut closes the files once the writer has been told to stop.
func (w *writer) shut() error {
	<-w.done
	w.opening.Wait()
	err := w.store.close()
	w.store.disk.close()
	if err != nil {
		return fmt.Errorf("journal: close: %w", err)
	}
	return nil
}
