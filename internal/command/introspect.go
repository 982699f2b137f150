package command

import (
	"slices"
	"strings"

	"redoubt/internal/glob"
	"redoubt/internal/resp"
)

// Introspection is the rows of COMMAND, by which clients learn the table.
var Introspection = []*Row{{
	Name: "command", Arity: -1, Flags: Loading | Stale, ACL: CatConnection, Lock: LockNone, Run: commandAll,
	Doc: Doc{Summary: "Describes all commands.", Since: "2.8.13", Group: "server", Complexity: "O(N) where N is the number of commands", Tips: []string{"nondeterministic_output_order"}},
	Sub: []*Row{
		{Name: "count", Arity: 2, Flags: Loading | Stale, ACL: CatConnection, Lock: LockNone, Run: commandCount,
			Doc: Doc{Summary: "Returns the number of commands.", Since: "2.8.13", Group: "server", Complexity: "O(1)"}},
		{Name: "docs", Arity: -2, Flags: Loading | Stale, ACL: CatConnection, Lock: LockNone, Run: commandDocs,
			Doc: Doc{Summary: "Returns the documentation of commands.", Since: "7.0.0", Group: "server", Complexity: "O(N) where N is the number of commands asked for", Tips: []string{"nondeterministic_output_order"}}},
		{Name: "getkeys", Arity: -3, Flags: Loading | Stale, ACL: CatConnection, Lock: LockNone, Run: commandGetKeys,
			Doc: Doc{Summary: "Returns the keys of a command line.", Since: "2.8.13", Group: "server", Complexity: "O(N) where N is the number of arguments"}},
		{Name: "getkeysandflags", Arity: -3, Flags: Loading | Stale, ACL: CatConnection, Lock: LockNone, Run: commandGetKeysAndFlags,
			Doc: Doc{Summary: "Returns the keys of a command line and what it does to each.", Since: "7.0.0", Group: "server", Complexity: "O(N) where N is the number of arguments"}},
		{Name: "help", Arity: 2, Flags: Loading | Stale, ACL: CatConnection, Lock: LockNone, Run: commandHelp,
			Doc: Doc{Summary: "Lists the sub-commands.", Since: "5.0.0", Group: "server", Complexity: "O(1)"}},
		{Name: "info", Arity: -2, Flags: Loading | Stale, ACL: CatConnection, Lock: LockNone, Run: commandInfo,
			Doc: Doc{Summary: "Describes commands.", Since: "2.8.13", Group: "server", Complexity: "O(N) where N is the number of commands asked for", Tips: []string{"nondeterministic_output_order"}}},
		{Name: "list", Arity: -2, Flags: Loading | Stale, ACL: CatConnection, Lock: LockNone, Run: commandList,
			Doc: Doc{Summary: "Returns the names of commands.", Since: "7.0.0", Group: "server", Complexity: "O(N) where N is the number of commands", Tips: []string{"nondeterministic_output_order"}}},
	},
}}

func commandHelp(c *Ctx) {
	Help(c,
		"(no subcommand)", "    Describe all commands.",
		"COUNT", "    The number of commands.",
		"LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]", "    The names of commands.",
		"INFO [<name> ...]", "    Describe these commands, or all.",
		"DOCS [<name> ...]", "    The documentation of these commands, or all.",
		"GETKEYS <command line>", "    The keys in a command line.",
		"GETKEYSANDFLAGS <command line>", "    The keys in a command line and what is done to each.")
}

func commandAll(c *Ctx) {
	rows := c.Host.Table().Rows()
	c.Out.Array(len(rows))
	for _, r := range rows {
		replyInfo(c.Out, r)
	}
}

func commandCount(c *Ctx) { c.Out.Int(int64(len(c.Host.Table().Rows()))) }

// named finds a row by its full name: "get", "config|get".
func (t *Table) named(name []byte) *Row {
	command, sub, isSub := strings.Cut(string(name), "|")
	row := t.Lookup([]byte(command))
	if row == nil || !isSub {
		return row
	}
	return row.Subcommand([]byte(sub))
}

