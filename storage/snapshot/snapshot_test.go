package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"

	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

const t0 = 1_700_000_000_000 // Unix milliseconds at which tests begin

// state is what a keyspace holds: "db key" to "value expiry".
type state map[string]string

func (st state) add(db int, key, value []byte, expireAt int64) {
	st[fmt.Sprintf("%d %s", db, key)] = fmt.Sprintf("%x %d", value, expireAt)
}

// present reads the whole keyspace; tx holds the world lock and must be one
// that applies, so that expired keys are seen.
func present(ks *storage.Keyspace, tx *storage.Tx) state {
	st := state{}
	for db := range ks.Databases() {
		tx.Select(db)
		for n, ok := ks.NextSlot(db, 0); ok; n, ok = ks.NextSlot(db, n+1) {
			for cursor := uint64(1); cursor != 0; {
				if cursor == 1 {
					cursor = 0
				}
				cursor = tx.Scan(n, cursor, 1000, func(e storage.Entry) {
					st.add(db, e.Key(), e.Bytes(), e.ExpireAt())
				})
			}
		}
	}
	tx.Select(0)
	return st
}

// loaded reads a file and fails the test if a key is there twice.
func loaded(t *testing.T, file []byte) state {
	t.Helper()
	st := state{}
	r := rdb.NewReader(bytes.NewReader(file))
	for {
		e, err := r.Next()
		if err == io.EOF {
			return st
		}
		if err != nil {
			t.Fatal(err)
		}
		before := len(st)
		db, key, at := e.DB, bytes.Clone(e.Key), e.ExpireAtMs
		value, err := r.Text()
		if err != nil {
			t.Fatal(err)
		}
		st.add(db, key, value, at)
		if len(st) == before {
			t.Fatalf("key %q of database %d is twice in the file", key, db)
		}
	}
}

// begin begins a snapshot and returns the state it must have.
func begin(t *testing.T, ks *storage.Keyspace, e *storage.Executor, out io.Writer, o Options) (*Snapshot, state) {
	t.Helper()
	o.RDB.Checksum = true
	tx := e.BeginApplyWorld(t0, 0)
	defer e.End()
	want := present(ks, tx)
	s, err := Begin(ks, tx, out, rdb.Header{ServerVersion: "7.0.15"}, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, want
}

func compare(t *testing.T, got, want state) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	shown := 0
	for k, v := range want {
		if got[k] != v && shown < 5 {
			t.Errorf("%s: file has %.60q, want %.60q", k, got[k], v)
			shown++
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok && shown < 10 {
			t.Errorf("%s: file has %.60q, which came later", k, v)
			shown++
		}
	}
}

// mutator changes a keyspace at random.
type mutator struct {
	ks   *storage.Keyspace
	e    *storage.Executor
	rand *rand.Rand
	keys int
	now  int64
	tags string // of the keys: different for each mutator where several run
}

func (m *mutator) key() []byte { return fmt.Appendf(nil, "%s%d", m.tags, m.rand.IntN(m.keys)) }

func (m *mutator) value() []byte {
	n := m.rand.IntN(80)
	if m.rand.IntN(50) == 0 {
		n = arenaBytes + m.rand.IntN(arenaBytes)
	}
	return bytes.Repeat([]byte{byte('a' + m.rand.IntN(26))}, n)
}

func (m *mutator) expiry() int64 {
	if m.rand.IntN(3) > 0 {
		return 0
	}
	return m.now + int64(m.rand.IntN(2000))
}

// op does one random unit. world allows those that need the world lock.
func (m *mutator) op(world bool) {
	m.now += int64(m.rand.IntN(3))
	kind := m.rand.IntN(1000)
	if world && kind < 6 {
		tx := m.e.BeginWorld(m.now)
		a, b := m.rand.IntN(m.ks.Databases()), m.rand.IntN(m.ks.Databases())
		switch kind {
		case 0:
			tx.FlushAll()
		case 1, 2:
			tx.FlushDB(a)
		default:
			tx.SwapDB(a, b)
		}
		m.e.End()
		return
	}
	if kind < 20 {
		m.e.ExpireCycle(m.now, 100)
		return
	}
	key, other := m.key(), m.key()
	tx := m.e.Begin(m.now, []slots.Slot{slots.Of(key), slots.Of(other)})
	tx.Select(m.rand.IntN(m.ks.Databases()))
	switch m.rand.IntN(9) {
	case 0, 1, 2:
		tx.SetString(key, m.value(), m.expiry(), 0)
	case 3:
		v := tx.GrowString(key, m.rand.IntN(100))
		for i := range v {
			v[i]++
		}
	case 4, 5:
		tx.Delete(key)
	case 6:
		tx.SetExpire(key, m.expiry())
	case 7:
		tx.Rename(key, other)
	case 8:
		tx.Copy(key, m.rand.IntN(m.ks.Databases()), other)
	}
	m.e.End()
}

func TestFileIsTheStateOfTheMoment(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			ks := storage.New(storage.Config{Databases: 1 + r.IntN(4), Seed: seed})
			m := &mutator{ks: ks, e: ks.NewExecutor(), rand: r, keys: 20 + r.IntN(2000), now: t0}
			if seed%2 == 0 {
				m.tags = "{one slot}" // so that segments split and cursors matter
			}
			for range 2 * m.keys {
				m.op(true)
			}
			for range 3 { // several in a row
				var file bytes.Buffer
				s, want := begin(t, ks, m.e, &file, Options{})
				for s.Step(m.e, m.now, 1+r.IntN(50)) != Finished {
					for range r.IntN(20) {
						m.op(true)
					}
				}
				if err := s.Err(); err != nil {
					t.Fatal(err)
				}
				compare(t, loaded(t, file.Bytes()), want)
				if n := s.Pending(); n != 0 {
					t.Errorf("%d bytes of pre-images are left", n)
				}
			}
		})
	}
}

