package wire

import (
	"encoding/binary"
	"io"
	"math"
	"strconv"
)

// Element reads a string, in whatever form it is written, and returns an
// integer as such. The Element is valid until the next call of the Reader.
func (r *Reader) Element() (Element, error) {
	n, special, err := r.lengthOrForm()
	switch {
	case err != nil:
		return Element{}, err
	case special && n != formLZF:
		v, err := r.integer(n)
		return Int(v), err
	case !special && (n <= MaxNext || r.in == nil && n <= uint64(r.end-r.pos)):
		if err := r.checkSize(n); err != nil {
			return Element{}, err
		}
		p, err := r.Next(int(n))
		return Str(p), err
	case special:
		r.scratch, err = r.appendPacked(r.emptyScratch())
	default:
		r.scratch, err = r.appendPlain(r.emptyScratch(), n)
	}
	return Str(r.scratch), err
}

// ReadString reads a string, in whatever form it is written. The bytes are
// valid until the next call of the Reader.
func (r *Reader) ReadString() ([]byte, error) {
	e, err := r.Element()
	if err != nil {
		return nil, err
	}
	if e.IsInt() {
		r.scratch = e.AppendTo(r.emptyScratch())
		return r.scratch, nil
	}
	return e.str, nil
}

// emptyScratch returns the scratch buffer, unless one large string has made it
// larger than others need.
func (r *Reader) emptyScratch() []byte {
	if cap(r.scratch) > growBytes {
		r.scratch = nil
	}
	return r.scratch[:0]
}

// AppendString reads a string, in whatever form it is written, and appends it
// to dst.
func (r *Reader) AppendString(dst []byte) ([]byte, error) {
	n, special, err := r.lengthOrForm()
	switch {
	case err != nil:
		return dst, err
	case !special:
		return r.appendPlain(dst, n)
	case n == formLZF:
		return r.appendPacked(dst)
	}
	v, err := r.integer(n)
	if err != nil {
		return dst, err
	}
	return strconv.AppendInt(dst, v, 10), nil
}

// SkipString passes over a string without unpacking it.
func (r *Reader) SkipString() error {
	n, special, err := r.lengthOrForm()
	if err != nil {
		return err
	}
	if special && n != formLZF {
		return r.Skip(1 << (n - formInt8))
	}
	if special {
		if n, err = r.Length(); err != nil {
			return err
		}
		if _, err = r.Length(); err != nil {
			return err
		}
	}
	return r.Skip(n)
}

// RawString reads a string of at most so many bytes in the file, and MaxNext, in
// whatever form it is written, and returns these bytes: for a BytesReader to read
// them. They are valid until the next call of the Reader. A longer string is not
// read: ok is false.
func (r *Reader) RawString(most int) (raw []byte, ok bool, err error) {
	n, err := r.rawSize()
	if err != nil || n > uint64(min(most, MaxNext)) {
		return nil, false, err
	}
	raw, err = r.Next(int(n))
	return raw, err == nil, err
}

// rawSize is how many bytes of the file the string that comes next takes. It reads
// none of them.
func (r *Reader) rawSize() (uint64, error) {
	const longest = 1 + 9 + 9 // of what stands before the bytes of a string
	_ = r.fill(longest)       // the file may end before that
	// So what follows moves nothing in buf, unless it fails.
	at := r.pos
	n, special, err := r.lengthOrForm()
	switch {
	case err != nil:
		return 0, err
	case special && n != formLZF:
		n = 1 << (n - formInt8)
	case special:
		if n, err = r.Length(); err == nil {
			_, err = r.Length()
		}
	}
	header := uint64(r.pos - at)
	r.pos = at
	return header + min(n, math.MaxInt64), err
}

// integer reads the integer of a special form.
func (r *Reader) integer(form uint64) (int64, error) {
	p, err := r.Next(1 << (form - formInt8))
	if err != nil {
		return 0, err
	}
	switch form {
	case formInt8:
		return int64(int8(p[0])), nil
	case formInt16:
		return int64(int16(binary.LittleEndian.Uint16(p))), nil
	default:
		return int64(int32(binary.LittleEndian.Uint32(p))), nil
	}
}

func (r *Reader) checkSize(n uint64) error {
	if n > r.maxString {
		return r.Corruptf("string of %d bytes", n)
	}
	return nil
}

// appendPlain appends the next n bytes to dst, which grows as they arrive.
func (r *Reader) appendPlain(dst []byte, n uint64) ([]byte, error) {
	if err := r.checkSize(n); err != nil {
		return dst, err
	}
	for n > 0 {
		if err := r.fill(1); err != nil {
			return dst, err
		}
		if len(dst) == cap(dst) {
			dst = append(make([]byte, 0, len(dst)+int(min(n, uint64(max(len(dst), growBytes))))), dst...)
		}
		part := min(n, uint64(r.end-r.pos), uint64(cap(dst)-len(dst)))
		dst = append(dst, r.buf[r.pos:r.pos+int(part)]...)
		r.pos += int(part)
		n -= part
	}
	return dst, nil
}

// packedSizes reads the two lengths of a compressed string.
func (r *Reader) packedSizes() (packed, size uint64, err error) {
	if packed, err = r.Length(); err != nil {
		return 0, 0, err
	}
	if size, err = r.Length(); err != nil {
		return 0, 0, err
	}
	if size/lzfMaxRatio > packed {
		return 0, 0, r.Corruptf("%d bytes claimed from %d compressed", size, packed)
	}
	return packed, size, r.checkSize(size)
}

