package journal

import "redoubt/replication"

// segmentBytes is the capacity of an ordinary segment, and the most that one
// value of Pebble holds of a segment: a read of a few bytes costs a whole value.
// A unit that is larger gets a segment of its own.
const segmentBytes = 64 << 10

// segment is a run of whole units on the heap. Its bytes do not change before
// the segment is dropped, so a reader may use them after the lock is released if
// it keeps Stream.guard: who drops segments to use their memory again takes that.
type segment struct {
	after replication.Offset // offset before its first byte
	data  []byte
}

func (g *segment) end() replication.Offset { return g.after + replication.Offset(len(g.data)) }

// segments is the stream's tail on the heap: contiguous segments, oldest
// first. Stream.mu guards it.
type segments struct {
	list  []segment
	spare []byte // memory of a segment that was dropped, for the next one
}

func (t *segments) empty() bool { return len(t.list) == 0 }

// append adds one unit, given in two parts, behind offset at.
func (t *segments) append(at replication.Offset, a, b []byte) {
	n := len(a) + len(b)
	last := len(t.list) - 1
	if last < 0 || cap(t.list[last].data)-len(t.list[last].data) < n {
		t.list = append(t.list, segment{after: at, data: t.room(n)})
		last++
	}
	g := &t.list[last]
	g.data = append(append(g.data, a...), b...)
}

// room returns memory for a segment that begins with a unit of n bytes.
func (t *segments) room(n int) []byte {
	if n <= segmentBytes && t.spare != nil {
		b := t.spare
		t.spare = nil
		return b
	}
	return make([]byte, 0, max(n, segmentBytes))
}

// find returns the bytes the tail holds after offset at, up to the end of
// their segment, or nil.
func (t *segments) find(at replication.Offset) []byte {
	for i := range t.list {
		g := &t.list[i]
		if at >= g.after && at < g.end() {
			return g.data[at-g.after:]
		}
	}
	return nil
}

// drop lets go of the segments that end at or below floor.
func (t *segments) drop(floor replication.Offset) {
	n := 0
	for n < len(t.list) && t.list[n].end() <= floor {
		n++
	}
	if n == 0 {
		return
	}
	rest := copy(t.list, t.list[n:])
	clear(t.list[rest:])
	t.list = t.list[:rest]
}

// reuse drops like drop and keeps the memory of one segment: a backlog of
// constant length then needs no more of it. Nobody may be reading.
func (t *segments) reuse(floor replication.Offset) {
	if first := t.list[0]; first.end() <= floor && cap(first.data) == segmentBytes {
		t.spare = first.data[:0]
	}
	t.drop(floor)
}

func (t *segments) reset() {
	clear(t.list)
	t.list, t.spare = t.list[:0], nil
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
