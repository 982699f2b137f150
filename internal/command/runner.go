package command

import (
	"time"

	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// Caller is who calls a command: a client, one that has waited for its keys, or a
// stream. It is what a handler of data may know of a connection.
type Caller interface {
	// DB is the caller's database; handlers ask Ctx.DB.
	DB() int
	// Proto is the version of RESP in which the caller reads.
	Proto() int
	// NoTouch reports whether looking keys up is no use of them (CLIENT NO-TOUCH).
	NoTouch() bool
	// Redact hides arguments of the request, by position, from the slow log and
	// MONITOR.
	Redact(at ...int)
	// Block makes the caller wait, see Ctx.Block. It reports false if it cannot:
	// within a transaction every command answers at once.
	Block(c *Ctx, b *Wait) bool
}

// Restricted is a Caller that may be kept from keys by the rules of its user.
type Restricted interface {
	Caller
	// ReadsAllKeys reports whether the call may read keys that it does not name.
	ReadsAllKeys(row *Row, args [][]byte) bool
}

// Scripted is a Caller that is a script. What is unspecified for others is the same
// each time for it.
type Scripted interface {
	Caller
	// Began is when the script did, which is the time for it until it ends.
	Began() time.Time
}

// A Runner runs commands, one after the other, in units of its executor, and
// keeps their statistics. It knows no connection. It belongs to the goroutine of
// its executor: each event loop has one, and so has the applier of a stream.
type Runner struct {
	// Ctx is the call at hand. Its Tx is the unit at hand, nil outside of one, and
	// its ReplyGate the greatest of those that have ended since somebody set it to 0.
	Ctx Ctx
	// Reader is who is told of the next change of the keys that commands read; 0:
	// nobody (Tx.Track).
	Reader uint64
	// Keys are the positions of the keys of the last command given to Slots.
	Keys []int

	table     *Table
	exec      *storage.Executor
	latencies latencies
	encoded   []byte // a command as RESP
	tracked   []int  // positions of keys
	stats     []RowStats
	slotUses  SlotUses
}

// RowStats are the counts of one command.
type RowStats struct {
	Calls, Rejected, Failed int64
	Took                    time.Duration
}

// NewRunner returns a runner of the commands of t in units of e.
func NewRunner(t *Table, e *storage.Executor, h Host) Runner {
	n := len(t.All())
	return Runner{Ctx: Ctx{Exec: e, Host: h}, table: t, exec: e, stats: make([]RowStats, n), latencies: make(latencies, n)}
}

// Slots appends the slots of a command's keys to dst. It reports false if the
// arguments do not tell where the keys are.
func (r *Runner) Slots(dst []slots.Slot, row *Row, args [][]byte) ([]slots.Slot, bool) {
	if k := row.onlyKey; k > 0 && k < len(args) {
		r.Keys = append(r.Keys[:0], k)
		return append(dst, slots.Of(args[k])), true
	}
	var ok bool
	if r.Keys, ok = row.AppendKeys(r.Keys[:0], args); !ok {
		return dst, false
	}
	for _, i := range r.Keys {
		dst = append(dst, slots.Of(args[i]))
	}
	return dst, true
}

// Bind makes a command the call at hand.
func (r *Runner) Bind(by Caller, out *resp.Writer, row *Row, args [][]byte) {
	r.Ctx.Caller, r.Ctx.Out, r.Ctx.Row, r.Ctx.Args = by, out, row, args
}

// Run runs the call at hand within the unit at hand. raw is the command as RESP;
// nil if somebody has to encode it.
func (r *Runner) Run(raw []byte) {
	c := &r.Ctx
	if !c.Tx.Applying() && (raw == nil || c.Row.Renamed()) && c.Row.Flags&(Write|MayReplicate) != 0 {
		raw = r.encode(c.Row, c.Args)
	}
	r.begin(raw)
	c.Row.Run(c)
	if r.Reader != 0 && c.Row.Is(ReadOnly) && !c.Row.Is(RunsScript) { // of a script, what its commands read
		r.track()
	}
	c.Tx.CommandEnd()
}

// CallWithin runs a command that the call at hand makes, in its unit: a script does
// that. The call at hand goes on afterwards.
func (r *Runner) CallWithin(by Caller, out *resp.Writer, row *Row, args [][]byte) {
	outer := r.Ctx
	r.Bind(by, out, row, args)
	r.Run(nil)
	outer.ReplyGate = max(outer.ReplyGate, r.Ctx.ReplyGate)
	r.Ctx = outer
}

// track marks the keys that the call at hand has read.
func (r *Runner) track() {
	c := &r.Ctx
	if k := c.Row.onlyKey; k > 0 && k < len(c.Args) {
		c.Tx.Track(c.Args[k], r.Reader)
		return
	}
	r.tracked, _ = c.Row.AppendKeys(r.tracked[:0], c.Args)
	for _, i := range r.tracked {
		c.Tx.Track(c.Args[i], r.Reader)
	}
}

// Resume runs serve for the call at hand, whose caller has waited, in the place of
// its handler. What it changes has effects of its own.
func (r *Runner) Resume(serve func(c *Ctx) bool) bool {
	r.begin(nil)
	served := serve(&r.Ctx)
	r.Ctx.Tx.CommandEnd()
	return served
}

func (r *Runner) begin(raw []byte) {
	c := &r.Ctx
	tx := c.Tx
	tx.Select(c.Caller.DB())
	tx.Command(raw)
	if c.Host.Keyspace().Tracks() {
		tx.By(c.Caller)
	}
	tx.NoTouch(c.Caller.NoTouch() && !c.Row.Is(Touches))
}

// encode returns a command as streams have it.
func (r *Runner) encode(row *Row, args [][]byte) []byte {
	if row.Renamed() {
		args = append([][]byte{row.StreamName()}, args[1:]...)
	}
	r.encoded = resp.AppendArray(r.encoded[:0], args...)
	return r.encoded
}

// End ends the unit at hand, and returns its gate.
func (r *Runner) End() (gate replication.Offset) {
	gate = r.exec.End()
	r.Ctx.ReplyGate = max(r.Ctx.ReplyGate, gate)
	r.Ctx.Tx = nil
	return gate
}

// CountLatency counts how long a call took, if latency-tracking says so. A call that
// waits counts when it is answered.
func (r *Runner) CountLatency(row *Row, took time.Duration) {
	if !r.table.latencyOff.Load() {
		r.latencies.record(row.index, took)
	}
}

// Count counts a call.
func (r *Runner) Count(row *Row, took time.Duration, failed bool) {
	st := &r.stats[row.index]
	st.Calls++
	st.Took += took
	if failed {
		st.Failed++
	}
}

// CountFailure counts a failure of a call that was counted before it was answered,
// and CountRejection a call that did not come about.
func (r *Runner) CountFailure(row *Row)   { r.stats[row.index].Failed++ }
func (r *Runner) CountRejection(row *Row) { r.stats[row.index].Rejected++ }

// CountUndone makes of a call that was counted one that did not come about.
func (r *Runner) CountUndone(row *Row, took time.Duration) {
	st := &r.stats[row.index]
	st.Calls--
	st.Took -= took
	st.Rejected++
}

// Stats returns the counts of the row with this index. Any goroutine may ask: they
// are plain words, as a locked instruction for each would cost more than the rest
// of counting, and the race detector is told to look away. The last calls may be
// missing.
//
//go:norace
func (r *Runner) Stats(index int) RowStats { return r.stats[index] }

// ResetStats sets the counts to zero. The runner is not at work.
func (r *Runner) ResetStats() {
	clear(r.stats)
	r.latencies.reset()
}

// Less is what was counted since before.
func (s RowStats) Less(before RowStats) RowStats {
	return RowStats{
		Calls: s.Calls - before.Calls, Rejected: s.Rejected - before.Rejected, Failed: s.Failed - before.Failed,
		Took: s.Took - before.Took,
	}
}

// Plus is what both counted.
func (s RowStats) Plus(t RowStats) RowStats {
	return RowStats{
		Calls: s.Calls + t.Calls, Rejected: s.Rejected + t.Rejected, Failed: s.Failed + t.Failed,
		Took: s.Took + t.Took,
	}
}
