package journal

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"redoubt/replication"
)

// onWriter runs f on the writer's goroutine, where the store and the manifest
// belong, between two batches.
func (s *Stream) onWriter(f func(w *writer) error) error {
	if err := s.failed(); err != nil {
		return err
	}
	w := s.w.Load()
	if w == nil {
		return ErrDisabled
	}
	return w.ask(func() error { return f(w) })
}

// SaveHistory saves the node's histories and whether it is a replica, durably.
// A primary has no fitness. Without a journal it does nothing.
func (s *Stream) SaveHistory(h replication.History, replica bool) error {
	err := s.onWriter(func(w *writer) error {
		m := w.manifest
		m.history, m.replica = h, replica
		if !replica {
			m.fitness = replication.Fitness{}
		}
		if w.pending {
			w.manifest = m // the manifest on disk is another generation's
			return nil
		}
		return w.save(m)
	})
	if errors.Is(err, ErrDisabled) {
		return nil
	}
	return err
}

// SaveFitness saves what a replica's data are worth, durably, together with the
// history of that id. If the node has gone over to another history, or become a
// primary, there is nothing to save. Without a journal it does nothing.
func (s *Stream) SaveFitness(id string, f replication.Fitness) error {
	f = saved(f)
	err := s.onWriter(func(w *writer) error {
		m := w.manifest
		if m.history.ID != id || !m.replica || m.fitness == f {
			return nil
		}
		m.fitness = f
		if w.pending {
			w.manifest = m
			return nil
		}
		return w.save(m)
	})
	if errors.Is(err, ErrDisabled) {
		return nil
	}
	return err
}

// saved is a fitness as it will be read.
func saved(f replication.Fitness) replication.Fitness {
	if f.Shard == "" {
		return replication.Fitness{}
	}
	f.Contact = time.UnixMilli(f.Contact.UnixMilli())
	return f
}

// save makes m current.
func (w *writer) save(m manifest) error {
	if err := writeManifest(w.store.disk, w.s.cfg.Dir, &m); err != nil {
		return err
	}
	w.manifest = m
	w.s.current.Store(&m)
	w.s.base.Store(int64(m.baseOffset))
	return nil
}

// adopt syncs the RDB file at path and moves it to its place among the bases.
func (w *writer) adopt(path string, generation uint64, at replication.Offset) (name string, err error) {
	fs, dir := w.store.disk, w.s.cfg.Dir
	f, err := fs.Open(path)
	if err != nil {
		return "", fmt.Errorf("journal: open the new base: %w", err)
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("journal: sync the new base: %w", err)
	}
	w.s.count.written.Add(info.Size())
	name = fmt.Sprintf("base-%d-%d.rdb", generation, at)
	if err := fs.Rename(path, fs.PathJoin(dir, name)); err != nil {
		return "", fmt.Errorf("journal: take the new base: %w", err)
	}
	return name, syncDir(fs, dir)
}

// dropBase removes a base that is no longer of use.
func (w *writer) dropBase(name string) {
	if name != "" && !w.manifest.holds(name) {
		fs := w.store.disk
		fs.Remove(fs.PathJoin(w.s.cfg.Dir, name)) // if it fails, the next start removes it
	}
}

// dropBases removes those of an older manifest that are no longer of use.
func (w *writer) dropBases(old *manifest) {
	w.dropBase(old.base)
	if old.previous.kept {
		w.dropBase(old.previous.name)
	}
}

// SetBase makes the RDB file at path, the data as of offset at, the base. The
// file is moved from where it is, which must be on the same file system. The old
// base is removed, and the journal below at may then be trimmed, if KeepBase does not
// need them.
func (s *Stream) SetBase(path string, at replication.Offset) error {
	return s.onWriter(func(w *writer) error {
		// The journal must reach the base's offset on disk before the base counts.
		w.drain()
		if end := s.End(); at > end || at < replication.Offset(s.first.Load()) {
			return fmt.Errorf("journal: a base at offset %d does not lie in (%d, %d]", at, s.first.Load(), end)
		}
		name, err := w.adopt(path, w.manifest.generation, at)
		if err != nil {
			return err
		}
		m, old := w.manifest, w.manifest
		m.base, m.baseOffset = name, at
		if !w.pending {
			m.keep(&old, replication.Offset(s.needed.Load()), replication.Offset(s.first.Load()))
		}
		if err := w.save(m); err != nil {
			return err
		}
		if w.pending {
			w.pending = false
			s.notifySync()
			s.removeStrayBases(&m)
			if err := w.store.keepOnly(m.generation); err != nil {
				return err
			}
		}
		w.dropBases(&old)
		w.trim()
		return nil
	})
}

