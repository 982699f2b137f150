package admin

import (
	"go.uber.org/zap"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// keyspaceRows are the commands about all keys of a database or the node.
func (a *Commands) keyspaceRows() []*command.Row {
	return []*command.Row{
		{Name: "flushall", Arity: -1, Flags: command.Write, ACL: command.CatKeyspace | command.CatDangerous, Lock: command.LockWorld, Run: a.flushAll,
			Doc: command.Doc{Since: "1.0.0", Group: "server", Summary: "Deletes every key of every database.", Complexity: "O(N) where N is the total number of keys in all databases", Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"}}},
		{Name: "flushdb", Arity: -1, Flags: command.Write, ACL: command.CatKeyspace | command.CatDangerous, Lock: command.LockWorld, Run: flushDB,
			Doc: command.Doc{Since: "1.0.0", Group: "server", Summary: "Removes all keys from the current database.", Complexity: "O(N) where N is the number of keys in the selected database", Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"}}},
		{Name: "swapdb", Arity: 3, Flags: command.Write | command.Fast, ACL: command.CatKeyspace | command.CatDangerous, Lock: command.LockWorld, Run: swapDB,
			Doc: command.Brief("4.0.0", "server", "Exchanges two databases.")},
	}
}

// flushOption reads SYNC or ASYNC. Both are the same here: tables are detached
// at once, and freed by the collector.
func flushOption(x *command.Ctx) bool {
	switch {
	case len(x.Args) == 1, len(x.Args) == 2 && (resp.EqualFold(x.Args[1], "sync") || resp.EqualFold(x.Args[1], "async")):
		return true
	}
	x.Out.Error(resp.ErrSyntax)
	return false
}

func (a *Commands) flushAll(x *command.Ctx) {
	if flushOption(x) {
		x.Tx.FlushAll()
		x.Tx.Force()
		x.Out.OK()
		if !x.Tx.Applying() && x.Host.Keyspace() == a.Keyspace { // else it is the copy of a debugging session
			a.flushed(x.Tx)
		}
	}
}

// flushed ends the snapshots of what has been flushed and, where save points keep a
// dump, writes that of the empty keyspace: nothing of it must come back after a
// crash. The log hears of a failure, the client does not, as with Redis
// (flushAllDataAndResetRDB).
func (a *Commands) flushed(tx *storage.Tx) {
	if p := a.Persistence; p != nil {
		if err := p.Flushed(tx, len(a.Settings.Current().Save) > 0); err != nil {
			a.Log.Warn("FLUSHALL could not save the empty data set", zap.Error(err))
		}
	}
}

func flushDB(x *command.Ctx) {
	if flushOption(x) {
		x.Tx.FlushDB(x.DB())
		x.Tx.Force()
		x.Out.OK()
	}
}

func swapDB(x *command.Ctx) {
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
