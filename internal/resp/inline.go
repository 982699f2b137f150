package resp

// inline takes a request that is a line of words, as a person types it or a
// health check sends it; Redis's processInlineBuffer.
func (p *Parser) inline(buf []byte) (int, error) {
	i := endOfLine(buf[p.scan:], '\n')
	if i < 0 {
		if p.scan < len(buf) && endOfLine(buf[p.scan:], 0) < 0 {
			p.scan = len(buf)
		}
		if len(buf) > maxLine {
			return 0, ErrProtoBigInline
		}
		return 0, nil
	}
	end := p.scan + i
	p.pos = end + 1
	if end > 0 && buf[end-1] == '\r' {
		end--
	}
	if !p.split(buf[:end]) {
		return 0, ErrProtoUnbalanced
	}
	return p.done(), nil
}

// split cuts a line into words and appends them to Args. A word may hold quoted
// parts: "..." with the escapes \n \r \t \b \a \xHH and \<any byte>, and '...'
// with the escape \'. A closing quote ends its word. It reports false for an
// open quote or one that is followed by more of the word. It matches
// sdssplitargs.
func (p *Parser) split(line []byte) bool {
	// Words are collected in one buffer that is never longer than the line, so
	// it does not move while views of it are handed out.
	if cap(p.words) < len(line) {
		p.words = make([]byte, 0, len(line))
	}
	w := p.words[:0]
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			break
		}
		start := len(w)
		for i < len(line) && !endsWord(line[i]) {
			q := line[i]
			if q != '"' && q != '\'' {
				w = append(w, q)
				i++
				continue
			}
			var n int
			if w, n = unquote(w, line[i+1:], q); n < 0 {
				return false
			}
			i += 1 + n
			if i < len(line) && !isSpace(line[i]) {
				return false
			}
		}
		p.Args = append(p.Args, w[start:len(w):len(w)])
	}
	p.words = w[:0]
	if cap(p.words) > maxLine/16 {
		p.words = nil
	}
	return true
}

// unquote appends the quoted part that begins b (its opening quote already
// taken) to w and returns how many bytes of b it took with the closing quote;
// -1 if there is none.
func unquote(w, b []byte, quote byte) ([]byte, int) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == quote:
			return w, i + 1
		case c != '\\' || i+1 == len(b):
			w = append(w, c)
		case quote == '\'':
			if b[i+1] == '\'' {
				c = '\''
				i++
			}
			w = append(w, c)
		case b[i+1] == 'x' && i+3 < len(b) && isHex(b[i+2]) && isHex(b[i+3]):
			w = append(w, hex(b[i+2])<<4|hex(b[i+3]))
			i += 3
		default:
			i++
			w = append(w, escape(b[i]))
		}
	}
	return w, -1
}

func escape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// endsWord: a vertical tab and a form feed stand before words, but do not end
// one, as in sdssplitargs.
func endsWord(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func hex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
