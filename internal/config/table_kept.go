package config

import "math"

// unbuiltTLS is the reason why a node that should use TLS does not start.
const unbuiltTLS = "TLS is not built, and what should be encrypted would go over the network in plain text"

// keptRows is the settings of Redis up to 8 and Valkey up to 9 that have no
// meaning here yet. Their values are checked, kept, shown by CONFIG GET and
// written back, so that a configuration can move in and out again.
var keptRows = []*directive{
	// Memory and eviction.
	{name: "lazyfree-lazy-eviction", typ: boolean{}, def: "no"},
	{name: "lazyfree-lazy-expire", typ: boolean{}, def: "no"},
	{name: "lazyfree-lazy-user-del", typ: boolean{}, def: "no"},
	{name: "lazyfree-lazy-user-flush", typ: boolean{}, def: "no"},
	{name: "replica-lazy-flush", aliases: []string{"slave-lazy-flush"}, typ: boolean{}, def: "no"},
	{name: "lazyexpire-nested-arbitrary-keys", typ: boolean{}, def: "yes", flags: hidden, since: "Redis 8.0"},
	{name: "key-memory-histograms", typ: boolean{}, def: "no", flags: immutable, since: "Redis 8.6"},
	{name: "active-defrag-cycle-max", typ: ints(1, 99), def: "25"},
	{name: "active-defrag-cycle-min", typ: ints(1, 99), def: "1"},
	{name: "active-defrag-cycle-us", typ: ints(0, 100000), def: "500", since: "Valkey 8.1"},
	{name: "active-defrag-max-scan-fields", typ: ints(1, math.MaxInt64), def: "1000"},
	{name: "active-defrag-threshold-upper", typ: ints(0, 1000), def: "100"},
	{name: "activerehashing", typ: boolean{}, def: "yes"},
	{name: "disable-thp", typ: boolean{}, def: "yes", flags: immutable},
	{name: "jemalloc-bg-thread", typ: boolean{}, def: "yes"},

	// Encodings of values.
	{name: "list-compress-depth", typ: nonNegative, def: "0"},
	{name: "stream-idmp-duration", typ: unbounded, def: "100", since: "Redis 8.6"},
	{name: "stream-idmp-maxsize", typ: unbounded, def: "100", since: "Redis 8.6"},
	{name: "array-slice-size", typ: unbounded, def: "4096", since: "Redis 8.8"},
	{name: "array-sparse-kmax", typ: unbounded, def: "10", since: "Redis 8.8"},
	{name: "array-sparse-kmin", typ: unbounded, def: "5", since: "Redis 8.8"},
	{name: "sanitize-dump-payload", typ: oneOf("no", "yes", "clients"), def: "no"},

	// Files of Redis.
	{name: "no-appendfsync-on-rewrite", typ: boolean{}, def: "no"},
	{name: "aof-disable-auto-gc", typ: boolean{}, def: "no", flags: hidden},
	{name: "aof-load-corrupt-tail-max-size", typ: anyBytes, def: "0", since: "Redis 8.6"},
	{name: "aof-timestamp-enabled", typ: boolean{}, def: "no"},
	{name: "aof-use-rdb-preamble", typ: boolean{}, def: "yes"},
	{name: "loading-process-events-interval-bytes", typ: bytesFrom(1024, math.MaxInt32), def: "2097152", flags: hidden},
	{name: "rdb-del-sync-files", typ: boolean{}, def: "no"},
	{name: "rdb-version-check", typ: oneOf("strict", "relaxed"), def: "strict", since: "Valkey 8.1"},

	// Replication.
	{name: "repl-diskless-sync-delay", typ: nonNegative, def: "5"},
	{name: "repl-diskless-sync-max-replicas", typ: nonNegative, def: "0"},
	{name: "repl-backlog-ttl", typ: unbounded, def: "3600"},
	{name: "propagation-error-behavior", typ: propagationErrors, def: "ignore"},
	{name: "dual-channel-replication-enabled", typ: boolean{}, def: "no", since: "Valkey 8.0"},
	{name: "import-mode", typ: boolean{}, def: "no", since: "Valkey 8.1"},
	{name: "repl-mptcp", typ: boolean{}, def: "no", since: "Valkey 9.0"},
	{name: "repl-rdb-channel", typ: boolean{}, def: "no", flags: hidden, since: "Redis 8.0"},
	{name: "replica-full-sync-buffer-limit", typ: anyBytes, def: "0", since: "Redis 8.0"},
	{name: "replica-ignore-disk-write-errors", typ: boolean{}, def: "no"},

	// Commands and scripts.
	{name: "enable-module-command", typ: accessLevels, def: "no", flags: immutable},
	{name: "extended-redis-compatibility", typ: boolean{}, def: "no", since: "Valkey 8.0"},
	{name: "lua-enable-insecure-api", aliases: []string{"lua-enable-deprecated-api"}, typ: boolean{}, def: "no", flags: hidden, since: "Redis 7.4, Valkey 8.1"},
	{name: "vset-force-single-threaded-execution", typ: boolean{}, def: "no", since: "Redis 8.0"},

	// The process.
	{name: "always-show-logo", typ: boolean{}, def: "no", flags: immutable},
	{name: "dynamic-hz", typ: boolean{}, def: "yes"},
	{name: "active-expire-effort", typ: ints(1, 10), def: "1"},

	// Threads and processors.
	{name: "io-threads", typ: ints(1, 256), def: "1", flags: immutable},
	{name: "io-threads-always-active", typ: boolean{}, def: "no", flags: hidden, since: "Valkey 9.0"},
	{name: "io-threads-do-reads", typ: boolean{}, def: "no", flags: immutable},
	{name: "events-per-io-thread", typ: nonNegative, def: "2", flags: hidden, since: "Valkey 8.0"},
	{name: "lookahead", typ: atLeastOne, def: "16", since: "Redis 8.4"},
	{name: "min-io-threads-avoid-copy-reply", typ: nonNegative, def: "7", flags: hidden, since: "Valkey 9.0"},
	{name: "min-string-size-avoid-copy-reply", typ: nonNegative, def: "16384", flags: hidden, since: "Valkey 9.0"},
	{name: "min-string-size-avoid-copy-reply-threaded", typ: nonNegative, def: "65536", flags: hidden, since: "Valkey 9.0"},
	{name: "prefetch-batch-max-size", typ: ints(0, 128), def: "16", since: "Valkey 8.0"},
	{name: "server_cpulist", aliases: []string{"server-cpulist"}, typ: text{}, flags: immutable},
	{name: "bio_cpulist", aliases: []string{"bio-cpulist"}, typ: text{}, flags: immutable},
	{name: "aof_rewrite_cpulist", aliases: []string{"aof-rewrite-cpulist"}, typ: text{}, flags: immutable},
	{name: "bgsave_cpulist", aliases: []string{"bgsave-cpulist"}, typ: text{}, flags: immutable},

	// Connections.
	{name: "max-new-connections-per-cycle", typ: ints(1, 1000), def: "10", since: "Redis 7.4, Valkey 8.0"},
	{name: "max-new-tls-connections-per-cycle", typ: ints(1, 1000), def: "1", since: "Redis 7.4, Valkey 8.0"},
	{name: "mptcp", typ: boolean{}, def: "no", flags: immutable, since: "Valkey 9.0"},
	{name: "rdma-bind", typ: addresses{}, flags: immutable, since: "Valkey 8.1"},
	{name: "rdma-completion-vector", typ: ints(-1, math.MaxInt32), def: "-1", flags: immutable, since: "Valkey 8.1"},
	{name: "rdma-port", typ: port, def: "0", flags: immutable, since: "Valkey 8.1"},
	{name: "rdma-rx-size", typ: bytesFrom(64<<10, 16<<20), def: "1048576", flags: immutable, since: "Valkey 8.1"},
	{name: "socket-mark-id", typ: ints(0, math.MaxUint32), def: "0", flags: immutable},
	{name: "unixsocketgroup", typ: text{}, flags: immutable, since: "Valkey 8.0"},
	{name: "tls-port", typ: port, def: "0", refuse: unbuiltTLS},
	{name: "tls-auth-clients", typ: oneOf("no", "yes", "optional"), def: "yes"},
	{name: "tls-auth-clients-user", typ: oneOf("off", "cn", "uri"), def: "off", since: "Redis 8.6, Valkey 8.1"},
	{name: "tls-auto-reload-interval", typ: nonNegative, def: "0", since: "Valkey 9.1"},
	{name: "tls-ca-cert-dir", typ: text{}},
	{name: "tls-ca-cert-file", typ: text{}},
	{name: "tls-cert-file", typ: text{}},
	{name: "tls-ciphers", typ: text{}},
	{name: "tls-ciphersuites", typ: text{}},
	{name: "tls-client-cert-file", typ: text{}},
	{name: "tls-client-key-file", typ: text{}},
	{name: "tls-client-key-file-pass", typ: text{}, flags: sensitive},
	{name: "tls-cluster", typ: boolean{}, def: "no", refuse: unbuiltTLS},
	{name: "tls-dh-params-file", typ: text{}},
	{name: "tls-key-file", typ: text{}},
	{name: "tls-key-file-pass", typ: text{}, flags: sensitive},
	{name: "tls-prefer-server-ciphers", typ: boolean{}, def: "no"},
	{name: "tls-protocols", typ: text{}},
	{name: "tls-replication", typ: boolean{}, def: "no", refuse: unbuiltTLS},
	{name: "tls-session-cache-size", typ: nonNegative, def: "20480"},
	{name: "tls-session-cache-timeout", typ: nonNegative, def: "300"},
	{name: "tls-session-caching", typ: boolean{}, def: "yes"},

	// Logs and crashes.
	{name: "availability-zone", typ: text{blank: true}, since: "Valkey 8.0"},
	{name: "client-default-resp", typ: ints(2, 3), def: "2", flags: immutable | hidden, since: "Redis 7.2"},
	{name: "commandlog-large-reply-max-len", typ: unbounded, def: "128", since: "Valkey 8.1"},
	{name: "commandlog-large-request-max-len", typ: unbounded, def: "128", since: "Valkey 8.1"},
	{name: "commandlog-reply-larger-than", typ: ints(-1, math.MaxInt64), def: "1048576", since: "Valkey 8.1"},
	{name: "commandlog-request-larger-than", typ: ints(-1, math.MaxInt64), def: "1048576", since: "Valkey 8.1"},
	{name: "crash-log-enabled", typ: boolean{}, def: "yes"},
	{name: "crash-memcheck-enabled", typ: boolean{}, def: "yes"},
	{name: "debug-context", typ: text{blank: true}, flags: hidden, since: "Valkey 8.0"},
	{name: "enable-debug-assert", typ: boolean{}, def: "no", flags: immutable | hidden, since: "Valkey 8.0"},
	{name: "hash-seed", typ: text{}, flags: immutable | hidden, since: "Valkey 9.0"},
	{name: "hide-user-data-from-log", typ: boolean{}, def: "no", since: "Redis 7.4, Valkey 8.0"},
	{name: "ignore-warnings", typ: text{blank: true}},
	{name: "locale-collate", typ: text{blank: true}, since: "Redis 7.2"},
	{name: "log-format", typ: oneOf("legacy", "logfmt", "json"), def: "legacy", since: "Valkey 8.1"},
	{name: "log-timestamp-format", typ: oneOf("legacy", "iso8601", "milliseconds"), def: "legacy", since: "Valkey 8.1"},
	{name: "req-res-logfile", typ: text{}, flags: immutable | hidden, since: "Redis 7.2"},
	{name: "slowlog-entry-max-argc", typ: nonNegative, def: "32", since: "Redis 8.8"},
	{name: "slowlog-entry-max-string-len", typ: nonNegative, def: "128", since: "Redis 8.8"},
	{name: "syslog-enabled", typ: boolean{}, def: "no", flags: immutable, lacks: "nothing is sent to syslog"},
	{name: "syslog-facility", typ: oneOf("user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"), def: "local0", flags: immutable},
	{name: "syslog-ident", typ: text{blank: true}, def: "redis", flags: immutable},
	{name: "use-exit-on-panic", typ: boolean{}, def: "no", flags: hidden},
	{name: "watchdog-period", typ: nonNegative, def: "0", flags: hidden},
}

