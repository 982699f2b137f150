package server

import (
	"strings"

	"redoubt/internal/command"
	"redoubt/internal/glob"
	"redoubt/internal/resp"
)

var introspectionRows = []*command.Row{
	{Name: "command", Arity: -1, Flags: command.Loading | command.Stale, ACL: command.CatConnection, Lock: command.LockNone, Run: commandCommand,
		Doc: doc("2.8.13", "server", "Returns detailed information about all commands."), Sub: []*command.Row{
			introspectionRow("count", 2, "2.8.13", "Returns a count of commands.", func(x *command.Ctx) { x.Out.Int(int64(len(serverOf(x).table.Rows()))) }),
			introspectionRow("list", -2, "7.0.0", "Returns a list of command names.", commandList),
			introspectionRow("info", -2, "2.8.13", "Returns information about one, multiple or all commands.", commandInfo),
			introspectionRow("docs", -2, "7.0.0", "Returns documentary information about one, multiple or all commands.", commandDocs),
			introspectionRow("getkeys", -3, "2.8.13", "Extracts the key names from an arbitrary command.", func(x *command.Ctx) { commandKeys(x, false) }),
			introspectionRow("getkeysandflags", -3, "7.0.0", "Extracts the key names and access flags for an arbitrary command.", func(x *command.Ctx) { commandKeys(x, true) }),
			introspectionRow("help", 2, "5.0.0", "Returns helpful text about the different subcommands.", commandHelp),
		}},
}

func introspectionRow(name string, arity int, since, summary string, run command.Handler) *command.Row {
	r := serverRow(name, arity, command.Loading|command.Stale, since, summary, run)
	r.ACL = command.CatConnection
	return r
}

// named finds a row by its full name: "get", "config|get".
func (t *table) named(full []byte) *command.Row {
	name, sub, container := strings.Cut(string(full), "|")
	r := t.Lookup([]byte(name))
	if r == nil || !container {
		return r
	}
	return r.Subcommand([]byte(sub))
}

func commandCommand(x *command.Ctx) {
	rows := serverOf(x).table.Rows()
	x.Out.Array(len(rows))
	for _, r := range rows {
		writeInfo(x.Out, r)
	}
}

func commandInfo(x *command.Ctx) {
	if len(x.Args) == 2 {
		commandCommand(x)
		return
	}
	x.Out.Array(len(x.Args) - 2)
	for _, name := range x.Args[2:] {
		if r := serverOf(x).table.named(name); r != nil {
			writeInfo(x.Out, r)
		} else {
			x.Out.NullArray()
		}
	}
}

// writeInfo writes the ten elements of COMMAND INFO.
func writeInfo(w *resp.Writer, r *command.Row) {
	first, last, step := r.LegacyRange()
	w.Array(10)
	w.BulkString(r.FullName())
	w.Int(int64(r.Arity))
	writeNames(w, r.Flags.Names())
	w.Int(int64(first))
	w.Int(int64(last))
	w.Int(int64(step))
	writeNames(w, r.Categories().Names())
	w.Set(len(r.Doc.Tips))
	for _, tip := range r.Doc.Tips {
		w.BulkString(tip)
	}
	w.Set(len(r.Keys))
	for i := range r.Keys {
		writeKeySpec(w, &r.Keys[i])
	}
	w.Array(len(r.Sub))
	for _, s := range r.Sub {
		writeInfo(w, s)
	}
}

// writeNames writes a set of simple strings.
func writeNames(w *resp.Writer, names []string) {
	w.Set(len(names))
	for _, n := range names {
		w.Simple(n)
	}
}