func TestManyExecutorsWriteAndWalk(t *testing.T) {
	ks := storage.New(storage.Config{Databases: 3})
	main := ks.NewExecutor()
	fill := &mutator{ks: ks, e: main, rand: rand.New(rand.NewPCG(7, 7)), keys: 4000, now: t0}
	for range 8000 {
		fill.op(false)
	}
	for round := range uint64(3) {
		var file bytes.Buffer
		s, want := begin(t, ks, main, &file, Options{})
		var wg sync.WaitGroup
		for i := range uint64(4) {
			m := &mutator{ks: ks, e: ks.NewExecutor(), rand: rand.New(rand.NewPCG(round, i)), keys: 4000, now: t0}
			wg.Go(func() {
				for s.Step(m.e, m.now, 40) != Finished {
					for range 10 {
						m.op(i == 0)
					}
				}
			})
		}
		wg.Wait()
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		compare(t, loaded(t, file.Bytes()), want)
	}
}

// fill sets n keys and returns an executor.
func fill(ks *storage.Keyspace, n int, value []byte) *storage.Executor {
	e := ks.NewExecutor()
	for i := range n {
		key := fmt.Appendf(nil, "key:%d", i)
		e.Begin(t0, []slots.Slot{slots.Of(key)}).SetString(key, value, 0, 0)
		e.End()
	}
	return e
}

// slow is a file that takes nothing until it is opened.
type slow struct {
	bytes.Buffer
	open chan struct{}
}

func (f *slow) Write(p []byte) (int, error) {
	<-f.open
	return f.Buffer.Write(p)
}

