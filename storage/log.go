package storage

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"redoubt/storage/chunk"
	"redoubt/storage/tree"
)

// Log is a value of the type stream as a command works on it: items in the order of
// their IDs, and groups of consumers that read them. (The stream is something else
// here: the bytes of all effects.)
//
// Its record holds a head and, behind it, a map of rows (tree.MapTree), which are in
// the order in which RDB files have their parts:
//
//	0              ID of its first item → a chunk
//	1              name of a group → its number
//	per group, with n = (its number+1)<<32:
//	n              "" → its state and name
//	n+1            name of a consumer → its number
//	n+2            ID of a pending item → whose it is, since when, how often
//	n+3+consumer   "" → the consumer's state and name
//	n+3+consumer   ID of an item pending with the consumer → ""
//
// Unlike other collections a log without items exists. What its methods change is in
// the record once Close or CloseQuietly was called, and not before.
type Log struct {
	*collection
	t *tree.MapTree
	s *logScratch
	logState
	changes bool
}

// logState is the head of a log:
//
//	0 items u64 | 8 last ID | 24 first ID | 40 largest deleted ID | 56 added u64
//	64 chunks u32 | 68 groups u32 | 72 next number of a group u32
//	76 number of the known group u32 | 80 length of its name u8 | its name
type logState struct {
	items      uint64
	last       chunk.ID // that was generated
	first      chunk.ID // of the items there are, 0-0 if there are none
	maxDeleted chunk.ID // by XDEL
	added      uint64
	chunks     uint32
	groups     uint32
	nextGroup  uint32
	known      knownGroup
}

// A knownGroup is a group that is found without a way through the rows: mostly the
// only one there is. Without a name it is none.
type knownGroup struct {
	number uint32
	length uint8
	name   [knownName]byte
}

// knownName is how long the name of a known group may be.
const knownName = 23

// note makes a group the known one if there is none.
func (k *knownGroup) note(name []byte, number uint32) {
	if k.length == 0 && len(name) <= knownName {
		k.number, k.length = number, uint8(copy(k.name[:], name))
	}
}

// is reports whether it is the group of a name.
func (k *knownGroup) is(name []byte) bool {
	return len(name) > 0 && len(name) == int(k.length) && string(k.name[:k.length]) == string(name)
}

const (
	logHead = 80 + 1 + knownName

	rowChunks = 0
	rowGroups = 1

	// recordSlack is how much longer than needed the record of a small log may be.
	recordSlack = 256
)

// logScratch is what an executor keeps for logs.
type logScratch struct {
	reader chunk.Reader
	chunk  []byte
	places []chunk.Place
	name   [chunk.MaxName]byte
	text   [2][chunk.MaxText]byte
}

func (s *logState) read(b []byte) {
	id := func(at int) chunk.ID {
		return chunk.ID{Ms: binary.LittleEndian.Uint64(b[at:]), Seq: binary.LittleEndian.Uint64(b[at+8:])}
	}
	s.items, s.added = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[56:])
	s.last, s.first, s.maxDeleted = id(8), id(24), id(40)
	s.chunks = binary.LittleEndian.Uint32(b[64:])
	s.groups = binary.LittleEndian.Uint32(b[68:])
	s.nextGroup = binary.LittleEndian.Uint32(b[72:])
	s.known.number, s.known.length = binary.LittleEndian.Uint32(b[76:]), b[80]
	copy(s.known.name[:], b[81:logHead])
}

func (s *logState) write(b []byte) {
	binary.LittleEndian.PutUint64(b, s.items)
	for i, id := range [...]chunk.ID{s.last, s.first, s.maxDeleted} {
		binary.LittleEndian.PutUint64(b[8+16*i:], id.Ms)
		binary.LittleEndian.PutUint64(b[16+16*i:], id.Seq)
	}
	binary.LittleEndian.PutUint64(b[56:], s.added)
	binary.LittleEndian.PutUint32(b[64:], s.chunks)
	binary.LittleEndian.PutUint32(b[68:], s.groups)
	binary.LittleEndian.PutUint32(b[72:], s.nextGroup)
	binary.LittleEndian.PutUint32(b[76:], s.known.number)
	b[80] = s.known.length
	copy(b[81:logHead], s.known.name[:])
}

