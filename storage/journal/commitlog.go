package journal

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"redoubt/internal/fault"
	"redoubt/replication"
	"redoubt/storage/diskfull"
)

// The commit log's file: blocks of 4096 bytes. The first is its header, the others
// are written in a circle.
//
//	header  magic (8), CRC-32C of what follows (4), unused (4), id (8), blocks (8)
//	record  CRC-32C of what follows (4), length (4), id (8), generation (8),
//	        start offset (8), the bytes of whole units; it begins with a block
//
// A record counts if its checksum is right, its id is the header's and its generation
// the journal's. The log is emptied by another id in its header. No block is written
// again before Pebble has synced what it holds, so a write that a power cut tears can
// damage only itself, which nobody was promised. All integers are little-endian.
const (
	commitLogMagic  = "rdbtclg1"
	blockBytes      = 4096
	recordHeader    = 32
	commitLogName   = "commitlog"
	commitLogHeader = 32
)

// commitLog is a write-ahead log in front of Pebble, for appendfsync always and Sync. A
// commit by Pebble takes two hand-overs between goroutines, which take longer than
// a fast disk does; a record in here takes a write and an fsync by whoever waits
// for it. Pebble gets the same bytes behind that, unhurriedly.
type commitLog struct {
	mu     sync.Mutex // one write at a time; taken before Stream.mu
	file   vfs.File
	id     uint64
	blocks int64 // without the header
	next   int64 // the block behind the last record, counted without wrapping
	live   []logged
	buf    []byte // the record that is written

	full  atomic.Bool  // more than half of it waits for an fsync of Pebble
	since atomic.Int64 // when the write in progress began, Unix ns; 0 if none
}

// logged is a record that Pebble may not have synced.
type logged struct {
	block int64 // its first one, as in next
	end   replication.Offset
}

// openCommitLog opens the log of size bytes in dir, or makes one, and empties it.
// After an error, what lies there is for removeCommitLog.
func openCommitLog(fs vfs.FS, dir string, size int) (*commitLog, error) {
	f, err := fs.OpenReadWrite(fs.PathJoin(dir, commitLogName), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("journal: open the commit log: %w", err)
	}
	l := &commitLog{file: f, blocks: int64(size/blockBytes) - 1}
	err = fillWithZeros(f, int64(size))
	if err == nil {
		err = l.empty() // not before: the header says that the file has all of its blocks
	}
	if err == nil {
		err = syncDir(fs, dir)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("journal: make the commit log: %w", err)
	}
	return l, nil
}

// removeCommitLog removes the log in dir, durably: one that came back after a power
// cut would bring back what was cut off the stream since.
func removeCommitLog(fs vfs.FS, dir string) error {
	err := fs.Remove(fs.PathJoin(dir, commitLogName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("journal: remove the commit log: %w", err)
	}
	return syncDir(fs, dir)
}

// fillWithZeros writes zeros behind a file's end until it is size bytes long. They
// are written and not only reserved, so that later writes change no metadata.
func fillWithZeros(f vfs.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := writeZeros(f, info.Size(), size); err != nil {
		return err
	}
	return f.Sync()
}

// empty makes everything in the log count for nothing, durably. mu is held, or
// nobody else has the log.
func (l *commitLog) empty() error {
	l.id, l.next, l.live = rand.Uint64(), 0, l.live[:0]
	l.full.Store(false)
	b := make([]byte, blockBytes)
	copy(b, commitLogMagic)
	binary.LittleEndian.PutUint64(b[16:], l.id)
	binary.LittleEndian.PutUint64(b[24:], uint64(l.blocks))
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[16:commitLogHeader], castagnoli))
	if _, err := l.file.WriteAt(b, 0); err != nil {
		return err
	}
	return l.file.SyncData()
}

