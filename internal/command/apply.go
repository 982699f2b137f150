package command

import (
	"errors"
	"fmt"

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
// consult the clock (design D4). It belongs to one goroutine, like its
// executor.
type Applier struct {
	table *Table
	exec  *storage.Executor
	host  Host
	// Side is called, if set, for a command of a unit that is not about data,
	// after the unit (PUBLISH, which reaches the subscribers of a replica).
	Side func(row *Row, args [][]byte)
	// Failed is called, if set, when a command answers with an error: the data
	// differ from where the stream was made.
	Failed func(args [][]byte, err string)

	ctx   Ctx
	out   resp.Writer
	db    int
	keys  []int
	slots []slots.Slot
	rows  []*Row
}

// NewApplier returns an applier that has database 0 selected.
func NewApplier(t *Table, e *storage.Executor, h Host) *Applier {
	return &Applier{table: t, exec: e, host: h}
}

// DB is the database selected in the stream.
func (a *Applier) DB() int { return a.db }

// Proto makes the applier a Conn: replies go nowhere, in RESP2.
func (a *Applier) Proto() int { return 2 }

// SelectDB sets the database in which the stream goes on.
func (a *Applier) SelectDB(db int) { a.db = db }

// Apply executes one unit, without its MULTI and EXEC. end is the offset of the
// unit's last byte. record, if not nil, is called under the unit's locks once
// the data have changed: there the node appends the unit's bytes to its own
// stream. The error wraps ErrUnknownEffect and nothing has then been executed.
func (a *Applier) Apply(now int64, commands [][][]byte, end replication.Offset, record func()) error {
	world, err := a.plan(commands)
	if err != nil {
		return err
	}
	var tx *storage.Tx
	if world {
		tx = a.exec.BeginApplyWorld(now, end)
	} else {
		tx = a.exec.BeginApply(now, end, a.slots)
	}
	a.ctx.Tx, a.ctx.Out, a.ctx.Conn, a.ctx.Host, a.ctx.Exec = tx, &a.out, a, a.host, a.exec
	for i, args := range commands {
		a.run(tx, a.rows[i], args)
	}
	if record != nil {
		record()
	}
	a.exec.End()
	for i, args := range commands {
		if a.Side != nil && a.rows[i].Lock == LockNone {
			a.Side(a.rows[i], args)
		}
	}
	return nil
}

// plan finds the commands' rows and the slots the unit needs.
func (a *Applier) plan(commands [][][]byte) (world bool, err error) {
	a.rows, a.slots = a.rows[:0], a.slots[:0]
	for _, args := range commands {
		row, _ := a.table.Resolve(args)
		if row == nil || !row.Takes(len(args)) {
			return false, fmt.Errorf("%w %q: no such command here, or not with %d arguments", ErrUnknownEffect, args[0], len(args)-1)
		}
		a.rows = append(a.rows, row)
		if isSelect(row) {
			if n, ok := resp.ParseInt(args[1]); !ok || n < 0 || n >= int64(a.host.Keyspace().Databases()) {
				return false, fmt.Errorf("%w SELECT %q: there are %d databases", ErrUnknownEffect, args[1], a.host.Keyspace().Databases())
			}
			continue
		}
		if row.Lock == LockNone {
			continue
		}
		if row.Lock == LockWorld || row.Lock == LockSelf || len(row.Keys) == 0 {
			world = true
			continue
		}
		var ok bool
		if a.keys, ok = row.AppendKeys(a.keys[:0], args); !ok {
			return false, fmt.Errorf("%w %q: its keys cannot be told", ErrUnknownEffect, args[0])
		}
		for _, k := range a.keys {
			a.slots = append(a.slots, slots.Of(args[k]))
		}
	}
	return world, nil
}

// isSelect: SELECT is part of a stream's grammar rather than a command of it.
func isSelect(row *Row) bool { return row.Name == "select" && row.parent == nil }

func (a *Applier) run(tx *storage.Tx, row *Row, args [][]byte) {
	switch {
	case isSelect(row):
		n, _ := resp.ParseInt(args[1])
		a.db = int(n)
		return
	case row.Lock == LockNone:
		return
	}
	tx.Select(a.db)
	a.out.SetBuffer(a.out.Bytes()[:0])
	a.ctx.Row, a.ctx.Args = row, args
	tx.Command(nil)
	row.Run(&a.ctx)
	tx.CommandEnd()
	if b := a.out.Bytes(); a.Failed != nil && len(b) > 0 && b[0] == '-' {
		a.Failed(args, string(b[1:max(len(b)-2, 1)]))
	}
}