func (tx *Tx) openLog(key []byte, p *place) *Log {
	o := tx.openScratch(key, p, TypeStream)
	l := &o.log
	*l = Log{collection: &o.collection, t: (*tree.MapTree)(&o.list), s: &tx.e.logs}
	if p.found() {
		l.read(p.rec.value())
	}
	return l
}

// Log is the entry's log; its type must be TypeStream.
func (e Entry) Log() *Log { return e.tx.openLog(e.rec.key(), &place{rec: e.rec}) }

// EditLog finds key for a command that changes a log. The key need not exist: Close
// makes it.
func (tx *Tx) EditLog(key []byte) (*Log, bool) {
	p, ok := tx.findToEdit(key, TypeStream)
	if !ok {
		return nil, false
	}
	return tx.openLog(key, &p), true
}

// Len is the number of items.
func (l *Log) Len() uint64 { return l.items }

// LastID is the last ID that was generated, which may be that of no item.
func (l *Log) LastID() chunk.ID { return l.last }

// FirstID is the ID of the first item, 0-0 if there is none.
func (l *Log) FirstID() chunk.ID { return l.first }

// MaxDeleted is the largest ID that was deleted by itself (XDEL).
func (l *Log) MaxDeleted() chunk.ID { return l.maxDeleted }

// Added is how many items were ever added.
func (l *Log) Added() uint64 { return l.added }

// Groups is the number of groups.
func (l *Log) Groups() int { return int(l.groups) }

// Chunks is the number of nodes that Redis has for the items.
func (l *Log) Chunks() int { return int(l.chunks) }

// SetLastID, SetAdded and SetMaxDeleted are XSETID.
func (l *Log) SetLastID(id chunk.ID) { l.begin(); l.last = id }

// SetAdded says how many items were ever added.
func (l *Log) SetAdded(n uint64) { l.begin(); l.added = n }

// SetMaxDeleted says what the largest ID is that was deleted.
func (l *Log) SetMaxDeleted(id chunk.ID) { l.begin(); l.maxDeleted = id }

// Touch makes a log that does not exist yet.
func (l *Log) Touch() { l.begin() }

// begin precedes every change.
func (l *Log) begin() {
	if l.changes {
		return
	}
	l.changes = true
	if l.p.found() {
		l.tx.preimage(l.p.slot, l.p.rec)
		l.pending.before = l.size()
	}
}

// size is Keyspace.size of the record, without a look at its nodes.
func (l *Log) size() int64 {
	return int64(l.tx.ks.space.Size(l.p.rec.ref)) + recordMargin + int64(l.tree.Bytes())
}

// Close writes what has changed to the record, counts n changes, and wakes those who
// watch the key or wait for it.
func (l *Log) Close(n int) {
	if l.changes {
		l.store()
		l.tx.changed(l.p.slot, l.key)
	}
	l.tx.dirty += n
}

// CloseQuietly is Close after changes of groups, of which Redis tells neither WATCH
// nor those who wait.
func (l *Log) CloseQuietly(n int) {
	if l.changes {
		l.store()
		l.tx.touched(l.p.slot)
	}
	l.tx.dirty += n
}

// Wake serves those who wait for the key, after a change of which nobody else is to
// know.
func (l *Log) Wake() {
	if r := l.tx.ks.slots[l.p.slot].rare.Load(); r != nil && r.waiting != nil {
		l.tx.signal(l.p.slot, l.key)
	}
}

func (l *Log) store() {
	l.changes = false
	tx, v := l.tx, l.tree.Value()
	n := logHead + len(v)
	kind := kindOf(TypeStream)
	if l.tree.Bytes() > 0 {
		kind |= kindOutside
	}
	switch {
	case !l.p.found():
		r := tx.newRecord(kind, l.key, n, 0)
		l.write(r.value())
		copy(r.tree(), v)
		tx.insert(&l.p, r)
		l.tree.Stored(r.tree())
		return
	case l.inPlace(v):
		l.p.rec.setKind(kind)
	default:
		tx.reshape(&l.p, kind, n, 0, l.p.rec.expireAt(), recordSlack)
		copy(l.p.rec.tree(), v)
	}
	l.write(l.p.rec.value())
	l.tree.Stored(l.p.rec.tree())
	tx.resized(l.size() - l.pending.before)
}

