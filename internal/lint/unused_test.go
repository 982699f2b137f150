package lint

import (
	"fmt"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The table lists what is, not what may come: a permission that nobody uses is
// one that somebody will use without having decided on it.
func TestTheTableHasNothingUnused(t *testing.T) {
	for _, wrong := range unused(rooms, modules, planned, sources(t)) {
		t.Error(wrong)
	}
}

// use is which packages import what, by their paths within the module; imports
// of other modules keep their full path.
type use struct {
	dirs    []string            // all packages
	imports map[string][]string // by package, in files other than tests
	tests   map[string][]string // the same of test files
}

func usesOf(files []file) use {
	u := use{imports: make(map[string][]string), tests: make(map[string][]string)}
	for _, f := range files {
		if !slices.Contains(u.dirs, f.dir) {
			u.dirs = append(u.dirs, f.dir)
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.path(), f.src, parser.ImportsOnly)
		if err != nil {
			continue // TestHouseRules says so
		}
		into := u.imports
		if f.isTest() {
			into = u.tests
		}
		for _, spec := range tree.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil {
				into[f.dir] = append(into[f.dir], strings.TrimPrefix(path, moduleName+"/"))
			}
		}
	}
	return u
}

// any reports whether a package for which one pattern stands imports one for
// which the other does.
func (u use) any(imports map[string][]string, importer, imported string) bool {
	for dir, paths := range imports {
		if importer != anyRoom && !covers(importer, dir) {
			continue
		}
		if slices.ContainsFunc(paths, func(path string) bool { return covers(imported, path) }) {
			return true
		}
	}
	return false
}

// exists reports whether there is a package that the pattern stands for.
func (u use) exists(pattern string) bool {
	return slices.ContainsFunc(u.dirs, func(dir string) bool { return covers(pattern, dir) })
}

// unused returns the rows of rooms that do not exist, and the imports that rows
// permit and nobody makes. A planned room may be absent, and as long as it is,
// others may have the permission to import it.
func unused(rooms []room, modules []module, planned []string, files []file) (wrong []string) {
	u := usesOf(files)
	absent := func(path string) bool { return slices.Contains(planned, path) && !u.exists(path) }
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, r := range rooms {
		if absent(r.path) {
			continue
		}
		if !u.exists(r.path) {
			say("%s does not exist: drop its row", r.path)
			continue
		}
		for _, path := range r.imports {
			if path != anyRoom && !absent(path) && !u.any(u.imports, r.path, path) {
				say("%s may import %s and does not: drop it from the row", r.path, path)
			}
		}
	}
	for _, path := range everywhere {
		if !u.any(u.imports, anyRoom, path) {
			say("%s is in everywhere, and nobody imports it", path)
		}
	}
	for _, m := range modules {
		module := m.path + "/..."
		for _, path := range m.importers {
			if !absent(path) && !u.any(u.imports, path, module) {
				say("%s may import %s and does not: drop it from the row", path, m.path)
			}
		}
		if m.importers == nil && !u.any(u.tests, anyRoom, module) && !u.any(u.imports, anyRoom, module) {
			say("nobody imports %s: drop its row", m.path)
		}
	}
	return wrong
}

func TestUnused(t *testing.T) {
	files := []file{
		{"low", "low.go", []byte("package low")},
		{"high", "high.go", []byte(`package high; import ("redoubt/low"; "example.com/used/sub")`)},
		{"high", "high_test.go", []byte(`package high; import ("redoubt/side"; "example.com/checked")`)},
		{"side", "side.go", []byte(`package side; import "redoubt/internal/version"`)},
		{"tools/a", "a.go", []byte(`package a; import "redoubt/tools/b"`)},
		{"tools/b", "b.go", []byte("package b")},
	}
	rows := []room{
		{path: "low"},
		{path: "side", imports: []string{"soon"}},
		{path: "soon", imports: []string{"low"}},
		{path: "gone"},
		{path: "high", imports: []string{"low", "side"}},
		{path: "tools/...", imports: []string{"tools/...", "low"}},
		{path: "top/...", imports: []string{anyRoom}},
	}
	modules := []module{
		{path: "example.com/used", importers: []string{"high", "low", "soon"}},
		{path: "example.com/checked", tests: true},
		{path: "example.com/forgotten", tests: true},
	}
	want := []string{
		"gone does not exist: drop its row",
		"high may import side and does not: drop it from the row", // only its test does
		"tools/... may import low and does not: drop it from the row",
		"top/... does not exist: drop its row",
		"low may import example.com/used and does not: drop it from the row",
		"nobody imports example.com/forgotten: drop its row",
	}
	if got := unused(rows, modules, []string{"soon"}, files); !slices.Equal(got, want) {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	files = append(files, file{"soon", "soon.go", []byte("package soon")})
	got := unused(rows, modules, []string{"soon"}, files)
	for _, line := range []string{
		"soon may import low and does not: drop it from the row",
		"side may import soon and does not: drop it from the row",
		"soon may import example.com/used and does not: drop it from the row",
	} {
		if !slices.Contains(got, line) {
			t.Errorf("once the planned room is there, nobody says %q", line)
		}
	}
}
