package command

import (
	"sync"
	"sync/atomic"

	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// Appliers applies a stream that is all there, the journal at a restart, with
// several goroutines. The order of units matters only to those that share a slot.
// So each goroutine has slots of its own, and applies the units with keys in one of
// these, in batches and in order. Any other unit (FLUSHALL, RENAME from one slot to
// another) is applied by the caller when all before it have been.
type Appliers struct {
	own     *Applier // of the caller, and with it the settings
	workers []*worker
	failed  atomic.Pointer[error]
	running sync.WaitGroup
}

const (
	// aheadUnits and aheadBytes are how many units a batch has at most. A longer
	// unit is the caller's: copying it would take as long as applying it.
	aheadUnits = 512
	aheadBytes = 128 << 10
	// batchesQueued is how many batches wait for a goroutine, at most. With few of
	// them goroutines wait for each other a quarter of the time.
	batchesQueued = 16
)

// worker is one of the goroutines, with the batch that is being filled for it.
type worker struct {
	a       *Applier
	batch   *unitBatch
	queue   chan *unitBatch
	free    chan *unitBatch
	pending sync.WaitGroup // of the batches in the queue
}

// unitBatch is units of a stream, in order, with their bytes.
type unitBatch struct {
	now   int64
	units []aheadUnit
	// What the units consist of. It is never moved while the batch is filled: views
	// of it are handed out.
	effects []Effect
	rows    []*Row
	args    [][]byte
	bytes   []byte
}

// aheadUnit is a unit whose keys are all in one slot.
type aheadUnit struct {
	effects []Effect
	rows    []*Row
	slot    slots.Slot
	end     replication.Offset
}

// NewAppliers returns the appliers of a stream: own, which is the caller's, and one
// with each of the executors, of which nobody else makes use until Close.
func NewAppliers(own *Applier, executors []*storage.Executor) *Appliers {
	p := &Appliers{own: own}
	for _, e := range executors {
		a := NewApplier(own.table, e, own.host)
		a.Admit, a.Side, a.Failed, a.Uncounted = own.Admit, own.Side, own.Failed, own.Uncounted
		w := &worker{a: a, batch: newUnitBatch(), queue: make(chan *unitBatch, batchesQueued), free: make(chan *unitBatch, batchesQueued+1)}
		for range cap(w.free) {
			w.free <- newUnitBatch()
		}
		p.workers = append(p.workers, w)
		p.running.Go(func() { w.run(p) })
	}
	return p
}

func newUnitBatch() *unitBatch {
	return &unitBatch{
		units: make([]aheadUnit, 0, aheadUnits), effects: make([]Effect, 0, 2*aheadUnits), rows: make([]*Row, 0, 2*aheadUnits),
		args: make([][]byte, 0, 8*aheadUnits), bytes: make([]byte, 0, aheadBytes),
	}
}

// Apply is Applier.Apply of the next unit, now or later. The error is of this unit
// or of one before. The unit's bytes may change after it.
func (p *Appliers) Apply(now int64, unit []Effect, end replication.Offset) error {
	world, err := p.own.plan(unit)
	if err != nil {
		return err
	}
	if w := p.of(world); w != nil {
		u := aheadUnit{unit, p.own.rows, p.own.slots[0], end}
		if w.batch.add(now, u) {
			return nil
		}
		w.send()
		if p.failed.Load() == nil && w.batch.add(now, u) {
			return nil
		}
	}
	if err := p.wait(); err != nil {
		return err
	}
	return p.own.Apply(now, unit, end, nil)
}

// of is the worker that has all keys of the unit that the caller's applier has
// planned; nil if there is none.
func (p *Appliers) of(world bool) *worker {
	at := p.own.slots
	if world || len(at) == 0 || len(p.workers) == 0 {
		return nil
	}
	for _, s := range at[1:] {
		if s != at[0] {
			return nil
		}
	}
	for _, row := range p.own.rows {
		if !row.OnData() {
			return nil // a message, to be delivered in its place
		}
	}
	return p.workers[int(at[0])%len(p.workers)]
}

// wait returns when every unit so far has been applied. What is not on its way yet
// the caller applies: where units of all slots come often, it does everything.
func (p *Appliers) wait() error {
	for _, w := range p.workers {
		w.pending.Wait()
		if p.failed.Load() == nil {
			p.apply(p.own, w.batch)
		}
		w.batch.clear()
	}
	if err := p.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// Close applies what is left and ends the goroutines.
func (p *Appliers) Close() error {
	for _, w := range p.workers {
		w.send()
		close(w.queue)
	}
	p.running.Wait()
	if err := p.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// apply applies a batch.
func (p *Appliers) apply(a *Applier, b *unitBatch) {
	for i, u := range b.units {
		if i%storage.AheadKeys == 0 {
			a.fetch(b.units[i:])
		}
		a.rows, a.slots = append(a.rows[:0], u.rows...), append(a.slots[:0], u.slot)
		if err := a.applyPlanned(b.now, u.effects, u.end, false, nil); err != nil {
			p.failed.CompareAndSwap(nil, &err)
			return
		}
	}
}

// fetch is Prepare for units that have been taken apart.
func (a *Applier) fetch(units []aheadUnit) {
	a.ahead = a.ahead[:0]
	for _, u := range units[:min(len(units), storage.AheadKeys)] {
		if args := u.effects[0].Args; len(args) > 1 {
			a.ahead = append(a.ahead, args[1])
		}
	}
	a.exec.FetchAhead(a.ahead)
	clear(a.ahead)
}

// send gives the worker its batch.
func (w *worker) send() {
	w.pending.Add(1)
	w.queue <- w.batch
	w.batch = <-w.free
}

func (w *worker) run(p *Appliers) {
	for b := range w.queue {
		if p.failed.Load() == nil {
			p.apply(w.a, b)
		}
		b.clear()
		w.free <- b
		w.pending.Done()
	}
	w.a.exec.Retire()
}

func (b *unitBatch) clear() {
	b.units = b.units[:0]
	b.effects, b.rows, b.args, b.bytes = b.effects[:0], b.rows[:0], b.args[:0], b.bytes[:0]
}

// add copies a unit into the batch and reports false if there is no room for it.
func (b *unitBatch) add(now int64, u aheadUnit) bool {
	args, size := 0, 0
	for _, e := range u.effects {
		args += len(e.Args)
		for _, arg := range e.Args {
			size += len(arg)
		}
	}
	if len(b.units) == cap(b.units) || len(b.effects)+len(u.effects) > cap(b.effects) ||
		len(b.args)+args > cap(b.args) || len(b.bytes)+size > cap(b.bytes) {
		return false
	}
	b.now = now
	first := len(b.effects)
	for _, e := range u.effects {
		from := len(b.args)
		for _, arg := range e.Args {
			at := len(b.bytes)
			b.bytes = append(b.bytes, arg...)
			b.args = append(b.args, b.bytes[at:len(b.bytes):len(b.bytes)])
		}
		b.effects = append(b.effects, Effect{e.DB, b.args[from:len(b.args):len(b.args)]})
	}
	b.rows = append(b.rows, u.rows...)
	u.effects, u.rows = b.effects[first:], b.rows[first:]
	b.units = append(b.units, u)
	return true
}
