package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
	"redoubt/storage/rdb/wire"
	"redoubt/storage/snapshot"
)

// mixedFile is an RDB file with keys of all types and sizes, in several databases,
// and what they hold.
func mixedFile(t testing.TB, keys int) (file []byte, holds storage.Digest) {
	t.Helper()
	ks := storage.New(storage.Config{Databases: 3, Reserve: 1 << 30})
	e, r := ks.NewExecutor(), rand.New(rand.NewPCG(1, 2))
	for i := range keys {
		key := fmt.Appendf(nil, "key%d{%d}", i, i%50)
		if i%400 == 0 {
			key = append(key, strings.Repeat("long", 40_000)...)
		}
		tx := e.Begin(1, []slots.Slot{slots.Of(key)})
		tx.Select(i % 3)
		fillKey(tx, key, i, r)
		if i%7 == 0 {
			tx.SetExpire(key, 1<<42+int64(i))
		}
		e.End()
	}
	tx := e.BeginWorld(1)
	defer e.End()
	var out bytes.Buffer
	err := snapshot.Write(ks, tx, &out, rdb.Header{}, snapshot.Options{RDB: rdb.Options{Compress: true, Checksum: true}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), tx.Digest()
}

func fillKey(tx *storage.Tx, key []byte, i int, r *rand.Rand) {
	n := 1 + r.IntN([]int{5, 50, 2000}[i%11/5])
	list, _ := tx.EditList(key)
	set, _ := tx.EditSet(key)
	zset, _ := tx.EditZSet(key)
	hash, _ := tx.EditHash(key)
	for j := range n {
		element := fmt.Append(nil, j*r.IntN(10), strings.Repeat("x", r.IntN(60)))
		switch i % 6 {
		case 0:
			list.PushBack(element)
		case 1:
			set.Add(element)
		case 2:
			set.Add(fmt.Append(nil, r.IntN(1000)))
		case 3:
			zset.Set(element, float64(r.IntN(100))/8)
		case 4:
			hash.Set(element, element)
		}
	}
	if i%6 == 5 {
		tx.SetString(key, bytes.Repeat(fmt.Append(nil, i), n*10), 0, 0)
	}
}

func emptyHands(n int) (*storage.Keyspace, []hand) {
	ks := storage.New(storage.Config{Databases: 3, Reserve: 1 << 30})
	var hands []hand
	for range n {
		hands = append(hands, &applying{e: ks.NewExecutor()})
	}
	return ks, hands
}

func TestHandsTogetherLoadWhatOneDoes(t *testing.T) {
	keys := 5000
	if raceDetector {
		keys = 1000
	}
	file, want := mixedFile(t, keys)
	for n := 1; n <= mostBesides; n++ {
		ks, hands := emptyHands(n)
		l, err := load(context.Background(), hands, ks, bytes.NewReader(file), loadRule{})
		if err != nil || l.keys != int64(keys) {
			t.Fatalf("%d hands: %d keys, %v", n, l.keys, err)
		}
		e := ks.NewExecutor()
		if got := e.BeginWorld(1).Digest(); got != want {
			t.Errorf("%d hands: the digest differs", n)
		}
		e.End()
	}
	ks, _ := emptyHands(0)
	e := ks.NewExecutor()
	tx := e.BeginApplyWorld(1, 0)
	defer e.End()
	if _, err := load(context.Background(), []hand{within{tx}}, ks, bytes.NewReader(file), loadRule{}); err != nil || tx.Digest() != want {
		t.Errorf("within a unit: %v", err)
	}
}

// manyStrings is a file of short strings, of which that with the number odd is
// written by write.
func manyStrings(n, odd int, write func(w *wire.Writer)) []byte {
	var out bytes.Buffer
	out.WriteString("REDIS0010")
	w := wire.NewWriter(&out)
	for i := range n {
		if i == odd {
			write(w)
			continue
		}
		w.Byte(0)
		w.String(fmt.Appendf(nil, "key%d", i))
		w.String([]byte("value"))
	}
	w.Byte(0xFF)
	w.Uint64(0)
	if err := w.Flush(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func TestDamageThatAnotherHandFindsEndsTheLoad(t *testing.T) {
	damages := map[string]func(w *wire.Writer){
		"a listpack that is none": func(w *wire.Writer) {
			w.Byte(16)
			w.String([]byte("the key"))
			w.String([]byte("no listpack"))
		},
		"compressed bytes that are none": func(w *wire.Writer) {
			w.Byte(0)
			w.String([]byte("the key"))
			w.Byte(0xC3)
			w.Length(5)
			w.Length(100)
			for range 5 {
				w.Byte(0xFF)
			}
		},
		"a key that is there twice": func(w *wire.Writer) {
			w.Byte(0)
			w.String([]byte("key1"))
			w.String([]byte("another"))
		},
	}
	for what, damage := range damages {
		for _, odd := range []int{10, 2000, 19_999} {
			for n := 1; n <= mostBesides; n++ {
				ks, hands := emptyHands(n)
				_, err := load(context.Background(), hands, ks, bytes.NewReader(manyStrings(20_000, odd, damage)), loadRule{})
				if !errors.Is(err, rdb.ErrCorrupt) {
					t.Errorf("%s, number %d, %d hands: %v", what, odd, n, err)
				}
			}
		}
	}
}

func TestALoadThatIsNotWantedAnyMoreEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("not wanted")
	cancel(why)
	ks, hands := emptyHands(2)
	l, err := load(ctx, hands, ks, bytes.NewReader(manyStrings(20_000, -1, nil)), loadRule{})
	if !errors.Is(err, why) || l.keys > 10_000 {
		t.Errorf("%d keys, %v", l.keys, err)
	}
}

// key-load-delay is for those who look at a node that loads: it comes before each key, and
// a load that is not wanted any more does not wait for its end.
func TestTheDelayBeforeEachKey(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), manyStrings(5, -1, nil), 0o644); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if got, err := begins(t, dir, zap.NewNop(), "--appendonly", "no", "--key-load-delay", "20000"); err != nil || len(got) != 5 {
		t.Fatalf("%d keys, %v", len(got), err)
	}
	if took := time.Since(began); took < 5*20*time.Millisecond {
		t.Errorf("five keys with 20 ms before each are there after %v", took)
	}
	dir = t.TempDir()
	n, stop := startNode(t, dir, "--save", "")
	n.keys.World(now(), func(tx *storage.Tx) {
		tx.Command(nil)
		defer tx.CommandEnd()
		for i := range 5 {
			key := fmt.Appendf(nil, "key%d", i)
			tx.SetString(key, key, 0, 0)
			tx.Effect([]byte("SET"), key, key)
		}
	})
	stop()
	began = time.Now()
	if got, err := begins(t, dir, zap.NewNop(), "--key-load-delay", "20000"); err != nil || len(got) != 5 {
		t.Fatalf("%d keys from the journal, %v", len(got), err)
	}
	if took := time.Since(began); took < 5*20*time.Millisecond {
		t.Errorf("five commands of the journal with 20 ms before each have run after %v", took)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("not wanted")
	forever := keyDelay(func() int { cancel(why); return 1e9 })
	ks, hands := emptyHands(2)
	if _, err := load(ctx, hands, ks, bytes.NewReader(manyStrings(3, -1, nil)), loadRule{delay: forever}); !errors.Is(err, why) {
		t.Errorf("the load ends with %v", err)
	}
}

// Old faults of Redis have left keys without elements in files. They are named, and
// counted.
func TestEmptyCollectionsInAFileAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	file := manyStrings(100, 3, func(w *wire.Writer) {
		for i := range mostEmptyKeys + 2 {
			w.Byte(2)
			w.String(fmt.Appendf(nil, "empty%d", i))
			w.Length(0)
		}
		w.Byte(13)
		w.String([]byte("packed"))
		w.String([]byte("\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff"))
	})
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), file, 0o644); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.InfoLevel)
	got, err := begins(t, dir, zap.New(core), "--appendonly", "no")
	if err != nil || len(got) != 99 {
		t.Fatalf("%d keys, %v", len(got), err)
	}
	if n := logs.FilterMessageSnippet("skipping empty key: ").Len(); n != mostEmptyKeys {
		t.Errorf("%d keys are named, want %d", n, mostEmptyKeys)
	}
	if logs.FilterMessage("Done loading RDB, keys loaded: 99, keys expired: 0, empty keys skipped: 13.").Len() != 1 {
		t.Errorf("the log: %v", logs.All())
	}
}

