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
		line, err := p.line(buf, ErrProtoBigCount)
		if line == nil || err != nil {
			return 0, err
		}
		n, ok := ParseInt(line[1:])
		switch {
		case !ok || n > maxMultibulk:
			return 0, ErrProtoMultibulkLength
		case n > maxUnauthArgs && p.Limits.Unauthenticated:
			return 0, ErrProtoUnauthMultibulk
		case n <= 0:
			return p.done(), nil
		}
		p.count, p.bulk = int(n), unknownBulkLen
	}
	for p.count > 0 {
		if p.bulk == unknownBulkLen {
			line, err := p.line(buf, ErrProtoBigBulkCount)
			if line == nil || err != nil {
				return 0, err
			}
			if err := p.bulkLine(line); err != nil {
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

// bulkLine takes the line "$<length>" of an argument.
func (p *Parser) bulkLine(line []byte) error {
	if len(line) == 0 || line[0] != '$' {
		// Redis prints the byte at hand, which is the line end when the line is
		// empty.
		got := byte('\r')
		if len(line) > 0 {
			got = line[0]
		}
		return ErrProtoExpectedBulk(got)
	}
	n, ok := ParseInt(line[1:])
	switch {
	case !ok || n < 0 || n > math.MaxInt32 || (p.Limits.MaxBulk > 0 && n > p.Limits.MaxBulk):
		return ErrProtoBulkLength
	case n > maxUnauthBulk && p.Limits.Unauthenticated:
		return ErrProtoUnauthBulk
	}
	p.bulk = int(n)
	return nil
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
