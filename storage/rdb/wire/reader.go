package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strconv"
)

const (
	bufferBytes = 64 << 10
	growBytes   = 1 << 20 // a string's buffer grows at most this far ahead of its bytes
)

// MaxNext is the most bytes that Reader.Next delivers at once.
const MaxNext = bufferBytes

// Top bits of a length's first byte, and the special string forms.
const (
	len6Bit   = 0x00
	len14Bit  = 0x40
	len32Bit  = 0x80
	len64Bit  = 0x81
	formInt8  = 0xC0
	formInt16 = 0xC1
	formInt32 = 0xC2
	formLZF   = 0xC3
)

// Reader reads the primitives of the format from a stream of bytes. It is not
// safe for concurrent use. After an error its position is undefined.
type Reader struct {
	in       io.Reader // nil if buf is all there is
	buf      []byte
	pos, end int // buf[pos:end] is read ahead
	summed   int // buf[:summed] is in crc
	crc      uint64
	before   int64 // bytes delivered before buf[0]

	maxString uint64
	scratch   []byte // of a string that does not lie in buf as it is
	window    []byte // of the open string, if it is compressed
	open      StringReader
}

// NewReader returns a Reader of what in delivers. It reads ahead, so bytes
// behind the last one delivered are lost to the owner of in.
func NewReader(in io.Reader) *Reader {
	return &Reader{in: in, buf: make([]byte, bufferBytes), maxString: math.MaxInt64}
}

// NewBytesReader returns a Reader of p, which must not change while it is read.
func NewBytesReader(p []byte) *Reader {
	return &Reader{buf: p, end: len(p), maxString: math.MaxInt64}
}

// Reset makes a BytesReader one of p.
func (r *Reader) Reset(p []byte) {
	r.buf, r.pos, r.end = p, 0, len(p)
	r.summed, r.crc, r.before = 0, 0, 0
}

// LimitString makes a string of more than n bytes corruption. Without it the
// only limit is what arrives; compressed, an arriving byte stands for up to 88.
func (r *Reader) LimitString(n uint64) { r.maxString = min(n, math.MaxInt64) }

// Offset returns how many bytes have been delivered.
func (r *Reader) Offset() int64 { return r.before + int64(r.pos) }

// Sum returns the Checksum of all bytes delivered.
func (r *Reader) Sum() uint64 {
	r.crc = Checksum(r.crc, r.buf[r.summed:r.pos])
	r.summed = r.pos
	return r.crc
}

// Corruptf returns an error that wraps ErrCorrupt, says what is wrong, and adds
// the offset.
func (r *Reader) Corruptf(format string, args ...any) error {
	return Corruptf(format+", at %d", append(args, r.Offset())...)
}

// fill reads until n bytes, at most MaxNext, are ahead.
func (r *Reader) fill(n int) error {
	if r.end-r.pos >= n {
		return nil
	}
	if r.in == nil {
		return endsAfter(int64(r.end))
	}
	r.Sum()
	r.before += int64(r.pos)
	r.end = copy(r.buf, r.buf[r.pos:r.end])
	r.pos, r.summed = 0, 0
	got, err := io.ReadAtLeast(r.in, r.buf[r.end:], n-r.end)
	r.end += got
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return endsAfter(r.Offset() + int64(r.end))
	}
	return err
}

// readSome reads at least one byte into p: what is ahead, or else, if p is long,
// what arrives, past the buffer.
func (r *Reader) readSome(p []byte) (int, error) {
	if r.pos < r.end || r.in == nil || len(p) < bufferBytes {
		if err := r.fill(1); err != nil {
			return 0, err
		}
		n := copy(p, r.buf[r.pos:r.end])
		r.pos += n
		return n, nil
	}
	r.Sum()
	r.before += int64(r.pos)
	r.pos, r.end, r.summed = 0, 0, 0
	n, err := io.ReadAtLeast(r.in, p, 1)
	r.crc = Checksum(r.crc, p[:n])
	r.before += int64(n)
	if errors.Is(err, io.EOF) {
		return n, endsAfter(r.before)
	}
	return n, err
}

