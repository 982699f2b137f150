package snapshot

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// underWay is a snapshot with what its file must have in the end.
type underWay struct {
	*Snapshot
	file    *lagging
	want    state
	aborted bool
}

// Two or three snapshots at a time, of all slots or some, begin, walk and end in any
// order among changes of all kinds. Every file is the state of its own moment.
func TestEverySnapshotIsTheStateOfItsOwnMoment(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); raceDetector && f.Value.String() == f.DefValue { // 100
		if err := flag.Set(f.Name, "25"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		ks := storage.New(storage.Config{Databases: 3, Seed: 1, Reserve: 1 << 30})
		m := &mutator{ks: ks, e: ks.NewExecutor(), rand: r, keys: rapid.SampledFrom([]int{5, 50, 400}).Draw(t, "keys"), now: t0}
		if rapid.Bool().Draw(t, "one slot") {
			m.tags = "{one slot}"
		}
		for range 2 * m.keys {
			m.op(true)
		}
		var running []*underWay
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			one := func() *underWay { return running[r.IntN(len(running))] }
			switch action := rapid.IntRange(0, 9).Draw(t, "action"); {
			case len(running) == 0 || action == 0 && len(running) < 3:
				running = append(running, beginOf(t, m, rapid.IntRange(0, 2).Draw(t, "of")))
			case action < 4:
				one().Step(m.e, m.now, rapid.IntRange(1, 60).Draw(t, "budget"))
			case action == 4:
				one().file.more()
			case action == 5:
				i := r.IntN(len(running))
				s := running[i]
				if rapid.IntRange(0, 3).Draw(t, "abort") == 0 {
					s.Abort(m.e.BeginWorld(m.now))
					m.e.End()
					s.aborted = true
				}
				s.end(t, m)
				running = slices.Delete(running, i, i+1)
			default:
				for range rapid.IntRange(1, 40).Draw(t, "changes") {
					m.op(true)
				}
			}
		}
		for _, s := range running {
			m.op(true)
			s.end(t, m)
		}
		for m.e.Reclaim(1000) {
		}
		if held, _ := ks.Held(); held != 0 || ks.Kept() != 0 {
			t.Errorf("%d bytes are held, %d of them kept, when all snapshots have ended", held, ks.Kept())
		}
	})
}

// beginOf begins a snapshot of all slots (0), a half of them, or one.
func beginOf(t *rapid.T, m *mutator, of int) *underWay {
	s := &underWay{file: &lagging{may: make(chan struct{}, 1)}}
	o := Options{}
	switch of {
	case 1:
		set := slots.All()
		for n := range slots.Slot(slots.Count) {
			if n%2 == 1 {
				set.Remove(n)
			}
		}
		o.Slots = &set
	case 2:
		o.Slots = new(slots.Set)
		o.Slots.Add(slots.Of(m.key()))
	}
	tx := m.e.BeginApplyWorld(m.now, 0)
	defer m.e.End()
	s.want = present(m.ks, tx)
	for key := range s.want {
		if _, name, _ := strings.Cut(key, " "); o.Slots != nil && !o.Slots.Has(slots.Of([]byte(name))) {
			delete(s.want, key)
		}
	}
	var err error
	if s.Snapshot, err = Begin(m.ks, tx, s.file, rdb.Header{ServerVersion: "7.0.15"}, o); err != nil {
		t.Fatal(err)
	}
	return s
}

// end lets the snapshot run to its end while changes go on, and compares.
func (s *underWay) end(t *rapid.T, m *mutator) {
	s.file.all()
	for s.Step(m.e, m.now, 100) != Finished {
		m.op(true)
	}
	switch err := s.Err(); {
	case s.aborted && errors.Is(err, ErrAborted):
	case err != nil:
		t.Fatal(err)
	default:
		compare(t, loaded(t, s.file.Bytes()), s.want)
	}
	m.ks.World(0, func(tx *storage.Tx) { tx.Release(s.capture) }) // the writer does that a moment later
}

// Snapshots overlap for ever, as BGSAVE after BGSAVE beside bases may: what one
// reads is freed when that one has it written, not when none is open.
func TestSnapshotsThatOverlapForEverKeepNothingForEver(t *testing.T) {
	ks := storage.New(storage.Config{})
	e := ks.NewExecutor()
	key := []byte("list")
	change := func(tx *storage.Tx) {
		l, _ := tx.EditList(key)
		for i := range l.Len() {
			l.Set(i, bytes.Repeat([]byte{byte('a' + i%26)}, 100))
		}
	}
	func() {
		tx := e.BeginWorld(t0)
		defer e.End()
		l, _ := tx.EditList(key)
		for range 2000 {
			l.PushBack(bytes.Repeat([]byte("x"), 100))
		}
	}()
	var before *Snapshot
	for range 50 {
		s, _ := begin(t, ks, e, new(bytes.Buffer), Options{})
		change(e.Begin(t0, []slots.Slot{slots.Of(key)}))
		e.End()
		if before != nil {
			if err := run(before, e); err != nil {
				t.Fatal(err)
			}
			ks.World(0, func(tx *storage.Tx) { tx.Release(before.capture) })
		}
		before = s
		for e.Reclaim(1000) {
		}
		if n := ks.Kept(); n > 600_000 {
			t.Fatalf("%d bytes are kept", n)
		}
	}
	if err := run(before, e); err != nil {
		t.Fatal(err)
	}
}