// Scripts search the log for what is wrong with a file. What it has no fault of is no
// internal error.
func TestADamagedDumpIsInTheLog(t *testing.T) {
	for _, c := range []struct {
		name, file, says string
		internal         bool
	}{
		{"a value that is damaged", "REDIS0010\x0d\x01k\x0b\x0a\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff" + "\xff\x00\x00\x00\x00\x00\x00\x00\x00",
			"Hash ziplist integrity check failed", true},
		{"a type that nobody knows", "REDIS0010\xc8\x01k", "unknown type or opcode 200", true},
		{"an unknown version", "REDIS9999", "version not supported", false},
		{"too many databases", "REDIS0010\xfe\x10\x00\x01k\x01v", "the file has keys in database 16", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), []byte(c.file), 0o644); err != nil {
				t.Fatal(err)
			}
			core, logs := observer.New(zap.InfoLevel)
			_, err := begins(t, dir, zap.New(core), "--appendonly", "no")
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the start: %v", err)
			}
			internal := false
			for _, line := range logs.FilterMessage("Internal error in RDB reading").All() {
				internal = strings.Contains(fmt.Sprint(line.ContextMap()["error"]), c.says)
			}
			if internal != c.internal {
				t.Errorf("the log: %v", logs.All())
			}
		})
	}
}
