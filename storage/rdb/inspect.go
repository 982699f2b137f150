package rdb

import (
	"errors"
	"io"

	"redoubt/storage/rdb/wire"
)

// Activity is what a Reader was at, by the names of redis-check-rdb.
type Activity string

// The activities.
const (
	AtStart     Activity = "start"
	AtType      Activity = "read-type"
	AtExpiry    Activity = "read-expire"
	AtKey       Activity = "read-key"
	AtValue     Activity = "read-object-value"
	AtChecksum  Activity = "check-sum"
	AtLength    Activity = "read-len"
	AtAux       Activity = "read-aux"
	AtModuleAux Activity = "read-module-aux"
	AtFunctions Activity = "read-functions"
)

// Inspection is how far a file was read, and what of it.
type Inspection struct {
	Version        int
	Keys, Expires  int64
	AlreadyExpired int64
	Offset         int64 // behind what was read last
	Summed         bool  // there was a checksum, and it was right
	// Of a bad file.
	Doing    Activity
	Key      []byte // nil: none was being read
	Encoding int    // type byte of its value, -1: none
	// Ended: the file ends too soon.
	Ended bool
}

// Sight is something beside keys: an auxiliary field, or the selection of a
// database.
type Sight struct {
	Offset    int64 // behind it
	Aux       bool
	Name, Val string // of the field
	DB        int
}

// Inspect is Check for somebody who wants to know how far a bad file is good. It
// tells see what it comes across. now is in Unix milliseconds. Behind the end record
// may be something else, as with the preamble of an append-only file.
func Inspect(in io.Reader, now int64, see func(Sight)) (Inspection, error) {
	r := NewReader(in)
	r.seen = func(op byte) {
		switch op {
		case opAux:
			see(Sight{Offset: r.Offset(), Aux: true, Name: string(r.scratch[:r.auxName]), Val: string(r.scratch[r.auxName:])})
		case opSelectDB:
			see(Sight{Offset: r.Offset(), DB: r.entry.DB})
		}
		r.op = opNone
	}
	r.op = opNone
	var i Inspection
	for {
		e, err := r.Next()
		i.Version, i.Offset = r.version, r.Offset()
		if errors.Is(err, io.EOF) {
			i.Summed = r.summed
			return i, nil
		}
		if err == nil {
			r.op = opNone
			i.Keys++
			if e.ExpireAtMs != 0 {
				i.Expires++
			}
			if e.ExpireAtMs != 0 && e.ExpireAtMs < now {
				i.AlreadyExpired++
			}
			i.Key, i.Encoding, i.Doing = append(i.Key[:0], e.Key...), int(r.encoding), AtValue
			err = r.pass()
			i.Offset = r.Offset()
		} else {
			i.Key, i.Encoding, i.Doing = nil, -1, r.activity()
			if i.Doing == AtKey {
				i.Encoding = int(r.op)
			}
		}
		if err != nil {
			i.Ended = errors.Is(err, wire.ErrEnd)
			return i, err
		}
	}
}

// opNone is no opcode: a record has not begun.
const opNone = 8

// activity is what an error of Next that is not about a value belongs to.
func (r *Reader) activity() Activity {
	switch r.op {
	case opNone:
		if r.Offset() <= magicBytes {
			return AtStart
		}
		return AtType
	case opExpireTime, opExpireTimeMs:
		return AtExpiry
	case opSelectDB, opResizeDB, opSlotInfo, opSlotImport:
		return AtLength
	case opAux:
		return AtAux
	case opModuleAux:
		return AtModuleAux
	case opFunction, opFunctionRC:
		return AtFunctions
	case opEOF:
		return AtChecksum
	case opIdle, opFreq:
		return AtType
	}
	if _, err := typeOf(r.op, r.valkey, nil); errors.Is(err, ErrCorrupt) {
		return AtType
	}
	return AtKey
}
