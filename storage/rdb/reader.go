package rdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"redoubt/storage"
	"redoubt/storage/rdb/wire"
)

const (
	magicBytes   = 9
	maxAuxFields = 64   // remembered; real files have about ten
	maxAuxBytes  = 4096 // of a name or value that is remembered
	maxDB        = math.MaxInt32
)

// Skipped counts what a file held beside keys and was passed over, because
// this server has no place for it.
type Skipped struct {
	ModuleData int // what modules keep outside of keys
}

// Reader reads an RDB file key by key. It is not safe for concurrent use.
type Reader struct {
	// Library is called, if set, for each library of functions, with its code. They
	// stand before the first key. The code is valid during the call; an error ends
	// the reading.
	Library func(code []byte) error

	src     *wire.Reader
	version int
	valkey  bool
	started bool
	err     error // sticky: io.EOF once the file has ended well

	entry   Entry // handed out by Next; its buffers are used again
	aux     Aux
	scratch []byte
	skipped Skipped

	encoding byte // of the entry's value
	pending  bool // it has not been read

	op      byte          // the type or opcode of the record at hand
	seen    func(op byte) // called, if set, behind each record that is no key: Inspect
	auxName int           // bytes of the name in scratch, of the auxiliary field at hand
	summed  bool          // the file has a checksum
	checker storage.Checker
}

// NewReader returns a Reader of the file that in delivers. It reads ahead, so
// what follows the end record is lost to the owner of in.
func NewReader(in io.Reader) *Reader {
	return &Reader{src: wire.NewReader(in), aux: Aux{}}
}

// Version returns the version in the file's magic; 0 before the first Next.
func (r *Reader) Version() int { return r.version }

// Aux returns the auxiliary fields read so far. Files have them before the
// first key.
func (r *Reader) Aux() Aux { return r.aux }

// Offset is how many bytes of the file have been used: behind the last key it is
// where the file ends, and something else may begin.
func (r *Reader) Offset() int64 { return r.src.Offset() }

// Skipped returns what was passed over so far.
func (r *Reader) Skipped() Skipped { return r.skipped }

// Next returns the next key, or io.EOF after the last one, when the file's
// checksum has been found right. The Entry and its bytes are valid until the
// next call. Other errors wrap ErrCorrupt, ErrVersion, ErrUnsupportedType, or
// come from the underlying reader; they repeat.
func (r *Reader) Next() (*Entry, error) {
	if r.err != nil {
		return nil, r.err
	}
	if !r.started {
		r.started = true
		r.err = r.readMagic()
	}
	if r.err == nil && r.pending {
		r.err = r.pass()
	}
	if r.err == nil {
		r.err = r.readEntry()
	}
	if r.err != nil {
		return nil, r.err
	}
	return &r.entry, nil
}

func (r *Reader) readMagic() error {
	p, err := r.src.Next(magicBytes)
	if err != nil {
		return err
	}
	var digits []byte
	if digits, r.valkey = bytes.CutPrefix(p, []byte("VALKEY")); !r.valkey {
		var redis bool
		if digits, redis = bytes.CutPrefix(p, []byte("REDIS")); !redis {
			return wire.Corruptf("begins with %q, not with REDIS or VALKEY", p)
		}
	}
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return wire.Corruptf("version %q", digits)
		}
		r.version = r.version*10 + int(digit-'0')
	}
	if !r.acceptsVersion() {
		return fmt.Errorf("%w: %q", ErrVersion, p)
	}
	return nil
}

func (r *Reader) acceptsVersion() bool {
	if r.valkey {
		return r.version == valkeyVersion
	}
	return r.version >= 1 && r.version <= maxRedisVersion
}

// readEntry reads records up to and including the next key.
func (r *Reader) readEntry() error {
	e := &r.entry
	e.ExpireAtMs, e.Idle, e.Freq = 0, -1, -1
	for {
		op, err := r.src.Byte()
		if err != nil {
			return err
		}
		r.op = op
		switch op {
		case opEOF:
			return r.readEnd()
		case opExpireTime, opExpireTimeMs, opIdle, opFreq:
			err = r.readAttribute(op)
		case opSelectDB:
			err = r.readSelectDB()
		case opAux:
			err = r.readAux()
		case opFunction:
			err = r.readLibrary()
		case opFunctionRC:
			err = fmt.Errorf("%w: functions of a release candidate of Redis 7.0", ErrVersion)
		case opModuleAux:
			r.skipped.ModuleData++
			err = r.skipModuleAux()
		case opResizeDB:
			err = r.skipLengths(2)
		case opSlotInfo:
			err = r.skipLengths(3)
		case opSlotImport:
			err = r.skipSlotImport()
		default:
			return r.readKey(op)
		}
		if err != nil {
			return err
		}
		if r.seen != nil {
			r.seen(op)
		}
	}
}

