package server

import (
	"time"

	"go.uber.org/zap"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// serverRow is a row of the server group that touches no data.
func serverRow(name string, arity int, flags command.Flags, since, summary string, run command.Handler) *command.Row {
	return &command.Row{Name: name, Arity: arity, Flags: flags, Lock: command.LockNone, Run: run, Doc: doc(since, "server", summary)}
}

// stopping makes a row one that looks at all connections or changes the node:
// its handler stops the loops itself, and in a transaction they are stopped
// for it.
func stopping(r *command.Row) *command.Row {
	r.Lock = command.LockSelf
	return r
}

// within adds a row to ACL categories that do not follow from its flags.
func within(c command.Category, r *command.Row) *command.Row {
	r.ACL |= c
	return r
}

var serverRows = []*command.Row{
	serverRow("time", 1, command.Loading|command.Stale|command.Fast, "2.6.0", "Tells the time in seconds and microseconds.", timeCommand),
	{Name: "flushall", Arity: -1, Flags: command.Write, ACL: command.CatKeyspace | command.CatDangerous, Lock: command.LockWorld, Run: flushAllCommand,
		Doc: command.Doc{Since: "1.0.0", Group: "server", Summary: "Deletes every key of every database.", Complexity: "O(N) where N is the total number of keys in all databases", Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"}}},
	{Name: "flushdb", Arity: -1, Flags: command.Write, ACL: command.CatKeyspace | command.CatDangerous, Lock: command.LockWorld, Run: flushDBCommand,
		Doc: command.Doc{Since: "1.0.0", Group: "server", Summary: "Removes all keys from the current database.", Complexity: "O(N) where N is the number of keys in the selected database", Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"}}},
	{Name: "swapdb", Arity: 3, Flags: command.Write | command.Fast, ACL: command.CatKeyspace | command.CatDangerous, Lock: command.LockWorld, Run: swapDBCommand,
		Doc: doc("4.0.0", "server", "Exchanges two databases.")},
	stopping(serverRow("shutdown", -1, command.Admin|command.NoScript|command.Loading|command.Stale|command.NoMulti|command.AllowBusy, "1.0.0", "Saves if that is configured, and ends the server.", shutdownCommand)),
	stopping(serverRow("monitor", 1, command.Admin|command.NoScript|command.Loading|command.Stale, "1.0.0", "Shows every command as it is run.", monitorCommand)),
}

func timeCommand(x *command.Ctx) {
	now := time.Now()
	x.Out.Array(2)
	x.Out.BulkInt(now.Unix())
	x.Out.BulkInt(int64(now.Nanosecond() / 1000))
}

// flushOption reads SYNC or ASYNC. Both are the same here: tables are detached
// at once, and freed by the collector.
func flushOption(x *command.Ctx) bool {
	switch {
	case len(x.Args) == 1, len(x.Args) == 2 && (equalFold(x.Args[1], "sync") || equalFold(x.Args[1], "async")):
		return true
	}
	x.Out.Error(resp.ErrSyntax)
	return false
}

func flushAllCommand(x *command.Ctx) {
	if flushOption(x) {
		x.Tx.FlushAll()
		x.Tx.Force()
		x.Out.OK()
		if !x.Tx.Applying() {
			loopOf(x).srv.flushed(x.Tx)
		}
	}
}

// flushed ends a BGSAVE of what has been flushed and, where save points keep a
// dump, writes that of the empty keyspace: nothing of it must come back after a
// crash. The log hears of a failure, the client does not, as with Redis
// (flushAllDataAndResetRDB).
func (s *Server) flushed(tx *storage.Tx) {
	if p := s.persistence; p != nil {
		if err := p.Flushed(tx, len(s.config.Current().Save) > 0); err != nil {
			s.log.Warn("FLUSHALL could not save the empty data set", zap.Error(err))
		}
	}
}

func flushDBCommand(x *command.Ctx) {
	if flushOption(x) {
		x.Tx.FlushDB(x.DB())
		x.Tx.Force()
		x.Out.OK()
	}
}

func swapDBCommand(x *command.Ctx) {
	if x.Host.ClusterEnabled() {
		x.Out.Error(resp.ErrSwapCluster)
		return
	}
	a, okA := resp.ParseInt(x.Args[1])
	b, okB := resp.ParseInt(x.Args[2])
	n := int64(x.Host.Keyspace().Databases())
	switch {
	case !okA || a != int64(int32(a)):
		x.Out.Error(resp.ErrFirstDB)
	case !okB || b != int64(int32(b)):
		x.Out.Error(resp.ErrSecondDB)
	case a < 0 || a >= n || b < 0 || b >= n:
		x.Out.Error(resp.ErrDBIndex)
	default:
		x.Tx.SwapDB(int(a), int(b))
		x.Tx.Force()
		x.Out.OK()
	}
}

// persistenceRows are the commands about snapshots.
var persistenceRows = []*command.Row{
	stopping(serverRow("save", 1, command.Admin|command.NoScript|command.NoAsyncLoading|command.NoMulti, "1.0.0", "Saves all keys to the dump file; nothing else runs meanwhile.", saveCommand)),
	serverRow("bgsave", -1, command.Admin|command.NoScript|command.NoAsyncLoading, "1.0.0", "Saves all keys to the dump file while commands go on.", bgsaveCommand),
	within(command.CatAdmin|command.CatDangerous, serverRow("lastsave", 1, command.Loading|command.Stale|command.Fast, "1.0.0", "Tells when the dump file was last saved, in Unix time.", lastSaveCommand)),
}

func saveCommand(x *command.Ctx) {
	l := loopOf(x)
	p := l.srv.persistence
	switch {
	case p == nil:
		x.Out.Error(resp.ErrGeneric)
		return
	case p.Saving():
		x.Out.Error(resp.ErrSaveInProgress)
		return
	}
	var err error
	l.everything(func(tx *storage.Tx) { err = p.Save(tx) })
	if err != nil {
		x.Out.Error(resp.ErrGeneric)
		return
	}
	x.Out.OK()
}

func bgsaveCommand(x *command.Ctx) {
	if len(x.Args) > 2 || len(x.Args) == 2 && !equalFold(x.Args[1], "schedule") {
		x.Out.Error(resp.ErrSyntax)
		return
	}
	l := loopOf(x)
	p := l.srv.persistence
	switch {
	case p == nil:
		x.Out.Error(resp.ErrGeneric)
		return
	case p.Saving():
		x.Out.Error(resp.ErrSaveInProgress)
		return
	}
	if err := p.Background(); err != nil {
		x.Out.Error(resp.ErrGeneric)
		return
	}
	x.Out.Simple("Background saving started")
}

func lastSaveCommand(x *command.Ctx) {
	at := processStart
	if p := serverOf(x).persistence; p != nil {
		at = p.LastSave()
	}
	x.Out.Int(at.Unix())
}

// processStart is the time before which nothing can have been saved by this
// process.
var processStart = time.Now()
