package admin

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/storage"
)

func (a *Commands) debugRow() *command.Row {
	return ofSystem(stopping(serverRow("debug", -2, command.Admin|command.NoScript|command.Loading|command.Stale|command.Protected,
		"1.0.0", "Looks into the server and provokes it, for tests.", command.For(a.debug))))
}

// debugAction is one form of DEBUG.
type debugAction struct {
	least, most int // arguments, with both words; most 0: any number
	run         func(a *Commands, x *command.Ctx, c Debugger)
	help        []string
}

func (a *Commands) debug(x *command.Ctx, c Debugger) {
	word := strings.ToLower(string(x.Args[1]))
	if word == "help" {
		debugHelp(x)
		return
	}
	form, ok := debugActions[word]
	if !ok || len(x.Args) < form.least || form.most != 0 && len(x.Args) > form.most {
		x.Out.Error(resp.ErrSubcommandSyntax("debug", x.Args[1]))
		return
	}
	form.run(a, x, c)
}

// debugActions are the forms of DEBUG that mean something here, besides HELP.
var debugActions = map[string]debugAction{
	"sleep":                      {3, 3, (*Commands).debugSleep, []string{"SLEEP <seconds>", "    Do nothing at all for a time, which may be a fraction."}},
	"listpack":                   {3, 3, (*Commands).debugListpack, []string{"LISTPACK <key>", "    Put a compact collection into the log."}},
	"quicklist-packed-threshold": {3, 3, (*Commands).debugPacked, []string{"QUICKLIST-PACKED-THRESHOLD <size>", "    The length from which an element of a quicklist has a node of its own."}},
	"object":                     {3, 3, (*Commands).debugObject, []string{"OBJECT <key>", "    How a key and its value are stored."}},
	"htstats":                    {3, 4, (*Commands).debugTables, []string{"HTSTATS <dbid> [full]", "    How full the hash tables of a database are."}},
	"htstats-key":                {3, 4, (*Commands).debugTableOf, []string{"HTSTATS-KEY <key> [full]", "    The same of a value, of which none is a hash table."}},
	"drop-cluster-packet-filter": {3, 3, (*Commands).debugDropMessages, []string{"DROP-CLUSTER-PACKET-FILTER <packet-type>",
		"    Drop what comes over the cluster bus of this type; -1 is nothing."}},
	"close-cluster-link-on-packet-drop": {3, 3, (*Commands).debugCloseOnDrop, []string{"CLOSE-CLUSTER-LINK-ON-PACKET-DROP <0|1>",
		"    1 closes the link over which something has come that is dropped."}},
	"clusterlink": {5, 5, (*Commands).debugLinks, []string{"CLUSTERLINK KILL <to|from|all> <node-id>",
		"    Close the links to or from a node."}},
	"digest":            {2, 2, (*Commands).debugDigest, []string{"DIGEST", "    A digest of all keys and values."}},
	"digest-value":      {2, 0, (*Commands).debugDigestValue, []string{"DIGEST-VALUE <key> [<key> ...]", "    A digest of each of these values."}},
	"reload":            {2, 0, (*Commands).debugReload, []string{"RELOAD [option ...]", "    Save the dump file, empty the keyspace and load the file. MERGE, NOFLUSH and NOSAVE leave parts out."}},
	"loadaof":           {2, 2, (*Commands).debugLoadAOF, []string{"LOADAOF", "    Empty the keyspace and load again what a restart would load."}},
	"set-active-expire": {3, 3, (*Commands).debugSetActiveExpire, []string{"SET-ACTIVE-EXPIRE <0|1>", "    0 leaves expired keys until somebody looks at them."}},
	"pause-cron":        {3, 3, (*Commands).debugPauseCron, []string{"PAUSE-CRON <0|1>", "    1 stops the housekeeping."}},
	"populate":          {3, 5, (*Commands).debugPopulate, []string{"POPULATE <count> [<prefix>] [<size>]", "    Make so many keys, key:0 and on, or with another prefix."}},
	"protocol":          {3, 3, (*Commands).debugProtocol, []string{"PROTOCOL <type>", "    Answer with a value of this type of the protocol."}},
	"log":               {3, 3, (*Commands).debugLog, []string{"LOG <message>", "    Put a line into the log."}},
	"error":             {3, 3, (*Commands).debugError, []string{"ERROR <string>", "    Answer with this error."}},
	"segfault":          {2, 2, (*Commands).debugSegfault, []string{"SEGFAULT", "    End the process as a fault of memory would."}},
	"panic":             {2, 2, (*Commands).debugPanic, []string{"PANIC", "    End the process as a failed assertion would."}},
	"config-rewrite-force-all": {2, 2, (*Commands).debugRewriteAll, []string{"CONFIG-REWRITE-FORCE-ALL", "    CONFIG REWRITE of every setting, also of those that",
		"    have their defaults and do not stand in the file."}},
	"replybuffer":                  {4, 4, (*Commands).debugAccept, []string{"REPLYBUFFER <subcommand> <argument>", "    Accepted for test suites; a connection with nothing to say has no reply buffer."}},
	"set-disable-deny-scripts":     {3, 3, (*Commands).debugScripts, []string{"SET-DISABLE-DENY-SCRIPTS <0|1>", "    1 lets scripts call commands that are denied to them."}},
	"set-skip-checksum-validation": {3, 3, (*Commands).debugAnyChecksum, []string{"SET-SKIP-CHECKSUM-VALIDATION <0|1>", "    1 lets RESTORE take payloads with any checksum."}},
}

