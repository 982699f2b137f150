package wire

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// payloadOf makes a payload for RESTORE of one packed encoding.
func payloadOf(encoding byte, blob []byte) string {
	w := Writer{Checksum: true}
	w.Byte(encoding)
	switch encoding {
	case typeListQuicklist:
		w.Length(1)
	case typeListQuicklist2:
		w.Length(1)
		w.Length(quicklistPacked)
	}
	w.String(blob)
	w.Uint16(10)
	w.Uint64(w.Sum())
	return string(w.Collected())
}

// startRedis starts a server that checks payloads completely.
func startRedis(t *testing.T) *redistest.Client {
	server := redistest.Start(t, redistest.Redis, "--save", "", "--sanitize-dump-payload", "yes", "--rdbcompression", "no")
	return server.Client()
}

// A real server restores what we pack, in every encoding, and holds the same
// elements then. The old encodings are read only here, so their bytes come from
// this test's own encoders, which are thereby tested too.
func TestRealRedisRestoresOurEncodings(t *testing.T) {
	client := startRedis(t)
	lists := [][]string{{"a"}, edges, lengths(), counted(1000)}
	pairs := [][]string{{"field", "value"}, {"", "", "1", "-1", "long", strings.Repeat("x", 300), "007", "7"}, nil}
	for i := range 200 {
		pairs[2] = append(pairs[2], fmt.Sprint("field:", i), strconv.Itoa(i*i*i))
	}
	scores := [][]string{{"a", "-inf", "b", "-2.5", "c", "0", "12", "1", "d", "3e+20", "e", "inf"}}

	for _, c := range []struct {
		encoding byte
		pack     func(...string) []byte
		contents [][]string
		read     []any // with the key appended before the rest
		rest     []any
	}{
		{typeListQuicklist2, listpackOf, lists, []any{"LRANGE"}, []any{0, -1}},
		{typeListQuicklist, ziplistOf, lists, []any{"LRANGE"}, []any{0, -1}},
		{typeListZiplist, ziplistOf, lists, []any{"LRANGE"}, []any{0, -1}},
		{typeHashListpack, listpackOf, pairs, []any{"HGETALL"}, nil},
		{typeHashZiplist, ziplistOf, pairs, []any{"HGETALL"}, nil},
		{typeHashZipmap, zipmapOf, pairs, []any{"HGETALL"}, nil},
		{typeZSetListpack, listpackOf, scores, []any{"ZRANGE"}, []any{0, -1, "WITHSCORES"}},
		{typeZSetZiplist, ziplistOf, scores, []any{"ZRANGE"}, []any{0, -1, "WITHSCORES"}},
	} {
		for i, want := range c.contents {
			key := fmt.Sprintf("type%d:%d", c.encoding, i)
			payload := payloadOf(c.encoding, c.pack(want...))
			if reply, err := client.Do("RESTORE", key, 0, payload); reply != "OK" || err != nil {
				t.Errorf("%s: %v, %v", key, reply, err)
				continue
			}
			reply, err := client.Do(slices.Concat(c.read, []any{key}, c.rest)...)
			got := make([]string, 0, len(want))
			for _, e := range asArray(reply) {
				got = append(got, fmt.Sprint(e))
			}
			// Hashes beyond the limit of a listpack have lost their order.
			if c.encoding == typeHashListpack || c.encoding == typeHashZiplist || c.encoding == typeHashZipmap {
				got, want = sortedPairs(got), sortedPairs(want)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: got %.300q, %v\nwant %.300q", key, got, err, want)
			}
		}
	}
	for i, ints := range [][]int64{{7}, {-32768, 0, 32767}, {-40000, 3}, {-1 << 63, 1<<63 - 1}} {
		key := fmt.Sprint("intset:", i)
		reply, err := client.Do("RESTORE", key, 0, payloadOf(typeSetIntset, intsetOf(ints...)))
		if reply != "OK" || err != nil {
			t.Errorf("%s: %v, %v", key, reply, err)
		}
		// A set answers DUMP with its very intset.
		payload, err := client.Do("DUMP", key)
		if err != nil || payload != payloadOf(typeSetIntset, intsetOf(ints...)) {
			t.Errorf("%s: DUMP %q, %v", key, payload, err)
		}
	}
}

