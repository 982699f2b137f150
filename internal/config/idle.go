package config

import (
	"slices"
	"strings"
)

// idle says, of each row that is only kept and has no lacks, what is done here in the
// place of what the directive is about. The log tells it to whoever has set one to
// something else than its default. Names of one kind share a line.
var idle = byDirective(map[string]string{
	"lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-user-del lazyfree-lazy-user-flush replica-lazy-flush": "memory is always freed in slices, between commands",

	"lazyexpire-nested-arbitrary-keys":      "a script deletes the expired keys that it meets, as in Redis 7.2",
	"key-memory-histograms":                 "there are no histograms of the sizes of keys",
	"active-defrag-cycle-max":               activeDefrag,
	"active-defrag-cycle-min":               activeDefrag,
	"active-defrag-cycle-us":                activeDefrag,
	"active-defrag-max-scan-fields":         activeDefrag,
	"active-defrag-threshold-upper":         activeDefrag,
	"activerehashing":                       "tables grow and shrink slice by slice, in any case",
	"disable-thp":                           "the process does not fork, so transparent huge pages do no harm",
	"jemalloc-bg-thread":                    "the memory is not jemalloc's",
	"list-compress-depth":                   "nodes of lists are not compressed",
	"stream-idmp-duration":                  "XADD knows no idempotent producers",
	"stream-idmp-maxsize":                   "XADD knows no idempotent producers",
	"array-slice-size":                      arrays,
	"array-sparse-kmax":                     arrays,
	"array-sparse-kmin":                     arrays,
	"sanitize-dump-payload":                 "payloads and files are always checked",
	"no-appendfsync-on-rewrite":             "the journal is synced while a base is made, too: no write is less durable for that time",
	"aof-disable-auto-gc":                   "what the journal does not need any more is deleted",
	"aof-load-corrupt-tail-max-size":        "a journal that is damaged before its end ends the start",
	"aof-timestamp-enabled":                 "the journal has no timestamps, so it cannot be cut at a moment",
	"aof-use-rdb-preamble":                  "a base is always an RDB file",
	"loading-process-events-interval-bytes": "clients are answered while data are loaded, by the event loops",
	"rdb-del-sync-files":                    "a snapshot that was received is deleted when nothing needs it",
	"rdb-version-check":                     "a file of a later version is read as far as its types are known",
	"repl-diskless-sync-delay":              "a snapshot is sent at once, to any number of replicas",
	"repl-diskless-sync-max-replicas":       "a snapshot is sent at once, to any number of replicas",
	"repl-backlog-ttl":                      "the backlog does not age",
	"propagation-error-behavior":            "a command of the stream that fails is logged, and the stream goes on",
	"dual-channel-replication-enabled":      "replicas get the stream behind a snapshot from the journal, over the same connection",
	"import-mode":                           "expired keys are deleted by every primary",
	"repl-mptcp":                            "replication uses plain TCP",
	"repl-rdb-channel":                      "replicas get the stream behind a snapshot from the journal, over the same connection",
	"replica-full-sync-buffer-limit":        "nothing is buffered in a full resync: the journal holds it",
	"replica-ignore-disk-write-errors":      "a replica whose disk fails ends, or waits for space, as a primary does",
	"enable-module-command":                 "there are no modules",
	"extended-redis-compatibility":          "the names are Redis's in any case",
	"lua-enable-insecure-api":               "they do not exist",
	"vset-force-single-threaded-execution":  "there are no vector sets",
	"always-show-logo":                      "there is no logo",
	"dynamic-hz":                            "the work of hz does not grow with the number of clients",
	"active-expire-effort":                  "keys are deleted when their time has come, by a queue that is ordered by time",
	"io-threads":                            eventLoops,
	"io-threads-always-active":              eventLoops,
	"io-threads-do-reads":                   eventLoops,
	"events-per-io-thread":                  eventLoops,
	"lookahead":                             "requests of a pipeline are executed as they are parsed",
	"min-io-threads-avoid-copy-reply":       eventLoops,
	"min-string-size-avoid-copy-reply":      eventLoops,
	"prefetch-batch-max-size":               "keys are prefetched by the event loops",
	"server_cpulist":                        processors,
	"bio_cpulist":                           processors,
	"aof_rewrite_cpulist":                   processors,
	"bgsave_cpulist":                        processors,
	"max-new-connections-per-cycle":         "connections are accepted as they come",
	"max-new-tls-connections-per-cycle":     "connections are accepted as they come",
	"mptcp":                                 "clients are served over plain TCP",
	"rdma-bind":                             rdma,
	"rdma-completion-vector":                rdma,
	"rdma-port":                             rdma,
	"rdma-rx-size":                          rdma,
	"socket-mark-id":                        "sockets are not marked",
	"cluster-slot-migration-handoff-max-lag-bytes cluster-slot-migration-log-max-len cluster-slot-migration-max-archived-tasks " +
		"cluster-slot-migration-sync-buffer-drain-timeout cluster-slot-migration-write-pause-timeout slot-migration-max-failover-repl-bytes": "slots are moved key by key, by MIGRATE",
	"cluster-compatibility-sample-ratio":        "no commands are counted that a cluster would refuse",
	"cluster-config-save-behavior":              "what must not be forgotten is on disk before anybody is told of it",
	"cluster-message-gossip-perc":               "a message tells of a tenth of the nodes, three at least; nodes of ours of three and of news",
	"tls-prefer-server-ciphers":                 "the server prefers its ciphers in any case",
	"tls-session-cache-size":                    "sessions are resumed by tickets, which take no memory here",
	"availability-zone":                         "INFO and HELLO tell no zone",
	"client-default-resp":                       "connections begin with RESP2, until they say HELLO 3",
	"commandlog-large-reply-max-len":            commandLog,
	"commandlog-large-request-max-len":          commandLog,
	"commandlog-reply-larger-than":              commandLog,
	"commandlog-request-larger-than":            commandLog,
	"crash-log-enabled":                         "a crash is always reported, by Go's runtime",
	"crash-memcheck-enabled":                    "a crash does not check the memory",
	"debug-context":                             "no report of a crash has it",
	"enable-debug-assert":                       "there are no assertions to switch on",
	"hash-seed":                                 "the seed is drawn at each start",
	"hide-user-data-from-log":                   "the log shows no values; names of keys stand in lines about damaged data",
	"ignore-warnings":                           "there are no such warnings",
	"locale-collate":                            "SORT ALPHA compares bytes",
	"log-format":                                "lines of the log are those of Redis 7",
	"log-timestamp-format":                      "lines of the log are those of Redis 7",
	"req-res-logfile":                           "requests and replies are not logged",
	"slowlog-entry-max-argc":                    "the slow log shows 32 arguments",
	"slowlog-entry-max-string-len":              "the slow log shows 128 bytes of an argument",
	"use-exit-on-panic":                         "Go's runtime ends the process",
	"watchdog-period":                           "there is no software watchdog; the latency monitor shows what takes long",
	"min-string-size-avoid-copy-reply-threaded": eventLoops,
})