// moduleRows is the settings of the modules that Redis 8 ships with: time
// series, probabilistic structures and search. Their values are kept as they
// are written.
var moduleRows = keptTexts("Redis 8.0",
	"bf-error-rate", "0.01", "bf-expansion-factor", "2", "bf-initial-size", "100",
	"cf-bucket-size", "2", "cf-expansion-factor", "1", "cf-initial-size", "1024",
	"cf-max-expansions", "32", "cf-max-iterations", "20",
	"ts-chunk-size-bytes", "4096", "ts-compaction-policy", "", "ts-duplicate-policy", "block",
	"ts-encoding", "compressed", "ts-ignore-max-time-diff", "0", "ts-ignore-max-val-diff", "0",
	"ts-num-threads", "3", "ts-retention-policy", "0",
	"search-_free-resource-on-thread", "yes", "search-_numeric-compress", "no",
	"search-_numeric-ranges-parents", "0", "search-_print-profile-clock", "yes",
	"search-_prioritize-intersect-union-children", "no", "search-bg-index-sleep-gap", "100",
	"search-bm25std-tanh-factor", "4", "search-conn-per-shard", "0", "search-cursor-max-idle", "300000",
	"search-cursor-reply-threshold", "1", "search-default-dialect", "1", "search-default-scorer", "BM25STD",
	"search-enable-unstable-features", "no", "search-ext-load", "", "search-fork-gc-clean-threshold", "100",
	"search-fork-gc-retry-interval", "5", "search-fork-gc-run-interval", "30",
	"search-fork-gc-sleep-before-exit", "0", "search-friso-ini", "", "search-gc-scan-size", "100",
	"search-index-cursor-limit", "128", "search-io-threads", "1", "search-max-aggregate-results", "2147483648",
	"search-max-doctablesize", "1000000", "search-max-prefix-expansions", "200",
	"search-max-search-results", "1000000", "search-min-operation-workers", "4",
	"search-min-phonetic-term-len", "3", "search-min-prefix", "2", "search-min-stem-len", "4",
	"search-multi-text-slop", "100", "search-no-gc", "no", "search-no-mem-pools", "no",
	"search-on-oom", "return", "search-on-timeout", "return", "search-partial-indexed-docs", "no",
	"search-raw-docid-encoding", "no", "search-threads", "20", "search-tiered-hnsw-buffer-limit", "1024",
	"search-timeout", "500", "search-topology-validation-timeout", "30000",
	"search-union-iterator-heap", "20", "search-vss-max-resize", "0", "search-workers", "0",
	"search-workers-priority-bias-threshold", "1",
)

// keptTexts makes rows of names and defaults.
func keptTexts(since string, pairs ...string) []*directive {
	var rows []*directive
	for i := 0; i < len(pairs); i += 2 {
		rows = append(rows, &directive{name: pairs[i], def: pairs[i+1], typ: text{blank: true}, since: since})
	}
	return rows
}
