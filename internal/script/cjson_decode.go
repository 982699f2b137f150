package script

import (
	"math"
	"strconv"
	"strings"

	"redoubt/internal/script/lua"
)

// A jsonToken is a token's kind, worded as errors show it.
type jsonToken string

const (
	jsonObjectBegin jsonToken = "T_OBJ_BEGIN"
	jsonObjectEnd   jsonToken = "T_OBJ_END"
	jsonArrayBegin  jsonToken = "T_ARR_BEGIN"
	jsonArrayEnd    jsonToken = "T_ARR_END"
	jsonString      jsonToken = "T_STRING"
	jsonNumber      jsonToken = "T_NUMBER"
	jsonBool        jsonToken = "T_BOOLEAN"
	jsonNullToken   jsonToken = "T_NULL"
	jsonColon       jsonToken = "T_COLON"
	jsonComma       jsonToken = "T_COMMA"
	jsonEnd         jsonToken = "T_END"
	// All others are errors, which are what they say.
	jsonInvalidToken  jsonToken = "invalid token"
	jsonInvalidNumber jsonToken = "invalid number"
)

// A jsonDecoder reads one text, which ends at the first zero byte.
type jsonDecoder struct {
	*jsonConfig
	t     *lua.Thread
	s     string
	pos   int
	index int // of the token at hand
	depth int
	value lua.Value // of the token at hand
	tmp   []byte
}

func (c *jsonConfig) decode(t *lua.Thread) int {
	if t.Count() != 1 {
		t.ArgError(1, "expected 1 argument")
	}
	s := t.CheckString(1)
	if len(s) >= 2 && (s[0] == 0 || s[1] == 0) {
		t.Errorf("JSON parser does not support UTF-16 or UTF-32")
	}
	d := jsonDecoder{jsonConfig: c, t: t, s: cString(s)}
	v := d.read(d.next(), 1)
	if tok := d.next(); tok != jsonEnd {
		d.fail("the end", tok)
	}
	t.Push(v)
	return 1
}

func (d *jsonDecoder) fail(expected string, found jsonToken) {
	d.t.Errorf("Expected %s but found %s at character %d", expected, string(found), d.index+1)
}

// at is a byte of the text, zero behind its end.
func (d *jsonDecoder) at(i int) byte {
	if i < len(d.s) {
		return d.s[i]
	}
	return 0
}

// read makes the value that begins with a token; slots is how many values are
// under way.
func (d *jsonDecoder) read(tok jsonToken, slots int) lua.Value {
	switch tok {
	case jsonString, jsonNumber, jsonBool, jsonNullToken:
		return d.value
	case jsonObjectBegin:
		return d.object(slots)
	case jsonArrayBegin:
		return d.array(slots)
	}
	d.fail("value", tok)
	return lua.Nil
}

// begin makes the table of an object or an array, and returns the first token in it.
func (d *jsonDecoder) begin(slots int) (h *lua.Table, first jsonToken) {
	d.t.Poll()
	if d.depth++; d.depth > d.decodeDepth || slots > maxSlots {
		d.t.Errorf("Found too many nested data structures (%d) at character %d", d.depth, d.pos)
	}
	h = d.t.State().NewTable(0, 0)
	d.t.Push(h.Value()) // where the bound on memory sees it
	return h, d.next()
}

// end returns the table that was begun last.
func (d *jsonDecoder) end() lua.Value {
	d.depth--
	return d.t.Pop()
}

func (d *jsonDecoder) object(slots int) lua.Value {
	h, tok := d.begin(slots)
	if tok == jsonObjectEnd {
		return d.end()
	}
	for {
		if tok != jsonString {
			d.fail("object key string", tok)
		}
		key := d.value
		if tok = d.next(); tok != jsonColon {
			d.fail("colon", tok)
		}
		v := d.read(d.next(), slots+2)
		d.t.State().Allocated(h.Set(key, v))
		switch tok = d.next(); tok {
		case jsonObjectEnd:
			return d.end()
		case jsonComma:
			tok = d.next()
		default:
			d.fail("comma or object end", tok)
		}
	}
}

func (d *jsonDecoder) array(slots int) lua.Value {
	h, tok := d.begin(slots)
	if tok == jsonArrayEnd {
		return d.end()
	}
	for i := 1; ; i++ {
		v := d.read(tok, slots+1)
		d.t.State().Allocated(h.Set(lua.Int(i), v))
		switch tok = d.next(); tok {
		case jsonArrayEnd:
			return d.end()
		case jsonComma:
			tok = d.next()
		default:
			d.fail("comma or array end", tok)
		}
	}
}

