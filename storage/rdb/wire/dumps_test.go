package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

var redump = flag.Bool("redump", false, "make testdata/dumps.txt anew, with the redis-server that is installed")

const dumpsFile = "testdata/dumps.txt"

// A dump is a collection that a real redis-server 7.0.15 was made to hold, and
// that it answered DUMP for. The answers are in testdata/dumps.txt.
type dump struct {
	name     string
	command  string // of which the elements are the arguments
	encoding byte   // type byte of the value
	elements []string
	reversed bool // the command takes score and member, the encoding has member and score
	compress bool
}

// Type bytes of values that are one packed encoding, and of the quicklists,
// which are several.
const (
	typeHashZipmap     = 9
	typeListZiplist    = 10
	typeSetIntset      = 11
	typeZSetZiplist    = 12
	typeHashZiplist    = 13
	typeListQuicklist  = 14
	typeHashListpack   = 16
	typeZSetListpack   = 17
	typeListQuicklist2 = 18

	quicklistPacked = 2
)

// edges are the integers beside every change of encoding, and strings that look
// like integers.
var edges = []string{
	"0", "1", "127", "128", "-1", "4095", "4096", "-4096", "-4097", "32767", "32768", "-32768", "-32769",
	"8388607", "8388608", "-8388608", "-8388609", "2147483647", "2147483648", "-2147483648", "-2147483649",
	"9223372036854775807", "-9223372036854775808", "9223372036854775808", "-9223372036854775809",
	"00", "007", "-0", "+1", "1.0", " 1", "1 ", "-", "", "12345678901234567890", "99999999999999999999999",
}

// lengths are strings beside every change of encoding, and of backlen.
func lengths() (all []string) {
	for i, n := range []int{62, 63, 64, 65, 125, 126, 127, 4094, 4095, 4096, 16377, 16378, 16379, 16384} {
		all = append(all, strings.Repeat(string(rune('a'+i)), n))
	}
	return all
}

func counted(n int) (all []string) {
	for i := range n {
		all = append(all, strconv.Itoa(i*37))
	}
	return all
}

var dumps = []dump{
	{name: "list-edges", command: "RPUSH", encoding: typeListQuicklist2, elements: edges},
	{name: "list-lengths", command: "RPUSH", encoding: typeListQuicklist2, elements: lengths()[:10]},
	{name: "list-compressed", command: "RPUSH", encoding: typeListQuicklist2, elements: lengths(), compress: true},
	{name: "list-of-many", command: "RPUSH", encoding: typeListQuicklist2, elements: counted(300)},
	{name: "hash", command: "HSET", encoding: typeHashListpack,
		elements: []string{"name", "Ada", "born", "1815", "", "empty", "12", "integer", "pi", "3.14"}},
	{name: "zset", command: "ZADD", encoding: typeZSetListpack, reversed: true,
		elements: []string{"low", "-inf", "minus", "-2.5", "zero", "0", "7", "1", "tenth", "1.1000000000000001", "far", "3e+20", "high", "inf"}},
	{name: "intset-16", command: "SADD", encoding: typeSetIntset, elements: []string{"-32768", "-1", "0", "5", "32767"}},
	{name: "intset-32", command: "SADD", encoding: typeSetIntset, elements: []string{"-32769", "0", "2147483647"}},
	{name: "intset-64", command: "SADD", encoding: typeSetIntset, elements: []string{"-9223372036854775808", "-2", "9223372036854775807"}},
}

// goldenDumps returns the payloads by name.
func goldenDumps(t testing.TB) map[string][]byte {
	t.Helper()
	file, err := os.ReadFile(dumpsFile)
	if err != nil {
		t.Fatal(err)
	}
	payloads := make(map[string][]byte)
	for line := range strings.Lines(string(file)) {
		name, digits, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		if payloads[name], err = hex.DecodeString(digits); err != nil {
			t.Fatal(err)
		}
	}
	return payloads
}

