package resp

import (
	"bytes"
	"math"
)

// Limits on a request. The zero value is that of a trusted peer: only the
// limits that every connection has.
type Limits struct {
	// MaxBulk is proto-max-bulk-len, the longest bulk string in bytes; 0 is no
	// limit.
	MaxBulk int64
	// Unauthenticated connections may send ten short arguments and no more, so
	// that nobody can fill the memory before naming a password.
	Unauthenticated bool
}

const (
	maxLine        = 64 << 10      // an inline request, or the line of a count
	maxMultibulk   = math.MaxInt32 // arguments of one request, as Redis 7
	maxUnauthArgs  = 10            // arguments before authentication
	maxUnauthBulk  = 16 << 10      // bytes of an argument before authentication
	keepSpans      = 1024          // larger scratch space is given back after a request
	unknownBulkLen = -1
)

// span is where an argument lies, counted from the first byte of its request:
// the buffer may move between two calls.
type span struct{ start, end int }

// Parser reads requests from a growing buffer. The zero value is ready.
//
// It works by offsets from the first byte of the request at hand, so the owner
// may move or enlarge the buffer between calls, and nothing that was understood
// is read again when more bytes arrive.
type Parser struct {
	Limits Limits

	// Args are the arguments of the request that Parse completed and Raw its
	// exact bytes; Raw is nil for an inline request, whose bytes are no RESP
	// array. Both are views, valid until the next call of Parse or until the
	// owner changes the buffer. Args is empty for an empty request.
	Args [][]byte
	Raw  []byte

	pos   int // parsed so far
	scan  int // searched for a line end so far
	count int // arguments still to come; 0: the request's first line is not complete
	bulk  int // length of the argument at hand, unknownBulkLen before its line is complete
	spans []span
	words []byte // the unescaped words of an inline request
}

// Parse looks at buf, which begins with the first byte of the request at hand
// and holds everything of it that has arrived. It returns the length of the
// request, or 0 if more bytes are needed. The error, if any, is the line for
// the client; the connection is out of step then and must be closed.
//
// An empty request (a bare line end, a count of zero or less) has a length but
// no arguments and gets no reply.
func (p *Parser) Parse(buf []byte) (int, error) {
	p.Args, p.Raw = p.Args[:0], nil
	if cap(p.Args) > keepSpans {
		p.Args = nil
	}
	if len(buf) == 0 {
		return 0, nil
	}
	if buf[0] != '*' {
		return p.inline(buf)
	}
	return p.multibulk(buf)
}

// Missing is the number of bytes that the argument at hand still lacks after
// Parse returned 0 with buf of length have, at least 1: a hint for the size of
// the next read.
func (p *Parser) Missing(have int) int {
	if p.count == 0 || p.bulk == unknownBulkLen {
		return 1
	}
	return max(1, p.pos+p.bulk+2-have)
}

// Partial reports whether a multibulk request has begun and is not complete.
func (p *Parser) Partial() bool { return p.count > 0 }

// Unfinished is the bytes of the arguments of an unfinished request that have
// arrived whole, and how many bytes of a buffer of length have come after them.
func (p *Parser) Unfinished(have int) (args, rest int) {
	if !p.Partial() {
		return 0, have
	}
	for _, s := range p.spans {
		args += s.end - s.start
	}
	return args, have - p.pos
}

// Scratch is the bytes of the scratch space.
func (p *Parser) Scratch() int { return cap(p.Args)*argBytes + cap(p.spans)*spanBytes + cap(p.words) }

const argBytes, spanBytes = 24, 16 // of a slice's header, of a span

// Shrink gives back the scratch space of a connection that has nothing to say,
// if it is more than a few short requests need.
func (p *Parser) Shrink() {
	const enough = 8
	if p.Partial() || max(cap(p.Args), cap(p.spans)) <= enough && p.words == nil {
		return
	}
	p.Args, p.Raw, p.spans, p.words = nil, nil, nil, nil
}

// Reset forgets the request at hand and the scratch space.
func (p *Parser) Reset() { *p = Parser{Limits: p.Limits} }

// multibulk is Redis's processMultibulkBuffer.
func (p *Parser) multibulk(buf []byte) (int, error) {
	if p.count == 0 {
		if whole, err := p.countLine(buf); !whole || err != nil {
			return 0, err
		}
		if p.count == 0 {
			return p.done(), nil
		}
	}
	for p.count > 0 {
		if p.bulk == unknownBulkLen {
			if whole, err := p.bulkLine(buf); !whole || err != nil {
				return 0, err
			}
		}
		end := p.pos + p.bulk
		if len(buf) < end+2 {
			return 0, nil
		}
		p.spans = append(p.spans, span{p.pos, end})
		p.pos, p.scan = end+2, end+2
		p.bulk = unknownBulkLen
		p.count--
	}
	for _, s := range p.spans {
		p.Args = append(p.Args, buf[s.start:s.end:s.end])
	}
	n := p.done()
	p.Raw = buf[:n:n]
	return n, nil
}

