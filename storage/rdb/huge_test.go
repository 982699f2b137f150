package rdb

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"testing"

	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb/wire"
)

// world runs f in a unit that holds everything.
func world(ks *storage.Keyspace, f func(tx *storage.Tx)) { ks.World(0, f) }

// peaks is a pipe between a writer and a reader of a file that looks at the memory
// of the process while the file goes by.
type peaks struct {
	io.Reader
	to   *storage.Keyspace
	heap int64 // the most bytes of objects in the Go heap
	data int64 // the most bytes of keys and values in the keyspace that is loaded
}

func (p *peaks) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	p.heap = max(p.heap, int64(sample[0].Value.Uint64()))
	p.data = max(p.data, p.to.Memory().Data)
	return n, err
}

// Values of any size are written, checked and loaded piece by piece: beside the
// keyspaces there is never more in memory than some buffers, and a string has one
// block from the beginning, or from its last quarter on.
func TestHugeValuesStream(t *testing.T) {
	scale := 1
	if testing.Short() || checked {
		scale = 16
	}
	r := rand.New(rand.NewPCG(3, 3))
	// Texts that do not get smaller, made of one block of random letters.
	letters := make([]byte, 1<<20)
	for i := range letters {
		letters[i] = 'a' + byte(r.IntN(26))
	}
	text := func(i, n int) []byte {
		at := i * 7919 % (len(letters) - n - 16)
		return append(fmt.Appendf(nil, "%09d", i), letters[at:at+n]...)
	}
	key := []byte("huge")
	for _, tc := range []struct {
		name     string
		compress bool
		fill     func(tx *storage.Tx)
	}{
		{"string", false, func(tx *storage.Tx) {
			b := tx.GrowString(key, (256<<20)/scale+17)
			for at := 0; at < len(b); at += len(letters) {
				copy(b[at:], letters)
			}
		}},
		{"string that is compressed", true, func(tx *storage.Tx) {
			b := tx.GrowString(key, (128<<20)/scale+17)
			for i := range b {
				b[i] = letters[i/64%len(letters)]
			}
		}},
		{"hash", false, func(tx *storage.Tx) {
			h, _ := tx.EditHash(key)
			for i := range 300_000 / scale {
				h.Set(text(i, 20), text(i, 1000))
			}
		}},
		{"list", true, func(tx *storage.Tx) {
			l, _ := tx.EditList(key)
			for i := range 200_000 / scale {
				l.PushBack(text(i, 100))
			}
		}},
		{"set", false, func(tx *storage.Tx) {
			s, _ := tx.EditSet(key)
			for i := range 400_000 / scale {
				s.Add(text(i, 100))
			}
		}},
		{"set of integers", false, func(tx *storage.Tx) {
			s, _ := tx.EditSet(key)
			for i := range 400_000 / scale {
				s.Add(fmt.Append(nil, i))
			}
		}},
		{"sorted set", false, func(tx *storage.Tx) {
			z, _ := tx.EditZSet(key)
			for i := range 200_000 / scale {
				z.Set(text(i, 100), float64(i%1000))
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			from, to := storage.New(storage.Config{}), storage.New(storage.Config{})
			var value storage.Frozen
			var want, got storage.Digest
			world(from, func(tx *storage.Tx) {
				limits := tx.Limits()
				limits.SetInts, limits.HashEntries, limits.HashValue = 1<<40, 1<<40, 1<<40 // names, and no reason for one block
				tx.SetLimits(limits)
				tc.fill(tx)
			})
			world(from, func(tx *storage.Tx) {
				e, _ := tx.Peek(key)
				value, _ = e.Freeze(nil)
				want = tx.Digest()
			})
			runtime.GC()
			file, out := io.Pipe()
			p := &peaks{Reader: file, to: to}
			sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
			metrics.Read(sample)
			before := int64(sample[0].Value.Uint64())

			go func() {
				w := NewWriter(out, Options{Compress: tc.compress, Checksum: true})
				w.Header(Header{})
				w.SelectDB(0, 1, 0)
				w.Entry(&Entry{Key: key}, &value)
				out.CloseWithError(w.Finish())
			}()
			checked, copied := io.Pipe()
			done := make(chan error, 1)
			go func() {
				_, err := Check(checked)
				checked.CloseWithError(err)
				done <- err
			}()
			loadInto(t, to, io.TeeReader(p, copied))
			copied.Close()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			world(to, func(tx *storage.Tx) { got = tx.Digest() })
			if got != want {
				t.Error("the value has changed")
			}
			if grown := p.heap - before; grown > 48<<20 {
				t.Errorf("the Go heap has grown by %d MiB", grown>>20)
			}
			loaded := to.Memory().Data
			if p.data > loaded+loaded/3+8<<20 {
				t.Errorf("at its peak the keyspace had %d MiB, and %d in the end", p.data>>20, loaded>>20)
			}
			if was := from.Memory().Data; loaded > was+was/20+1<<20 {
				t.Errorf("%d MiB were %d before", loaded>>20, was>>20)
			}
			runtime.KeepAlive(from)
		})
	}
}

// loadInto loads a file into a keyspace.
func loadInto(t *testing.T, ks *storage.Keyspace, in io.Reader) {
	t.Helper()
	e := ks.NewExecutor()
	r := NewReader(in)
	for {
		entry, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		tx := e.Begin(0, []slots.Slot{slots.Of(entry.Key)})
		_, err = r.Load(tx)
		e.End()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A length is a claim: what does not arrive takes no memory in the end.
func TestALongStringThatIsCutOff(t *testing.T) {
	for _, tc := range []struct {
		name  string
		claim uint64
		sent  int
	}{
		{"a claim beyond any memory", 1 << 50, 100_000},
		{"one that is trusted at first", 50 << 20, 3 << 20},
		{"one that is trusted in part", 400 << 20, 70 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ks := storage.New(storage.Config{})
			e := ks.NewExecutor()
			in, out := io.Pipe()
			go func() {
				w := wire.NewWriter(out)
				w.Byte(0) // a string
				w.String([]byte("k"))
				s := w.OpenString(tc.claim)
				piece := make([]byte, 100_000)
				for n := 0; n < tc.sent; n += len(piece) {
					s.Write(piece[:min(len(piece), tc.sent-n)])
				}
				w.Flush()
				out.Close()
			}()
			r := wire.NewReader(in)
			r.Byte()
			key, err := r.AppendString(nil)
			if err != nil {
				t.Fatal(err)
			}
			tx := e.Begin(0, []slots.Slot{slots.Of(key)})
			_, err = tx.Load(key, 0, r, 0)
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v", err)
			}
			if entry, _ := tx.Peek(key); len(entry.Bytes()) != tc.sent {
				t.Errorf("%d bytes are there, %d were sent", len(entry.Bytes()), tc.sent)
			}
			tx.Delete(key)
			e.End()
			if n := ks.Memory().Blocks; n > 3 {
				t.Errorf("%d blocks are left", n)
			}
		})
	}
}