// parseValue reads the value of a payload without trailer: the elements of all
// its packed encodings, and these themselves.
func parseValue(t testing.TB, body []byte) (elements []string, blobs [][]byte) {
	t.Helper()
	r := NewBytesReader(body)
	encoding, err := r.Byte()
	if err != nil {
		t.Fatal(err)
	}
	nodes := uint64(1)
	if encoding == typeListQuicklist2 {
		if nodes, err = r.Length(); err != nil {
			t.Fatal(err)
		}
	}
	for range nodes {
		if encoding == typeListQuicklist2 {
			if container, err := r.Length(); container != quicklistPacked || err != nil {
				t.Fatalf("container %d, %v", container, err)
			}
		}
		blob, err := r.AppendString(nil)
		if err != nil {
			t.Fatal(err)
		}
		parse := ParseListpack
		if encoding == typeSetIntset {
			parse = ParseIntset
		}
		p, err := parse(blob)
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, blob)
		n := 0
		for e := range p.All() {
			elements = append(elements, e.String())
			n++
		}
		if n != p.Len() {
			t.Errorf("%d elements, Len %d", n, p.Len())
		}
	}
	if err := r.ExpectEnd(); err != nil {
		t.Fatal(err)
	}
	return elements, blobs
}

const trailerBytes = 2 + 8

func TestDumpsOfRealRedis(t *testing.T) {
	if *redump {
		rewriteDumps(t)
	}
	golden := goldenDumps(t)
	for _, d := range dumps {
		t.Run(d.name, func(t *testing.T) {
			payload := golden[d.name]
			if len(payload) < trailerBytes || payload[0] != d.encoding {
				t.Fatalf("payload %.40x", payload)
			}
			elements, blobs := parseValue(t, payload[:len(payload)-trailerBytes])
			if !slices.Equal(elements, d.elements) {
				t.Errorf("got  %q\nwant %q", elements, d.elements)
			}
			for _, blob := range blobs {
				if again := encodeAgain(t, d.encoding, blob); !bytes.Equal(again, blob) {
					t.Errorf("our encoding  %.200x\nthat of Redis %.200x", again, blob)
				}
			}
		})
	}
}

// encodeAgain returns our encoding of the elements of a blob.
func encodeAgain(t testing.TB, encoding byte, blob []byte) []byte {
	if encoding == typeSetIntset {
		p, err := ParseIntset(blob)
		if err != nil {
			t.Fatal(err)
		}
		var ints []int64
		for e := range p.All() {
			n, _ := e.Int64()
			ints = append(ints, n)
		}
		return AppendIntset(nil, ints)
	}
	p, err := ParseListpack(blob)
	if err != nil {
		t.Fatal(err)
	}
	var l ListpackBuilder
	for e := range p.All() {
		l.Append([]byte(e.String()))
	}
	return l.Finish()
}

// rewriteDumps makes the file with the golden payloads.
func rewriteDumps(t *testing.T) {
	server := redistest.Start(t, redistest.Redis, "--save", "")
	var file strings.Builder
	fmt.Fprintf(&file, "# Answers of redis-server %s to DUMP, in hexadecimal. dumps_test.go tells what it was given.\n", server.Info("redis_version"))
	file.WriteString("# Made by: go test ./storage/rdb/wire -run DumpsOfRealRedis -redump\n")
	for _, d := range dumps {
		compression := "no"
		if d.compress {
			compression = "yes"
		}
		server.Do("CONFIG", "SET", "rdbcompression", compression)
		args := []any{d.command, d.name}
		for i, e := range d.elements {
			if d.reversed { // the other of the pair
				e = d.elements[i^1]
			}
			args = append(args, e)
		}
		server.Do(args...)
		fmt.Fprintf(&file, "%s %x\n", d.name, server.Do("DUMP", d.name))
	}
	if err := os.WriteFile(dumpsFile, []byte(file.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