// countLine takes the line "*<count>" of a request; whole is false if more of
// it must arrive.
func (p *Parser) countLine(buf []byte) (whole bool, err error) {
	n, ok := p.plainNumber(buf, '*')
	if !ok {
		line, err := p.line(buf, ErrProtoBigCount)
		if line == nil || err != nil {
			return false, err
		}
		if n, ok = ParseInt(line[1:]); !ok {
			return false, ErrProtoMultibulkLength
		}
	}
	switch {
	case n > maxMultibulk:
		return false, ErrProtoMultibulkLength
	case n > maxUnauthArgs && p.Limits.Unauthenticated:
		return false, ErrProtoUnauthMultibulk
	}
	p.count, p.bulk = int(max(n, 0)), unknownBulkLen
	return true, nil
}

// bulkLine takes the line "$<length>" of an argument; whole is false if more of
// it must arrive.
func (p *Parser) bulkLine(buf []byte) (whole bool, err error) {
	n, ok := p.plainNumber(buf, '$')
	if !ok {
		line, err := p.line(buf, ErrProtoBigBulkCount)
		switch {
		case line == nil || err != nil:
			return false, err
		case len(line) == 0:
			// Redis prints the byte at hand, which is the line end here.
			return false, ErrProtoExpectedBulk('\r')
		case line[0] != '$':
			return false, ErrProtoExpectedBulk(line[0])
		}
		if n, ok = ParseInt(line[1:]); !ok {
			return false, ErrProtoBulkLength
		}
	}
	switch {
	case n < 0 || n > math.MaxInt32 || (p.Limits.MaxBulk > 0 && n > p.Limits.MaxBulk):
		return false, ErrProtoBulkLength
	case n > maxUnauthBulk && p.Limits.Unauthenticated:
		return false, ErrProtoUnauthBulk
	}
	p.bulk = int(n)
	return true, nil
}

// plainNumber takes the line at pos if it is what it nearly always is: kind, a
// few digits that need no second look, the line end. Everything else is left to
// line.
func (p *Parser) plainNumber(buf []byte, kind byte) (int64, bool) {
	n, length := plainNumber(buf[p.pos:], kind)
	if length == 0 {
		return 0, false
	}
	p.pos += length
	p.scan = p.pos
	return int64(n), true
}

// plainNumber reads "<kind><1 to 6 digits>\r\n" at the beginning of b and
// returns the number and the length of the line, 0 if b does not begin like
// that. A leading zero is not plain.
func plainNumber(b []byte, kind byte) (n, length int) {
	if len(b) < 4 || b[0] != kind || b[1] == '0' {
		return 0, 0
	}
	for i := 1; i < min(len(b)-1, 8); i++ {
		d := b[i] - '0'
		if d <= 9 {
			n = n*10 + int(d)
			continue
		}
		if b[i] == '\r' && i > 1 {
			return n, i + 2
		}
		break
	}
	return 0, 0
}

// SecondArg skims the request that b begins with and returns its second
// argument, which is most commands' key, or nil, and the length of the request.
// It is a hint for who wants to prepare for what comes: the length is 0 if the
// request is not plain or not whole, and limits are not looked at.
func SecondArg(b []byte) (arg []byte, length int) {
	count, at := plainNumber(b, '*')
	for i := range count {
		n, head := plainNumber(b[at:], '$')
		if head == 0 || n > len(b)-at-head-2 {
			return nil, 0
		}
		at += head + n + 2
		if i == 1 {
			arg = b[at-2-n : at-2]
		}
	}
	return arg, at
}

// line takes the line at pos: what stands before its '\r', nil if it has not
// arrived whole. Like Redis it does not look which byte follows the '\r'.
func (p *Parser) line(buf []byte, tooLong Error) ([]byte, error) {
	i := endOfLine(buf[p.scan:], '\r')
	if i < 0 {
		p.scan = len(buf)
		if nul := bytes.IndexByte(buf[p.pos:], 0); nul >= 0 {
			p.scan = p.pos + nul
		}
		if len(buf)-p.pos > maxLine {
			return nil, tooLong
		}
		return nil, nil
	}
	end := p.scan + i
	if end+2 > len(buf) {
		p.scan = end
		return nil, nil
	}
	line := buf[p.pos:end:end]
	p.pos, p.scan = end+2, end+2
	return line, nil
}

// endOfLine finds the first c in b that no zero byte precedes. Redis searches
// with strchr, so a zero byte hides every line end behind it: a binary peer
// runs into the limit of a line and is told about its protocol error, instead
// of having its lines taken for commands.
func endOfLine(b []byte, c byte) int {
	i := bytes.IndexByte(b, c)
	if i >= 0 && bytes.IndexByte(b[:i], 0) >= 0 {
		return -1
	}
	return i
}

// done ends the request at hand and returns its length.
func (p *Parser) done() int {
	n := p.pos
	p.pos, p.scan, p.count = 0, 0, 0
	p.spans = p.spans[:0]
	if cap(p.spans) > keepSpans {
		p.spans = nil
	}
	return n
}
