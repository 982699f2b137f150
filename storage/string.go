package storage

import (
	"strconv"

	"redoubt/internal/pieces"
)

// embeddedMax is the longest string that Redis keeps in one block with its
// object (OBJ_ENCODING_EMBSTR_SIZE_LIMIT).
const embeddedMax = 44

// codingEdited says of a string that it was changed in place, which in Redis
// leaves it in the raw encoding, whatever it looks like.
const codingEdited = 1

func stringEncoding(r record) string {
	b := r.value()
	switch {
	case r.coding() == codingEdited:
		return "raw"
	case isInteger(b):
		return "int"
	case len(b) <= embeddedMax:
		return "embstr"
	default:
		return "raw"
	}
}

// Bytes is the string the key holds, valid until the next write of the unit;
// nil for another type.
func (e Entry) Bytes() []byte {
	if e.Type() == TypeString {
		return e.rec.value()
	}
	return nil
}

// SetFlags change what SetString does.
type SetFlags uint8

// KeepTTL leaves the expiry of an existing key as it is.
const KeepTTL SetFlags = 1

// SetString makes key hold the string value, whatever it held, with the expiry
// expireAt (Unix milliseconds, 0 for none) unless flags has KeepTTL. Both are
// copied.
func (tx *Tx) SetString(key, value []byte, expireAt int64, flags SetFlags) {
	p := tx.find(key, forWrite)
	if !p.found() {
		r := tx.newRecord(kindOf(TypeString), key, len(value), expireAt)
		pieces.Copy(r.value(), value)
		tx.insert(&p, r)
		tx.wrote(p, key)
		return
	}
	tx.preimage(p.slot, p.rec)
	before, was := tx.ks.size(p.rec), p.rec.expireAt()
	if flags&KeepTTL != 0 {
		expireAt = was
	}
	if p.rec.outside() {
		tx.freeTree(p.rec)
	}
	if p.rec.due() {
		tx.countDue(false)
	}
	tx.reshape(&p, kindOf(TypeString), len(value), 0, expireAt, 0)
	pieces.Copy(p.rec.value(), value)
	tx.resized(tx.ks.size(p.rec) - before)
	tx.ks.access.overwrite(p.rec, tx.now)
	tx.expiryChanged(p, was, expireAt)
	tx.wrote(p, key)
}

// growSlack is by how much the block of a string that grows in place may be
// longer than needed, in bytes for each byte: growing little by little then
// costs constant time a byte.
func growSlack(size int) int { return size / 4 }

// GrowString makes the string at key at least size bytes long, adding zeros,
// and returns it for the caller to change within the command (APPEND,
// SETRANGE, SETBIT). A missing key is created. The key must not hold another
// type.
func (tx *Tx) GrowString(key []byte, size int) []byte { return tx.resizeString(key, size, true) }

// ResizeString is GrowString for a string that may also lose its end: it is size
// bytes long then (PFADD, BITOP).
func (tx *Tx) ResizeString(key []byte, size int) []byte { return tx.resizeString(key, size, false) }

// resizeString makes the string at key size bytes long, or at least that long.
func (tx *Tx) resizeString(key []byte, size int, atLeast bool) []byte {
	const edited = codingEdited << codingShift
	p := tx.find(key, forWrite)
	if !p.found() {
		r := tx.newRecord(kindOf(TypeString)|edited, key, size, 0)
		clear(r.value())
		tx.insert(&p, r)
		tx.wrote(p, key)
		return p.rec.value()
	}
	tx.preimage(p.slot, p.rec)
	before := tx.ks.size(p.rec)
	_, old := p.rec.lengths()
	if atLeast {
		size = max(size, old)
	}
	kept := min(size, old)
	tx.reshape(&p, kindOf(TypeString)|edited, size, kept, p.rec.expireAt(), growSlack(size))
	clear(p.rec.value()[kept:])
	tx.resized(tx.ks.size(p.rec) - before)
	tx.wrote(p, key)
	return p.rec.value()
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
