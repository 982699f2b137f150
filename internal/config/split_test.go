package config

import (
	"slices"
	"testing"
)

func TestSplitArgs(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       []string
		ok         bool
	}{
		{"blanks separate", "save  900\t1", []string{"save", "900", "1"}, true},
		{"an empty line has no arguments", " \t ", nil, true},
		{"double quotes keep blanks", `a "b c"`, []string{"a", "b c"}, true},
		{"single quotes keep blanks", `a 'b c'`, []string{"a", "b c"}, true},
		{"quotes may be empty", `save ""`, []string{"save", ""}, true},
		{"quotes may open within an argument", `a"b c"`, []string{"ab c"}, true},
		{"escapes in double quotes", `"\n\r\t\b\a\\\"\q\x41\x4g"`, []string{"\n\r\t\b\a\\\"qAx4g"}, true},
		{"only the quote is escaped in single quotes", `'\'\n'`, []string{`'\n`}, true},
		{"a backslash outside of quotes is itself", `a\nb`, []string{`a\nb`}, true},
		{"a hash within a line is no comment", "dir # x", []string{"dir", "#", "x"}, true},
		{"an escaped byte may be NUL", `"a\x00b"`, []string{"a\x00b"}, true},
		{"a NUL byte ends the line", "a b\x00 c", []string{"a", "b"}, true},
		{"other white space separates after a quote", "\"a\"\v\"b\"", []string{"a", "b"}, true},
		{"an open double quote", `a "b`, nil, false},
		{"an open single quote", `a 'b`, nil, false},
		{"a backslash at the end does not close", `"a\`, nil, false},
		{"something behind a closing quote", `"a"b`, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := SplitArgs(c.line)
			if !slices.Equal(got, c.want) || ok != c.ok {
				t.Errorf("SplitArgs(%q) = %q, %v, want %q, %v", c.line, got, ok, c.want, c.ok)
			}
		})
	}
}

func FuzzSplitArgs(f *testing.F) {
	for _, line := range []string{`save 900 1`, `a "b\x41\"" 'c\'d'`, `"`, "a\x00", `x"y z"`} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args, ok := SplitArgs(line)
		if !ok {
			return
		}
		quoted := ""
		for _, arg := range args {
			quoted += " " + Quote(arg)
		}
		if again, ok := SplitArgs(quoted); !ok || !slices.Equal(again, args) {
			t.Errorf("%q splits into %q, which quoted is %s and splits into %q, %v", line, args, quoted, again, ok)
		}
	})
}
