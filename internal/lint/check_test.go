package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// moduleName is what imports of our own packages begin with.
const moduleName = "redoubt"

// A file is a source file of the module.
type file struct {
	dir  string // of its package, within the module
	name string
	src  []byte
}

func (f file) path() string { return strings.TrimPrefix(f.dir+"/"+f.name, "./") }
func (f file) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// check returns what is wrong with a file, each as a line of its own: the
// package or place, the thing, and the reason.
func check(f file) []string {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, f.path(), f.src, parser.ParseComments)
	if err != nil {
		return []string{err.Error()}
	}
	c := &checker{file: f, fset: fset, tree: tree, names: make(map[string]string)}
	if c.room = roomOf(f.dir); c.room == nil {
		return []string{fmt.Sprintf("%s: not in the table of rooms; add a row to internal/lint/rooms_test.go that says whom it may import", f.dir)}
	}
	c.imports()
	if !f.isTest() {
		c.noInit()
		if c.room.pure {
			c.purity()
		}
	}
	c.text()
	return c.wrong
}

type checker struct {
	file  file
	room  *room
	fset  *token.FileSet
	tree  *ast.File
	names map[string]string // of the imports in this file, to their paths
	wrong []string
}

func (c *checker) say(at token.Pos, format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf("%s: %s", c.fset.Position(at), fmt.Sprintf(format, args...)))
}

func (c *checker) imports() {
	for _, spec := range c.tree.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			c.say(spec.Pos(), "import %s: %v", spec.Path.Value, err)
			continue
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if strings.HasPrefix(path, "math/rand/") {
			name = "rand"
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		c.names[name] = path

		why := ""
		if ours, ok := strings.CutPrefix(path, moduleName+"/"); ok {
			why = c.inside(ours)
		} else if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") {
			why = c.outside(path)
		} else if c.room.pure && !c.file.isTest() {
			why = impure(path)
		}
		if why != "" {
			c.say(spec.Pos(), "%s imports %s: %s", c.file.dir, path, why)
		}
	}
}

// inside says why the room may not import another of the module.
func (c *checker) inside(path string) string {
	target := roomOf(path)
	switch {
	case target == nil:
		return "that is not in the table of rooms"
	case c.file.isTest() || path == c.file.dir:
		return ""
	case target.testOnly && !c.room.testOnly:
		return "that is for tests only"
	case slices.Contains(c.room.imports, anyRoom), listed(everywhere, path), listed(c.room.imports, path):
		return ""
	case len(c.room.imports) == 0:
		return "this room imports no other of the module"
	}
	return "this room imports " + strings.Join(c.room.imports, ", ") + " only"
}

// outside says why the room may not import a package of another module.
func (c *checker) outside(path string) string {
	for _, m := range modules {
		if path != m.path && !strings.HasPrefix(path, m.path+"/") {
			continue
		}
		switch {
		case m.tests && (c.file.isTest() || c.room.testOnly), listed(m.importers, c.file.dir):
			return ""
		case slices.Contains(m.importers, anyRoom) && !c.room.pure:
			return ""
		case slices.Contains(m.importers, anyRoom):
			return "a pure package does not log"
		case m.importers == nil:
			return "that is for tests only"
		}
		return m.path + " is imported by " + strings.Join(m.importers, ", ") + " only"
	}
	return "no such module in the table; a new one is a decision record in docs/decisions and a row in internal/lint/rooms_test.go"
}

// impure says why a pure package may not import a package of the standard
// library.
func impure(path string) string {
	reasons := []struct{ prefix, why string }{
		{"net", "a pure package has no sockets"},
		{"os", "a pure package has no files and no process"},
		{"io/ioutil", "a pure package has no files"},
		{"path/filepath", "a pure package has no files"},
		{"syscall", "a pure package makes no system calls"},
		{"log", "a pure package does not log; it returns notes"},
		{"sync", "a pure package has one owner and needs no locks"},
		{"runtime", "a pure package does not know its runtime"},
		{"crypto/rand", "randomness is an argument of a pure package"},
		{"context", "a pure package waits for nothing that could be cancelled"},
	}
	if path == "net/netip" {
		return "" // values only
	}
	for _, r := range reasons {
		if path == r.prefix || strings.HasPrefix(path, r.prefix+"/") {
			return r.why
		}
	}
	return ""
}

