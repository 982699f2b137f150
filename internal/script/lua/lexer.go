package lua

import (
	"fmt"
	"strings"
)

type token int

const (
	tokAnd token = iota + 257
	tokBreak
	tokDo
	tokElse
	tokElseif
	tokEnd
	tokFalse
	tokFor
	tokFunction
	tokIf
	tokIn
	tokLocal
	tokNil
	tokNot
	tokOr
	tokRepeat
	tokReturn
	tokThen
	tokTrue
	tokUntil
	tokWhile
	tokConcat
	tokDots
	tokEq
	tokGe
	tokLe
	tokNe
	tokNumber
	tokName
	tokString
	tokEOF
)

var tokenNames = [...]string{"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in",
	"local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
	"..", "...", "==", ">=", "<=", "~=", "<number>", "<name>", "<string>", "<eof>"}

var keywords = func() map[string]token {
	words := make(map[string]token)
	for i, name := range tokenNames[:tokWhile-tokAnd+1] {
		words[name] = tokAnd + token(i)
	}
	return words
}()

// A syntaxError ends a compilation.
type syntaxError struct{ message string }

// Error is the message with its place, as PUC Lua words it.
func (e *syntaxError) Error() string { return e.message }

// A lexer cuts a source into tokens.
type lexer struct {
	src    string
	chunk  string // the name of the source, as errors show it
	pos    int
	line   int
	last   int // the line of the token before
	tok    token
	text   string // of a name or string
	near   string // a string as errors show it: with its delimiters, escapes resolved
	number float64
	start  int // of the token at hand

	ahead     token // the token after tok, 0 if it was not looked at
	aheadText string
	aheadNum  float64
}

func (x *lexer) fail(message string, tok token) {
	text := fmt.Sprintf("%s:%d: %s", x.chunk, x.line, message)
	if tok != 0 {
		text += " near '" + x.tokenText(tok) + "'"
	}
	panic(&syntaxError{text})
}

// tokenText is how an error shows a token.
func (x *lexer) tokenText(tok token) string {
	switch tok {
	case tokString:
		return x.near
	case tokName, tokNumber:
		return x.src[x.start:min(x.pos, len(x.src))]
	}
	return tokenName(tok)
}

func tokenName(tok token) string {
	if tok >= tokAnd {
		return tokenNames[tok-tokAnd]
	}
	if tok < ' ' || tok == 127 {
		return fmt.Sprintf("char(%d)", int(tok))
	}
	return string([]byte{byte(tok)})
}

func (x *lexer) next() {
	x.last = x.line
	if x.ahead != 0 {
		x.tok, x.text, x.number = x.ahead, x.aheadText, x.aheadNum
		x.ahead = 0
		return
	}
	x.tok = x.scan()
}

// peek looks at the token after the one at hand.
func (x *lexer) peek() token {
	text, number := x.text, x.number
	x.ahead = x.scan()
	x.aheadText, x.aheadNum = x.text, x.number
	x.text, x.number = text, number
	return x.ahead
}

func (x *lexer) at(i int) byte {
	if i < len(x.src) {
		return x.src[i]
	}
	return 0
}

func (x *lexer) newline() {
	c := x.src[x.pos]
	x.pos++
	if d := x.at(x.pos); (d == '\n' || d == '\r') && d != c {
		x.pos++
	}
	x.line++
}

func (x *lexer) scan() token {
	for {
		x.start = x.pos
		if x.pos >= len(x.src) {
			return tokEOF
		}
		c := x.src[x.pos]
		switch c {
		case '\n', '\r':
			x.newline()
		case ' ', '\t', '\v', '\f':
			x.pos++
		case '-':
			if x.at(x.pos+1) != '-' {
				x.pos++
				return '-'
			}
			x.comment()
		case '[':
			if level := x.longBracket(); level >= 0 {
				x.text = x.longString(level, false)
				return tokString
			} else if level == -1 {
				x.pos++
				return '['
			}
			x.pos += 2
			x.near = x.src[x.start:x.pos]
			x.fail("invalid long string delimiter", tokString)
		case '=':
			return x.either('=', tokEq, '=')
		case '<':
			return x.either('=', tokLe, '<')
		case '>':
			return x.either('=', tokGe, '>')
		case '~':
			return x.either('=', tokNe, '~')
		case '"', '\'':
			x.text = x.quoted(c)
			return tokString
		case '.':
			if x.at(x.pos+1) == '.' {
				if x.at(x.pos+2) == '.' {
					x.pos += 3
					return tokDots
				}
				x.pos += 2
				return tokConcat
			}
			if !isDigit(x.at(x.pos + 1)) {
				x.pos++
				return '.'
			}
			return x.numeral()
		default:
			if isDigit(c) {
				return x.numeral()
			}
			if isLetter(c) {
				return x.name()
			}
			x.pos++
			return token(c)
		}
	}
}

// either is one token if the character after is c, another if not.
func (x *lexer) either(c byte, yes, no token) token {
	x.pos++
	if x.at(x.pos) == c {
		x.pos++
		return yes
	}
	return no
}

