package rdb

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"redoubt/storage"
	"redoubt/storage/chunk"
	"redoubt/storage/rdb/wire"
)

// bodies are values of all types as payloads have them, without the trailer: as a
// real redis-server wrote them, and as we do.
func bodies(t testing.TB) (all [][]byte) {
	file, err := os.ReadFile("wire/testdata/dumps.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		if name, digits, _ := strings.Cut(strings.TrimSpace(line), " "); name != "#" {
			p, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p[:len(p)-payloadTrailerBytes])
		}
	}
	for _, value := range []string{"", "1", "-70000", "hello", strings.Repeat("ab", 100)} {
		all = append(all, body(Text(value)))
	}
	tx := emptyKeyspace()
	for _, n := range []int{1, 5, 300} {
		key := fmt.Append(nil, n)
		tx.Select(0)
		l, _ := tx.EditList(key)
		tx.Select(1)
		s, _ := tx.EditSet(key)
		tx.Select(2)
		h, _ := tx.EditHash(key)
		tx.Select(3)
		z, _ := tx.EditZSet(key)
		for i := range n {
			e := fmt.Appendf(nil, "element %d%s", i, strings.Repeat("!", i%5*i%100))
			tx.Select(0)
			l.PushBack(e)
			tx.Select(1)
			s.Add(e)
			tx.Select(2)
			h.Set(e, e)
			tx.Select(3)
			z.Set(e, []float64{float64(i) / 3, math.Inf(-1), math.Copysign(0, -1)}[i%3])
		}
		for db := range 4 {
			tx.Select(db)
			e, _ := tx.Peek(key)
			f, _ := e.Freeze(nil)
			all = append(all, body(&f))
		}
		tx.Select(2)
		for i := 0; i < n; i += 1 + i%2 {
			h.ExpireAt(fmt.Appendf(nil, "element %d%s", i, strings.Repeat("!", i%5*i%100)), int64(1e12)+int64(i)*1000)
		}
		e, _ := tx.Peek(key)
		f, _ := e.Freeze(nil)
		all = append(all, body(&f))
	}
	all = append(all, streamBodies(tx)...)
	for _, c := range dueForms() {
		all = append(all, []byte(c.body))
	}
	return all
}

func body(v Value) []byte {
	p := (&Encoder{Compress: true}).AppendPayload(nil, v)
	return p[:len(p)-payloadTrailerBytes]
}

// emptyKeyspace is a unit on one, with four databases. It does not end.
func emptyKeyspace() *storage.Tx {
	return storage.New(storage.Config{Reserve: 64 << 20, Databases: 4}).NewExecutor().BeginWorld(1)
}

// signed is a payload with the right trailer.
func signed(body []byte) []byte {
	version := byte(Version)
	if len(body) > 0 && storage.EncodingHasDue(body[0]) {
		version = valkeyVersion
	}
	p := append(bytes.Clone(body), version, 0)
	return binary.LittleEndian.AppendUint64(p, wire.Checksum(0, p))
}

// checkBody reads what may be a value. Damage is an error; what passes the check
// can be loaded, and comes back as it went.
func checkBody(t *testing.T, tx *storage.Tx, body []byte) (loaded bool) {
	t.Helper()
	value, err := ParsePayload(signed(body))
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupportedType) {
			t.Fatalf("%x: %v", body, err)
		}
		return false
	}
	key, other := []byte("k"), []byte("again")
	if err := value.Load(tx, key, 0); err != nil {
		t.Fatalf("%x: checked and not loaded: %v", body, err)
	}
	e, _ := tx.Peek(key)
	frozen, _ := e.Freeze(nil)
	want := tx.DigestValue(key)
	again, err := ParsePayload((&Encoder{Compress: true}).AppendPayload(nil, &frozen))
	if err != nil {
		t.Fatalf("%x: written and not read: %v", body, err)
	}
	if err := again.Load(tx, other, 0); err != nil {
		t.Fatalf("%x: written, checked and not loaded: %v", body, err)
	}
	if got := tx.DigestValue(other); got != want {
		t.Fatalf("%x: the value does not come back: %x, want %x", body, got, want)
	}
	return true
}

// People search the log for these words.
func TestWhatIsWrongIsSaidInTheWordsOfRedis(t *testing.T) {
	group := func(name string, members ...string) string {
		p := "\x01" + name + "\x00\x00\x00" + string(rune(len(members)))
		for _, m := range members {
			p += m + strings.Repeat("\x00", 8) + "\x00"
		}
		return p
	}
	stream := "\x0f\x00\x00\x00\x00"
	for _, c := range []struct{ body, want string }{
		{"\x10\x17\x17\x00\x00\x00\x04\x00\x82a\x00\x03\x82b\x00\x03\x82a\x00\x03\x82d\x00\x03\xff", "Hash listpack with dup elements, integrity check failed: "},
		{"\x02\x02\x01a\x01a", "Value with dup elements, integrity check failed: "},
		{"\x0d\x0b\x0a\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff", "Hash ziplist integrity check failed: "},
		{stream + group("\x01g", "\x01c", "\x01d"), ""},
		{stream + group("\x01g", "\x01c", "\x01c"), "Duplicate stream consumer detected"},
	} {
		_, err := ParsePayload(signed([]byte(c.body)))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.body, err, c.want)
		}
	}
	file := NewReader(strings.NewReader("REDIS0010\x0d\x01k\x0b\x0a\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff"))
	_, err := file.Next()
	if err == nil {
		_, err = file.Next()
	}
	if err == nil || !strings.HasPrefix(err.Error(), "Hash ziplist integrity check failed: ") {
		t.Errorf("in a file: %v", err)
	}
}

