package metrics

import (
	"os"
	"strings"
	"testing"
)

// Row is a row of the table, for tests.
type Row struct {
	Name, Kind, From, Help string
	Labels                 []string
}

// Rows is the table.
func Rows() (list []Row) {
	for _, f := range fields {
		list = append(list, Row{Name: prefix + f.name, Kind: f.kind.String(), From: f.info, Help: f.help})
	}
	for _, d := range derivations {
		list = append(list, Row{Name: prefix + d.name, Kind: d.kind.String(), From: d.from, Help: d.help, Labels: d.labels})
	}
	return list
}

// ExporterNames is what redis_exporter serves: kinds by names.
func ExporterNames(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/redis_exporter.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && !strings.HasPrefix(line, "#") {
			names[f[0]] = f[1]
		}
	}
	return names
}
