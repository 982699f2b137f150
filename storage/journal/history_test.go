package journal

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"redoubt/replication"
)

var (
	historySeed  = flag.Uint64("history-seed", 1, "the first seed of TestPowerCutsInRandomHistories")
	historySeeds = flag.Uint64("history-seeds", 12, "how many seeds it takes")
)

// line is one stream as it should be: the bytes after an offset, in whole units.
type line struct {
	start replication.Offset
	bytes []byte
	ends  []replication.Offset // of its units, and start
}

func newLine(start replication.Offset) line {
	return line{start: start, ends: []replication.Offset{start}}
}

func (l *line) end() replication.Offset { return l.ends[len(l.ends)-1] }

// upTo is the line without what follows offset at, which is an end of a unit.
func (l *line) upTo(at replication.Offset) line {
	n := slices.Index(l.ends, at) + 1
	return line{l.start, l.bytes[: at-l.start : at-l.start], l.ends[:n:n]}
}

// outcome is a line that a start may find, up to promised at least.
type outcome struct {
	line
	promised replication.Offset
}

// power is a file system whose power may fail before any operation that changes a
// file. What may be found then is one of outcomes; if live is set, the first of them
// is the stream that s has, whose promises grow.
type power struct {
	mem *vfs.MemFS
	rng *rand.Rand // guarded by mu

	mu       sync.Mutex
	odds     int // of one cut at an operation
	s        *Stream
	live     bool
	switched replication.Offset // what was appended up to here was not waited for
	outcomes []outcome
	cuts     []randomCut
}

type randomCut struct {
	fs       *vfs.MemFS
	outcomes []outcome
	at       string
}

func (p *power) fs() vfs.FS {
	return errorfs.Wrap(p.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			p.mu.Lock()
			if p.rng.IntN(p.odds) == 0 {
				p.cut(fmt.Sprintf("%v of %s", op.Kind, op.Path))
			}
			p.mu.Unlock()
		}
		return nil
	}))
}

// cut notes what a power cut would leave now, and what may be found in that. mu is
// held.
func (p *power) cut(at string) {
	p.promise() // before the files are copied: what is promised later need not be in them
	clone := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[p.rng.IntN(3)], RNG: p.rng}
	p.cuts = append(p.cuts, randomCut{p.mem.CrashClone(clone), slices.Clone(p.outcomes), at})
}

// promise notes what the stream promises. mu is held.
func (p *power) promise() {
	if !p.live || p.s == nil {
		return
	}
	first := &p.outcomes[0]
	first.promised = max(first.promised, p.s.Synced())
	if at := p.s.Committed(); p.s.Policy() == Always && at > p.switched {
		first.promised = max(first.promised, at)
	}
}

// during has a power cut while f runs find one of the outcomes, or after it the one at
// index then, which is live.
func (p *power) during(t *testing.T, outcomes []outcome, then int, f func() error) {
	t.Helper()
	p.mu.Lock()
	p.outcomes, p.live = outcomes, false
	p.mu.Unlock()
	err := f()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outcomes, p.live = []outcome{outcomes[then]}, true
	if err != nil {
		t.Fatal(err)
	}
}

// now is what a power cut would find now.
func (p *power) now() outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.promise()
	return p.outcomes[0]
}

// found fails the test if none of a cut's outcomes is what a start finds; it is
// returned otherwise.
func (c *randomCut) found(t *testing.T, s *Stream, rec *Recovered) line {
	t.Helper()
	got := replayAll(t, s, rec.BaseOffset)
	var why []string
	for _, o := range c.outcomes {
		switch {
		case rec.End < o.promised:
			why = append(why, fmt.Sprintf("up to %d is promised", o.promised))
		case !slices.Contains(o.ends, rec.End):
			why = append(why, "no unit ends there")
		case rec.BaseOffset < o.start || !bytes.Equal(got, o.bytes[rec.BaseOffset-o.start:rec.End-o.start]):
			why = append(why, "it is not what was appended")
		default:
			return o.upTo(rec.End)
		}
	}
	t.Fatalf("power cut before %s: found (%d, %d] (%s): %s", c.at, rec.BaseOffset, rec.End, rec.Torn, strings.Join(why, "; or "))
	return line{}
}

// history is one run.
type history struct {
	t     *testing.T
	rng   *rand.Rand
	cfg   Config
	p     *power
	s     *Stream
	line  line // what the present stream should be
	off   bool // there is no journal
	based bool // the journal has had a base, or needs none, since it was last turned on
	unit  int
	steps []string // for who looks into a failure
}

// TestPowerCutsInRandomHistories does at random what can be done to a journal, and
// cuts the power at random. After each cut what was promised is there, what was cut
// off the stream is not, and units are whole; some histories go on from there.
func TestPowerCutsInRandomHistories(t *testing.T) {
	for seed := *historySeed; seed < *historySeed+*historySeeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			h := &history{t: t, rng: rand.New(rand.NewPCG(seed, 0))}
			defer func() {
				if t.Failed() {
					t.Log(strings.Join(h.steps, "\n"))
				}
			}()
			h.run(seed)
		})
	}
}

