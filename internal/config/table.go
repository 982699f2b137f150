package config

import (
	"io/fs"
	"math"
	"time"
)

// This file is the rows of the settings that mean something here, by subject.
// Defaults are those of Redis 7.0, but for appendonly, as a node is durable unless
// it is told otherwise, and for activedefrag and its limit, as it costs little.

var (
	nonNegative = ints(0, math.MaxInt32)
	atLeastOne  = ints(1, math.MaxInt32)
	port        = ints(0, 65535)
	unbounded   = ints(0, math.MaxInt64)
	anyBytes    = bytesFrom(0, math.MaxInt64)

	logLevels         = oneOf("debug", "verbose", "notice", "warning", "nothing")
	fsyncPolicies     = oneOf("everysec", "always", "no")
	accessLevels      = oneOf("no", "yes", "local")
	disklessLoads     = oneOf("disabled", "on-empty-db", "swapdb", "flush-before-load")
	oomModes          = oneOf("no", "yes", "relative", "absolute")
	propagationErrors = oneOf("ignore", "panic", "panic-on-replicas")
	snapshotPolicies  = oneOf("slow", "abort")
	endpoints         = oneOf("ip", "hostname", "unknown-endpoint")
)

var networkRows = []*directive{
	{name: "bind", typ: addresses{}, def: "* -::*",
		does:  "addresses to listen on; one with a leading - may be missing",
		store: toWords(func(s *Settings) *[]string { return &s.Bind })},
	{name: "bind-source-addr", typ: text{},
		does:  "address that outgoing links start from",
		store: toText(func(s *Settings) *string { return &s.BindSourceAddr })},
	{name: "port", typ: port, def: "6379",
		does:  "TCP port for clients; 0: none",
		store: toInt(func(s *Settings) *int { return &s.Port })},
	{name: "tcp-backlog", typ: nonNegative, def: "511", flags: immutable,
		does:  "length of the queue of connections to be accepted",
		store: toInt(func(s *Settings) *int { return &s.TCPBacklog })},
	{name: "tcp-keepalive", typ: nonNegative, def: "300",
		does:  "seconds between TCP's probes of idle connections; 0: none",
		store: toDuration(time.Second, func(s *Settings) *time.Duration { return &s.TCPKeepAlive })},
	{name: "unixsocket", typ: text{}, flags: immutable,
		does:  "path of a Unix socket to listen on",
		store: toText(func(s *Settings) *string { return &s.UnixSocket })},
	{name: "unixsocketperm", typ: octal{hi: 0o777}, def: "0", flags: immutable,
		does: "mode of the Unix socket; 0: as the umask leaves it",
		store: func(s *Settings, text string) {
			var mode fs.FileMode
			for _, digit := range text {
				mode = mode<<3 | fs.FileMode(digit-'0')
			}
			s.UnixSocketPerm = mode
		}},
	{name: "protected-mode", typ: boolean{}, def: "yes",
		does:  "without a password, serve clients on loopback and Unix sockets only",
		store: toBool(func(s *Settings) *bool { return &s.ProtectedMode })},
	{name: "timeout", typ: nonNegative, def: "0",
		does:  "seconds after which an idle client is closed; 0: never",
		store: toDuration(time.Second, func(s *Settings) *time.Duration { return &s.Timeout })},
	{name: "maxclients", typ: ints(1, math.MaxUint32), def: "10000",
		does:  "number of clients at most",
		store: toInt(func(s *Settings) *int64 { return &s.MaxClients })},
	{name: "event-loops", typ: ints(0, 128), def: "0", flags: immutable, since: "Redoubt",
		does:  "number of event loops at most; 0: chosen from the number of processors",
		store: toInt(func(s *Settings) *int { return &s.EventLoops })},
}

