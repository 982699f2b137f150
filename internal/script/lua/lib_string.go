package lua

import "strings"

var stringFunctions = []Function{
	{"byte", stringByte}, {"char", stringChar}, {"dump", stringDump}, {"find", stringFind}, {"format", stringFormat},
	{"gfind", stringGMatch}, {"gmatch", stringGMatch}, {"gsub", stringGSub}, {"len", stringLen}, {"lower", stringLower},
	{"match", stringMatch}, {"rep", stringRep}, {"reverse", stringReverse}, {"sub", stringSub}, {"upper", stringUpper},
}

func (s *State) openString() {
	h := s.library("string", stringFunctions)
	h.SetStr("gfind", h.GetStr("gmatch"))
	s.stringMeta = s.newTable(0, 1)
	s.stringMeta.SetStr("__index", h.Value())
}

// StringMeta is the metatable of strings.
func (s *State) StringMeta() *Table { return s.stringMeta }

// relative makes a position of one that counts from the end if it is negative.
func relative(pos, length int) int {
	if pos < 0 {
		pos += length + 1
	}
	return max(pos, 0)
}

func stringLen(t *Thread) int {
	t.Push(Int(len(t.CheckString(1))))
	return 1
}

// part is s[from:to]. A small part of a long string is a copy, so that it does not
// keep the whole in memory unseen.
func (t *Thread) part(s string, from, to int) Value {
	n := to - from
	if n >= len(s)/2 {
		return String(s[from:to])
	}
	t.state.allocated(n)
	return String(strings.Clone(s[from:to]))
}

// Part is a part of a string as a value.
func (t *Thread) Part(s string, from, to int) Value { return t.part(s, from, to) }

func stringSub(t *Thread) int {
	s := t.CheckString(1)
	start := max(relative(t.CheckInteger(2), len(s)), 1)
	end := min(relative(t.OptInteger(3, -1), len(s)), len(s))
	if start > end {
		t.Push(String(""))
	} else {
		t.Push(t.part(s, start-1, end))
	}
	return 1
}

func stringReverse(t *Thread) int {
	s := t.CheckString(1)
	t.state.reserve(len(s))
	b := make([]byte, len(s))
	for i := range len(s) {
		b[len(s)-1-i] = s[i]
	}
	t.PushBytes(b)
	return 1
}

// mapped is s with some bytes changed.
func (t *Thread) mapped(s string, low, high byte, change int) int {
	for i := range len(s) {
		if c := s[i]; c >= low && c <= high {
			t.state.reserve(len(s))
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; c >= low && c <= high {
					b[i] = byte(int(c) + change)
				}
			}
			t.PushBytes(b)
			return 1
		}
	}
	t.Push(String(s))
	return 1
}

func stringLower(t *Thread) int { return t.mapped(t.CheckString(1), 'A', 'Z', 'a'-'A') }
func stringUpper(t *Thread) int { return t.mapped(t.CheckString(1), 'a', 'z', 'A'-'a') }

func stringRep(t *Thread) int {
	s, n := t.CheckString(1), t.CheckInt(2)
	if n <= 0 || s == "" {
		t.Push(String(""))
		return 1
	}
	t.state.reserve(len(s) * n)
	t.PushString(strings.Repeat(s, n))
	return 1
}

func stringByte(t *Thread) int {
	s := t.CheckString(1)
	start := relative(t.OptInteger(2, 1), len(s))
	end := relative(t.OptInteger(3, start), len(s))
	start, end = max(start, 1), min(end, len(s))
	if start > end {
		return 0
	}
	n := end - start + 1
	if !t.room(n) {
		t.Errorf("stack overflow (string slice too long)")
	}
	for i := start; i <= end; i++ {
		t.Push(Int(int(s[i-1])))
	}
	return n
}

func stringChar(t *Thread) int {
	b := make([]byte, t.Count())
	for i := range b {
		c := t.CheckInt(i + 1)
		if c < 0 || c > 255 {
			t.ArgError(i+1, "invalid value")
		}
		b[i] = byte(c)
	}
	t.PushBytes(b)
	return 1
}

// stringDump gives how bytecode begins, which load and loadstring refuse: there is
// none.
func stringDump(t *Thread) int {
	if t.checkFunction(1).Closure().native != nil {
		t.Errorf("unable to dump given function")
	}
	t.Push(String("\x1bLua"))
	return 1
}

func stringFind(t *Thread) int  { return t.find(true) }
func stringMatch(t *Thread) int { return t.find(false) }

