package node

import (
	"fmt"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// Replication ids of tests.
var (
	idMe    = strings.Repeat("1", 40)
	idOther = strings.Repeat("2", 40)
)

// Outside of cluster mode CLUSTER has all of its sub-commands: tools read COMMAND.
func TestClusterCommandsOutsideOfClusterMode(t *testing.T) {
	n, stop := startNode(t, t.TempDir(), "--port", fmt.Sprint(redistest.Port(t)))
	defer stop()
	d, err := redistest.Dial(n.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, c := range []struct{ line, want string }{
		{"CLUSTER INFO", "ERR This instance has cluster support disabled"},
		{"CLUSTER HELP", "ERR This instance has cluster support disabled"},
		{"CLUSTER FOO", "ERR unknown subcommand 'FOO'. Try CLUSTER HELP."},
		{"CLUSTER KEYSLOT", "ERR wrong number of arguments for 'cluster|keyslot' command"},
		{"COMMAND LIST FILTERBY PATTERN cl*er|h*", "[cluster|help]"},
	} {
		var args []any
		for word := range strings.FieldsSeq(c.line) {
			args = append(args, word)
		}
		got, err := d.Do(args...)
		if err != nil {
			got = err
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.line, got, c.want)
		}
	}
}
