package metrics_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"redoubt/internal/metrics"
	"redoubt/internal/redistest"
)

var writeDocs = flag.Bool("write", false, "write the table in docs/metrics.md anew")

const (
	tableBegin = "<!-- The table from INFO to metrics: go test ./internal/metrics -run Documentation -write -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// The table in docs/metrics.md is that of the package in another form.
func TestDocumentationIsUpToDate(t *testing.T) {
	const path = "../../docs/metrics.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the table", path)
	}
	var b strings.Builder
	b.WriteString("\n| name | kind | field of INFO | what it is |\n| --- | --- | --- | --- |\n")
	for _, r := range metrics.Rows() {
		labels := ""
		if n := len(r.Labels); n > 0 && n < 5 { // more do not fit, and stand in the text
			labels = "; by " + strings.Join(r.Labels, ", ")
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s%s |\n", r.Name, r.Kind, r.From, strings.TrimSuffix(r.Help, "."), labels)
	}
	b.WriteString("\n")
	want := before + tableBegin + b.String() + tableEnd + after
	if *writeDocs {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Error("docs/metrics.md differs from the table; run go test ./internal/metrics -run Documentation -write")
	}
	redistest.CheckWidth(t, "docs/metrics.md", before+after)
}