// inPlace reports whether the record has the bytes v of its tree.
func (l *Log) inPlace(v []byte) bool {
	old := l.p.rec.tree()
	return len(old) == len(v) && (len(v) == 0 || unsafe.SliceData(old) == unsafe.SliceData(v))
}

// name is the name of the row of an ID, valid until the next call.
func (l *Log) name(id chunk.ID) []byte { return id.AppendName(l.s.name[:0]) }

// Scratch is one of two pieces of memory that an ID fits into as text, for a command
// that makes its effect.
func (l *Log) Scratch(i int) []byte { return l.s.text[i][:0] }

// tail returns the first ID of the last chunk, and the chunk.
func (l *Log) tail() (first chunk.ID, b []byte) {
	l.t.Descend(rowGroups, nil, func(_ uint64, name, value []byte) bool {
		first, b = chunk.FromName(name), value
		return false
	})
	return first, b
}

// chunkOf returns the chunk in which an ID is or would be, and its first ID; nil if
// all are behind it.
func (l *Log) chunkOf(id chunk.ID) (first chunk.ID, b []byte) {
	l.t.AscendFloor(rowChunks, l.name(id), func(key uint64, name, value []byte) bool {
		if key == rowChunks {
			if f := chunk.FromName(name); !id.Less(f) {
				first, b = f, value
			}
		}
		return false
	})
	return first, b
}

// Append adds an item with an ID above LastID. pairs are fields and values by
// turns. It matches streamAppendItem.
func (l *Log) Append(id chunk.ID, pairs [][]byte) {
	l.begin()
	first, b := l.tail()
	if b != nil && l.full(b, pairs) {
		l.t.Fit(rowChunks, l.name(first))
		b = nil
	}
	if b == nil {
		l.s.chunk = chunk.Begin(l.s.chunk, id, pairs)
		l.t.SetWithRoom(rowChunks, l.name(id), l.s.chunk, chunkRoom)
		l.trimScratch()
		l.chunks++
	} else {
		l.extend(first, b, id, pairs)
	}
	l.items++
	l.added++
	l.last = id
	if l.items == 1 {
		l.first = id
	}
}

// chunkRoom is how many bytes a chunk that is begun may grow by before it moves.
const chunkRoom = 448

// full reports whether Redis begins another node for an item behind those of the
// chunk b.
func (l *Log) full(b []byte, pairs [][]byte) bool {
	// STREAM_LISTPACK_MAX_SIZE is twice as much, but a chunk may take a little more
	// than a listpack, and has to fit a block.
	const most = 1 << 29
	limits := &l.tx.ks.limits
	room := limits.NodeBytes
	if room == 0 || room > most {
		room = most
	}
	size := chunk.ListpackBytes(b)
	for _, p := range pairs {
		size += len(p)
	}
	return size >= room || limits.NodeItems > 0 && chunk.Live(b)+chunk.Dead(b) >= limits.NodeItems
}

// extend appends an item to the last chunk, which is b.
func (l *Log) extend(first chunk.ID, b []byte, id chunk.ID, pairs [][]byte) {
	name := l.name(first)
	if room := l.t.Room(rowChunks, name, chunk.Growth(pairs)); room != nil {
		l.t.SetLength(len(chunk.Append(room, first, id, pairs)))
		return
	}
	l.s.chunk = chunk.Append(append(l.s.chunk[:0], b...), first, id, pairs)
	l.t.Set(rowChunks, name, l.s.chunk)
	l.trimScratch()
}

// trimScratch forgets scratch that an unusually large item has made.
func (l *Log) trimScratch() {
	if cap(l.s.chunk) > unitKept {
		l.s.chunk = nil
	}
}

// Range calls f for the items from low to high until it returns false, with a reader
// at the item. f must not use the log.
func (l *Log) Range(low, high chunk.ID, f func(r *chunk.Reader) bool) {
	r := &l.s.reader
	l.t.AscendFloor(rowChunks, l.name(low), func(key uint64, name, value []byte) bool {
		if key != rowChunks {
			return false
		}
		r.Open(value, chunk.FromName(name))
		for r.Next() {
			if high.Less(r.ID) {
				return false
			}
			if !r.Dead && !r.ID.Less(low) && !f(r) {
				return false
			}
		}
		return true
	})
}