// keep makes that one of old's bases the previous one which is the newest as of needed, or
// earlier; if none is so old, the oldest, since what is needed may rise. None is kept if
// the base itself will do, or if the journal behind it is gone: it begins after first.
func (m *manifest) keep(old *manifest, needed, first replication.Offset) {
	m.previous = olderBase{kept: true, name: old.base, at: old.baseOffset}
	if old.baseOffset > needed && old.previous.kept {
		m.previous = old.previous
	}
	if m.baseOffset <= needed || m.previous.at < first {
		m.previous = olderBase{}
	}
}

// KeepBase says that the stream may have to be cut at offset needed, or later: of the
// bases as of an earlier offset one is kept, with the journal behind it; math.MaxInt64: no
// older one. Until the first call no older one is needed if the journal is a new one, and
// one that an earlier run has left keeps what it has: nobody knows yet.
func (s *Stream) KeepBase(needed replication.Offset) {
	s.needed.Store(int64(needed))
}

// forgetPrevious removes the previous base once the present one will do.
func (w *writer) forgetPrevious() {
	m := w.manifest
	if w.pending || !m.previous.kept || int64(m.baseOffset) > w.s.needed.Load() {
		return
	}
	name := m.previous.name
	m.previous = olderBase{}
	if err := w.timed(func() error { return w.save(m) }); err != nil {
		w.s.log.Warn("The journal keeps an old base that is not needed any more", zap.Error(err))
		return
	}
	w.dropBase(name)
}

// NewGeneration replaces the whole stream: it now stands at offset at, with the
// RDB file at basePath as its base ("" for no data), and with the given
// histories. This is what a full resync ends with, after the caller has checked
// the file. Until the one rename inside it, a crash finds the old generation
// whole; after it, the new one. The pins and readers of the old are the caller's
// to end. Before the offsets change, all of the old stream is committed, and
// OnCommit's function was called: whoever waits for an offset beyond the new end
// need not wait any longer. Without a journal only the memory changes, and
// basePath is left alone.
func (s *Stream) NewGeneration(basePath string, at replication.Offset, h replication.History, replica bool) error {
	m := manifest{baseOffset: at, history: h, replica: replica}
	err := s.onWriter(func(w *writer) error { return w.replace(basePath, m) })
	if errors.Is(err, ErrDisabled) {
		s.restart(at, 0)
		return nil
	}
	return err
}

// replace makes m, whose generation and base are still missing, current.
func (w *writer) replace(basePath string, m manifest) error {
	w.drain()
	old := w.manifest
	m.generation = old.generation + 1
	if basePath != "" {
		name, err := w.adopt(basePath, m.generation, m.baseOffset)
		if err != nil {
			return err
		}
		m.base = name
	}
	if err := w.save(m); err != nil {
		return err
	}
	w.pending = false
	err := w.withoutCommits(func() error {
		w.s.restart(m.baseOffset, m.generation)
		w.store.generation.Store(m.generation)
		return nil
	})
	if err != nil {
		return err
	}
	w.dropBases(&old)
	return w.store.keepOnly(m.generation)
}

// restart empties the memory and puts the stream at offset at.
func (s *Stream) restart(at replication.Offset, generation uint64) {
	s.mu.Lock()
	s.guard.Lock()
	s.db, s.readersDB = -1, -1
	s.tail.reset()
	s.floor, s.held = at, at
	if s.ring != nil {
		s.ring.reset(generation, kernelBootID())
	}
	s.countFrom(at)
	s.end.Store(int64(at))
	s.announced.Store(int64(at))
	s.taken.Store(int64(at))
	s.synced.Store(int64(at))
	s.logged.Store(int64(at))
	s.demanded.Store(0)
	s.resetReach(at)
	s.first.Store(int64(at))
	s.noteRoom()
	s.guard.Unlock()
	s.mu.Unlock()
	s.roomy.wakeAll()
}

