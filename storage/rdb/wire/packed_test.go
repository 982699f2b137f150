package wire

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unhex reads hexadecimal digits; spaces are for the eye.
func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	p, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func listpackOf(elements ...string) []byte {
	var l ListpackBuilder
	for _, e := range elements {
		l.Append([]byte(e))
	}
	return l.Finish()
}

// ziplistOf makes a ziplist with the shortest forms, as ziplistPush does.
func ziplistOf(elements ...string) []byte {
	z := make([]byte, ziplistHeaderBytes)
	last, before := ziplistHeaderBytes, 0
	for _, e := range elements {
		last = len(z)
		z = appendPrevlen(z, before, false)
		z = appendZiplistEntry(z, e)
		before = len(z) - last
	}
	return endZiplist(z, last, len(elements))
}

func appendPrevlen(z []byte, n int, long bool) []byte {
	if n < ziplistLongPrevlen && !long {
		return append(z, byte(n))
	}
	return binary.LittleEndian.AppendUint32(append(z, ziplistLongPrevlen), uint32(n))
}

func appendZiplistEntry(z []byte, e string) []byte {
	n, err := strconv.ParseInt(e, 10, 64)
	if err == nil && strconv.FormatInt(n, 10) == e {
		switch {
		case n >= 0 && n <= 12:
			return append(z, zlMinImm+byte(n))
		case n == int64(int8(n)):
			return appendLittleEndian(append(z, zlInt8), n, 1)
		case n == int64(int16(n)):
			return appendLittleEndian(append(z, zlInt16), n, 2)
		case n == n<<40>>40:
			return appendLittleEndian(append(z, zlInt24), n, 3)
		case n == int64(int32(n)):
			return appendLittleEndian(append(z, zlInt32), n, 4)
		}
		return appendLittleEndian(append(z, zlInt64), n, 8)
	}
	switch {
	case len(e) < 1<<6:
		z = append(z, zlStr6|byte(len(e)))
	case len(e) < 1<<14:
		z = append(z, zlStr14|byte(len(e)>>8), byte(len(e)))
	default:
		z = binary.BigEndian.AppendUint32(append(z, zlStr32), uint32(len(e)))
	}
	return append(z, e...)
}

func endZiplist(z []byte, last, n int) []byte {
	z = append(z, ziplistEnd)
	binary.LittleEndian.PutUint32(z, uint32(len(z)))
	binary.LittleEndian.PutUint32(z[4:], uint32(last))
	binary.LittleEndian.PutUint16(z[8:], uint16(min(n, ziplistManyEntries)))
	return z
}

// zipmapOf makes a zipmap; behind its values are 0, 1, 2 … free bytes.
func zipmapOf(elements ...string) []byte {
	z := []byte{byte(min(len(elements)/2, zipmapManyPairs))}
	for i, e := range elements {
		if len(e) < zipmapLong {
			z = append(z, byte(len(e)))
		} else {
			z = binary.LittleEndian.AppendUint32(append(z, zipmapLong), uint32(len(e)))
		}
		free := 0
		if i%2 == 1 {
			free = i / 2 % 5
			z = append(z, byte(free))
		}
		z = append(z, e...)
		z = append(z, make([]byte, free)...)
	}
	return append(z, zipmapEnd)
}

func intsetOf(ints ...int64) []byte { return AppendIntset(nil, ints) }

// encodings are the ways to pack strings.
var encodings = []struct {
	name  string
	pack  func(elements ...string) []byte
	parse func([]byte) (Packed, error)
}{
	{"listpack", listpackOf, ParseListpack},
	{"ziplist", ziplistOf, ParseZiplist},
	{"zipmap", zipmapOf, ParseZipmap},
}

func elementsOf(p Packed) (all []string) {
	for e := range p.All() {
		all = append(all, e.String())
	}
	return all
}

