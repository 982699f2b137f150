package admin

import (
	"fmt"
	"runtime/debug"
	"strings"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/storage"
)

func (a *Commands) memoryRow() *command.Row {
	return &command.Row{Name: "memory", Arity: -2, Doc: command.Brief("4.0.0", "server", "Tells what takes memory."), Sub: []*command.Row{
		{Name: "usage", Arity: -3, Flags: command.ReadOnly, Keys: command.KeysFrom(2, 2, 1, command.KeyRO), Run: memoryUsage,
			Doc: command.Brief("4.0.0", "server", "Tells how many bytes a key and its value take.")},
		stopping(serverRow("stats", 2, 0, "4.0.0", "Tells in numbers what takes memory.", command.For(a.memoryStats))),
		serverRow("doctor", 2, 0, "4.0.0", "Says in words whether memory is wasted.", a.memoryDoctor),
		serverRow("purge", 2, 0, "4.0.0", "Gives free memory back to the system.", a.memoryPurge),
		serverRow("malloc-stats", 2, 0, "4.0.0", "Shows the counts of the allocator.", a.memoryMallocStats),
		serverRow("help", 2, command.Loading|command.Stale, "4.0.0", "Lists the sub-commands.", func(x *command.Ctx) {
			command.Help(x, "DOCTOR", "    Whether memory is wasted, in words.",
				"MALLOC-STATS", "    The counts of the allocator.",
				"PURGE", "    Give free memory back to the system.",
				"STATS", "    What takes memory, in numbers.",
				"USAGE <key> [SAMPLES <count>]", "    How many bytes a key and its value take.")
		}),
	}}
}

// memoryUsage is MEMORY USAGE. SAMPLES is read and not needed: the size of every
// value is known.
func memoryUsage(x *command.Ctx) {
	for args := x.Args[3:]; len(args) > 0; args = args[2:] {
		if len(args) < 2 || !resp.EqualFold(args[0], "samples") {
			x.Out.Error(resp.ErrSyntax)
			return
		}
		switch n, ok := resp.ParseInt(args[1]); {
		case !ok:
			x.Out.Error(resp.ErrNotInteger)
			return
		case n < 0:
			x.Out.Error(resp.ErrSyntax)
			return
		}
	}
	e, ok := x.Tx.Peek(x.Args[2])
	if !ok {
		x.Out.Null()
		return
	}
	x.Out.Int(e.Size())
}

// memoryStats is MEMORY STATS, with Redis's names.
func (a *Commands) memoryStats(x *command.Ctx, c Operator) {
	w, m := x.Out, a.memoryUse()
	keys := int64(0)
	var dbs []int
	tables := map[int]int64{}
	c.World(func(tx *storage.Tx) {
		for db := range a.Keyspace.Databases() {
			if n := a.Keyspace.Len(db); n > 0 {
				keys += int64(n)
				dbs = append(dbs, db)
				tables[db] = tx.TableBytes(db)
			}
		}
	})
	number := func(name string, n int64) { w.BulkString(name); w.Int(n) }
	share := func(name string, f float64) { w.BulkString(name); w.Double(f) }
	w.Map(27 + len(dbs))
	number("peak.allocated", m.peak)
	number("total.allocated", m.used)
	number("startup.allocated", m.startup)
	number("replication.backlog", m.backlog)
	number("clients.slaves", m.replicas)
	number("clients.normal", m.clients)
	number("cluster.links", m.links)
	number("aof.buffer", m.unsynced)
	number("lua.caches", m.scripts.CachedBytes)
	number("functions.caches", m.scripts.LibraryBytes)
	for _, db := range dbs {
		w.BulkString(fmt.Sprint("db.", db))
		w.Map(3)
		number("overhead.hashtable.main", tables[db])
		number("overhead.hashtable.expires", 0)
		number("overhead.hashtable.slot-to-keys", 0)
	}
	number("overhead.total", m.overhead())
	number("keys.count", keys)
	number("keys.bytes-per-key", max(m.used-m.startup, 0)/max(keys, 1))
	number("dataset.bytes", m.dataset())
	share("dataset.percentage", 100*ratio(m.dataset(), m.used-m.startup))
	share("peak.percentage", 100*ratio(m.used, m.peak))
	number("allocator.allocated", m.allocated())
	number("allocator.active", m.active())
	number("allocator.resident", m.resident())
	share("allocator-fragmentation.ratio", ratio(m.active(), m.allocated()))
	number("allocator-fragmentation.bytes", m.active()-m.allocated())
	share("allocator-rss.ratio", ratio(m.resident(), m.active()))
	number("allocator-rss.bytes", m.resident()-m.active())
	share("rss-overhead.ratio", ratio(m.rss, m.resident()))
	number("rss-overhead.bytes", m.rss-m.resident())
	share("fragmentation", ratio(m.rss, m.used))
	number("fragmentation.bytes", m.rss-m.used)
}