const (
	activeDefrag = "memory is compacted in slices of some tens of microseconds, between commands"
	arrays       = "there is no type array"
	eventLoops   = "commands run on the event loops that read them, several at a time"
	processors   = "the process runs on all processors that the system gives it; taskset limits them"
	rdma         = "there is no RDMA"
	commandLog   = "only slow commands are remembered (SLOWLOG)"
)

// byDirective gives each name of a key its text.
func byDirective(texts map[string]string) map[*directive]string {
	of := make(map[*directive]string)
	for names, text := range texts {
		for _, name := range strings.Fields(names) {
			of[row(name)] = text
		}
	}
	return of
}

// instead is what is done in the place of what a row is about that is only kept.
func (d *directive) instead() string {
	if text := idle[d]; text != "" {
		return text
	}
	if strings.HasPrefix(d.name, "tls-") {
		return "TLS is not built"
	}
	return "it is about a module, and there are none" // moduleRows
}

// Idle says, of a directive that is kept only and has another value than its default,
// what is done in its place; "" if there is nothing to say, or Lacking says it.
func (c *Config) Idle(name string) string {
	d := lookup(name)
	if d == nil || d.does != "" || d.lacks != "" || d.refuse != "" || c.Current().text[d.index] == d.def {
		return ""
	}
	return d.instead()
}

// Unused returns a line for the log for each directive that is set to something else than
// its default and has no effect here. Those of Warnings are not among them.
func (c *Config) Unused() (lines []string) {
	for _, d := range table {
		if why := c.Idle(d.name); why != "" {
			lines = append(lines, d.name+" has no effect here: "+why)
		}
	}
	return lines
}

// ofNodes is the rows that mean nothing to a Sentinel, which keeps no data.
func ofNodes() []*directive {
	rows := slices.Concat(durabilityRows, memoryRows, encodingRows, deletionRows, replicationRows, clusterRows)
	for _, name := range []string{"databases", "notify-keyspace-events", "tracking-table-max-keys"} {
		rows = append(rows, row(name))
	}
	return slices.DeleteFunc(rows, func(d *directive) bool { return d.name == "dir" || d.name == "maxmemory-clients" })
}

// Foreign returns the names of the directives that are set to something else than their
// default and that a Sentinel does not look at.
func (c *Config) Foreign() (names []string) {
	for _, d := range ofNodes() {
		if d.does != "" && c.Current().text[d.index] != d.def {
			names = append(names, d.name)
		}
	}
	return names
}
