package rdb

import (
	"encoding/binary"
	"errors"

	"redoubt/storage"
	"redoubt/storage/rdb/wire"
)

// A payload of DUMP is a type byte, the value, and this trailer: a version and
// a checksum, little endian.
const (
	payloadVersionBytes  = 2
	payloadChecksumBytes = 8
	payloadTrailerBytes  = payloadVersionBytes + payloadChecksumBytes
)

// ErrPayload says that the frame of a payload is wrong: RESTORE answers "DUMP
// payload version or checksum are wrong" to it, and "Bad data format" to
// ErrCorrupt.
var ErrPayload = errors.New("rdb: payload version or checksum are wrong")

// Encoder makes payloads. The zero value is ready to use and does not
// compress. It is not safe for concurrent use.
type Encoder struct {
	Compress bool // LZF for strings above 20 bytes, as rdbcompression asks for

	w wire.Writer
}

// AppendPayload appends the DUMP payload of a value to dst.
func (enc *Encoder) AppendPayload(dst []byte, v Value) []byte {
	w := &enc.w
	w.Compress, w.Checksum = enc.Compress, true
	w.Reset(dst)
	encoding, version := v.Encoding(), uint16(Version)
	if storage.EncodingHasDue(encoding) {
		version = valkeyVersion
	}
	w.Byte(encoding)
	v.Save(w)
	w.Uint16(version)
	w.Uint64(w.Sum())
	dst = w.Collected()
	w.Reset(nil) // the payload is the caller's
	return dst
}

// Payload is the value in a payload of DUMP that has been checked.
type Payload struct {
	Type storage.Type

	encoding byte
	value    []byte
}

// ParsePayload checks a payload of DUMP, frame and value, and keeps it. It
// returns ErrPayload, or an error that wraps ErrCorrupt or ErrUnsupportedType. A
// collection without elements is corrupt.
func ParsePayload(payload []byte) (p Payload, err error) { return parsePayload(payload, true) }

// ParseUnsummed is ParsePayload without a look at the checksum.
func ParseUnsummed(payload []byte) (p Payload, err error) { return parsePayload(payload, false) }

func parsePayload(payload []byte, sum bool) (p Payload, err error) {
	if len(payload) < payloadTrailerBytes {
		return p, ErrPayload
	}
	body := payload[:len(payload)-payloadTrailerBytes]
	version := binary.LittleEndian.Uint16(payload[len(body):])
	if (version == 0 || version > maxRedisVersion) && version != valkeyVersion {
		return p, ErrPayload
	}
	summed := payload[:len(payload)-payloadChecksumBytes]
	if sum && wire.Checksum(0, summed) != binary.LittleEndian.Uint64(payload[len(summed):]) {
		return p, ErrPayload
	}
	if len(body) == 0 {
		return p, wire.Corruptf("no value")
	}
	p = Payload{encoding: body[0], value: body[1:]}
	if p.Type, err = typeOf(p.encoding, version == valkeyVersion, nil); err != nil {
		return p, damaged(p.encoding, err)
	}
	r := wire.NewBytesReader(p.value)
	empty, err := new(storage.Checker).Check(p.encoding, r)
	if err == nil && empty {
		err = wire.Corruptf("a collection without elements")
	}
	if err == nil {
		err = r.ExpectEnd()
	}
	return p, damaged(p.encoding, err)
}

// Load makes the value that of key in the database that tx has selected, with the
// expiry expireAt in Unix milliseconds, 0 for none.
func (p *Payload) Load(tx *storage.Tx, key []byte, expireAt int64) error {
	_, err := tx.Load(key, p.encoding, wire.NewBytesReader(p.value), expireAt)
	return err
}

// Errors of ParseFunctions, beside ErrPayload and what wraps ErrCorrupt.
var (
	ErrOldFunctions = errors.New("rdb: the form of functions before Redis 7.0")
	ErrNoFunctions  = errors.New("rdb: the payload holds something else than functions")
)

// AppendFunctions appends the payload of FUNCTION DUMP to dst: the code of each
// library, as files have it, and the trailer of a payload.
func (enc *Encoder) AppendFunctions(dst []byte, codes []string) []byte {
	w := &enc.w
	w.Compress, w.Checksum = enc.Compress, true
	w.Reset(dst)
	for _, code := range codes {
		w.Byte(opFunction)
		w.String([]byte(code))
	}
	w.Uint16(Version)
	w.Uint64(w.Sum())
	dst = w.Collected()
	w.Reset(nil)
	return dst
}

// ParseFunctions returns the code of the libraries in a payload of FUNCTION DUMP. It
// matches functionRestoreCommand.
func ParseFunctions(payload []byte) (codes []string, err error) {
	if len(payload) < payloadTrailerBytes {
		return nil, ErrPayload
	}
	body := payload[:len(payload)-payloadTrailerBytes]
	version := binary.LittleEndian.Uint16(payload[len(body):])
	summed := payload[:len(payload)-payloadChecksumBytes]
	sum := binary.LittleEndian.Uint64(payload[len(summed):])
	if (version == 0 || version > maxRedisVersion) && version != valkeyVersion || sum != wire.Checksum(0, summed) {
		return nil, ErrPayload
	}
	r := wire.NewBytesReader(body)
	for r.Offset() < int64(len(body)) {
		op, err := r.Byte()
		if err != nil {
			return nil, err
		}
		switch op {
		case opFunction:
		case opFunctionRC:
			return nil, ErrOldFunctions
		default:
			return nil, ErrNoFunctions
		}
		code, err := r.ReadString()
		if err != nil {
			return nil, err
		}
		codes = append(codes, string(code))
	}
	return codes, nil
}
