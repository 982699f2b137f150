package journal

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"redoubt/replication"
)

// First is the offset after which bytes can still be read.
func (s *Stream) First() replication.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w.Load() != nil {
		return replication.Offset(s.first.Load())
	}
	if s.tail.empty() {
		return replication.Offset(s.end.Load())
	}
	return s.tail.list[0].after
}

// ReadAt copies bytes after offset after into p and says how many; 0 and no
// error at the end of the stream. It may return fewer than there are. The bytes
// come from memory if they are still there, else from the journal. ErrTrimmed
// says that they are gone, or that after lies beyond the end.
func (s *Stream) ReadAt(p []byte, after replication.Offset) (int, error) {
	if err := s.failed(); err != nil {
		return 0, err
	}
	end := replication.Offset(s.end.Load())
	if after == end || len(p) == 0 {
		return 0, nil
	}
	if after > end || after < 0 {
		return 0, ErrTrimmed
	}
	for {
		if n := s.readRing(p, after); n > 0 {
			return n, nil
		}
		n, w, moved := s.readTail(p, after)
		switch {
		case n > 0:
			return n, nil
		case moved:
			continue
		case w == nil || after < replication.Offset(s.first.Load()):
			// What is in neither of the two at one moment is in the journal, or nowhere.
			return 0, ErrTrimmed
		}
		return w.store.read(p, after)
	}
}

func (s *Stream) readRing(p []byte, after replication.Offset) int {
	s.guard.RLock()
	defer s.guard.RUnlock()
	end := s.ringEnd.of(&s.end)
	if s.ring == nil || after < s.floor || after >= end {
		return 0
	}
	a, b := s.ring.view(after, min(end-after, replication.Offset(len(p))))
	return copy(p, a) + copy(p[len(a):], b)
}

// readTail copies from the tail. moved says that the bytes have come into the
// ring since the caller looked there: when an overflow ends, what is left of the
// tail goes back.
func (s *Stream) readTail(p []byte, after replication.Offset) (n int, w *writer, moved bool) {
	s.mu.Lock()
	s.guard.RLock() // does not wait: who has it for writing has mu
	defer s.guard.RUnlock()
	found, _ := s.tail.find(after)
	w = s.w.Load()
	moved = found == nil && s.ring != nil && after >= s.floor && after < s.ringEnd.of(&s.end)
	s.mu.Unlock()
	return copy(p, found), w, moved
}

// Wait returns when the stream has bytes after offset after, or with ctx's
// error, or ErrClosed.
func (s *Stream) Wait(ctx context.Context, after replication.Offset) error {
	return s.grown.wait(ctx, func() (bool, error) {
		return replication.Offset(s.end.Load()) > after, s.failed()
	})
}

// Pin holds back trimming for a reader: a connected replica's feeder, or a full
// resync that will replay from a base's offset. It counts only while it is
// within Config.PinDiskBytes (PinMemoryBytes without a journal) of the end; a
// reader that falls further behind may meet ErrTrimmed.
type Pin struct {
	at     atomic.Int64
	stream *Stream
}

// Pin makes a pin at offset at. Release it. What lies behind First when it is
// looked at after this stays.
func (s *Stream) Pin(at replication.Offset) *Pin {
	p := &Pin{stream: s}
	p.at.Store(int64(at))
	s.pins.mu.Lock()
	s.pins.list = append(s.pins.list, p)
	s.pins.mu.Unlock()
	return p
}

// Move says that the reader has what is up to offset at and needs what follows.
func (p *Pin) Move(at replication.Offset) { p.at.Store(int64(at)) }

// Release ends the pin, and lets go of what was in memory for it. A second call
// does nothing.
func (p *Pin) Release() {
	p.stream.pins.remove(p)
	p.stream.forgetPinned()
}

func (p *pins) remove(gone *Pin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, x := range p.list {
		if x == gone {
			last := len(p.list) - 1
			p.list[i], p.list[last] = p.list[last], nil
			p.list = p.list[:last]
			return
		}
	}
}

// pins are the pins of a stream.
type pins struct {
	mu   sync.Mutex
	list []*Pin
}

// lowest is the lowest offset that a pin within limit of end holds, or the
// largest offset there is.
func (p *pins) lowest(end replication.Offset, limit int64) replication.Offset {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lowestLocked(end, limit)
}

func (p *pins) lowestLocked(end replication.Offset, limit int64) replication.Offset {
	low := int64(math.MaxInt64)
	for _, pin := range p.list {
		if at := pin.at.Load(); int64(end)-at <= limit {
			low = min(low, at)
		}
	}
	return replication.Offset(low)
}