// pureRand is what a pure package may use of math/rand: what a seeded source
// is made and passed with. All else draws from the global source.
var pureRand = []string{"Rand", "Source", "Source64", "Zipf", "PCG", "ChaCha8", "New", "NewSource", "NewZipf", "NewPCG", "NewChaCha8"}

// worldlyTime is what a pure package may not use of time.
var worldlyTime = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Timer", "Ticker", "Local", "LoadLocation"}

func (c *checker) purity() {
	ast.Inspect(c.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			c.say(n.Pos(), "%s starts a goroutine: a pure package runs when it is called", c.file.dir)
		case *ast.ChanType:
			c.say(n.Pos(), "%s has a channel: a pure package returns its effects", c.file.dir)
		case *ast.SelectStmt:
			c.say(n.Pos(), "%s selects: a pure package waits for nothing", c.file.dir)
		case *ast.SelectorExpr:
			c.selector(n)
		}
		return true
	})
}

func (c *checker) selector(n *ast.SelectorExpr) {
	x, ok := n.X.(*ast.Ident)
	if !ok || x.Obj != nil { // a variable that has the name of a package
		return
	}
	why := ""
	switch path, name := c.names[x.Name], n.Sel.Name; {
	case path == "time" && slices.Contains(worldlyTime, name):
		why = "the clock is an argument of a pure package"
	case (path == "math/rand" || path == "math/rand/v2") && !slices.Contains(pureRand, name):
		why = "a pure package draws from a seeded source that it is given"
	case path == "fmt" && (strings.HasPrefix(name, "Print") || strings.HasPrefix(name, "Scan")):
		why = "a pure package does not print or read"
	}
	if why != "" {
		c.say(n.Pos(), "%s uses %s.%s: %s", c.file.dir, x.Name, n.Sel.Name, why)
	}
}

// noInit refuses init functions: what a package needs at start is a table in
// a variable, and everything else has a caller.
func (c *checker) noInit() {
	for _, decl := range c.tree.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			c.say(f.Pos(), "%s has an init function: initialise a variable instead, or have it called", c.file.dir)
		}
	}
}

// hasDoc reports whether a file has a comment on its package.
func hasDoc(f file) bool {
	tree, err := parser.ParseFile(token.NewFileSet(), f.path(), f.src, parser.PackageClauseOnly|parser.ParseComments)
	return err == nil && tree.Doc != nil
}

// unfinished is the words of work left over. They are put together here so
// that this file does not have them.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

// text checks what does not need the syntax.
func (c *checker) text() {
	path := c.file.path()
	if formatted, err := format.Source(c.file.src); err == nil && !bytes.Equal(formatted, c.file.src) {
		c.wrong = append(c.wrong, path+": not formatted; run gofmt")
	}
	lines := bytes.Split(c.file.src, []byte("\n"))
	if _, allowed := longFiles[path]; len(lines) > maxLines && !allowed && !ast.IsGenerated(c.tree) {
		c.wrong = append(c.wrong, fmt.Sprintf("%s: %d lines; past %d, look for the second noun", path, len(lines), maxLines))
	}
	for i, line := range lines {
		if word := unfinished.Find(line); word != nil {
			c.wrong = append(c.wrong, fmt.Sprintf("%s:%d: %s: finish it, or open an issue", path, i+1, word))
		}
		if bytes.ContainsFunc(line, pictogram) {
			c.wrong = append(c.wrong, fmt.Sprintf("%s:%d: a pictogram: say it in words", path, i+1))
		}
	}
}

// pictogram reports whether r is an emoji. The symbols that diagrams in
// comments are drawn with are not.
func pictogram(r rune) bool {
	return unicode.In(r, &unicode.RangeTable{
		R16: []unicode.Range16{{Lo: 0x2600, Hi: 0x27bf, Stride: 1}, {Lo: 0xfe0f, Hi: 0xfe0f, Stride: 1}},
		R32: []unicode.Range32{{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}},
	})
}
