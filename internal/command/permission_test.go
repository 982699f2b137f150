package command

import (
	"fmt"
	"strings"
	"testing"

	"redoubt/internal/acl"
)

// What a command does to its keys is what a user must be allowed: r reads, w writes, and
// neither is a look at whether there is something.
func TestWhatACallDoesToItsKeys(t *testing.T) {
	table := NewTable(Strings, Keys, Sorting, GeoSearches, StreamReads, BitFields, Hashes, ZSetOperations, Sets, Lists, ListMoves,
		[]*Row{{Name: "publish", Arity: 3, Channels: FirstChannel, Lock: LockNone, Run: del}, {Name: "psubscribe", Arity: -2, Channels: PatternsOnly, Lock: LockNone, Run: del}})
	for _, c := range []struct{ line, want string }{
		{"GET a", "1r"},
		{"SET a v", "1w"},
		{"SET a v GET", "1rw"},
		{"SET a v EX GET", "1rw"}, // is wrong, but no way around the rules
		{"SET a GET", "1w"},
		{"MGET a b c", "1r 2r 3r"},
		{"MSET a v b v", "1w 3w"},
		{"EXISTS a", "1"},
		{"DEL a b", "1w 2w"},
		{"RENAME a b", "1rw 2w"},
		{"LMOVE a b LEFT LEFT", "1rw 2w"},
		{"BITFIELD a GET u4 0", "1r"},
		{"BITFIELD a GET u4 0 SET u4 0 1", "1rw"},
		{"HLEN a", "1"},
		{"ZUNIONSTORE d 2 a b", "1w 3r 4r"},
		{"ZUNIONSTORE d 9 a b", "1w"}, // the number is wrong: it fails
		{"SORT a", "1r"},
		{"SORT a STORE b", "1r 3w"},
		{"SORT a STORE b STORE c", "1r 5w"},
		{"GEORADIUS a 1 1 1 m STORE b", "1r 7w"},
		{"GEORADIUS a 1 1 1 m STOREDIST b", "1r 7w"},
		{"GEORADIUS a 1 1 1 m STORE b STORE c", "1r 7w 9rw"}, // of the last no specification tells: all that is done to any
		{"XREAD STREAMS a b 0 0", "2r 3r"},
		{"PUBLISH ch m", "channels 1-2"},
		{"PSUBSCRIBE a* b*", "patterns 1-3"},
	} {
		args := splitLine(c.line)
		row, _ := table.Resolve(args)
		if row == nil || !row.Takes(len(args)) {
			t.Fatalf("%s is no command line", c.line)
		}
		call := row.ACLCall(args, true, nil)
		var parts []string
		for _, k := range call.Keys {
			parts = append(parts, fmt.Sprint(k.At)+map[acl.Access]string{0: "", acl.Read: "r", acl.Write: "w", acl.Read | acl.Write: "rw"}[k.Access])
		}
		if call.EndChannel > 0 {
			parts = append(parts, map[bool]string{false: "channels ", true: "patterns "}[call.Patterns]+fmt.Sprintf("%d-%d", call.FirstChannel, call.EndChannel))
		}
		if got := strings.Join(parts, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
		if call := row.ACLCall(args, false, nil); len(call.Keys) != 0 {
			t.Errorf("%s: keys that nobody has asked for: %v", c.line, call.Keys)
		}
	}
}

// Rules name commands as they are called without a renaming, and their sub-commands.
func TestCommandsAsRulesSeeThem(t *testing.T) {
	table := NewTable(Strings, []*Row{{Name: "box", Arity: -2, Sub: []*Row{{Name: "open", Arity: 2, Flags: Admin, Lock: LockNone, Run: del}}}})
	if known, err := table.Rename("get", "fetch"); !known || err != nil {
		t.Fatal(known, err)
	}
	if known, err := table.Rename("set", ""); !known || err != nil {
		t.Fatal(known, err)
	}
	c := table.ACLCommands()
	if _, err := c.Change(c.NewUser("joe", false), false, "+get", "+set", "+box|open"); err != nil {
		t.Error(err)
	}
	if _, err := c.Change(c.NewUser("joe", false), false, "+fetch"); err == nil {
		t.Error("a rule may name a command by its new name")
	}
	if names, _ := c.InCategory("admin"); len(names) != 1 || names[0] != "box|open" {
		t.Errorf("admin is %q", names)
	}
}

func splitLine(line string) (args [][]byte) {
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}
