package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"redoubt/replication"
)

// testConfig is a journal with a small ring in dir that fails the test if the
// disk does.
func testConfig(t testing.TB, dir string) Config {
	return Config{
		Dir: dir, Enabled: true, RingBytes: minRingBytes, CommitLogBytes: 16 * blockBytes, BallastBytes: -1, TrimBytes: 1,
		Log:   zap.NewNop(),
		Fatal: func(err error) { panic(err) },
	}
}

func memoryConfig(backlog int) Config {
	return Config{Dir: "unused", BacklogBytes: backlog, Log: zap.NewNop()}
}

func open(t testing.TB, cfg Config) (*Stream, *Recovered) {
	t.Helper()
	s, rec, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, rec
}

var testHistory = replication.History{ID: strings.Repeat("a", 40), ID2: replication.NoID, Second: -1}

// openServing is open plus what a server does before it serves.
func openServing(t testing.TB, cfg Config) *Stream {
	t.Helper()
	s, _ := open(t, cfg)
	if err := s.SaveHistory(testHistory, false); err != nil {
		t.Fatal(err)
	}
	return s
}

// put appends and announces.
func put(s *Stream, unit []byte) replication.Offset {
	end := s.AppendRaw(unit)
	s.Announce()
	return end
}

// commit is put by somebody who waits for the disk.
func commit(s *Stream, unit []byte) replication.Offset {
	end := s.AppendRaw(unit)
	s.TryCommit()
	s.Announce()
	return end
}

// unit is a command of about n bytes that names its number, so that a byte in a
// wrong place shows.
func unit(i, n int) []byte {
	return fmt.Appendf(nil, "*3\r\n$3\r\nSET\r\n$8\r\n%08d\r\n$%d\r\n%s\r\n", i, n, strings.Repeat(string(rune('a'+i%26)), n))
}

// readAll reads (from, end] in pieces of size bytes.
func readAll(t testing.TB, s *Stream, from replication.Offset, size int) []byte {
	t.Helper()
	var all []byte
	p := make([]byte, size)
	for {
		n, err := s.ReadAt(p, from)
		if err != nil {
			t.Fatalf("read after %d: %v", from, err)
		}
		if n == 0 {
			return all
		}
		all = append(all, p[:n]...)
		from += replication.Offset(n)
	}
}

