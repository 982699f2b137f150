package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A valueType reads and writes the values of a directive. Its canonical text
// is what CONFIG GET prints; everything else is derived from that text.
type valueType interface {
	// parse turns arguments into the canonical text, or says in Redis's words
	// why it can't. There is exactly one argument unless many reports true.
	// old is the text so far, for directives that change a part of it.
	parse(args []string, old string) (string, error)
	// many reports whether a directive takes several arguments or none; Redis
	// calls these MULTI_ARG_CONFIG.
	many() bool
	// lines is what follows the directive's name in a file: one string for
	// each line, none if the value is written by leaving the directive out.
	lines(text string) []string
	// String describes the values, for the documentation.
	String() string
}

// single is the part that most types have in common.
type single struct{}

func (single) many() bool                 { return false }
func (single) lines(text string) []string { return []string{text} }

// A refusal is an error in Redis's words, for the client or the operator.
type refusal string

func (r refusal) Error() string { return string(r) }

// boolean is yes or no.
type boolean struct{ single }

func (boolean) String() string { return "yes, no" }

func (boolean) parse(args []string, _ string) (string, error) {
	switch {
	case strings.EqualFold(args[0], "yes"):
		return "yes", nil
	case strings.EqualFold(args[0], "no"):
		return "no", nil
	}
	return "", refusal("argument must be 'yes' or 'no'")
}

// integer is a whole number from lo to hi.
type integer struct {
	single
	lo, hi int64
}

func ints(lo, hi int64) integer { return integer{lo: lo, hi: hi} }

func (t integer) String() string { return rangeText(t.lo, t.hi) }

func (t integer) parse(args []string, _ string) (string, error) {
	n, ok := parseInt(args[0])
	if !ok {
		return "", refusal("argument couldn't be parsed into an integer")
	}
	return formatInt(n), between(n, t.lo, t.hi)
}

// hertz is an integer that is brought into its range instead of refused.
type hertz struct{ integer }

func (t hertz) parse(args []string, _ string) (string, error) {
	text, err := ints(0, math.MaxInt32).parse(args, "")
	if err != nil {
		return "", err
	}
	n, _ := parseInt(text)
	return formatInt(min(max(n, t.lo), t.hi)), nil
}

// octal is a file mode.
type octal struct {
	single
	hi int64
}

func (t octal) String() string { return fmt.Sprintf("octal, 0 to %o", t.hi) }

func (t octal) parse(args []string, _ string) (string, error) {
	n, err := strconv.ParseInt(args[0], 8, 64)
	switch {
	case err != nil:
		return "", refusal("argument couldn't be parsed as an octal number")
	case n < 0 || n > t.hi:
		return "", fmt.Errorf("argument must be between %o and %o inclusive", 0, t.hi)
	}
	return strconv.FormatInt(n, 8), nil
}

// memory is a number of bytes, with a unit if wanted: 1k is 1000 and 1kb is
// 1024 bytes. Where percent is allowed, 5% is a value of its own.
type memory struct {
	single
	lo, hi  int64
	percent bool
}

func bytesFrom(lo, hi int64) memory { return memory{lo: lo, hi: hi} }

func (t memory) String() string {
	if t.percent {
		return "bytes, or 0% to 100%"
	}
	return "bytes, " + rangeText(t.lo, t.hi)
}

func (t memory) parse(args []string, _ string) (string, error) {
	if n, ok := ParseMemory(args[0]); ok {
		return formatInt(n), between(n, t.lo, t.hi)
	}
	if !t.percent {
		return "", refusal("argument must be a memory value")
	}
	number, ok := strings.CutSuffix(args[0], "%")
	n, valid := parseInt(number)
	switch {
	case !ok || !valid || n < 0:
		return "", refusal("argument must be a memory or percent value")
	case n > 100:
		return "", refusal("percentage argument must be less or equal to 100")
	case n == 0:
		return "0", nil
	}
	return formatInt(n) + "%", nil
}