// next reads a token. An error does not advance.
func (d *jsonDecoder) next() jsonToken {
	for d.at(d.pos) == ' ' || d.at(d.pos) == '\t' || d.at(d.pos) == '\n' || d.at(d.pos) == '\r' {
		d.pos++
	}
	d.index = d.pos
	c := d.at(d.pos)
	switch c {
	case 0:
		return jsonEnd
	case '{':
		return d.single(jsonObjectBegin)
	case '}':
		return d.single(jsonObjectEnd)
	case '[':
		return d.single(jsonArrayBegin)
	case ']':
		return d.single(jsonArrayEnd)
	case ',':
		return d.single(jsonComma)
	case ':':
		return d.single(jsonColon)
	case '"':
		return d.string()
	case 't', 'f', 'n', 'i', 'I', 'N', '+', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return d.word(c)
	}
	return jsonInvalidToken
}

func (d *jsonDecoder) single(tok jsonToken) jsonToken {
	d.pos++
	return tok
}

// word reads a number, true, false or null.
func (d *jsonDecoder) word(c byte) jsonToken {
	rest := d.s[d.pos:]
	switch {
	case c == '-' || c >= '0' && c <= '9':
		if !d.decodeInvalid && irregular(rest) {
			return jsonInvalidNumber
		}
		return d.number()
	case strings.HasPrefix(rest, "true"):
		return d.keyword(jsonBool, lua.Bool(true), 4)
	case strings.HasPrefix(rest, "false"):
		return d.keyword(jsonBool, lua.Bool(false), 5)
	case strings.HasPrefix(rest, "null"):
		return d.keyword(jsonNullToken, lua.Light(&jsonNull), 4)
	case d.decodeInvalid && irregular(rest):
		return d.number()
	}
	return jsonInvalidToken
}

func (d *jsonDecoder) keyword(tok jsonToken, v lua.Value, length int) jsonToken {
	d.value = v
	d.pos += length
	return tok
}

// irregular reports whether a text begins with a number that strtod reads and
// JSON does not have: a plus sign, leading zeros, hexadecimal, infinity, NaN.
func irregular(s string) bool {
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	if at(0) == '+' {
		return true
	}
	if at(0) == '-' {
		s = s[1:]
	}
	if at(0) == '0' {
		return at(1)|0x20 == 'x' || at(1) >= '0' && at(1) <= '9'
	}
	if at(0) <= '9' {
		return false
	}
	return len(s) >= 3 && (strings.EqualFold(s[:3], "inf") || strings.EqualFold(s[:3], "nan"))
}

func (d *jsonDecoder) number() jsonToken {
	f, length := strtod(d.s[d.pos:])
	if length == 0 {
		d.index = d.pos
		return jsonInvalidNumber
	}
	d.value = lua.Number(f)
	d.pos += length
	return jsonNumber
}

// strtod reads the longest number at the beginning of a text as C does, without
// spaces before it. The length is 0 if there is none.
func strtod(s string) (f float64, length int) {
	i := 0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	for _, word := range []string{"infinity", "inf", "nan"} {
		if len(s)-i >= len(word) && strings.EqualFold(s[i:i+len(word)], word) {
			f = math.Inf(1)
			if word == "nan" {
				f = math.NaN()
			}
			if s[0] == '-' {
				f = math.Copysign(f, -1)
			}
			return f, i + len(word)
		}
	}
	if len(s)-i > 2 && s[i] == '0' && s[i+1]|0x20 == 'x' {
		if f, n := hexNumber(s, i); n > 0 {
			return f, n
		}
	}
	end, digits := scanDigits(s, i)
	if end < len(s) && s[end] == '.' {
		var more int
		end2, more := scanDigits(s, end+1)
		if digits+more > 0 {
			end, digits = end2, digits+more
		}
	}
	if digits == 0 {
		return 0, 0
	}
	end = scanExponent(s, end, 'e')
	f, err := strconv.ParseFloat(s[:end], 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, 0
	}
	return f, end
}

func scanDigits(s string, i int) (end, digits int) {
	start := i
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i, i - start
}

