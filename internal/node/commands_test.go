package node

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/command"
	"redoubt/internal/redistest"
)

var writeDocs = flag.Bool("write", false, "write docs/commands.md anew")

// docs/commands.md is the table of commands in another form:
// go test ./internal/node -run CommandsAreDocumented -write
func TestCommandsAreDocumented(t *testing.T) {
	const path = "../../docs/commands.md"
	n, _ := startNode(t, t.TempDir(), "--cluster-enabled", "yes")
	want := commandDocs(t, n.server.Table())
	if *writeDocs {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	redistest.CheckWidth(t, "docs/commands.md", want)
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("docs/commands.md differs from the table of commands (%v); run make docs", err)
	}
}

// What the error of an unknown name says is not built is not.
func TestCommandsThatAreCalledAbsentAre(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--cluster-enabled", "yes")
	table := n.server.Table()
	for _, row := range table.All() {
		first, second, isSub := strings.Cut(row.Name, "|")
		args, known := [][]byte{[]byte(first)}, (*command.Row)(nil)
		if isSub {
			args, known = append(args, []byte(second)), table.Lookup(args[0])
		}
		if hint := command.AbsentHint(known, args); hint != "" {
			t.Errorf("%s is a command, and called %s", row.Name, hint)
		}
	}
}

const commandsIntro = `# Commands

Every command that a node understands. This page is made from the table of commands (%smake docs%s), which also answers
%sCOMMAND DOCS%s with summaries, arguments and history. "Since" is the version of Redis that brought a command; those
above 7.2 are of later versions of Redis or of Valkey and are described openly. What differs from Redis is said below
each table in a line, and [compatibility.md](compatibility.md) has the reasons and the rest.

The letters mean:

* **w**: may change data, and is refused by a replica that is read-only
* **m**: refused when %smaxmemory%s is reached and nothing can be evicted
* **b**: may wait for an element or an item
* **a**: for administrators
* **s**: not meant for applications
* **d**: deprecated in favour of the command that the line below the table names

`

// commandGroups are the groups of COMMAND DOCS in the order of the page.
var commandGroups = []struct{ name, title string }{
	{"generic", "Keys"}, {"string", "Strings"}, {"bitmap", "Bits"}, {"hyperloglog", "HyperLogLogs"}, {"list", "Lists"},
	{"hash", "Hashes"}, {"set", "Sets"}, {"sorted-set", "Sorted sets"}, {"geo", "Positions"}, {"stream", "Streams"},
	{"pubsub", "Messages"}, {"transactions", "Transactions"}, {"scripting", "Scripts and functions"},
	{"connection", "Connections"}, {"server", "The node"}, {"cluster", "The cluster"},
}

func commandDocs(t *testing.T, table *command.Table) string {
	var page strings.Builder
	fmt.Fprint(&page, strings.ReplaceAll(commandsIntro, "%s", "`"))
	left := map[string]bool{}
	for name := range commandDifferences {
		left[name] = true
	}
	rows := map[string][]*command.Row{}
	for _, r := range table.All() {
		if parent := r.Parent(); r.Run == nil || r.Name == "help" && parent != nil {
			continue
		}
		rows[r.Doc.Group] = append(rows[r.Doc.Group], r)
	}
	for _, g := range commandGroups {
		if len(rows[g.name]) > 0 {
			writeCommandGroup(&page, g.title, rows[g.name], left)
		}
		delete(rows, g.name)
	}
	for group, of := range rows {
		t.Errorf("%d commands are in a group that docs/commands.md does not have: %q", len(of), group)
	}
	for name := range left {
		t.Errorf("a difference is told of %q, which is no command", name)
	}
	return strings.TrimRight(page.String(), "\n") + "\n"
}

func writeCommandGroup(page *strings.Builder, title string, rows []*command.Row, left map[string]bool) {
	slices.SortFunc(rows, func(a, b *command.Row) int { return strings.Compare(a.FullName(), b.FullName()) })
	fmt.Fprintf(page, "## %s\n\n| command | since | complexity | |\n| --- | --- | --- | --- |\n", title)
	var notes []string
	for _, r := range rows {
		name := "`" + strings.ToUpper(strings.ReplaceAll(r.FullName(), "|", " ")) + "`"
		fmt.Fprintf(page, "| %s | %s | %s | %s |\n", name, r.Doc.Since, r.Doc.Complexity, commandLetters(r))
		if d := commandDifferences[r.FullName()]; d != "" {
			notes = append(notes, redistest.Wrap("* "+name+" "+d, "  "))
			delete(left, r.FullName())
		}
		if r.Doc.Deprecated != "" {
			notes = append(notes, redistest.Wrap(fmt.Sprintf("* %s: since %s there is %s", name, r.Doc.Deprecated, strings.ReplaceAll(r.Doc.ReplacedBy, "`!", "`")), "  "))
		}
	}
	page.WriteString("\n")
	if len(notes) > 0 {
		page.WriteString(strings.Join(notes, "\n") + "\n\n")
	}
}