func (r *Reader) readLibrary() (err error) {
	if r.Library == nil {
		return r.src.SkipString()
	}
	if r.scratch, err = r.src.AppendString(r.scratch[:0]); err != nil {
		return err
	}
	return r.Library(r.scratch)
}

// readKey reads the key of a record; the value follows.
func (r *Reader) readKey(encoding byte) (err error) {
	e := &r.entry
	if _, err = typeOf(encoding, r.valkey, nil); errors.Is(err, ErrCorrupt) {
		return wire.Corruptf("unknown type or opcode %d at %d", encoding, r.src.Offset()-1)
	}
	if e.Key, err = r.src.AppendString(e.Key[:0]); err != nil {
		return err
	}
	if e.Type, err = typeOf(encoding, r.valkey, e.Key); err != nil {
		return err
	}
	r.encoding, r.pending = encoding, true
	return nil
}

// Load makes the value of the entry that Next has returned that of its key in the
// database that tx has selected, with its expiry. It is called once for an entry,
// or not at all. empty says that the value is a collection without elements, as
// old faults of Redis have left behind, and that there is no key for it.
func (r *Reader) Load(tx *storage.Tx) (empty bool, err error) {
	r.pending = false
	empty, err = tx.Load(r.entry.Key, r.encoding, r.src, r.entry.ExpireAtMs)
	r.err = r.at(err)
	return empty, r.err
}

// Text returns the string that is the value of the entry that Next has returned;
// the bytes are valid until the next call. It is called once for an entry, or not
// at all.
func (r *Reader) Text() ([]byte, error) {
	if !r.pending || r.entry.Type != storage.TypeString {
		return nil, errors.New("rdb: the value is no string, or was read before")
	}
	r.pending = false
	b, err := r.src.ReadString()
	r.err = r.at(err)
	return b, r.err
}

// pass reads the value of the entry at hand, checks it and makes nothing of it.
func (r *Reader) pass() error {
	r.pending = false
	_, err := r.checker.Check(r.encoding, r.src)
	return r.at(err)
}

// at adds to an error what it is about.
func (r *Reader) at(err error) error { return r.entry.at(r.encoding, err) }

// at adds to an error of the entry's value, which has a type byte, what it is about.
func (e *Entry) at(encoding byte, err error) error {
	if err == nil {
		return nil
	}
	if !errors.Is(err, wire.ErrEnd) {
		err = damaged(encoding, err)
	}
	return fmt.Errorf("%w (%s at key %.*q)", err, e.Type, shownKeyBytes, e.Key)
}

// readEnd verifies the checksum behind the end record. Zero says that there is
// none, as does a version before 5.
func (r *Reader) readEnd() error {
	if r.version < 5 {
		return io.EOF
	}
	want := r.src.Sum()
	got, err := r.src.Uint64()
	if err != nil {
		return err
	}
	r.summed = got != 0
	if r.summed && got != want {
		return wire.Corruptf("CRC error: the checksum is %016x, the bytes make %016x", got, want)
	}
	return io.EOF
}

// readAttribute reads what is told about the next key.
func (r *Reader) readAttribute(op byte) error {
	switch op {
	case opExpireTime:
		seconds, err := r.src.Uint32()
		if err != nil {
			return err
		}
		r.setExpiry(int64(int32(seconds)) * 1000)
	case opExpireTimeMs:
		ms, err := r.src.Millis()
		if err != nil {
			return err
		}
		r.setExpiry(ms)
	case opFreq:
		freq, err := r.src.Byte()
		if err != nil {
			return err
		}
		r.entry.Freq = int(freq)
	case opIdle:
		idle, err := r.src.Length()
		if err != nil {
			return err
		}
		r.entry.Idle = int64(min(idle, math.MaxInt64))
	}
	return nil
}

// setExpiry stores the expiry of the next key. The first millisecond of 1970
// would read as "does not expire", so it becomes the second.
func (r *Reader) setExpiry(ms int64) {
	if ms == 0 {
		ms = 1
	}
	r.entry.ExpireAtMs = ms
}

func (r *Reader) readSelectDB() error {
	db, err := r.src.Length()
	if err != nil {
		return err
	}
	if db > maxDB {
		return wire.Corruptf("database %d", db)
	}
	r.entry.DB = int(db)
	return nil
}

func (r *Reader) readAux() (err error) {
	if r.scratch, err = r.src.AppendString(r.scratch[:0]); err != nil {
		return err
	}
	split := len(r.scratch)
	r.auxName = split
	if r.scratch, err = r.src.AppendString(r.scratch); err != nil {
		return err
	}
	if len(r.aux) < maxAuxFields && len(r.scratch) <= maxAuxBytes {
		r.aux[string(r.scratch[:split])] = string(r.scratch[split:])
	}
	return nil
}
