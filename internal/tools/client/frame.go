package client

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"

	"github.com/tidwall/resp"
)

// Limits of one reply. tidwall/resp allocates what an array header announces
// and recurses without bound, so a few kilobytes from a hostile server could
// end the process; readFrame checks these first.
const (
	maxReplyBytes    = 64 << 20
	maxReplyElements = 1 << 20
	maxReplyDepth    = 16
	maxReplyLine     = 64 << 10
)

// readReply reads one RESP2 reply from r.
func readReply(r *bufio.Reader) (resp.Value, error) {
	f := frame{r: r}
	if err := f.value(0); err != nil {
		return resp.Value{}, err
	}
	v, _, err := resp.NewReader(&f.buf).ReadValue()
	if err != nil {
		return resp.Value{}, fmt.Errorf("%w: %v", ErrProtocol, err)
	}
	return v, nil
}

// frame collects the bytes of one reply while checking its shape and limits.
// It keeps no value: that is tidwall/resp's work.
type frame struct {
	r        *bufio.Reader
	buf      bytes.Buffer
	elements int
}

// value copies one value, and whatever it contains, into the buffer.
func (f *frame) value(depth int) error {
	if f.elements++; f.elements > maxReplyElements {
		return fmt.Errorf("%w: more than %d elements in a reply", ErrProtocol, maxReplyElements)
	}
	if depth > maxReplyDepth {
		return fmt.Errorf("%w: arrays nested deeper than %d", ErrProtocol, maxReplyDepth)
	}
	line, err := f.line()
	if err != nil {
		return err
	}
	switch line[0] {
	case '+', '-':
		return nil
	case ':':
		if _, err := strconv.ParseInt(string(line[1:]), 10, 64); err != nil {
			return fmt.Errorf("%w: bad integer %q", ErrProtocol, line)
		}
		return nil
	case '$':
		n, err := f.length(line)
		if err != nil || n < 0 {
			return err
		}
		return f.bulk(n)
	case '*':
		n, err := f.length(line)
		if err != nil {
			return err
		}
		for range n {
			if err := f.value(depth + 1); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: reply begins with %q", ErrProtocol, line[0])
}

// line copies one line and returns it without its line end. It has at least
// one byte.
func (f *frame) line() ([]byte, error) {
	start := f.buf.Len()
	for {
		part, err := f.r.ReadSlice('\n')
		f.buf.Write(part)
		if f.buf.Len()-start > maxReplyLine || f.buf.Len() > maxReplyBytes {
			return nil, fmt.Errorf("%w: reply too long", ErrProtocol)
		}
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			return nil, err
		}
	}
	line := f.buf.Bytes()[start:]
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("%w: bad line %q", ErrProtocol, line)
	}
	return line[:len(line)-2], nil
}

// length parses the length in the header of a bulk string or array; -1 is a
// null.
func (f *frame) length(line []byte) (int, error) {
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < -1 || n > maxReplyBytes {
		return 0, fmt.Errorf("%w: bad length %q", ErrProtocol, line)
	}
	if line[0] == '*' && n > maxReplyElements {
		return 0, fmt.Errorf("%w: array of %d elements", ErrProtocol, n)
	}
	return n, nil
}

// bulk copies n bytes and the line end behind them.
func (f *frame) bulk(n int) error {
	if f.buf.Len()+n+2 > maxReplyBytes {
		return fmt.Errorf("%w: reply too long", ErrProtocol)
	}
	if _, err := io.CopyN(&f.buf, f.r, int64(n)+2); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if !bytes.HasSuffix(f.buf.Bytes(), []byte("\r\n")) {
		return fmt.Errorf("%w: bulk string without its line end", ErrProtocol)
	}
	return nil
}
