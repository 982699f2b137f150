package storage

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"redoubt/slots"
)

// Client-side caching: the keyspace remembers which readers have seen which keys,
// and names them when a key changes. The marks of a key lie in its slot and are
// guarded by the slot's lock, in which both the read and the change are made. A key
// is its name, whatever the database: as in Redis a change in one database is told
// to readers of the same name in another.

// Stale is a key that readers may hold an old value of.
type Stale struct {
	Key []byte
	// Readers are those who have asked by Track to be told, ascending. Their marks
	// are gone.
	Readers []uint64
	// Changed says that the key has changed. If not, its marks had to go to make
	// room for others.
	Changed bool
	// By is who has made the change (Tx.By), nil if no client did.
	By any
}

// tracked are the marks in a slot. There are no pointers in it, so that the
// collector does not walk what may be a million keys.
type tracked struct {
	index map[uint64]uint32 // hash of a key: where its entry begins in buf
	buf   []byte            // entries one behind the other
	dead  int               // bytes of buf in entries that are gone
}

// An entry is the length of the key, the number of readers and how many there is
// room for, all of 32 bits; the key; the readers, ascending.
type trackedEntry []byte

const (
	trackedHead  = 12
	trackedFirst = 1 // readers that a new entry has room for
)

func trackedSize(key, room int) int { return trackedHead + key + 8*room }

func (e trackedEntry) word(i int) int    { return int(binary.LittleEndian.Uint32(e[4*i:])) }
func (e trackedEntry) setWord(i, n int)  { binary.LittleEndian.PutUint32(e[4*i:], uint32(n)) }
func (e trackedEntry) readers() int      { return e.word(1) }
func (e trackedEntry) room() int         { return e.word(2) }
func (e trackedEntry) size() int         { return trackedSize(e.word(0), e.room()) }
func (e trackedEntry) key() []byte       { return e[trackedHead : trackedHead+e.word(0)] }
func (e trackedEntry) marks() readerList { return readerList(e[trackedHead+e.word(0) : e.size()]) }

// readerList is the readers of an entry and the room behind them.
type readerList []byte

func (l readerList) at(i int) uint64      { return binary.LittleEndian.Uint64(l[8*i:]) }
func (l readerList) put(i int, id uint64) { binary.LittleEndian.PutUint64(l[8*i:], id) }

