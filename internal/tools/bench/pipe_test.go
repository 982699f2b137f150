package main

import (
	"bufio"
	"strings"
	"testing"
)

func TestSkipReply(t *testing.T) {
	for _, c := range []struct{ name, in, fails string }{
		{"a status", "+OK\r\n", ""},
		{"a number", ":12\r\n", ""},
		{"an error reply is an error", "-OOM no room\r\n", "OOM no room"},
		{"a bulk string with a line end", "$4\r\na\r\nb\r\n", ""},
		{"a null", "$-1\r\n", ""},
		{"arrays in an array", "*2\r\n*2\r\n:1\r\n$1\r\na\r\n*0\r\n", ""},
		{"an error in an array", "*2\r\n:1\r\n-ERR x\r\n", "ERR x"},
		{"an array that is cut off", "*2\r\n:1\r\n", "EOF"},
		{"a length that is no number", "$x\r\n", `a reply begins with "$x"`},
		{"no reply at all", "hello\r\n", `a reply begins with "hello"`},
	} {
		r := bufio.NewReader(strings.NewReader(c.in))
		switch err := skipReply(r); {
		case err == nil && c.fails != "", err != nil && err.Error() != c.fails:
			t.Errorf("%s: error %v, want %q", c.name, err, c.fails)
		case err == nil && r.Buffered() > 0:
			t.Errorf("%s: %d bytes were left", c.name, r.Buffered())
		}
	}
}

func TestRequest(t *testing.T) {
	got := string(request(nil, []byte("SET"), []byte("k"), nil))
	if want := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Keys that are meant to be different must be, or less is measured than is said.
func TestWordsAreDistinctAndRepeat(t *testing.T) {
	a, b := word{seed: 1}, word{seed: 1}
	other := word{seed: 2}
	seen := map[string]bool{}
	for i := range 100_000 {
		w := string(a.of(i, 16))
		if w != string(b.of(i, 16)) {
			t.Fatalf("word %d differs from itself", i)
		}
		if w == string(other.of(i, 16)) {
			t.Fatalf("word %d is the same with another seed", i)
		}
		seen[w] = true
	}
	if len(seen) != 100_000 {
		t.Errorf("%d different words of 100,000", len(seen))
	}
}

// TestWordsDiffer would fail by a few keys if letters had lost what i is.
func TestWordsDiffer(t *testing.T) {
	const n = 1 << 20
	w := &word{seed: 1}
	seen := make(map[[12]byte]bool, n)
	for i := range n {
		seen[[12]byte(w.of(i, 12))] = true
	}
	if len(seen) != n {
		t.Errorf("%d words of %d differ", len(seen), n)
	}
}
