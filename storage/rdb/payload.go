package rdb

import (
	"encoding/binary"
	"errors"

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

// AppendPayload appends the DUMP payload of the value of e to dst.
func (enc *Encoder) AppendPayload(dst []byte, e *Entry) ([]byte, error) {
	encoding, err := encodingOf(e)
	if err != nil {
		return dst, err
	}
	w := &enc.w
	w.Compress, w.Checksum = enc.Compress, true
	w.Reset(dst)
	w.Byte(encoding)
	writeValue(w, e)
	w.Uint16(Version)
	w.Uint64(w.Sum())
	dst = w.Collected()
	w.Reset(nil) // the payload is the caller's
	return dst, nil
}

// DecodePayload reads a payload of DUMP into e, of which it sets Type and
// Value and uses Value's memory. It returns ErrPayload, or an error that wraps
// ErrCorrupt or ErrUnsupportedType.
func DecodePayload(payload []byte, e *Entry) error {
	if len(payload) < payloadTrailerBytes {
		return ErrPayload
	}
	body := payload[:len(payload)-payloadTrailerBytes]
	version := binary.LittleEndian.Uint16(payload[len(body):])
	if (version == 0 || version > maxRedisVersion) && version != valkeyVersion {
		return ErrPayload
	}
	summed := payload[:len(payload)-payloadChecksumBytes]
	if wire.Checksum(0, summed) != binary.LittleEndian.Uint64(payload[len(summed):]) {
		return ErrPayload
	}
	if len(body) == 0 {
		return wire.Corruptf("no value")
	}
	codec := codecs[body[0]]
	if codec == nil {
		return wire.Corruptf("unknown type %d", body[0])
	}
	e.Type = codec.typ
	if codec.decode == nil {
		return unsupported(e.Type, nil)
	}
	r := wire.NewBytesReader(body[1:])
	if err := codec.decode(r, e); err != nil {
		return err
	}
	return r.ExpectEnd()
}
