package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"redoubt/internal/redistest"
	"redoubt/storage/rdb/wire"
)

// keyed is what tests compare of an entry: one line a key.
func keyed(e *Entry, value []byte) string {
	line := fmt.Sprintf("db%d %s %q = %q", e.DB, e.Type, e.Key, value)
	if e.ExpireAtMs != 0 {
		line += fmt.Sprintf(" at %d", e.ExpireAtMs)
	}
	return line
}

// readAll returns the lines of a file's keys, by key, and the Reader behind.
func readAll(t *testing.T, in io.Reader) (map[string]string, *Reader) {
	t.Helper()
	r := NewReader(in)
	keys := map[string]string{}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return keys, r
		}
		if err != nil {
			t.Fatal(err)
		}
		value, err := r.Text()
		if err != nil {
			t.Fatal(err)
		}
		keys[string(e.Key)] = keyed(e, value)
	}
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// goldenStrings is what testdata/make.sh put into strings.rdb.
// text is an entry that is a string.
type text struct {
	Entry
	Value Text
}

func goldenStrings() []text {
	line := func(db int, key, value string, at int64) text {
		return text{Entry{DB: db, Key: []byte(key), ExpireAtMs: at}, Text(value)}
	}
	return []text{
		line(0, "plain", "hello", 0),
		line(0, "empty", "", 0),
		line(0, "int8", "-128", 0),
		line(0, "int16", "32767", 0),
		line(0, "int32", "-2147483648", 0),
		line(0, "int64", "12345678901", 0),
		line(0, "leading-zero", "007", 0),
		line(0, "minus-zero", "-0", 0),
		line(0, "eleven", "12345678901", 0),
		line(0, "binary", "\x00\xff\r\n\x80", 0),
		line(0, "zeroes", strings.Repeat("\x00", 300), 0),
		line(0, "text", "to be or not to be, that is the question; to be or not to be, that is no question", 0),
		line(0, "expires", "soon", 4102444800123),
		line(0, "long", strings.Repeat("\x00", 19999)+"end", 0),
		line(0, "12", "int-key", 0),
		line(0, "a-key-which-is-long-enough-to-be-compressed-compressed-compressed-compressed", "x", 0),
		line(3, "other", "db", 0),
		line(15, "last", "db", 4102444800000),
	}
}

func goldenLines() map[string]string {
	want := map[string]string{}
	for _, e := range goldenStrings() {
		want[string(e.Key)] = keyed(&e.Entry, e.Value)
	}
	return want
}

