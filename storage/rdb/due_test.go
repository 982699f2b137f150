package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"redoubt/storage"
	"redoubt/storage/rdb/wire"
)

func millis(ms int64) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(ms)))
}

type dueForm struct{ name, body, want string }

// dueForms are hashes whose fields expire in the forms that servers write.
func dueForms() []dueForm {
	var l wire.ListpackBuilder
	for _, s := range []string{"a", "1", "1700000000000", "b", "text", "1700000000500", "c", "3", "0"} {
		l.Append([]byte(s))
	}
	packed := l.Finish()
	const at = 1_700_000_000_000
	return []dueForm{
		{"Valkey 9", "\x16\x03\x01a\xc0\x01" + millis(at) + "\x01b\x04text" + millis(at+500) + "\x01c\xc0\x03" + millis(-1),
			"a=1@1700000000000 b=text@1700000000500 c=3"},
		{"Valkey 9, the first millisecond of all", "\x16\x01\x01a\xc0\x01" + millis(0), "a=1@1"},
		{"Redis 7.4, a table", "\x18" + millis(at) + "\x03\x01\x01a\xc0\x01\x41\xf5\x01b\x04text\x00\x01c\xc0\x03",
			"a=1@1700000000000 b=text@1700000000500 c=3"},
		{"Redis 7.4, packed", "\x19" + millis(at) + string(rune(len(packed))) + string(packed),
			"a=1@1700000000000 b=text@1700000000500 c=3"},
	}
}

// shown is what a hash holds, in the order of the names.
func shown(tx *storage.Tx, key []byte) string {
	e, ok := tx.Peek(key)
	if !ok {
		return ""
	}
	var all []string
	h := e.Hash()
	h.EachDue(func(name, value []byte, due int64) bool {
		s := fmt.Sprintf("%s=%s", name, value)
		if due != 0 {
			s += fmt.Sprintf("@%d", due)
		}
		all = append(all, s)
		return true
	})
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestFieldExpiryOfOtherServers(t *testing.T) {
	tx := emptyKeyspace()
	for _, c := range dueForms() {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePayload(signed([]byte(c.body)))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Load(tx, []byte("k"), 0); err != nil {
				t.Fatal(err)
			}
			if got := shown(tx, []byte("k")); got != c.want {
				t.Errorf("loaded %q, want %q", got, c.want)
			}
			// What we make of it is Valkey's form, and the same again.
			e, _ := tx.Peek([]byte("k"))
			f, _ := e.Freeze(nil)
			again, err := ParsePayload((&Encoder{}).AppendPayload(nil, &f))
			if err != nil {
				t.Fatal(err)
			}
			if again.encoding != 22 {
				t.Errorf("saved as type %d", again.encoding)
			}
			if err := again.Load(tx, []byte("again"), 0); err != nil || shown(tx, []byte("again")) != c.want {
				t.Errorf("loaded again: %q, %v", shown(tx, []byte("again")), err)
			}
		})
	}
}

func TestFieldExpiryThatIsRefused(t *testing.T) {
	var odd, text wire.ListpackBuilder
	odd.Append([]byte("a"))
	odd.Append([]byte("1"))
	for _, s := range []string{"a", "1", "soon"} {
		text.Append([]byte(s))
	}
	pack := func(l *wire.ListpackBuilder) string { b := l.Finish(); return string(rune(len(b))) + string(b) }
	tx := emptyKeyspace()
	for _, c := range []struct {
		name, body string
		version    byte
		want       error
	}{
		{"the form of a candidate of Redis 7.4", "\x16\x01\x01a\x01b" + millis(5), 12, ErrUnsupportedType},
		{"a negative time", "\x16\x01\x01a\x01b" + millis(-2), 80, ErrCorrupt},
		{"no time", "\x16\x01\x01a\x01b", 80, ErrCorrupt},
		{"half a time", "\x16\x01\x01a\x01b\x00\x00\x00", 80, ErrCorrupt},
		{"a field twice", "\x16\x02\x01a\x01b" + millis(5) + "\x01a\x01b" + millis(5), 80, ErrCorrupt},
		{"no fields", "\x16\x00", 80, ErrCorrupt},
		{"a time beyond all", "\x18" + millis(math.MaxInt64) + "\x01\x02\x01a\x01b", 12, ErrCorrupt},
		{"a first time that is negative", "\x18" + millis(-5) + "\x01\x02\x01a\x01b", 12, ErrCorrupt},
		{"a pair for a triplet", "\x19" + millis(5) + pack(&odd), 12, ErrCorrupt},
		{"a time that is text", "\x19" + millis(5) + pack(&text), 12, ErrCorrupt},
	} {
		p := append([]byte(c.body), c.version, 0)
		p = binary.LittleEndian.AppendUint64(p, wire.Checksum(0, p))
		if _, err := ParsePayload(p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if tx.Digest() != (storage.Digest{}) {
		t.Error("something was loaded")
	}
}

// A file that holds such a hash is one of Valkey 9, and any other of version 10.
func TestFilesWithFieldExpiry(t *testing.T) {
	tx := emptyKeyspace()
	h, _ := tx.EditHash([]byte("h"))
	h.SetDue([]byte("a"), []byte("1"), 1_700_000_000_000)
	h.Set([]byte("b"), []byte("2"))
	e, _ := tx.Peek([]byte("h"))
	f, _ := e.Freeze(nil)
	want := shown(tx, []byte("h"))

	var file bytes.Buffer
	w := NewWriter(&file, Options{Checksum: true})
	for _, err := range []error{w.Header(Header{Due: true}), w.SelectDB(0, 1, 0), w.Entry(&Entry{Key: f.Key}, &f), w.Finish()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := file.Bytes()[:magicBytes]; string(got) != "VALKEY080" {
		t.Errorf("the file begins with %q", got)
	}
	r, other := NewReader(bytes.NewReader(file.Bytes())), emptyKeyspace()
	for {
		if _, err := r.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Load(other); err != nil {
			t.Fatal(err)
		}
	}
	if got := shown(other, []byte("h")); got != want {
		t.Errorf("read %q, want %q", got, want)
	}

	// The same under the magic of Redis is something else.
	foreign := append([]byte("REDIS0012"), file.Bytes()[magicBytes:]...)
	clear(foreign[len(foreign)-8:])
	if _, err := Check(bytes.NewReader(foreign)); !errors.Is(err, ErrUnsupportedType) {
		t.Errorf("as a file of Redis: %v", err)
	}
	w = NewWriter(io.Discard, Options{})
	w.Header(Header{})
	if err := w.Entry(&Entry{Key: f.Key}, &f); err == nil {
		t.Error("a file of version 10 takes fields that expire")
	}
}
