package storage

import (
	"slices"
	"strconv"
)

// embeddedMax is the longest string that Redis keeps in one block with its
// object (OBJ_ENCODING_EMBSTR_SIZE_LIMIT).
const embeddedMax = 44

// text is the value of a string.
type text struct {
	b []byte
	// edited says that the string was changed in place, which in Redis leaves
	// it in the raw encoding, whatever it looks like.
	edited bool
	// shared says that b also belongs to a snapshot and must not be changed.
	shared bool
}

// stringRecord is a record and the string in it, in one allocation.
type stringRecord struct {
	record
	text text
}

// roomy is a stringRecord with room for its key and, behind it, its value: a
// look-up compares the one and copies the other, and each line of cache less to
// fetch counts.
type roomy[T any] struct {
	stringRecord
	room T
}

// maxRoom is the most room that a record has for its key and value.
const maxRoom = 104

// newRoomy returns a record and at least n bytes of room, which are in the same
// allocation up to maxRoom. The sizes are 128, 160 and 192 bytes: classes of the
// allocator, which lays the first and the last so that they fill lines of cache.
func newRoomy(n int) (*stringRecord, []byte) {
	switch {
	case n <= 40:
		r := new(roomy[[40]byte])
		return &r.stringRecord, r.room[:]
	case n <= 72:
		r := new(roomy[[72]byte])
		return &r.stringRecord, r.room[:]
	case n <= maxRoom:
		r := new(roomy[[maxRoom]byte])
		return &r.stringRecord, r.room[:]
	}
	return new(stringRecord), make([]byte, n)
}

// newString makes a record of a string, with copies of key and value.
func newString(key, value []byte) *record {
	n := len(key)
	if n+len(value) <= maxRoom {
		n += len(value)
	}
	r, room := newRoomy(n)
	r.key = append(room[:0:len(key)], key...)
	if room = room[len(key):]; len(value) <= len(room) {
		r.text.b = append(room[:0], value...)
	} else {
		r.text.b = slices.Clone(value)
	}
	r.val = &r.text
	return &r.record
}

func (s *text) typ() Type { return TypeString }

func (s *text) encoding() string {
	switch {
	case s.edited:
		return "raw"
	case isInteger(s.b):
		return "int"
	case len(s.b) <= embeddedMax:
		return "embstr"
	default:
		return "raw"
	}
}

func (s *text) size() int { return cap(s.b) }

func (s *text) clone() value { return &text{b: slices.Clone(s.b), edited: s.edited} }

func (s *text) image() value {
	s.shared = true
	return &text{b: s.b, shared: true}
}

func (s *text) digest(d *digester) { d.mix(s.b) }

// keep bounds what an overwritten string keeps: a buffer is used again unless
// it is more than four times as large as needed, and not small anyway.
const keep = 128

// set makes the string value, in place if the buffer allows it.
func (s *text) set(value []byte) {
	if s.shared || cap(s.b) < len(value) || cap(s.b) > max(keep, 4*len(value)) {
		s.b = append(make([]byte, 0, len(value)), value...)
	} else {
		s.b = append(s.b[:0], value...)
	}
	s.edited, s.shared = false, false
}

// grow makes the string at least size long, with zeros, and returns a view that
// may be written to. Growing little by little costs constant time a byte.
func (s *text) grow(size int) []byte {
	n := len(s.b)
	switch {
	case s.shared:
		s.b = append(make([]byte, 0, max(n, size)), s.b...)
	case size > cap(s.b):
		s.b = slices.Grow(s.b, size-n)
	}
	if size > n {
		s.b = s.b[:size]
		clear(s.b[n:])
	}
	s.edited, s.shared = true, false
	return s.b
}

// Bytes is the string the key holds, valid until the next write of the unit;
// nil for another type.
func (e Entry) Bytes() []byte {
	if s, ok := e.rec.val.(*text); ok {
		return s.b
	}
	return nil
}

// SetFlags change what SetString does.
type SetFlags uint8

// KeepTTL leaves the expiry of an existing key as it is.
const KeepTTL SetFlags = 1

// SetString makes key hold the string value, whatever it held, with the expiry
// expireAt (Unix milliseconds, 0 for none) unless flags has KeepTTL. Both are
// copied. Over a string whose buffer is large enough it allocates nothing.
func (tx *Tx) SetString(key, value []byte, expireAt int64, flags SetFlags) {
	p := tx.find(key, forWrite)
	if p.rec == nil {
		r := newString(key, value)
		r.expireAt = expireAt
		tx.insert(p, r)
		tx.wrote(p, key)
		return
	}
	tx.preimage(p.rec)
	before := p.rec.size()
	if s, ok := p.rec.val.(*text); ok {
		s.set(value)
	} else {
		p.rec.val = &text{b: slices.Clone(value)}
	}
	tx.resized(p.rec.size() - before)
	tx.ks.access.overwrite(p.rec, tx.now)
	if flags&KeepTTL == 0 {
		tx.setExpiry(p, expireAt)
	}
	tx.wrote(p, key)
}

// GrowString makes the string at key at least size bytes long, adding zeros,
// and returns it for the caller to change within the command (APPEND,
// SETRANGE, SETBIT). A missing key is created. The key must not hold another
// type.
func (tx *Tx) GrowString(key []byte, size int) []byte {
	p := tx.find(key, forWrite)
	if p.rec == nil {
		r := newString(key, nil)
		b := r.val.(*text).grow(size)
		tx.insert(p, r)
		tx.wrote(p, key)
		return b
	}
	tx.preimage(p.rec)
	before := p.rec.size()
	b := p.rec.val.(*text).grow(size)
	tx.resized(p.rec.size() - before)
	tx.wrote(p, key)
	return b
}

// isInteger reports whether b is an int64 in its canonical decimal form.
func isInteger(b []byte) bool {
	if len(b) == 0 || len(b) > 20 {
		return false
	}
	if len(b) > 18 {
		// It may not fit: let the library decide.
		n, err := strconv.ParseInt(string(b), 10, 64)
		return err == nil && string(strconv.AppendInt(nil, n, 10)) == string(b)
	}
	if b[0] == '-' {
		b = b[1:]
	} else if len(b) == 1 && b[0] == '0' {
		return true
	}
	if len(b) == 0 || b[0] < '1' || b[0] > '9' {
		return false
	}
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