// debugScripts is DEBUG SET-DISABLE-DENY-SCRIPTS.
func (a *Commands) debugScripts(x *command.Ctx, _ Debugger) {
	a.Server.AllowInScripts(string(x.Args[2]) != "0")
	x.Out.OK()
}

func debugHelp(x *command.Ctx) {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(debugActions)) {
		lines = append(lines, debugActions[name].help...)
	}
	command.Help(x, lines...)
}

// debugWorld runs f with everything stopped.
func debugWorld(x *command.Ctx, c Debugger, f func(tx *storage.Tx)) {
	c.World(func(tx *storage.Tx) {
		tx.Select(x.DB())
		if x.Tx == nil {
			tx.Command(nil)
			defer tx.CommandEnd()
		}
		f(tx)
	})
}

// debugUnit is debugWorld for what stays on this node, as in Redis.
func debugUnit(x *command.Ctx, c Debugger, f func(tx *storage.Tx)) {
	debugWorld(x, c, func(tx *storage.Tx) {
		f(tx)
		tx.NoEffect()
	})
}

// debugSleep holds the world, so that nobody is served, as in Redis. Other nodes of a
// cluster get no answers either: people try out with it what happens when a node hangs.
func (a *Commands) debugSleep(x *command.Ctx, c Debugger) {
	seconds, err := strconv.ParseFloat(string(x.Args[2]), 64)
	if err != nil || seconds < 0 || seconds > 1e6 {
		x.Out.Error(resp.ErrNotFloat)
		return
	}
	d := time.Duration(seconds * float64(time.Second))
	awake := func() {}
	if s, ok := c.(Sleeper); ok {
		awake = s.FallAsleep()
	}
	debugUnit(x, c, func(*storage.Tx) {
		if b, ok := a.Cluster.(BusDebugger); ok {
			b.Sleep(d)
		}
		time.Sleep(d)
	})
	awake()
	x.Out.OK()
}

func (*Commands) debugObject(x *command.Ctx, c Debugger) {
	debugUnit(x, c, func(tx *storage.Tx) {
		e, ok := tx.PeekExpired(x.Args[2])
		if !ok {
			x.Out.Error(resp.ErrNoKey)
			return
		}
		length := len(command.AppendDump(nil, e)) - dumpFrame
		idle := e.IdleSeconds()
		x.Out.Simple(fmt.Sprintf("Value at:0x0 refcount:1 encoding:%s serializedlength:%d lru:%d lru_seconds_idle:%d",
			e.Encoding(), length, lruClock(tx.Now()/1000-idle), idle))
	})
}

// dumpFrame is what a DUMP payload has beside the value: its type, the version of
// the format and a checksum.
const dumpFrame = 1 + 2 + 8