func (h *history) run(seed uint64) {
	mem := vfs.NewCrashableMem()
	h.p = &power{mem: mem, rng: rand.New(rand.NewPCG(seed, 1)), odds: 60, outcomes: []outcome{{line: newLine(0)}}}
	h.cfg = testConfig(h.t, "/j")
	h.choose()
	h.cfg.FS = h.p.fs()
	h.line, h.based = newLine(0), true
	h.p.mu.Lock() // a journal that has no history yet may be found or not
	h.p.odds = 1 << 30
	h.p.mu.Unlock()
	s, rec := open(h.t, h.cfg)
	h.serve(s, rec)
	if err := s.SaveHistory(testHistory, false); err != nil {
		h.t.Fatal(err)
	}
	h.p.mu.Lock()
	h.p.odds = 60
	h.p.mu.Unlock()
	for range 60 {
		h.step()
		h.checkCuts()
	}
	h.s.Close()
}

// choose takes another policy and size of the log for the next start.
func (h *history) choose() {
	h.cfg.Policy = []Policy{Always, Always, Always, EverySec, No}[h.rng.IntN(5)]
	h.cfg.CommitLogBytes = []int{2, 4, 16, 32}[h.rng.IntN(4)] * blockBytes
}

// serve goes on with a stream that was opened.
func (h *history) serve(s *Stream, rec *Recovered) {
	s.quick = 1 << 62
	h.s = s
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	h.p.s, h.p.live = s, true
	h.p.switched = rec.End
}

func (h *history) note(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf("%d: ", h.line.end())+fmt.Sprintf(format, args...))
}

