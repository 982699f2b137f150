package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestManifestsAreReadAsRedisDoes(t *testing.T) {
	const two = "file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n"
	for _, c := range []struct {
		name, text string
		want       string // the names that are read
		err        string
	}{
		{"a base and what follows it", two, "a.1.base.rdb a.1.incr.aof", ""},
		{"history is not read", "file b seq 2 type b\nfile a seq 1 type h\nfile c seq 9 type i\n", "b c", ""},
		{"gaps are in order", "file a seq 1 type i\nfile b seq 3 type i\n", "a b", ""},
		{"comments are passed over", "# file x seq 1 type b\n" + two, "a.1.base.rdb a.1.incr.aof", ""},
		{"a manifest of comments names nothing", "#\n", "", ""},
		{"the pairs may be in any order, and more", "seq 1 TYPE i new thing FILE a\n", "a", ""},
		{"a quoted name", `file "a b.\"1\x00" seq 1 type i` + "\n", "a b.\"1\x00", ""},
		{"nothing at all", "", "", "Found an empty AOF manifest"},
		{"a blank line", two + "\n", "", "Invalid AOF manifest file format"},
		{"two bases", "file a seq 1 type b\nfile b seq 2 type b\n", "", "Found duplicate base file information"},
		{"a number that does not grow", "file a seq 2 type i\nfile b seq 2 type i\n", "", "Found a non-monotonic sequence number"},
		{"a negative number", "file a seq -1 type i\n", "", "Found a non-monotonic sequence number"},
		{"another type", "file a seq 1 type x\n", "", "Unknown AOF file type"},
		{"a pair without a value", "file a seq 1 type\n", "", "Invalid AOF manifest file format"},
		{"a key that is missing", "filx a seq 1 type i\n", "", "Invalid AOF manifest file format"},
		{"no number", "file a seq x type i\n", "", "Invalid AOF manifest file format"},
		{"an empty name", "file \"\" seq 1 type i\n", "", "Invalid AOF manifest file format"},
		{"quotes that do not close", "file \"a seq 1 type i x\n", "", "Invalid AOF manifest file format"},
		{"a path", "file ../a seq 1 type i\n", "", "File can't be a path, just a filename"},
		{"a line without an end", "file a seq 1 type i", "", "The AOF manifest file contains too long line"},
		{"a long line", "file " + strings.Repeat("a", 1024) + " seq 1 type i\n", "", "The AOF manifest file contains too long line"},
		{"the longest line", "file " + strings.Repeat("a", 1024-len("file  seq 1 type i\n")) + " seq 1 type i\n", strings.Repeat("a", 1024-len("file  seq 1 type i\n")), ""},
		{"a line with a NUL", "file a seq\x00 1 type i\n", "", "The AOF manifest file contains too long line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := ParseManifest([]byte(c.text))
			var bad *ManifestError
			if c.err != "" {
				if !errors.As(err, &bad) || bad.Reason != c.err {
					t.Fatalf("the error is %v, want %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			if m.Base != nil {
				names = append(names, m.Base.Name)
			}
			for _, e := range m.Incr {
				names = append(names, e.Name)
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("it names %q, want %q", got, c.want)
			}
			if len(names) > 0 {
				again, err := ParseManifest(m.Encode())
				if err != nil || !bytes.Equal(again.Encode(), m.Encode()) {
					t.Errorf("written and read again it is %s, %v", again.Encode(), err)
				}
			}
		})
	}
}

func command(args ...string) string {
	s := fmt.Sprintf("*%d\r\n", len(args))
	for _, a := range args {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
	}
	return s
}

// story is what a file says, a unit in brackets, and how it ends.
func story(r *Reader) (string, error) {
	var b strings.Builder
	for {
		unit, err := r.Next()
		if err != nil {
			return b.String(), err
		}
		b.WriteByte('[')
		for i, c := range unit {
			if i > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "%d:%s", c.DB, bytes.Join(c.Args, []byte(",")))
		}
		b.WriteByte(']')
	}
}