// Next returns the next n bytes, at most MaxNext. They are valid until the next
// call of the Reader.
func (r *Reader) Next(n int) ([]byte, error) {
	if err := r.fill(n); err != nil {
		return nil, err
	}
	p := r.buf[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return p, nil
}

// Skip passes over n bytes.
func (r *Reader) Skip(n uint64) error {
	for n > 0 {
		if err := r.fill(1); err != nil {
			return err
		}
		part := min(n, uint64(r.end-r.pos))
		r.pos += int(part)
		n -= part
	}
	return nil
}

// ExpectEnd returns nil if no byte is left, and corruption otherwise.
func (r *Reader) ExpectEnd() error {
	if r.pos == r.end && r.in != nil {
		var one [1]byte
		_, err := io.ReadFull(r.in, one[:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	} else if r.pos == r.end {
		return nil
	}
	return r.Corruptf("bytes behind the end")
}

// Byte reads a byte.
func (r *Reader) Byte() (byte, error) {
	p, err := r.Next(1)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// Uint32 reads four bytes, little endian.
func (r *Reader) Uint32() (uint32, error) {
	p, err := r.Next(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(p), nil
}

// Uint64 reads eight bytes, little endian.
func (r *Reader) Uint64() (uint64, error) {
	p, err := r.Next(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(p), nil
}

// Millis reads a time in Unix milliseconds, as rdbLoadMillisecondTime.
func (r *Reader) Millis() (int64, error) {
	n, err := r.Uint64()
	return int64(n), err
}

// Double reads a double in binary form, as rdbLoadBinaryDoubleValue.
func (r *Reader) Double() (float64, error) {
	n, err := r.Uint64()
	return math.Float64frombits(n), err
}

// The lengths of a double in text form that stand for values without text.
const (
	doubleNaN    = 253
	doubleInf    = 254
	doubleNegInf = 255
)

// DoubleText reads a double in the text form of the oldest sorted sets, as
// rdbLoadDoubleValue.
func (r *Reader) DoubleText() (float64, error) {
	n, err := r.Byte()
	if err != nil {
		return 0, err
	}
	switch n {
	case doubleNaN:
		return math.NaN(), nil
	case doubleInf:
		return math.Inf(1), nil
	case doubleNegInf:
		return math.Inf(-1), nil
	}
	p, err := r.Next(int(n))
	if err != nil {
		return 0, err
	}
	f, ok := parseDouble(p)
	if !ok {
		return 0, r.Corruptf("%q is not a number", p)
	}
	return f, nil
}

// lengthOrForm reads a length, or the form of a special string.
func (r *Reader) lengthOrForm() (n uint64, special bool, err error) {
	first, err := r.Byte()
	if err != nil {
		return 0, false, err
	}
	switch {
	case first < len14Bit:
		return uint64(first), false, nil
	case first < len32Bit:
		second, err := r.Byte()
		return uint64(first&0x3F)<<8 | uint64(second), false, err
	case first == len32Bit:
		p, err := r.Next(4)
		if err != nil {
			return 0, false, err
		}
		return uint64(binary.BigEndian.Uint32(p)), false, nil
	case first == len64Bit:
		p, err := r.Next(8)
		if err != nil {
			return 0, false, err
		}
		return binary.BigEndian.Uint64(p), false, nil
	case first >= formInt8 && first <= formLZF:
		return uint64(first), true, nil
	}
	return 0, false, Corruptf("length byte 0x%02x at %d", first, r.Offset()-1)
}

// Length reads a length, as rdbLoadLen. All 64 bits may be set: streams write
// "unknown" so. A count that was read is no reason to allocate for so many.
func (r *Reader) Length() (uint64, error) {
	n, special, err := r.lengthOrForm()
	if err == nil && special {
		return 0, Corruptf("string form 0x%02x where a length belongs, at %d", n, r.Offset()-1)
	}
	return n, err
}

// parseDouble reads a number as strtod does: what is out of range becomes
// infinite or zero. Go's underscores between digits are not part of that.
func parseDouble(p []byte) (float64, bool) {
	if bytes.IndexByte(p, '_') >= 0 {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(p), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return f, true
}
