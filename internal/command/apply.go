package command

import (
	"errors"
	"fmt"
	"time"

	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// ErrUnknownEffect is wrapped by Apply's error for a command of a stream that
// this server cannot execute. Going on would make the data differ silently.
var ErrUnknownEffect = errors.New("command: cannot apply")

// Applier executes the units of a stream that somebody else produced: a
// primary's on its replica, the own journal's at a restart. It runs the same
// handlers as a client's command, in a unit that records nothing and does not
// consult the clock: effects are absolute. It belongs to one goroutine, like its
// executor.
type Applier struct {
	// Admit is called, if set, under the locks of a unit before anything of it
	// is executed: its error ends the unit, and Apply returns it. There a node
	// finds that it no longer follows the stream's producer.
	Admit func() error
	// Side is called, if set, for a command of a unit that is not about data
	// (Row.OnData), after the unit: PUBLISH reaches the subscribers of a replica.
	Side func(row *Row, args [][]byte)
	// Serve is called, if set, at the end of a unit that has changed keys for which
	// clients wait, and Served with the unit's gate.
	Serve  func(tx *storage.Tx)
	Served func(gate replication.Offset)
	// Failed is called, if set, when a command answers with an error: the data
	// differ from where the stream was made.
	Failed func(args [][]byte, err string)
	// Uncounted says that what is executed does not count in the statistics of
	// Runner: a restart replays what has been counted before.
	Uncounted bool

	table  *Table
	exec   *storage.Executor
	host   Host
	run    Runner
	db     int // of the command at hand
	out    resp.Writer
	slots  []slots.Slot
	rows   []*Row
	worked bool // data have changed since the last pause
	born   time.Time
	at     []slots.Slot // of the keys of one command

	ahead    [][]byte // the keys of the next commands
	prepared int      // how many commands Prepare has dealt with
}

// Effect is one command of a unit, to be executed in database DB. SELECT, MULTI
// and EXEC are a stream's grammar and not effects.
type Effect struct {
	DB   int
	Args [][]byte
}

// NewApplier returns an applier that runs units with e.
func NewApplier(t *Table, e *storage.Executor, h Host) *Applier {
	return &Applier{table: t, exec: e, host: h, run: NewRunner(t, e, h), born: time.Now()}
}

// Executor is the executor that Apply uses, for the same goroutine.
func (a *Applier) Executor() *storage.Executor { return a.exec }

// Runner is the runner that Apply uses, for its statistics.
func (a *Applier) Runner() *Runner { return &a.run }

// DB is that of the command at hand: Caller.
func (a *Applier) DB() int { return a.db }

// Proto makes the applier a Caller, whose replies nobody reads.
func (a *Applier) Proto() int { return resp.Proto2 }

// NoTouch lets the commands of a stream use their keys: Caller.
func (a *Applier) NoTouch() bool { return false }

// Redact does nothing, as no log or monitor sees what is applied: Caller.
func (a *Applier) Redact(...int) {}

// Block is never asked, as nobody waits in a stream: Caller.
func (a *Applier) Block(*Ctx, *Wait) bool { return false }

// Prepare has the keyspace fetch what the commands that b begins with are about to
// look at: what has been read of the stream behind the unit that comes next. It is
// called before each unit and acts once in storage.AheadKeys.
func (a *Applier) Prepare(b []byte) {
	if a.prepared--; a.prepared > 0 {
		return
	}
	a.ahead, a.prepared = a.ahead[:0], storage.AheadKeys
	for range storage.AheadKeys {
		key, length := resp.SecondArg(b)
		if length == 0 {
			break
		}
		if key != nil {
			a.ahead = append(a.ahead, key)
		}
		b = b[length:]
	}
	a.exec.FetchAhead(a.ahead)
	clear(a.ahead)
}

// Apply executes one unit. end is the offset of its last byte. record, if not
// nil, is called under the unit's locks once the data have changed: there the
// node appends the unit's bytes to its own stream. The error wraps
// ErrUnknownEffect or is Admit's, and nothing has then been executed.
func (a *Applier) Apply(now int64, unit []Effect, end replication.Offset, record func()) error {
	world, err := a.plan(unit)
	if err != nil {
		return err
	}
	return a.applyPlanned(now, unit, end, world, record)
}

// applyPlanned is Apply of a unit whose rows and slots have been found.
func (a *Applier) applyPlanned(now int64, unit []Effect, end replication.Offset, world bool, record func()) error {
	var tx *storage.Tx
	if world {
		tx = a.exec.BeginApplyWorld(now, end)
	} else {
		tx = a.exec.BeginApply(now, end, a.slots)
		if len(unit) == 1 {
			a.only(tx, a.rows[0], unit[0].Args)
		}
	}
	if a.Admit != nil {
		if err := a.Admit(); err != nil {
			tx.Void()
			a.exec.End()
			return err
		}
	}
	a.run.Ctx.Tx = tx
	clock := a.begin()
	around := 0
	if len(unit) > 1 {
		around = MultiBytes + ExecBytes
	}
	for i, e := range unit {
		row := a.rows[i]
		if !row.OnData() {
			continue
		}
		whole := clock.ran(row, a.execute(row, e))
		if clock.slots {
			a.countSlot(row, e.Args, whole, around)
			around = 0
		}
	}
	if record != nil {
		record()
	}
	serve := a.Serve != nil && tx.HasReady()
	if serve {
		a.Serve(tx)
	}
	gate := a.run.End()
	if serve {
		a.Served(gate)
	}
	clock = a.begin()
	for i, e := range unit {
		row := a.rows[i]
		if row.OnData() {
			continue
		}
		if a.Side != nil {
			a.Side(row, e.Args)
		}
		clock.ran(row, false)
	}
	if a.pause() {
		a.exec.Retire()
	}
	return nil
}

// only tells a unit of one command with one key that this is its key.
func (a *Applier) only(tx *storage.Tx, row *Row, args [][]byte) {
	if k := row.onlyKey; k > 0 && k < len(args) && row.OnData() {
		tx.Only(args[k])
	}
}

// pause reports whether the unit was the first of a pause: nothing that somebody
// wrote, such as the PING that a primary sends when it has nothing else.
func (a *Applier) pause() bool {
	for _, row := range a.rows {
		if row.OnData() || row.Is(MayReplicate) {
			a.worked = true
			return false
		}
	}
	worked := a.worked
	a.worked = false
	return worked
}

// stopwatch measures commands that run one after the other, for the statistics.
type stopwatch struct {
	run   *Runner // nil: nobody counts
	slots bool    // it counts by slots as well
	born  time.Time
	last  time.Duration // since then
}

func (a *Applier) begin() stopwatch {
	if a.Uncounted {
		return stopwatch{}
	}
	return stopwatch{&a.run, a.run.CountsSlots(), a.born, time.Since(a.born)}
}

// ran counts the command that has ended, and returns its whole microseconds if slots
// count.
func (w *stopwatch) ran(row *Row, failed bool) (whole time.Duration) {
	if w.run == nil {
		return 0
	}
	now := time.Since(w.born)
	took := now - w.last
	w.run.Count(row, took, failed)
	w.run.CountLatency(row, took)
	if w.slots {
		whole = WholeMicros(w.last, now)
		w.run.CorrectTook(row, took, whole)
	}
	w.last = now
	return whole
}

// plan finds the commands' rows and the slots the unit needs.
func (a *Applier) plan(unit []Effect) (world bool, err error) {
	a.rows, a.slots = a.rows[:0], a.slots[:0]
	for _, e := range unit {
		row, _ := a.table.ResolveStream(e.Args)
		if row == nil || !row.Takes(len(e.Args)) {
			return false, fmt.Errorf("%w %q: no such command here, or not with %d arguments", ErrUnknownEffect, e.Args[0], len(e.Args)-1)
		}
		if e.DB >= a.host.Keyspace().Databases() {
			return false, fmt.Errorf("%w %q in database %d: there are %d", ErrUnknownEffect, e.Args[0], e.DB, a.host.Keyspace().Databases())
		}
		a.rows = append(a.rows, row)
		if !row.OnData() {
			continue
		}
		if row.Is(ClientOnly) {
			return false, fmt.Errorf("%w %q: it is for clients", ErrUnknownEffect, e.Args[0])
		}
		if row.Needs(e.Args) != LockKeys || len(row.Keys) == 0 || row.Is(RunsScript) {
			// A script of a Redis before 7 may use other keys than it names, and there is
			// one engine for all of them.
			world = true
			continue
		}
		var ok bool
		if a.slots, ok = a.run.Slots(a.slots, row, e.Args); !ok {
			return false, fmt.Errorf("%w %q: its keys cannot be told", ErrUnknownEffect, e.Args[0])
		}
	}
	return world, nil
}

// execute executes one command and reports whether it answered with an error.
func (a *Applier) execute(row *Row, e Effect) (failed bool) {
	a.out.SetBuffer(a.out.Bytes()[:0])
	a.db = e.DB
	a.run.Bind(a, &a.out, row, e.Args)
	a.run.Run(nil)
	b := a.out.Bytes()
	if failed = len(b) > 0 && b[0] == '-'; failed && a.Failed != nil {
		a.Failed(e.Args, string(b[1:max(len(b)-2, 1)]))
	}
	return failed
}