// debugListpack has no structure to show: how large a collection is does not
// change how it is stored.
func (a *Commands) debugListpack(x *command.Ctx, c Debugger) {
	debugUnit(x, c, func(tx *storage.Tx) {
		e, ok := tx.Peek(x.Args[2])
		switch {
		case !ok:
			x.Out.Error(resp.ErrNoKey)
		case e.Encoding() != "listpack":
			x.Out.Error(resp.ErrNotListpack)
		default:
			a.Log.Info(fmt.Sprintf("DEBUG LISTPACK: a %v of about %d bytes", e.Type(), e.Size()))
			x.Out.Simple("Listpack structure printed on stdout")
		}
	})
}

// packedMost is the longest threshold of DEBUG QUICKLIST-PACKED-THRESHOLD: a
// little less than 4 GiB.
const packedMost = 1<<32 - 1<<20

func (*Commands) debugPacked(x *command.Ctx, c Debugger) {
	n, ok := config.ParseMemory(string(x.Args[2]))
	if len(x.Args[2]) == 0 {
		n, ok = 0, true
	}
	if !ok || n < 0 || n > packedMost {
		x.Out.Error(resp.ErrPackedThreshold)
		return
	}
	debugUnit(x, c, func(tx *storage.Tx) {
		l := tx.Limits()
		if l.Packed = int(n); n == 0 {
			l.Packed = storage.DefaultLimits.Packed
		}
		tx.SetLimits(l)
	})
	x.Out.OK()
}

func (*Commands) debugDigest(x *command.Ctx, c Debugger) {
	debugUnit(x, c, func(tx *storage.Tx) { x.Out.Simple(fmt.Sprintf("%x", tx.Digest())) })
}

func (*Commands) debugDigestValue(x *command.Ctx, c Debugger) {
	x.Out.Array(len(x.Args) - 2)
	debugUnit(x, c, func(tx *storage.Tx) {
		for _, key := range x.Args[2:] {
			x.Out.Simple(fmt.Sprintf("%x", tx.DigestValue(key)))
		}
	})
}

func (a *Commands) debugReload(x *command.Ctx, c Debugger) {
	var nosave, noflush, merge bool
	for _, o := range x.Args[2:] {
		switch {
		case resp.EqualFold(o, "nosave"):
			nosave = true
		case resp.EqualFold(o, "noflush"):
			noflush = true
		case resp.EqualFold(o, "merge"):
			merge = true
		default:
			x.Out.Error(resp.ErrReloadOptions)
			return
		}
	}
	a.reload(x, c, func(tx *storage.Tx) error { return a.Persistence.Reload(tx, nosave, noflush, merge) })
}

func (a *Commands) debugLoadAOF(x *command.Ctx, c Debugger) {
	a.reload(x, c, func(tx *storage.Tx) error { return a.Persistence.LoadAgain(tx) })
}

// reload answers a command that loads the data again.
func (a *Commands) reload(x *command.Ctx, c Debugger, load func(tx *storage.Tx) error) {
	if a.Persistence == nil {
		x.Out.Error(resp.ErrReload)
		return
	}
	var err error
	debugUnit(x, c, func(tx *storage.Tx) { err = load(tx) })
	if err != nil {
		a.Log.Warn("DEBUG RELOAD", zap.Error(err))
		x.Out.Error(resp.ErrReload)
		return
	}
	x.Out.OK()
}

func (a *Commands) debugAnyChecksum(x *command.Ctx, _ Debugger) {
	a.Server.TakeAnyChecksum(string(x.Args[2]) != "0")
	x.Out.OK()
}

func (a *Commands) debugSetActiveExpire(x *command.Ctx, _ Debugger) {
	a.Server.SetActiveExpire(string(x.Args[2]) != "0")
	x.Out.OK()
}

func (a *Commands) debugPauseCron(x *command.Ctx, _ Debugger) {
	a.Server.PauseCron(string(x.Args[2]) != "0")
	x.Out.OK()
}

