package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the module's directory.
const root = "../.."

// sources reads all Go files of the module.
func sources(t *testing.T) []file {
	t.Helper()
	var files []file
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			// The go command does not look into these either.
			if path != root && (name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		files = append(files, file{dir: filepath.ToSlash(dir), name: name, src: src})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d files found: the walk is broken", len(files))
	}
	return files
}

func TestHouseRules(t *testing.T) {
	for _, f := range sources(t) {
		for _, wrong := range check(f) {
			t.Error(wrong)
		}
	}
}

// Every package begins with a comment on what it is.
func TestPackagesAreDocumented(t *testing.T) {
	documented := make(map[string]bool)
	for _, f := range sources(t) {
		if !f.isTest() {
			documented[f.dir] = documented[f.dir] || hasDoc(f)
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

// An exception for a file that is gone or has shrunk is an exception for the
// next one.
func TestLongFilesAreStillLong(t *testing.T) {
	lines := make(map[string]int)
	for _, f := range sources(t) {
		lines[f.path()] = strings.Count(string(f.src), "\n")
	}
	for path, why := range longFiles {
		if lines[path] <= maxLines || why == "" {
			t.Errorf("%s has %d lines, and the reason %q: drop it from longFiles", path, lines[path], why)
		}
	}
}

// The table itself: rows name rooms that exist in it, and pure rooms import
// pure rooms.
func TestTableIsConsistent(t *testing.T) {
	var seen []string
	for _, r := range rooms {
		if slices.Contains(seen, r.path) {
			t.Errorf("%s has two rows", r.path)
		}
		seen = append(seen, r.path)
		for _, path := range r.imports {
			target := roomOf(strings.TrimSuffix(path, "/..."))
			switch {
			case path == anyRoom:
			case target == nil:
				t.Errorf("%s may import %s, which has no row", r.path, path)
			case r.pure && !target.pure:
				t.Errorf("%s is pure and may import %s, which is not", r.path, path)
			}
		}
	}
	for _, m := range modules {
		for _, path := range m.importers {
			if path != anyRoom && roomOf(strings.TrimSuffix(path, "/...")) == nil {
				t.Errorf("%s may be imported by %s, which has no row", m.path, path)
			}
		}
	}
}

// The checks find what they are there for.
func TestChecks(t *testing.T) {
	for _, c := range []struct {
		name, dir, file, src string
		want                 string // in what is said; "" if nothing is
	}{
		{"a room may import what its row says", "bus", "a.go", `import "redoubt/slots"`, ""},
		{"and nothing else", "bus", "a.go", `import "redoubt/cluster"`, "bus imports redoubt/cluster: this room imports slots only"},
		{"a room at the ground imports none", "slots", "a.go", `import "redoubt/bus"`, "imports no other"},
		{"cluster does not know replication", "cluster", "a.go", `import "redoubt/replication"`, "this room imports slots, bus only"},
		{"tools do not know the server", "internal/tools/lab", "a.go", `import "redoubt/internal/server"`, "imports slots, internal/certs, internal/tlsconf, internal/tools/... only"},
		{"tools know each other", "internal/tools/lab", "a.go", `import "redoubt/internal/tools/client"`, ""},
		{"the program knows all rooms", "cmd/redoubt", "a.go", `import "redoubt/internal/server"`, ""},
		{"but not those for tests", "cmd/redoubt", "a.go", `import "redoubt/internal/redistest"`, "for tests only"},
		{"tests may", "bus", "a_test.go", `import "redoubt/internal/redistest"`, ""},
		{"a room without a row", "internal/attic", "a.go", ``, "internal/attic: not in the table of rooms; add a row"},
		{"an import of a room without a row", "cmd/redoubt", "a.go", `import "redoubt/internal/attic"`, "not in the table of rooms"},
		{"pebble in its room", "storage/journal", "a.go", `import "github.com/cockroachdb/pebble/v2/vfs"`, ""},
		{"pebble elsewhere", "storage", "a.go", `import "github.com/cockroachdb/pebble/v2"`, "imported by storage/diskfull, storage/journal, replication/raftgroup only"},
		{"pebble in a test elsewhere", "storage", "a_test.go", `import "github.com/cockroachdb/pebble/v2"`, "imported by storage/diskfull, storage/journal, replication/raftgroup only"},
		{"a module for tests in a test", "storage", "a_test.go", `import "pgregory.net/rapid"`, ""},
		{"a module for tests elsewhere", "storage", "a.go", `import "pgregory.net/rapid"`, "for tests only"},
		{"a module that nobody decided on", "storage", "a.go", `import "example.com/x"`, "decision record"},
		{"the tools' parser in the server", "internal/server", "a.go", `import "github.com/tidwall/resp"`, "imported by internal/tools/... only"},
		{"a log in a pure package", "cluster", "a.go", `import "go.uber.org/zap"`, "does not log"},
		{"a log in another", "bus/link", "a.go", `import "go.uber.org/zap"`, ""},
		{"a socket in a pure package", "cluster", "a.go", `import "net"`, "no sockets"},
		{"a package below that", "cluster", "a.go", `import "net/http"`, "no sockets"},
		{"an address is a value", "cluster", "a.go", `import "net/netip"`, ""},
		{"a lock in a pure package", "cluster", "a.go", `import "sync/atomic"`, "no locks"},
		{"files in a pure package's test", "cluster", "a_test.go", `import "os"`, ""},
		{"the clock in a pure package", "cluster", "a.go", "import \"time\"\n\nvar x = time.Now()", "cluster uses time.Now: the clock is an argument"},
		{"the clock under another name", "cluster", "a.go", "import t \"time\"\n\nvar x = t.Since", "cluster uses t.Since"},
		{"a time is a value", "cluster", "a.go", "import \"time\"\n\nvar x time.Time", ""},
		{"a variable called time", "cluster", "a.go", "import \"time\"\n\nfunc f(now time.Time) { time := struct{ Now int }{}; _ = time.Now }", ""},
		{"global randomness", "cluster", "a.go", "import \"math/rand/v2\"\n\nvar x = rand.IntN(3)", "seeded source"},
		{"seeded randomness", "cluster", "a.go", "import \"math/rand/v2\"\n\nvar x = rand.New(rand.NewPCG(1, 2))", ""},
		{"a goroutine in a pure package", "cluster", "a.go", "func f() { go f() }", "starts a goroutine"},
		{"a channel in a pure package", "cluster", "a.go", "var c chan int", "has a channel"},
		{"a printer in a pure package", "cluster", "a.go", "import \"fmt\"\n\nfunc f() { fmt.Println() }", "does not print"},
		{"a goroutine elsewhere", "bus/link", "a.go", "func f() { go f() }", ""},
		{"an init function", "bus/link", "a.go", "func init() {}", "has an init function"},
		{"a method called init", "bus/link", "a.go", "type T int\n\nfunc (T) init() {}", ""},
		{"bad format", "bus/link", "a.go", "var  x int", "not formatted"},
		{"work left over", "bus/link", "a.go", "// TO" + "DO: more", "finish it"},
		{"a pictogram", "bus/link", "a.go", "// \U0001f600", "say it in words"},
		{"a long file", "bus/link", "a.go", strings.Repeat("// x\n", maxLines), "look for the second noun"},
		{"a file that does not parse", "bus/link", "a.go", "func", "expected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := file{dir: c.dir, name: c.file, src: []byte("package p\n\n" + c.src + "\n")}
			if c.src == "" {
				f.src = []byte("package p\n")
			}
			got := strings.Join(check(f), "\n")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("said %q, want %q", got, c.want)
			}
		})
	}
}

func TestHasDoc(t *testing.T) {
	for src, want := range map[string]bool{
		"// Package p is it.\npackage p":  true,
		"package p":                       false,
		"// A stray remark.\n\npackage p": false,
	} {
		if got := hasDoc(file{dir: "p", name: "p.go", src: []byte(src)}); got != want {
			t.Errorf("hasDoc(%q) = %v", src, got)
		}
	}
}
