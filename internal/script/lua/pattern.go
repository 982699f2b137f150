package lua

import "strings"

const (
	maxCaptures     = 32
	maxPatternDepth = 10000
	capUnfinished   = -1
	capPosition     = -2
)

// A matcher matches one pattern of Lua 5.1. As there, the pattern ends at a zero
// byte. Positions are indexes of src and pattern; -1 is no match.
type matcher struct {
	t       *Thread
	src     string
	pattern string
	level   int
	depth   int
	capture [maxCaptures]struct{ start, length int }
}

// newMatcher cuts off the anchor of a pattern.
func newMatcher(t *Thread, src, pattern string) (m *matcher, anchored bool) {
	if i := strings.IndexByte(pattern, 0); i >= 0 {
		pattern = pattern[:i]
	}
	pattern, anchored = strings.CutPrefix(pattern, "^")
	return &matcher{t: t, src: src, pattern: pattern}, anchored
}

// p is a byte of the pattern, zero behind its end.
func (m *matcher) p(i int) byte {
	if i < len(m.pattern) {
		return m.pattern[i]
	}
	return 0
}

// s is a byte of the source, zero behind its end.
func (m *matcher) s(i int) byte {
	if i < len(m.src) {
		return m.src[i]
	}
	return 0
}

// classEnd is behind the single character class that begins at p.
func (m *matcher) classEnd(p int) int {
	c := m.p(p)
	p++
	switch c {
	case '%':
		if m.p(p) == 0 {
			m.t.Errorf("malformed pattern (ends with '%%')")
		}
		return p + 1
	case '[':
		if m.p(p) == '^' {
			p++
		}
		for {
			if m.p(p) == 0 {
				m.t.Errorf("malformed pattern (missing ']')")
			}
			c := m.p(p)
			p++
			if c == '%' && m.p(p) != 0 {
				p++
			}
			if m.p(p) == ']' {
				return p + 1
			}
		}
	}
	return p
}

