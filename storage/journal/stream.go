package journal

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/replication"
)

// Stream is the one stream of a node. Its methods may be called from any
// goroutine; what is said to belong to a role (Append to the primary, AppendRaw
// to the replica's link) is the caller's to keep, as is the rule that nobody
// appends while Cut, NewGeneration, Enable or Disable runs.
//
// Invariants, while mu is free:
//  1. synced <= taken <= end, and logged <= end. What Committed answers never goes
//     down but in Cut and NewGeneration.
//  2. With a journal, the bytes (synced, end] are in the ring or, from the
//     first one that did not fit, in tail; those up to taken are in Pebble too.
//  3. The ring holds every byte of (floor, ringEnd].
//  4. floor <= held <= synced, and held is where a record of the ring begins:
//     a record's checksum needs all of its bytes, those already synced too.
type Stream struct {
	cfg Config
	log *zap.Logger

	mu sync.Mutex // the reservation of offset and the copy; never held across I/O
	db int        // the database last selected in the stream, -1 if unknown
	// readersDB is what readers have selected at the end, -1 if unknown: ResetDB does not
	// change it.
	readersDB int
	tail      segments
	ring      *ring              // nil without a journal
	held      replication.Offset // the ring's places below it may be written again
	sel       []byte
	bound     replication.Offset // how far synced may lag before executors must park; never changes
	quick     time.Duration      // commitQuickTime; only tests change it

	end       atomic.Int64 // written under mu
	committed upTo         // see Committed; written under mu
	ringEnd   upTo         // what follows is in tail; written under mu
	synced    atomic.Int64 // Pebble has fsynced everything up to here
	logged    atomic.Int64 // the commit log has what follows that, up to here; written under mu
	took      atomic.Int64 // how long the last fsync took, ns
	taken     atomic.Int64 // the writer has handed everything up to here to Pebble
	first     atomic.Int64 // bytes after it can be read (with a journal)
	base      atomic.Int64 // the base's offset (with a journal)
	needed    atomic.Int64 // see KeepBase
	policy    atomic.Int32
	behind    atomic.Bool  // end - synced > bound; written under mu
	announced atomic.Int64 // Announce has told of everything up to here
	demanded  atomic.Int64 // who has called Sync waits for this

	w atomic.Pointer[writer] // nil without a journal; written under mu
	// commits is the commit log; nil until the policy is Always or OnDemand, and without a journal.
	commits atomic.Pointer[commitLog]
	closed  atomic.Bool

	current atomic.Pointer[manifest] // the one on disk; nil if it is not of the present stream

	// guard is held for reading while bytes are copied out of the ring or the
	// tail by readers, and for writing while floor rises, the ring comes or goes,
	// or memory of the tail is used again. The floor rises a sixteenth of the ring
	// at a time, so an appender meets a reader here a few times per 64 MiB. It is
	// taken after mu.
	guard sync.RWMutex
	floor replication.Offset // guarded by guard, and written under mu as well

	onCommit atomic.Pointer[func(replication.Offset)]
	onSync   atomic.Pointer[func()]
	onGrown  atomic.Pointer[func()]
	onRoom   func(bool) // guarded by mu

	count        counters
	grown, roomy waiters
	written      waiters // see WaitSynced
	pins         pins

	ctl sync.Mutex // one Enable, Disable or Close at a time; held across their I/O
}

func newStream(cfg Config) *Stream {
	s := &Stream{cfg: cfg, log: cfg.Log, db: -1, readersDB: -1, sel: make([]byte, 0, 64), quick: commitQuickTime}
	s.policy.Store(int32(cfg.Policy))
	s.bound = replication.Offset(cfg.RingBytes / 2)
	s.needed.Store(math.MaxInt64)
	s.resetReach(0)
	return s
}

// Append adds one unit of a primary and returns the offset of its last byte.
// firstDB is the database its first command runs in and lastDB the one selected
// after its last; a SELECT is prepended when firstDB is not the database last
// selected in the stream. A unit that belongs to no database (PING) has firstDB
// < 0. The bytes are copied. It never blocks on the disk (see Room) and wakes
// nobody (see Announce).
func (s *Stream) Append(firstDB, lastDB int, unit []byte) replication.Offset {
	s.mu.Lock()
	var sel []byte
	if firstDB >= 0 && firstDB != s.db {
		sel = s.selectCommand(firstDB)
	}
	if lastDB >= 0 {
		s.db, s.readersDB = lastDB, lastDB
	}
	end := s.add(sel, unit)
	s.mu.Unlock()
	return end
}

// AppendRaw adds bytes a replica received, verbatim: a whole unit, or several.
// Like Append it wakes nobody.
func (s *Stream) AppendRaw(unit []byte) replication.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(nil, unit)
}

// Announce wakes those who wait for what was appended: the readers, and the
// writer if the policy calls for it. Whoever appends calls it afterwards, without
// the locks of a slot, since it may cost a system call. It may wait until the
// caller has nothing more to append at once: under always one fsync then covers
// more.
func (s *Stream) Announce() {
	end := s.end.Load()
	for {
		old := s.announced.Load()
		if old >= end || s.announced.CompareAndSwap(old, end) {
			break
		}
	}
	if w := s.w.Load(); w != nil && w.wanted() {
		w.kick()
	}
	s.TellReaders()
}