// writeGolden writes goldenStrings with our Writer.
func writeGolden(t testing.TB, o Options) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, o)
	header := Header{
		ServerVersion: "7.0.15", CreatedUnix: 1700000000, UsedMemory: 1 << 20,
		ReplID: strings.Repeat("ab", 20), ReplOffset: 12345, ReplStreamDB: 3, AOFBase: true,
	}
	if err := w.Header(header); err != nil {
		t.Fatal(err)
	}
	db := -1
	for _, e := range goldenStrings() {
		if e.DB != db {
			db = e.DB
			if err := w.SelectDB(db, 1, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Entry(&e.Entry, e.Value); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReaderReadsFilesOfRealRedis(t *testing.T) {
	for _, name := range []string{"strings.rdb", "strings-plain.rdb"} {
		t.Run(name, func(t *testing.T) {
			// One byte a read takes every path of the source's refill.
			got, r := readAll(t, iotest.OneByteReader(bytes.NewReader(golden(t, name))))
			if want := goldenLines(); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			if r.Version() != 10 || r.Aux()["redis-ver"] != "7.0.15" || r.Aux()["redis-bits"] != "64" {
				t.Errorf("version %d, aux %v", r.Version(), r.Aux())
			}
		})
	}
}

func TestReaderTellsAttributesOfKeys(t *testing.T) {
	next := func(name string) *Entry {
		e, err := NewReader(bytes.NewReader(golden(t, name))).Next()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := next("idle.rdb"); e.Idle < 0 || e.Freq != -1 {
		t.Errorf("with an LRU policy: idle %d, freq %d", e.Idle, e.Freq)
	}
	if e := next("freq.rdb"); e.Idle != -1 || e.Freq <= 0 {
		t.Errorf("with an LFU policy: idle %d, freq %d", e.Idle, e.Freq)
	}
	if e := next("strings.rdb"); e.Idle != -1 || e.Freq != -1 {
		t.Errorf("without: idle %d, freq %d", e.Idle, e.Freq)
	}
}

// The file was written by redis-server. Its functions come before its keys, and
// reach whoever asks for them; a check counts them.
func TestReaderHandsOutFunctions(t *testing.T) {
	file := golden(t, "function.rdb")
	if keys, _ := readAll(t, bytes.NewReader(file)); len(keys) != 1 {
		t.Errorf("without a place for functions there are %d keys", len(keys))
	}
	r := NewReader(bytes.NewReader(file))
	var codes []string
	r.Library = func(code []byte) error {
		codes = append(codes, string(code))
		return nil
	}
	if _, err := r.Next(); err != nil || len(codes) != 1 || !strings.HasPrefix(codes[0], "#!lua name=") {
		t.Errorf("libraries %q, error %v", codes, err)
	}
	var written bytes.Buffer
	w := NewWriter(&written, Options{Checksum: true})
	if err := errors.Join(w.Header(Header{Functions: append(codes, "#!lua name=b\n")}), w.Finish()); err != nil {
		t.Fatal(err)
	}
	if s, err := Check(&written); err != nil || s.Functions != 2 || s.Keys != 0 {
		t.Errorf("what was written has %d libraries and %d keys, error %v", s.Functions, s.Keys, err)
	}
	refused := errors.New("refused")
	r = NewReader(bytes.NewReader(file))
	r.Library = func([]byte) error { return refused }
	if _, err := r.Next(); !errors.Is(err, refused) {
		t.Errorf("a library that is refused ends the reading with %v", err)
	}
}

func TestFunctionPayloads(t *testing.T) {
	code := "#!lua name=mylib\nredis.register_function('f', function() return 1 end)"
	payload := new(Encoder).AppendFunctions(nil, []string{code})
	for name, test := range map[string]struct {
		payload []byte
		err     error
		codes   int
	}{
		"one library":       {payload, nil, 1},
		"none":              {new(Encoder).AppendFunctions(nil, nil), nil, 0},
		"cut":               {payload[:len(payload)-1], ErrPayload, 0},
		"no trailer":        {[]byte("1234"), ErrPayload, 0},
		"a string":          {framed("\x00\x01a"), ErrNoFunctions, 0},
		"an old form":       {framed("\xf6\x01a"), ErrOldFunctions, 0},
		"half a library":    {framed("\xf5\x7fa"), ErrCorrupt, 0},
		"nothing in it":     {framed("\xf5"), ErrCorrupt, 0},
		"one that is whole": {framed("\xf5\x01a\xf5\x01b"), nil, 2},
	} {
		codes, err := ParseFunctions(test.payload)
		if !errors.Is(err, test.err) || len(codes) != test.codes {
			t.Errorf("%s: %d libraries, error %v", name, len(codes), err)
		}
	}
	if codes, err := ParseFunctions(payload); err != nil || len(codes) != 1 || codes[0] != code {
		t.Errorf("a payload of ours holds %q, error %v", codes, err)
	}
}

// framed is the body of a payload with its trailer.
func framed(body string) []byte {
	b := append([]byte(body), Version, 0)
	return binary.LittleEndian.AppendUint64(b, wire.Checksum(0, b))
}

func TestAuxThatTellsNoPlace(t *testing.T) {
	id := strings.Repeat("ab", 20)
	for _, a := range []Aux{
		nil,
		{auxReplID: id},
		{auxReplID: id, auxReplOffset: "-1"},
		{auxReplID: "short", auxReplOffset: "5"},
		{auxReplID: id, auxReplOffset: "x", auxReplStreamDB: "-1"},
	} {
		if _, _, ok := a.Replication(); ok || a.StreamDB() != 0 {
			t.Errorf("%v tells a place, or database %d", a, a.StreamDB())
		}
	}
}

func TestUnsupportedTypeNamesTypeAndKey(t *testing.T) {
	file := []byte("REDIS0010\x1a\x08a-stream\xff")
	_, err := Check(bytes.NewReader(file))
	if !errors.Is(err, ErrUnsupportedType) || !strings.Contains(err.Error(), `stream at key "a-stream"`) {
		t.Errorf("got %v", err)
	}
}

func TestWriterRoundTrip(t *testing.T) {
	for _, o := range []Options{{}, {Compress: true}, {Checksum: true}, {Compress: true, Checksum: true}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			file := writeGolden(t, o)
			got, r := readAll(t, bytes.NewReader(file))
			if want := goldenLines(); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			id, at, ok := r.Aux().Replication()
			if db := r.Aux().StreamDB(); id != strings.Repeat("ab", 20) || at != 12345 || db != 3 || !ok {
				t.Errorf("replication %s %d %d %v", id, at, db, ok)
			}
			if r.Aux()["aof-base"] != "1" || r.Aux()["ctime"] != "1700000000" {
				t.Errorf("aux %v", r.Aux())
			}
			zero := bytes.HasSuffix(file, make([]byte, 8))
			if zero == o.Checksum {
				t.Errorf("checksum %x", file[len(file)-8:])
			}
		})
	}
}

// Compression by our encoder is worth as much as that of Redis: the same keys
// take no more than a few bytes more in a file.
func TestWriterCompressesLikeRedis(t *testing.T) {
	ours, theirs := len(writeGolden(t, Options{Compress: true})), len(golden(t, "strings.rdb"))
	if ours > theirs+100 { // our header has the repl- fields
		t.Errorf("%d bytes, redis-server takes %d", ours, theirs)
	}
}

func TestRealRedisCheckAcceptsOurFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.rdb")
	if err := os.WriteFile(path, writeGolden(t, Options{Compress: true, Checksum: true}), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(redistest.Tool(t, "redis-check-rdb"), path).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("18 keys read")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestRealRedisLoadsOurFiles(t *testing.T) {
	for _, o := range []Options{{}, {Compress: true, Checksum: true}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, redistest.Redis, "--save", "")
			server.Kill()
			if err := os.WriteFile(filepath.Join(server.Dir, "dump.rdb"), writeGolden(t, o), 0o600); err != nil {
				t.Fatal(err)
			}
			server.Restart()
			client := server.Client()
			for _, e := range goldenStrings() {
				if _, err := client.Do("SELECT", e.DB); err != nil {
					t.Fatal(err)
				}
				value, err := client.Do("GET", e.Key)
				if value != string(e.Value) || err != nil {
					t.Errorf("%q is %q, %v", e.Key, value, err)
				}
				at, err := client.Do("PEXPIRETIME", e.Key)
				want := e.ExpireAtMs
				if want == 0 {
					want = -1 // as PEXPIRETIME has it
				}
				if at != want || err != nil {
					t.Errorf("%q expires at %v, %v, want %d", e.Key, at, err, want)
				}
			}
		})
	}
}