func (*Commands) debugPopulate(x *command.Ctx, c Debugger) {
	count, ok := resp.ParseInt(x.Args[2])
	size, prefix := int64(0), "key"
	if len(x.Args) > 3 {
		prefix = string(x.Args[3])
	}
	if len(x.Args) > 4 && ok {
		size, ok = resp.ParseInt(x.Args[4])
	}
	if !ok || count < 0 || size < 0 || size > x.Host.MaxBulk() {
		x.Out.Error(resp.ErrNotPositive)
		return
	}
	for first := int64(0); first < count; {
		next := min(count, first+populated(size))
		debugWorld(x, c, func(tx *storage.Tx) {
			for i := first; i < next; i++ {
				populate(tx, fmt.Appendf(nil, "%s:%d", prefix, i), fmt.Appendf(nil, "value:%d", i), size)
			}
		})
		first = next
	}
	x.Out.OK()
}

// populated is how many keys with values of this size, 0 for short ones, DEBUG POPULATE
// makes in one unit: no more than are worth a MiB, so that a unit's effects stay small.
func populated(size int64) int64 {
	return max(1, min(1000, 1<<20/(size+1)))
}

// populate makes one key of DEBUG POPULATE, unless it is there. size, if not 0, is that of
// the value. The key is in the stream, unlike in Redis, whose append-only file and replicas
// do not have it: what the stream does not know would be gone after a restart.
func populate(tx *storage.Tx, key, value []byte, size int64) {
	if _, there := tx.Peek(key); there {
		return
	}
	if size > 0 {
		sized := make([]byte, size)
		copy(sized, value)
		value = sized
	}
	tx.SetString(key, value, 0, 0)
	tx.Effect([]byte("SET"), key, value)
}

func (*Commands) debugProtocol(x *command.Ctx, _ Debugger) {
	w := x.Out
	switch strings.ToLower(string(x.Args[2])) {
	case "string":
		w.BulkString("Hello World")
	case "integer":
		w.Int(12345)
	case "double":
		w.Double(3.141)
	case "bignum":
		w.BigNumber("1234567999999999999999999999999999999")
	case "null":
		w.Null()
	case "array":
		w.Array(3)
		for i := range int64(3) {
			w.Int(i)
		}
	case "set":
		w.Set(3)
		for i := range int64(3) {
			w.Int(i)
		}
	case "map":
		w.Map(3)
		for i := range int64(3) {
			w.Int(i)
			w.Bool(i == 1)
		}
	case "attrib":
		if w.Proto() == resp.Proto3 {
			w.Attribute(1)
			w.BulkString("key-popularity")
			w.Array(2)
			w.BulkString("key:123")
			w.Int(90)
		}
		w.BulkString("Some real reply following the attribute")
	case "push":
		if w.Proto() != resp.Proto3 {
			w.Error(resp.ErrRESP3Only)
			return
		}
		w.Push(2)
		w.BulkString("server-cpu-usage")
		w.Int(42)
		w.BulkString("Some real reply following the push reply")
	case "true":
		w.Bool(true)
	case "false":
		w.Bool(false)
	case "verbatim":
		w.Verbatim("txt", "This is a verbatim\nstring")
	default:
		w.Error(resp.ErrDebugProtocol)
	}
}

func (a *Commands) debugLog(x *command.Ctx, _ Debugger) {
	a.Log.Warn("DEBUG LOG: " + string(x.Args[2]))
	x.Out.OK()
}

func (*Commands) debugError(x *command.Ctx, _ Debugger) { x.Out.Error(resp.Error(x.Args[2])) }

// debugSegfault dies as a fault in the program would, at once and without
// saving anything.
func (a *Commands) debugSegfault(_ *command.Ctx, _ Debugger) {
	a.Log.Error("crashed by signal: 11, asked for by DEBUG SEGFAULT")
	_ = a.Log.Sync()
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func (*Commands) debugPanic(*command.Ctx, Debugger) { panic("called by DEBUG PANIC") }

func (a *Commands) debugRewriteAll(x *command.Ctx, _ Debugger) {
	if err := a.Settings.Rewrite(true); err != nil {
		x.Out.Error(resp.Error(err.Error()))
		return
	}
	x.Out.OK()
}

func (*Commands) debugAccept(x *command.Ctx, _ Debugger) { x.Out.OK() }
