package journal

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"redoubt/replication"
)

// Open opens the stream and recovers what the journal in cfg.Dir holds. If it
// found nothing, the stream begins at offset 0 and what is appended counts after
// a restart only once SaveHistory, SetBase or NewGeneration was called; the
// caller does so before it serves. An error names what to do if an operator can
// do something.
func Open(cfg Config) (*Stream, *Recovered, error) {
	if err := cfg.validate(); err != nil {
		return nil, nil, err
	}
	s := newStream(cfg)
	if !cfg.Enabled {
		return s, &Recovered{}, nil
	}
	w, rec, err := s.openDisk()
	if err != nil {
		return nil, nil, err
	}
	if err := s.recover(w, rec); err != nil {
		w.store.close()
		w.store.disk.close()
		return nil, nil, err
	}
	go w.run()
	return s, rec, nil
}

// openDisk opens Pebble and reads the manifest; nothing is changed yet.
func (s *Stream) openDisk() (*writer, *Recovered, error) {
	cfg := &s.cfg
	fs := cfg.FS
	if err := fs.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("journal: make the directory: %w", err)
	}
	m, found, err := readManifest(fs, cfg.Dir)
	if err != nil {
		return nil, nil, err
	}
	if p := m.previous; p.name != "" {
		if _, err := fs.Stat(fs.PathJoin(cfg.Dir, p.name)); err != nil {
			m.previous = olderBase{} // the next manifest does not name it; no start needs it
		}
	}
	if m.base != "" {
		if _, err := fs.Stat(fs.PathJoin(cfg.Dir, m.base)); err != nil {
			return nil, nil, fmt.Errorf("journal: the base that the journal continues is not there (restore it, or move %s away to start empty): %w", cfg.Dir, err)
		}
	}
	d := newDisk(fs, fs.PathJoin(cfg.Dir, "ballast"), int64(cfg.BallastBytes), s.log, &s.count)
	st, err := openStore(fs.PathJoin(cfg.Dir, "pebble"), d, s.log, s.fatal)
	if err != nil {
		return nil, nil, err
	}
	// Pebble holds a lock on its directory: from here on nobody else has the ring.
	if err := d.open(found); err != nil {
		st.close()
		return nil, nil, err
	}
	// The directory's own name, and Pebble's in it, are as durable as what is in them.
	for _, dir := range []string{fs.PathDir(cfg.Dir), cfg.Dir} {
		if err := syncDir(fs, dir); err != nil {
			st.close()
			d.close()
			return nil, nil, err
		}
	}
	rec := &Recovered{Found: found, BaseOffset: m.baseOffset, History: m.history, Replica: m.replica, Fitness: m.fitness}
	if m.base != "" {
		rec.Base = fs.PathJoin(cfg.Dir, m.base)
	}
	if !found {
		m = manifest{generation: 1, history: replication.History{ID: replication.NoID, ID2: replication.NoID, Second: -1}}
	}
	return newWriter(s, st, m), rec, nil
}

// fatal is where a disk that failed ends, with the words Redis uses.
func (s *Stream) fatal(err error) {
	s.cfg.Fatal(fmt.Errorf("Can't persist AOF for fsync error when the AOF fsync policy is '%v': %w. Exiting...", s.Policy(), err))
}

// openRing maps the ring, or makes one in memory if the files are not on disk.
func (s *Stream) openRing() (*ring, error) {
	if vfs.Root(s.cfg.FS) != vfs.Default {
		return memoryRing(s.cfg.RingBytes), nil
	}
	return mapRing(s.ringPath(), s.cfg.RingBytes)
}

func (s *Stream) ringPath() string { return s.cfg.FS.PathJoin(s.cfg.Dir, "ring") }