// little is how much memory nobody needs to worry about.
const little = 64 << 20

// memoryDoctor is MEMORY DOCTOR in words of our own.
func (a *Commands) memoryDoctor(x *command.Ctx) {
	x.Out.Verbatim("txt", diagnosis(a.memoryUse()))
}

func diagnosis(m memoryUse) string {
	if m.keys.Data < little {
		return "There is too little data to say anything about its memory.\n"
	}
	var found []string
	if m.peak > m.used+m.used/2 {
		found = append(found, fmt.Sprintf("At its peak the server used %s, and now %s. What it does not need any more is given back to the system within seconds.", human(m.peak), human(m.used)))
	}
	if lost := m.keys.Committed - m.keys.Free - m.keys.Data - m.keys.Tables; lost > m.keys.Committed/4 {
		found = append(found, fmt.Sprintf("%s of the %s of pages with keys are empty, because keys were deleted or have changed their sizes.", human(lost), human(m.keys.Committed)))
	}
	if m.keys.Kept > m.keys.Data/4 {
		found = append(found, fmt.Sprintf("%s are kept for a snapshot: they were replaced since it began, and are free when it has been written.", human(m.keys.Kept)))
	}
	if m.clients > m.used/4 && m.clients > little {
		found = append(found, fmt.Sprintf("Clients take %s, most likely for output that they do not read: see tot-mem in CLIENT LIST, and maxmemory-clients.", human(m.clients)))
	}
	if m.heap.Objects > m.keys.Committed && m.heap.Objects-m.clients > little {
		found = append(found, fmt.Sprintf("The server itself uses %s, more than the keys.", human(m.heap.Objects)))
	}
	if len(found) == 0 {
		return "No problem is found with the memory of this server.\n"
	}
	return "* " + strings.Join(found, "\n* ") + "\n"
}

// memoryPurge is MEMORY PURGE. The system calls take long, so the client waits
// for them outside of its loop, unless it cannot.
func (a *Commands) memoryPurge(x *command.Ctx) {
	resume := x.Suspend()
	a.Server.Go(func() {
		for a.Keyspace.Trim(purgeBudget) {
		}
		debug.FreeOSMemory()
		if resume != nil {
			resume(0, (*resp.Writer).OK)
		}
	})
	if resume == nil {
		x.Out.OK()
	}
}

const purgeBudget = 2 << 20

// memoryMallocStats is MEMORY MALLOC-STATS.
func (a *Commands) memoryMallocStats(x *command.Ctx) {
	m := a.memoryUse()
	var b strings.Builder
	b.WriteString("The memory of keys (" + allocator + "), in bytes\n")
	for _, line := range []struct {
		name string
		n    int64
	}{
		{"keys and values", m.keys.Data}, {"hash tables", m.keys.Tables}, {"blocks of both (a number)", m.keys.Blocks},
		{"pages in memory", m.keys.Committed}, {"free pages in memory", m.keys.Free},
		{"given back to the system since the start", m.keys.Returned}, {"kept for snapshots", m.keys.Kept},
		{"Go objects", m.heap.Objects}, {"Go stacks", m.heap.Stacks}, {"beside Go objects", m.heap.Unused}, {"free in the Go heap", m.heap.Free},
	} {
		fmt.Fprintf(&b, "%-42s %15d\n", line.name, line.n)
	}
	x.Out.Verbatim("txt", b.String())
}
