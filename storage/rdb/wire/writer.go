package wire

import (
	"encoding/binary"
	"io"
	"math"
	"strconv"
)

const (
	maxInt32Digits  = 11 // "-2147483648"
	compressAbove   = 20 // shorter strings are not worth the try, says Redis
	compressSavings = 4  // bytes that compression must save
	// compressInPlace is up to where a string is compressed into the buffer. A
	// longer one is compressed twice, once to learn its length, so that the
	// compressed string is never in memory as a whole.
	compressInPlace = 256 << 10
	// pieceBytes is what is passed on at once of a long string.
	pieceBytes = 1 << 20

	// Short strings that do not compress are usually followed by others of that
	// kind, and trying costs more than all else that is done with one. So after
	// vainTries in a row only one in tryAgain is tried, until one compresses.
	shortString = 256
	vainTries   = 64
	tryAgain    = 8
)

// Writer writes the primitives of the format. The zero value collects in
// memory; NewWriter's writes to an io.Writer. It is not safe for concurrent
// use.
//
// Methods that write return nothing: after the first error of the io.Writer
// nothing more is written, and Err and Flush return that error.
type Writer struct {
	// Compress lets strings above 20 bytes be written in LZF if that saves at
	// least four bytes, as rdbcompression asks for. Where that has saved nothing
	// for long, only some of the short ones are tried.
	Compress bool
	// Checksum has the CRC of all bytes computed for Sum. Set it before the
	// first byte.
	Checksum bool

	out     io.Writer // nil: collect in buf
	buf     []byte
	base    int   // buf[:base] is the caller's
	summed  int   // buf[base:summed] is in crc
	written int64 // bytes that have left buf
	crc     uint64
	err     error

	lzf  *compressor // made at the first use: it takes 32 KiB
	vain int         // short strings in a row that were not compressed
	open StringWriter
}

// NewWriter returns a Writer to out. What is written has arrived there after
// Flush.
func NewWriter(out io.Writer) *Writer {
	return &Writer{out: out, buf: make([]byte, 0, bufferBytes)}
}

// Reset makes the Writer start anew and append to dst in memory.
func (w *Writer) Reset(dst []byte) {
	w.out, w.buf, w.base, w.summed, w.written, w.crc, w.err = nil, dst, len(dst), len(dst), 0, 0, nil
	w.vain = 0
}

// Collected returns the slice of Reset with all that was written since.
func (w *Writer) Collected() []byte { return w.buf }

// Offset returns how many bytes have been written.
func (w *Writer) Offset() int64 { return w.written + int64(len(w.buf)-w.base) }

// Sum returns the Checksum of all bytes written, or 0 if none is computed.
func (w *Writer) Sum() uint64 {
	if w.Checksum {
		w.crc = Checksum(w.crc, w.buf[w.summed:])
		w.summed = len(w.buf)
	}
	return w.crc
}

// Err returns the first error.
func (w *Writer) Err() error { return w.err }

// Flush passes on what is buffered, and returns the first error.
func (w *Writer) Flush() error {
	if w.out == nil {
		return w.err
	}
	w.Sum()
	w.pass(w.buf)
	w.buf, w.summed = w.buf[:0], 0
	return w.err
}

// pass gives p, which is summed, to the io.Writer.
func (w *Writer) pass(p []byte) {
	w.written += int64(len(p))
	if w.err == nil && len(p) > 0 {
		_, w.err = w.out.Write(p)
	}
}

// flushIfFull keeps the buffer at about its size. Whatever appends to it calls
// this afterwards.
func (w *Writer) flushIfFull() {
	if len(w.buf) >= bufferBytes {
		w.Flush()
	}
}

// Write writes p as it is. It is io.Writer's.
func (w *Writer) Write(p []byte) (int, error) {
	if w.out == nil || len(p) < bufferBytes {
		w.buf = append(w.buf, p...)
		w.flushIfFull()
		return len(p), w.err
	}
	// A long one goes past the buffer, in pieces that are still in the cache when
	// they are written.
	w.Flush()
	for rest := p; len(rest) > 0 && w.err == nil; {
		piece := rest[:min(len(rest), pieceBytes)]
		if w.Checksum {
			w.crc = Checksum(w.crc, piece)
		}
		w.pass(piece)
		rest = rest[len(piece):]
	}
	return len(p), w.err
}

// Byte writes a byte.
func (w *Writer) Byte(b byte) {
	w.buf = append(w.buf, b)
	w.flushIfFull()
}

// Uint16 writes two bytes, little endian.
func (w *Writer) Uint16(n uint16) {
	w.buf = binary.LittleEndian.AppendUint16(w.buf, n)
	w.flushIfFull()
}

// Uint64 writes eight bytes, little endian.
func (w *Writer) Uint64(n uint64) {
	w.buf = binary.LittleEndian.AppendUint64(w.buf, n)
	w.flushIfFull()
}

// Millis writes a time in Unix milliseconds, as rdbSaveMillisecondTime.
func (w *Writer) Millis(ms int64) { w.Uint64(uint64(ms)) }

