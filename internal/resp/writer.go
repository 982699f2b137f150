package resp

import (
	"slices"
	"strconv"

	"redoubt/internal/pieces"
)

// Writer appends replies to a buffer. The zero value writes RESP2.
type Writer struct {
	buf    []byte
	proto3 bool
}

// NewWriter returns a Writer that appends to buf in the given protocol.
func NewWriter(buf []byte, proto int) *Writer {
	return &Writer{buf: buf, proto3: proto == Proto3}
}

// Proto is the protocol of what is written next.
func (w *Writer) Proto() int {
	if w.proto3 {
		return Proto3
	}
	return Proto2
}

// SetProto changes the protocol of what is written next.
func (w *Writer) SetProto(proto int) { w.proto3 = proto == Proto3 }

// Bytes is all that was written and not taken away. The view is valid until the
// next write.
func (w *Writer) Bytes() []byte { return w.buf }

// Len is the number of bytes written.
func (w *Writer) Len() int { return len(w.buf) }

// Truncate takes back everything after the first n bytes.
func (w *Writer) Truncate(n int) { w.buf = w.buf[:n] }

// SetBuffer makes the writer append to buf from now on.
func (w *Writer) SetBuffer(buf []byte) { w.buf = buf }

// OK writes the reply of a command that has nothing more to say.
func (w *Writer) OK() { w.buf = append(w.buf, "+OK\r\n"...) }

// Simple writes a simple string; s must hold no line end.
func (w *Writer) Simple(s string) {
	w.buf = append(w.buf, '+')
	w.buf = append(w.buf, s...)
	w.crlf()
}

// Error writes an error. Line ends in it, which can stem from a client's own
// words, become spaces as in Redis.
func (w *Writer) Error(e Error) {
	w.buf = append(w.buf, '-')
	start := len(w.buf)
	w.buf = append(w.buf, e...)
	for i, c := range w.buf[start:] {
		if c == '\r' || c == '\n' {
			w.buf[start+i] = ' '
		}
	}
	w.crlf()
}

// Int writes an integer.
func (w *Writer) Int(n int64) { w.head(':', n) }

// Bulk writes a binary string.
func (w *Writer) Bulk(b []byte) {
	if !w.shortBulk(b) {
		w.head('$', int64(len(b)))
		w.buf = pieces.Append(w.buf, b)
		w.crlf()
	}
}

// shortBulk writes a short string at once, if the buffer has room for it: most
// elements of most replies.
func (w *Writer) shortBulk(b []byte) bool {
	at := len(w.buf)
	if len(b) >= len(bulkHeads) || cap(w.buf)-at < len(bulkHead{}.bytes)+len(b)+len("\r\n") {
		return false
	}
	h := &bulkHeads[len(b)]
	p := w.buf[at:cap(w.buf)]
	copy(p, h.bytes[:]) // all of it, which is one store; what is too much is overwritten
	n := int(h.length)
	n += copy(p[n:], b)
	p[n], p[n+1] = '\r', '\n'
	w.buf = w.buf[:at+n+2]
	return true
}

// A bulkHead is what stands before a bulk string.
type bulkHead struct {
	bytes  [7]byte
	length uint8
}

// bulkHeads are the heads of bulk strings by their lengths.
var bulkHeads = func() (heads [128]bulkHead) {
	for n := range heads {
		h := &heads[n]
		h.length = uint8(len(append(strconv.AppendInt(append(h.bytes[:0], '$'), int64(n), 10), "\r\n"...)))
	}
	return heads
}()

// BulkString writes a string as Bulk does.
func (w *Writer) BulkString(s string) {
	w.head('$', int64(len(s)))
	w.buf = append(w.buf, s...)
	w.crlf()
}

// BulkInt writes an integer as a bulk string.
func (w *Writer) BulkInt(n int64) {
	var digits [20]byte
	w.Bulk(strconv.AppendInt(digits[:0], n, 10))
}

// Null writes the absence of a value: a null, in RESP2 a null bulk string.
func (w *Writer) Null() {
	if w.proto3 {
		w.buf = append(w.buf, "_\r\n"...)
		return
	}
	w.buf = append(w.buf, "$-1\r\n"...)
}

// NullArray writes the absence of an array, which only RESP2 tells from that of
// a value.
func (w *Writer) NullArray() {
	if w.proto3 {
		w.buf = append(w.buf, "_\r\n"...)
		return
	}
	w.buf = append(w.buf, "*-1\r\n"...)
}

// Array begins an array; n elements must follow.
func (w *Writer) Array(n int) { w.head('*', int64(n)) }