// OnGrown registers the function that is called when readers are told that the stream
// has grown: for those who read it by whoever tells, instead of waiting themselves. It
// runs on the goroutine of whoever announces, which holds no lock of the stream.
func (s *Stream) OnGrown(f func()) { s.onGrown.Store(&f) }

// TellReaders tells readers that the stream has grown, and not the writer.
func (s *Stream) TellReaders() {
	s.grown.wakeAll()
	if f := s.onGrown.Load(); f != nil {
		(*f)()
	}
}

// selectCommand renders SELECT db in a buffer that lives until the next call.
func (s *Stream) selectCommand(db int) []byte {
	var digits [20]byte
	d := strconv.AppendInt(digits[:0], int64(db), 10)
	b := append(s.sel[:0], "*2\r\n$6\r\nSELECT\r\n$"...)
	b = strconv.AppendInt(b, int64(len(d)), 10)
	b = append(append(append(b, "\r\n"...), d...), "\r\n"...)
	s.sel = b
	return b
}

// ResetDB makes the next write be preceded by SELECT, as Redis does when a
// replica attaches to a stream it has not seen the start of.
func (s *Stream) ResetDB() {
	s.mu.Lock()
	s.db = -1
	s.mu.Unlock()
}

// SelectedDB is the database last selected in the stream, -1 if unknown.
func (s *Stream) SelectedDB() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db
}

// ReadersDB is the database that whoever has read the stream to its end has selected, -1
// if unknown: that of SelectedDB, or the one that was it before ResetDB.
func (s *Stream) ReadersDB() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readersDB
}

// SetSelectedDB says what SELECT the stream's bytes ended with: a replica's
// link and a replay know it, the stream does not parse.
func (s *Stream) SetSelectedDB(db int) {
	s.mu.Lock()
	s.db, s.readersDB = db, db
	s.mu.Unlock()
}

// add copies a unit in and publishes the new end. mu is held.
func (s *Stream) add(sel, unit []byte) (end replication.Offset) {
	at := replication.Offset(s.end.Load())
	end = at + replication.Offset(len(sel)+len(unit))
	if end == at {
		return end
	}
	switch {
	case s.ring == nil:
		s.tail.appendPieces(at, sel, unit, pieceBytes(s.cfg.BacklogBytes))
		s.end.Store(int64(end))
		s.forget(end)
		return end
	case s.tail.empty() && end-s.held <= s.ring.size:
		s.raiseFloor(end)
		s.ring.append(at, sel, unit)
		s.count.ring += int64(end - at)
	default:
		s.tail.append(at, sel, unit)
		s.ringEnd.stopAt(at)
		s.committed.stopAt(at) // replies wait for the disk now, whatever the policy
	}
	s.end.Store(int64(end))
	s.noteRoom()
	return end
}

// raiseFloor makes room in the ring for bytes up to end. mu is held, and what
// it gives up lies below held.
func (s *Stream) raiseFloor(end replication.Offset) {
	need := end - s.ring.size
	if need <= s.floor { // only written under mu as well
		return
	}
	step := min(need+s.ring.size/16, s.held)
	s.guard.Lock()
	s.floor = max(need, step)
	s.guard.Unlock()
}

// forget drops heap segments that neither the backlog nor a pinned reader
// needs. mu is held; there is no journal.
func (s *Stream) forget(end replication.Offset) {
	oldest := &s.tail.list[0]
	keep := end - replication.Offset(s.cfg.BacklogBytes)
	if oldest.end() > keep {
		return
	}
	keep = min(keep, s.pins.lowest(end, s.cfg.PinMemoryBytes))
	s.guard.Lock()
	s.tail.reuse(keep)
	s.guard.Unlock()
}

// SetBacklogBytes changes how much is kept in memory while the journal is off
// (repl-backlog-size).
func (s *Stream) SetBacklogBytes(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.BacklogBytes = n
	if s.ring == nil && !s.tail.empty() {
		s.forget(s.End())
	}
}

// forgetPinned does so when a pin has gone, which the next append would do
// otherwise.
func (s *Stream) forgetPinned() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ring == nil && !s.tail.empty() {
		s.forget(s.End())
	}
}

// End is the offset of the last byte of the stream.
func (s *Stream) End() replication.Offset { return replication.Offset(s.end.Load()) }

// Committed is the offset up to which the policy's promise holds: what everysec
// and no promise is that the kernel has the bytes, what always promises is that
// they were fsynced. Without a journal it is End.
func (s *Stream) Committed() replication.Offset { return s.committed.of(&s.end) }

// upTo is an offset at or below the stream's end that mostly is that end: then
// an append need not store it. What "the end" stands for must hold for whatever
// was appended by the time it is set.
type upTo struct{ at atomic.Int64 }

const theEnd = math.MaxInt64

// of is the offset. The end is read first: by the time the other is read it may
// stand for more, but not for less.
func (u *upTo) of(end *atomic.Int64) replication.Offset {
	e := end.Load()
	return replication.Offset(min(e, u.at.Load()))
}

