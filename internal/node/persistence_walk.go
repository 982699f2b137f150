package node

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/config"
	"redoubt/replication"
	"redoubt/storage"
	"redoubt/storage/snapshot"
)

// This file is how snapshots advance, and what becomes of them and of the writers
// when they hold too much memory.

// stepRecords is how many records a loop looks at between two looks at the clock.
const stepRecords = 64

// errCrowded ends a snapshot that held too much, if snapshot-memory-policy says so.
var errCrowded = errors.New("node: snapshots held more memory than snapshot-memory-limit; given up")

// walks is the snapshots that are under way.
type walks struct {
	mu  sync.Mutex
	all atomic.Pointer[[]*walk] // in the order in which they began; replaced, not changed, under mu
}

// walk is a snapshot under way.
type walk struct {
	*snapshot.Snapshot
	crowded chan struct{} // holds a token when it is to be given up
	keys    int64         // that there were when it began
}

func (w *walks) list() []*walk {
	if all := w.all.Load(); all != nil {
		return *all
	}
	return nil
}

func (w *walks) add(one *walk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := append(slices.Clone(w.list()), one)
	w.all.Store(&all)
}

func (w *walks) remove(one *walk) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(w.list()), func(o *walk) bool { return o == one })
	w.all.Store(&all)
}

// hurry lets the snapshot write what it holds, or asks for its end.
func (w *walk) hurry(giveUp bool) {
	w.Hurry()
	if giveUp {
		select {
		case w.crowded <- struct{}{}:
		default:
		}
	}
}

// walk writes the present state to out and returns the offset it is as of.
func (p *persistence) walk(ctx context.Context, out io.Writer, o *order) (at replication.Offset, err error) {
	w := &walk{crowded: make(chan struct{}, 1)}
	p.limitMemory()
	p.keys.World(time.Now().UnixMilli(), func(tx *storage.Tx) {
		if p.replacing {
			err = errReplaced
			return
		}
		h := p.header(tx, o.purpose)
		at = h.ReplOffset
		if w.Snapshot, err = snapshot.Begin(p.keys, tx, out, h, snapshot.Options{RDB: p.format(), Wake: p.kick, Each: p.delay()}); err == nil {
			w.keys = count(p.keys)
			p.walks.add(w) // in the order of their moments
		}
	})
	if err != nil {
		return 0, err
	}
	defer p.walks.remove(w)
	select {
	case o.begun <- at: // there is room for one
	default: // nobody wants to know
	}
	p.kick()
	crowded := false
	select {
	case <-w.Done():
	case <-ctx.Done():
	case <-w.crowded:
		crowded = true
	}
	if crowded || ctx.Err() != nil {
		p.keys.World(time.Now().UnixMilli(), w.Abort)
	}
	if err = w.Err(); err != nil {
		// Nobody walks on, so the capture is ended here.
		p.keys.World(time.Now().UnixMilli(), w.Abort)
	}
	if crowded && errors.Is(err, snapshot.ErrAborted) {
		p.pressure.givenUp.Add(1)
		return at, errCrowded
	}
	return at, err
}

// Step implements server.Persistence. The oldest snapshot comes first: what the walk
// of a later one meets first, it has to hand to those before it.
func (p *persistence) Step(e *storage.Executor, now int64, slice time.Duration) (more bool) {
	all := p.walks.list()
	if len(all) == 0 {
		return false
	}
	began := time.Now()
	for i, w := range all {
		if i > 0 && all[i-1].Crowded() {
			break
		}
		for w.Step(e, now, stepRecords) == snapshot.More {
			if time.Since(began) >= slice {
				return true
			}
		}
	}
	return false
}

// progress is how many keys the oldest snapshot under way has written, of how many.
func (p *persistence) progress() (written, total int64) {
	all := p.walks.list()
	if len(all) == 0 {
		return 0, 0
	}
	return min(all[0].Written(), all[0].keys), all[0].keys
}

// pressure is what happens when snapshots hold more memory than they may: writers
// wait, or the snapshots are given up.
type pressure struct {
	mu      sync.Mutex
	holds   bool            // writers wait
	freed   chan struct{}   // closed when they need not any more; nil: they do not wait
	tell    func(room bool) // nil: nobody listens
	givenUp atomic.Int64    // snapshots
	waits   atomic.Int64    // how often writers had to wait
}

// leastLimit is what snapshots may hold at least if their limit is a share of the
// data: on a small node a few large values are more than any share.
const leastLimit = 64 << 20

// limitMemory sets the limit that the settings and the amount of data call for.
func (p *persistence) limitMemory() {
	c := p.config.Current().SnapshotMemory
	limit := c.Bytes
	if c.Percent > 0 {
		m := p.keys.Memory()
		limit = max((m.Data+m.Tables)/100*int64(c.Percent), leastLimit)
	}
	p.keys.SetHoldLimit(limit)
	p.heldChanged()
}

// heldChanged is called when snapshots hold too much, and when they do not any more,
// maybe under locks of slots.
func (p *persistence) heldChanged() {
	x := &p.pressure
	x.mu.Lock()
	defer x.mu.Unlock()
	over := p.keys.OverHeld()
	hold := over && p.config.Current().SnapshotMemory.Policy == config.SlowWriters
	if over {
		for _, w := range p.walks.list() {
			w.hurry(!hold)
		}
	}
	if hold == x.holds {
		return
	}
	if x.holds = hold; hold {
		x.freed = make(chan struct{})
		x.waits.Add(1)
	} else {
		close(x.freed)
		x.freed = nil
	}
	if x.tell != nil {
		x.tell(!hold)
	}
}

// OnRoom implements server.Persistence.
func (p *persistence) OnRoom(f func(room bool)) {
	x := &p.pressure
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tell = f
	f(!x.holds)
}

// waitRoom returns when writers need not wait for snapshots, or with ctx's error.
func (p *persistence) waitRoom(ctx context.Context) error {
	for {
		p.pressure.mu.Lock()
		freed := p.pressure.freed
		p.pressure.mu.Unlock()
		if freed == nil {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// snapshotInfo is what INFO persistence says of the memory of snapshots. mu is held.
func (p *persistence) snapshotInfo(line func(name string, v any)) {
	held, peak := p.keys.Held()
	p.pressure.mu.Lock()
	holds := p.pressure.holds
	p.pressure.mu.Unlock()
	line("snapshots_in_progress", len(p.walks.list()))
	line("snapshot_memory_bytes", held)
	line("snapshot_memory_peak_bytes", peak)
	line("snapshot_memory_limit_bytes", p.keys.HoldLimit())
	line("snapshot_memory_writes_held", oneIf(holds))
	line("snapshot_memory_times_held", p.pressure.waits.Load())
	line("snapshots_given_up", p.pressure.givenUp.Load())
}