// A snapshot that is open for very long is not taken for another one.
func TestTheOldestOfVeryManySnapshots(t *testing.T) {
	ks := storage.New(storage.Config{Databases: 2})
	e := fill(ks, 300, []byte("value"))
	for range 300 { // so that epochs have gone round already
		s, _ := begin(t, ks, e, new(bytes.Buffer), Options{})
		s.Step(e, t0, 10)
		s.Abort(e.BeginWorld(t0))
		e.End()
	}
	var file bytes.Buffer
	old, want := begin(t, ks, e, &file, Options{})
	refused := 0
	for i := range 300 {
		tx := e.BeginWorld(t0)
		s, err := Begin(ks, tx, new(bytes.Buffer), rdb.Header{}, Options{})
		e.End()
		if errors.Is(err, storage.ErrTooManyCaptures) {
			refused++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Step(e, t0, i%40)
		s.Abort(e.BeginWorld(t0))
		e.End()
		key := []byte("later")
		e.Begin(t0, []slots.Slot{slots.Of(key)}).SetString(key, []byte{byte(i)}, 0, 0)
		e.End()
	}
	if refused == 0 {
		t.Error("none of 300 is refused")
	}
	if err := run(old, e); err != nil {
		t.Fatal(err)
	}
	compare(t, loaded(t, file.Bytes()), want)
	next, want := begin(t, ks, e, &file, Options{})
	file.Reset()
	if err := run(next, e); err != nil {
		t.Fatal(err)
	}
	compare(t, loaded(t, file.Bytes()), want)
}

// Write writes what the unit sees, what it did itself and what is expired among it,
// and leaves snapshots that are under way alone.
func TestWriteIsTheStateWithinAUnit(t *testing.T) {
	ks := storage.New(storage.Config{Databases: 3})
	keys := 3000
	if raceDetector {
		keys = 800
	}
	m := &mutator{ks: ks, e: ks.NewExecutor(), rand: rand.New(rand.NewPCG(3, 3)), keys: keys, now: t0}
	for range 3 * keys {
		m.op(false)
	}
	var other, file bytes.Buffer
	s, was := begin(t, ks, m.e, &other, Options{})
	s.Step(m.e, m.now, 500)
	for range 1000 {
		m.op(false)
	}
	tx := m.e.BeginApplyWorld(m.now, 0)
	tx.Select(2)
	tx.SetString([]byte("of the unit"), bytes.Repeat([]byte("x"), 100_000), 0, 0)
	want := present(ks, tx)
	tx.Select(2)
	if err := Write(ks, tx, &file, rdb.Header{}, Options{RDB: rdb.Options{Checksum: true}}); err != nil {
		t.Fatal(err)
	}
	if tx.DB() != 2 {
		t.Errorf("database %d is selected", tx.DB())
	}
	if err := Write(ks, tx, &full{room: 100_000}, rdb.Header{}, Options{}); !errors.Is(err, errFull) {
		t.Errorf("on a full disk: %v", err)
	}
	m.e.End()
	compare(t, loaded(t, file.Bytes()), want)
	if err := run(s, m.e); err != nil {
		t.Fatal(err)
	}
	compare(t, loaded(t, other.Bytes()), was)
}

// A table that a flush let go stays with an old snapshot, while one that began after
// the flush is walked to its end: that one says nothing of the table's records.
func TestADetachedTableOfAnOldSnapshot(t *testing.T) {
	ks := storage.New(storage.Config{})
	e := fill(ks, 300, []byte("value"))
	giveUp := func(n int) {
		for range n {
			s, _ := begin(t, ks, e, new(bytes.Buffer), Options{})
			s.Abort(e.BeginWorld(t0))
			e.End()
			e.Compact(t0, 5000) // raises epochs
		}
	}
	giveUp(200)
	var file bytes.Buffer
	old, want := begin(t, ks, e, &file, Options{})
	e.BeginWorld(t0).FlushAll()
	e.End()
	later, none := begin(t, ks, e, new(bytes.Buffer), Options{})
	if err := run(later, e); err != nil || len(none) != 0 {
		t.Fatalf("%v, %d keys", err, len(none))
	}
	giveUp(200)
	if err := run(old, e); err != nil {
		t.Fatal(err)
	}
	compare(t, loaded(t, file.Bytes()), want)
}