func TestElementsComeBack(t *testing.T) {
	many := make([]string, 70000) // more than a header can count
	for i := range many {
		many[i] = strconv.Itoa(i % 300)
	}
	cases := map[string][]string{
		"nothing":             nil,
		"a pair":              {"field", "value"},
		"integers and others": edges,
		"strings":             append(lengths(), strings.Repeat("long", 10000), "even"),
		"many":                many,
	}
	for _, enc := range encodings {
		for name, want := range cases {
			t.Run(enc.name+" of "+name, func(t *testing.T) {
				p, err := enc.parse(enc.pack(want...))
				if err != nil {
					t.Fatal(err)
				}
				if got := elementsOf(p); !slices.Equal(got, want) || p.Len() != len(want) {
					t.Errorf("got %d elements, Len %d\n%.300q\nwant %d\n%.300q", len(got), p.Len(), got, len(want), want)
				}
				var pairs []string
				for a, b := range p.Pairs() {
					pairs = append(pairs, a.String(), b.String())
				}
				if !slices.Equal(pairs, want[:len(want)/2*2]) {
					t.Errorf("pairs %.300q", pairs)
				}
			})
		}
	}
}

func TestIntsetComesBack(t *testing.T) {
	for _, c := range []struct {
		ints  []int64
		width int
	}{
		{nil, 2},
		{[]int64{0}, 2},
		{[]int64{-32768, 32767}, 2},
		{[]int64{-32769, 5}, 4},
		{[]int64{5, 32768}, 4},
		{[]int64{math.MinInt32, math.MaxInt32}, 4},
		{[]int64{math.MinInt32 - 1, 0}, 8},
		{[]int64{math.MinInt64, -1, 0, 1, math.MaxInt64}, 8},
	} {
		b := intsetOf(c.ints...)
		p, err := ParseIntset(b)
		if err != nil || len(b) != 8+c.width*len(c.ints) {
			t.Errorf("%d: %d bytes, %v", c.ints, len(b), err)
		}
		var got []int64
		for e := range p.All() {
			n, _ := e.Int64()
			got = append(got, n)
		}
		if !slices.Equal(got, c.ints) || p.CheckSet() != nil {
			t.Errorf("got %d, want %d", got, c.ints)
		}
	}
}

