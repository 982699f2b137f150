package lint

import "strings"

// A room is a package of the module, or several: a path that ends in /... is
// the package before it and all below.
type room struct {
	path string
	pure bool
	// imports are the rooms that files other than tests may import, beside
	// those in everywhere.
	imports []string
	// testOnly rooms may be imported by tests, and by each other.
	testOnly bool
}

// everywhere is the rooms that any may import.
var everywhere = []string{"internal/version"}

// planned is the rooms that are being built. Their rows may be there before they
// are; see unused.
var planned = []string{
	"storage/slab", "storage/tree", "storage/rdb/wire",
	"internal/dashboard",
}

// anyRoom in a list of imports is every room but those for tests.
const anyRoom = "*"

// rooms is the house, from the ground up.
var rooms = []room{
	{path: "slots", pure: true},
	{path: "replication", pure: true},
	{path: "internal/glob", pure: true},
	{path: "internal/pieces", pure: true},
	{path: "internal/resp", pure: true, imports: []string{"internal/pieces"}},
	{path: "internal/bitmap", pure: true},
	{path: "internal/geo", pure: true},
	{path: "internal/hll", pure: true},
	{path: "internal/version", pure: true},
	{path: "internal/fault"}, // faults that tests look for; nothing without the build tag faulty
	{path: "internal/reason"},
	{path: "internal/durable"},
	{path: "internal/logging", imports: []string{"internal/reason"}},

	{path: "bus", pure: true, imports: []string{"slots"}},
	{path: "bus/link", imports: []string{"bus"}},
	{path: "cluster", pure: true, imports: []string{"slots", "bus"}},
	{path: "cluster/vouch", pure: true},
	{path: "cluster/sentinel", pure: true, imports: []string{"cluster/vouch"}},
	{path: "cluster/release", pure: true},
	{path: "cluster/sim/virtual", pure: true},
	{path: "cluster/sim/sentinels", pure: true, imports: []string{"cluster/release", "cluster/sentinel", "cluster/sim/virtual"}},
	{path: "cluster/sim", pure: true, imports: []string{"slots", "bus", "cluster", "cluster/release", "cluster/sim/virtual", "replication"}},

	{path: "storage", imports: []string{"slots", "replication", "internal/pieces", "storage/slab", "storage/tree", "storage/chunk", "storage/rdb/wire"}},
	{path: "storage/slab"},
	{path: "storage/tree", imports: []string{"storage/slab"}},
	{path: "storage/chunk", imports: []string{"storage/rdb/wire"}, pure: true},
	{path: "storage/rdb/wire", pure: true},
	{path: "storage/rdb", imports: []string{"replication", "storage", "storage/rdb/wire"}},
	{path: "storage/snapshot", imports: []string{"slots", "storage", "storage/rdb"}},
	{path: "storage/diskfull"},
	{path: "storage/journal", imports: []string{"replication", "storage/diskfull", "internal/fault", "internal/pieces", "internal/logging", "internal/reason"}},

	{path: "replication/psync", imports: []string{"replication", "storage/rdb", "internal/reason"}},
	{path: "replication/raftgroup", imports: []string{"replication", "storage/diskfull", "internal/durable", "internal/fault"}},

	{path: "internal/acl", imports: []string{"internal/glob"}, pure: true},
	{path: "internal/config", imports: []string{"internal/acl", "internal/durable", "internal/glob", "internal/reason", "internal/resp", "internal/tlsconf"}},
	{path: "internal/aof", imports: []string{"internal/config", "internal/reason"}},
	{path: "internal/rewound", imports: []string{"replication", "internal/durable"}},
	{path: "internal/certs"},
	{path: "internal/proctitle"},
	{path: "internal/tlsconf"},
	{path: "internal/supervisor", imports: []string{"internal/reason"}},
	{path: "internal/pubsub", imports: []string{"slots", "internal/glob"}},
	{path: "internal/command", imports: []string{"slots", "replication", "storage", "storage/chunk", "storage/rdb",
		"internal/acl", "internal/bitmap", "internal/geo", "internal/glob", "internal/hll", "internal/resp"}},
	// The commands about the node and its clients: they know the shell by their
	// own interfaces only.
	{path: "internal/admin", imports: []string{"replication", "storage", "internal/acl", "internal/command", "internal/config", "internal/pubsub", "internal/resp"}},
	{path: "internal/script", imports: []string{"internal/resp", "internal/script/lua"}},
	{path: "internal/script/lua"},
	{path: "internal/metrics"},
	{path: "internal/dashboard", imports: []string{"internal/metrics"}},
	{path: "internal/netlab"}, // networks for tests of whole processes

	// The shell: what runs the rest. It does not know the programs above it.
	{path: "internal/server", imports: []string{"slots", "replication", "storage", "storage/rdb",
		"internal/acl", "internal/admin", "internal/command", "internal/config", "internal/durable", "internal/glob", "internal/logging", "internal/metrics", "internal/pieces", "internal/pubsub", "internal/reason", "internal/resp", "internal/script", "internal/tlsconf"}},
	// A node's parts, which know each other by interfaces, and what wires them.
	{path: "internal/node/mover", imports: []string{"slots", "replication", "storage", "internal/command", "internal/resp", "internal/tlsconf"}},
	{path: "internal/node/driver", imports: []string{"slots", "bus", "bus/link", "cluster", "cluster/release", "replication", "storage",
		"internal/command", "internal/config", "internal/durable", "internal/resp", "internal/server", "internal/supervisor", "internal/tlsconf"}},
	{path: "internal/node", imports: []string{"slots", "bus", "cluster", "cluster/vouch",
		"replication", "replication/psync", "replication/raftgroup", "storage", "storage/journal", "storage/rdb", "storage/snapshot",
		"internal/admin", "internal/aof", "internal/command", "internal/config", "internal/dashboard", "internal/durable", "internal/fault", "internal/metrics",
		"internal/reason", "internal/resp", "internal/rewound", "internal/server", "internal/tlsconf", "internal/node/driver", "internal/node/mover"}},
	// The Sentinel program: a server without data, and the driver of the core.
	{path: "internal/sentinel", imports: []string{"replication", "storage", "cluster/release", "cluster/sentinel",
		"internal/command", "internal/config", "internal/glob", "internal/logging", "internal/metrics", "internal/reason", "internal/resp", "internal/server", "internal/supervisor", "internal/tlsconf"}},

	// Files are read by the code that a node reads them with.
	{path: "internal/tools/filecheck", imports: []string{"internal/aof", "internal/reason", "storage/rdb"}},
	{path: "internal/tools/journaltool", imports: []string{"internal/rewound", "replication", "replication/psync", "storage/journal"}},
	// The tools speak to nodes as clients do, so that they work on real Redis
	// too: they know nothing of the server.
	{path: "internal/tools/...", imports: []string{"slots", "internal/certs", "internal/tlsconf", "internal/tools/..."}},
	{path: "cmd/redoubt/...", imports: []string{anyRoom}},
	// Tests only, of the binary from outside.
	{path: "interop", imports: []string{anyRoom}},

	{path: "cluster/sim/seedtest", testOnly: true},
	{path: "internal/command/commandtest", imports: []string{"internal/command"}, testOnly: true},
	{path: "internal/node/nodetest", imports: []string{"slots", "replication", "storage", "internal/command", "internal/resp"}, testOnly: true},
	{path: "internal/redistest/...", imports: []string{"internal/certs"}, testOnly: true},
	// Histories of clients and their checkers, and what makes such histories.
	{path: "internal/chaos/history", pure: true},
	{path: "internal/chaos", imports: []string{"slots", "internal/netlab", "internal/chaos/history", "internal/redistest/..."}, testOnly: true},
	{path: "internal/lint", testOnly: true},
}