// fill makes buf a record. mu is held.
func (l *commitLog) fill(generation uint64, after replication.Offset, a, b []byte) {
	n := len(a) + len(b)
	size := (recordHeader + n + blockBytes - 1) / blockBytes * blockBytes
	l.buf = slices.Grow(l.buf[:0], size)[:size]
	h := l.buf[:recordHeader]
	binary.LittleEndian.PutUint32(h[4:], uint32(n))
	binary.LittleEndian.PutUint64(h[8:], l.id)
	binary.LittleEndian.PutUint64(h[16:], generation)
	binary.LittleEndian.PutUint64(h[24:], uint64(after))
	copy(l.buf[recordHeader:], a)
	copy(l.buf[recordHeader+len(a):], b)
	clear(l.buf[recordHeader+n:])
	binary.LittleEndian.PutUint32(h, crc32.Checksum(l.buf[4:recordHeader+n], castagnoli))
}

// room finds where a record of that many bytes can go: nothing that Pebble may
// not have synced, which it has up to offset synced, lies there. mu is held.
func (l *commitLog) room(size int, synced replication.Offset) (block int64, ok bool) {
	kept := 0
	for kept < len(l.live) && l.live[kept].end <= synced {
		kept++
	}
	l.live = slices.Delete(l.live, 0, kept)
	n := int64(size / blockBytes)
	block = l.next
	if left := l.blocks - block%l.blocks; n > left {
		block += left // a record does not wrap
	}
	oldest := block
	if len(l.live) > 0 {
		oldest = l.live[0].block
	}
	used := block + n - oldest
	l.full.Store(used > l.blocks/2)
	return block, used <= l.blocks
}

// write makes buf, which ends at offset end, durable; ok is false if there is no
// space for it: some file systems need that to write a block again. mu is held.
func (l *commitLog) write(block int64, end replication.Offset) (ok bool, err error) {
	l.since.Store(time.Now().UnixNano())
	defer l.since.Store(0)
	if _, err := l.file.WriteAt(l.buf, (1+block%l.blocks)*blockBytes); err != nil {
		if diskfull.Is(err) {
			err = nil
		}
		return false, err
	}
	if err := l.file.SyncData(); err != nil {
		return false, err
	}
	l.live = append(l.live, logged{block, end})
	l.next = block + int64(len(l.buf)/blockBytes)
	return true, nil
}

// TryCommit commits at once only commitQuickBytes at the most, and only if the last
// fsync took no longer than commitQuickTime, since the caller serves nobody meanwhile.
const (
	commitQuickBytes = 32 << 10
	commitQuickTime  = 500 * time.Microsecond
	// commitMostBytes is what Sync writes to the commit log at the most. More goes to Pebble
	// alone, since writing it twice takes longer than the hand-overs that it saves.
	commitMostBytes = 256 << 10
)

// TryCommit commits what was appended, on the caller's goroutine, if the policy is
// always, the disk is about as quick as waking the writer, and nobody else uses the
// commit log. Otherwise it does nothing. The caller calls Announce after it, which
// leaves to the writer what is not committed.
func (s *Stream) TryCommit() {
	l := s.commits.Load()
	if l == nil || s.Policy() != Always || s.took.Load() > int64(s.quick) || !l.mu.TryLock() {
		return
	}
	defer l.mu.Unlock()
	s.TellReaders()
	s.commitLogged(l, commitQuickBytes)
}

// Sync returns when what was appended up to an offset is on the disk, whatever the policy,
// with ctx's error, with ErrDisabled without a journal, or with ErrClosed. Where there is a
// commit log (Always, OnDemand), and not too much to write, that takes one fsync, on the caller's
// goroutine; else it is the writer's.
func (s *Stream) Sync(ctx context.Context, at replication.Offset) error {
	if l := s.commits.Load(); l != nil && s.durable() < at && at <= s.End() {
		l.mu.Lock()
		if s.durable() < at {
			s.commitLogged(l, commitMostBytes)
		}
		l.mu.Unlock()
	}
	if s.durable() >= at {
		return nil
	}
	for {
		old := s.demanded.Load()
		if old >= int64(at) || s.demanded.CompareAndSwap(old, int64(at)) {
			break
		}
	}
	s.Announce() // the writer syncs no bytes of which nobody has told
	return s.WaitSynced(ctx, at)
}

