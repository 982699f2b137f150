package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"unsafe"

	"redoubt/internal/pieces"
	"redoubt/replication"
)

// The ring's file: one page of header, the table of records, the data.
//
//	header  magic (8), data size (8), table slots (8), boot id (up to 64, zero padded)
//	table   slots of 32 bytes: start offset, generation, word, unused
//	data    the byte after offset o lies at o modulo the data size
//
// A record is a run of whole units, 16 KiB or a little more once it is closed;
// the last one grows with every append. Its word is length<<32 | CRC-32C and is
// stored in one piece after the bytes were copied: it is the watermark. A slot
// is opened by zeroing its word first. So whatever moment the process is killed
// at, the words cover whole units and nothing else. All integers are in the
// machine's own order: the file never leaves the machine's running kernel.
const (
	ringMagic   = "rdbtrng1"
	pageBytes   = 4096
	slotBytes   = 32
	recordBytes = 16 << 10
	bootIDBytes = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ring is the mapped file. Stream.mu guards all fields but the data below
// floor's protection: see Stream.guard.
type ring struct {
	mapped []byte // the whole mapping
	table  []byte
	data   []byte
	size   replication.Offset
	slots  uint64
	unmap  func() error
	// unload drops pages of data from the process's resident memory. The kernel
	// keeps their content. Nil for a ring that is not mapped.
	unload func([]byte) error

	generation uint64
	seq        uint64 // number of the open record, or the next if none is
	oldest     uint64 // the oldest record that is not released
	opened     bool   // false: the next append opens record seq
	start      replication.Offset
	length     replication.Offset
	crc        uint32
	writerSeq  uint64 // the record the journal writer will look at next
}

// ringFileBytes is the length of the file of a ring with size bytes of data.
func ringFileBytes(size int) (total, table int, slots uint64) {
	// Closed records are at least recordBytes long, so size/recordBytes+2 of them
	// (one cut by the tail, one open) can hold live bytes.
	slots = uint64(size/recordBytes + 8)
	table = (int(slots)*slotBytes + pageBytes - 1) / pageBytes * pageBytes
	return pageBytes + table + size, table, slots
}

// newRing lays a ring of size bytes over mapped.
func newRing(mapped []byte, size int, unmap func() error) *ring {
	_, table, slots := ringFileBytes(size)
	return &ring{
		mapped: mapped,
		table:  mapped[pageBytes : pageBytes+table],
		data:   mapped[pageBytes+table:],
		size:   replication.Offset(size),
		slots:  slots,
		unmap:  unmap,
	}
}

// reset empties the ring: what it held is of no more use.
func (r *ring) reset(generation uint64, bootID string) {
	clear(r.mapped[:8])
	clear(r.table)
	h := r.mapped[:pageBytes]
	binary.NativeEndian.PutUint64(h[8:], uint64(r.size))
	binary.NativeEndian.PutUint64(h[16:], r.slots)
	clear(h[24 : 24+bootIDBytes])
	copy(h[24:24+bootIDBytes], bootID)
	copy(h, ringMagic)
	r.generation, r.seq, r.oldest, r.writerSeq = generation, 0, 0, 0
	r.opened, r.start, r.length, r.crc = false, 0, 0, 0
}

func (r *ring) slot(seq uint64) []byte {
	i := seq % r.slots * slotBytes
	return r.table[i : i+slotBytes]
}

func (r *ring) word(seq uint64) *uint64 {
	return (*uint64)(unsafe.Pointer(&r.slot(seq)[16]))
}

// append copies one unit, given in two parts, behind offset at. The caller has
// made sure that it fits and that nobody reads what it overwrites.
func (r *ring) append(at replication.Offset, a, b []byte) {
	if r.opened && r.length >= recordBytes {
		r.opened = false
		r.seq++
	}
	if !r.opened {
		atomic.StoreUint64(r.word(r.seq), 0)
		s := r.slot(r.seq)
		binary.NativeEndian.PutUint64(s, uint64(at))
		binary.NativeEndian.PutUint64(s[8:], r.generation)
		r.opened, r.start, r.length, r.crc = true, at, 0, 0
	}
	r.put(at, a)
	r.put(at+replication.Offset(len(a)), b)
	r.crc = crc32.Update(crc32.Update(r.crc, castagnoli, a), castagnoli, b)
	r.length += replication.Offset(len(a) + len(b))
	atomic.StoreUint64(r.word(r.seq), uint64(r.length)<<32|uint64(r.crc))
}

func (r *ring) put(at replication.Offset, p []byte) {
	n := pieces.Copy(r.data[at%r.size:], p)
	pieces.Copy(r.data, p[n:])
}

// view returns the n bytes after offset at, in two parts because they may wrap.
func (r *ring) view(at, n replication.Offset) (a, b []byte) {
	pos := at % r.size
	if pos+n <= r.size {
		return r.data[pos : pos+n], nil
	}
	return r.data[pos:], r.data[:pos+n-r.size]
}

// unloadBetween drops the pages that lie wholly in (from, to] from the process's
// resident memory, and returns where it stopped. They are read back, or written
// again, at the price of a page fault.
func (r *ring) unloadBetween(from, to replication.Offset) (replication.Offset, error) {
	to -= to % pageBytes
	from = max((from+pageBytes-1)/pageBytes*pageBytes, to-r.size)
	if r.unload == nil || to <= from {
		return to, nil
	}
	a, b := r.view(from, to-from)
	err := r.unload(a)
	if len(b) > 0 && err == nil {
		err = r.unload(b)
	}
	return to, err
}

// span is a run of whole units: the bytes after offset after, up to end.
type span struct{ after, end replication.Offset }

// record is where a record begins and, so far, ends.
func (r *ring) record(seq uint64) (after, end replication.Offset) {
	after = replication.Offset(binary.NativeEndian.Uint64(r.slot(seq)))
	return after, after + replication.Offset(*r.word(seq)>>32)
}

// release says that everything up to offset to is synced, and returns the
// offset below which places may be written again. That is less than to if a
// record goes on beyond it.
func (r *ring) release(to replication.Offset) replication.Offset {
	for r.oldest < r.seq {
		if _, end := r.record(r.oldest); end > to {
			break
		}
		r.oldest++
	}
	if r.oldest == r.seq && (!r.opened || (r.length >= recordBytes && r.start+r.length <= to)) {
		return to
	}
	after, _ := r.record(r.oldest)
	return after
}

// pending appends to dst the records after offset from, about limit bytes of
// them, cut where units end. Calls go upwards.
func (r *ring) pending(dst []span, from, limit replication.Offset) []span {
	total := replication.Offset(0)
	for total < limit {
		_, end := r.record(r.writerSeq)
		if end > from {
			dst = append(dst, span{from, end})
			total += end - from
			from = end
		}
		if r.writerSeq >= r.seq {
			break
		}
		r.writerSeq++
	}
	return dst
}

// survivors reads a ring that another process left behind: the whole units it
// holds after offset from in the given generation, oldest first. torn says why
// it stopped before the last record it saw, "" if it did not. Nothing in the
// file is trusted.
func (r *ring) survivors(generation uint64, from replication.Offset, bootID string) (found []span, torn string) {
	h := r.mapped[:pageBytes]
	if string(h[:8]) != ringMagic || binary.NativeEndian.Uint64(h[8:]) != uint64(r.size) || binary.NativeEndian.Uint64(h[16:]) != r.slots {
		return nil, ""
	}
	var id [bootIDBytes]byte
	copy(id[:], bootID)
	if bootID == "" || [bootIDBytes]byte(h[24:24+bootIDBytes]) != id {
		return nil, ""
	}
	type record struct {
		span
		crc uint32
	}
	var records []record
	for i := range r.slots {
		s, word := r.slot(i), *r.word(i)
		start := binary.NativeEndian.Uint64(s)
		length := replication.Offset(word >> 32)
		if word == 0 || binary.NativeEndian.Uint64(s[8:]) != generation || length > r.size || start > 1<<62 {
			continue
		}
		if at := replication.Offset(start); at+length > from {
			records = append(records, record{span{at, at + length}, uint32(word)})
		}
	}
	slices.SortFunc(records, func(a, b record) int { return int(min(max(a.after-b.after, -1), 1)) })
	for _, rec := range records {
		if rec.after > from {
			return found, fmt.Sprintf("the ring has bytes after offset %d but not those after %d", rec.after, from)
		}
		a, b := r.view(rec.after, rec.end-rec.after)
		if crc32.Update(crc32.Update(0, castagnoli, a), castagnoli, b) != rec.crc {
			return found, fmt.Sprintf("a record of the ring at offset %d has a bad checksum", rec.after)
		}
		if rec.end > from {
			found = append(found, span{from, rec.end})
			from = rec.end
		}
	}
	return found, ""
}

// validRingBytes says whether a ring may have that much data.
func validRingBytes(n int) bool {
	return n >= minRingBytes && n <= maxRingBytes && n%pageBytes == 0
}

// ringSizeOnDisk is the data size the header of the ring at path tells, 0 if
// there is no ring that can be used.
func ringSizeOnDisk(path string) int {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	var h [16]byte
	if _, err := io.ReadFull(f, h[:]); err != nil || string(h[:8]) != ringMagic {
		return 0
	}
	size := binary.NativeEndian.Uint64(h[8:])
	if size > maxRingBytes || !validRingBytes(int(size)) {
		return 0
	}
	return int(size)
}

// memoryRing is a ring that does not survive the process.
func memoryRing(size int) *ring {
	total, _, _ := ringFileBytes(size)
	return newRing(make([]byte, total), size, func() error { return nil })
}

// restart closes the open record: the next append begins a new one, at an
// offset that need not follow.
func (r *ring) restart() {
	if r.opened {
		r.opened = false
		r.seq++
	}
	r.oldest, r.writerSeq = r.seq, r.seq
}

// boundary is the lowest offset not below at where a unit that the ring still
// holds begins, or end.
func (r *ring) boundary(at, end replication.Offset) replication.Offset {
	best := end
	for i := range r.slots {
		s := r.slot(i)
		if start := replication.Offset(binary.NativeEndian.Uint64(s)); *r.word(i) != 0 && start >= at && start < best {
			best = start
		}
	}
	return best
}