func TestFilesAreReadUnitByUnit(t *testing.T) {
	set := command("set", "k", "v")
	long := strings.Repeat("x", 3*growBytes+1)
	for _, c := range []struct {
		name, text, want string
		err              error
		whole            int
	}{
		{"nothing", "", "", io.EOF, 0},
		{"commands", set + set, "[0:set,k,v][0:set,k,v]", io.EOF, 2 * len(set)},
		{"databases", command("SELECT", "3") + set + command("select", "1") + set, "[3:set,k,v][1:set,k,v]", io.EOF, 2*len(set) + 2*len(command("SELECT", "3"))},
		{"transactions", command("MULTI") + set + command("SELECT", "2") + set + command("EXEC") + set, "[0:set,k,v 2:set,k,v][2:set,k,v]", io.EOF,
			len(command("MULTI")) + 3*len(set) + len(command("SELECT", "2")) + len(command("EXEC"))},
		{"an empty transaction is none", command("MULTI") + command("EXEC") + set, "[0:set,k,v]", io.EOF, len(command("MULTI")) + len(set) + len(command("EXEC"))},
		{"annotations", "#TS:1628217470\r\n" + set + "#TS:1\r\n", "[0:set,k,v]", io.EOF, len(set) + len("#TS:1628217470\r\n#TS:1\r\n")},
		{"annotations within transactions", command("MULTI") + "#TS:1\r\n" + set + command("EXEC"), "[0:set,k,v]", io.EOF, len(command("MULTI")) + 7 + len(set) + len(command("EXEC"))},
		{"a long annotation", "#" + strings.Repeat("a", 2*readerBytes) + "\n" + set, "[0:set,k,v]", io.EOF, 2*readerBytes + 2 + len(set)},
		{"long arguments", command("set", "k", long) + set, "[0:set,k," + long + "][0:set,k,v]", io.EOF, len(command("set", "k", long)) + len(set)},
		{"an empty argument", command("set", "k", ""), "[0:set,k,]", io.EOF, len(command("set", "k", ""))},
		{"a command that is cut off", set + set[:len(set)-1], "[0:set,k,v]", ErrShort, len(set)},
		{"one whose beginning is all there is", set + "*", "[0:set,k,v]", ErrShort, len(set)},
		{"an annotation that is cut off", set + "#TS", "[0:set,k,v]", io.EOF, len(set) + 3},
		{"a transaction that is cut off", set + command("MULTI") + set, "[0:set,k,v]", ErrShort, len(set)},
		{"a transaction of nothing that is cut off", set + command("MULTI"), "[0:set,k,v]", ErrShort, len(set)},
		{"junk", set + "!!!" + set, "[0:set,k,v]", ErrFormat, len(set)},
		{"zeros", set + "\x00\x00", "[0:set,k,v]", ErrFormat, len(set)},
		{"no arguments", set + "*0\r\n" + set, "[0:set,k,v]", ErrFormat, len(set)},
		{"a negative length", set + "*1\r\n$-1\r\n", "[0:set,k,v]", ErrFormat, len(set)},
		{"an argument longer than its length", set + "*1\r\n$1\r\nabc\r\n", "[0:set,k,v]", ErrFormat, len(set)},
		{"a length beyond what is there", set + "*1\r\n$1000000000\r\nabc\r\n", "[0:set,k,v]", ErrShort, len(set)},
		{"a count beyond what is there", set + "*1000000000\r\n$3\r\nabc\r\n", "[0:set,k,v]", ErrShort, len(set)},
		{"a transaction within another", command("MULTI") + command("MULTI"), "", ErrFormat, 0},
		{"an end without a beginning", set + command("EXEC"), "[0:set,k,v]", ErrFormat, len(set)},
		{"a database that is no number", command("SELECT", "x"), "", ErrFormat, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, in := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
				if i == 1 && len(c.text) > 1<<20 {
					continue
				}
				r := NewReader(in, 0)
				got, err := story(r)
				if got != c.want || !errors.Is(err, c.err) || r.Whole() != int64(c.whole) {
					t.Errorf("read %.200q up to %d, %v; want %.200q up to %d, %v", got, r.Whole(), err, c.want, c.whole, c.err)
				}
			}
		})
	}
}