var processRows = []*directive{
	{name: "daemonize", typ: boolean{}, def: "no", flags: immutable,
		does:  "run in the background",
		store: toBool(func(s *Settings) *bool { return &s.Daemonize })},
	{name: "pidfile", typ: text{}, flags: immutable,
		does:  "file that the process id is written to",
		store: toText(func(s *Settings) *string { return &s.PIDFile })},
	{name: "loglevel", typ: logLevels, def: "notice",
		does:  "least severity that is logged",
		store: toChoice(logLevels, func(s *Settings) *LogLevel { return &s.LogLevel })},
	{name: "logfile", typ: text{blank: true}, flags: immutable,
		does:  "file to log to; empty: standard output",
		store: toText(func(s *Settings) *string { return &s.LogFile })},
	{name: "databases", typ: atLeastOne, def: "16", flags: immutable,
		does:  "number of databases outside of cluster mode",
		store: toInt(func(s *Settings) *int { return &s.Databases })},
	{name: "hz", typ: hertz{ints(1, 500)}, def: "10",
		does:  "the hz that INFO shows; the period of background work is fixed",
		store: toInt(func(s *Settings) *int { return &s.HZ })},
	{name: "shutdown-timeout", typ: nonNegative, def: "10",
		does:  "seconds that a shutdown waits for replicas",
		store: toDuration(time.Second, func(s *Settings) *time.Duration { return &s.ShutdownTimeout })},
	{name: "shutdown-on-sigint", typ: flags{shutdownNames}, def: "default",
		does:  "options of the shutdown at SIGINT",
		store: func(s *Settings, text string) { s.ShutdownOnSigint = readShutdown(text) }},
	{name: "shutdown-on-sigterm", typ: flags{shutdownNames}, def: "default",
		does:  "options of the shutdown at SIGTERM",
		store: func(s *Settings, text string) { s.ShutdownOnSigterm = readShutdown(text) }},
	{name: "oom-score-adj", typ: oomModes, def: "no",
		does:  "whether to set the score for the OOM killer; yes and relative add to the one it had",
		store: toChoice(oomModes, func(s *Settings) *OOMMode { return &s.OOMScoreAdj })},
	{name: "oom-score-adj-values", typ: oomScores{}, def: "0 200 800",
		does:  "scores of a primary and of a replica; the third (of a forked process) is not used",
		store: func(s *Settings, text string) { s.OOMScores = readOOMScores(text) }},
}