// stopAt makes it an offset, if it was the end, before that goes beyond.
func (u *upTo) stopAt(at replication.Offset) {
	if u.at.Load() == theEnd {
		u.at.Store(int64(at))
	}
}

// Synced is the offset up to which the stream has been fsynced, into whichever of the
// journal's files; 0 without a journal.
func (s *Stream) Synced() replication.Offset { return s.durable() }

// OnCommit registers the function that is called when Committed moves other
// than by Append itself, that is when the disk moved it. It runs on the goroutine of
// the writer or of who calls TryCommit; it must be quick and call none of the Stream's
// methods that wait or commit.
func (s *Stream) OnCommit(f func(replication.Offset)) { s.onCommit.Store(&f) }

// WaitSynced returns when Synced is at an offset or beyond, or with ctx's error, with
// ErrDisabled without a journal, or with ErrClosed. The caller has announced the bytes, or
// knows that others do.
func (s *Stream) WaitSynced(ctx context.Context, at replication.Offset) error {
	return s.written.wait(ctx, func() (bool, error) {
		if s.durable() >= at {
			return true, nil
		}
		if s.w.Load() == nil {
			return false, errors.Join(s.failed(), ErrDisabled)
		}
		return false, s.failed()
	})
}

// OnSync registers the function that is called after Synced has moved, or a journal
// that was turned on has got its first base. The same is asked of it as of OnCommit's.
func (s *Stream) OnSync(f func()) { s.onSync.Store(&f) }

func (s *Stream) notifySync() {
	s.written.wakeAll()
	if f := s.onSync.Load(); f != nil {
		(*f)()
	}
}

// Room says whether the writer keeps up. If not, executors must park before
// they take a lock, by WaitRoom. A unit that is appended all the same is kept.
func (s *Stream) Room() bool { return !s.behind.Load() }

// OnRoom registers the function that is told what Room says, now and after each
// change, before the append that made the change returns. It runs under the
// stream's lock: it must be quick and call no method of the stream.
func (s *Stream) OnRoom(f func(room bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onRoom = f
	f(s.Room())
}

// noteRoom tells of it if the writer has fallen behind or has caught up. mu is
// held.
func (s *Stream) noteRoom() {
	behind := s.ring != nil && s.end.Load()-s.synced.Load() > int64(s.bound)
	if behind == s.behind.Load() {
		return
	}
	s.behind.Store(behind)
	if s.onRoom != nil {
		s.onRoom(!behind)
	}
}

// WaitRoom returns when Room does, or with ctx's error.
func (s *Stream) WaitRoom(ctx context.Context) error {
	return s.roomy.wait(ctx, func() (bool, error) { return s.Room(), s.failed() })
}

// failed is ErrClosed after Close.
func (s *Stream) failed() error {
	if s.closed.Load() {
		return ErrClosed
	}
	return nil
}

// Policy is the policy in force.
func (s *Stream) Policy() Policy { return Policy(s.policy.Load()) }

// SetPolicy changes the policy (CONFIG SET appendfsync). Towards always, what is
// already committed stays so; from always, what the ring holds is committed now.
func (s *Stream) SetPolicy(p Policy) {
	s.mu.Lock()
	s.policy.Store(int32(p))
	moved := false
	switch {
	case s.ring == nil:
	case p == Always:
		s.committed.stopAt(s.End())
	case s.tail.empty():
		moved = s.commitTo(theEnd)
	}
	w := s.w.Load()
	s.mu.Unlock()
	if w != nil {
		w.kick()
	}
	if moved {
		s.notify()
	}
}

// commitTo raises committed; mu is held. It says whether it moved.
func (s *Stream) commitTo(to replication.Offset) bool {
	before := s.Committed()
	if to > before {
		s.committed.at.Store(int64(to))
	}
	return s.Committed() > before
}

// commitAppended says whether what lies in memory only is committed: the kernel
// has it, and the policy asks for no more. mu is held.
func (s *Stream) commitAppended() bool {
	return s.ring == nil || (s.tail.empty() && Policy(s.policy.Load()) != Always)
}

func (s *Stream) notify() {
	if f := s.onCommit.Load(); f != nil {
		(*f)(s.Committed())
	}
}

// DiskFull says that a write to the journal waits for space. What was accepted
// is not lost; the server refuses new writes meanwhile.
func (s *Stream) DiskFull() bool {
	w := s.w.Load()
	return w != nil && w.store.disk.full.Load()
}

// Stalled is for how long the longest disk operation has been under way, of the
// journal's writer and of the commit log; 0 if there is none. The writer's does not
// count while it waits for space: a full disk is not a sick one.
func (s *Stream) Stalled(now time.Time) time.Duration {
	w := s.w.Load()
	if w == nil {
		return 0
	}
	since := w.since.Load()
	if w.store.disk.full.Load() {
		since = 0
	}
	if l := s.commits.Load(); l != nil {
		if at := l.since.Load(); at != 0 && (since == 0 || at < since) {
			since = at
		}
	}
	if since == 0 {
		return 0
	}
	return max(now.Sub(time.Unix(0, since)), 0)
}
