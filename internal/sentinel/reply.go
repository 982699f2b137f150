package sentinel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"

	core "redoubt/cluster/sentinel"
)

// Limits on what an instance may answer with: one that is not what it seems must
// not fill the memory.
const (
	maxReplyBytes    = 16 << 20
	maxReplyElements = 64 << 10
	maxReplyDepth    = 8
	maxReplyLine     = 64 << 10
)

var errReply = errors.New("sentinel: not a reply of RESP2")

// readReply reads one reply of RESP2.
func readReply(r *bufio.Reader) (core.Reply, error) {
	p := replyReader{r: r, bytes: maxReplyBytes, elements: maxReplyElements}
	return p.read(0)
}

// replyReader reads a reply within limits.
type replyReader struct {
	r        *bufio.Reader
	bytes    int // that may still come
	elements int // likewise
}

func (p *replyReader) read(depth int) (core.Reply, error) {
	if p.elements--; p.elements < 0 || depth > maxReplyDepth {
		return core.Reply{}, fmt.Errorf("%w: too many elements", errReply)
	}
	line, err := p.line()
	if err != nil {
		return core.Reply{}, err
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return core.Reply{Kind: core.ReplyStatus, Text: rest}, nil
	case '-':
		return core.Reply{Kind: core.ReplyError, Text: rest}, nil
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return core.Reply{}, fmt.Errorf("%w: %q", errReply, line)
	}
	switch {
	case kind == ':':
		return core.Reply{Kind: core.ReplyInteger, Integer: n}, nil
	case (kind == '$' || kind == '*') && n == -1:
		return core.Reply{Kind: core.ReplyNil}, nil
	case kind == '$' && n >= 0:
		return p.bulk(n)
	case kind == '*' && n >= 0:
		return p.array(n, depth)
	}
	return core.Reply{}, fmt.Errorf("%w: %q", errReply, line)
}

// line reads a line of at least one byte, without its end.
func (p *replyReader) line() (string, error) {
	var line []byte
	for {
		part, err := p.r.ReadSlice('\n')
		line = append(line, part...)
		if p.bytes -= len(part); len(line) > maxReplyLine || p.bytes < 0 {
			return "", fmt.Errorf("%w: too long", errReply)
		}
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			return "", err
		}
	}
	n := len(line) - len("\r\n")
	if n < 1 || line[n] != '\r' {
		return "", fmt.Errorf("%w: %q", errReply, line)
	}
	return string(line[:n]), nil
}

func (p *replyReader) bulk(n int64) (core.Reply, error) {
	if p.bytes -= int(min(n, maxReplyBytes)) + len("\r\n"); p.bytes < 0 {
		return core.Reply{}, fmt.Errorf("%w: too long", errReply)
	}
	text := make([]byte, n+int64(len("\r\n")))
	if _, err := io.ReadFull(p.r, text); err != nil {
		return core.Reply{}, err
	}
	if string(text[n:]) != "\r\n" {
		return core.Reply{}, fmt.Errorf("%w: a string without its end", errReply)
	}
	return core.Reply{Kind: core.ReplyBulk, Text: string(text[:n])}, nil
}

func (p *replyReader) array(n int64, depth int) (core.Reply, error) {
	array := core.Reply{Kind: core.ReplyArray}
	for range n { // an array that is too long runs out of elements
		element, err := p.read(depth + 1)
		if err != nil {
			return core.Reply{}, err
		}
		array.Array = append(array.Array, element)
	}
	return array, nil
}
