package journal

import (
	"sync/atomic"

	"redoubt/replication"
)

// Stats are totals since the stream was opened.
type Stats struct {
	// Appended is how many bytes were appended to the stream.
	Appended int64
	// Written is how many bytes were written to disk for them: Pebble's files, the
	// manifests, the bases, the commit log, and the ring. The kernel writes a page of
	// the ring back once or several times; it counts once. 0 without a journal.
	Written int64
	// Syncs counts the fsyncs of the journal's files.
	Syncs int64
}

// counters are what Stats is made of.
type counters struct {
	written, syncs atomic.Int64
	// Guarded by Stream.mu: what was appended to the streams before this one,
	// where this one began, and what went through the ring.
	before, ring int64
	began        replication.Offset
}

// Stats returns the totals.
func (s *Stream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Appended: s.count.before + s.end.Load() - int64(s.count.began),
		Written:  s.count.written.Load() + s.count.ring,
		Syncs:    s.count.syncs.Load(),
	}
}

// Memory is how many bytes of the stream are in memory. Without a journal, backlog
// is what can be read again and is nowhere else (INFO's mem_replication_backlog),
// and pinned what is kept beyond that for slow readers (mem_clients_slaves). With
// one, unsynced is what the disk does not have yet (mem_aof_buffer).
func (s *Stream) Memory() (backlog, pinned, unsynced int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.end.Load()
	if s.ring != nil {
		return 0, 0, end - int64(s.durable())
	}
	backlog = int64(cap(s.tail.spare))
	for i := range s.tail.list {
		g := &s.tail.list[i]
		if int64(g.end()) <= end-int64(s.cfg.BacklogBytes) {
			pinned += int64(cap(g.data))
		} else {
			backlog += int64(cap(g.data))
		}
	}
	return backlog, pinned, 0
}

// countFrom goes on counting what is appended behind offset at. mu is held.
func (s *Stream) countFrom(at replication.Offset) {
	s.count.before += s.end.Load() - int64(s.count.began)
	s.count.began = at
}

// DiskFree is how many bytes are free where the journal lies; ok is false if
// that cannot be told.
func (s *Stream) DiskFree() (bytes int64, ok bool) {
	u, err := s.cfg.FS.GetDiskUsage(s.cfg.Dir)
	return int64(min(u.AvailBytes, 1<<62)), err == nil
}
