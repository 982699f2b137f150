package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
)

// readInside is the settings that package config itself acts on.
var readInside = []string{"EnableProtectedConfigs"}

// TestSettingsAreRead: a field of config.Settings that nobody reads belongs to a
// directive without a meaning. That one has no field and stands among the kept
// rows, so that the log and docs/config.md say so.
func TestSettingsAreRead(t *testing.T) {
	const home = "internal/config"
	var fields []string
	read := make(map[string]bool)
	for _, f := range sources(t) {
		if f.isTest() {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.path(), f.src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if f.dir == home {
			fields = append(fields, fieldsOf(tree, "Settings")...)
			continue
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				read[s.Sel.Name] = true
			}
			return true
		})
	}
	if len(fields) < 50 {
		t.Fatalf("only %d fields found in config.Settings", len(fields))
	}
	for _, name := range fields {
		if !read[name] && !slices.Contains(readInside, name) {
			t.Errorf("config.Settings.%s is read by nobody", name)
		}
	}
}

// fieldsOf is the names of the exported fields of a struct type.
func fieldsOf(tree *ast.File, name string) (fields []string) {
	ast.Inspect(tree, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != name {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				for _, id := range f.Names {
					if id.IsExported() {
						fields = append(fields, id.Name)
					}
				}
			}
		}
		return false
	})
	return fields
}