// commitLogged makes what was appended durable by the commit log, if that is not more than
// most bytes and there is room. l.mu is held.
func (s *Stream) commitLogged(l *commitLog, most replication.Offset) {
	block, end, ok := s.nextCommit(l, most)
	if !ok {
		return
	}
	began := time.Now()
	ok, err := l.write(block, end)
	if err != nil {
		s.fatal(err)
	}
	if !ok {
		return
	}
	s.observed(time.Since(began), true)
	s.count.written.Add(int64(len(l.buf)))
	s.count.syncs.Add(1)
	s.mu.Lock()
	moved := s.commits.Load() == l // otherwise the journal was turned off
	if moved {
		s.logged.Store(int64(end))
		moved = s.Policy() == Always && s.commitTo(end)
	}
	s.mu.Unlock()
	if moved {
		s.notify()
	}
	s.notifySync()
}

// observed tells who wants to know how long a write took.
func (s *Stream) observed(took time.Duration, sync bool) {
	if sync {
		s.took.Store(int64(took))
	}
	if f := s.cfg.Observed; f != nil {
		f(took, sync)
	}
}

// nextCommit makes a record of what is not durable, in l.buf, and finds the place for
// it; ok is false if there is no place, or too much or nothing to write. l.mu is held.
func (s *Stream) nextCommit(l *commitLog, most replication.Offset) (block int64, end replication.Offset, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.w.Load()
	from := s.durable()
	end = replication.Offset(s.end.Load())
	current := s.commits.Load() == l // otherwise the journal was turned off, and l is closed
	if w == nil || !current || !s.tail.empty() || end <= from || end-from > most {
		return 0, 0, false
	}
	a, b := s.ring.view(from, end-from)
	l.fill(w.store.generation.Load(), from, a, b)
	block, ok = l.room(len(l.buf), replication.Offset(s.synced.Load()))
	return block, end, ok
}

// durable is the offset up to which everything is on the disk: in Pebble's files
// or, behind those, in the commit log.
func (s *Stream) durable() replication.Offset {
	if fault.Is(fault.MarkUnsynced) {
		return s.End()
	}
	return replication.Offset(max(s.synced.Load(), s.logged.Load()))
}

// beginCommits returns the commit log of a journal that is being opened; nil if the
// policy needs none, or if there can be none, which a node can do without. What
// another run has left in the log is in Pebble by now, and does not stay.
func (w *writer) beginCommits() (*commitLog, error) {
	cfg := &w.s.cfg
	if w.s.Policy().quick() {
		w.opened = true
		l, err := openCommitLog(cfg.FS, cfg.Dir, cfg.CommitLogBytes)
		if err == nil {
			return l, nil
		}
		w.s.log.Warn("The journal goes without a commit log, so that writes take longer at appendfsync always", zap.Error(err))
	}
	return nil, removeCommitLog(cfg.FS, cfg.Dir)
}