// Double writes a double in binary form, as rdbSaveBinaryDoubleValue.
func (w *Writer) Double(f float64) { w.Uint64(math.Float64bits(f)) }

// Length writes a length in its shortest form, as rdbSaveLen.
func (w *Writer) Length(n uint64) {
	w.buf = appendLength(w.buf, n)
	w.flushIfFull()
}

// String writes s in its shortest form, as rdbSaveRawString: as an integer, or
// compressed, or plain.
func (w *Writer) String(s []byte) {
	if len(s) <= maxInt32Digits {
		if n, ok := canonicalInt(s); ok && n == int64(int32(n)) {
			w.buf = appendInt32(w.buf, int32(n))
			w.flushIfFull()
			return
		}
	}
	if w.Compress && len(s) > compressAbove && w.promising(s) && w.compressed(s) {
		w.vain = 0
		w.flushIfFull()
		return
	}
	w.buf = appendLength(w.buf, uint64(len(s)))
	w.Write(s)
}

// Int writes an integer as a string, as rdbSaveLongLongAsStringObject.
func (w *Writer) Int(n int64) {
	if n == int64(int32(n)) {
		w.buf = appendInt32(w.buf, int32(n))
	} else {
		var digits [maxIntDigits]byte
		s := strconv.AppendInt(digits[:0], n, 10)
		w.buf = append(appendLength(w.buf, uint64(len(s))), s...)
	}
	w.flushIfFull()
}

// Element writes an element as a string.
func (w *Writer) Element(e Element) {
	if e.IsInt() {
		w.Int(e.n)
		return
	}
	w.String(e.str)
}

// promising reports whether it is worth trying to compress s.
func (w *Writer) promising(s []byte) bool {
	if len(s) > shortString {
		return true
	}
	w.vain++
	return w.vain <= vainTries || w.vain%tryAgain == 0
}

// maxHeader is what precedes compressed bytes at most: form and two lengths.
const maxHeader = 1 + 9 + 9

// compressed writes s in the LZF form, if that saves enough.
func (w *Writer) compressed(s []byte) bool {
	if w.lzf == nil {
		w.lzf = new(compressor)
	}
	limit := len(s) - compressSavings
	if len(s) > compressInPlace {
		n, ok := w.lzf.measure(s, limit)
		if ok {
			w.compressTwice(s, n)
		}
		return ok
	}
	// The length of the compressed bytes stands before them, so they are first
	// written behind a gap wide enough for any header, and then moved up to the
	// real one.
	start := len(w.buf)
	var gap [maxHeader]byte
	out, ok := w.lzf.appendLZF(append(w.buf, gap[:]...), s, limit)
	if !ok {
		w.buf = out[:start]
		return false
	}
	packed := out[start+maxHeader:]
	header := appendPackedHeader(gap[:0], len(packed), len(s))
	w.buf = append(append(out[:start], header...), packed...)
	return true
}

// compressTwice writes s in the LZF form of n bytes, which was measured.
func (w *Writer) compressTwice(s []byte, n int) {
	w.buf = appendPackedHeader(w.buf, n, len(s))
	run := w.lzf.begin(s)
	for done := false; !done; {
		w.buf, done = run.run(w.buf, measureBytes)
		w.flushIfFull()
	}
}

func appendPackedHeader(dst []byte, packed, size int) []byte {
	dst = appendLength(append(dst, formLZF), uint64(packed))
	return appendLength(dst, uint64(size))
}

func appendLength(dst []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(dst, len6Bit|byte(n))
	case n < 1<<14:
		return append(dst, len14Bit|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, len32Bit), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, len64Bit), n)
	}
}

func appendInt32(dst []byte, n int32) []byte {
	switch {
	case n >= math.MinInt8 && n <= math.MaxInt8:
		return append(dst, formInt8, byte(n))
	case n >= math.MinInt16 && n <= math.MaxInt16:
		return binary.LittleEndian.AppendUint16(append(dst, formInt16), uint16(n))
	default:
		return binary.LittleEndian.AppendUint32(append(dst, formInt32), uint32(n))
	}
}

// StringWriter writes one plain string piece by piece, so that it need not be
// in memory as a whole. It must be closed before the Writer is used again.
type StringWriter struct {
	w    *Writer
	left uint64 // announced bytes still to come
}

// OpenString begins to write a string of n bytes in plain form.
func (w *Writer) OpenString(n uint64) *StringWriter {
	w.Length(n)
	w.open = StringWriter{w: w, left: n}
	return &w.open
}

// Write writes the next piece. It is io.Writer's.
func (s *StringWriter) Write(p []byte) (int, error) {
	if uint64(len(p)) > s.left {
		s.w.fail(ErrStringLength)
	}
	s.left -= min(s.left, uint64(len(p)))
	return s.w.Write(p)
}

// Close ends the string. If its pieces were more or fewer bytes than announced
// it fails with ErrStringLength, and so does the Writer: what would follow
// could not be read.
func (s *StringWriter) Close() error {
	if s.left != 0 {
		s.w.fail(ErrStringLength)
	}
	return s.w.err
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
