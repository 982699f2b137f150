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
var everywhere = []string{"internal/invariant", "internal/version"}

// anyRoom in a list of imports is every room but those for tests.
const anyRoom = "*"

// rooms is the house, from the ground up.
var rooms = []room{
	{path: "slots", pure: true},
	{path: "replication", pure: true},
	{path: "internal/glob", pure: true},
	{path: "internal/resp", pure: true},
	{path: "internal/invariant", pure: true},
	{path: "internal/version", pure: true},
	{path: "internal/logging"},

	{path: "bus", pure: true, imports: []string{"slots"}},
	{path: "bus/link", imports: []string{"slots", "bus"}},
	{path: "cluster", pure: true, imports: []string{"slots", "bus"}},
	{path: "cluster/migrate", pure: true, imports: []string{"slots", "bus", "cluster"}},
	{path: "cluster/sentinel", pure: true, imports: []string{"slots", "bus", "cluster"}},
	{path: "cluster/sim", pure: true, imports: []string{"slots", "bus", "cluster", "cluster/migrate", "cluster/sentinel", "replication"}},

	{path: "storage", imports: []string{"slots", "replication", "internal/resp",
		"storage/slab", "storage/tree", "storage/stream", "storage/hll", "storage/geo"}},
	{path: "storage/slab"},
	{path: "storage/tree", imports: []string{"storage/slab"}},
	{path: "storage/stream"},
	{path: "storage/hll"},
	{path: "storage/geo"},
	{path: "storage/rdb", pure: true, imports: []string{"slots", "replication", "storage"}},
	{path: "storage/snapshot", imports: []string{"slots", "replication", "storage", "storage/rdb"}},
	{path: "storage/journal", imports: []string{"slots", "replication", "storage", "internal/resp"}},

	{path: "replication/psync", imports: []string{"slots", "replication", "storage", "storage/rdb", "storage/snapshot", "storage/journal", "internal/resp"}},
	{path: "replication/raftgroup", imports: []string{"slots", "replication", "storage", "storage/rdb", "storage/snapshot", "storage/journal"}},

	{path: "internal/acl", imports: []string{"slots", "internal/glob", "internal/resp"}},
	{path: "internal/config", imports: []string{"internal/glob"}},
	{path: "internal/pubsub", imports: []string{"slots", "internal/glob"}},
	{path: "internal/command", imports: []string{"slots", "replication", "storage", "storage/rdb",
		"internal/acl", "internal/glob", "internal/pubsub", "internal/resp"}},
	{path: "internal/script", imports: []string{"slots", "storage", "internal/command", "internal/resp"}},
	{path: "internal/metrics"},
	{path: "internal/dashboard", imports: []string{"internal/metrics"}},

	// The shell: what runs the rest. It does not know the programs above it.
	{path: "internal/server", imports: []string{"slots", "replication", "storage", "storage/snapshot", "cluster",
		"internal/acl", "internal/command", "internal/config", "internal/glob", "internal/metrics", "internal/pubsub", "internal/resp", "internal/script"}},
	{path: "internal/node", imports: []string{"slots", "bus", "bus/link", "cluster", "cluster/migrate", "cluster/sentinel",
		"replication", "replication/psync", "replication/raftgroup", "storage", "storage/journal", "storage/rdb", "storage/snapshot",
		"internal/acl", "internal/command", "internal/config", "internal/dashboard", "internal/glob", "internal/metrics",
		"internal/pubsub", "internal/resp", "internal/script", "internal/server"}},

	// The tools speak to nodes as clients do, so that they work on real Redis
	// too: they know nothing of the server.
	{path: "internal/tools/...", imports: []string{"slots", "internal/tools/..."}},
	{path: "cmd/redoubt/...", imports: []string{anyRoom}},
	// Tests only, of the binary from outside.
	{path: "interop", imports: []string{anyRoom}},

	{path: "internal/redistest/...", testOnly: true, imports: []string{"slots"}},
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
	{path: "github.com/cockroachdb/pebble/v2", importers: []string{"storage/journal"}},
	{path: "github.com/hashicorp/raft", importers: []string{"replication/raftgroup"}},
	{path: "github.com/yuin/gopher-lua", importers: []string{"internal/script"}},
	{path: "github.com/prometheus/client_golang", importers: []string{"internal/metrics"}},
	{path: "github.com/tidwall/resp", importers: []string{"cmd/redoubt/...", "internal/tools/..."}, tests: true},
	{path: "github.com/spf13/cobra", importers: []string{"cmd/redoubt/..."}},
	{path: "github.com/spf13/pflag", importers: []string{"cmd/redoubt/..."}},
	{path: "go.uber.org/zap", importers: []string{anyRoom}, tests: true},
	{path: "golang.org/x/sys/unix", importers: []string{"bus/link", "storage/slab", "storage/journal", "internal/server", "internal/node", "cmd/redoubt/..."}, tests: true},

	{path: "github.com/anishathalye/porcupine", tests: true},
	{path: "github.com/cockroachdb/datadriven", tests: true},
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