// recover brings the current generation to its end and the stream there.
func (s *Stream) recover(w *writer, rec *Recovered) error {
	m := &w.manifest
	st := w.store
	st.generation.Store(m.generation)
	s.removeStrayBases(m)
	s.removeStrays()
	if err := st.keepOnly(m.generation); err != nil {
		return fmt.Errorf("journal: remove old generations: %w", err)
	}
	if !rec.Found {
		// A generation that was never made current counts for nothing.
		if err := st.dropFrom(m.generation); err != nil {
			return fmt.Errorf("journal: remove an unfinished generation: %w", err)
		}
	}
	first, end, found, torn, err := st.extent(m.generation)
	if err != nil {
		return err
	}
	if torn != "" {
		if err := s.refuseTorn(torn, end); err != nil {
			return err
		}
		if err := st.dropAfter(m.generation, end); err != nil {
			return fmt.Errorf("journal: remove a unit without its end: %w", err)
		}
	}
	if !found {
		first, end = m.baseOffset, m.baseOffset
	}
	if rec.Found {
		var why string
		if end, why, err = s.rescue(st, end); err != nil {
			return err
		}
		if why != "" {
			torn = why
		}
	}
	if end < m.baseOffset {
		torn = fmt.Sprintf("the journal ends at offset %d, before its base at %d", end, m.baseOffset)
	}
	if err := s.refuseTorn(torn, end); err != nil {
		return err
	}
	if end < m.baseOffset {
		if err := st.dropFrom(m.generation); err != nil {
			return err
		}
		first, end = m.baseOffset, m.baseOffset
	}
	if err := st.sync(); err != nil {
		return err
	}
	rec.End, rec.Torn = end, torn
	if torn != "" {
		s.log.Debug(fmt.Sprintf("The journal did not end cleanly: %s. It ends at offset %d", torn, end)) // the node warns of it
	}
	l, err := w.beginCommits()
	if err != nil {
		return err
	}
	r, err := s.openRing() // only now: it may have another size than the old one
	if err != nil {
		return errors.Join(err, l.close())
	}
	r.reset(m.generation, kernelBootID())
	if m.previous.kept && m.previous.at < first {
		m.previous = olderBase{} // what follows it is gone
	}
	s.first.Store(int64(first))
	s.base.Store(int64(m.baseOffset))
	if rec.Found {
		current := *m
		s.current.Store(&current)
		s.needed.Store(0) // until somebody knows what is
	}
	s.begin(r, w, l, end, end)
	return nil
}

// refuseTorn is the error for a journal that did not end cleanly, if such a one
// is refused.
func (s *Stream) refuseTorn(torn string, end replication.Offset) error {
	if torn == "" || !s.cfg.RefuseTorn {
		return nil
	}
	return fmt.Errorf("%w: %s. Make a backup of %s; with aof-load-truncated yes the node starts without what follows offset %d", ErrCorrupt, torn, s.cfg.Dir, end)
}

// rescue writes what only the commit log and the ring have behind the journal's
// end, and returns the new end. torn says why one of them ended early.
func (s *Stream) rescue(st *store, end replication.Offset) (_ replication.Offset, torn string, err error) {
	chunks, torn, err := readCommitLog(s.cfg.FS, s.cfg.Dir, st.generation.Load(), end)
	if err != nil {
		return 0, "", err
	}
	for _, c := range chunks {
		if err := st.write([]chunk{c}, false); err != nil {
			return 0, "", fmt.Errorf("journal: save what the commit log held: %w", err)
		}
		end = c.after + replication.Offset(c.len())
	}
	if vfs.Root(s.cfg.FS) != vfs.Default {
		return end, torn, nil
	}
	end, why, err := s.rescueRing(st, end)
	if why != "" {
		torn = why
	}
	return end, torn, err
}

// rescueRing does so with what a killed process left in the ring. torn is as of
// survivors.
func (s *Stream) rescueRing(st *store, end replication.Offset) (_ replication.Offset, torn string, err error) {
	size := ringSizeOnDisk(s.ringPath())
	if size == 0 {
		return end, "", nil
	}
	r, err := mapRing(s.ringPath(), size)
	if err != nil {
		return 0, "", err
	}
	defer r.unmap()
	spans, torn := r.survivors(st.generation.Load(), end, kernelBootID())
	for len(spans) > 0 {
		var chunks []chunk
		for total := 0; len(spans) > 0 && total < batchBytes; spans = spans[1:] {
			sp := spans[0]
			a, b := r.view(sp.after, sp.end-sp.after)
			chunks = append(chunks, chunk{after: sp.after, a: a, b: b})
			total += int(sp.end - sp.after)
			end = sp.end
		}
		if err := st.write(chunks, false); err != nil {
			return 0, "", fmt.Errorf("journal: save what the ring held: %w", err)
		}
	}
	return end, torn, nil
}

// begin gives the stream its ring, writer and commit log (nil: none). What is in
// memory after offset from, up to end, is still to be written; nobody appends
// meanwhile, or mu is held.
func (s *Stream) begin(r *ring, w *writer, l *commitLog, from, end replication.Offset) {
	s.guard.Lock()
	s.ring, s.floor, s.held = r, from, from
	s.resetReach(end)
	s.guard.Unlock()
	s.w.Store(w)
	s.commits.Store(l)
	s.countFrom(end)
	s.end.Store(int64(end))
	s.announced.Store(int64(end))
	s.taken.Store(int64(from))
	s.synced.Store(int64(from))
	s.logged.Store(int64(from))
}

// removeStrays removes snapshots that a crash left unfinished beside the bases.
func (s *Stream) removeStrays() {
	names, err := s.cfg.FS.List(s.cfg.Dir)
	if err != nil {
		return // they only take space
	}
	for _, name := range names {
		if strings.HasPrefix(name, "temp-") && strings.HasSuffix(name, ".rdb") {
			s.cfg.FS.Remove(s.cfg.FS.PathJoin(s.cfg.Dir, name))
		}
	}
}