// What is whole of a file reads the same without the rest, from wherever it begins.
func FuzzReader(f *testing.F) {
	f.Add([]byte(command("SELECT", "1") + command("set", "k", "v") + "#TS:1\r\n" + command("MULTI") + command("incr", "a") + command("EXEC")))
	f.Add([]byte("*1\r\n$1000000000\r\nabc"))
	f.Fuzz(func(t *testing.T, text []byte) {
		const at = 7
		r := NewReader(bytes.NewReader(text), at)
		got, err := story(r)
		if err == nil || r.Whole() < at || r.Whole() > int64(at+len(text)) {
			t.Fatalf("read up to %d, %v", r.Whole(), err)
		}
		again := NewReader(bytes.NewReader(text[:r.Whole()-at]), at)
		if whole, err := story(again); whole != got || !errors.Is(err, io.EOF) || again.Whole() != r.Whole() {
			t.Errorf("the whole part reads %q up to %d, %v; before %q up to %d", whole, again.Whole(), err, got, r.Whole())
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte("file a.1.base.rdb seq 1 type b\nfile \"a b\\x00\" seq 1 type i new x\n#\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil || m.Empty() {
			return
		}
		written := m.Encode()
		again, err := ParseManifest(written)
		var long *ManifestError
		if errors.As(err, &long) && strings.Contains(long.Reason, "too long") {
			return // quotes made it longer
		}
		if err != nil || !bytes.Equal(again.Encode(), written) {
			t.Errorf("%q is written as %q and read as %q, %v", text, written, again.Encode(), err)
		}
	})
}

// lay makes files in a new directory.
func lay(t *testing.T, files map[string]string) Place {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return Place{Dir: dir, DirName: "d", FileName: "a"}
}

func TestFindFindsWhatRedisWouldRead(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"nothing", nil, nil},
		{"a manifest", map[string]string{"d/a.manifest": "file x seq 1 type b\nfile y seq 1 type i\n", "d/x": "", "d/y": ""}, []string{"d/x", "d/y"}},
		{"a manifest of history only", map[string]string{"d/a.manifest": "file x seq 1 type h\n"}, nil},
		{"the file of Redis 6", map[string]string{"a": ""}, []string{"a"}},
		{"that file beside an empty directory", map[string]string{"a": "", "d/other": ""}, []string{"a"}},
		{"that file which is about to become a base", map[string]string{"a": "", "d/a.manifest": "file a seq 1 type b\n"}, []string{"a"}},
		{"that file which has become a base", map[string]string{"a": "", "d/a": "", "d/a.manifest": "file a seq 1 type b\n"}, []string{"d/a"}},
		{"that file left beside later ones", map[string]string{"a": "", "d/y": "", "d/a.manifest": "file y seq 1 type i\n"}, []string{"d/y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := lay(t, c.files)
			f, err := Find(p)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if f != nil {
				for _, part := range f.Parts {
					name, _ := filepath.Rel(p.Dir, part.Path)
					got = append(got, name)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("it finds %q, want %q", got, c.want)
			}
		})
	}
}

// A mark tells files that have grown, were rewritten or are others, and not where
// or when they are.
func TestMarksTellFilesApart(t *testing.T) {
	const manifest = "file x seq 1 type i\n"
	mark := func(files map[string]string) string {
		f, err := Find(lay(t, files))
		if err != nil {
			t.Fatal(err)
		}
		m, err := f.Mark()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	large := strings.Repeat("a", 3*sampleBytes)
	first := mark(map[string]string{"d/a.manifest": manifest, "d/x": large})
	if again := mark(map[string]string{"d/a.manifest": manifest, "d/x": large, "d/lost": ""}); again != first {
		t.Error("a copy has another mark")
	}
	for name, files := range map[string]map[string]string{
		"grown":            {"d/a.manifest": manifest, "d/x": large + "a"},
		"another end":      {"d/a.manifest": manifest, "d/x": large[1:] + "b"},
		"another manifest": {"d/a.manifest": "#\n" + manifest, "d/x": large},
	} {
		if mark(files) == first {
			t.Errorf("%s has the same mark", name)
		}
	}
}