// Payloads of RESTORE that are damaged, but for their checksum.
func TestDamagedPayloads(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tx := emptyKeyspace()
	good, bad := 0, 0
	all := bodies(t)
	for _, body := range all {
		if !checkBody(t, tx, body) {
			t.Fatalf("%.40x is refused", body)
		}
		rounds := min(300, 1+300_000/(len(body)+100))
		for range rounds {
			b := bytes.Clone(body)
			for range 1 + r.IntN(3) {
				b = damage(r, b, all)
			}
			if checkBody(t, tx, b) {
				good++
			} else {
				bad++
			}
		}
	}
	if good < 100 || bad < 1000 {
		t.Errorf("%d damaged values are values, %d are not: the damage is too little or too great", good, bad)
	}
}

// damage changes a little of a value.
func damage(r *rand.Rand, b []byte, others [][]byte) []byte {
	if len(b) == 0 {
		return []byte{byte(r.IntN(256))}
	}
	i := r.IntN(len(b))
	switch r.IntN(8) {
	case 0:
		b[i] ^= 1 << r.IntN(8)
	case 1:
		b[i] = byte(r.IntN(256))
	case 2:
		b[i] += byte(r.IntN(3)) - 1
	case 3:
		return b[:i]
	case 4:
		return append(b[:i:i], b[min(len(b), i+1+r.IntN(4)):]...)
	case 5:
		return append(append(b[:i:i], byte(r.IntN(256))), b[i:]...)
	case 6:
		b[0] = []byte{0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20, 22, 24, 25, 15, 19, 21}[r.IntN(22)]
	case 7:
		o := others[r.IntN(len(others))]
		j := r.IntN(len(o))
		return append(b[:i:i], o[j:min(len(o), j+r.IntN(60))]...)
	}
	return b
}

func FuzzPayload(f *testing.F) {
	for _, body := range bodies(f) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ParsePayload(body)
		checkBody(t, emptyKeyspace(), body)
	})
}

// streamBodies are streams in all forms: without items, of one and of several nodes,
// with groups.
func streamBodies(tx *storage.Tx) (all [][]byte) {
	tx.Select(0)
	limits := tx.Limits()
	limits.NodeItems = 10
	tx.SetLimits(limits)
	for _, n := range []int{0, 1, 25} {
		key := fmt.Append(nil, "stream", n)
		l, _ := tx.EditLog(key)
		l.Touch()
		for i := range n {
			field := fmt.Append(nil, "field", i%7/6)
			l.Append(chunk.ID{Ms: uint64(5 + i/3), Seq: uint64(i)}, [][]byte{field, fmt.Append(nil, i*i*i), []byte("text"), []byte(strings.Repeat("x", i*i))})
		}
		l.Delete(chunk.ID{Ms: 6, Seq: 4})
		for i := range min(n, 2) {
			g, _ := l.CreateGroup(fmt.Append(nil, "group", i), chunk.ID{Ms: 7}, int64(i)-1)
			for j := range 3 {
				m := g.CreateConsumer(fmt.Append(nil, "consumer", j), 1000)
				for k := range 4 * j {
					g.Deliver(&m, storage.Pending{ID: chunk.ID{Ms: 5, Seq: uint64(k*3 + j)}, Time: 2000, Count: uint64(k)})
				}
				m.Save()
			}
			g.Save()
		}
		l.Close(1)
		e, _ := tx.Peek(key)
		f, _ := e.Freeze(nil)
		v2 := body(&f)
		all = append(all, v2)
		if n > 0 {
			continue
		}
		// Without nodes and groups the older form is the beginning of the newer one, and
		// the newest is the same.
		all = append(all, append([]byte{21}, v2[1:]...), []byte{15, 0, 0, 3, 4, 0})
	}
	// A group with a consumer that was active, and has an item that is gone.
	id := strings.Repeat("\x00", 15) + "\x01"
	for form, active := range map[byte]string{15: "", 21: strings.Repeat("\xff", 8)} {
		counts := ""
		if form == 21 {
			counts = "\x00\x00\x00\x00\x05" // first and largest deleted ID, added
		}
		read := ""
		if form == 21 {
			read = "\x02"
		}
		all = append(all, []byte(string(form)+"\x00\x00\x03\x04"+counts+"\x01"+"\x01g\x01\x01"+read+
			"\x01"+id+"\x01\x02\x03\x04\x05\x06\x00\x00\x07"+"\x01"+"\x01c"+"\x01\x02\x03\x04\x05\x06\x00\x00"+active+"\x01"+id))
	}
	return all
}
