package rdb

import (
	"encoding/binary"
	"errors"
)

// A payload of DUMP is a type byte, the value, and this trailer (Redis's
// createDumpPayload).
const (
	payloadVersionBytes = 2
	payloadTrailerBytes = payloadVersionBytes + checksumBytes
)

// ErrPayload says that the frame of a payload is wrong: RESTORE answers "DUMP
// payload version or checksum are wrong" to it, and "Bad data format" to
// ErrCorrupt.
var ErrPayload = errors.New("rdb: payload version or checksum are wrong")

// AppendPayload appends the DUMP payload of the value of e to dst.
func (enc *Encoder) AppendPayload(dst []byte, e *Entry) ([]byte, error) {
	encoding, err := encodingOf(e)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	dst = append(dst, encoding)
	dst = enc.appendValue(dst, e)
	dst = binary.LittleEndian.AppendUint16(dst, Version)
	return binary.LittleEndian.AppendUint64(dst, checksum(0, dst[start:])), nil
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
	summed := payload[:len(payload)-checksumBytes]
	if checksum(0, summed) != binary.LittleEndian.Uint64(payload[len(summed):]) {
		return ErrPayload
	}
	if len(body) == 0 {
		return corrupt("no value")
	}
	codec := codecs[body[0]]
	if codec == nil {
		return corrupt("unknown type %d", body[0])
	}
	e.Type = codec.typ
	if codec.decode == nil {
		return unsupported(e.Type, nil)
	}
	s := &source{buf: body, pos: 1, end: len(body)}
	if err := codec.decode(s, e); err != nil {
		return err
	}
	if left := s.end - s.pos; left != 0 {
		return corrupt("%d bytes behind the value", left)
	}
	return nil
}