func matchClass(c, class byte) bool {
	var r bool
	switch class | 0x20 {
	case 'a':
		r = isAlpha(c)
	case 'c':
		r = c < ' ' || c == 127
	case 'd':
		r = isDigit(c)
	case 'l':
		r = c >= 'a' && c <= 'z'
	case 'p':
		r = c > ' ' && c < 127 && !isAlpha(c) && !isDigit(c)
	case 's':
		r = c == ' ' || c >= '\t' && c <= '\r'
	case 'u':
		r = c >= 'A' && c <= 'Z'
	case 'w':
		r = isAlpha(c) || isDigit(c)
	case 'x':
		r = isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f'
	case 'z':
		r = c == 0
	default:
		return class == c
	}
	if !isAlpha(class) {
		return class == c
	}
	if class >= 'a' {
		return r
	}
	return !r
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// matchSet matches a set; p is at its '[' and end at its ']'.
func (m *matcher) matchSet(c byte, p, end int) bool {
	in := true
	if m.p(p+1) == '^' {
		in = false
		p++
	}
	for p++; p < end; p++ {
		switch {
		case m.p(p) == '%':
			p++
			if matchClass(c, m.p(p)) {
				return in
			}
		case m.p(p+1) == '-' && p+2 < end:
			p += 2
			if m.p(p-2) <= c && c <= m.p(p) {
				return in
			}
		case m.p(p) == c:
			return in
		}
	}
	return !in
}

func (m *matcher) single(c byte, p, end int) bool {
	switch m.p(p) {
	case '.':
		return true
	case '%':
		return matchClass(c, m.p(p+1))
	case '[':
		return m.matchSet(c, p, end-1)
	}
	return m.p(p) == c
}

func (m *matcher) balance(s, p int) int {
	if m.p(p) == 0 || m.p(p+1) == 0 {
		m.t.Errorf("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.p(p) {
		return -1
	}
	open, closing := m.p(p), m.p(p+1)
	depth := 1
	for s++; s < len(m.src); s++ {
		switch m.src[s] {
		case closing:
			if depth--; depth == 0 {
				return s + 1
			}
		case open:
			depth++
		}
	}
	return -1
}

func (m *matcher) expandMost(s, p, end int) int {
	n := 0
	for s+n < len(m.src) && m.single(m.src[s+n], p, end) {
		n++
	}
	for ; n >= 0; n-- {
		if r := m.match(s+n, end+1); r >= 0 {
			return r
		}
	}
	return -1
}

func (m *matcher) expandLeast(s, p, end int) int {
	for {
		if r := m.match(s, end+1); r >= 0 {
			return r
		}
		if s >= len(m.src) || !m.single(m.src[s], p, end) {
			return -1
		}
		s++
	}
}

func (m *matcher) startCapture(s, p, length int) int {
	if m.level >= maxCaptures {
		m.t.Errorf("too many captures")
	}
	m.capture[m.level].start, m.capture[m.level].length = s, length
	m.level++
	r := m.match(s, p)
	if r < 0 {
		m.level--
	}
	return r
}

func (m *matcher) endCapture(s, p int) int {
	l := m.level - 1
	for l >= 0 && m.capture[l].length != capUnfinished {
		l--
	}
	if l < 0 {
		m.t.Errorf("invalid pattern capture")
	}
	m.capture[l].length = s - m.capture[l].start
	r := m.match(s, p)
	if r < 0 {
		m.capture[l].length = capUnfinished
	}
	return r
}

func (m *matcher) backReference(s int, digit byte) int {
	l := int(digit) - '1'
	if l < 0 || l >= m.level || m.capture[l].length == capUnfinished {
		m.t.Errorf("invalid capture index")
	}
	c := m.capture[l]
	if c.length >= 0 && strings.HasPrefix(m.src[s:], m.src[c.start:c.start+c.length]) {
		return s + c.length
	}
	return -1
}

// match matches the pattern from p on at s and returns the end of the match.
func (m *matcher) match(s, p int) int {
	m.t.Poll()
	if m.depth++; m.depth > maxPatternDepth {
		m.t.Errorf("pattern too complex")
	}
	r := m.step(s, p)
	m.depth--
	return r
}

func (m *matcher) step(s, p int) int {
	for {
		switch m.p(p) {
		case 0:
			return s
		case '(':
			if m.p(p+1) == ')' {
				return m.startCapture(s, p+2, capPosition)
			}
			return m.startCapture(s, p+1, capUnfinished)
		case ')':
			return m.endCapture(s, p+1)
		case '$':
			if m.p(p+1) == 0 {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			switch next := m.p(p + 1); {
			case next == 'b':
				if s = m.balance(s, p+2); s < 0 {
					return -1
				}
				p += 4
				continue
			case next == 'f':
				p += 2
				if m.p(p) != '[' {
					m.t.Errorf("missing '[' after '%%f' in pattern")
				}
				end := m.classEnd(p)
				before := byte(0)
				if s > 0 {
					before = m.src[s-1]
				}
				if m.matchSet(before, p, end-1) || !m.matchSet(m.s(s), p, end-1) {
					return -1
				}
				p = end
				continue
			case isDigit(next):
				if s = m.backReference(s, next); s < 0 {
					return -1
				}
				p += 2
				continue
			}
		}
		end := m.classEnd(p)
		fits := s < len(m.src) && m.single(m.src[s], p, end)
		switch m.p(end) {
		case '?':
			if fits {
				if r := m.match(s+1, end+1); r >= 0 {
					return r
				}
			}
			p = end + 1
		case '*':
			return m.expandMost(s, p, end)
		case '+':
			if !fits {
				return -1
			}
			return m.expandMost(s+1, p, end)
		case '-':
			return m.expandLeast(s, p, end)
		default:
			if !fits {
				return -1
			}
			s, p = s+1, end
		}
	}
}

// captured is the i-th capture of a match, the whole match if there are none.
func (m *matcher) captured(i, start, end int) Value {
	if i >= m.level {
		if i != 0 {
			m.t.Errorf("invalid capture index")
		}
		return m.t.part(m.src, start, end)
	}
	c := m.capture[i]
	switch c.length {
	case capUnfinished:
		m.t.Errorf("unfinished capture")
	case capPosition:
		return Int(c.start + 1)
	}
	return m.t.part(m.src, c.start, c.start+c.length)
}

// pushCaptures pushes all captures of a match; whole is whether the match itself
// counts as one if there are none.
func (m *matcher) pushCaptures(start, end int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.t.Push(m.captured(i, start, end))
	}
	return n
}