// scanExponent is behind the exponent at i, or i if there is none.
func scanExponent(s string, i int, letter byte) int {
	if i >= len(s) || s[i]|0x20 != letter {
		return i
	}
	j := i + 1
	if j < len(s) && (s[j] == '-' || s[j] == '+') {
		j++
	}
	if end, digits := scanDigits(s, j); digits > 0 {
		return end
	}
	return i
}

func hexNumber(s string, start int) (f float64, length int) {
	i := start + 2
	digits := 0
	for ; i < len(s) && (isHexDigit(s[i]) || s[i] == '.' && !strings.Contains(s[start:i], ".")); i++ {
		if s[i] != '.' {
			digits++
		}
	}
	if digits == 0 {
		return 0, 0
	}
	end := scanExponent(s, i, 'p')
	text := s[:end]
	if end == i {
		text += "p0"
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, 0
	}
	return f, end
}

func isHexDigit(c byte) bool { return hexValue(c) >= 0 }

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// string reads a string. An error is where the text ends or the escape begins.
func (d *jsonDecoder) string() jsonToken {
	d.pos++
	start := d.pos
	for c := d.at(d.pos); c != '"' && c != '\\' && c != 0; c = d.at(d.pos) {
		d.pos++
	}
	if d.at(d.pos) == '"' { // without escapes
		d.value = d.made(d.s[start:d.pos])
		d.pos++
		return jsonString
	}
	d.tmp = append(d.tmp[:0], d.s[start:d.pos]...)
	for {
		c := d.at(d.pos)
		switch c {
		case '"':
			d.value = d.made(string(d.tmp))
			d.pos++
			return jsonString
		case 0:
			d.index = d.pos
			return "unexpected end of string"
		case '\\':
			if problem := d.escape(); problem != "" {
				d.index = d.pos
				return problem
			}
		default:
			d.tmp = append(d.tmp, c)
			d.pos++
		}
	}
}

// made counts a string, which does not share the text's memory.
func (d *jsonDecoder) made(s string) lua.Value {
	d.t.State().Allocated(len(s))
	return lua.String(strings.Clone(s))
}

func (d *jsonDecoder) escape() (problem jsonToken) {
	switch c := d.at(d.pos + 1); c {
	case '"', '\\', '/':
		d.tmp = append(d.tmp, c)
	case 'b':
		d.tmp = append(d.tmp, '\b')
	case 't':
		d.tmp = append(d.tmp, '\t')
	case 'n':
		d.tmp = append(d.tmp, '\n')
	case 'f':
		d.tmp = append(d.tmp, '\f')
	case 'r':
		d.tmp = append(d.tmp, '\r')
	case 'u':
		length, ok := d.unicode()
		if !ok {
			return "invalid unicode escape code"
		}
		d.pos += length
		return ""
	default:
		return "invalid escape code"
	}
	d.pos += 2
	return ""
}

// unicode decodes \uXXXX at pos, or a pair of surrogates, and returns its length.
func (d *jsonDecoder) unicode() (length int, ok bool) {
	code := d.hex4(d.pos + 2)
	length = 6
	if code < 0 {
		return 0, false
	}
	if code&0xf800 == 0xd800 {
		if code&0x400 != 0 || d.at(d.pos+6) != '\\' || d.at(d.pos+7) != 'u' {
			return 0, false
		}
		low := d.hex4(d.pos + 8)
		if low&0xfc00 != 0xdc00 {
			return 0, false
		}
		code = (code&0x3ff<<10 | low&0x3ff) + 0x10000
		length = 12
	}
	d.tmp = appendUTF8(d.tmp, code)
	return length, true
}

func (d *jsonDecoder) hex4(i int) int {
	n := 0
	for j := range 4 {
		v := hexValue(d.at(i + j))
		if v < 0 {
			return -1
		}
		n = n<<4 | v
	}
	return n
}

func appendUTF8(b []byte, code int) []byte {
	switch {
	case code <= 0x7f:
		return append(b, byte(code))
	case code <= 0x7ff:
		return append(b, byte(code>>6|0xc0), byte(code&0x3f|0x80))
	case code <= 0xffff:
		return append(b, byte(code>>12|0xe0), byte(code>>6&0x3f|0x80), byte(code&0x3f|0x80))
	}
	return append(b, byte(code>>18|0xf0), byte(code>>12&0x3f|0x80), byte(code>>6&0x3f|0x80), byte(code&0x3f|0x80))
}