func TestCheck(t *testing.T) {
	good := golden(t, "strings.rdb")
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	zeroed := append(bytes.Clone(good[:len(good)-8]), make([]byte, 8)...)
	cases := []struct {
		name string
		file []byte
		want error
	}{
		{"a good file passes", good, nil},
		{"a file without checksum passes", zeroed, nil},
		{"a file of no keys passes", golden(t, "empty.rdb"), nil},
		{"an empty file is corrupt", nil, ErrCorrupt},
		{"a flipped bit is found", flipped, ErrCorrupt},
		{"a byte too many is found", append(bytes.Clone(good), 0), ErrCorrupt},
		{"another magic is corrupt", []byte("RODIS0010\xff"), ErrCorrupt},
		{"a version that is no number is corrupt", []byte("REDIS00x0\xff"), ErrCorrupt},
		{"version 0 is refused", []byte("REDIS0000\xff"), ErrVersion},
		{"version 13 is refused", []byte("REDIS0013\xff00000000"), ErrVersion},
		{"version 4 has no checksum", []byte("REDIS0004\xff"), nil},
		{"version 12 is read", []byte("REDIS0012\xff\x00\x00\x00\x00\x00\x00\x00\x00"), nil},
		{"Valkey's version 80 is read", []byte("VALKEY080\xff\x00\x00\x00\x00\x00\x00\x00\x00"), nil},
		{"Valkey's magic with a version of Redis is refused", []byte("VALKEY011\xff"), ErrVersion},
		{"an unknown opcode is corrupt", []byte("REDIS0010\xf2"), ErrCorrupt},
		{"functions of a release candidate are refused", []byte("REDIS0010\xf6"), ErrVersion},
		{"slot import of Valkey is passed over",
			[]byte("VALKEY080\xf3\x03job\x01\x05\x06\xff\x00\x00\x00\x00\x00\x00\x00\x00"), nil},
		{"slot import in a file of Redis is corrupt", []byte("REDIS0012\xf3\x03job\x00\xff"), ErrCorrupt},
		{"slot info is passed over", []byte("REDIS0012\xf4\x05\x01\x00\xff\x00\x00\x00\x00\x00\x00\x00\x00"), nil},
		{"data of modules is passed over",
			[]byte("REDIS0012\xf7\x09\x02\x01\x01\x07\x02\x08\x03abcd\x04abcdefgh\x05\x02hi\x00\xff\x00\x00\x00\x00\x00\x00\x00\x00"), nil},
		{"an unknown opcode of a module is corrupt", []byte("REDIS0012\xf7\x09\x02\x01\x06\x00\xff"), ErrCorrupt},
		{"an integer where a length belongs is corrupt", []byte("REDIS0010\xfe\xc0\x01"), ErrCorrupt},
		{"a length byte that does not exist is corrupt", []byte("REDIS0010\xfe\x82\x01"), ErrCorrupt},
		{"a database beyond all configurations is corrupt", []byte("REDIS0010\xfe\x81\xff\xff\xff\xff\xff\xff\xff\xff"), ErrCorrupt},
		{"a huge string that is not there is corrupt", []byte("REDIS0010\x00\x81\x7f\xff\xff\xff\xff\xff\xff\xff"), ErrCorrupt},
		{"a huge compressed string that is not there is corrupt",
			[]byte("REDIS0010\x00\xc3\x02\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x00a"), ErrCorrupt},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Check(bytes.NewReader(c.file))
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	t.Run("a file cut off anywhere is corrupt", func(t *testing.T) {
		for n := range good {
			if _, err := Check(bytes.NewReader(good[:n])); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("at %d: %v", n, err)
			}
		}
	})
	t.Run("an error of the source is passed on", func(t *testing.T) {
		broken := errors.New("broken disk")
		in := io.MultiReader(bytes.NewReader(good[:100]), iotest.ErrReader(broken))
		if _, err := Check(in); !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the summary counts", func(t *testing.T) {
		s, err := Check(bytes.NewReader(good))
		if err != nil || s.Keys != 18 || s.Expires != 2 || s.Version != 10 || s.Aux["redis-ver"] != "7.0.15" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// The reader's memory is bounded by what arrives, not by what is claimed.
func TestClaimedLengthAllocatesNothing(t *testing.T) {
	file := []byte("REDIS0010\x00\x01k\x81\x00\x00\x00\x10\x00\x00\x00\x00rest")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Check(bytes.NewReader(file))
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
		t.Errorf("%d bytes allocated for 4 that arrived", got)
	}
}

func TestReaderAllocatesNothingPerKey(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, Options{Compress: true, Checksum: true})
	w.Header(Header{})
	for i := range 1000 {
		w.Entry(&Entry{Key: fmt.Appendf(nil, "key:%d", i), ExpireAtMs: 1}, Text(bytes.Repeat([]byte("v"), 64)))
	}
	w.Finish()
	allocs := testing.AllocsPerRun(5, func() {
		if _, err := Check(bytes.NewReader(out.Bytes())); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 50 {
		t.Errorf("%v allocations for 1000 keys", allocs)
	}
}

func BenchmarkCheck(b *testing.B) {
	var out bytes.Buffer
	w := NewWriter(&out, Options{Checksum: true})
	w.Header(Header{})
	for i := range 10000 {
		w.Entry(&Entry{Key: fmt.Appendf(nil, "key:%d", i)}, Text(bytes.Repeat([]byte("v"), 64)))
	}
	w.Finish()
	b.SetBytes(int64(out.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Check(bytes.NewReader(out.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzFunctionPayload(f *testing.F) {
	for _, body := range []string{"", "\xf5\x01a", "\xf5\x01a\xf5\x01b", "\xf6\x01a", "\xf5\xc3\x05\x0a\x00a\x00", "\xf5\xff"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		codes, err := ParseFunctions(framed(string(body)))
		if err != nil {
			return
		}
		again, err := ParseFunctions(new(Encoder).AppendFunctions(nil, codes))
		if err != nil || !slices.Equal(again, codes) {
			t.Errorf("%q became %q: %v", codes, again, err)
		}
	})
}