var durabilityRows = []*directive{
	{name: "dir", typ: directory{}, def: ".", flags: protected | denyLoading | always,
		does:  "directory of all data files; relative names start here",
		store: toText(func(s *Settings) *string { return &s.Dir })},
	{name: "dbfilename", typ: text{check: fileName("dbfilename", "filename", true), blank: true}, def: "dump.rdb", flags: protected,
		does:  "name of the RDB file",
		store: toText(func(s *Settings) *string { return &s.DBFilename })},
	{name: "save", typ: savePoints{}, def: "3600 1 300 100 60 10000", flags: repeats,
		does:  "save a dump after so many seconds if there were so many changes",
		store: func(s *Settings, text string) { s.Save = readSavePoints(text) }},
	{name: "stop-writes-on-bgsave-error", typ: boolean{}, def: "yes",
		does:  "refuse writes while snapshots fail",
		store: toBool(func(s *Settings) *bool { return &s.StopWritesOnBgsaveError })},
	{name: "rdbcompression", typ: boolean{}, def: "yes",
		does:  "compress strings in RDB files",
		store: toBool(func(s *Settings) *bool { return &s.RDBCompression })},
	{name: "rdbchecksum", typ: boolean{}, def: "yes", flags: immutable,
		does:  "write and check the checksum of RDB files",
		store: toBool(func(s *Settings) *bool { return &s.RDBChecksum })},
	{name: "rdb-save-incremental-fsync", typ: boolean{}, def: "yes",
		does:  "force a dump to disk bit by bit while it is written, not all at its end",
		store: toBool(func(s *Settings) *bool { return &s.DumpIncrementalFsync })},
	{name: "aof-rewrite-incremental-fsync", typ: boolean{}, def: "yes",
		does:  "the same for a base of the journal, and for the snapshot of a full resync",
		store: toBool(func(s *Settings) *bool { return &s.BaseIncrementalFsync })},
	{name: "rdb-key-save-delay", typ: ints(math.MinInt32, math.MaxInt32), def: "0", flags: hidden,
		does:  "microseconds before each key of a snapshot, for tests; below 0: one, before one key in so many",
		store: toInt(func(s *Settings) *int { return &s.KeySaveDelayMicros })},
	{name: "snapshot-memory-limit", typ: memory{lo: 0, hi: math.MaxInt64, percent: true}, def: "10%", since: "Redoubt",
		does:  "memory that snapshots may hold; in percent of the data, 64 MiB at least; 0: no limit",
		store: func(s *Settings, text string) { s.SnapshotMemory.Bytes, s.SnapshotMemory.Percent = readShare(text) }},
	{name: "snapshot-memory-policy", typ: snapshotPolicies, def: "slow", since: "Redoubt",
		does:  "beyond that limit: slow lets writes wait for the snapshot, abort gives it up",
		store: toChoice(snapshotPolicies, func(s *Settings) *SnapshotPolicy { return &s.SnapshotMemory.Policy })},
	{name: "appendonly", typ: boolean{}, def: "yes", flags: denyLoading,
		does:  "keep the journal; Redis's default is no",
		store: toBool(func(s *Settings) *bool { return &s.AppendOnly })},
	{name: "appendfsync", typ: fsyncPolicies, def: "everysec",
		does:  "when the journal is forced to disk",
		store: toChoice(fsyncPolicies, func(s *Settings) *Fsync { return &s.AppendFsync })},
	{name: "appenddirname", typ: text{check: fileName("appenddirname", "dirname", false)}, def: "appendonlydir", flags: immutable,
		does:  "directory of the journal within dir",
		store: toText(func(s *Settings) *string { return &s.AppendDirName })},
	{name: "appendfilename", typ: text{check: fileName("appendfilename", "filename", false)}, def: "appendonly.aof", flags: immutable,
		does:  "name of Redis's append-only file, by which a directory of Redis is recognised",
		store: toText(func(s *Settings) *string { return &s.AppendFilename })},
	{name: "auto-aof-rewrite-percentage", typ: nonNegative, def: "100",
		does:  "growth of the journal, in percent of its base, that calls for a new base; 0: none does",
		store: toInt(func(s *Settings) *int { return &s.AutoAOFRewritePercentage })},
	{name: "auto-aof-rewrite-min-size", typ: anyBytes, def: "67108864",
		does:  "least size of the journal that calls for a new base",
		store: toInt(func(s *Settings) *int64 { return &s.AutoAOFRewriteMinBytes })},
	{name: "aof-load-truncated", typ: boolean{}, def: "yes",
		does:  "start from a journal whose end is torn",
		store: toBool(func(s *Settings) *bool { return &s.AOFLoadTruncated })},
}