// resetReach puts ringEnd and committed where they belong if the ring holds
// nothing and what was appended up to offset at is committed. mu is held.
func (s *Stream) resetReach(at replication.Offset) {
	s.ringEnd.at.Store(theEnd)
	if !s.tail.empty() && s.ring != nil {
		s.ringEnd.at.Store(int64(s.tail.list[0].after))
	}
	s.committed.at.Store(theEnd)
	if !s.commitAppended() {
		s.committed.at.Store(int64(at))
	}
}

// Cut drops everything after offset at, which must be the end of a unit and not
// below the base: a promotion cuts at the applied offset, a deposed primary at
// its successor's. The caller has read what it wants to keep. All of it is
// committed first, as by NewGeneration. The database selected in the stream is
// unknown afterwards.
func (s *Stream) Cut(at replication.Offset) error {
	err := s.onWriter(func(w *writer) error {
		w.drain()
		return w.cut(at)
	})
	if !errors.Is(err, ErrDisabled) {
		return err
	}
	return s.cutBacklog(at)
}

// cut does the work of Cut once everything is in Pebble.
func (w *writer) cut(at replication.Offset) error {
	s := w.s
	if end := s.End(); at > end || at < w.manifest.baseOffset || at < replication.Offset(s.first.Load()) {
		return fmt.Errorf("journal: cannot cut at offset %d: the base is at %d and the end at %d", at, w.manifest.baseOffset, end)
	}
	b, err := w.store.prepareCut(at)
	if err != nil {
		return fmt.Errorf("journal: cut at offset %d: %w", at, err)
	}
	// First the commit log and the ring forget: everything in them is in Pebble
	// now, and bytes cut there must not come back out of them.
	return w.withoutCommits(func() error {
		first := s.first.Load()
		s.restart(at, w.manifest.generation)
		s.first.Store(first)
		w.disk(func() error { return w.store.apply(b) })
		return nil
	})
}

// Rewind is Cut at an offset that may lie below the base, if the previous base does not,
// and makes h the history of what is left, which is a replica's. A crash at any step
// leaves a journal that is whole:
//
//  1. The previous base becomes the base again. With the journal behind it, which is
//     still all there, it makes the same data.
//  2. The cut, which is one write of Pebble. The history is the old one, of which what
//     is left is the beginning. A node that starts from here finds again, when it asks
//     its primary, what it has in common with it.
//  3. The new history. Before the cut it would claim bytes that it does not have.
func (s *Stream) Rewind(at replication.Offset, h replication.History) error {
	return s.onWriter(func(w *writer) error {
		w.drain()
		if w.pending || at < w.manifest.oldest() || at > s.End() {
			return fmt.Errorf("journal: cannot go back to offset %d: the oldest base is at %d and the end at %d", at, w.manifest.oldest(), s.End())
		}
		if m := w.manifest; at < m.baseOffset {
			younger := m.base
			m.base, m.baseOffset = m.previous.name, m.previous.at
			m.previous = olderBase{}
			if err := w.save(m); err != nil {
				return err
			}
			w.dropBase(younger)
		}
		if err := w.cut(at); err != nil {
			return err
		}
		m := w.manifest
		m.history, m.replica = h, true
		if err := w.save(m); err != nil {
			return errors.Join(ErrHistoryNotSaved, err)
		}
		return nil
	})
}

// ErrHistoryNotSaved is an error of Rewind after which the stream is cut, but its new
// history is not on disk: SaveHistory is to be called until that has been done.
var ErrHistoryNotSaved = errors.New("journal: the stream is cut, and its new history cannot be saved")

// cutBacklog is Cut without a journal.
func (s *Stream) cutBacklog(at replication.Offset) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := replication.Offset(s.end.Load())
	if at > end || (at < end && (s.tail.empty() || at < s.tail.list[0].after)) {
		return fmt.Errorf("journal: cannot cut at offset %d: %w", at, ErrTrimmed)
	}
	s.tail.cut(at)
	s.db, s.readersDB = -1, -1
	s.countFrom(at)
	s.end.Store(int64(at))
	return nil
}

// SizeSinceBase is how many bytes of stream follow the base: what a restart
// would replay. 0 without a journal.
func (s *Stream) SizeSinceBase() int64 {
	if s.w.Load() == nil {
		return 0
	}
	return s.end.Load() - s.base.Load()
}

// Flush writes and fsyncs everything appended so far.
func (s *Stream) Flush() error {
	err := s.onWriter(func(w *writer) error { w.drain(); return nil })
	if errors.Is(err, ErrDisabled) {
		return nil
	}
	return err
}