// removeStrayBases removes bases that never became current or no longer are.
func (s *Stream) removeStrayBases(current *manifest) {
	names, err := s.cfg.FS.List(s.cfg.Dir)
	if err != nil {
		return // they only take space
	}
	for _, name := range names {
		if strings.HasPrefix(name, "base-") && strings.HasSuffix(name, ".rdb") && !current.holds(name) {
			s.cfg.FS.Remove(s.cfg.FS.PathJoin(s.cfg.Dir, name))
		}
	}
}

// Replay hands every unit after offset from to f, in order: unit is one unit or
// several whole ones, end the offset of its last byte; it is only valid during
// the call. It ends at the end the stream had when Replay began. A
// *CorruptError says how far the journal is whole: Cut there to go on without
// the rest. An error of f ends the replay and is returned as it is.
func (s *Stream) Replay(from replication.Offset, f func(unit []byte, end replication.Offset) error) error {
	return s.ReplayTo(from, s.End(), f)
}

// ReplayTo is Replay up to offset to, at or below the stream's end. If no unit ends there,
// the last one that f gets is cut off.
func (s *Stream) ReplayTo(from, to replication.Offset, f func(unit []byte, end replication.Offset) error) error {
	s.mu.Lock()
	w := s.w.Load()
	s.mu.Unlock()
	if w == nil {
		return ErrDisabled
	}
	if s.taken.Load() < int64(to) {
		if err := s.Flush(); err != nil {
			return err
		}
	}
	if from == to {
		return nil
	}
	st := w.store
	cur, err := st.cursor(st.generation.Load())
	if err != nil {
		return err
	}
	defer cur.close()
	return cur.replay(from, to, f)
}

func (c *cursor) replay(from, to replication.Offset, f func([]byte, replication.Offset) error) error {
	ahead := make(chan record, recordsAhead)
	free := make(chan []byte, recordsAhead)
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { c.readAhead(from, to, ahead, free, stop) })
	defer reading.Wait()
	defer close(stop)
	for r := range ahead {
		if r.err != nil {
			return r.err
		}
		if err := f(r.units, r.end); err != nil {
			return err
		}
		if r.done != nil {
			close(r.done)
			continue
		}
		select {
		case free <- r.units[:0]:
		default:
		}
	}
	return nil
}

// A record is what the journal has under one key, and what it takes of the next
// ones to end where a unit does; or why there is no more.
type record struct {
	units []byte
	end   replication.Offset // of its last byte
	done  chan struct{}      // of a large one: nothing more is read until it is closed
	err   error
}

// recordsAhead is how many records, of tens of KiB mostly, a replay reads while others
// are executed. More than a few, as either side comes in bursts.
const recordsAhead = 32

// largeRecord is how many bytes a record has that is the only one in memory.
const largeRecord = 1 << 20

// readAhead reads the records of a replay until the last one, an error or stop.
func (c *cursor) readAhead(from, to replication.Offset, ahead chan<- record, free <-chan []byte, stop <-chan struct{}) {
	defer close(ahead)
	send := func(r record) (more bool) {
		select {
		case ahead <- r:
			return r.err == nil
		case <-stop:
			return false
		}
	}
	whole, at := from, from // the end of the last whole unit, and of the last chunk
	corrupt := func(err error) {
		if err != nil && !pebble.IsCorruptionError(err) && !errors.Is(err, ErrCorrupt) {
			send(record{err: fmt.Errorf("journal: replay after offset %d: %w", at, err)})
			return
		}
		reason := fmt.Sprintf("no bytes after offset %d", at)
		if err != nil {
			reason = err.Error()
		}
		send(record{err: &CorruptError{At: whole, Reason: reason}})
	}
	var units []byte
	for ok := c.it.SeekLT(key(c.st.generation.Load(), from+1)); ok && at < to; ok = c.it.Next() {
		ch, err := c.chunk()
		if err != nil {
			corrupt(err)
			return
		}
		skip := at - ch.after
		if skip < 0 || skip >= replication.Offset(len(ch.a)) || (skip > 0 && at != from) {
			corrupt(nil)
			return
		}
		part := ch.a[skip:]
		part = part[:min(replication.Offset(len(part)), to-at)]
		units = append(units, part...)
		at += replication.Offset(len(part))
		if ch.more && at < to {
			continue
		}
		r := record{units: units, end: at}
		if len(units) > largeRecord {
			r.done = make(chan struct{})
		}
		if !send(r) {
			return
		}
		if r.done != nil {
			select {
			case <-r.done:
			case <-stop:
				return
			}
		}
		whole, units = at, nil
		select {
		case units = <-free:
		default:
		}
	}
	switch err := c.it.Error(); {
	case err != nil:
		corrupt(err)
	case whole < to:
		corrupt(nil)
	}
}
