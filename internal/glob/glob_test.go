package glob

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name, pattern, s string
		want, fold       bool // fold: the answer when case is ignored
	}{
		{"equal strings match", "hello", "hello", true, true},
		{"letters differ in case", "hello", "HELLO", false, true},
		{"a longer string does not match", "hello", "hello!", false, false},
		{"a shorter string does not match", "hello", "hell", false, false},
		{"a question mark is one byte", "h?llo", "hallo", true, true},
		{"a question mark is not no byte", "hello?", "hello", false, false},
		{"a star is no byte", "h*ello", "hello", true, true},
		{"a star is many bytes", "h*o", "hello, hello", true, true},
		{"stars may follow each other", "h***o**", "hello", true, true},
		{"the last of several partial matches counts", "*abc*abd", "abcabcabd", true, true},
		{"what follows the last star must end the string", "*abc", "abcab", false, false},
		{"a class holds its bytes", "h[ae]llo", "hello", true, true},
		{"a class holds no other byte", "h[ae]llo", "hillo", false, false},
		{"a negated class", "h[^e]llo", "hallo", true, true},
		{"a negated class refuses its bytes", "h[^e]llo", "hello", false, false},
		{"a range", "h[a-e]llo", "hcllo", true, true},
		{"a range ignoring case", "h[a-e]llo", "hCllo", false, true},
		{"a range written backwards", "h[e-a]llo", "hcllo", true, true},
		{"a range whose ends fold the wrong way round", "[Z-a]", "^", true, false},
		{"a class that is never closed", "h[ae", "he", true, true},
		{"a bracket that ends the pattern matches nothing", "h[", "h[", false, false},
		{"a negated class that is never closed", "[^", "x", true, true},
		{"an empty class matches nothing", "[]", "]", false, false},
		{"an escaped bracket in a class", `[\]]`, "]", true, true},
		{"an escaped letter in a class keeps its case", `[\a]`, "A", false, false},
		{"a dash at the end of a class is a dash", "[a-", "-", true, true},
		{"an escaped star is a star", `h\*llo`, "h*llo", true, true},
		{"an escaped star is nothing else", `h\*llo`, "hello", false, false},
		{"a backslash that ends the pattern stands for itself", `a\`, `a\`, true, true},
		{"the empty pattern matches the empty string", "", "", true, true},
		{"a star does not match the empty string", "*", "", false, false},
		{"the empty pattern matches nothing else", "", "a", false, false},
		{"bytes above 127 are bytes", "[\x80-\xff]", "\xc3", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Match(c.pattern, []byte(c.s)); got != c.want {
				t.Errorf("Match(%q, %q) = %v, want %v", c.pattern, c.s, got, c.want)
			}
			if got := MatchFold([]byte(c.pattern), c.s); got != c.fold {
				t.Errorf("MatchFold(%q, %q) = %v, want %v", c.pattern, c.s, got, c.fold)
			}
		})
	}
}

// A pattern of many stars needs a hundred million steps at most here; a
// matcher that goes back to every star would not end in this universe.
func TestManyStarsDoNotBlowUp(t *testing.T) {
	pattern := strings.Repeat("a*", 5000) + "b"
	if Match(pattern, strings.Repeat("a", 10000)) {
		t.Error("a string without b matched")
	}
}

func TestPlain(t *testing.T) {
	for pattern, want := range map[string]bool{
		"maxmemory": true, "": true, `a\b`: true,
		"max*": false, "?": false, "[ab]": false,
	} {
		if got := Plain(pattern); got != want {
			t.Errorf("Plain(%q) = %v, want %v", pattern, got, want)
		}
	}
}

// simple is the definition, written as recursion.
func simple(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		return simple(pattern[1:], s) || s != "" && simple(pattern, s[1:])
	}
	if s == "" {
		return false
	}
	ok, next := element(pattern, 0, s[0], false)
	return ok && simple(pattern[next:], s[1:])
}

func FuzzMatch(f *testing.F) {
	for _, c := range [][2]string{
		{"*a*b?c[^d-e]", "xaxbxcf"}, {`\`, `\`}, {"[", "a"}, {"[^]*", "ab"}, {"**", ""}, {`[\`, `\`},
	} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		got := Match(pattern, s)
		folded := MatchFold(pattern, s)
		if s == strings.ToUpper(s) && pattern == strings.ToUpper(pattern) && !strings.ContainsAny(pattern, "[") && got != folded {
			t.Errorf("no letter has two cases, but Match = %v, MatchFold = %v", got, folded)
		}
		if len(pattern) > 12 || len(s) > 12 || s == "" {
			return // the recursive definition is exponential
		}
		if want := simple(pattern, s); got != want {
			t.Errorf("Match(%q, %q) = %v, by definition %v", pattern, s, got, want)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	key := []byte("user:1000:session:af31")
	b.ReportAllocs()
	for b.Loop() {
		if !Match("user:*:session:*", key) {
			b.Fatal("no match")
		}
	}
}