// find returns where id is among the first n, or would be.
func (l readerList) find(n int, id uint64) int {
	if n == 0 || l.at(n-1) < id {
		return n
	}
	lo, hi := 0, n-1
	for lo < hi {
		if mid := (lo + hi) / 2; l.at(mid) < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (t *tracked) entry(at uint32) trackedEntry { return trackedEntry(t.buf[at:]) }

// begin appends an entry without readers.
func (t *tracked) begin(hash uint64, key []byte, room int) trackedEntry {
	at, size := len(t.buf), trackedSize(len(key), room)
	t.buf = slices.Grow(t.buf, size)[:at+size]
	e := trackedEntry(t.buf[at:])
	e.setWord(0, len(key))
	e.setWord(1, 0)
	e.setWord(2, room)
	copy(e.key(), key)
	t.index[hash] = uint32(at)
	return e
}

// drop forgets the entry at a place.
func (t *tracked) drop(hash uint64, at uint32) {
	delete(t.index, hash)
	t.dead += t.entry(at).size()
}

// tidy takes what is gone out of the buffer when that is most of it.
func (t *tracked) tidy() {
	if t.dead < 1024 || t.dead < len(t.buf)/2 {
		return
	}
	next := make([]byte, 0, len(t.buf)-t.dead)
	for hash, at := range t.index {
		e := t.entry(at)
		t.index[hash] = uint32(len(next))
		next = append(next, e[:e.size()]...)
	}
	t.buf, t.dead = next, 0
}

// mostTracked bounds the buffer of a slot, whose places have 32 bits.
const mostTracked = 1 << 31

// By says who makes the changes of the unit from now on: the caller of a command.
func (tx *Tx) By(caller any) { tx.by = caller }

// Tracks reports whether somebody may want to be told of changes, so that it matters
// who makes them.
func (ks *Keyspace) Tracks() bool { return ks.tracks.Load() }

// SetTracks says whether it matters, and whether each key that changes is to be told
// of, who ever has read it. Any goroutine may call it. Units under way may not have
// seen it; what the caller reads from now on has their changes.
func (ks *Keyspace) SetTracks(tracks, everyChange bool) {
	ks.tracks.Store(tracks)
	ks.broadcasts.Store(everyChange)
}

// Track has a reader told of the next change of a key, which the unit holds and has
// read. It matches trackingRememberKeys.
func (tx *Tx) Track(key []byte, reader uint64) {
	n := tx.slotOf(key)
	rare := tx.ks.slots[n].rarity()
	if rare.tracked == nil {
		rare.tracked = &tracked{index: map[uint64]uint32{}}
		tx.ks.trackedSlots[n>>6].Or(1 << (n & 63))
	}
	t, hash := rare.tracked, tx.ks.hash(key)
	at, there := t.index[hash]
	if there && string(t.entry(at).key()) != string(key) {
		tx.forget(t, hash, at, false) // another key has the same hash, and makes room
		there = false
	}
	var e trackedEntry
	switch {
	case !there && len(t.buf) > mostTracked:
		tx.markStale(key, nil, false).Readers = append([]uint64(nil), reader) // told at once that it is not remembered
		return
	case !there:
		e = t.begin(hash, key, trackedFirst)
		tx.ks.trackedKeys.Add(1)
	default:
		e = t.entry(at)
	}
	marks, count := e.marks(), e.readers()
	i := marks.find(count, reader)
	if i < count && marks.at(i) == reader {
		return
	}
	if count == e.room() {
		t.dead += e.size()
		e = t.begin(hash, e.key(), 2*count) // the old entry may lie in another buffer now, and stays as it is
		copy(e.marks(), marks)
		marks = e.marks()
	}
	copy(marks[8*(i+1):8*(count+1)], marks[8*i:8*count])
	marks.put(i, reader)
	e.setWord(1, count+1)
	tx.ks.trackedItems.Add(1)
	t.tidy()
}

// markStale adds a key to the outcome.
func (tx *Tx) markStale(key []byte, readers []uint64, changed bool) *Stale {
	tx.happened = true
	s := Stale{Key: tx.keep(key), Readers: readers, Changed: changed}
	if changed {
		s.By = tx.by
	}
	tx.stale = append(tx.stale, s)
	return &tx.stale[len(tx.stale)-1]
}

// forget takes the marks of a key away and names their readers.
func (tx *Tx) forget(t *tracked, hash uint64, at uint32, changed bool) {
	e := t.entry(at)
	start, marks := len(tx.readers), e.marks()
	for i := range e.readers() {
		tx.readers = append(tx.readers, marks.at(i))
	}
	ids := tx.readers[start:len(tx.readers):len(tx.readers)]
	tx.markStale(e.key(), ids, changed)
	tx.ks.trackedKeys.Add(-1)
	tx.ks.trackedItems.Add(-int64(len(ids)))
	t.drop(hash, at)
}

// untrack follows the change of a key in a slot that has marks. It matches
// trackingInvalidateKey.
func (tx *Tx) untrack(n slots.Slot, key []byte) {
	rare := tx.ks.slots[n].rarity()
	t, hash := rare.tracked, tx.ks.hash(key)
	at, ok := t.index[hash]
	if !ok || string(t.entry(at).key()) != string(key) {
		return
	}
	tx.forget(t, hash, at, true)
	tx.tidyTracked(n, rare)
}

// broadcast follows the change of any key while somebody wants to hear of all.
func (tx *Tx) broadcast(key []byte) {
	if k := len(tx.stale); k > 0 && tx.stale[k-1].Changed && tx.stale[k-1].By == tx.by && string(tx.stale[k-1].Key) == string(key) {
		return // it has been told
	}
	tx.markStale(key, nil, true)
}

// tidyTracked gives back what the marks of a slot do not need any more.
func (tx *Tx) tidyTracked(n slots.Slot, rare *rareSlot) {
	if len(rare.tracked.index) > 0 {
		rare.tracked.tidy()
		return
	}
	rare.tracked = nil
	tx.ks.trackedSlots[n>>6].And(^(uint64(1) << (n & 63)))
}

// untrackAll takes all marks away: everything may have changed. The unit holds the
// world lock. It matches trackingInvalidateKeysOnFlush.
func (tx *Tx) untrackAll() {
	ks := tx.ks
	if !ks.tracks.Load() && ks.trackedKeys.Load() == 0 {
		return
	}
	tx.happened, tx.allStale = true, true
	if ks.trackedKeys.Load() == 0 {
		return
	}
	for n := range ks.slots {
		if r := ks.slots[n].rare.Load(); r != nil && r.tracked != nil {
			r.tracked = nil
		}
	}
	for i := range ks.trackedSlots {
		ks.trackedSlots[i].Store(0)
	}
	ks.trackedKeys.Store(0)
	ks.trackedItems.Store(0)
}

// UntrackSlot takes all marks of a slot away, which the unit holds, and names their
// readers: keys of the slot may change from now on without this node.
func (tx *Tx) UntrackSlot(n slots.Slot) {
	rare := tx.ks.slots[n].rare.Load()
	if rare == nil || rare.tracked == nil {
		return
	}
	for hash, at := range rare.tracked.index {
		tx.forget(rare.tracked, hash, at, true)
	}
	tx.tidyTracked(n, rare)
}

// Tracked is the number of keys with marks, and of marks.
func (ks *Keyspace) Tracked() (keys, marks int64) {
	return ks.trackedKeys.Load(), ks.trackedItems.Load()
}

// LimitTracked takes the marks of about so many keys away, chosen at random, if more
// than most keys have some. Their readers are told as if the keys had changed. The
// executor must not be in a unit. It matches trackingLimitUsedSlots.
func (e *Executor) LimitTracked(now, most int64, effort int) (over bool) {
	ks := e.ks
	n := slots.Slot(e.rand.Uint64() % slots.Count)
	for ; effort > 0 && ks.trackedKeys.Load() > most; effort-- {
		var ok bool
		if n, ok = ks.nextTracked(n); !ok {
			return false
		}
		e.one[0] = n
		tx := e.Begin(now, e.one[:])
		if tx == nil {
			return false
		}
		if rare := ks.slots[n].rare.Load(); rare != nil && rare.tracked != nil {
			for hash, at := range rare.tracked.index {
				tx.forget(rare.tracked, hash, at, false)
				break
			}
			tx.tidyTracked(n, rare)
		}
		e.End()
		n = (n + 1) % slots.Count
	}
	return ks.trackedKeys.Load() > most
}

// nextTracked returns the first slot from n on, cyclically, that has marks.
func (ks *Keyspace) nextTracked(n slots.Slot) (slots.Slot, bool) {
	for i := range slots.Count/64 + 1 {
		at := (int(n>>6) + i) % len(ks.trackedSlots)
		w := ks.trackedSlots[at].Load()
		if i == 0 {
			w &^= 1<<(n&63) - 1
		}
		if w != 0 {
			return slots.Slot(at<<6 + bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}
