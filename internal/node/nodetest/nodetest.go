// Package nodetest runs commands for the tests of a node's parts, without a
// server: on a keyspace, by a caller that can wait for its reply.
package nodetest

import (
	"fmt"
	"testing"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// Commands runs the commands of a table on a keyspace. It is for one goroutine.
type Commands struct {
	Keys *storage.Keyspace
	Exec *storage.Executor

	t     testing.TB
	table *command.Table
}

// New makes a runner of the commands of some rows.
func New(t testing.TB, keys *storage.Keyspace, rows ...[]*command.Row) *Commands {
	return &Commands{Keys: keys, Exec: keys.NewExecutor(), t: t, table: command.NewTable(rows...)}
}

// Do runs a command as a connection would, and returns the reply.
func (c *Commands) Do(args ...any) string {
	c.t.Helper()
	reply := c.Ask(args...)
	select {
	case r := <-reply:
		return r
	case <-time.After(20 * time.Second):
		c.t.Fatalf("no answer to %v", args)
		return ""
	}
}

// Ask runs a command, and returns where its reply will come.
func (c *Commands) Ask(args ...any) <-chan string {
	c.t.Helper()
	x := c.Call(args...)
	reply := make(chan string, 1)
	x.Caller = caller{reply}
	switch x.Row.Lock {
	case command.LockNone, command.LockSelf:
		x.Row.Run(x)
	default:
		at, ok := x.Row.AppendKeys(nil, x.Args)
		if !ok {
			c.t.Fatalf("where are the keys of %v?", args)
		}
		var ss []slots.Slot
		for _, i := range at {
			ss = append(ss, slots.Of(x.Args[i]))
		}
		x.Tx = c.Exec.Begin(time.Now().UnixMilli(), ss)
		x.Tx.Command(nil)
		x.Row.Run(x)
		x.Tx.CommandEnd()
		c.Exec.End()
	}
	if x.Out.Len() > 0 {
		reply <- string(x.Out.Bytes())
	}
	return reply
}

// Call prepares the call of a command by a transaction, which cannot wait.
func (c *Commands) Call(args ...any) *command.Ctx {
	c.t.Helper()
	x := &command.Ctx{Out: resp.NewWriter(nil, resp.Proto2), Exec: c.Exec, Caller: caller{}, Host: host{c}}
	for _, a := range args {
		x.Args = append(x.Args, []byte(fmt.Sprint(a)))
	}
	x.Row, _ = c.table.Resolve(x.Args)
	if x.Row == nil || !x.Row.Takes(len(args)) {
		c.t.Fatalf("%v is no command", args)
	}
	return x
}

// WantOK runs a command that has to succeed.
func (c *Commands) WantOK(args ...any) {
	c.t.Helper()
	if got := c.Do(args...); got != "+OK\r\n" {
		c.t.Fatalf("%v: %q", args, got)
	}
}

// World runs f in a unit that holds the world.
func (c *Commands) World(f func(tx *storage.Tx)) {
	c.Keys.World(time.Now().UnixMilli(), func(tx *storage.Tx) {
		tx.Command(nil)
		f(tx)
		tx.CommandEnd()
	})
}

// Set, Delete and Has are the commands on strings that tests need.
func (c *Commands) Set(key, value string) {
	c.World(func(tx *storage.Tx) { tx.SetString([]byte(key), []byte(value), 0, 0) })
}

func (c *Commands) Delete(key string) {
	c.World(func(tx *storage.Tx) { tx.Delete([]byte(key)) })
}

func (c *Commands) Has(key string) (found bool) {
	c.World(func(tx *storage.Tx) { _, found = tx.Peek([]byte(key)) })
	return found
}

// SlotOf is the slot of a key.
func SlotOf(key string) slots.Slot { return slots.Of([]byte(key)) }

// caller is a connection of which nobody sees anything.
type caller struct {
	reply chan<- string // of a command that waits; nil: within a transaction
}

func (caller) DB() int                                { return 0 }
func (caller) Proto() int                             { return resp.Proto2 }
func (caller) NoTouch() bool                          { return false }
func (caller) Redact(...int)                          {}
func (caller) Block(*command.Ctx, *command.Wait) bool { return false }

func (c caller) Suspend() command.Resume {
	if c.reply == nil {
		return nil
	}
	return func(_ replication.Offset, write func(*resp.Writer)) {
		w := resp.NewWriter(nil, resp.Proto2)
		write(w)
		c.reply <- string(w.Bytes())
	}
}

type host struct{ c *Commands }

func (h host) Keyspace() *storage.Keyspace { return h.c.Keys }
func (h host) ClusterEnabled() bool        { return true }
func (h host) Now() int64                  { return time.Now().UnixMilli() }
func (h host) LFU() bool                   { return false }
func (h host) SharedIntegers() bool        { return true }
func (h host) MaxBulk() int64              { return 1 << 29 }
func (h host) HLLSparseMax() int           { return 3000 }
func (h host) LazyServerDel() bool         { return false }
func (h host) Table() *command.Table       { return h.c.table }
