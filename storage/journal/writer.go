package journal

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/fault"
	"redoubt/replication"
)

// What the writer's goroutine is doing, for those who might wake it.
const (
	awake      = iota
	idle       // nothing to do: anything that was appended wakes it
	gathering  // lets bytes gather: much, or somebody who waits, wakes it
	regrouping // lets those whose replies an fsync has released come with more
)

// writer takes the stream's bytes from memory into Pebble. All its fields but
// the atomics and channels belong to its goroutine; others hand it a function
// by ask.
type writer struct {
	s     *Stream
	store *store

	wake     chan struct{}
	asks     chan request
	done     chan struct{} // closed when the goroutine has ended
	sleeping atomic.Int32
	released atomic.Int64 // what was announced when the last fsync had ended
	since    atomic.Int64 // when the disk operation in progress began, Unix ns; 0 if none

	lastSync  time.Time
	took      time.Duration      // of the last disk operation
	regrouped bool               // since lastSync
	unloaded  replication.Offset // the ring's pages below it are not resident
	lastHeld  replication.Offset // Stream.held when unload last looked, at lastLook
	lastLook  time.Time
	timer     *time.Timer
	spans     []span
	chunks    []chunk

	opened  bool           // the commit log has been opened, or could not be
	opening sync.WaitGroup // while it is opened beside the writer

	manifest manifest
	pending  bool // the manifest on disk is of an older generation until a base is set
	stopping bool
}

// request is a function for the writer to run between two batches.
type request struct {
	f     func() error
	reply chan error
}

func newWriter(s *Stream, st *store, m manifest) *writer {
	return &writer{
		s: s, store: st, manifest: m,
		wake: make(chan struct{}, 1), asks: make(chan request), done: make(chan struct{}),
		timer: time.NewTimer(time.Hour),
	}
}

// wanted says whether what was announced must wake the writer.
func (w *writer) wanted() bool {
	s := w.s
	announced := min(s.announced.Load(), s.end.Load()) // a cut may have been overtaken by who announces
	if w.commitsFull() || s.demands() > int64(s.durable()) {
		return true
	}
	switch w.sleeping.Load() {
	case idle:
		return announced > s.taken.Load()
	case gathering:
		return announced-s.taken.Load() >= gatherBytes || announced > int64(s.Committed())
	case regrouping:
		return announced > w.released.Load()
	}
	return false
}