func asArray(reply any) []any {
	array, _ := reply.([]any)
	return array
}

func sortedPairs(all []string) (lines []string) {
	for i := 0; i+1 < len(all); i += 2 {
		lines = append(lines, all[i]+"="+all[i+1])
	}
	slices.Sort(lines)
	return lines
}

// Of damaged encodings a real server and our parsers think the same, with two
// exceptions. Redis refuses empty collections, which is the loader's matter
// here. And it reads a backlen from its end to the first byte without a top
// bit, even if that one is of the entry's data; we want the very bytes that
// lpEncodeBacklen writes.
func TestRealRedisRefusesWhatWeRefuse(t *testing.T) {
	client := startRedis(t)
	seeds := []struct {
		encoding byte
		blob     []byte
		judge    func(b []byte) (n int, err error)
	}{
		{typeListQuicklist2, listpackOf(edges...), judge(ParseListpack, nil)},
		{typeListQuicklist2, listpackOf("a", "1", "b", strings.Repeat("x", 130)), judge(ParseListpack, nil)},
		{typeHashListpack, listpackOf("a", "1", "b", "2", "10", "3", "1000", "4"), judge(ParseListpack, Packed.CheckHash)},
		{typeListZiplist, ziplistOf(edges...), judge(ParseZiplist, nil)},
		{typeListZiplist, ziplistOf("a", "1", strings.Repeat("x", 300), "b"), judge(ParseZiplist, nil)},
		{typeHashZiplist, ziplistOf("a", "1", "b", "2", "10", "3", "1000", "4"), judge(ParseZiplist, Packed.CheckHash)},
		{typeHashZipmap, zipmapOf("a", "1", "b", "2", "10", "3", "1000", "4"), judge(ParseZipmap, Packed.CheckHash)},
		{typeSetIntset, intsetOf(-5, 1, 2, 3, 500), judge(ParseIntset, nil)},
		{typeSetIntset, intsetOf(-5, 1, 2, 3, 1<<40), judge(ParseIntset, nil)},
	}
	rnd := rand.New(rand.NewSource(42))
	type verdicts struct{ refused, accepted int }
	counts := make([]verdicts, len(seeds))
	for i := range 20000 {
		seed := seeds[i%len(seeds)]
		b := damage(rnd, seed.blob)
		n, err := seed.judge(b)
		ours := err == nil && n > 0
		reply, _ := client.Do("RESTORE", "k", 0, payloadOf(seed.encoding, b), "REPLACE")
		if err != nil && strings.Contains(err.Error(), "another length behind it") {
			continue
		}
		if theirs := reply == "OK"; ours != theirs {
			t.Errorf("type %d, %x: we think %v (%d elements), redis-server %v", seed.encoding, b, err, n, reply)
		}
		if ours {
			counts[i%len(seeds)].accepted++
		} else {
			counts[i%len(seeds)].refused++
		}
	}
	for i, n := range counts {
		if n.refused < 100 || n.accepted < 100 {
			t.Errorf("seed %d: %d refused, %d accepted: too one-sided to mean anything", i, n.refused, n.accepted)
		}
	}
}

func judge(parse func([]byte) (Packed, error), check func(Packed) error) func([]byte) (int, error) {
	return func(b []byte) (int, error) {
		p, err := parse(b)
		if err == nil && check != nil {
			err = check(p)
		}
		return p.Len(), err
	}
}

// damage changes a byte or two, half the time not to the worst.
func damage(rnd *rand.Rand, blob []byte) []byte {
	b := bytes.Clone(blob)
	for range 1 + rnd.Intn(2) {
		i := rnd.Intn(len(b))
		switch rnd.Intn(3) {
		case 0:
			b[i] = byte(rnd.Intn(256))
		case 1:
			b[i] ^= 1 << rnd.Intn(8)
		default:
			b[i]++
		}
	}
	return b
}