func (t *Thread) find(positions bool) int {
	s, pattern := t.CheckString(1), t.CheckString(2)
	from := min(max(relative(t.OptInteger(3, 1), len(s))-1, 0), len(s))
	if positions && (t.Arg(4).Truth() || plain(pattern)) {
		i := strings.Index(s[from:], pattern)
		if i < 0 {
			t.Push(Nil)
			return 1
		}
		t.Push(Int(from + i + 1))
		t.Push(Int(from + i + len(pattern)))
		return 2
	}
	m, anchored := newMatcher(t, s, pattern)
	for at := from; at <= len(s); at++ {
		m.level = 0
		if end := m.match(at, 0); end >= 0 {
			if !positions {
				return m.pushCaptures(at, end, true)
			}
			t.Push(Int(at + 1))
			t.Push(Int(end))
			return 2 + m.pushCaptures(at, end, false)
		}
		if anchored {
			break
		}
	}
	t.Push(Nil)
	return 1
}

// plain reports whether a pattern is a plain text. It ends at a zero byte.
func plain(pattern string) bool {
	if i := strings.IndexByte(pattern, 0); i >= 0 {
		pattern = pattern[:i]
	}
	return !strings.ContainsAny(pattern, "^$*+?.([%-")
}

// stringGMatch makes an iterator: a function that carries a table of the string,
// the pattern and the position.
func stringGMatch(t *Thread) int {
	s, pattern := t.CheckString(1), t.CheckString(2)
	h := t.state.newTable(3, 0)
	h.SetInt(1, String(s))
	h.SetInt(2, String(pattern))
	h.SetInt(3, Number(0))
	t.Push((&Closure{native: nextMatch, env: t.env, bound: h.Value(), id: t.state.nextID()}).value())
	return 1
}

func nextMatch(t *Thread) int {
	h := t.bound().Table()
	s := h.GetInt(1).Str()
	// Here '^' has no meaning of its own.
	m := &matcher{t: t, src: s, pattern: h.GetInt(2).Str()}
	if i := strings.IndexByte(m.pattern, 0); i >= 0 {
		m.pattern = m.pattern[:i]
	}
	for at := int(h.GetInt(3).Float()); at <= len(s); at++ {
		m.level = 0
		end := m.match(at, 0)
		if end < 0 {
			continue
		}
		next := end
		if end == at {
			next++
		}
		h.SetInt(3, Int(next))
		return m.pushCaptures(at, end, true)
	}
	return 0
}

func stringGSub(t *Thread) int {
	s, pattern := t.CheckString(1), t.CheckString(2)
	replacement := t.Arg(3)
	most := t.OptInt(4, len(s)+1)
	switch replacement.Kind() {
	case KindNumber:
		replacement = String(FormatNumber(replacement.Float()))
	case KindString, KindFunction, KindTable:
	default:
		t.ArgError(3, "string/function/table expected")
	}
	m, anchored := newMatcher(t, s, pattern)
	var b []byte
	n, at := 0, 0
	for n < most {
		m.level = 0
		end := m.match(at, 0)
		if end >= 0 {
			n++
			before := len(b)
			b = m.substitute(b, replacement, at, end)
			if len(b)>>20 != before>>20 {
				t.state.reserve(2 * len(b))
			}
		}
		if end > at {
			at = end
		} else if at < len(s) {
			b = append(b, s[at])
			at++
		} else {
			break
		}
		if anchored {
			break
		}
	}
	if n == 0 {
		t.Push(String(s))
	} else {
		b = append(b, s[min(at, len(s)):]...)
		t.PushBytes(b)
	}
	t.Push(Int(n))
	return 2
}

// substitute appends what replaces a match.
func (m *matcher) substitute(b []byte, replacement Value, start, end int) []byte {
	t := m.t
	var v Value
	switch replacement.Kind() {
	case KindString:
		return m.expand(b, replacement.Str(), start, end)
	case KindFunction:
		at := t.top
		t.ensure(maxCaptures + minStack)
		t.Push(replacement)
		m.pushCaptures(start, end, true)
		t.call(at, 1)
		t.top--
		v = t.stack[t.top]
	default:
		v = t.Index(replacement, m.captured(0, start, end))
	}
	if !v.Truth() {
		return append(b, m.src[start:end]...)
	}
	if !isText(v) {
		t.Errorf("invalid replacement value (a %s)", v.Kind())
	}
	return appendText(b, v)
}

// expand appends a replacement with its references to captures.
func (m *matcher) expand(b []byte, news string, start, end int) []byte {
	for i := 0; i < len(news); i++ {
		if news[i] != '%' {
			b = append(b, news[i])
			continue
		}
		i++
		c := byte(0)
		if i < len(news) {
			c = news[i]
		}
		switch {
		case !isDigit(c):
			b = append(b, c)
		case c == '0':
			b = append(b, m.src[start:end]...)
		default:
			b = appendText(b, m.captured(int(c-'1'), start, end))
		}
	}
	return b
}
