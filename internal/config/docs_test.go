package config

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

var writeDocs = flag.Bool("write", false, "write docs/config.md anew")

// docs/config.md is the table in another form:
// go test ./internal/config -run Documentation -write
func TestDocumentationIsUpToDate(t *testing.T) {
	const path = "../../docs/config.md"
	want := documentation()
	if *writeDocs {
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
	redistest.CheckWidth(t, "docs/config.md", want)
	if string(got) != want {
		t.Error("docs/config.md differs from the table; run go test ./internal/config -run Documentation -write")
	}
}

const configIntro = `# Configuration

A node takes the configuration files and the command line of redis-server. A redis.conf comes first, options after it:

    redoubt server redis.conf --port 7000 --dir /var/lib/redoubt

Every directive of Redis 7.0 to 8 and of Valkey 8 to 9 is known. A wrong name or value ends the start with an error.

What to look at when you come from Redis:

* ${appendonly} is ${yes} here, with ${appendfsync everysec}: a node is durable unless it is told otherwise. Set
  ${appendonly no} for a cache.
* A node listens on all addresses, but serves clients of other machines only with a password or with
  ${protected-mode no}, as Redis does.
* ${maxmemory} evicts or refuses as in Redis, measured by the blocks of keys and values, what clients occupy and what an
  empty node uses.
* What is deleted is always freed in slices between commands: ${lazyfree-lazy-eviction} and the like are in effect
  always ${yes}.
* ${activedefrag} is ${yes} here, and begins when 2 MiB are lost. It works in slices of some tens of microseconds between
  commands, which ${active-defrag-cycle-max} and the like do not change.
* Users stand in lines ${user} or in a file that ${aclfile} names, not in both; see [security.md](security.md).
* TLS is not built. A node that is configured for it does not start; see [below](#refused).

Sizes take the units k, kb, m, mb, g and gb: 1k is 1000 and 1kb is 1024 bytes. In the tables, names in parentheses are
aliases, and

* *fixed*: CONFIG SET cannot change it.
* *protected*: CONFIG SET needs ${enable-protected-configs}.
* *secret*: not shown in the slow log and by MONITOR.
* *hidden*: CONFIG GET shows it by its exact name only.

CONFIG REWRITE writes the settings in force back to the file. Directives without an effect are written back too, so that
a file can move to Redoubt and out again.

The tables are made from the one in ${internal/config}: change it there, then run
${go test ./internal/config -run Documentation -write}.
`

func documentation() string {
	var b strings.Builder
	b.WriteString(strings.NewReplacer("${", "`", "}", "`").Replace(configIntro))
	for _, section := range []struct {
		title string
		rows  []*directive
	}{
		{"Network", networkRows}, {"Process", processRows}, {"Files and durability", durabilityRows},
		{"Clients and access", clientRows}, {"Memory", memoryRows}, {"Encodings", encodingRows}, {"Deletion", deletionRows}, {"Replication", replicationRows}, {"Cluster", clusterRows},
		{"Scripts", scriptRows}, {"Slow log and latency", observeRows},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| directive | values | default | | what it does |\n| --- | --- | --- | --- | --- |\n", section.title)
		var long []*directive
		for _, d := range section.rows {
			if d.does == "" {
				continue
			}
			values := d.typ.String()
			if len(values) > 100 {
				long, values = append(long, d), "see below"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", title(d), values, shortDefault(d), remarks(d), d.does)
		}
		for _, d := range long {
			b.WriteString(valuesOf(d))
		}
		if slices.Contains(section.rows, row("client-output-buffer-limit")) {
			fmt.Fprintf(&b, "\nThe default of `client-output-buffer-limit` is %s.\n", code(row("client-output-buffer-limit").def))
		}
	}
	without := func(has func(d *directive) bool) []*directive {
		rows := slices.DeleteFunc(slices.Clone(table), func(d *directive) bool { return !has(d) })
		slices.SortFunc(rows, func(a, b *directive) int { return strings.Compare(a.name, b.name) })
		return rows
	}
	b.WriteString(`
## Refused

Any value but the default ends the start and is refused by CONFIG SET, because the node would be less guarded than its
configuration says.

| directive | default | why |
| --- | --- | --- |
`)
	for _, d := range without(func(d *directive) bool { return d.refuse != "" }) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", title(d), code(d.def), firstSentence(d.refuse))
	}
	b.WriteString(`
## Warned of at start

These have no effect yet. A node that sets one logs a WARNING, at start and at CONFIG SET.

| directive | values | default | | what does not happen |
| --- | --- | --- | --- | --- |
`)
	for _, d := range without(func(d *directive) bool { return d.lacks != "" }) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", title(d), d.typ, code(d.def), remarks(d), d.lacks)
	}
	b.WriteString(`
## Without an effect

These are checked, kept, shown by CONFIG GET and written back by CONFIG REWRITE. The log tells of those that are set to
something else than their default, at start and at CONFIG SET.

| directive | values | default | | what is done in its place |
| --- | --- | --- | --- | --- |
`)
	var long []*directive
	for _, d := range without(func(d *directive) bool { return d.does == "" && d.lacks == "" && d.refuse == "" }) {
		values := d.typ.String()
		if len(values) > 40 {
			long, values = append(long, d), "see below"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", title(d), values, code(d.def), remarks(d), d.instead())
	}
	for _, d := range long {
		b.WriteString(valuesOf(d))
	}
	return b.String()
}

// valuesOf is the values of a directive for which the table is too narrow.
func valuesOf(d *directive) string {
	return "\n" + redistest.Wrap(fmt.Sprintf("The values of %s are %s.", code(d.name), d.typ), "") + "\n"
}

// shortDefault is the default, but not one that would make the table too wide.
func shortDefault(d *directive) string {
	if d.name == "client-output-buffer-limit" {
		return "see below"
	}
	return code(d.def)
}

// firstSentence is text up to its first full stop.
func firstSentence(text string) string {
	text, _, _ = strings.Cut(text, ". ")
	return text
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
	if d.lacks == "" && d.since != "" {
		words = append(words, d.since)
	}
	return strings.Join(words, ", ")
}
