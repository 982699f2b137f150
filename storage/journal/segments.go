package journal

import (
	"slices"
	"sort"

	"redoubt/internal/pieces"
	"redoubt/replication"
)

// segmentBytes is the capacity of an ordinary segment, and the most that one
// value of Pebble holds of a segment: a read of a few bytes costs a whole value.
// A unit that is larger gets a segment of its own.
const segmentBytes = 64 << 10

// minPieceBytes is the least capacity of a segment without a journal.
const minPieceBytes = 4 << 10

// pieceBytes is the capacity of segments without a journal, for a backlog of so many
// bytes: it is never exceeded by more than a segment, so these are small beside it.
func pieceBytes(backlog int) int {
	return min(max(backlog/16, minPieceBytes), segmentBytes)
}

// segment is a run of units on the heap. They are whole, but for one that began in the
// segment before (inner). The bytes do not change before the segment is dropped, so a
// reader may use them after the lock is released if it keeps Stream.guard: who drops
// segments to use their memory again takes that.
type segment struct {
	after replication.Offset // offset before its first byte
	data  []byte
	inner bool // that is not the first of its unit
}

func (g *segment) end() replication.Offset { return g.after + replication.Offset(len(g.data)) }

// segments is the stream's tail on the heap: contiguous segments, oldest
// first. Stream.mu guards it.
type segments struct {
	list  []segment
	array []segment // of which list is a part that moves to the right
	spare []byte    // memory of a segment that was dropped, for the next one
}

func (t *segments) empty() bool { return len(t.list) == 0 }

// append adds one unit, given in two parts, behind offset at.
func (t *segments) append(at replication.Offset, a, b []byte) {
	n := len(a) + len(b)
	last := len(t.list) - 1
	if last < 0 || cap(t.list[last].data)-len(t.list[last].data) < n {
		t.open(segment{after: at, data: t.room(max(n, segmentBytes))})
		last++
	}
	g := &t.list[last]
	g.data = pieces.Append(pieces.Append(g.data, a), b)
}

// appendPieces is append, with segments of so many bytes, over which a unit is spread:
// what a large one takes can be given back bit by bit.
func (t *segments) appendPieces(at replication.Offset, a, b []byte, size int) {
	from := at
	for _, p := range [2][]byte{a, b} {
		for len(p) > 0 {
			last := len(t.list) - 1
			if last < 0 || len(t.list[last].data) == cap(t.list[last].data) {
				t.open(segment{after: at, data: t.room(size), inner: at > from})
				last++
			}
			g := &t.list[last]
			n := min(len(p), cap(g.data)-len(g.data))
			g.data = append(g.data, p[:n]...)
			p, at = p[n:], at+replication.Offset(n)
		}
	}
}

// open adds a segment.
func (t *segments) open(g segment) {
	if n := len(t.list); n == cap(t.list) {
		if n < len(t.array)/2 {
			copy(t.array, t.list) // to the left again, which is seldom
			clear(t.array[n:])
			t.list = t.array[:n]
		} else {
			t.array = make([]segment, 2*n+8)
			copy(t.array, t.list)
			t.list = t.array[:n]
		}
	}
	t.list = append(t.list, g)
}

// room returns memory for a segment of size bytes.
func (t *segments) room(size int) []byte {
	if cap(t.spare) == size {
		b := t.spare
		t.spare = nil
		return b
	}
	return make([]byte, 0, size)
}

// find returns the bytes the tail holds after offset at, up to the end of their
// segment, or nil. more says that a unit goes on behind them.
func (t *segments) find(at replication.Offset) (part []byte, more bool) {
	i := sort.Search(len(t.list), func(i int) bool { return t.list[i].end() > at })
	if i == len(t.list) || at < t.list[i].after {
		return nil, false
	}
	return t.list[i].data[at-t.list[i].after:], i+1 < len(t.list) && t.list[i+1].inner
}

// divided reports whether a segment begins inside a unit.
func (t *segments) divided() bool {
	return slices.ContainsFunc(t.list, func(g segment) bool { return g.inner })
}

// drop lets go of the segments that end at or below floor.
func (t *segments) drop(floor replication.Offset) {
	n := 0
	for n < len(t.list) && t.list[n].end() <= floor {
		n++
	}
	clear(t.list[:n])
	t.list = t.list[n:]
}

// reuse drops like drop and keeps the memory of one segment: a backlog of
// constant length then needs no more of it. Nobody may be reading.
func (t *segments) reuse(floor replication.Offset) {
	if first := t.list[0]; first.end() <= floor && cap(first.data) <= segmentBytes {
		t.spare = first.data[:0]
	}
	t.drop(floor)
}

func (t *segments) reset() {
	clear(t.list)
	t.list, t.spare = t.array[:0], nil
}

// cut drops what follows offset at. The bytes dropped are not written over:
// somebody may be reading them.
func (t *segments) cut(at replication.Offset) {
	n := len(t.list)
	for n > 0 && t.list[n-1].after >= at {
		n--
	}
	clear(t.list[n:])
	t.list = t.list[:n]
	if n > 0 && t.list[n-1].end() > at {
		g := &t.list[n-1]
		keep := int(at - g.after)
		g.data = g.data[:keep:keep]
	}
}