var clientRows = []*directive{
	{name: "requirepass", typ: text{}, flags: sensitive,
		does:  "password of the default user",
		store: toText(func(s *Settings) *string { return &s.RequirePass })},
	{name: "aclfile", typ: text{blank: true}, flags: immutable,
		does:  "file of users, in the place of lines `user`",
		store: toText(func(s *Settings) *string { return &s.ACLFile })},
	{name: "acllog-max-len", typ: unbounded, def: "128",
		does:  "entries that ACL LOG keeps",
		store: toInt(func(s *Settings) *int64 { return &s.ACLLogEntries })},
	{name: "acl-pubsub-default", typ: oneOf("allchannels", "resetchannels"), def: "resetchannels",
		does:  "whether new users may use all channels, or none",
		store: func(s *Settings, text string) { s.ACLAllChannels = text == "allchannels" }},
	{name: "enable-protected-configs", typ: accessLevels, def: "no", flags: immutable,
		does:  "who may change protected settings",
		store: toChoice(accessLevels, func(s *Settings) *Access { return &s.EnableProtectedConfigs })},
	{name: "enable-debug-command", typ: accessLevels, def: "no", flags: immutable,
		does:  "who may use DEBUG",
		store: toChoice(accessLevels, func(s *Settings) *Access { return &s.EnableDebugCommand })},
	{name: "client-output-buffer-limit", typ: outputLimits{},
		def:   "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
		does:  "output that may wait for a client before it is closed",
		store: readOutputLimits},
	{name: "client-query-buffer-limit", typ: bytesFrom(1<<20, math.MaxInt64), def: "1073741824",
		does:  "largest unfinished command of a client",
		store: toInt(func(s *Settings) *int64 { return &s.QueryBufferBytes })},
	{name: "proto-max-bulk-len", typ: bytesFrom(1<<20, math.MaxInt64), def: "536870912",
		does:  "largest argument of a command",
		store: toInt(func(s *Settings) *int64 { return &s.MaxBulkBytes })},
	{name: "notify-keyspace-events", typ: eventClasses{},
		does:  "which events of keys are published; by the key with K, by the event with E",
		store: toText(func(s *Settings) *string { return &s.KeyspaceEvents })},
	{name: "tracking-table-max-keys", typ: unbounded, def: "1000000",
		does:  "keys at most of which the node remembers which clients cache them; 0: no limit",
		store: toInt(func(s *Settings) *int64 { return &s.TrackingMaxKeys })},
}

var replicationRows = []*directive{
	{name: "replicaof", aliases: []string{"slaveof"}, typ: primary{}, flags: immutable,
		does:  "primary to follow, outside of cluster mode",
		store: func(s *Settings, text string) { s.ReplicaOf = readAddress(text) }},
	{name: "masteruser", aliases: []string{"primaryuser"}, typ: text{}, flags: sensitive,
		does:  "user name shown to the primary",
		store: toText(func(s *Settings) *string { return &s.PrimaryUser })},
	{name: "masterauth", aliases: []string{"primaryauth"}, typ: text{}, flags: sensitive,
		does:  "password shown to the primary",
		store: toText(func(s *Settings) *string { return &s.PrimaryAuth })},
	{name: "replica-serve-stale-data", aliases: []string{"slave-serve-stale-data"}, typ: boolean{}, def: "yes",
		does:  "answer from old data while the primary is away",
		store: toBool(func(s *Settings) *bool { return &s.ReplicaServeStaleData })},
	{name: "replica-read-only", aliases: []string{"slave-read-only"}, typ: boolean{}, def: "yes",
		does:  "a replica refuses writes of clients",
		store: toBool(func(s *Settings) *bool { return &s.ReplicaReadOnly })},
	{name: "replica-priority", aliases: []string{"slave-priority"}, typ: nonNegative, def: "100",
		does:  "order in which Sentinel promotes, lowest first; 0: never",
		store: toInt(func(s *Settings) *int { return &s.ReplicaPriority })},
	{name: "replica-announced", typ: boolean{}, def: "yes",
		does:  "let Sentinel tell clients of this replica",
		store: toBool(func(s *Settings) *bool { return &s.ReplicaAnnounced })},
	{name: "replica-announce-ip", aliases: []string{"slave-announce-ip"}, typ: text{},
		does:  "address told to the primary",
		store: toText(func(s *Settings) *string { return &s.ReplicaAnnounceIP })},
	{name: "replica-announce-port", aliases: []string{"slave-announce-port"}, typ: port, def: "0",
		does:  "port told to the primary; 0: port",
		store: toInt(func(s *Settings) *int { return &s.ReplicaAnnouncePort })},
	{name: "repl-diskless-sync", typ: boolean{}, def: "yes",
		does:  "send snapshots to replicas without a file",
		store: toBool(func(s *Settings) *bool { return &s.ReplDisklessSync })},
	{name: "repl-ping-replica-period", aliases: []string{"repl-ping-slave-period"}, typ: atLeastOne, def: "10",
		does:  "seconds between pings of a primary to its replicas",
		store: toDuration(time.Second, func(s *Settings) *time.Duration { return &s.ReplPingReplicaPeriod })},
	{name: "repl-timeout", typ: atLeastOne, def: "60",
		does:  "seconds of silence after which a replication link is closed",
		store: toDuration(time.Second, func(s *Settings) *time.Duration { return &s.ReplTimeout })},
	{name: "repl-disable-tcp-nodelay", typ: boolean{}, def: "no",
		does:  "let TCP gather bytes to replicas",
		store: toBool(func(s *Settings) *bool { return &s.ReplDisableTCPNoDelay })},
	{name: "repl-backlog-size", typ: bytesFrom(1, math.MaxInt64), def: "1048576",
		does:  "bytes of the stream kept for partial resynchronisation without a journal",
		store: toInt(func(s *Settings) *int64 { return &s.ReplBacklogBytes })},
	{name: "min-replicas-to-write", aliases: []string{"min-slaves-to-write"}, typ: nonNegative, def: "0",
		does:  "refuse writes with fewer good replicas",
		store: toInt(func(s *Settings) *int { return &s.MinReplicasToWrite })},
	{name: "min-replicas-max-lag", aliases: []string{"min-slaves-max-lag"}, typ: nonNegative, def: "10",
		does:  "seconds after its last acknowledgement for which a replica counts",
		store: toDuration(time.Second, func(s *Settings) *time.Duration { return &s.MinReplicasMaxLag })},
}