// RangeBack is Range from high to low.
func (l *Log) RangeBack(low, high chunk.ID, f func(r *chunk.Reader) bool) {
	r := &l.s.reader
	from := append(l.name(high), 0) // behind the row of high
	l.t.Descend(rowChunks, from, func(_ uint64, name, value []byte) bool {
		first := chunk.FromName(name)
		r.Open(value, first)
		l.s.places = r.Places(l.s.places[:0], low, high)
		r.Open(value, first)
		for _, p := range slices.Backward(l.s.places) {
			r.Seek(p)
			if !f(r) {
				return false
			}
		}
		return low.Less(first)
	})
}

// Find opens a reader at an item, or returns nil if there is none with the ID.
func (l *Log) Find(id chunk.ID) *chunk.Reader {
	first, b := l.chunkOf(id)
	if b == nil || chunk.Last(b).Less(id) {
		return nil
	}
	r := &l.s.reader
	for r.Open(b, first); r.Next() && !id.Less(r.ID); {
		if r.ID == id {
			if r.Dead {
				return nil
			}
			return r
		}
	}
	return nil
}

// LastItem is the ID of the last item there is, 0-0 if there is none
// (streamLastValidID).
func (l *Log) LastItem() (id chunk.ID) {
	if l.items == 0 {
		return id
	}
	// Nearly always it is the last one of the last chunk.
	if _, b := l.tail(); b != nil && chunk.Dead(b) == 0 {
		return chunk.Last(b)
	}
	l.RangeBack(chunk.ID{}, chunk.MaxID, func(r *chunk.Reader) bool {
		id = r.ID
		return false
	})
	return id
}

// Edge is the ID of the first item that is there or was deleted and still takes room
// (streamGetEdgeID with tombstones); the last ID there can be if there is none.
func (l *Log) Edge() chunk.ID {
	id := chunk.MaxID
	l.eachChunk(func(first chunk.ID, _ []byte) bool {
		id = first
		return false
	})
	return id
}

// eachChunk calls f for all chunks until it returns false.
func (l *Log) eachChunk(f func(first chunk.ID, b []byte) bool) {
	l.t.Ascend(rowChunks, nil, func(key uint64, name, value []byte) bool {
		return key == rowChunks && f(chunk.FromName(name), value)
	})
}

// Delete deletes an item and reports whether there was one (streamDeleteItem). Its
// room is free once no item of its chunk is left.
func (l *Log) Delete(id chunk.ID) bool {
	if l.Find(id) == nil {
		return false
	}
	l.begin()
	first, b := l.chunkOf(id)
	if chunk.Live(b) == 1 {
		l.dropChunk(first)
	} else {
		l.kill(first, b, func(r *chunk.Reader) (kill, more bool) { return r.ID == id, r.ID != id })
	}
	l.items--
	if l.maxDeleted.Less(id) {
		l.maxDeleted = id
	}
	if id == l.first || l.items == 0 {
		l.findFirst()
	}
	return true
}

func (l *Log) dropChunk(first chunk.ID) {
	l.t.Delete(rowChunks, l.name(first))
	l.chunks--
}

// kill marks items of a chunk as deleted: those for which f says so, until it says
// that there is no more.
func (l *Log) kill(first chunk.ID, b []byte, f func(r *chunk.Reader) (kill, more bool)) {
	name := l.name(first)
	room := l.t.Room(rowChunks, name, 0)
	own := room
	if own == nil {
		own = append(l.s.chunk[:0], b...)
		l.s.chunk = own
	}
	r := &l.s.reader
	for r.Open(own, first); r.Next(); {
		kill, more := f(r)
		if kill && !r.Dead {
			r.Kill()
		}
		if !more {
			break
		}
	}
	if room == nil {
		l.t.Set(rowChunks, name, own)
	}
}

// findFirst looks for the first item.
func (l *Log) findFirst() {
	l.first = chunk.ID{}
	if l.items > 0 {
		l.Range(chunk.ID{}, chunk.MaxID, func(r *chunk.Reader) bool {
			l.first = r.ID
			return false
		})
	}
}

// Trim says what a trimming removes: items before MinID, or, with ByLength, the
// first ones until MaxLen are left.
type Trim struct {
	ByLength bool
	MaxLen   uint64
	MinID    chunk.ID
	Approx   bool   // whole nodes only
	Limit    uint64 // how many items at most; 0 is no limit
}