func commandLetters(r *command.Row) string {
	var letters string
	for _, f := range []struct {
		flag   command.Flags
		letter string
	}{{command.Write, "w"}, {command.DenyOOM, "m"}, {command.Blocking, "b"}, {command.Admin, "a"}} {
		if r.Is(f.flag) {
			letters += f.letter
		}
	}
	if r.Doc.System {
		letters += "s"
	}
	if r.Doc.Deprecated != "" {
		letters += "d"
	}
	return letters
}

// commandDifferences are what a command does otherwise than that of Redis 7.2, by
// full name, as the end of a sentence that begins with the name.
var commandDifferences = map[string]string{
	"unlink":            "frees memory as `DEL` does, in slices between commands",
	"scan":              "goes slot by slot, and takes only cursors that it has returned",
	"object|refcount":   "is 2147483647 for the integers 0 to 9999 and 1 for all else, as clients of Redis see it",
	"object|encoding":   "names what Redis 7.2 would use; collections are stored in one way",
	"restore":           "refuses a value that is longer than its payload, and a TTL that overflows",
	"sort":              "compares bytes under `ALPHA`, and leaves a sorted set as it is",
	"sort_ro":           "compares bytes under `ALPHA`",
	"migrate":           "leaves other keys available meanwhile; writes to a slot that moves get `TRYAGAIN`",
	"incrbyfloat":       "has 80 bits of precision on every machine",
	"bitfield":          "tells replicas of a string that has only grown, since every write has failed",
	"bitop":             "takes `DIFF`, `DIFF1`, `ANDOR` and `ONE`, as Redis 8.2",
	"pfadd":             "refuses a corrupt value of which Redis does not look at the corrupt part",
	"pfcount":           "does not keep the count in the value on a replica",
	"pfselftest":        "adds a million elements instead of ten",
	"ltrim":             "does not touch a watched key if it removes nothing",
	"hgetall":           "has the fields in no order, of small hashes, too",
	"hkeys":             "has the fields in no order, of small hashes, too",
	"hvals":             "has the fields in no order, of small hashes, too",
	"hrandfield":        "refuses a negative count whose reply would exceed `proto-max-bulk-len`",
	"hscan":             "takes `NOVALUES`, as Redis 7.4",
	"smembers":          "has the members in no order, of small sets, too",
	"srandmember":       "refuses a negative count whose reply would exceed `proto-max-bulk-len`",
	"zscan":             "takes `NOSCORES`, as Valkey 8, and writes scores with the fewest digits that tell them",
	"geosearchstore":    "rounds the distances of `STOREDIST` correctly on every machine",
	"georadius":         "rounds the distances of `STOREDIST` correctly on every machine",
	"georadiusbymember": "rounds the distances of `STOREDIST` correctly on every machine",
	"script|debug":      "with `YES` debugs a script on copies of keys, as there is no fork",
	"config|set":        "takes an immutable directive's own value",
	"client|kill":       "takes more words, which are those of Valkey 9",
	"client|list":       "shows buffers of connections as 0, since they belong to event loops, and no flag `d`; it takes the words of `KILL`",
	"client|reply":      "within `MULTI` decides on the reply of `EXEC` as a whole",
	"memory|usage":      "tells what the key occupies exactly; `SAMPLES` has no effect",
	"memory|stats":      "has the sizes of our own structures",
	"memory|doctor":     "answers the same questions in other words",
	"command|docs":      "has summaries in other words, and the same arguments",
	"debug":             "has the sub-commands that `DEBUG HELP` lists",
	"flushall":          "frees memory in slices between commands; `ASYNC` and `SYNC` are the same",
	"flushdb":           "frees memory in slices between commands; `ASYNC` and `SYNC` are the same",
	"bgsave":            "does not fork, and runs beside a rewrite of the append-only file",
	"cluster|addslots":  "is refused by a replica",
	"cluster|setslot":   "with `NODE` answers when `nodes.conf` is on disk",
	"hexpire":           "and the other commands on fields that expire are those of Valkey 9",
}
