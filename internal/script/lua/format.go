package lua

import (
	"math"
	"strconv"
	"strings"
)

// A spec is a conversion of string.format, as C's printf has them.
type spec struct {
	minus, plus, space, sharp, zero bool
	width                           int
	precision                       int // -1 if there is none
}

// parseSpec reads what stands between '%' and the letter, and returns where the
// letter is.
func (t *Thread) parseSpec(format string, i int) (spec, int) {
	s := spec{precision: -1}
	at := func() byte {
		if i < len(format) {
			return format[i]
		}
		return 0
	}
	start := i
	for ; strings.IndexByte("-+ #0", at()) >= 0 && at() != 0; i++ {
		switch at() {
		case '-':
			s.minus = true
		case '+':
			s.plus = true
		case ' ':
			s.space = true
		case '#':
			s.sharp = true
		case '0':
			s.zero = true
		}
	}
	if i-start >= 6 {
		t.Errorf("invalid format (repeated flags)")
	}
	for n := 0; n < 2 && isDigit(at()); n++ {
		s.width = s.width*10 + int(at()-'0')
		i++
	}
	if at() == '.' {
		i++
		s.precision = 0
		for n := 0; n < 2 && isDigit(at()); n++ {
			s.precision = s.precision*10 + int(at()-'0')
			i++
		}
	}
	if isDigit(at()) {
		t.Errorf("invalid format (width or precision too long)")
	}
	return s, i
}

func stringFormat(t *Thread) int {
	format := t.CheckString(1)
	var b []byte
	arg := 1
	for i := 0; i < len(format); {
		c := format[i]
		i++
		if c != '%' {
			b = append(b, c)
			continue
		}
		if i < len(format) && format[i] == '%' {
			b = append(b, '%')
			i++
			continue
		}
		if arg++; arg > t.Count() {
			t.ArgError(arg, "no value")
		}
		var s spec
		s, i = t.parseSpec(format, i)
		letter := byte(0)
		if i < len(format) {
			letter = format[i]
		}
		i++
		b = t.convert(b, s, letter, arg)
	}
	t.PushBytes(b)
	return 1
}

// convert appends one argument.
func (t *Thread) convert(b []byte, s spec, letter byte, arg int) []byte {
	switch letter {
	case 'c':
		c := byte(toInt(t.CheckNumber(arg)))
		text := string([]byte{c})
		if c == 0 {
			text = "\x00"
		}
		out := s.pad(nil, text)
		if i := strings.IndexByte(string(out), 0); i >= 0 {
			out = out[:i] // it goes through a C string
		}
		return append(b, out...)
	case 'd', 'i':
		n := toInt(t.CheckNumber(arg))
		digits := strconv.FormatUint(magnitude(n), 10)
		return s.integer(b, digits, s.sign(n < 0), "")
	case 'o', 'u', 'x', 'X':
		return s.unsigned(b, toUnsigned(t.CheckNumber(arg)), letter)
	case 'e', 'E', 'f', 'g', 'G':
		return s.float(b, t.CheckNumber(arg), letter)
	case 'q':
		return appendQuoted(b, t.CheckString(arg))
	case 's':
		text := t.CheckString(arg)
		if s.precision < 0 && len(text) >= 100 {
			t.state.reserve(len(b) + len(text))
			return append(b, text...)
		}
		if i := strings.IndexByte(text, 0); i >= 0 {
			text = text[:i]
		}
		if s.precision >= 0 && len(text) > s.precision {
			text = text[:s.precision]
		}
		return s.pad(b, text)
	}
	if letter == 0 {
		t.Errorf("invalid option '%%' to 'format'")
	}
	t.Errorf("invalid option '%%%c' to 'format'", letter)
	return nil
}

func magnitude(n int) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// toUnsigned converts to 64 bits as C does on amd64.
func toUnsigned(f float64) uint64 {
	if f >= 1<<63 {
		return uint64(toInt(f-1<<63)) ^ 1<<63
	}
	return uint64(toInt(f))
}

func (s spec) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case s.plus:
		return "+"
	case s.space:
		return " "
	}
	return ""
}

func (s spec) pad(b []byte, text string) []byte {
	n := s.width - len(text)
	if !s.minus {
		for ; n > 0; n-- {
			b = append(b, ' ')
		}
	}
	b = append(b, text...)
	for ; n > 0; n-- {
		b = append(b, ' ')
	}
	return b
}

// number pads a sign or prefix and digits; zeros go between them.
func (s spec) number(b []byte, prefix, digits string, zeros bool) []byte {
	if zeros && !s.minus {
		for n := s.width - len(prefix) - len(digits); n > 0; n-- {
			digits = "0" + digits
		}
	}
	return s.pad(b, prefix+digits)
}

func (s spec) integer(b []byte, digits, sign, prefix string) []byte {
	if s.precision == 0 && digits == "0" {
		digits = ""
	}
	for len(digits) < s.precision {
		digits = "0" + digits
	}
	return s.number(b, sign+prefix, digits, s.zero && s.precision < 0)
}

func (s spec) unsigned(b []byte, n uint64, letter byte) []byte {
	base, prefix := 10, ""
	switch letter {
	case 'o':
		base = 8
	case 'x', 'X':
		base = 16
		if s.sharp && n != 0 {
			prefix = "0" + string([]byte{letter})
		}
	}
	digits := strconv.FormatUint(n, base)
	if letter == 'X' {
		digits = strings.ToUpper(digits)
	}
	if letter == 'o' && s.sharp && digits[0] != '0' && s.precision <= len(digits) {
		digits = "0" + digits
	}
	return s.integer(b, digits, "", prefix)
}

func (s spec) float(b []byte, f float64, letter byte) []byte {
	upper := letter == 'E' || letter == 'G'
	sign := s.sign(math.Signbit(f))
	var digits string
	switch {
	case math.IsNaN(f):
		digits = "nan"
	case math.IsInf(f, 0):
		digits = "inf"
	default:
		digits = s.digits(math.Abs(f), letter|0x20)
	}
	if upper {
		digits = strings.ToUpper(digits)
	}
	return s.number(b, sign, digits, s.zero && !math.IsNaN(f) && !math.IsInf(f, 0))
}

func (s spec) digits(f float64, letter byte) string {
	precision := s.precision
	if precision < 0 {
		precision = 6
	}
	if letter == 'g' {
		return string(appendG(nil, f, precision, s.sharp))
	}
	text := strconv.FormatFloat(f, letter, precision, 64)
	if s.sharp && precision == 0 {
		if i := strings.IndexByte(text, 'e'); i >= 0 {
			return text[:i] + "." + text[i:]
		}
		return text + "."
	}
	return text
}

// appendQuoted is %q.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			b = append(b, '\\', c)
		case '\r':
			b = append(b, '\\', 'r')
		case 0:
			b = append(b, "\\000"...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
