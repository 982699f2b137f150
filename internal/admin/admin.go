package admin

import (
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/pubsub"
	"redoubt/storage"
)

// Config is what the commands are about. Replication, Persistence and Cluster are
// nil where there is none.
type Config struct {
	Settings    *config.Config
	Keyspace    *storage.Keyspace
	Stream      Stream
	PubSub      *pubsub.Registry
	Server      Server
	Replication Replication
	Persistence Persistence
	Cluster     Cluster
	// Sentinel is set if the process is a Sentinel instead of a node with data.
	Sentinel Sentinel
	// CachedTargets counts the connections that are kept for MIGRATE; nil: none.
	CachedTargets func() int

	Log   *zap.Logger
	RunID string // 40 hexadecimal digits
	// Supervised is which service manager watches the process; "": none.
	Supervised string
	Started    time.Time
	// StartMemory is what the process had in use before there were keys, in bytes.
	StartMemory int64
}

// Commands are the commands about one node, and what they keep.
type Commands struct {
	Config

	SlowLog SlowLog
	Latency Latency
	Audit   Audit

	rates      rates
	peakMemory atomic.Int64               // the most that was seen in use
	replBefore atomic.Pointer[replCounts] // what RESETSTAT takes off replication's counts
}

// New makes the commands about a node. The Server is not asked before one of
// them runs.
func New(c Config) *Commands {
	a := &Commands{Config: c}
	a.replBefore.Store(&replCounts{})
	a.SlowLog.follow(c.Settings)
	return a
}

// Rows are the rows of all commands.
func (a *Commands) Rows() []*command.Row {
	return slices.Concat(
		a.connectionRows(), []*command.Row{a.clientRow()}, a.pubSubRows(),
		[]*command.Row{a.infoRow(), timeRow(), a.configRow(), a.memoryRow(), a.slowLogRow(), a.latencyRow(), a.aclRow(), monitorRow()},
		a.keyspaceRows(), a.saveRows(), a.replicationRows(),
		[]*command.Row{a.shutdownRow(), a.debugRow(), moduleRow(), lolwutRow()},
	)
}

// sentinelCommands are the commands that a Sentinel has as they are, by their names.
var sentinelCommands = []string{"acl", "auth", "client", "hello", "info", "ping", "psubscribe", "punsubscribe", "quit", "reset", "shutdown",
	"subscribe", "unsubscribe"}

// aboutData are the sub-commands of CLIENT that would mean nothing in a Sentinel.
var aboutData = []string{"no-touch"}

// SentinelRows are the rows of a Sentinel's commands that are not about what it
// monitors.
func (a *Commands) SentinelRows() []*command.Row {
	rows := slices.DeleteFunc(a.Rows(), func(r *command.Row) bool { return !slices.Contains(sentinelCommands, r.Name) })
	for _, r := range rows {
		r.Sub = slices.DeleteFunc(r.Sub, func(sub *command.Row) bool { return r.Name == "client" && slices.Contains(aboutData, sub.Name) })
	}
	return rows
}

// Sample notes what INFO derives from the past: how fast counters grow, and the
// peak of the memory in use. The server calls it ten times a second; at is the
// time since its start.
func (a *Commands) Sample(at time.Duration) {
	st := a.Server.Stats()
	a.rates.sample(at, a.totals(st))
	a.notePeak(st.UsedMemory)
}

// ResetStats is CONFIG RESETSTAT. All loops are stopped.
func (a *Commands) ResetStats() {
	a.Server.ResetStats()
	a.Keyspace.ResetStats()
	a.rates.reset()
	a.Audit.resetCounts()
	before := a.replicationCounts()
	a.replBefore.Store(&before)
}