func (w *writer) kick() {
	if w.sleeping.Swap(awake) == awake {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// ask runs f on the writer's goroutine. It does not begin while the disk is
// full; a function that has begun is waited for.
func (w *writer) ask(f func() error) error {
	r := request{f: f, reply: make(chan error, 1)}
	poll := time.NewTicker(fullPoll)
	defer poll.Stop()
	for {
		select {
		case w.asks <- r:
			return <-r.reply
		case <-w.done:
			if err := w.s.failed(); err != nil {
				return err
			}
			return ErrDisabled
		case <-poll.C:
			if w.store.disk.full.Load() {
				return ErrDiskFull
			}
		}
	}
}

// run is the writer's goroutine.
func (w *writer) run() {
	defer close(w.done)
	w.lastSync = time.Now()
	for !w.stopping {
		select {
		case r := <-w.asks:
			r.reply <- r.f()
			continue
		default:
		}
		w.round()
	}
}

// round does one batch, or one sync, or sleeps.
func (w *writer) round() {
	s := w.s
	w.forgetPrevious()
	end, taken, synced, announced := s.end.Load(), s.taken.Load(), s.synced.Load(), s.announced.Load()
	policy := s.Policy()
	if policy.quick() && !w.opened {
		w.opened = true
		w.opening.Go(w.openCommits)
	}
	awaited := s.awaited(announced)
	urgent := awaited || w.overflowing()
	due := time.Until(w.lastSync.Add(syncPeriod))
	tight := end-synced > int64(s.bound)/2 || w.commitsFull()
	now := urgent || tight || (policy != No && due <= 0)
	// Where replies wait for an fsync it begins when somebody has announced what
	// it appended: whoever has not is about to append more that it can cover.
	more := end > taken && (!urgent || tight || announced > taken)
	switch {
	case more && awaited && policy == Always && w.regroup():
	case more:
		w.batch(now)
		if left := s.end.Load() - s.taken.Load(); !urgent && left < gatherBytes {
			w.sleep(gathering, fault.Or(fault.MarkUnsynced, gather, syncPeriod))
		}
	case synced < taken && now:
		w.sync()
	case synced < taken && policy != No:
		w.sleep(idle, due)
	case w.unload():
		w.sleep(idle, unloadPeriod)
	default:
		w.sleep(idle, syncPeriod)
	}
}

// regroup waits after an fsync, about as long as that took, for clients whose
// replies it has released and who come with their next writes. Otherwise the
// writes that came during the fsync would get one of their own at once, and so on:
// clients would part into two groups that take turns, each with half as many
// writes for an fsync. It reports whether it has waited.
func (w *writer) regroup() bool {
	if w.regrouped {
		return false
	}
	w.regrouped = true
	w.sleep(regrouping, min(max(w.took, minRegroup), maxRegroup))
	return true
}

// commitsFull says that half of the commit log waits for an fsync of Pebble.
func (w *writer) commitsFull() bool {
	l := w.s.commits.Load()
	return l != nil && l.full.Load()
}

// overflowing says that units lie on the heap and wait for the disk.
func (w *writer) overflowing() bool {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return !w.s.tail.empty()
}

// awaited reports whether replies wait for an fsync of what is announced up to an offset, or
// somebody does who has called Sync.
func (s *Stream) awaited(announced int64) bool {
	durable := int64(s.durable())
	return s.Policy() == Always && announced > durable || s.demands() > durable
}

// demands is up to where somebody has called Sync; the stream may have been cut since.
func (s *Stream) demands() int64 { return min(s.demanded.Load(), s.announced.Load(), s.end.Load()) }

// sleep waits for a kick, a request, or d. Whoever has appended may not come to
// announce it for long (a command that runs for seconds); when the writer wakes by
// itself from having nothing to do it announces that, too.
func (w *writer) sleep(state int32, d time.Duration) {
	s := w.s
	w.sleeping.Store(state)
	defer w.sleeping.Store(awake)
	// Whoever announced before the store above did not kick: look once more.
	if w.wanted() || s.awaited(min(s.taken.Load(), s.announced.Load())) {
		return
	}
	w.timer.Reset(d)
	select {
	case <-w.wake:
	case <-w.timer.C:
		if state == idle && s.announced.Load() < s.end.Load() {
			s.Announce()
		}
	case r := <-w.asks:
		w.sleeping.Store(awake)
		r.reply <- r.f()
	}
}

// chunk is one value of Pebble to be: the bytes after offset after, in two
// parts. more says that the unit it ends in goes on in the next chunk.
type chunk struct {
	after replication.Offset
	a, b  []byte
	more  bool
}

func (c *chunk) len() int { return len(c.a) + len(c.b) }

// collect fills w.chunks with what comes next, about batchBytes of it, and
// returns where it ends. The bytes stay where they are until they are synced.
func (w *writer) collect() replication.Offset {
	s := w.s
	w.chunks = w.chunks[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := replication.Offset(s.taken.Load())
	if taken < s.ringEnd.of(&s.end) {
		w.spans = s.ring.pending(w.spans[:0], taken, batchBytes)
		for _, sp := range w.spans {
			a, b := s.ring.view(sp.after, sp.end-sp.after)
			w.chunks = append(w.chunks, chunk{after: sp.after, a: a, b: b})
			taken = sp.end
		}
		return taken
	}
	for total := 0; total < batchBytes; {
		part, more := s.tail.find(taken)
		if part == nil {
			break
		}
		// Only a segment of one large unit is more than a chunk, so a chunk ends
		// where a unit ends or inside a unit that is all there is in it, unless the
		// stream was without a journal when it got the unit. The recovery drops
		// a unit whose last chunk is missing.
		if len(part) > segmentBytes {
			part, more = part[:segmentBytes], true
		}
		w.chunks = append(w.chunks, chunk{after: taken, a: part, more: more})
		taken += replication.Offset(len(part))
		total += len(part)
	}
	return taken
}

// batch writes what comes next in one commit.
func (w *writer) batch(sync bool) {
	to := w.collect()
	began := time.Now()
	w.disk(func() error { return w.store.write(w.chunks, sync) })
	w.s.observed(time.Since(began), sync)
	w.s.taken.Store(int64(to))
	clear(w.chunks) // they keep heap segments alive
	if sync {
		w.synced(to)
	}
}

// sync asks Pebble for an fsync of all it was given.
func (w *writer) sync() {
	to := replication.Offset(w.s.taken.Load())
	began := time.Now()
	w.disk(w.store.sync)
	w.s.observed(time.Since(began), true)
	w.synced(to)
}

// drain writes and syncs all there is when it is called.
func (w *writer) drain() {
	for end := w.s.end.Load(); w.s.taken.Load() < end; {
		w.batch(false)
	}
	if w.s.synced.Load() < w.s.taken.Load() {
		w.sync()
	}
}

// disk runs a disk operation whose failure the process does not survive.
func (w *writer) disk(f func() error) {
	if err := w.timed(f); err != nil {
		w.store.fatal(err)
	}
}

// timed runs a disk operation and lets Stalled see how long it takes.
func (w *writer) timed(f func() error) error {
	began := time.Now()
	w.since.Store(began.UnixNano())
	defer func() {
		w.since.Store(0)
		w.took = time.Since(began)
	}()
	return f()
}

// synced publishes that everything up to offset to is on the disk.
func (w *writer) synced(to replication.Offset) {
	s := w.s
	w.lastSync = time.Now()
	s.mu.Lock()
	s.synced.Store(int64(to))
	if l := s.commits.Load(); l != nil {
		l.full.Store(false)
	}
	s.held = s.ring.release(to)
	if !s.tail.empty() {
		s.returnToRing(to)
	}
	commit := to
	if s.commitAppended() {
		commit = theEnd
	}
	moved := s.commitTo(commit)
	s.noteRoom()
	s.mu.Unlock()
	w.released.Store(s.announced.Load())
	w.regrouped = !moved
	if moved {
		s.notify()
	}
	if !w.stopping {
		s.notifySync() // who waits for a journal that is turned off hears of that instead
	}
	s.roomy.wakeAll()
	w.unload()
	w.trim()
}

// unload takes the ring's pages whose bytes are on the disk out of resident
// memory, at most once in unloadPeriod, and says whether it has to come again.
// While the ring is overwritten within a few of these periods it does not: the
// next append to each page would pay a fault to have it back.
func (w *writer) unload() (again bool) {
	s, now := w.s, time.Now()
	held := s.held // written by this goroutine only
	if w.unloaded > held {
		w.unloaded, w.lastHeld = 0, 0 // another generation
	}
	if held-w.unloaded < pageBytes || s.ring.unload == nil {
		return false
	}
	if now.Sub(w.lastLook) < unloadPeriod {
		return true
	}
	fast := held-w.lastHeld > s.ring.size/4
	w.lastLook, w.lastHeld = now, held
	if fast {
		return true
	}
	to, err := s.ring.unloadBetween(w.unloaded, held)
	if err != nil {
		s.log.Warn("The journal: cannot take the ring out of memory", zap.Error(err))
	}
	w.unloaded = to
	return false
}

// returnToRing ends an overflow when little of it is left: everything up to
// offset to, the end of a chunk, is on the disk, and the rest moves into the
// ring. mu is held, so the rest must be short: under a steady load it never is
// nothing.
func (s *Stream) returnToRing(to replication.Offset) {
	if to < s.ringEnd.of(&s.end) {
		return // the ring itself still holds what is not on the disk
	}
	end := replication.Offset(s.end.Load())
	s.tail.drop(to)
	if !s.unitEnd(to) || s.tail.divided() || end-to > min(batchBytes, s.ring.size/4) {
		return // the ring is for whole units
	}
	s.guard.Lock()
	s.floor, s.held = to, to
	s.guard.Unlock()
	s.ring.restart()
	for at := to; at < end; {
		part, _ := s.tail.find(at)
		s.ring.append(at, nil, part)
		at += replication.Offset(len(part))
	}
	s.count.ring += int64(end - to)
	s.ringEnd.at.Store(theEnd)
	s.tail.reset()
}

// unitEnd says whether offset to, where a chunk of the tail ended, is also the
// end of a unit: it is not inside a segment made for one large unit.
func (s *Stream) unitEnd(to replication.Offset) bool {
	for i := range s.tail.list {
		g := &s.tail.list[i]
		if to > g.after && to < g.end() && cap(g.data) > segmentBytes {
			return false
		}
	}
	return true
}

// trim removes from the journal what lies below the oldest base and every pin, once
// it is worth it.
func (w *writer) trim() {
	s := w.s
	first := replication.Offset(s.first.Load())
	floor := w.manifest.oldest()
	if w.pending || int64(floor-first) < s.cfg.TrimBytes {
		return
	}
	floor = min(floor, s.pins.lowest(s.End(), s.cfg.PinDiskBytes))
	if int64(floor-first) < s.cfg.TrimBytes {
		return
	}
	err := w.timed(func() error {
		kept, err := w.store.chunkAt(floor)
		if err != nil || !s.raiseFirst(kept) {
			return err
		}
		return w.store.trim(kept)
	})
	if err != nil {
		s.log.Warn("The journal cannot be trimmed", zap.Error(err))
	}
}

// raiseFirst says that what lies up to offset to is about to be removed, unless
// a pin has come that needs it. Pins are made under the same lock, so a reader
// that pins and then looks at First either holds back the trim or sees what it
// leaves.
func (s *Stream) raiseFirst(to replication.Offset) bool {
	s.pins.mu.Lock()
	defer s.pins.mu.Unlock()
	if s.pins.lowestLocked(s.End(), s.cfg.PinDiskBytes) < to {
		return false
	}
	s.first.Store(int64(to))
	return true
}