func (x *lexer) name() token {
	end := x.pos + 1
	for end < len(x.src) && (isLetter(x.src[end]) || isDigit(x.src[end])) {
		end++
	}
	x.text = x.src[x.pos:end]
	x.pos = end
	if word, ok := keywords[x.text]; ok {
		return word
	}
	return tokName
}

func (x *lexer) numeral() token {
	end := x.pos
	for isDigit(x.at(end)) || x.at(end) == '.' {
		end++
	}
	if c := x.at(end); c == 'e' || c == 'E' {
		end++
		if c := x.at(end); c == '+' || c == '-' {
			end++
		}
	}
	for isLetter(x.at(end)) || isDigit(x.at(end)) {
		end++
	}
	x.pos = end
	var ok bool
	if x.number, ok = parseNumber(x.src[x.start:end]); !ok {
		x.fail("malformed number", tokNumber)
	}
	return tokNumber
}

func (x *lexer) comment() {
	x.pos += 2
	if x.at(x.pos) == '[' {
		if level := x.longBracket(); level >= 0 {
			x.longString(level, true)
			return
		}
	}
	for x.pos < len(x.src) && x.src[x.pos] != '\n' && x.src[x.pos] != '\r' {
		x.pos++
	}
}

// longBracket is the level of the opening long bracket at pos: the number of its
// signs "=", -1 if it is a plain bracket, -2 if it is malformed.
func (x *lexer) longBracket() int {
	i := x.pos + 1
	for x.at(i) == '=' {
		i++
	}
	if x.at(i) == '[' {
		return i - x.pos - 1
	}
	if i == x.pos+1 {
		return -1
	}
	return -2
}

func (x *lexer) longString(level int, comment bool) string {
	x.pos += level + 2
	if c := x.at(x.pos); x.pos < len(x.src) && (c == '\n' || c == '\r') {
		x.newline()
	}
	end := "]" + strings.Repeat("=", level) + "]"
	var b strings.Builder
	for {
		if x.pos >= len(x.src) {
			if comment {
				x.fail("unfinished long comment", tokEOF)
			}
			x.fail("unfinished long string", tokEOF)
		}
		switch c := x.src[x.pos]; {
		case c == ']' && strings.HasPrefix(x.src[x.pos:], end):
			x.pos += len(end)
			x.near = "[" + end[1:len(end)-1] + "[" + b.String() + end
			return b.String()
		case c == '[' && level == 0 && x.at(x.pos+1) == '[':
			x.fail("nesting of [[...]] is deprecated", '[')
		case c == '\n' || c == '\r':
			x.newline()
			b.WriteByte('\n')
		default:
			x.pos++
			if !comment {
				b.WriteByte(c)
			}
		}
	}
}

func (x *lexer) quoted(quote byte) string {
	x.pos++
	b := []byte{quote}
	for {
		if x.pos >= len(x.src) {
			x.fail("unfinished string", tokEOF)
		}
		switch c := x.src[x.pos]; c {
		case quote:
			x.pos++
			x.near = string(append(b, quote))
			return x.near[1 : len(x.near)-1]
		case '\n', '\r':
			x.near = string(b)
			x.fail("unfinished string", tokString)
		case '\\':
			x.pos++
			b = x.escape(b)
		default:
			x.pos++
			b = append(b, c)
		}
	}
}

const escapes, escaped = "abfnrtv", "\a\b\f\n\r\t\v"

func (x *lexer) escape(b []byte) []byte {
	if x.pos >= len(x.src) {
		return b // the loop says that the string is unfinished
	}
	c := x.src[x.pos]
	if i := strings.IndexByte(escapes, c); i >= 0 {
		x.pos++
		return append(b, escaped[i])
	}
	if c == '\n' || c == '\r' {
		x.newline()
		return append(b, '\n')
	}
	if !isDigit(c) {
		x.pos++
		return append(b, c)
	}
	n := 0
	for i := 0; i < 3 && isDigit(x.at(x.pos)); i++ {
		n = n*10 + int(x.src[x.pos]-'0')
		x.pos++
	}
	if n > 255 {
		x.near = string(b)
		x.fail("escape sequence too large", tokString)
	}
	return append(b, byte(n))
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

// The sizes of names in messages: at run time, and of the compiler.
const (
	chunkNameSize  = 60
	sourceNameSize = 80
)

// chunkName is how errors show the name of a source: "@name" is a file, "=name"
// itself, all else a text that is quoted; luaO_chunkid.
func chunkName(source string, size int) string {
	if source == "" {
		return `[string ""]`
	}
	switch source[0] {
	case '=':
		return source[1:min(len(source), size)]
	case '@':
		if name := source[1:]; len(name) > size-8 {
			return "..." + name[len(name)-(size-8):]
		}
		return source[1:]
	}
	line, _, cut := strings.Cut(source, "\n")
	if i := strings.IndexByte(line, '\r'); i >= 0 {
		line, cut = line[:i], true
	}
	if room := size - len(` [string "..."] `) - 1; len(line) > room {
		line, cut = line[:room], true
	}
	if cut {
		line += "..."
	}
	return `[string "` + line + `"]`
}