// openCommits opens the commit log of a journal that had none, beside the writer.
func (w *writer) openCommits() {
	s := w.s
	l, err := openCommitLog(s.cfg.FS, s.cfg.Dir, s.cfg.CommitLogBytes)
	if err != nil {
		// What is removed holds no records, but may have taken the last of the space.
		err = errors.Join(err, removeCommitLog(s.cfg.FS, s.cfg.Dir))
		s.log.Warn("The journal goes without a commit log, so that writes take longer at appendfsync always", zap.Error(err))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w.Load() != w {
		l.file.Close() // the journal was turned off meanwhile
		return
	}
	s.commits.Store(l)
}

// withoutCommits empties the commit log and runs f, and keeps the log empty until f
// has ended: f has other bytes get offsets that were given before.
func (w *writer) withoutCommits(f func() error) error {
	l := w.s.commits.Load()
	if l == nil {
		return f()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := w.timed(func() error { return w.store.disk.retry(l.empty) })
	if err != nil {
		w.store.fatal(err)
		return err
	}
	return f()
}

// close waits for the write in progress.
func (l *commitLog) close() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// readCommitLog reads what the log in dir holds after offset from, in whole
// units, oldest first; nothing if there is no log. torn says why it stopped before
// the last record it saw, or what may be missing; "" if nothing is. Nothing in the
// file is trusted.
func readCommitLog(fs vfs.FS, dir string, generation uint64, from replication.Offset) (found []chunk, torn string, err error) {
	blocks, id, torn, err := commitBlocks(fs, fs.PathJoin(dir, commitLogName))
	if err != nil {
		return nil, "", fmt.Errorf("journal: read the commit log: %w", err)
	}
	for _, c := range commitRecords(blocks, id, generation) {
		end := c.after + replication.Offset(len(c.a))
		switch {
		case end <= from:
		case c.after > from:
			return found, fmt.Sprintf("the commit log has bytes after offset %d but not those after %d", c.after, from), nil
		default:
			found = append(found, chunk{after: from, a: c.a[from-c.after:]})
			from = end
		}
	}
	return found, torn, nil
}

// commitBlocks reads the blocks of the log behind its header, and the id in that.
// There are none if the log was not made to its end; torn says if it is damaged.
func commitBlocks(fs vfs.FS, name string) (blocks []byte, id uint64, torn string, err error) {
	f, err := fs.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, "", nil
	}
	if err != nil {
		return nil, 0, "", err
	}
	defer f.Close()
	h := make([]byte, commitLogHeader)
	n, err := io.ReadFull(f, h)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, 0, "", err
	}
	if isZero(h[:n]) {
		return nil, 0, "", nil
	}
	id, count := binary.LittleEndian.Uint64(h[16:]), binary.LittleEndian.Uint64(h[24:])
	if string(h[:8]) != commitLogMagic || count > maxCommitLogBytes/blockBytes ||
		binary.LittleEndian.Uint32(h[8:]) != crc32.Checksum(h[16:], castagnoli) {
		return nil, 0, "the header of the commit log is damaged", nil
	}
	all, err := io.ReadAll(io.LimitReader(f, int64(blockBytes-commitLogHeader+count*blockBytes)))
	if err != nil {
		return nil, 0, "", err
	}
	blocks = all[min(blockBytes-commitLogHeader, len(all)):]
	if len(blocks) < int(count*blockBytes) {
		torn = "the commit log is shorter than its header says"
	}
	return blocks, id, torn, nil
}

// commitRecords finds the records in blocks, by their offsets.
func commitRecords(blocks []byte, id, generation uint64) []chunk {
	var all []chunk
	for at := 0; at+recordHeader <= len(blocks); at += blockBytes {
		h := blocks[at : at+recordHeader]
		n := int(binary.LittleEndian.Uint32(h[4:]))
		after := binary.LittleEndian.Uint64(h[24:])
		if n == 0 || n > len(blocks)-at-recordHeader || after > 1<<62 ||
			binary.LittleEndian.Uint64(h[8:]) != id || binary.LittleEndian.Uint64(h[16:]) != generation ||
			binary.LittleEndian.Uint32(h) != crc32.Checksum(blocks[at+4:at+recordHeader+n], castagnoli) {
			continue
		}
		all = append(all, chunk{after: replication.Offset(after), a: blocks[at+recordHeader : at+recordHeader+n]})
	}
	slices.SortFunc(all, func(a, b chunk) int { return cmp.Compare(a.after, b.after) })
	return all
}

func isZero(b []byte) bool {
	return !slices.ContainsFunc(b, func(x byte) bool { return x != 0 })
}