func (h *history) step() {
	switch n := h.rng.IntN(100); {
	case n < 60:
		h.append()
	case n < 66:
		h.note("flush")
		h.must(h.s.Flush())
	case n < 71:
		h.cut()
	case n < 73:
		h.rewind()
	case n < 77:
		h.renew()
	case n < 83:
		h.rebase()
	case n < 90:
		h.policy()
	case n < 94:
		h.turn()
	case n < 97:
		h.restart()
	default:
		h.powerCut()
	}
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// append adds a few units, of which none, some or all are waited for.
func (h *history) append() {
	for range 1 + h.rng.IntN(6) {
		n := h.rng.IntN(300)
		switch h.rng.IntN(20) {
		case 0:
			n = h.rng.IntN(2 * commitQuickBytes)
		case 1:
			n = h.rng.IntN(3 * blockBytes)
		case 2:
			if h.rng.IntN(5) == 0 {
				n = minRingBytes + h.rng.IntN(2*minRingBytes)
			}
		}
		u := unit(h.unit, n)
		h.unit++
		h.line.bytes = append(h.line.bytes, u...)
		h.line.ends = append(h.line.ends, h.line.end()+replication.Offset(len(u)))
		h.p.mu.Lock()
		if h.p.live {
			h.p.outcomes[0].line = h.line
		}
		h.p.mu.Unlock()
		h.s.AppendRaw(u)
		how := h.rng.IntN(4)
		h.note("%d bytes, %d", len(u), how)
		if how > 0 {
			h.s.TryCommit()
		}
		if how > 1 {
			h.s.Announce()
		}
		if how == 3 {
			waitFor(h.t, func() bool { return h.s.Committed() == h.s.End() })
		}
	}
}

// end is the end of a unit at random that the stream can be cut at.
func (h *history) end() replication.Offset {
	lowest := max(h.s.First(), replication.Offset(h.s.base.Load()))
	if h.off {
		return h.line.end()
	}
	for range 20 {
		if at := h.line.ends[h.rng.IntN(len(h.line.ends))]; at >= lowest {
			return at
		}
	}
	return h.line.end()
}

func (h *history) cut() {
	at := h.end()
	h.note("cut at %d", at)
	after := h.line.upTo(at)
	do := func() error { return h.s.Cut(at) }
	switch {
	case h.off || !h.based:
		h.must(do()) // what is on the disk is another stream
	default:
		whole := h.p.now()
		whole.promised = min(whole.promised, at)
		h.p.during(h.t, []outcome{whole, {after, at}}, 1, do)
	}
	h.line = after
	h.cutSwitched()
}

// rewind goes back to any offset that a base is kept for; what is kept for it changes.
func (h *history) rewind() {
	oldest, ok := h.s.Oldest()
	h.s.KeepBase(oldest + replication.Offset(h.rng.IntN(int(h.line.end()-oldest)+1)))
	if h.off || !ok {
		return
	}
	at := h.line.end()
	for range 20 {
		if e := h.line.ends[h.rng.IntN(len(h.line.ends))]; e >= oldest {
			at = e
			break
		}
	}
	h.note("back to %d", at)
	after, whole := h.line.upTo(at), h.p.now()
	whole.promised = min(whole.promised, at)
	h.p.during(h.t, []outcome{whole, {after, at}}, 1, func() error { return h.s.Rewind(at, testHistory) })
	h.line = after
	h.cutSwitched()
}

func (h *history) cutSwitched() {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	h.p.switched = min(h.p.switched, h.line.end())
}

// renew is a full resync.
func (h *history) renew() {
	at := replication.Offset(h.rng.IntN(100000))
	if h.rng.IntN(2) == 0 {
		at = h.line.start // the offsets that the old one had
	}
	h.note("a new generation at %d", at)
	fresh := newLine(at)
	do := func() error { return h.s.NewGeneration(h.base(at), at, testHistory, false) }
	if h.off {
		h.must(do())
	} else {
		h.p.during(h.t, []outcome{h.p.now(), {fresh, at}}, 1, do)
		h.based = true
	}
	h.line = fresh
	h.cutSwitched()
}

// base writes an RDB file to be, "" if there is no journal.
func (h *history) base(at replication.Offset) string {
	if h.off {
		return ""
	}
	path := fmt.Sprintf("/j/temp-%d.rdb", h.unit)
	f, err := h.cfg.FS.Create(path, vfs.WriteCategoryUnspecified)
	h.must(err)
	fmt.Fprintf(f, "as of %d", at)
	h.must(f.Close())
	return path
}

func (h *history) rebase() {
	if h.off {
		return
	}
	at := h.end()
	h.note("a base at %d", at)
	do := func() error { return h.s.SetBase(h.base(at), at) }
	if h.based {
		h.must(do())
		return
	}
	h.p.during(h.t, []outcome{h.p.now(), {h.line, h.line.end()}}, 1, do)
	h.based = true
}

func (h *history) policy() {
	p := Policy(h.rng.IntN(3))
	h.note("%v", p)
	h.p.mu.Lock()
	if p == Always && h.s.Policy() != Always {
		h.p.switched = h.line.end()
	}
	h.p.mu.Unlock()
	h.s.SetPolicy(p)
}

// turn turns the journal off, or on. A start then still finds what it had.
func (h *history) turn() {
	if h.off {
		h.note("on")
		h.p.mu.Lock()
		h.p.switched = h.line.end()
		h.p.mu.Unlock()
		h.must(h.s.Enable(testHistory, false, replication.Fitness{}))
		h.off, h.based = false, false
		return
	}
	h.note("off")
	h.must(h.s.Flush())
	before := h.p.now()
	h.p.mu.Lock()
	h.p.outcomes, h.p.live = []outcome{before}, false
	h.p.mu.Unlock()
	h.must(h.s.Disable())
	h.off = true
}

// restart ends the stream and opens it again; if there was none on the disk, what it
// left there before.
func (h *history) restart() {
	h.note("restart")
	last := h.p.now()
	if h.based && !h.off {
		last.promised = h.line.end()
	}
	h.must(h.s.Close())
	h.reopen([]outcome{last}, "a restart")
}

// powerCut goes on with what a power cut leaves.
func (h *history) powerCut() {
	h.note("power cut")
	h.p.mu.Lock()
	h.p.cut("nothing")
	cut := h.p.cuts[len(h.p.cuts)-1]
	h.p.cuts = h.p.cuts[:len(h.p.cuts)-1]
	h.p.odds = 1 << 30 // what goes on with the old files does not count
	h.p.mu.Unlock()
	h.checkCuts()
	h.s.Close()
	h.p = &power{mem: cut.fs, rng: h.p.rng, odds: 60}
	h.cfg.FS = h.p.fs()
	h.reopen(cut.outcomes, "a power cut")
}

func (h *history) reopen(outcomes []outcome, at string) {
	h.p.mu.Lock()
	h.p.outcomes, h.p.live, h.p.s = outcomes, false, nil
	h.p.mu.Unlock()
	h.choose()
	s, rec := open(h.t, h.cfg)
	c := randomCut{outcomes: outcomes, at: at}
	h.line = c.found(h.t, s, rec)
	h.off, h.based = false, true
	h.p.mu.Lock()
	h.p.outcomes = []outcome{{h.line, rec.End}}
	h.p.mu.Unlock()
	h.serve(s, rec)
	h.note("open with %v, %d", h.cfg.Policy, h.cfg.CommitLogBytes)
}

// checkCuts starts from what the power cuts so far have left.
func (h *history) checkCuts() {
	h.p.mu.Lock()
	cuts := h.p.cuts
	h.p.cuts = nil
	h.p.mu.Unlock()
	for _, c := range cuts {
		cfg := h.cfg
		cfg.FS = c.fs
		s, rec, err := Open(cfg)
		if err != nil && strings.Contains(err.Error(), "could not open manifest file") {
			// Pebble has made the file and named it in another, with one fsync of the
			// directory to come. A clone may have one of the names only.
			continue
		}
		if err != nil {
			h.t.Fatalf("power cut before %s: %v", c.at, err)
		}
		if strings.Contains(rec.Torn, "commit log") {
			h.t.Errorf("power cut before %s: %s", c.at, rec.Torn)
		}
		c.found(h.t, s, rec)
		h.must(s.Close())
	}
}
