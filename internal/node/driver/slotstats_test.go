package driver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/internal/command"
	"redoubt/slots"
)

// stats is a reply to CLUSTER SLOT-STATS on a line.
func (m *member) stats(args ...any) string {
	m.t.Helper()
	reply := m.Do(append([]any{"cluster", "slot-stats"}, args...)...)
	var words []string
	for line := range strings.SplitSeq(strings.TrimSuffix(reply, "\r\n"), "\r\n") {
		if !strings.HasPrefix(line, "*") && !strings.HasPrefix(line, "$") {
			words = append(words, strings.TrimPrefix(line, ":"))
		}
	}
	return strings.Join(words, " ")
}

func TestSlotStats(t *testing.T) {
	m := startMember(t, "--cluster-slot-stats-enabled", "yes")
	m.WantOK("cluster", "addslots", 1, 2, 3)
	m.shell.mu.Lock()
	m.shell.use = map[slots.Slot]command.SlotUse{
		1: {Took: 20 * time.Microsecond, In: 1, Out: 300}, 2: {Took: 10*time.Microsecond + 999, In: 2, Out: 300}, 4: {In: 100},
	}
	m.shell.mu.Unlock()
	row := func(slot, usec, in, out int) string {
		return fmt.Sprintf("%d key-count 0 cpu-usec %d network-bytes-in %d network-bytes-out %d", slot, usec, in, out)
	}
	one, two, three := row(1, 20, 1, 300), row(2, 10, 2, 300), row(3, 0, 0, 0)
	for _, test := range []struct{ args, want string }{
		{"slotsrange 0 16383", one + " " + two + " " + three},
		{"SLOTSRANGE 2 2", two},
		{"slotsrange 4 5", ""},
		{"slotsrange 3 2", "-ERR Start slot number 3 is greater than end slot number 2"},
		{"slotsrange 0 16384", "-ERR Invalid or out of range slot"},
		{"slotsrange x 1", "-ERR Invalid or out of range slot"},
		{"slotsrange 1", "-ERR unknown subcommand or wrong number of arguments for 'slot-stats'. Try CLUSTER HELP."},
		{"slotsrange 1 2 3", "-ERR unknown subcommand or wrong number of arguments for 'slot-stats'. Try CLUSTER HELP."},
		{"orderby cpu-usec", one + " " + two + " " + three},
		{"orderby cpu-usec asc", three + " " + two + " " + one},
		{"orderby network-bytes-in", two + " " + one + " " + three},
		{"orderby network-bytes-out limit 2", one + " " + two},
		{"orderby network-bytes-out ASC LIMIT 2", three + " " + one},
		{"orderby key-count desc limit 1", one},
		{"orderby memory", "-ERR Unrecognized sort metric for ORDERBY."},
		{"orderby key-count limit 0", "-ERR Limit has to lie in between 1 and 16384 (maximum number of slots)."},
		{"orderby key-count limit x", "-ERR Limit has to lie in between 1 and 16384 (maximum number of slots)."},
		{"orderby key-count limit 16385", "-ERR Limit has to lie in between 1 and 16384 (maximum number of slots)."},
		{"orderby key-count limit", "-ERR syntax error"},
		{"orderby key-count nonsense", "-ERR syntax error"},
		{"orderby key-count asc desc", "-ERR Multiple filters of the same type are disallowed."},
		{"orderby key-count limit 1 limit 1", "-ERR Multiple filters of the same type are disallowed."},
		{"nonsense key-count", "-ERR unknown subcommand or wrong number of arguments for 'slot-stats'. Try CLUSTER HELP."},
	} {
		var args []any
		for _, w := range strings.Fields(test.args) {
			args = append(args, w)
		}
		if got := m.stats(args...); got != test.want {
			t.Errorf("%s: %q, want %q", test.args, got, test.want)
		}
	}

	// What a slot was used for is forgotten when it goes, and when it comes.
	m.WantOK("cluster", "delslots", 1)
	m.shell.mu.Lock()
	_, kept := m.shell.use[1]
	m.shell.use[1] = command.SlotUse{In: 7}
	m.shell.mu.Unlock()
	if kept {
		t.Error("a slot that has gone keeps its counts")
	}
	if got := m.stats("slotsrange", 1, 2); got != two {
		t.Errorf("%q", got)
	}
	m.WantOK("cluster", "addslots", 1)
	if got := m.stats("slotsrange", 1, 1); got != row(1, 0, 0, 0) {
		t.Errorf("%q", got)
	}
}

// Without the directive there are keys only.
func TestSlotStatsOfKeys(t *testing.T) {
	m := startMember(t)
	m.WantOK("cluster", "addslotsrange", 0, slots.Count-1)
	m.Set("{a}1", "v")
	m.Set("{a}2", "v")
	m.Set("b", "v")
	a, b := slots.Of([]byte("a")), slots.Of([]byte("b"))
	want := fmt.Sprintf("%d key-count 2 %d key-count 1 0 key-count 0", a, b)
	if got := m.stats("orderby", "key-count", "limit", 3); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := m.stats("orderby", "cpu-usec"); got != string("-"+errMetric) {
		t.Errorf("%q", got)
	}
}
