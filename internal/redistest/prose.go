package redistest

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Columns is how wide the prose of docs is; a row of a table may have up to
// TableColumns.
const (
	Columns      = 120
	TableColumns = 160
)

// Wrap breaks a line of prose at Columns. The lines behind the first begin with indent.
func Wrap(line, indent string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Split(line, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width+1+n > Columns:
			b.WriteString("\n" + indent)
			width = utf8.RuneCountInString(indent)
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += n
	}
	return b.String()
}

// CheckWidth fails the test for each line of a page that is too long.
func CheckWidth(t testing.TB, name, page string) {
	t.Helper()
	for i, line := range strings.Split(page, "\n") {
		most := Columns
		if strings.HasPrefix(line, "|") {
			most = TableColumns
		}
		if n := utf8.RuneCountInString(line); n > most {
			t.Errorf("line %d of %s has %d characters, more than %d", i+1, name, n, most)
		}
	}
}