func TestIterationStopsWhenTold(t *testing.T) {
	p, err := ParseListpack(listpackOf("a", "b", "c", "d"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range p.All() {
		if n++; n == 2 {
			break
		}
	}
	for range p.Pairs() {
		n++
		break
	}
	if n != 3 {
		t.Errorf("%d steps", n)
	}
}

func TestIterationAllocatesNothing(t *testing.T) {
	for _, enc := range encodings {
		p, err := enc.parse(enc.pack(append(counted(200), lengths()...)...))
		if err != nil {
			t.Fatal(err)
		}
		var scratch [maxIntDigits]byte
		bytes := 0
		allocs := testing.AllocsPerRun(10, func() {
			for e := range p.All() {
				bytes += len(e.Bytes(scratch[:]))
			}
			for a, b := range p.Pairs() {
				bytes += a.Len() + b.Len()
			}
		})
		if allocs > 0 || bytes == 0 {
			t.Errorf("%s: %v allocations", enc.name, allocs)
		}
	}
}

// Every form by its bytes. Those of the listpack are those of the golden dumps;
// the ziplist and the zipmap are the examples in the head comments of Redis's
// ziplist.c and zipmap.c, and what they say of the other forms.
func TestForms(t *testing.T) {
	ziplist := func(entry string) string {
		return fmt.Sprintf("%02x000000 0a000000 0100 00 %s ff", 12+len(strings.ReplaceAll(entry, " ", ""))/2, entry)
	}
	listpack := func(entry string) string {
		return fmt.Sprintf("%02x000000 0100 %s ff", 7+len(strings.ReplaceAll(entry, " ", ""))/2, entry)
	}
	for _, c := range []struct {
		name, digits string
		parse        func([]byte) (Packed, error)
		want         []string
	}{
		{"listpack, uint7", listpack("7f 01"), ParseListpack, []string{"127"}},
		{"listpack, int13", listpack("dfff 02"), ParseListpack, []string{"-1"}},
		{"listpack, the smallest int13", listpack("d000 02"), ParseListpack, []string{"-4096"}},
		{"listpack, int16", listpack("f10080 03"), ParseListpack, []string{"-32768"}},
		{"listpack, int24", listpack("f2000080 04"), ParseListpack, []string{"-8388608"}},
		{"listpack, int32", listpack("f3ffffff7f 05"), ParseListpack, []string{"2147483647"}},
		{"listpack, int64", listpack("f40000000000000080 09"), ParseListpack, []string{"-9223372036854775808"}},
		{"listpack, a short string", listpack("82 6869 03"), ParseListpack, []string{"hi"}},
		{"listpack, a string of 12 bits that could be shorter", listpack("e002 6869 04"), ParseListpack, []string{"hi"}},
		{"listpack, a string of 32 bits that could be shorter", listpack("f002000000 6869 07"), ParseListpack, []string{"hi"}},
		{"listpack, an integer that could be shorter", listpack("f40500000000000000 09"), ParseListpack, []string{"5"}},
		{"listpack that does not count", "09000000 ffff 0001 ff", ParseListpack, []string{"0"}},

		{"ziplist, 2 and 5", "0f000000 0c000000 0200 00f3 02f6 ff", ParseZiplist, []string{"2", "5"}},
		{"ziplist, 2, 5 and Hello World", "1c000000 0e000000 0300 00f3 02f6 020b 48656c6c6f20576f726c64 ff", ParseZiplist, []string{"2", "5", "Hello World"}},
		{"ziplist, the largest immediate", ziplist("fd"), ParseZiplist, []string{"12"}},
		{"ziplist, int8", ziplist("fe80"), ParseZiplist, []string{"-128"}},
		{"ziplist, int16", ziplist("c00080"), ParseZiplist, []string{"-32768"}},
		{"ziplist, int24", ziplist("f0000080"), ParseZiplist, []string{"-8388608"}},
		{"ziplist, int32", ziplist("d000000080"), ParseZiplist, []string{"-2147483648"}},
		{"ziplist, int64", ziplist("e00000000000000080"), ParseZiplist, []string{"-9223372036854775808"}},
		{"ziplist, a string of 14 bits that could be shorter", ziplist("4002 6869"), ParseZiplist, []string{"hi"}},
		{"ziplist, a string of 32 bits that could be shorter", ziplist("8000000002 6869"), ParseZiplist, []string{"hi"}},
		{"ziplist, a prevlen that could be shorter", "13000000 0c000000 0200 00f3 fe02000000f6 ff", ParseZiplist, []string{"2", "5"}},
		{"ziplist that does not count", "0f000000 0c000000 ffff 00f3 02f6 ff", ParseZiplist, []string{"2", "5"}},

		{"zipmap, foo and hello", "02 03666f6f 0300626172 0568656c6c6f 0500776f726c64 ff", ParseZipmap, []string{"foo", "bar", "hello", "world"}},
		{"zipmap with free bytes", "01 03666f6f 0302626172 0000 ff", ParseZipmap, []string{"foo", "bar"}},
		{"zipmap that does not count", "fe 0161 010062 ff", ParseZipmap, []string{"a", "b"}},
		{"zipmap with long lengths that could be shorter", "01 fe0100000061 fe010000000062 ff", ParseZipmap, []string{"a", "b"}},

		{"intset that is wider than it must be", "08000000 01000000 0500000000000000", ParseIntset, []string{"5"}},
	} {
		p, err := c.parse(unhex(t, c.digits))
		if got := elementsOf(p); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

func TestDamagedEncodingsAreCorrupt(t *testing.T) {
	for _, c := range []struct {
		name, digits string
		parse        func([]byte) (Packed, error)
	}{
		{"listpack of nothing", "", ParseListpack},
		{"listpack without end", "06000000 0000", ParseListpack},
		{"listpack with another end", "07000000 0000 fe", ParseListpack},
		{"listpack that is longer than it says", "07000000 0000 ff ff", ParseListpack},
		{"listpack that is shorter than it says", "08000000 0000 ff", ParseListpack},
		{"listpack that counts too few", "0b000000 0100 0001 0001 ff", ParseListpack},
		{"listpack that counts too many", "0b000000 0300 0001 0001 ff", ParseListpack},
		{"listpack without backlen", "08000000 0100 00 ff", ParseListpack},
		{"listpack with another backlen", "09000000 0100 0002 ff", ParseListpack},
		{"listpack with a backlen of two bytes for one", "0a000000 0100 000081 ff", ParseListpack},
		{"listpack with an end before its end", "08000000 0000 ff ff", ParseListpack},
		{"listpack with an encoding that does not exist", "09000000 0100 f501 ff", ParseListpack},
		{"listpack with an int13 that is cut off", "08000000 0100 c0 ff", ParseListpack},
		{"listpack with an int64 that is cut off", "0b000000 0100 f4000000 ff", ParseListpack},
		{"listpack with a string that is cut off", "09000000 0100 8261 ff", ParseListpack},
		{"listpack with a length of 12 bits that is cut off", "08000000 0100 e1 ff", ParseListpack},
		{"listpack with a length of 32 bits that is cut off", "0a000000 0100 f00000 ff", ParseListpack},
		{"listpack with a string of 4 GiB", "0d000000 0100 f0ffffffff 61 ff", ParseListpack},

		{"ziplist of nothing", "", ParseZiplist},
		{"ziplist without end", "0a000000 0a000000 0000", ParseZiplist},
		{"ziplist with another end", "0b000000 0a000000 0000 fe", ParseZiplist},
		{"ziplist that is longer than it says", "0b000000 0a000000 0000 ff ff", ParseZiplist},
		{"ziplist that counts too few", "0f000000 0c000000 0100 00f3 02f6 ff", ParseZiplist},
		{"ziplist that counts too many", "0f000000 0c000000 0300 00f3 02f6 ff", ParseZiplist},
		{"ziplist with its tail elsewhere", "0f000000 0b000000 0200 00f3 02f6 ff", ParseZiplist},
		{"ziplist with its tail at the end", "0f000000 0e000000 0200 00f3 02f6 ff", ParseZiplist},
		{"ziplist of nothing with a tail", "0b000000 0b000000 0000 ff", ParseZiplist},
		{"ziplist with another prevlen", "0f000000 0c000000 0200 00f3 01f6 ff", ParseZiplist},
		{"ziplist whose first entry has one before it", "0d000000 0a000000 0100 02f3 ff", ParseZiplist},
		{"ziplist with a prevlen that is cut off", "0f000000 0c000000 0200 00f3 fe02 ff", ParseZiplist},
		{"ziplist with a prevlen alone", "0e000000 0c000000 0200 00f3 02 ff", ParseZiplist},
		{"ziplist with an end before its end", "0d000000 0a000000 0100 00ff ff", ParseZiplist},
		{"ziplist with an encoding that does not exist", "0d000000 0a000000 0100 00c1 ff", ParseZiplist},
		{"ziplist with an int64 that is cut off", "10000000 0a000000 0100 00e0000000 ff", ParseZiplist},
		{"ziplist with a string that is cut off", "0e000000 0a000000 0100 000261 ff", ParseZiplist},
		{"ziplist with a length of 14 bits that is cut off", "0d000000 0a000000 0100 0040 ff", ParseZiplist},
		{"ziplist with a length of 32 bits that is cut off", "0e000000 0a000000 0100 008000 ff", ParseZiplist},
		{"ziplist with a string of 4 GiB", "11000000 0a000000 0100 0080ffffffff ff", ParseZiplist},

		{"zipmap of nothing", "", ParseZipmap},
		{"zipmap without end", "01 0161 010062", ParseZipmap},
		{"zipmap that counts too few", "01 0161 010062 0163 010064 ff", ParseZipmap},
		{"zipmap that counts too many", "02 0161 010062 ff", ParseZipmap},
		{"zipmap that says 255", "ff 0161 010062 ff", ParseZipmap},
		{"zipmap with a field alone", "01 0161 ff", ParseZipmap},
		{"zipmap with a field alone, uncounted", "fe 0161 ff", ParseZipmap},
		{"zipmap with a field that is cut off", "01 0561 ff", ParseZipmap},
		{"zipmap with a long length that is cut off", "01 fe0100 ff", ParseZipmap},
		{"zipmap with a value without free byte", "01 0161 01 ff", ParseZipmap},
		{"zipmap with a value that is cut off", "01 0161 020062 ff", ParseZipmap},
		{"zipmap with free bytes that are cut off", "01 0161 010262 00 ff", ParseZipmap},
		{"zipmap with an end before its end", "01 0161 010062 ff ff", ParseZipmap},
		{"zipmap with a field of 4 GiB", "01 feffffffff 61 ff", ParseZipmap},

		{"intset of nothing", "", ParseIntset},
		{"intset of integers of three bytes", "03000000 01000000 000000", ParseIntset},
		{"intset of integers of no bytes", "00000000 00000000", ParseIntset},
		{"intset that is cut off", "02000000 02000000 0100", ParseIntset},
		{"intset that is longer than it says", "02000000 01000000 0100 0200", ParseIntset},
		{"intset of 4 Gi integers", "08000000 ffffffff 0100", ParseIntset},
		{"intset with an integer twice", "02000000 02000000 0100 0100", ParseIntset},
		{"intset that descends", "02000000 02000000 0200 0100", ParseIntset},
	} {
		if p, err := c.parse(unhex(t, c.digits)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %q, %v", c.name, elementsOf(p), err)
		}
	}
}

func TestChecksOfCollections(t *testing.T) {
	for _, c := range []struct {
		name            string
		elements        []string
		hash, zset, set bool // what they make
	}{
		{"nothing", nil, true, true, true},
		{"pairs with scores", []string{"a", "1", "b", "-inf", "c", "2.5e-3"}, true, true, true},
		{"pairs without", []string{"a", "x", "b", "y"}, true, false, true},
		{"scores that are no numbers for a set", []string{"a", "nan"}, true, false, true},
		{"a score of nothing", []string{"a", ""}, true, false, true},
		{"an odd number", []string{"a", "1", "b"}, false, false, true},
		{"a value that is a field too", []string{"a", "b", "b", "a"}, true, false, false},
		{"a field twice", []string{"a", "1", "b", "2", "a", "3"}, false, false, false},
		{"an integer twice", []string{"7", "1", "8", "2", "7", "3"}, false, false, false},
		{"the same score twice", []string{"a", "1", "b", "1"}, true, true, false},
	} {
		for _, enc := range encodings {
			if enc.name == "zipmap" && len(c.elements)%2 == 1 {
				continue // its parser refuses that
			}
			p, err := enc.parse(enc.pack(c.elements...))
			if err != nil {
				t.Fatal(err)
			}
			check := func(kind string, err error, ok bool) {
				if (err == nil) != ok || err != nil && !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s in a %s: %s: %v", c.name, enc.name, kind, err)
				}
			}
			check("hash", p.CheckHash(), c.hash)
			check("sorted set", p.CheckZSet(), c.zset)
			if enc.name != "zipmap" {
				check("set", p.CheckSet(), c.set)
			}
		}
	}
	t.Run("an integer once as such and once as a string", func(t *testing.T) {
		p, err := ParseListpack(unhex(t, "0c000000 0200 0501 813502 ff"))
		if err != nil || !errors.Is(p.CheckSet(), ErrCorrupt) {
			t.Errorf("%q, %v, %v", elementsOf(p), err, p.CheckSet())
		}
	})
}

func TestElement(t *testing.T) {
	for _, s := range edges {
		n, err := strconv.ParseInt(s, 10, 64)
		canonical := err == nil && strconv.FormatInt(n, 10) == s
		e := Str([]byte(s))
		if got, ok := e.Int64(); ok != canonical || ok && got != n {
			t.Errorf("%q is the integer %d, %v", s, got, ok)
		}
		if e.IsInt() || e.String() != s || e.Len() != len(s) || string(e.AppendTo([]byte("x"))) != "x"+s {
			t.Errorf("%q is %q of %d bytes", s, e, e.Len())
		}
		if !canonical {
			continue
		}
		i := Int(n)
		if got, ok := i.Int64(); !i.IsInt() || got != n || !ok || i.String() != s || i.Len() != len(s) || string(i.AppendTo([]byte("x"))) != "x"+s {
			t.Errorf("%d is %q of %d bytes", n, i, i.Len())
		}
	}
	if e := Str(nil); e.IsInt() || e.Len() != 0 {
		t.Errorf("no bytes are %q", e)
	}
	for s, want := range map[string]float64{"1": 1, "2.5": 2.5, "3e+20": 3e20, "-inf": math.Inf(-1), "inf": math.Inf(1), "1e999": math.Inf(1)} {
		if f, ok := Str([]byte(s)).Double(); f != want || !ok {
			t.Errorf("%q is the number %v, %v", s, f, ok)
		}
	}
	for _, s := range []string{"", "nan", "1_0", "one", "1 ", "0x"} {
		if f, ok := Str([]byte(s)).Double(); ok {
			t.Errorf("%q is the number %v", s, f)
		}
	}
}

func TestListpackBuilder(t *testing.T) {
	var l ListpackBuilder
	if got := fmt.Sprintf("%x", l.Finish()); got != "070000000000ff" {
		t.Errorf("nothing is %s", got)
	}
	l.Reset([]byte("abc"))
	size := l.Size()
	for _, s := range slices.Concat(edges, lengths()) {
		l.Append([]byte(s))
		if size += ListpackEntryBytes([]byte(s)); l.Size() != size {
			t.Errorf("with %.40q it has %d bytes, was told %d", s, l.Size(), size)
			size = l.Size()
		}
	}
	n := l.Len()
	b := l.Finish()
	p, err := ParseListpack(b[3:])
	if err != nil || string(b[:3]) != "abc" || p.Len() != n || n != len(edges)+len(lengths()) || len(b) != 3+size {
		t.Errorf("%d of %d elements, %d bytes, %v", p.Len(), n, len(b), err)
	}

	// Elements are copied as they are, and come out the same.
	l.Reset(nil)
	for e := range p.All() {
		l.AppendElement(e)
	}
	if got := l.Finish(); string(got) != string(b[3:]) {
		t.Error("element by element it is another")
	}

	if l.Reset(nil); !l.Fits(1<<29) || l.Fits(MaxListpackBytes) || l.Fits(math.MaxInt) {
		t.Error("Fits")
	}
}

// Checks of collections take no more memory than a few times the collection's.
func TestChecksTakeLittleMemory(t *testing.T) {
	elements := make([]string, 100000)
	for i := range elements {
		elements[i] = strconv.Itoa(i)
	}
	rand.New(rand.NewSource(5)).Shuffle(len(elements), func(i, j int) { elements[i], elements[j] = elements[j], elements[i] })
	b := listpackOf(elements...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := ParseListpack(b)
	if err != nil || p.CheckSet() != nil {
		t.Fatal(err, p.CheckSet())
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(2*len(b)) {
		t.Errorf("%d bytes allocated for a listpack of %d", got, len(b))
	}
}
