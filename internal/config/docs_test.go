package config

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var rewriteDocs = flag.Bool("rewrite", false, "write docs/config.md anew")

// docs/config.md is the table in another form:
// go test ./internal/config -run Documentation -rewrite
func TestDocumentationIsUpToDate(t *testing.T) {
	const path = "../../docs/config.md"
	want := documentation()
	if *rewriteDocs {
		if err := os.MkdirAll("../../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/config.md differs from the table; run go test ./internal/config -run Documentation -rewrite")
	}
}

func documentation() string {
	var b strings.Builder
	b.WriteString(`# Configuration

This page is made from the table in ` + "`internal/config`" + `; change it there.

A node reads a file in the syntax of redis.conf, named first on the command line, and options
(` + "`--name value`" + `) after it. Every directive of Redis 7.0 to 8 and of Valkey 8 to 9 is known; a wrong name
ends the start with an error. Names in parentheses are aliases.

* *fixed*: cannot be changed by CONFIG SET.
* *protected*: CONFIG SET needs ` + "`enable-protected-configs`" + `.
* *secret*: not shown in the slow log and by MONITOR.
* *hidden*: CONFIG GET shows it by its exact name only.

Sizes take the units k, kb, m, mb, g and gb: 1k is 1000 and 1kb is 1024 bytes.
`)
	for _, section := range []struct {
		title string
		rows  []*directive
	}{
		{"Network", networkRows}, {"Process", processRows}, {"Files and durability", durabilityRows},
		{"Clients and access", clientRows}, {"Names of encodings", encodingRows}, {"Replication", replicationRows}, {"Cluster", clusterRows},
		{"Logs of the node's own", observeRows},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| directive | values | default | | what it does |\n| --- | --- | --- | --- | --- |\n", section.title)
		for _, d := range section.rows {
			if d.does != "" {
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", title(d), d.typ, code(d.def), remarks(d), d.does)
			}
		}
	}
	b.WriteString(`
## Kept, without a meaning yet

These are checked, kept, shown by CONFIG GET and written back by CONFIG REWRITE. Those that a
configuration sets are named once in the log at start.

| directive | values | default | | known since |
| --- | --- | --- | --- | --- |
`)
	kept := slices.DeleteFunc(slices.Clone(table), func(d *directive) bool { return d.does != "" })
	slices.SortFunc(kept, func(a, b *directive) int { return strings.Compare(a.name, b.name) })
	for _, d := range kept {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", title(d), d.typ, code(d.def), remarks(d), d.since)
	}
	return b.String()
}

func title(d *directive) string {
	if d.aliases == nil {
		return code(d.name)
	}
	aliases := make([]string, len(d.aliases))
	for i, alias := range d.aliases {
		aliases[i] = code(alias)
	}
	return code(d.name) + " (" + strings.Join(aliases, ", ") + ")"
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func remarks(d *directive) string {
	var words []string
	for _, remark := range []struct {
		trait trait
		word  string
	}{{immutable, "fixed"}, {protected, "protected"}, {sensitive, "secret"}, {hidden, "hidden"}} {
		if d.has(remark.trait) {
			words = append(words, remark.word)
		}
	}
	if d.does != "" && d.since != "" {
		words = append(words, d.since)
	}
	return strings.Join(words, ", ")
}
