package rdb

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strconv"
)

const (
	sourceBytes = 64 << 10
	growBytes   = 1 << 20 // a string's buffer grows at most this far ahead of its bytes
)

// source reads the elements of the format from a stream of bytes: integers,
// lengths, strings. It keeps the CRC of all that was consumed.
type source struct {
	in       io.Reader // nil if buf is all there is
	buf      []byte
	pos, end int // buf[pos:end] is read ahead
	summed   int // buf[:summed] is in crc
	crc      uint64
	before   int64 // bytes consumed before buf[0]
	packed   []byte
}

func newSource(in io.Reader) *source {
	return &source{in: in, buf: make([]byte, sourceBytes)}
}

// consumed returns how many bytes have been read by callers.
func (s *source) consumed() int64 { return s.before + int64(s.pos) }

// sum returns the CRC of all that was consumed.
func (s *source) sum() uint64 {
	s.crc = checksum(s.crc, s.buf[s.summed:s.pos])
	s.summed = s.pos
	return s.crc
}

// fill reads until n bytes, which fit the buffer, are ahead.
func (s *source) fill(n int) error {
	if s.end-s.pos >= n {
		return nil
	}
	if s.in == nil {
		return corrupt("ends after %d bytes", s.end)
	}
	s.sum()
	s.before += int64(s.pos)
	s.end = copy(s.buf, s.buf[s.pos:s.end])
	s.pos, s.summed = 0, 0
	got, err := io.ReadAtLeast(s.in, s.buf[s.end:], n-s.end)
	s.end += got
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt("ends after %d bytes", s.consumed()+int64(s.end))
	}
	return err
}

// next returns the next n bytes, which fit the buffer. They are valid until
// the next call.
func (s *source) next(n int) ([]byte, error) {
	if err := s.fill(n); err != nil {
		return nil, err
	}
	p := s.buf[s.pos : s.pos+n]
	s.pos += n
	return p, nil
}

func (s *source) byte() (byte, error) {
	p, err := s.next(1)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// appendBytes appends the next n bytes to dst, which grows as they arrive.
func (s *source) appendBytes(dst []byte, n uint64) ([]byte, error) {
	for n > 0 {
		if err := s.fill(1); err != nil {
			return dst, err
		}
		if len(dst) == cap(dst) {
			dst = append(make([]byte, 0, len(dst)+int(min(n, uint64(max(len(dst), growBytes))))), dst...)
		}
		part := min(n, uint64(s.end-s.pos), uint64(cap(dst)-len(dst)))
		dst = append(dst, s.buf[s.pos:s.pos+int(part)]...)
		s.pos += int(part)
		n -= part
	}
	return dst, nil
}

// lengthOrForm reads a length, or the form of a special string (Redis's rdbLoadLenByRef).
func (s *source) lengthOrForm() (n uint64, special bool, err error) {
	first, err := s.byte()
	if err != nil {
		return 0, false, err
	}
	switch {
	case first < len14Bit:
		return uint64(first), false, nil
	case first < len32Bit:
		second, err := s.byte()
		return uint64(first&0x3F)<<8 | uint64(second), false, err
	case first == len32Bit:
		p, err := s.next(4)
		if err != nil {
			return 0, false, err
		}
		return uint64(binary.BigEndian.Uint32(p)), false, nil
	case first == len64Bit:
		p, err := s.next(8)
		if err != nil {
			return 0, false, err
		}
		return binary.BigEndian.Uint64(p), false, nil
	case first >= formInt8 && first <= formLZF:
		return uint64(first), true, nil
	}
	return 0, false, corrupt("length byte 0x%02x at %d", first, s.consumed()-1)
}

func (s *source) length() (uint64, error) {
	n, special, err := s.lengthOrForm()
	if err == nil && special {
		return 0, corrupt("string form 0x%02x where a length belongs, at %d", n, s.consumed()-1)
	}
	return n, err
}

// appendString appends a string, in whatever form it is written, to dst.
func (s *source) appendString(dst []byte) ([]byte, error) {
	n, special, err := s.lengthOrForm()
	if err != nil {
		return dst, err
	}
	if !special {
		return s.appendBytes(dst, n)
	}
	if n == formLZF {
		return s.appendPacked(dst)
	}
	width := 1 << (n - formInt8)
	p, err := s.next(width)
	if err != nil {
		return dst, err
	}
	return strconv.AppendInt(dst, littleEndianInt(p), 10), nil
}

// littleEndianInt reads a signed integer of 1, 2 or 4 bytes.
func littleEndianInt(p []byte) int64 {
	switch len(p) {
	case 1:
		return int64(int8(p[0]))
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(p)))
	default:
		return int64(int32(binary.LittleEndian.Uint32(p)))
	}
}

func (s *source) appendPacked(dst []byte) ([]byte, error) {
	packed, err := s.length()
	if err != nil {
		return dst, err
	}
	size, err := s.length()
	if err != nil {
		return dst, err
	}
	if size > math.MaxInt64 {
		return dst, corrupt("compressed string of %d bytes", size)
	}
	if s.packed, err = s.appendBytes(s.packed[:0], packed); err != nil {
		return dst, err
	}
	return appendUnLZF(dst, s.packed, size)
}

// skip passes over n bytes.
func (s *source) skip(n uint64) error {
	for n > 0 {
		if err := s.fill(1); err != nil {
			return err
		}
		part := min(n, uint64(s.end-s.pos))
		s.pos += int(part)
		n -= part
	}
	return nil
}

// skipString passes over a string without unpacking it.
func (s *source) skipString() error {
	n, special, err := s.lengthOrForm()
	if err != nil {
		return err
	}
	if special && n != formLZF {
		return s.skip(1 << (n - formInt8))
	}
	if special {
		if n, err = s.length(); err != nil {
			return err
		}
		if _, err = s.length(); err != nil {
			return err
		}
	}
	return s.skip(n)
}
