package config

import (
	"strings"

	"redoubt/internal/resp"
)

// SplitArgs splits a line into arguments as Redis's sdssplitargs does: they
// are separated by white space, "double quotes" know the escapes \n \r \t \b
// \a \xff and \ before any other byte, 'single quotes' know \' only. A closing
// quote must be followed by white space or the end. The line ends at a NUL
// byte. It is false if quotes are unbalanced.
func SplitArgs(line string) (args []string, ok bool) {
	if nul := strings.IndexByte(line, 0); nul >= 0 {
		line = line[:nul]
	}
	for {
		for line != "" && isSpace(line[0]) {
			line = line[1:]
		}
		if line == "" {
			return args, true
		}
		var arg string
		if arg, line, ok = firstArg(line); !ok {
			return nil, false
		}
		args = append(args, arg)
	}
}

// firstArg cuts the argument off that line begins with. Quotes may open in
// the middle of an argument, but where they close it ends.
func firstArg(line string) (arg, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\n', '\r', '\t':
			return b.String(), line[i:], true
		case '"', '\'':
			n, closed := unquote(&b, line[i+1:], c)
			rest = line[i+1+n:]
			return b.String(), rest, closed && (rest == "" || isSpace(rest[0]))
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", true
}

// unquote writes what s holds up to the closing quote to b, and returns the
// length consumed with the quote.
func unquote(b *strings.Builder, s string, quote byte) (n int, closed bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == quote:
			return i + 1, true
		case c != '\\' || i+1 == len(s):
			b.WriteByte(c)
		case quote == '\'':
			if s[i+1] == '\'' {
				i++
				c = '\''
			}
			b.WriteByte(c)
		default:
			skip, c := escape(s[i+1:])
			b.WriteByte(c)
			i += skip
		}
	}
	return len(s), false
}

// escape decodes what follows a backslash within double quotes.
func escape(s string) (n int, c byte) {
	if len(s) >= 3 && s[0] == 'x' {
		hi, ok1 := hexDigit(s[1])
		lo, ok2 := hexDigit(s[2])
		if ok1 && ok2 {
			return 3, hi<<4 | lo
		}
	}
	switch s[0] {
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'b':
		c = '\b'
	case 'a':
		c = '\a'
	default:
		c = s[0]
	}
	return 1, c
}

// Quote writes s in double quotes so that SplitArgs reads it back, as Redis's
// sdscatrepr does.
func Quote(s string) string { return string(resp.AppendQuoted(nil, s)) }

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