func commandInfo(c *Ctx) {
	if len(c.Args) == 2 {
		commandAll(c)
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, name := range c.Args[2:] {
		if r := c.Host.Table().named(name); r != nil {
			replyInfo(c.Out, r)
		} else {
			c.Out.Null()
		}
	}
}

// replyInfo writes the ten elements that COMMAND INFO has for a command.
func replyInfo(out *resp.Writer, r *Row) {
	first, last, step := r.LegacyRange()
	out.Array(10)
	out.BulkString(r.FullName())
	out.Int(int64(r.Arity))
	replyStatuses(out, r.Flags.Names())
	out.Int(int64(first))
	out.Int(int64(last))
	out.Int(int64(step))
	replyStatuses(out, r.Categories().Names())
	out.Set(len(r.Doc.Tips))
	for _, t := range r.Doc.Tips {
		out.BulkString(t)
	}
	out.Set(len(r.Keys))
	for i := range r.Keys {
		replyKeySpec(out, &r.Keys[i])
	}
	if len(r.Sub) == 0 {
		out.Set(0) // of an array only when there is something in it, as in Redis
		return
	}
	out.Array(len(r.Sub))
	for _, s := range r.Sub {
		replyInfo(out, s)
	}
}

func replyStatuses(out *resp.Writer, names []string) {
	out.Set(len(names))
	for _, n := range names {
		out.Simple(n)
	}
}

func replyKeySpec(out *resp.Writer, k *KeySpec) {
	if k.Notes != "" {
		out.Map(4)
		out.BulkString("notes")
		out.BulkString(k.Notes)
	} else {
		out.Map(3)
	}
	out.BulkString("flags")
	replyStatuses(out, k.Flags.Names())
	out.BulkString("begin_search")
	switch {
	case k.Begin.Keyword != "":
		replySpec(out, "keyword", 2)
		out.BulkString("keyword")
		out.BulkString(k.Begin.Keyword)
		replyNumber(out, "startfrom", k.Begin.Index)
	case k.Begin.Index != 0:
		replySpec(out, "index", 1)
		replyNumber(out, "index", k.Begin.Index)
	default:
		replySpec(out, "unknown", 0)
	}
	out.BulkString("find_keys")
	switch {
	case k.Find.KeyNum:
		replySpec(out, "keynum", 3)
		replyNumber(out, "keynumidx", k.Find.NumIndex)
		replyNumber(out, "firstkey", k.Find.FirstKey)
		replyNumber(out, "keystep", max(k.Find.Step, 1))
	case k.Begin.Keyword != "" || k.Begin.Index != 0:
		replySpec(out, "range", 3)
		replyNumber(out, "lastkey", k.Find.Last)
		replyNumber(out, "keystep", max(k.Find.Step, 1))
		replyNumber(out, "limit", k.Find.Limit)
	default:
		replySpec(out, "unknown", 0)
	}
}

func replySpec(out *resp.Writer, kind string, fields int) {
	out.Map(2)
	out.BulkString("type")
	out.BulkString(kind)
	out.BulkString("spec")
	out.Map(fields)
}

func replyNumber(out *resp.Writer, name string, n int) {
	out.BulkString(name)
	out.Int(int64(n))
}

func commandDocs(c *Ctx) {
	t := c.Host.Table()
	rows := t.Rows()
	if len(c.Args) > 2 {
		rows = rows[:0:0]
		for _, name := range c.Args[2:] {
			if r := t.named(name); r != nil {
				rows = append(rows, r)
			}
		}
	}
	c.Out.Map(len(rows))
	for _, r := range rows {
		replyDoc(c.Out, r)
	}
}

// field is one entry of a map whose size depends on what is there.
type field struct {
	name  string
	write func()
}

func replyFields(out *resp.Writer, fields []field) {
	out.Map(len(fields))
	for _, f := range fields {
		out.BulkString(f.name)
		f.write()
	}
}

func replyDoc(out *resp.Writer, r *Row) {
	d := &r.Doc
	out.BulkString(r.FullName())
	text := func(s string) func() { return func() { out.BulkString(s) } }
	fields := []field{{"summary", text(d.Summary)}, {"since", text(d.Since)}, {"group", text(d.Group)}}
	if d.Complexity != "" {
		fields = append(fields, field{"complexity", text(d.Complexity)})
	}
	switch {
	case d.System:
		fields = append(fields, field{"doc_flags", func() { replyStatuses(out, []string{"syscmd"}) }})
	case d.Deprecated != "":
		fields = append(fields,
			field{"doc_flags", func() { replyStatuses(out, []string{"deprecated"}) }},
			field{"deprecated_since", text(d.Deprecated)},
			field{"replaced_by", text(d.ReplacedBy)})
	}
	if len(d.History) > 0 {
		fields = append(fields, field{"history", func() {
			out.Set(len(d.History))
			for _, h := range d.History {
				out.Array(2)
				out.BulkString(h.Since)
				out.BulkString(h.What)
			}
		}})
	}
	if len(d.Args) > 0 {
		fields = append(fields, field{"arguments", func() { replyArgs(out, d.Args) }})
	}
	if len(r.Sub) > 0 {
		fields = append(fields, field{"subcommands", func() {
			out.Map(len(r.Sub))
			for _, s := range r.Sub {
				replyDoc(out, s)
			}
		}})
	}
	replyFields(out, fields)
}

func replyArgs(out *resp.Writer, args []Arg) {
	out.Array(len(args))
	for i := range args {
		a := &args[i]
		text := func(s string) func() { return func() { out.BulkString(s) } }
		fields := []field{{"name", text(a.Name)}, {"type", text(a.Type)}}
		if a.Type != "block" && a.Type != "oneof" {
			fields = append(fields, field{"display_text", text(a.Name)})
		}
		if a.Key > 0 {
			fields = append(fields, field{"key_spec_index", func() { out.Int(int64(a.Key - 1)) }})
		}
		if a.Token != "" {
			fields = append(fields, field{"token", text(a.Token)})
		}
		if a.Since != "" {
			fields = append(fields, field{"since", text(a.Since)})
		}
		if a.Flags != 0 {
			fields = append(fields, field{"flags", func() { replyStatuses(out, a.Flags.Names()) }})
		}
		if len(a.Args) > 0 {
			fields = append(fields, field{"arguments", func() { replyArgs(out, a.Args) }})
		}
		replyFields(out, fields)
	}
}

// RedactLine hides the arguments of a command line that is itself an argument, from
// position at on: it may be one with a password in it (AUTH, CONFIG SET, MIGRATE). What is
// called stays visible.
func RedactLine(c *Ctx, at int) {
	for i := at + 1; i < len(c.Args); i++ {
		c.Caller.Redact(i)
	}
}

// foreign finds the row of the command line that GETKEYS was given, and its
// key positions; it answers what is wrong with it.
func foreign(c *Ctx) (r *Row, line [][]byte, keys []int, ok bool) {
	line = c.Args[2:]
	RedactLine(c, 2)
	r, _ = c.Host.Table().Resolve(line)
	switch {
	case r == nil:
		c.Out.Error(resp.ErrCommandInvalid)
		return
	case len(r.Keys) == 0 || r.keysAreNames():
		c.Out.Error(resp.ErrCommandNoKeys)
		return
	case !r.Takes(len(line)):
		c.Out.Error(resp.ErrCommandArity)
		return
	}
	if keys, ok = r.AppendKeys(nil, line); ok && len(keys) > 0 {
		return r, line, keys, true
	}
	if ok = r.Is(NoMandatoryKeys); !ok { // of such a command even a wrong line has none
		c.Out.Error(resp.ErrCommandArguments)
	}
	return r, line, nil, ok
}

func commandGetKeys(c *Ctx) {
	_, line, keys, ok := foreign(c)
	if !ok {
		return
	}
	c.Out.Array(len(keys))
	for _, k := range keys {
		c.Out.Bulk(line[k])
	}
}

func commandGetKeysAndFlags(c *Ctx) {
	r, line, keys, ok := foreign(c)
	if !ok {
		return
	}
	c.Out.Array(len(keys))
	for _, k := range keys {
		c.Out.Array(2)
		c.Out.Bulk(line[k])
		replyStatuses(c.Out, r.accessOf(line, k).Names())
	}
}

// accessOf is what the command line does to the key at position k. One that no
// specification finds is that of the last one of which they only tell that it
// may be there.
func (r *Row) accessOf(line [][]byte, k int) KeyFlags {
	if r.Access != nil {
		return r.Access(line)
	}
	for i := range r.Keys {
		var own [8]int
		at, _ := r.Keys[i].appendKeys(own[:0], line)
		for _, p := range at {
			if p == k {
				return r.Keys[i].Flags
			}
		}
	}
	for _, s := range slices.Backward(r.Keys) {
		if s.Begin == (Begin{}) {
			return s.Flags
		}
	}
	return 0
}

func commandList(c *Ctx) {
	keep := func(*Row) bool { return true }
	switch {
	case len(c.Args) == 2:
	case len(c.Args) == 5 && is(c.Args[2], "FILTERBY") && is(c.Args[3], "MODULE"):
		keep = func(*Row) bool { return false } // there are no modules
	case len(c.Args) == 5 && is(c.Args[2], "FILTERBY") && is(c.Args[3], "ACLCAT"):
		cat := CategoryOf(string(c.Args[4]))
		keep = func(r *Row) bool { return r.Categories()&cat != 0 }
	case len(c.Args) == 5 && is(c.Args[2], "FILTERBY") && is(c.Args[3], "PATTERN"):
		pattern := c.Args[4]
		keep = func(r *Row) bool { return glob.MatchFold(pattern, []byte(r.FullName())) }
	default:
		c.Out.Error(resp.ErrSyntax)
		return
	}
	var names []string
	var collect func(rows []*Row)
	collect = func(rows []*Row) {
		for _, r := range rows {
			if keep(r) {
				names = append(names, r.FullName())
			}
			collect(r.Sub)
		}
	}
	collect(c.Host.Table().Rows())
	c.Out.Array(len(names))
	for _, n := range names {
		c.Out.BulkString(n)
	}
}
