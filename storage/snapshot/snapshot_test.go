package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

const t0 = 1_700_000_000_000 // Unix milliseconds at which tests begin

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

func TestFileIsTheStateOfTheMoment(t *testing.T) {
	seeds := uint64(20)
	if raceDetector {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			ks := storage.New(storage.Config{Databases: 1 + r.IntN(4), Seed: seed})
			m := &mutator{ks: ks, e: ks.NewExecutor(), rand: r, keys: 20 + r.IntN(1000), now: t0}
			if seed%2 == 0 {
				m.tags = "{one slot}" // so that segments split and cursors matter
			}
			for range 3 * m.keys {
				m.op(true)
			}
			for range 4 { // several in a row
				oneOfManyFiles(t, m)
			}
		})
	}
}

// Blocks that the walk, or the writing goroutine, is about to read move.
func TestFileIsTheStateWhileMemoryIsCompacted(t *testing.T) {
	ks := storage.New(storage.Config{Databases: 2})
	const keys = 12_000 // with much fewer, nothing has to move
	m := &mutator{ks: ks, e: ks.NewExecutor(), rand: rand.New(rand.NewPCG(1, 1)), keys: keys, now: t0}
	for range 2 {
		for range 3 * m.keys {
			m.op(false)
		}
		tx := m.e.BeginWorld(m.now)
		for i := range m.keys {
			for db := range 2 {
				if tx.Select(db); m.rand.IntN(8) > 0 {
					tx.Delete(fmt.Append(nil, i))
				}
			}
		}
		m.e.End()
		for m.e.Reclaim(1000) {
		}
		before := ks.Compaction().Hits
		file := &lagging{may: make(chan struct{}, 1)}
		s, want := begin(t, ks, m.e, file, Options{})
		for running, walked := true, false; running || !walked; {
			m.now += 1000
			walked = s.Step(m.e, m.now, 20) == Finished
			running = m.e.Compact(m.now, 50)
			m.op(false)
		}
		file.all()
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		compare(t, loaded(t, file.Bytes()), want)
		if ks.Compaction().Hits == before {
			t.Error("nothing has moved")
		}
	}
}

// oneOfManyFiles takes a snapshot while m goes on, or gives it up, and compares.
func oneOfManyFiles(t *testing.T, m *mutator) {
	r := m.rand
	file := &lagging{may: make(chan struct{}, 1)}
	s, want := begin(t, m.ks, m.e, file, Options{})
	aborts := -1
	if r.IntN(4) == 0 {
		aborts = r.IntN(20)
	}
	for s.Step(m.e, m.now, 1+r.IntN(50)) != Finished {
		for range r.IntN(20) {
			m.op(true)
		}
		if r.IntN(3) == 0 {
			file.more()
		}
		if aborts--; aborts == 0 {
			s.Abort(m.e.BeginWorld(m.now))
			m.e.End()
		}
	}
	for range r.IntN(200) { // values that were handed over have not been read yet
		m.op(true)
	}
	file.all()
	switch err := s.Err(); {
	case errors.Is(err, ErrAborted):
		return
	case err != nil:
		t.Fatal(err)
	}
	compare(t, loaded(t, file.Bytes()), want)
	if n := s.Pending(); n != 0 {
		t.Errorf("%d bytes of pre-images are left", n)
	}
}

// lagging is a file that takes some more whenever it may.
type lagging struct {
	bytes.Buffer
	may chan struct{}
}

func (f *lagging) Write(p []byte) (int, error) {
	<-f.may
	return f.Buffer.Write(p)
}

func (f *lagging) more() {
	select {
	case f.may <- struct{}{}:
	default:
	}
}

func (f *lagging) all() { close(f.may) }

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

// run walks to the end and returns Err.
func run(s *Snapshot, e *storage.Executor) error {
	for s.Step(e, t0, batchRecords) != Finished {
		runtime.Gosched()
	}
	return s.Err()
}

func TestAWalkToTheEnd(t *testing.T) {
	ks := storage.New(storage.Config{})
	e := fill(ks, 20_000, []byte("value"))
	var file bytes.Buffer
	s, want := begin(t, ks, e, &file, Options{})
	if err := run(s, e); err != nil {
		t.Fatal(err)
	}
	compare(t, loaded(t, file.Bytes()), want)
}

// A step looks at no more than its budget, whoever has handed the records over before:
// each look waits for memory.
func TestAStepCountsRecordsThatWereHandedOver(t *testing.T) {
	const keys, budget = 2000, 50
	ks := storage.New(storage.Config{})
	e := ks.NewExecutor()
	write := func() {
		for i := range keys {
			key := fmt.Appendf(nil, "{one slot}%d", i)
			e.Begin(t0, []slots.Slot{slots.Of(key)}).SetString(key, []byte("value"), 0, 0)
			e.End()
		}
	}
	write()
	s, _ := begin(t, ks, e, io.Discard, Options{})
	write()
	steps := 1
	for s.Step(e, t0, budget) != Finished {
		steps++
	}
	if steps < keys/budget {
		t.Errorf("%d steps of %d", steps, budget)
	}
	if err := s.Err(); err != nil {
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
	if err := run(next, e); err != nil {
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
		if err := run(s, e); err != nil {
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
		if err := run(s, e); err != nil {
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
	if err := run(s, e); err != errFull {
		t.Errorf("it ends with %v", err)
	}
	again, _ := begin(t, ks, e, io.Discard, Options{})
	if err := run(again, e); err != nil {
		t.Errorf("the next snapshot gives %v", err)
	}
}

// BenchmarkSnapshot takes a file of strings of 64 random letters, compressed and with
// a checksum as by default. ns/key is how long that takes, and cpu-ns/key the
// processor time of the walk and of the writer, which run side by side.
func BenchmarkSnapshot(b *testing.B) {
	ks := storage.New(storage.Config{})
	const keys = 1 << 20
	e, r := ks.NewExecutor(), rand.New(rand.NewPCG(1, 1))
	value := make([]byte, 64)
	for i := range keys {
		for j := range value {
			value[j] = byte('a' + r.IntN(26))
		}
		key := fmt.Appendf(nil, "key:%012d", i)
		e.Begin(t0, []slots.Slot{slots.Of(key)}).SetString(key, value, 0, 0)
		e.End()
	}
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	for b.Loop() {
		s, err := Begin(ks, e.BeginWorld(t0), io.Discard, rdb.Header{}, Options{RDB: rdb.Options{Compress: true, Checksum: true}})
		e.End()
		if err != nil {
			b.Fatal(err)
		}
		if err := run(s, e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
	b.ReportMetric(float64(used()-before)/float64(b.N)/keys, "cpu-ns/key")
}