func replayAll(t testing.TB, s *Stream, from replication.Offset) []byte {
	t.Helper()
	var all []byte
	err := s.Replay(from, func(u []byte, end replication.Offset) error {
		all = append(all, u...)
		if want := from + replication.Offset(len(all)); want != end {
			t.Fatalf("a unit ends at %d, should at %d", end, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSelectIsPrependedWhenTheDatabaseChanges(t *testing.T) {
	s, _ := open(t, memoryConfig(1<<20))
	s.Append(0, 0, []byte("a"))
	s.Append(0, 0, []byte("b"))
	s.Append(-1, -1, []byte("ping"))
	s.Append(0, 0, []byte("c"))
	s.Append(12, 3, []byte("d")) // EXEC that ends in another database
	s.Append(3, 3, []byte("e"))
	s.ResetDB()
	put(s, []byte("raw"))
	s.Append(3, 3, []byte("f"))
	want := "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\nabpingc*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\nderaw*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\nf"
	if got := string(readAll(t, s, 0, 7)); got != want {
		t.Errorf("stream is %q\nwant      %q", got, want)
	}
	if s.SelectedDB() != 3 || s.End() != replication.Offset(len(want)) || s.Committed() != s.End() {
		t.Errorf("db %d end %d committed %d", s.SelectedDB(), s.End(), s.Committed())
	}
}

// TestReadersSeeTheSameBytesWhereverTheyLie appends several rings full of units
// of all sizes, some larger than the ring, and reads from offsets everywhere:
// the ring, over its wrap, the heap, the journal, and across their borders.
func TestReadersSeeTheSameBytesWhereverTheyLie(t *testing.T) {
	for _, policy := range []Policy{EverySec, Always, No} {
		t.Run(policy.String(), func(t *testing.T) {
			cfg := testConfig(t, t.TempDir())
			cfg.Policy = policy
			s := openServing(t, cfg)
			s.OnCommit(func(o replication.Offset) {
				if policy == Always && o > s.Synced() {
					t.Errorf("committed %d, synced %d", o, s.Synced())
				}
			})
			rng := rand.New(rand.NewPCG(1, uint64(policy)))
			var want []byte
			for i := range 250 {
				n := rng.IntN(3000)
				switch {
				case i%97 == 50:
					n = 3 * minRingBytes
				case i == 180:
					n = 3*batchBytes + 17
				}
				u := unit(i, n)
				want = append(want, u...)
				if got := put(s, u); got != replication.Offset(len(want)) {
					t.Fatalf("append returned %d, want %d", got, len(want))
				}
				if i%20 == 0 {
					from := rng.IntN(len(want))
					if got := readAll(t, s, replication.Offset(from), 4000+rng.IntN(20000)); !bytes.Equal(got, want[from:]) {
						t.Fatalf("unit %d: what follows offset %d is not what was appended", i, from)
					}
				}
			}
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if s.Synced() != s.End() || s.Committed() != s.End() || !s.Room() {
				t.Errorf("after Flush: end %d committed %d synced %d", s.End(), s.Committed(), s.Synced())
			}
			if !bytes.Equal(replayAll(t, s, 0), want) {
				t.Error("Replay differs from what was appended")
			}
			if _, err := s.ReadAt(make([]byte, 1), s.End()+1); !errors.Is(err, ErrTrimmed) {
				t.Errorf("a read beyond the end says %v", err)
			}
		})
	}
}

// TestAReaderKeepsUpWithAWriter runs a feeder beside an appender that laps the
// ring many times; under the race detector it also checks who owns which byte.
func TestAReaderKeepsUpWithAWriter(t *testing.T) {
	s := openServing(t, testConfig(t, t.TempDir()))
	const units = 3000
	var want []byte
	for i := range units {
		want = append(want, unit(i, i%700)...)
	}
	got := make(chan []byte)
	go func() {
		var all []byte
		p := make([]byte, 5000)
		for len(all) < len(want) {
			at := replication.Offset(len(all))
			if err := s.Wait(context.Background(), at); err != nil {
				break
			}
			n, err := s.ReadAt(p, at)
			if err != nil {
				t.Errorf("read after %d: %v", at, err)
				break
			}
			all = append(all, p[:n]...)
		}
		got <- all
	}()
	for i := range units {
		if !s.Room() {
			if err := s.WaitRoom(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		put(s, unit(i, i%700))
	}
	if !bytes.Equal(<-got, want) {
		t.Error("the feeder read something else than was appended")
	}
}

func TestWaitEndsWithItsContextAndWithClose(t *testing.T) {
	s, _ := open(t, memoryConfig(1<<20))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Wait(ctx, s.End()); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled Wait says %v", err)
	}
	done := make(chan error)
	go func() { done <- s.Wait(context.Background(), s.End()) }()
	s.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("Wait on a closed stream says %v", err)
	}
	if s.grown.some.Load() {
		t.Error("a waiter was left on the list")
	}
}

// CONFIG SET repl-backlog-size acts at once.
func TestTheBacklogFollowsItsSetting(t *testing.T) {
	s, _ := open(t, memoryConfig(2*segmentBytes))
	u := unit(1, 4000)
	fill := func(n int) replication.Offset {
		for to := s.End() + replication.Offset(n); s.End() < to; {
			put(s, u)
		}
		return s.End() - s.First()
	}
	fill(8 * segmentBytes)
	s.SetBacklogBytes(6 * segmentBytes)
	if kept := fill(8 * segmentBytes); kept < 6*segmentBytes {
		t.Errorf("%d bytes are kept, configured are %d", kept, 6*segmentBytes)
	}
	s.SetBacklogBytes(segmentBytes)
	if kept := s.End() - s.First(); kept > 3*segmentBytes {
		t.Errorf("%d bytes are still kept, configured are %d", kept, segmentBytes)
	}
}

// TestALargeUnitLeavesTheBacklogBitByBit: repl-backlog-size bounds what is kept, however
// large the units are.
func TestALargeUnitLeavesTheBacklogBitByBit(t *testing.T) {
	for _, backlog := range []int{16 << 10, 100_000, 1 << 20} {
		s, _ := open(t, memoryConfig(backlog))
		piece := pieceBytes(backlog)
		all := unit(0, 300)
		put(s, all)
		for i, n := range []int{3 << 20, 10, 200_000, 5} {
			u := unit(i, n)
			all = append(all, u...)
			put(s, u)
			kept := int(s.End() - s.First())
			if kept < backlog || kept > backlog+piece {
				t.Errorf("a unit of %d bytes: %d bytes are kept, configured are %d", n, kept, backlog)
			}
			// The pieces at both ends are not full, and one is kept for the next.
			if held, pinned, _ := s.Memory(); held > int64(backlog+3*piece) || pinned != 0 {
				t.Errorf("a unit of %d bytes: %d bytes are held, %d pinned, configured are %d", n, held, pinned, backlog)
			}
			if got := readAll(t, s, s.First(), 5000); !bytes.Equal(got, all[s.First():]) {
				t.Error("the bytes are not those appended")
			}
		}
		at := replication.Offset(len(all))
		pin := s.Pin(at)
		all = append(all, unit(9, 2<<20)...)
		put(s, all[at:])
		if got := readAll(t, s, at, 5000); !bytes.Equal(got, all[at:]) {
			t.Error("what is pinned cannot be read")
		}
		if err := s.Cut(at + 1<<20); err != nil {
			t.Fatal(err)
		}
		all = append(all[:at+1<<20:at+1<<20], unit(10, 70_000)...)
		put(s, all[at+1<<20:])
		if got := readAll(t, s, at+1<<20, 5000); !bytes.Equal(got, all[at+1<<20:]) {
			t.Error("after a cut the bytes are not those appended")
		}
		pin.Release()
	}
}

// TestUnitsInPiecesComeIntoAJournal: they are taken over when it is turned on, and only
// whole units come into its ring.
func TestUnitsInPiecesComeIntoAJournal(t *testing.T) {
	gate := newGate()
	cfg := testConfig(t, "/j")
	cfg.FS, cfg.Enabled, cfg.BacklogBytes = gate.wrap(vfs.NewMem()), false, 1<<20
	s, _ := open(t, cfg)
	all := unit(0, 5000)
	for i := range 3 {
		all = append(all, unit(i, 250_000)...)
	}
	for rest := all; len(rest) > 0; {
		n := bytes.Index(rest[1:], []byte("*3\r\n")) + 1
		if n == 0 {
			n = len(rest)
		}
		put(s, rest[:n])
		rest = rest[n:]
	}
	if !s.tail.divided() {
		t.Fatal("no unit is in pieces")
	}
	if err := s.Enable(testHistory, false, replication.Fitness{}); err != nil {
		t.Fatal(err)
	}
	base := s.End()
	for i := 0; ; i++ {
		s.mu.Lock()
		over := s.tail.empty()
		s.mu.Unlock()
		if over {
			break
		}
		if i == 1_000_000 {
			t.Fatal("the journal does not catch up")
		}
		all = append(all, unit(i, 100)...)
		put(s, unit(i, 100))
		runtime.Gosched()
	}
	all = append(all, unit(1, 100)...)
	put(s, unit(1, 100))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, s, 0, 4096); !bytes.Equal(got, all) {
		t.Error("the bytes are not those appended")
	}
	if got := replayAll(t, s, base); !bytes.Equal(got, all[base:]) {
		t.Error("the replay differs")
	}
	err := s.Replay(0, func(u []byte, end replication.Offset) error {
		if !bytes.HasPrefix(u, []byte("*3\r\n")) || !bytes.HasSuffix(u, []byte("\r\n")) {
			return fmt.Errorf("what ends at %d is no whole unit", end)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The test is the writer, until it has written the first piece of a unit that was
// spread over several.
func TestTheRingGetsNoPieceOfAUnit(t *testing.T) {
	cfg := testConfig(t, "/j")
	cfg.FS, cfg.Enabled, cfg.BacklogBytes = vfs.NewMem(), false, 16<<10
	s, _ := open(t, cfg)
	all := append(unit(1, 16000), unit(2, 100)...)
	put(s, unit(1, 16000))
	s.ctl.Lock()
	w, err := s.enable(testHistory, false, replication.Fitness{})
	s.ctl.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	put(s, unit(2, 100))
	w.collect()
	first := w.chunks[:1]
	if !first[0].more {
		t.Fatal("the unit lies in one piece")
	}
	if err := w.store.write(first, true); err != nil {
		t.Fatal(err)
	}
	to := first[0].after + replication.Offset(first[0].len())
	s.taken.Store(int64(to))
	w.synced(to)
	if s.tail.empty() {
		t.Error("the rest of a unit has come into the ring")
	}
	go w.run()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if !s.tail.empty() {
		t.Error("the overflow does not end")
	}
	if got := replayAll(t, s, 0); !bytes.Equal(got, all) {
		t.Error("the replay differs")
	}
}

// TestTheListOfSegmentsStaysAsLongAsItIs: dropping at one end and adding at the other
// does not let its array grow.
func TestTheListOfSegmentsStaysAsLongAsItIs(t *testing.T) {
	var tail segments
	p := make([]byte, 100)
	for at := replication.Offset(0); at < 100_000; at += 100 {
		tail.appendPieces(at, p, nil, 100)
		tail.reuse(at - 2000)
		if at >= 2000 {
			if n := len(tail.list); n != 21 {
				t.Fatalf("%d segments at %d", n, at)
			}
		}
		for back := replication.Offset(0); back <= min(at, 1900); back += 50 {
			if part, _ := tail.find(at - back); part == nil {
				t.Fatalf("nothing at %d", at-back)
			}
		}
	}
	if n := len(tail.array); n > 128 {
		t.Errorf("the array has grown to %d", n)
	}
	if part, _ := tail.find(100_000); part != nil {
		t.Error("there is something behind the end")
	}
	if part, _ := tail.find(90_000); part != nil {
		t.Error("there is something before the beginning")
	}
}

func TestWithoutAJournalMemoryKeepsTheBacklogAndWhatIsPinned(t *testing.T) {
	cfg := memoryConfig(2 * segmentBytes)
	cfg.PinMemoryBytes = 8 * segmentBytes
	s, _ := open(t, cfg)
	u := unit(1, 4000)
	fill := func(upTo replication.Offset) {
		for s.End() < upTo {
			put(s, u)
		}
	}
	fill(6 * segmentBytes)
	backlog := s.End() - s.First()
	if backlog < 2*segmentBytes || backlog > 4*segmentBytes {
		t.Errorf("backlog is %d bytes, configured %d", backlog, 2*segmentBytes)
	}
	if _, err := s.ReadAt(make([]byte, 1), s.First()-1); !errors.Is(err, ErrTrimmed) {
		t.Errorf("a read of what is gone says %v", err)
	}
	at := s.First()
	pin := s.Pin(at)
	fill(at + 7*segmentBytes)
	if s.First() > at {
		t.Errorf("pinned at %d, but memory begins at %d", at, s.First())
	}
	fill(at + 12*segmentBytes)
	if s.First() <= at {
		t.Error("a pin further behind than its limit still holds everything back")
	}
	pin.Release()
	pin.Release()
	if n := len(s.pins.list); n != 0 {
		t.Errorf("%d pins after Release", n)
	}
}

func TestRoomIsRefusedWhileTheDiskIsBehind(t *testing.T) {
	gate := newGate()
	cfg := testConfig(t, "/j")
	cfg.FS = gate.wrap(vfs.NewMem())
	s := openServing(t, cfg)
	var told []bool // nobody reads it while the writer may still tell
	s.OnRoom(func(room bool) { told = append(told, room) })
	gate.shut()
	for s.End()-s.Synced() <= minRingBytes/2 {
		if len(told) != 1 || !told[0] || !s.Room() {
			t.Fatalf("%d bytes before the disk: told %v", s.End()-s.Synced(), told)
		}
		put(s, unit(0, 1000))
	}
	if len(told) != 2 || told[1] {
		t.Errorf("the append that took the last room told %v", told[1:])
	}
	for range 200 { // three times the ring: the rest overshoots to the heap
		put(s, unit(0, 1000))
	}
	if s.Room() {
		t.Error("there is room though nothing was synced")
	}
	if s.Committed() == s.End() {
		t.Error("what lies on the heap counts as committed")
	}
	waited := make(chan error)
	go func() { waited <- s.WaitRoom(context.Background()) }()
	gate.open()
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(told) != 3 || !told[2] {
		t.Errorf("told %v in the end", told)
	}
	if s.Committed() != s.End() || len(s.tail.list) != 0 {
		t.Errorf("after the disk caught up: committed %d of %d, %d segments on the heap", s.Committed(), s.End(), len(s.tail.list))
	}
}

// TestAnOverflowEndsWithTheRingStillHalfWritten: the disk is busy with the first
// unit while the ring fills up and a little lands on the heap.
func TestAnOverflowEndsWithTheRingStillHalfWritten(t *testing.T) {
	gate := newGate()
	cfg := testConfig(t, "/j")
	cfg.FS, cfg.Policy = gate.wrap(vfs.NewMem()), Always
	s := openServing(t, cfg)
	gate.shut()
	want := unit(0, 100)
	put(s, want)
	<-gate.arrived
	for i := 1; s.tail.empty(); i++ {
		want = append(want, unit(i, 100)...)
		put(s, unit(i, 100))
	}
	gate.open()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	if s.Committed() != s.End() || !bytes.Equal(readAll(t, s, 0, 4096), want) || !bytes.Equal(replayAll(t, s, 0), want) {
		t.Error("the bytes are not those appended")
	}
}

// TestAReaderMissesNothingWhenAnOverflowEnds: the bytes move from the heap back
// into the ring while somebody looks for them.
func TestAReaderMissesNothingWhenAnOverflowEnds(t *testing.T) {
	gate := newGate()
	cfg := testConfig(t, "/j")
	cfg.FS, cfg.Policy = gate.wrap(vfs.NewMem()), Always
	s := openServing(t, cfg)
	var ended atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			p := make([]byte, 10)
			for !ended.Load() {
				if at := s.End() - 5; at > 0 {
					if n, err := s.ReadAt(p, at); n == 0 || err != nil {
						t.Errorf("read after %d of %d: %d bytes, %v", at, s.End(), n, err)
						return
					}
				}
			}
		})
	}
	for i := range 200 {
		gate.shut()
		put(s, unit(i, minRingBytes)) // goes to the heap …
		<-gate.arrived
		put(s, unit(i, 10000)) // … and this returns from there
		gate.open()
		for s.Committed() < s.End() {
			runtime.Gosched()
		}
	}
	ended.Store(true)
	readers.Wait()
}

func TestAStalledDiskShows(t *testing.T) {
	gate := newGate()
	cfg := testConfig(t, "/j")
	cfg.FS, cfg.Policy = gate.wrap(vfs.NewMem()), Always
	s := openServing(t, cfg)
	if d := s.Stalled(time.Now()); d != 0 {
		t.Errorf("an idle writer is stalled for %v", d)
	}
	gate.shut()
	put(s, unit(0, 10))
	<-gate.arrived
	if d := s.Stalled(time.Now().Add(time.Minute)); d < time.Minute {
		t.Errorf("after a minute in one write, Stalled says %v", d)
	}
	gate.open()
}

// TestCommittedFollowsThePolicy: with everysec a unit is committed when it is
// appended; with always when it is fsynced, and OnCommit tells.
func TestCommittedFollowsThePolicy(t *testing.T) {
	gate := newGate()
	cfg := testConfig(t, "/j")
	cfg.FS = gate.wrap(vfs.NewMem())
	s := openServing(t, cfg)
	told := make(chan replication.Offset, 100)
	s.OnCommit(func(o replication.Offset) { told <- o })
	gate.shut()
	if end := put(s, []byte("everysec")); s.Committed() != end {
		t.Errorf("everysec: committed %d, appended up to %d", s.Committed(), end)
	}
	s.SetPolicy(Always)
	gate.open()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	gate.shut()
	before := s.Committed()
	first := put(s, []byte("always"))
	<-gate.arrived // the writer is at the disk with the first unit and knows no second
	end := put(s, []byte("always, while the disk is busy"))
	if s.Committed() != before {
		t.Errorf("always: committed %d before any fsync", s.Committed())
	}
	gate.open()
	if o := <-told; o != first {
		t.Errorf("always: the fsync of what ends at %d committed %d", first, o)
	}
	if o := <-told; o != end || s.Synced() != end || s.Committed() != end {
		t.Errorf("always: told %d, synced %d committed %d of %d", o, s.Synced(), s.Committed(), end)
	}
	gate.shut()
	end = put(s, []byte("always again"))
	s.SetPolicy(No)
	if s.Committed() != end || <-told != end {
		t.Errorf("from always to no: committed %d of %d", s.Committed(), end)
	}
	gate.open()
}

// TestAnFsyncCoversAllThatIsAnnouncedAtOnce: with always the writer does not begin
// with the first unit of somebody who has more.
func TestAnFsyncCoversAllThatIsAnnouncedAtOnce(t *testing.T) {
	gate := newGate()
	cfg := testConfig(t, "/j")
	cfg.FS, cfg.Policy = gate.wrap(vfs.NewMem()), Always
	s := openServing(t, cfg)
	told := make(chan replication.Offset, 100)
	s.OnCommit(func(o replication.Offset) { told <- o })
	for i := range 20 {
		gate.shut()
		first := put(s, unit(0, 10))
		<-gate.arrived // at the disk with the first unit
		s.AppendRaw(unit(1, 10))
		gate.open()
		if o := <-told; o != first {
			t.Fatalf("round %d: the first fsync committed %d, not %d", i, o, first)
		}
		end := s.AppendRaw(unit(2, 10))
		s.Announce()
		if o := <-told; o != end {
			t.Fatalf("round %d: an fsync committed %d, of which nothing was announced; announced is %d", i, o, end)
		}
	}
}

// TestWhatNobodyAnnouncesIsWrittenAllTheSame: within about a second, or a loop in
// a long command would keep what it appended before from the disk.
func TestWhatNobodyAnnouncesIsWrittenAllTheSame(t *testing.T) {
	for _, policy := range []Policy{Always, EverySec} {
		cfg := testConfig(t, t.TempDir())
		cfg.Policy = policy
		s := openServing(t, cfg)
		end := s.AppendRaw(unit(0, 10))
		if err := s.Wait(t.Context(), end-1); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); s.Synced() < end; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%v: synced %d of %d", policy, s.Synced(), end)
			}
		}
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	u := unit(1, 64)
	for name, cfg := range map[string]Config{"in memory": memoryConfig(1 << 20), "with a journal": testConfig(t, t.TempDir())} {
		if cfg.Enabled {
			cfg.RingBytes = 16 << 20 // so that the writer has nothing to do with it
		}
		s := openServing(t, cfg)
		db := 0
		if n := testing.AllocsPerRun(2000, func() {
			s.Append(db, db, u)
			s.Announce()
			db ^= 1
		}); n != 0 {
			t.Errorf("%s: %v allocations an append", name, n)
		}
	}
}

// TestABacklogInMemoryNeedsNoMoreMemoryOnceItIsFull: or the collector would pay
// for every byte of the stream.
func TestABacklogInMemoryNeedsNoMoreMemoryOnceItIsFull(t *testing.T) {
	s := openServing(t, memoryConfig(4*segmentBytes))
	u := unit(1, 1000)
	fill := func() {
		for range 10 * segmentBytes / len(u) {
			put(s, u)
		}
	}
	fill()
	if n := testing.AllocsPerRun(10, fill); n != 0 {
		t.Errorf("%v allocations for ten segments", n)
	}
}

// TestAReaderInMemoryKeepsItsBytes: memory that is used again is not written
// while somebody copies out of it.
func TestAReaderInMemoryKeepsItsBytes(t *testing.T) {
	cfg := memoryConfig(2 * segmentBytes)
	s, _ := open(t, cfg)
	const units = 20000
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, 3*segmentBytes)
		for {
			at := s.First()
			n, err := s.ReadAt(p, at)
			switch {
			case errors.Is(err, ErrTrimmed):
				continue
			case err != nil:
				t.Error(err)
				return
			}
			for i, b := range p[:n] {
				if want := byte((int(at) + i) / 256); b != want {
					t.Errorf("after %d: byte %d is %d, not %d", at, i, b, want)
					return
				}
			}
			if s.End() == units*256 {
				return
			}
		}
	}()
	u := make([]byte, 256)
	for i := range units {
		for j := range u {
			u[j] = byte(i)
		}
		put(s, u)
	}
	<-done
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no logger":                func(c *Config) { c.Log = nil },
		"no directory":             func(c *Config) { c.Dir = "" },
		"an unknown policy":        func(c *Config) { c.Policy = 7 },
		"a tiny ring":              func(c *Config) { c.RingBytes = 4096 },
		"a ring of half a page":    func(c *Config) { c.RingBytes = minRingBytes + 1 },
		"a negative backlog":       func(c *Config) { c.BacklogBytes = -1 },
		"a negative trimming step": func(c *Config) { c.TrimBytes = -1 },
	} {
		cfg := testConfig(t, t.TempDir())
		change(&cfg)
		if s, _, err := Open(cfg); err == nil {
			s.Close()
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestWhoAnnouncesLateWakesNobody: an announcement may overtake a cut, and name bytes that are gone.
func TestWhoAnnouncesLateWakesNobody(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	cfg.Policy = OnDemand
	s := openServing(t, cfg)
	end := put(s, []byte("there"))
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	s.announced.Store(int64(end) + 100)
	s.demanded.Store(int64(end) + 100)
	for _, state := range []int32{idle, gathering, regrouping} {
		w := s.w.Load()
		old := w.sleeping.Swap(state)
		if w.wanted() {
			t.Errorf("in state %d the writer has something to do", state)
		}
		w.sleeping.Store(old)
	}
}