// appendPacked appends what a compressed string stands for. The compressed
// bytes are taken from the buffer where they fit it; a longer string is
// expanded piece by piece.
func (r *Reader) appendPacked(dst []byte) ([]byte, error) {
	packed, size, err := r.packedSizes()
	if err != nil {
		return dst, err
	}
	if packed <= MaxNext {
		p, err := r.Next(int(packed))
		if err != nil {
			return dst, err
		}
		return appendUnLZF(dst, p, size)
	}
	s := r.openPacked(packed, size)
	for {
		p, err := s.Next()
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
		dst = append(dst, p...)
	}
}

// StringReader reads one string of a Reader piece by piece, so that it need not
// be in memory as a whole. It must be read to its end, or discarded, before the
// Reader is used again.
type StringReader struct {
	r      *Reader
	size   uint64 // of the string
	left   uint64 // bytes that are still to be read or expanded
	packed uint64 // compressed bytes that are still to be read
	isLZF  bool
	piece  []byte // read, but not yet delivered
}

// OpenString begins to read a string, in whatever form it is written.
func (r *Reader) OpenString() (*StringReader, error) {
	n, special, err := r.lengthOrForm()
	if err != nil {
		return nil, err
	}
	if !special {
		r.open = StringReader{r: r, size: n, left: n}
		return &r.open, r.checkSize(n)
	}
	if n == formLZF {
		packed, size, err := r.packedSizes()
		if err != nil {
			return nil, err
		}
		return r.openPacked(packed, size), nil
	}
	v, err := r.integer(n)
	if err != nil {
		return nil, err
	}
	r.scratch = strconv.AppendInt(r.emptyScratch(), v, 10)
	r.open = StringReader{r: r, size: uint64(len(r.scratch)), piece: r.scratch}
	return &r.open, nil
}

func (r *Reader) openPacked(packed, size uint64) *StringReader {
	r.window = r.window[:0]
	r.open = StringReader{r: r, size: size, left: size, packed: packed, isLZF: true}
	return &r.open
}

// Len returns the length of the whole string in bytes. It is a claim until the
// string has been read.
func (s *StringReader) Len() uint64 { return s.size }

// Next returns the next piece of the string, at most 64 KiB, or io.EOF behind
// the last. The bytes are valid until the next call.
func (s *StringReader) Next() ([]byte, error) {
	if p := s.piece; len(p) > 0 {
		s.piece = nil
		return p, nil
	}
	if s.isLZF {
		return s.expand()
	}
	if s.left == 0 {
		return nil, io.EOF
	}
	if err := s.r.fill(1); err != nil {
		return nil, err
	}
	p, err := s.r.Next(int(min(s.left, uint64(s.r.end-s.r.pos), bufferBytes)))
	s.left -= uint64(len(p))
	return p, err
}

// End returns nil if the string was read to its end, and whatever Next has to say
// otherwise.
func (s *StringReader) End() error {
	switch _, err := s.Next(); {
	case err == io.EOF:
		return nil
	case err != nil:
		return err
	}
	return ErrStringLength
}

// Read is io.Reader's. A long piece of a plain string goes straight to p.
func (s *StringReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(s.piece) == 0 && !s.isLZF && s.left > 0 {
		n, err := s.r.readSome(p[:min(uint64(len(p)), s.left)])
		s.left -= uint64(n)
		return n, err
	}
	if len(s.piece) == 0 {
		piece, err := s.Next()
		if err != nil {
			return 0, err
		}
		s.piece = piece
	}
	n := copy(p, s.piece)
	s.piece = s.piece[n:]
	return n, nil
}

// Discard passes over the rest of the string.
func (s *StringReader) Discard() error {
	rest := s.left
	if s.isLZF {
		rest = s.packed
	}
	s.piece, s.left, s.packed = nil, 0, 0
	return s.r.Skip(rest)
}

// expand returns the next piece of a compressed string. The window keeps the
// last bytes of the piece before, since copies may refer to them.
func (s *StringReader) expand() ([]byte, error) {
	if s.packed == 0 && s.left == 0 {
		return nil, io.EOF
	}
	r := s.r
	if r.window == nil {
		r.window = make([]byte, 0, bufferBytes)
	}
	if keep := len(r.window) - lzfMaxDistance; keep > 0 {
		r.window = append(r.window[:0], r.window[keep:]...)
	}
	start := len(r.window)
	limit := int(min(uint64(cap(r.window)-start), s.left)) + start
	for s.packed > 0 {
		if err := r.fill(int(min(s.packed, lzfMaxInstruction))); err != nil {
			return nil, err
		}
		src := r.buf[r.pos : r.pos+int(min(s.packed, uint64(r.end-r.pos)))]
		out, used, err := expand(r.window, src, 0, limit)
		if err != nil {
			return nil, err
		}
		r.window = out
		r.pos += used
		s.packed -= uint64(used)
		if used == 0 {
			break // the piece is full, or the next instruction is cut off
		}
	}
	p := r.window[start:]
	if len(p) == 0 {
		return nil, r.Corruptf("compressed data do not make the %d bytes claimed", s.size)
	}
	s.left -= uint64(len(p))
	return p, nil
}