// A module is something outside of ours, and who may import it. A path stands
// for all packages that it begins.
type module struct {
	path      string
	importers []string // rooms; anyRoom: all that are not pure
	// tests of every room may import it, and rooms that are for tests only.
	tests bool
}

// modules is the external modules with a decision record. Each that can be
// kept behind one room is.
var modules = []module{
	{path: "github.com/cockroachdb/pebble/v2", importers: []string{"storage/diskfull", "storage/journal", "replication/raftgroup"}},
	{path: "github.com/hashicorp/raft", importers: []string{"replication/raftgroup"}},
	{path: "github.com/hashicorp/go-hclog", importers: []string{"replication/raftgroup"}},
	{path: "github.com/tidwall/resp", importers: []string{"internal/tools/..."}, tests: true},
	{path: "github.com/spf13/cobra", importers: []string{"cmd/redoubt/..."}},
	{path: "github.com/spf13/pflag", importers: []string{"cmd/redoubt/..."}},
	{path: "go.uber.org/zap", importers: []string{anyRoom}, tests: true},
	{path: "golang.org/x/sys/unix", importers: []string{"storage/slab", "storage/journal", "internal/admin", "internal/netlab", "internal/server", "internal/node/..."}, tests: true},

	{path: "github.com/anishathalye/porcupine", importers: []string{"internal/chaos/history"}},
	{path: "github.com/cockroachdb/datadriven", tests: true},
	{path: "github.com/hibiken/asynq", tests: true},
	{path: "github.com/redis/go-redis/v9", tests: true},
	{path: "github.com/redis/rueidis", tests: true},
	{path: "go.uber.org/goleak", tests: true},
	{path: "pgregory.net/rapid", tests: true},
}

// longFiles is the files that may have more than maxLines lines, with the
// reason.
var longFiles = map[string]string{}

// maxLines is where a file has a second noun in it.
const maxLines = 800

// roomOf finds the row of a package, by its path within the module.
func roomOf(path string) *room {
	for i := range rooms {
		if covers(rooms[i].path, path) {
			return &rooms[i]
		}
	}
	return nil
}

// covers reports whether a pattern of the tables stands for the package.
func covers(pattern, path string) bool {
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == below || strings.HasPrefix(path, below+"/")
	}
	return pattern == path
}

// listed reports whether one of the patterns stands for the package.
func listed(patterns []string, path string) bool {
	for _, pattern := range patterns {
		if covers(pattern, path) {
			return true
		}
	}
	return false
}