// ArrayAt puts the head of an array of n elements, which are written already, before
// them: where the writer was at Len() == at.
func (w *Writer) ArrayAt(at, n int) { w.headAt(at, '*', n) }

// MapAt is ArrayAt for a map of n pairs. RESP2 gets an array of n elements, each of
// which is a pair in an array of its own.
func (w *Writer) MapAt(at, n int) {
	kind := byte('*')
	if w.proto3 {
		kind = '%'
	}
	w.headAt(at, kind, n)
}

func (w *Writer) headAt(at int, kind byte, n int) {
	var head [24]byte
	w.buf = slices.Insert(w.buf, at, append(strconv.AppendInt(append(head[:0], kind), int64(n), 10), "\r\n"...)...)
}

// Map begins a map; n pairs must follow. RESP2 gets a flat array.
func (w *Writer) Map(n int) {
	if w.proto3 {
		w.head('%', int64(n))
		return
	}
	w.head('*', 2*int64(n))
}

// Set begins a set; n elements must follow. RESP2 gets an array.
func (w *Writer) Set(n int) {
	if w.proto3 {
		w.head('~', int64(n))
		return
	}
	w.head('*', int64(n))
}

// Push begins out-of-band data; n elements must follow. RESP2 gets an array.
func (w *Writer) Push(n int) {
	if w.proto3 {
		w.head('>', int64(n))
		return
	}
	w.head('*', int64(n))
}

// Attribute begins the attributes of the reply that comes after them; n pairs
// must follow. RESP2 has none: callers write them only when Proto is Proto3.
func (w *Writer) Attribute(n int) { w.head('|', int64(n)) }

// Double writes a floating point number, see AppendDouble. RESP2 gets a bulk
// string.
func (w *Writer) Double(f float64) {
	var digits [32]byte
	b := AppendDouble(digits[:0], f)
	if !w.proto3 {
		w.Bulk(b)
		return
	}
	w.buf = append(w.buf, ',')
	w.buf = append(w.buf, b...)
	w.crlf()
}

// Bool writes a truth value. RESP2 gets 1 or 0.
func (w *Writer) Bool(b bool) {
	switch {
	case w.proto3 && b:
		w.buf = append(w.buf, "#t\r\n"...)
	case w.proto3:
		w.buf = append(w.buf, "#f\r\n"...)
	case b:
		w.Int(1)
	default:
		w.Int(0)
	}
}

// Verbatim writes text that is meant for people; ext names its format by three
// letters ("txt", "mkd"). RESP2 gets a bulk string.
func (w *Writer) Verbatim(ext, s string) {
	if !w.proto3 {
		w.BulkString(s)
		return
	}
	w.head('=', int64(len(ext)+1+len(s)))
	w.buf = append(w.buf, ext...)
	w.buf = append(w.buf, ':')
	w.buf = append(w.buf, s...)
	w.crlf()
}

// BigNumber writes an integer of any size in decimal. RESP2 gets a bulk string.
func (w *Writer) BigNumber(s string) {
	if !w.proto3 {
		w.BulkString(s)
		return
	}
	w.buf = append(w.buf, '(')
	w.buf = append(w.buf, s...)
	w.crlf()
}

// Raw appends bytes that are RESP already.
func (w *Writer) Raw(b []byte) { w.buf = append(w.buf, b...) }

func (w *Writer) crlf() { w.buf = append(w.buf, '\r', '\n') }

// head writes a type byte, a number and a line end.
func (w *Writer) head(kind byte, n int64) {
	if n >= 0 && n < 10 {
		w.buf = append(w.buf, kind, byte('0'+n), '\r', '\n')
		return
	}
	w.buf = strconv.AppendInt(append(w.buf, kind), n, 10)
	w.crlf()
}

// ArrayLen is how many bytes AppendArray appends, and BulkLen those of one argument.
func ArrayLen(args [][]byte) int {
	n := headLen(len(args))
	for _, a := range args {
		n += BulkLen(len(a))
	}
	return n
}

// BulkLen is the length of a bulk string of n bytes.
func BulkLen(n int) int { return headLen(n) + n + 2 }

// headLen is the length of a type, a number and CRLF.
func headLen(n int) int {
	length := 4
	for ; n >= 10; n /= 10 {
		length++
	}
	return length
}

// AppendArray appends args as a RESP array of bulk strings, the encoding of a
// request, to dst.
func AppendArray(dst []byte, args ...[]byte) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(args)), 10)
	dst = append(dst, '\r', '\n')
	for _, a := range args {
		dst = append(dst, '$')
		dst = strconv.AppendInt(dst, int64(len(a)), 10)
		dst = append(dst, '\r', '\n')
		dst = append(dst, a...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}