func writeKeySpec(w *resp.Writer, k *command.KeySpec) {
	fields := 3
	if k.Notes != "" {
		fields++
	}
	w.Map(fields)
	if k.Notes != "" {
		w.BulkString("notes")
		w.BulkString(k.Notes)
	}
	w.BulkString("flags")
	writeNames(w, k.Flags.Names())
	w.BulkString("begin_search")
	switch {
	case k.Begin.Keyword != "":
		writeSpec(w, "keyword", 2)
		w.BulkString("keyword")
		w.BulkString(k.Begin.Keyword)
		w.BulkString("startfrom")
		w.Int(int64(k.Begin.Index))
	case k.Begin.Index != 0:
		writeSpec(w, "index", 1)
		w.BulkString("index")
		w.Int(int64(k.Begin.Index))
	default:
		writeSpec(w, "unknown", 0)
	}
	w.BulkString("find_keys")
	if k.Find.KeyNum {
		writeSpec(w, "keynum", 3)
		w.BulkString("keynumidx")
		w.Int(int64(k.Find.NumIndex))
		w.BulkString("firstkey")
		w.Int(int64(k.Find.FirstKey))
	} else {
		writeSpec(w, "range", 3)
		w.BulkString("lastkey")
		w.Int(int64(k.Find.Last))
		w.BulkString("limit")
		w.Int(int64(k.Find.Limit))
	}
	w.BulkString("keystep")
	w.Int(int64(max(k.Find.Step, 1)))
}

// writeSpec begins the map of one half of a key specification.
func writeSpec(w *resp.Writer, kind string, fields int) {
	w.Map(2)
	w.BulkString("type")
	w.BulkString(kind)
	w.BulkString("spec")
	w.Map(fields)
}

func commandDocs(x *command.Ctx) {
	var rows []*command.Row
	if len(x.Args) == 2 {
		rows = serverOf(x).table.Rows()
	}
	for _, name := range x.Args[2:] {
		if r := serverOf(x).table.named(name); r != nil {
			rows = append(rows, r)
		}
	}
	x.Out.Map(len(rows))
	for _, r := range rows {
		x.Out.BulkString(r.FullName())
		writeDocs(x.Out, r)
	}
}

func writeDocs(w *resp.Writer, r *command.Row) {
	d := &r.Doc
	fields := 0
	for _, present := range []bool{d.Summary != "", d.Since != "", true, d.Complexity != "", d.Deprecated != "", d.Deprecated != "", d.ReplacedBy != "", d.History != nil, d.Args != nil, r.Sub != nil} {
		if present {
			fields++
		}
	}
	w.Map(fields)
	text := func(name, value string) {
		if value != "" {
			w.BulkString(name)
			w.BulkString(value)
		}
	}
	text("summary", d.Summary)
	text("since", d.Since)
	w.BulkString("group")
	w.BulkString(d.Group)
	text("complexity", d.Complexity)
	if d.Deprecated != "" {
		w.BulkString("doc_flags")
		writeNames(w, []string{"deprecated"})
		text("deprecated_since", d.Deprecated)
	}
	text("replaced_by", d.ReplacedBy)
	if d.History != nil {
		w.BulkString("history")
		w.Set(len(d.History))
		for _, h := range d.History {
			w.Array(2)
			w.BulkString(h.Since)
			w.BulkString(h.What)
		}
	}
	if d.Args != nil {
		w.BulkString("arguments")
		writeArgs(w, d.Args)
	}
	if r.Sub != nil {
		w.BulkString("subcommands")
		w.Map(len(r.Sub))
		for _, s := range r.Sub {
			w.BulkString(s.FullName())
			writeDocs(w, s)
		}
	}
}