func (t memory) lines(text string) []string { return []string{formatMemory(text)} }

// choice is one of several words; its typed value is the word's place.
type choice struct {
	single
	names []string
}

func oneOf(names ...string) choice { return choice{names: names} }

func (t choice) String() string { return strings.Join(t.names, ", ") }

func (t choice) parse(args []string, _ string) (string, error) {
	for _, name := range t.names {
		if strings.EqualFold(args[0], name) {
			return name, nil
		}
	}
	return "", notOneOf(t.names)
}

func notOneOf(names []string) error {
	return fmt.Errorf("argument(s) must be one of the following: %s", strings.Join(names, ", "))
}

// text is any string that check, if there is one, lets pass. Unless blank is
// set, the empty string means that there is no value, and is written to a file
// by leaving the directive out.
type text struct {
	single
	check func(string) error
	blank bool
}

func (text) String() string { return "text" }

func (t text) parse(args []string, _ string) (string, error) {
	if t.check != nil {
		if err := t.check(args[0]); err != nil {
			return "", err
		}
	}
	return args[0], nil
}

func (t text) lines(value string) []string {
	if value == "" && !t.blank {
		return nil
	}
	return []string{Quote(value)}
}

// addresses is a list of addresses to listen on.
type addresses struct{}

func (addresses) String() string          { return "up to 16 addresses" }
func (addresses) many() bool              { return true }
func (addresses) lines(t string) []string { return []string{orEmpty(t)} }

func (addresses) parse(args []string, _ string) (string, error) {
	if len(args) > 16 {
		return "", refusal("Too many bind addresses specified.")
	}
	var list []string
	for _, address := range args {
		switch {
		case !isWord(address):
			return "", refusal("Invalid bind address")
		case address != "":
			list = append(list, address)
		}
	}
	return strings.Join(list, " "), nil
}

// orEmpty writes a list of words to a file, where no words are "".
func orEmpty(list string) string {
	if list == "" {
		return `""`
	}
	return list
}

func between(n, lo, hi int64) error {
	if n < lo || n > hi {
		return fmt.Errorf("argument must be between %d and %d inclusive", lo, hi)
	}
	return nil
}

func rangeText(lo, hi int64) string {
	switch {
	case hi == math.MaxInt64 || hi == math.MaxInt32 || hi == math.MaxUint32:
		if lo == math.MinInt32 {
			return "any integer"
		}
		return fmt.Sprintf("%d or more", lo)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}

// parseInt reads a decimal number as Redis's string2ll does: no blanks, no
// plus sign, no leading zeros.
func parseInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && formatInt(n) == s
}

func formatInt(n int64) string { return strconv.FormatInt(n, 10) }

// ParseMemory reads a number of bytes as Redis's memtoull does: digits and a
// unit, where no digits at all are 0. What does not fit is refused; Redis
// takes its lowest 64 bits.
func ParseMemory(s string) (int64, bool) {
	digits := 0
	for digits < len(s) && '0' <= s[digits] && s[digits] <= '9' {
		digits++
	}
	var unit int64
	switch strings.ToLower(s[digits:]) {
	case "", "b":
		unit = 1
	case "k":
		unit = 1000
	case "kb":
		unit = 1 << 10
	case "m":
		unit = 1000 * 1000
	case "mb":
		unit = 1 << 20
	case "g":
		unit = 1000 * 1000 * 1000
	case "gb":
		unit = 1 << 30
	default:
		return 0, false
	}
	if digits == 0 {
		return 0, true
	}
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

// formatMemory writes the canonical text of a memory value with the largest
// unit that divides it.
func formatMemory(text string) string {
	n, ok := parseInt(text)
	if !ok || n == 0 {
		return text // a percentage, or nothing to shorten
	}
	for _, u := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "gb"}, {1 << 20, "mb"}, {1 << 10, "kb"}} {
		if n%u.bytes == 0 {
			return formatInt(n/u.bytes) + u.name
		}
	}
	return text
}