var scriptRows = []*directive{
	{name: "busy-reply-threshold", aliases: []string{"lua-time-limit"}, typ: unbounded, def: "5000",
		does:  "milliseconds after which a script answers others with BUSY; 0: never",
		store: toDuration(time.Millisecond, func(s *Settings) *time.Duration { return &s.BusyReplyThreshold })},
	{name: "lua-memory-limit", typ: bytesFrom(16<<20, math.MaxInt64), def: "536870912", since: "Redoubt",
		does:  "bytes that the Lua values of a script may take, and those of all functions",
		store: toInt(func(s *Settings) *int64 { return &s.LuaMemoryLimit })},
}

var observeRows = []*directive{
	{name: "slowlog-log-slower-than", aliases: []string{"commandlog-execution-slower-than"}, typ: ints(-1, math.MaxInt64), def: "10000",
		does:  "microseconds from which a command is slow; -1: none is",
		store: toDuration(time.Microsecond, func(s *Settings) *time.Duration { return &s.SlowlogLogSlowerThan })},
	{name: "slowlog-max-len", aliases: []string{"commandlog-slow-execution-max-len"}, typ: unbounded, def: "128",
		does:  "slow commands remembered",
		store: toInt(func(s *Settings) *int64 { return &s.SlowlogMaxLen })},
	{name: "latency-monitor-threshold", typ: unbounded, def: "0",
		does:  "milliseconds from which an event is recorded; 0: none is",
		store: toDuration(time.Millisecond, func(s *Settings) *time.Duration { return &s.LatencyMonitorThreshold })},
	{name: "latency-tracking", typ: boolean{}, def: "yes",
		does:  "count how long the calls of each command take",
		store: toBool(func(s *Settings) *bool { return &s.LatencyTracking })},
	{name: "latency-tracking-info-percentiles", typ: percentiles{}, def: "50 99 99.9",
		does:  "percentiles of these times that INFO shows",
		store: func(s *Settings, text string) { s.LatencyPercentiles = readNumbers(text) }},
}