func writeArgs(w *resp.Writer, args []command.Arg) {
	w.Array(len(args))
	for i := range args {
		a := &args[i]
		flags := a.Flags.Names()
		fields := 2
		for _, present := range []bool{a.Key != 0, a.Token != "", a.Since != "", flags != nil, a.Args != nil} {
			if present {
				fields++
			}
		}
		w.Map(fields)
		w.BulkString("name")
		w.BulkString(a.Name)
		w.BulkString("type")
		w.BulkString(a.Type)
		if a.Key != 0 {
			w.BulkString("key_spec_index")
			w.Int(int64(a.Key - 1))
		}
		if a.Token != "" {
			w.BulkString("token")
			w.BulkString(a.Token)
		}
		if a.Since != "" {
			w.BulkString("since")
			w.BulkString(a.Since)
		}
		if flags != nil {
			w.BulkString("flags")
			writeNames(w, flags)
		}
		if a.Args != nil {
			w.BulkString("arguments")
			writeArgs(w, a.Args)
		}
	}
}

func commandList(x *command.Ctx) {
	keep := func(*command.Row) bool { return true }
	args := x.Args[2:]
	switch {
	case len(args) == 0:
	case len(args) != 3 || !equalFold(args[0], "filterby"):
		x.Out.Error(resp.ErrSyntax)
		return
	case equalFold(args[1], "module"):
		keep = func(*command.Row) bool { return false } // there are no modules
	case equalFold(args[1], "aclcat"):
		cat := command.CategoryOf(string(args[2]))
		keep = func(r *command.Row) bool { return r.Categories()&cat != 0 }
	case equalFold(args[1], "pattern"):
		keep = func(r *command.Row) bool { return glob.MatchFold(string(args[2]), r.FullName()) }
	default:
		x.Out.Error(resp.ErrSyntax)
		return
	}
	var names []string
	for _, r := range serverOf(x).table.Rows() {
		if keep(r) {
			names = append(names, r.FullName())
		}
		for _, s := range r.Sub {
			if len(args) > 0 && keep(s) {
				names = append(names, s.FullName())
			}
		}
	}
	x.Out.Array(len(names))
	for _, n := range names {
		x.Out.BulkString(n)
	}
}

// commandKeys is COMMAND GETKEYS and GETKEYSANDFLAGS.
func commandKeys(x *command.Ctx, withFlags bool) {
	args := x.Args[2:]
	row, _ := serverOf(x).table.Resolve(args)
	switch {
	case row == nil:
		x.Out.Error(resp.ErrBadCommand)
		return
	case len(row.Keys) == 0:
		x.Out.Error(resp.ErrNoKeyArguments)
		return
	case !row.Takes(len(args)):
		x.Out.Error(resp.ErrCommandArity)
		return
	}
	type found struct {
		at   int
		spec *command.KeySpec
	}
	var keys []found
	for i := range row.Keys {
		one := command.Row{Keys: row.Keys[i : i+1]}
		at, ok := one.AppendKeys(nil, args)
		if !ok {
			x.Out.Error(resp.ErrCommandArgs)
			return
		}
		for _, k := range at {
			keys = append(keys, found{k, &row.Keys[i]})
		}
	}
	if len(keys) == 0 {
		if row.Is(command.NoMandatoryKeys) {
			x.Out.Array(0)
		} else {
			x.Out.Error(resp.ErrCommandArgs)
		}
		return
	}
	x.Out.Array(len(keys))
	for _, k := range keys {
		if withFlags {
			x.Out.Array(2)
			x.Out.Bulk(args[k.at])
			writeNames(x.Out, k.spec.Flags.Names())
		} else {
			x.Out.Bulk(args[k.at])
		}
	}
}

func commandHelp(x *command.Ctx) {
	help(x, "(no subcommand)", "    Return details about all Redis commands.",
		"COUNT", "    Return the total number of commands in this Redis server.",
		"LIST", "    Return a list of all commands in this Redis server.",
		"INFO [<command-name> ...]", "    Return details about multiple Redis commands.", "    If no command names are given, documentation details for all", "    commands are returned.",
		"DOCS [<command-name> ...]", "    Return documentation details about multiple Redis commands.",
		"GETKEYS <full-command>", "    Return the keys from a full Redis command.",
		"GETKEYSANDFLAGS <full-command>", "    Return the keys and the access flags from a full Redis command.")
}