func TestASlowFileHoldsTheWalkButNoWriter(t *testing.T) {
	ks := storage.New(storage.Config{})
	const keys = 30_000
	e := fill(ks, keys, bytes.Repeat([]byte("v"), 100))
	file := &slow{open: make(chan struct{})}
	woken := make(chan struct{}, keys)
	s, want := begin(t, ks, e, file, Options{Wake: func() { woken <- struct{}{} }})
	for s.Step(e, t0, 10_000) != Later {
	}
	for i := range keys {
		key := fmt.Appendf(nil, "key:%d", i)
		e.Begin(t0, []slots.Slot{slots.Of(key)}).SetString(key, []byte("new"), 0, 0)
		e.End()
	}
	if s.Pending() < keys*100/2 {
		t.Errorf("%d bytes of pre-images are accounted for", s.Pending())
	}
	close(file.open)
	for p := Later; p != Finished; p = s.Step(e, t0, 10_000) {
		if p == Later {
			<-woken
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	compare(t, loaded(t, file.Bytes()), want)
}

func TestRunWalksToTheEnd(t *testing.T) {
	ks := storage.New(storage.Config{})
	e := fill(ks, 20_000, []byte("value"))
	var file bytes.Buffer
	s, want := begin(t, ks, e, &file, Options{})
	if err := s.Run(e, t0); err != nil {
		t.Fatal(err)
	}
	compare(t, loaded(t, file.Bytes()), want)
}

func TestOneSnapshotAtATime(t *testing.T) {
	ks := storage.New(storage.Config{})
	e := fill(ks, 10, []byte("value"))
	s, _ := begin(t, ks, e, io.Discard, Options{})
	tx := e.BeginWorld(t0)
	if _, err := Begin(ks, tx, io.Discard, rdb.Header{}, Options{}); !errors.Is(err, storage.ErrCaptureOpen) {
		t.Errorf("a second Begin gives %v", err)
	}
	e.End()
	if err := s.Run(e, t0); err != nil {
		t.Fatal(err)
	}
	again, _ := begin(t, ks, e, io.Discard, Options{})
	if err := again.Run(e, t0); err != nil {
		t.Fatal(err)
	}
}

func TestAbort(t *testing.T) {
	ks := storage.New(storage.Config{})
	e := fill(ks, 1000, []byte("value"))
	s, _ := begin(t, ks, e, io.Discard, Options{})
	s.Step(e, t0, 100)
	s.Abort(e.BeginWorld(t0))
	e.End()
	if err := s.Err(); err != ErrAborted {
		t.Errorf("Err is %v", err)
	}

	// The next one is complete although the first has left its marks, and a
	// late Step of the first does no harm.
	var file bytes.Buffer
	next, want := begin(t, ks, e, &file, Options{})
	if p := s.Step(e, t0, 100); p != Finished {
		t.Errorf("Step after Abort says %v", p)
	}
	if err := next.Run(e, t0); err != nil {
		t.Fatal(err)
	}
	compare(t, loaded(t, file.Bytes()), want)
}

// The marks of snapshots that were given up go round after 256 of them.
func TestAfterManyThatWereGivenUp(t *testing.T) {
	for _, given := range []int{254, 255, 256, 257, 600} {
		ks := storage.New(storage.Config{Databases: 2})
		e := fill(ks, 100, []byte("value"))
		s, _ := begin(t, ks, e, io.Discard, Options{})
		if err := s.Run(e, t0); err != nil {
			t.Fatal(err)
		}
		for i := range given {
			s, _ := begin(t, ks, e, io.Discard, Options{})
			s.Step(e, t0, i%50) // as far as the disk goes
			s.Abort(e.BeginWorld(t0))
			e.End()
		}
		var file bytes.Buffer
		s, want := begin(t, ks, e, &file, Options{})
		if err := s.Run(e, t0); err != nil {
			t.Fatal(err)
		}
		compare(t, loaded(t, file.Bytes()), want)
	}
}

// full is a disk that is full after some bytes.
type full struct{ room int }

var errFull = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestAFullDiskEndsTheSnapshot(t *testing.T) {
	ks := storage.New(storage.Config{})
	e := fill(ks, 50_000, bytes.Repeat([]byte("v"), 64))
	s, _ := begin(t, ks, e, &full{room: 1 << 20}, Options{})
	if err := s.Run(e, t0); err != errFull {
		t.Errorf("Run gives %v", err)
	}
	again, _ := begin(t, ks, e, io.Discard, Options{})
	if err := again.Run(e, t0); err != nil {
		t.Errorf("the next snapshot gives %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	ks := storage.New(storage.Config{})
	const keys = 1 << 18
	e := fill(ks, keys, bytes.Repeat([]byte("v"), 64))
	for b.Loop() {
		s, err := Begin(ks, e.BeginWorld(t0), io.Discard, rdb.Header{}, Options{})
		e.End()
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Run(e, t0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
}