// done reports whether nothing is to go of a log with so many items whose next one
// is id.
func (t *Trim) done(items uint64, id chunk.ID) bool {
	if t.ByLength {
		return items <= t.MaxLen
	}
	return !id.Less(t.MinID)
}

// whole reports whether all n items of the first chunk, b, are to go.
func (t *Trim) whole(items, n uint64, b []byte) bool {
	if t.ByLength {
		return items-n >= t.MaxLen
	}
	return chunk.Last(b).Less(t.MinID)
}

// Trim removes items from the front and returns how many (streamTrim).
func (l *Log) Trim(t Trim) (removed uint64) {
	for !t.ByLength || l.items > t.MaxLen {
		first, b, ok := l.head()
		if !ok {
			break
		}
		n := uint64(chunk.Live(b))
		if t.Limit > 0 && removed+n > t.Limit {
			break
		}
		if t.whole(l.items, n, b) {
			l.begin()
			l.dropChunk(first)
			l.items -= n
			removed += n
			continue
		}
		if !t.Approx {
			removed += l.trimChunk(&t, first, b)
		}
		break
	}
	if removed > 0 {
		l.findFirst()
	}
	return removed
}

// head returns the first chunk and its first ID.
func (l *Log) head() (first chunk.ID, b []byte, ok bool) {
	l.eachChunk(func(id chunk.ID, value []byte) bool {
		first, b, ok = id, value, true
		return false
	})
	return first, b, ok
}

// trimChunk removes items of the first chunk, not all of them.
func (l *Log) trimChunk(t *Trim, first chunk.ID, b []byte) (removed uint64) {
	if !t.ByLength && !first.Less(t.MinID) {
		return 0
	}
	l.begin()
	l.kill(first, b, func(r *chunk.Reader) (kill, more bool) {
		if t.done(l.items, r.ID) {
			return false, false
		}
		if !r.Dead {
			l.items--
			removed++
		}
		return true, true
	})
	return removed
}

func digestLog(d *digester, e Entry) {
	l := e.Log()
	var id []byte
	l.Range(chunk.ID{}, chunk.MaxID, func(r *chunk.Reader) bool {
		// Redis writes IDs with a dot here.
		id = r.ID.Append(id[:0])
		for i, c := range id {
			if c == '-' {
				id[i] = '.'
			}
		}
		d.mix(id)
		for range r.Pairs {
			field, value := r.Pair()
			d.mix(field)
			d.mix(value)
		}
		return true
	})
}

// radixSample is how many chunks RadixNodes looks at. More are taken to be like
// these.
const radixSample = 1000

// RadixNodes is how many nodes the radix tree has in which Redis holds the IDs of the
// first items of chunks, 16 bytes each: one for each ID, one for each place where IDs
// part, and one for what lies between two such.
func (l *Log) RadixNodes() int64 {
	const idBytes = 16
	var parts [idBytes]bool // the places where the path to the last ID parts
	var before [idBytes]byte
	n, nodes := 0, int64(0)
	l.eachChunk(func(first chunk.ID, _ []byte) bool {
		var id [idBytes]byte
		appendRawID(id[:0], first)
		depth := 0
		for n > 0 && id[depth] == before[depth] {
			depth++
		}
		nodes += radixDelta(&parts, depth, n == 0)
		before = id
		n++
		return n < radixSample
	})
	if n == 0 {
		return 1
	}
	return nodes * int64(l.chunks) / int64(n)
}

// radixDelta is how many nodes an ID adds that parts from the one before it at depth,
// and notes that. Below, the path of the new ID has no partings yet.
func radixDelta(parts *[16]bool, depth int, first bool) (nodes int64) {
	if first {
		return 2 // the whole ID, and its end
	}
	if !parts[depth] {
		start, end := 0, len(parts)
		for i := range depth {
			if parts[i] {
				start = i + 1
			}
		}
		for i := len(parts) - 1; i > depth; i-- {
			if parts[i] {
				end = i
			}
		}
		// One path becomes what precedes the parting, the parting, what follows.
		nodes += nodeIf(depth > start) + nodeIf(end > depth+1)
	}
	parts[depth] = true
	for i := depth + 1; i < len(parts); i++ {
		parts[i] = false
	}
	return nodes + 1 + nodeIf(depth+1 < len(parts))
}

func nodeIf(there bool) int64 {
	if there {
		return 1
	}
	return 0
}
